#include "system/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "system/descriptors.h"
#include "system/interrupt.h"

extern char** environ;

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

/// Between TERM and KILL: enough for ssh to remove its control socket.
constexpr Milliseconds kGrace{200};
/// What is still to come after the end: a grandchild may hold the streams open
/// for ever, and so may a multiplexing master.
constexpr Milliseconds kDrain{50};
/// Messages may wait so long for each other: a child writes one at a time, and
/// to wake up for each takes time from it.
constexpr Milliseconds kGather{10};
/// A killed process that is not gone by then hangs in the kernel.
constexpr Milliseconds kReap{1000};

[[noreturn]] void Throw(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

// With both ends above the standard streams, so that dup2() in the child always
// makes a new descriptor, which it does inherit.
Pipe MakeHighPipe() {
  Pipe made = MakePipe();
  for (Fd* end : {&made.read, &made.write}) {
    if (end->get() > STDERR_FILENO) continue;
    const int above = fcntl(end->get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (above < 0) Throw(errno, "fcntl");
    *end = Fd(above);
  }
  return made;
}

void SetNonBlocking(const Fd& fd) { fcntl(fd.get(), F_SETFL, O_NONBLOCK); }

// "NAME=value" words: ours with the changes made.
std::vector<std::string> Environment(const Command& command) {
  auto changes = command.environment;
  // Messages are matched in English; a child's child inherits it.
  changes.emplace_back("LC_ALL", "C");
  std::vector<std::string> words;
  for (char** word = environ; word != nullptr && *word != nullptr; ++word) {
    const std::string_view text = *word;
    const std::string_view name = text.substr(0, text.find('='));
    const bool changed =
        std::any_of(changes.begin(), changes.end(),
                    [&](const auto& change) { return change.first == name; });
    if (!changed) words.emplace_back(text);
  }
  for (auto change = changes.begin(); change != changes.end(); ++change) {
    const bool later = std::any_of(
        change + 1, changes.end(),
        [&](const auto& other) { return other.first == change->first; });
    if (!later && change->second)
      words.push_back(change->first + "=" + *change->second);
  }
  return words;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// posix_spawn's two option objects, with a lifetime.
struct SpawnOptions {
  SpawnOptions() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  SpawnOptions(const SpawnOptions&) = delete;
  SpawnOptions& operator=(const SpawnOptions&) = delete;
  ~SpawnOptions() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

void SetAttributes(posix_spawnattr_t& attributes, bool interactive) {
  short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
  sigset_t signals;
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  // A child that inherits an ignored SIGPIPE or SIGCHLD behaves oddly.
  for (const int number : {SIGPIPE, SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP})
    sigaddset(&signals, number);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  if (!interactive) {
#ifdef POSIX_SPAWN_SETSID
    flags |= POSIX_SPAWN_SETSID;
#else
    flags |= POSIX_SPAWN_SETPGROUP;
#endif
  }
#ifdef POSIX_SPAWN_CLOEXEC_DEFAULT
  // macOS: another thread's new descriptor may not be marked yet.
  flags |= POSIX_SPAWN_CLOEXEC_DEFAULT;
#endif
  posix_spawnattr_setflags(&attributes, flags);
}

bool IsExecutable(const std::string& path) {
  struct stat found;
  return stat(path.c_str(), &found) == 0 && S_ISREG(found.st_mode) &&
         access(path.c_str(), X_OK) == 0;
}

}  // namespace

/// One child: its pid, our ends of its streams, and what came through them.
class BackgroundProcess::Child {
 public:
  explicit Child(Command command);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { End(); }

  /// As BackgroundProcess::WaitUntil.
  ProcessEnd WaitUntil(const std::function<bool()>& done);

  /// As BackgroundProcess::Send.
  void Send(std::string text);

  /// Ends the child and its group, if it still lives.
  void End();

  pid_t pid() const { return pid_; }
  int status() const { return status_; }
  std::string& out() { return out_text_; }
  std::string& err() { return err_text_; }

 private:
  enum class Said { kNothing, kSomething, kStop, kTooMuch };

  void Write();
  Said Read(Fd& fd, std::string& text);
  Said ReadBoth();
  bool DeliverLines(const std::function<bool()>& done);
  void DeliverLastLine();
  bool Exited() const;
  bool AwaitExit(Milliseconds limit) const;
  Said Drain();
  ProcessEnd Reap();

  Command command_;
  pid_t pid_ = -1;
  bool reaped_ = false;
  ProcessEnd end_ = ProcessEnd::kNotStarted;
  int status_ = -1;
  Fd in_;
  Fd out_;
  Fd err_;
  Fd exit_;
  std::size_t written_ = 0;
  std::size_t delivered_ = 0;  ///< bytes of err_text_, in whole lines
  std::string out_text_;
  std::string err_text_;
};

BackgroundProcess::Child::Child(Command command)
    : command_(std::move(command)) {
  if (command_.argv.empty()) Throw(EINVAL, "no command");
  const std::string program = FindProgram(command_.argv[0]);
  if (program.empty()) Throw(ENOENT, command_.argv[0]);

  // A child that does not read its input must not end us.
  const bool has_input = !command_.input.empty() || command_.keep_input;
  if (has_input) signal(SIGPIPE, SIG_IGN);

  Pipe out;
  Pipe err = MakeHighPipe();
  Pipe in;
  SpawnOptions options;
  if (command_.stream >= 0) {
    posix_spawn_file_actions_adddup2(&options.actions, command_.stream,
                                     STDIN_FILENO);
  } else if (!has_input) {
    posix_spawn_file_actions_addopen(&options.actions, STDIN_FILENO,
                                     "/dev/null", O_RDONLY, 0);
  } else {
    in = MakeHighPipe();
    posix_spawn_file_actions_adddup2(&options.actions, in.read.get(),
                                     STDIN_FILENO);
  }
  if (command_.stream < 0) out = MakeHighPipe();
  posix_spawn_file_actions_adddup2(
      &options.actions,
      command_.stream >= 0 ? command_.stream : out.write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&options.actions, err.write.get(),
                                   STDERR_FILENO);
  SetAttributes(options.attributes, command_.interactive);

  std::vector<std::string> argv = command_.argv;
  std::vector<std::string> environment = Environment(command_);
  const int error =
      posix_spawn(&pid_, program.c_str(), &options.actions, &options.attributes,
                  Pointers(argv).data(), Pointers(environment).data());
  if (error != 0) {
    pid_ = -1;
    Throw(error, program);
  }
  exit_ = OpenExitFd(pid_);
  in_ = std::move(in.write);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
  for (const Fd* fd : {&in_, &out_, &err_})
    if (*fd) SetNonBlocking(*fd);
}

void BackgroundProcess::Child::Write() {
  const std::string_view rest =
      std::string_view(command_.input).substr(written_);
  const ssize_t sent = write(in_.get(), rest.data(), rest.size());
  if (sent > 0) written_ += static_cast<std::size_t>(sent);
  const bool failed = sent < 0 && errno != EAGAIN && errno != EINTR;
  const bool done = written_ == command_.input.size();
  if (failed || (done && !command_.keep_input)) in_ = Fd();
}

void BackgroundProcess::Child::Send(std::string text) {
  command_.input = std::move(text);
  written_ = 0;
  out_text_.clear();
  err_text_.clear();
  delivered_ = 0;
}

BackgroundProcess::Child::Said BackgroundProcess::Child::Read(
    Fd& fd, std::string& text) {
  std::array<char, 32768> piece;
  const ssize_t got = read(fd.get(), piece.data(), piece.size());
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return Said::kNothing;
  if (got <= 0) {
    fd = Fd();
    return Said::kNothing;
  }
  const std::size_t room = command_.output_limit - text.size();
  const std::string_view all(piece.data(), static_cast<std::size_t>(got));
  const std::string_view kept = all.substr(0, room);
  text += kept;
  if (&fd == &out_ && command_.on_output && command_.on_output(kept))
    return Said::kStop;
  return kept.size() < all.size() ? Said::kTooMuch : Said::kSomething;
}

BackgroundProcess::Child::Said BackgroundProcess::Child::ReadBoth() {
  Said said = Said::kNothing;
  if (err_) said = std::max(said, Read(err_, err_text_));
  if (out_) said = std::max(said, Read(out_, out_text_));
  return said;
}

// True if \a done said so after one of the lines; the rest waits.
bool BackgroundProcess::Child::DeliverLines(const std::function<bool()>& done) {
  while (true) {
    const std::size_t end = err_text_.find('\n', delivered_);
    if (end == std::string::npos) return false;
    std::string_view line(err_text_.data() + delivered_, end - delivered_);
    // ssh ends its messages with CR LF.
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    delivered_ = end + 1;
    if (command_.on_error_line) command_.on_error_line(line);
    if (done && done()) return true;
  }
}

void BackgroundProcess::Child::DeliverLastLine() {
  const std::string_view line = std::string_view(err_text_).substr(delivered_);
  delivered_ = err_text_.size();
  if (!line.empty() && command_.on_error_line) command_.on_error_line(line);
}

// Without reaping: as long as the pid is a zombie's, nobody else can get it.
bool BackgroundProcess::Child::Exited() const {
  siginfo_t info = {};
  return waitid(P_PID, static_cast<id_t>(pid_), &info,
                WEXITED | WNOHANG | WNOWAIT) != 0 ||
         info.si_pid != 0;
}

bool BackgroundProcess::Child::AwaitExit(Milliseconds limit) const {
  const auto deadline = Clock::now() + limit;
  while (!Exited()) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return false;
    pollfd polled{exit_.get(), POLLIN, 0};
    poll(&polled, 1, static_cast<int>(exit_ ? left.count() : 1));
  }
  return true;
}

BackgroundProcess::Child::Said BackgroundProcess::Child::Drain() {
  const auto deadline = Clock::now() + kDrain;
  while (out_ || err_) {
    const Said said = ReadBoth();
    if (said == Said::kStop || said == Said::kTooMuch) return said;
    if (said == Said::kSomething) continue;
    if (!out_ && !err_) break;
    const auto left = std::chrono::ceil<Milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) break;
    std::array<pollfd, 2> polled{
        {{out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}}};
    poll(polled.data(), polled.size(), static_cast<int>(left.count()));
  }
  return Said::kNothing;
}

ProcessEnd BackgroundProcess::Child::Reap() {
  int status = 0;
  pid_t got = -1;
  do {
    got = waitpid(pid_, &status, WNOHANG);
  } while (got < 0 && errno == EINTR);
  reaped_ = true;
  const bool signalled = got == pid_ && WIFSIGNALED(status);
  if (got == pid_) status_ = signalled ? WTERMSIG(status) : WEXITSTATUS(status);
  return signalled ? ProcessEnd::kSignalled : ProcessEnd::kExited;
}

void BackgroundProcess::Child::End() {
  if (pid_ < 0 || reaped_) return;
  // An interactive child shares our own process group.
  const pid_t target = command_.interactive ? pid_ : -pid_;
  kill(target, SIGTERM);
  AwaitExit(kGrace);
  kill(target, SIGKILL);
  AwaitExit(kReap);
  Reap();
}

ProcessEnd BackgroundProcess::Child::WaitUntil(
    const std::function<bool()>& done) {
  if (pid_ < 0 || reaped_) return end_;
  const auto started = Clock::now();
  auto heard = started;
  auto gathered = started;  // when messages are worth a look again
  Milliseconds pause{1};  // grows; only where there is no descriptor to wait on
  while (true) {
    if (DeliverLines(done) || (done && done())) return ProcessEnd::kStopped;
    if (Interrupted()) return ProcessEnd::kInterrupted;
    if (Exited()) {
      const Said said = Drain();
      const bool stopped = DeliverLines(done);
      if (!stopped) DeliverLastLine();
      end_ = Reap();
      if (said == Said::kTooMuch) end_ = ProcessEnd::kOutputLimit;
      if (said == Said::kStop) end_ = ProcessEnd::kStopped;
      return stopped ? ProcessEnd::kStopped : end_;
    }

    const auto now = Clock::now();
    auto wake = now + std::chrono::seconds(60);
    const auto limit = [&](Milliseconds allowed, Clock::time_point since) {
      if (allowed.count() <= 0) return false;
      wake = std::min(wake, since + allowed);
      return now >= since + allowed;
    };
    if (limit(command_.total_limit, started) ||
        limit(command_.idle_limit, heard))
      return ProcessEnd::kTimedOut;
    if (done) wake = std::min(wake, now + Milliseconds(20));
    if (!exit_) {
      wake = std::min(wake, now + pause);
      pause = std::min(2 * pause, Milliseconds(20));
    }

    const bool gathers = !done && now < gathered;
    if (gathers) wake = std::min(wake, gathered);
    const bool writes = written_ < command_.input.size();
    std::array<pollfd, 5> polled{{{exit_.get(), POLLIN, 0},
                                  {out_.get(), POLLIN, 0},
                                  {gathers ? -1 : err_.get(), POLLIN, 0},
                                  {writes ? in_.get() : -1, POLLOUT, 0},
                                  {InterruptFd(), POLLIN, 0}}};
    const auto left = std::chrono::ceil<Milliseconds>(wake - now);
    if (poll(polled.data(), polled.size(), static_cast<int>(left.count())) <= 0)
      continue;
    if (polled[3].revents != 0) Write();
    switch (ReadBoth()) {
      case Said::kNothing:
        break;
      case Said::kSomething:
        heard = Clock::now();
        gathered = heard + kGather;
        pause = Milliseconds(1);
        break;
      case Said::kStop:
        DeliverLines(nullptr);
        return ProcessEnd::kStopped;
      case Said::kTooMuch:
        DeliverLines(nullptr);
        return ProcessEnd::kOutputLimit;
    }
  }
}

BackgroundProcess::BackgroundProcess() = default;
BackgroundProcess::BackgroundProcess(BackgroundProcess&&) noexcept = default;
BackgroundProcess& BackgroundProcess::operator=(BackgroundProcess&&) noexcept =
    default;
BackgroundProcess::~BackgroundProcess() = default;

BackgroundProcess::BackgroundProcess(Command command)
    : child_(std::make_unique<Child>(std::move(command))) {}

ProcessEnd BackgroundProcess::WaitUntil(const std::function<bool()>& done) {
  return child_ ? child_->WaitUntil(done) : ProcessEnd::kNotStarted;
}

void BackgroundProcess::Send(std::string text) {
  if (child_) child_->Send(std::move(text));
}

pid_t BackgroundProcess::pid() const { return child_ ? child_->pid() : -1; }

int BackgroundProcess::status() const { return child_ ? child_->status() : -1; }

const std::string& BackgroundProcess::err() const {
  static const std::string nothing;
  return child_ ? child_->err() : nothing;
}

ProcessResult Run(const Command& command) {
  ProcessResult result;
  if (Interrupted()) {
    result.end = ProcessEnd::kInterrupted;
    return result;
  }
  try {
    BackgroundProcess::Child child(command);
    result.end = child.WaitUntil(nullptr);
    if (result.end == ProcessEnd::kStopped) {
      const auto deadline = Clock::now() + command.stop_limit;
      child.WaitUntil([deadline] { return Clock::now() >= deadline; });
      result.status = child.status();
      child.End();
    } else {
      child.End();
      result.status = child.status();
    }
    result.out = std::move(child.out());
    result.err = std::move(child.err());
  } catch (const std::system_error& error) {
    result.error = error.what();
  }
  return result;
}

std::string FindProgram(const std::string& name) {
  if (name.empty()) return {};
  if (name.find('/') != std::string::npos)
    return IsExecutable(name) ? name : "";
  const char* variable = std::getenv("PATH");
  std::string_view path = variable != nullptr ? variable : "/usr/bin:/bin";
  while (true) {
    const std::size_t end = path.find(':');
    const std::string_view folder = path.substr(0, end);
    // An empty element means the working directory.
    std::string candidate = folder.empty() ? "." : std::string(folder);
    candidate += "/" + name;
    if (IsExecutable(candidate)) return candidate;
    if (end == std::string_view::npos) return {};
    path.remove_prefix(end + 1);
  }
}

}  // namespace agentdoctor
