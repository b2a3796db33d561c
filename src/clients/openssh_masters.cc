#include "clients/openssh_masters.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string_view>

#include "clients/master_process.h"
#include "clients/openssh_command.h"
#include "clients/openssh_messages.h"
#include "system/file.h"
#include "system/socket.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

/// For a short script at another place.
constexpr Milliseconds kThere{2000};

/// The pid in "Master running (pid=6192)".
std::optional<std::int64_t> RunningPid(const std::string& text) {
  const std::size_t at = text.find(kMasterRunning);
  if (at == std::string::npos) return std::nullopt;
  std::int64_t pid = 0;
  const char* const begin = text.data() + at + kMasterRunning.size();
  if (std::from_chars(begin, text.data() + text.size(), pid).ec != std::errc())
    return std::nullopt;
  return pid;
}

/// Whether anybody listens, from connect() alone.
MasterState StateOfConnect(int error) {
  switch (error) {
    case 0:
      return MasterState::kAlive;
    case ECONNREFUSED:
      return MasterState::kStaleSocket;
    case EACCES:
    case EPERM:
      return MasterState::kDenied;
    case ENOENT:
      return MasterState::kNone;
    case ETIMEDOUT:  // its backlog is full: it has stopped accepting
      return MasterState::kUnresponsive;
    default:
      return MasterState::kFailed;
  }
}

void NoteNewerConfig(const std::vector<ConfigFile>& config_files,
                     Master& master) {
  // Both times are whole seconds, and the process's is derived from the boot
  // time: one second apart proves nothing.
  if (const std::int64_t* started = master.started.get())
    for (const ConfigFile& file : config_files)
      if (file.modified > *started + 1) master.newer_config.push_back(file);
}

ProcessResult Check(Place& place, const std::string& ssh,
                    const std::string& path, Milliseconds limit) {
  return place.Run({.argv = MasterCommand(ssh, path, "check"),
                    .environment = {{"SSH_ASKPASS_REQUIRE", "never"}},
                    .total_limit = limit,
                    .output_limit = 1 << 16});
}

/// Reads the answer of a socket that somebody listens on.
void ReadCheck(const ProcessResult& answer, Master& master) {
  // Old releases wait for the hello for ever (before 9.4).
  if (answer.end == ProcessEnd::kTimedOut) {
    master.state = MasterState::kUnresponsive;
  } else if (const auto pid = RunningPid(answer.err + answer.out)) {
    master.state = MasterState::kAlive;
    master.pid = pid;
  } else {
    master.state = MasterState::kFailed;
    master.detail = answer.error.empty() ? ValidUtf8(Trim(answer.err))  //
                                         : answer.error;
  }
}

// ------------------------------------------------------- at another place --

// What the system there says without speaking to sockets or reading /proc.

/// Numbers that a script printed; fewer where it could not say them.
std::vector<std::int64_t> Numbers(std::string_view text, int base) {
  std::vector<std::int64_t> numbers;
  const char* at = text.data();
  const char* const end = text.data() + text.size();
  while (at != end) {
    std::int64_t number = 0;
    const auto [stop, error] = std::from_chars(at, end, number, base);
    if (error == std::errc()) numbers.push_back(number);
    at = stop == at ? at + 1 : stop;
  }
  return numbers;
}

std::string Output(Place& place, const char* script,
                   const std::string& argument, Milliseconds limit) {
  return place
      .Run({.argv = {"sh", "-c", script, "sh", argument}, .total_limit = limit})
      .out;
}

/// "dd-hh:mm:ss" of ps(1) in seconds; nothing if it is none.
std::optional<std::int64_t> Elapsed(const std::string& text) {
  const std::vector<std::int64_t> numbers = Numbers(text, 10);
  if (numbers.size() < 2 || numbers.size() > 4) return std::nullopt;
  constexpr std::array<std::int64_t, 4> kUnits = {1, 60, 3600, 86400};
  std::int64_t seconds = 0;
  for (std::size_t i = 0; i < numbers.size(); ++i)
    seconds += numbers[numbers.size() - 1 - i] * kUnits[i];
  return seconds;
}

void AskProcessThere(Place& place, Master& master, Milliseconds limit) {
  const Unknown unseen{"it is a process of another machine"};
  master.started = unseen;
  master.foreground = unseen;
  master.forwardings = unseen;
  master.command_line = unseen;
  master.attached_clients = unseen;
  if (!master.pid) return;
  const std::vector<std::string> lines =
      SplitLines(Output(place,
                        "ps -o comm= -p \"$1\"; ps -o etime= -p \"$1\";"
                        " ps -o tty= -p \"$1\"; date +%s",
                        std::to_string(*master.pid), limit));
  // The number may be one of another pid namespace.
  constexpr std::size_t kLines = 4;
  if (lines.size() != kLines || lines[0].find("ssh") == std::string::npos)
    return;
  const auto elapsed = Elapsed(lines[1]);
  const std::vector<std::int64_t> now = Numbers(lines[3], 10);
  if (elapsed && now.size() == 1) master.started = now[0] - *elapsed;
  master.foreground = lines[2].find('?') == std::string::npos;
}

