#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "system/descriptors.h"

namespace agentdoctor {
namespace {

Fd Prepare(Fd fd) {
  if (!fd) return fd;
  fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
  fcntl(fd.get(), F_SETFL, O_NONBLOCK);
#ifdef SO_NOSIGPIPE
  // macOS, which has no MSG_NOSIGNAL.
  const int yes = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes);
#endif
  return fd;
}

}  // namespace

Pipe MakePipe() {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0)
    throw std::system_error(errno, std::generic_category(), "pipe");
  for (const int end : ends) fcntl(end, F_SETFD, FD_CLOEXEC);
  return {Fd(ends[0]), Fd(ends[1])};
}

Fd MakeStreamSocket(int family) {
  return Prepare(Fd(socket(family, SOCK_STREAM, 0)));
}

Fd Accept(const Fd& listener) {
  return Prepare(Fd(accept(listener.get(), nullptr, nullptr)));
}

Fd OpenExitFd(pid_t /*pid*/) { return {}; }

}  // namespace agentdoctor
