#include "clients/putty_sharing.h"

#include <cerrno>
#include <chrono>
#include <cstring>

#include "agent/client.h"
#include "agent/wire.h"
#include "clients/master_process.h"
#include "system/file.h"
#include "system/socket.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

std::string Hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

/// An upstream says its version first.  One that is stopped lets us connect,
/// and says nothing.
IoResult AwaitGreeting(int fd, Milliseconds limit) {
  constexpr std::string_view kGreeting = "SSHCONNECTION@";
  std::string greeting;
  return ReadExactly(fd, kGreeting.size(), greeting,
                     std::chrono::steady_clock::now() + limit);
}

}  // namespace

std::string SharingName(const PuttyTarget& target) {
  constexpr int kSshPort = 22;
  std::string name = target.user + "@" + target.key_host;
  if (target.key_port != kSshPort)
    name += ":" + std::to_string(target.key_port);
  return name;
}

std::string SharingSocket(const std::string& parent, std::string_view salt,
                          const std::string& name) {
  return parent + "/" + Hex(Sha256(WireString(salt) + WireString(name))) +
         "/socket";
}

std::string FindSharingSocket(const PuttyTarget& target) {
  constexpr std::size_t kSaltSize = 64;
  const std::string parent = "/tmp/putty-connshare." + PuttyUserName();
  const auto salt = ReadFile(parent + "/salt");
  if (!salt || salt->size() < kSaltSize) return {};
  return SharingSocket(parent, salt->substr(0, kSaltSize), SharingName(target));
}

Master AskUpstream(const std::string& host, const std::string& socket,
                   const std::vector<ConfigFile>& config_files,
                   const Command& exists, Milliseconds limit) {
  Master master{.host = host, .path = socket};
  const PathStatus status = LookAt(socket);
  if (status.kind != PathStatus::Kind::kSocket) return master;
  master.socket_owner = status.owner;
  master.socket_modified = status.modified;

  const Fact<int> clients = CountClients(socket, limit);
  const Connection connection = ConnectUnix(socket, limit);
  switch (connection.error) {
    case 0:
      break;
    case ECONNREFUSED:
      // The next upstream takes a dead socket's place without a word.
      return master;
    case EACCES:
    case EPERM:
      master.state = MasterState::kDenied;
      master.detail = std::strerror(connection.error);
      return master;
    default:
      master.state = MasterState::kUnresponsive;
      master.detail = std::strerror(connection.error);
  }
  if (connection.error == 0) {
    switch (AwaitGreeting(connection.fd.get(), limit)) {
      case IoResult::kOk:
        master.state = MasterState::kAlive;
        break;
      case IoResult::kTimedOut:
        master.state = MasterState::kUnresponsive;
        break;
      case IoResult::kClosed:
      case IoResult::kError:
        master.state = MasterState::kFailed;
        master.detail = "hangs up without a greeting";
        break;
    }
  }
  if (master.state == MasterState::kAlive) {
    const ProcessResult answer = Run(exists);
    if (answer.end != ProcessEnd::kExited || answer.status != 0) {
      master.state = MasterState::kFailed;
      master.detail = "plink -shareexists does not find it";
    }
  }

  master.attached_clients = clients;
  master.pid = FindListener(socket, limit);
  if (master.pid) LookAtMasterProcess(master, limit);
  // Whole seconds, and the process's is derived from the boot time.
  if (const std::int64_t* started = master.started.get())
    for (const ConfigFile& file : config_files)
      if (file.modified > *started + 1) master.newer_config.push_back(file);
  return master;
}

}  // namespace agentdoctor
