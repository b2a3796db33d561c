#include "system/interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>

namespace agentdoctor {
namespace {

std::atomic<bool> interrupted{false};
std::atomic<int> read_end{-1};
std::atomic<int> write_end{-1};

// Async-signal-safe: an atomic store and a write.
void Note(int /*signal*/) {
  const int saved = errno;
  interrupted.store(true);
  // The byte is never read, so that every poll() of every thread sees it.
  const char byte = 0;
  [[maybe_unused]] const ssize_t ignored = write(write_end.load(), &byte, 1);
  errno = saved;
}

}  // namespace

void CatchInterrupts() {
  if (write_end.load() >= 0) return;
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return;
  for (const int end : ends) {
    fcntl(end, F_SETFD, FD_CLOEXEC);
    fcntl(end, F_SETFL, O_NONBLOCK);
  }
  read_end = ends[0];
  write_end = ends[1];

  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction before = {};
    sigaction(number, nullptr, &before);
    // What nohup(1) or a background job ignores stays ignored.
    if (before.sa_handler == SIG_IGN) continue;
    struct sigaction action = {};
    action.sa_handler = Note;
    action.sa_flags = SA_RESTART;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, nullptr);
  }
  signal(SIGPIPE, SIG_IGN);
  // Ignored by a careless parent, it would make waitpid() lose every status.
  signal(SIGCHLD, SIG_DFL);
}

bool Interrupted() { return interrupted.load(); }

int InterruptFd() { return read_end.load(); }

}  // namespace agentdoctor
