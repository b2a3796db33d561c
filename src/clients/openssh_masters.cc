#include "clients/openssh_masters.h"

#include <cerrno>
#include <charconv>
#include <cstring>

#include "clients/master_process.h"
#include "clients/openssh_command.h"
#include "system/file.h"
#include "system/socket.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

/// The pid in "Master running (pid=6192)".
std::optional<std::int64_t> RunningPid(const std::string& text) {
  constexpr std::string_view kRunning = "Master running (pid=";
  const std::size_t at = text.find(kRunning);
  if (at == std::string::npos) return std::nullopt;
  std::int64_t pid = 0;
  const char* const begin = text.data() + at + kRunning.size();
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

void AskProcess(Master& master, const std::vector<ConfigFile>& config_files,
                Milliseconds limit) {
  MasterProcess process = LookAtMasterProcess(*master.pid, master.path, limit);
  master.started = std::move(process.started);
  master.forwardings = std::move(process.forwardings);
  master.command_line = std::move(process.command_line);
  master.foreground = std::move(process.foreground);
  // Both times are whole seconds, and the process's is derived from the boot
  // time: one second apart proves nothing.
  if (const std::int64_t* started = master.started.get())
    for (const ConfigFile& file : config_files)
      if (file.modified > *started + 1) master.newer_config.push_back(file);
}

}  // namespace

Master AskMaster(const std::string& ssh, const std::string& host,
                 const std::string& path,
                 const std::vector<ConfigFile>& config_files,
                 Milliseconds limit) {
  Master master{.host = host, .path = path};
  if (path.empty()) return master;

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

  const Fact<int> clients = CountClients(path);
  // Before ssh is asked: it says the same of a dead socket and a missing one.
  const int error = ConnectUnix(path, limit).error;
  master.state = StateOfConnect(error);
  if (error != 0) master.detail = std::strerror(error);

  if (master.state == MasterState::kAlive) {
    const ProcessResult answer =
        Run({.argv = MasterCommand(ssh, path, "check"),
             .environment = {{"SSH_ASKPASS_REQUIRE", "never"}},
             .total_limit = limit,
             .output_limit = 1 << 16});
    // Old releases wait for the hello for ever (before 9.4).
    if (answer.end == ProcessEnd::kTimedOut) {
      master.state = MasterState::kUnresponsive;
    } else if (const auto pid = RunningPid(answer.err + answer.out)) {
      master.pid = pid;
    } else {
      master.state = MasterState::kFailed;
      master.detail = answer.end == ProcessEnd::kNotStarted
                          ? answer.error
                          : ValidUtf8(Trim(answer.err));
    }
  }
  if (master.state == MasterState::kUnresponsive)
    master.pid = FindListener(path);
  if (master.state == MasterState::kAlive ||
      master.state == MasterState::kUnresponsive)
    master.attached_clients = clients;
  if (master.pid) AskProcess(master, config_files, limit);
  return master;
}

ControlDirectory LookAtControlDirectory(const std::string& control_path) {
  ControlDirectory directory;
  const std::size_t slash = control_path.rfind('/');
  directory.path = slash == std::string::npos ? "."
                   : slash == 0               ? "/"
                                              : control_path.substr(0, slash);
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
