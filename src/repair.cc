#include "repair.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>

#include "agent/client.h"
#include "clients/openssh_command.h"
#include "clients/openssh_masters.h"
#include "system/file.h"
#include "system/process.h"
#include "system/socket.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr Milliseconds kLimit{2000};

struct Outcome {
  bool applied = false;
  std::string detail = {};
};

/// `ssh -O stop` or `-O exit`, in the form that can never open a connection,
/// to the master that was examined and no other.
Outcome TellMaster(const Facts& facts, const std::string& socket,
                   const std::string& command) {
  const Sharing& sharing = *facts.link.sharing;
  const Master now = AskMaster(facts.request.ssh, sharing.master.host, socket,
                               /*config_files=*/{}, kLimit);
  if (now.state != MasterState::kAlive || now.pid != sharing.master.pid)
    return {false, "the master at " + socket + " is not the one examined"};
  const ProcessResult ssh =
      Run({.argv = MasterCommand(facts.request.ssh, socket, command),
           .total_limit = kLimit});
  std::string words(Trim(ssh.err.empty() ? ssh.out : ssh.err));
  if (ssh.end == ProcessEnd::kExited && ssh.status == 0)
    return {true, std::move(words)};
  if (ssh.end == ProcessEnd::kTimedOut)
    words = "no answer within " + Duration(kLimit.count() / 1000);
  return {false, words.empty() ? ssh.error : words};
}

/// Removes a control socket nobody listens on.  Between the refused connect
/// and unlink() a new master may take its place, so the file has to be the
/// same one before and after.
Outcome RemoveSocket(const std::string& path) {
  struct stat before = {};
  if (lstat(path.c_str(), &before) != 0) return {false, std::strerror(errno)};
  if (!S_ISSOCK(before.st_mode)) return {false, path + " is not a socket"};
  if (before.st_uid != geteuid())
    return {false, path + " belongs to another user"};
  const Connection connection = ConnectUnix(path, kLimit);
  if (connection.error != ECONNREFUSED)
    return {false, connection.fd ? "somebody listens on it again"
                                 : std::strerror(connection.error)};
  struct stat after = {};
  // A new file may get the number of the one that was removed.
  if (lstat(path.c_str(), &after) != 0 || after.st_ino != before.st_ino ||
      after.st_dev != before.st_dev || after.st_ctime != before.st_ctime)
    return {false, path + " was replaced in the meantime"};
  if (unlink(path.c_str()) != 0) return {false, std::strerror(errno)};
  return {true, "removed " + path};
}

/// Creates the folder and the missing ones above it, all 0700.
Outcome MakeDirectory(const std::string& path) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST)
      return {false, part + ": " + std::strerror(errno)};
    if (end == std::string::npos) break;
  }
  const PathStatus status = LookAt(path);
  if (status.kind != PathStatus::Kind::kDirectory)
    return {false, path + " is not a folder"};
  return {true, "created " + path};
}

/// A tmux server's socket or a screen's name that is this user's own.
bool IsOurs(const std::vector<std::string>& command) {
  if (command.size() < 3) return false;
  if (command[0] == "screen") return command[2].find('/') == std::string::npos;
  return command[0] == "tmux" && LookAt(command[2]).owner == geteuid();
}

/// Tells tmux and screen of an agent, if it still answers.
Outcome SetEnvironment(const Fix& fix) {
  if (TryAgent(fix.target, kLimit) != AgentState::kAnswered)
    return {false, "the agent at " + fix.target + " does not answer any more"};
  std::string failures;
  for (const std::vector<std::string>& command : fix.commands) {
    if (!IsOurs(command)) return {false, "it belongs to another user"};
    // screen takes such characters for its own (screen(1), CUSTOMIZING).
    if (command[0] == "screen" &&
        fix.target.find_first_of("$\\\"'^#") != std::string::npos)
      return {false, "screen would not take " + fix.target + " as it is"};
    const ProcessResult result = Run({.argv = command, .total_limit = kLimit});
    if (result.end == ProcessEnd::kExited && result.status == 0) continue;
    std::string words(Trim(result.err.empty() ? result.out : result.err));
    if (result.end == ProcessEnd::kTimedOut)
      words = "no answer within " + Duration(kLimit.count() / 1000);
    failures += (failures.empty() ? "" : "; ") + ShellQuote(command) + ": " +
                (words.empty() ? result.error : words);
  }
  if (!failures.empty()) return {false, failures};
  return {true, fix.commands.front().front() == "screen"
                    ? "for windows that are opened from now on; only one of "
                      "these shows it"
                    : "for what is opened from now on"};
}

Outcome Apply(const Facts& facts, const Fix& fix) {
  switch (fix.action) {
    case Action::kStopMaster:
      return TellMaster(facts, fix.target, "stop");
    case Action::kExitMaster:
      return TellMaster(facts, fix.target, "exit");
    case Action::kRemoveSocket:
      return RemoveSocket(fix.target);
    case Action::kMakeDirectory:
      return MakeDirectory(fix.target);
    case Action::kSetEnvironment:
      return SetEnvironment(fix);
    case Action::kNone:
      break;
  }
  return {false, "nothing to do"};
}

bool Permitted(const Fix& fix, const RepairOptions& options) {
  if (fix.action == Action::kNone) return false;
  if (options.force) return fix.safety != Safety::kManual;
  return fix.safety == Safety::kSafe && fix.action != Action::kExitMaster;
}

/// The best permitted fix of a finding, null if there is none.  Whoever forces
/// it wants the master gone, not only out of the way of new connections.
const Fix* Choose(const Finding& finding, const RepairOptions& options) {
  const Fix* chosen = nullptr;
  for (const Fix& fix : finding.fixes)
    if (Permitted(fix, options) &&
        (chosen == nullptr || fix.action == Action::kExitMaster))
      chosen = &fix;
  return chosen;
}

}  // namespace

std::vector<RepairRecord> Repair(const Facts& facts, const HostReport& report,
                                 const RepairOptions& options) {
  std::vector<RepairRecord> records;
  for (const ReportedFinding& reported : report.findings) {
    // A consequence heals by itself.
    if (!reported.consequence_of.empty()) continue;
    const Fix* fix = Choose(reported.finding, options);
    if (fix == nullptr) continue;
    RepairRecord record{.code = reported.finding.code, .title = fix->title};
    for (const auto& command : fix->commands)
      record.commands.push_back(ShellQuote(command));
    if (options.dry_run) {
      record.status = RepairStatus::kPlanned;
    } else {
      Outcome outcome = Apply(facts, *fix);
      record.status =
          outcome.applied ? RepairStatus::kApplied : RepairStatus::kFailed;
      record.detail = std::move(outcome.detail);
    }
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace agentdoctor