Master AskMasterThere(Place& place, const std::string& ssh,
                      const std::string& host, const std::string& path,
                      Milliseconds limit) {
  Master master{.host = host, .path = path};
  const std::string kind = Output(
      place, "[ -S \"$1\" ] && echo S; [ -e \"$1\" ] && echo E", path, limit);
  if (kind.empty()) return master;
  if (!kind.starts_with('S')) {
    master.state = MasterState::kNotASocket;
    return master;
  }
  const std::vector<std::int64_t> status = Numbers(
      Output(place, "stat -c \"%u %Y\" \"$1\" || stat -f \"%u %m\" \"$1\"",
             path, limit),
      10);
  if (status.size() == 2) {
    master.socket_owner = status[0];
    master.socket_modified = status[1];
  }
  const ProcessResult answer = Check(place, ssh, path, limit);
  const auto says = [&answer](int error) {
    return answer.err.find(std::strerror(error)) != std::string::npos;
  };
  ReadCheck(answer, master);
  if (master.state == MasterState::kFailed)
    for (const int error : {ECONNREFUSED, EACCES, EPERM})
      if (says(error)) master.state = StateOfConnect(error);
  AskProcessThere(place, master, limit);
  return master;
}

}  // namespace

Master AskMaster(const std::string& ssh, const std::string& host,
                 const std::string& path,
                 const std::vector<ConfigFile>& config_files,
                 Milliseconds limit, Place& place) {
  Master master{.host = host, .path = path};
  if (path.empty()) return master;
  if (!place.IsHere()) {
    master = AskMasterThere(place, ssh, host, path, limit);
    NoteNewerConfig(config_files, master);
    return master;
  }

  const PathStatus status = LookAt(path);
  if (status.kind == PathStatus::Kind::kMissing) {
    if (status.error == EACCES) {
      master.state = MasterState::kDenied;
      master.detail = std::strerror(status.error);
    }
    return master;
  }
  master.socket_owner = status.owner;
  master.socket_modified = status.modified;
  if (status.kind != PathStatus::Kind::kSocket) {
    master.state = MasterState::kNotASocket;
    return master;
  }

  const Fact<int> clients = CountClients(path, limit);
  // Before ssh is asked: it says the same of a dead socket and a missing one.
  const int error = ConnectUnix(path, limit).error;
  master.state = StateOfConnect(error);
  if (error != 0) master.detail = std::strerror(error);

  if (master.state == MasterState::kAlive)
    ReadCheck(Check(place, ssh, path, limit), master);
  if (master.state == MasterState::kUnresponsive)
    master.pid = FindListener(path, limit);
  if (master.state == MasterState::kAlive ||
      master.state == MasterState::kUnresponsive)
    master.attached_clients = clients;
  if (master.pid) LookAtMasterProcess(master, limit);
  NoteNewerConfig(config_files, master);
  return master;
}

ControlDirectory LookAtControlDirectory(const std::string& control_path,
                                        Place& place) {
  ControlDirectory directory;
  const std::size_t slash = control_path.rfind('/');
  directory.path = slash == std::string::npos ? "."
                   : slash == 0               ? "/"
                                              : control_path.substr(0, slash);
  if (!place.IsHere()) {
    const std::vector<std::string> lines = SplitLines(Output(
        place,
        "[ -d \"$1\" ] && echo D; stat -L -c \"%u\" \"$1\" || stat -L -f "
        "\"%u\" \"$1\"; stat -L -c \"%a\" \"$1\" || stat -L -f \"%Lp\" "
        "\"$1\"",
        directory.path, kThere));
    directory.exists = !lines.empty() && lines[0] == "D";
    constexpr std::size_t kLines = 3;
    if (!directory.exists || lines.size() != kLines) return directory;
    for (const std::int64_t owner : Numbers(lines[1], 10))
      directory.owner = owner;
    constexpr int kOctal = 8;
    for (const std::int64_t mode : Numbers(lines[2], kOctal))
      directory.mode = static_cast<int>(mode);
    return directory;
  }
  const PathStatus status = LookAt(directory.path);
  directory.exists = status.kind == PathStatus::Kind::kDirectory;
  if (directory.exists) {
    directory.owner = status.owner;
    directory.mode = status.mode;
  }
  return directory;
}

int ControlPathLimit() {
  constexpr int kTerminator = 1;
  constexpr int kDotAndRandom = 1 + 16;
  return static_cast<int>(SunPathSize()) - kTerminator - kDotAndRandom;
}

}  // namespace agentdoctor
