#include "agent/client.h"

#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>
#include <system_error>

#include "agent/wire.h"
#include "system/file.h"
#include "system/socket.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

std::string Words(int error) { return std::generic_category().message(error); }

std::string OwnerName(uid_t uid) {
  std::array<char, 16384> buffer;
  passwd entry;
  passwd* found = nullptr;
  getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_name : std::to_string(uid);
}

std::string Describe(const std::string& path, const struct stat& status) {
  std::string mode = "0000";
  for (std::size_t i = 0; i < 3; ++i)
    mode[3 - i] = static_cast<char>('0' + ((status.st_mode >> (3 * i)) & 7));
  return path + " (owner " + OwnerName(status.st_uid) + ", mode " + mode + ")";
}

// The first element of \a path that we may not pass, or may not write to if it
// is the last one, as connect() wants (unix(7)); empty if there is none.
std::string DeniedBy(const std::string& path, int links_left = 40) {
  std::string reached = path.starts_with('/') ? "/" : "./";
  std::size_t at = 0;
  while (true) {
    at = path.find_first_not_of('/', at);
    if (at == std::string::npos) return {};
    const std::size_t end = std::min(path.find('/', at), path.size());
    const bool last = path.find_first_not_of('/', end) == std::string::npos;
    const std::string here = reached + path.substr(at, end - at);
    struct stat status;
    if (lstat(here.c_str(), &status) != 0) return {};
    if (S_ISLNK(status.st_mode)) {
      const std::string target = LookAt(here).link_target;
      if (links_left == 0 || target.empty()) return {};
      return DeniedBy((target.starts_with('/') ? target : reached + target) +
                          path.substr(end),
                      links_left - 1);
    }
    if (faccessat(AT_FDCWD, here.c_str(), last ? W_OK : X_OK, AT_EACCESS) != 0)
      return Describe(here, status);
    if (last) return {};
    reached = here + "/";
    at = end;
  }
}

// What stands at the path, without touching the agent: sets owner, mode and
// links, and returns false (with the state) where nobody can be asked.
bool Inspect(Agent& agent) {
  agent.product = SocketProduct(agent.path);
  agent.other_host = MadeOnAnotherHost(agent.path);
  if (agent.path.size() >= SunPathSize()) {
    agent.state = AgentState::kPathTooLong;
    agent.detail = std::to_string(agent.path.size()) +
                   " bytes, where a socket's path has at most " +
                   std::to_string(SunPathSize() - 1);
    return false;
  }
  const PathStatus found = LookAt(agent.path);
  agent.link_target = found.link_target;
  if (found.error != 0) {
    const bool denied = found.error == EACCES || found.error == EPERM;
    agent.state = denied ? AgentState::kDenied : AgentState::kMissing;
    agent.detail = Words(found.error);
    if (denied) agent.denied_by = DeniedBy(agent.path);
    return false;
  }
  agent.owner = found.owner;
  agent.mode = found.mode;
  if (agent.product.empty() && !found.link_target.empty()) {
    const std::unique_ptr<char, void (*)(void*)> real(
        realpath(agent.path.c_str(), nullptr), std::free);
    if (real) agent.product = SocketProduct(real.get());
  }
  // Linux says ECONNREFUSED for a file too.
  if (found.kind == PathStatus::Kind::kSocket) return true;
  agent.state = AgentState::kNotASocket;
  agent.detail = found.kind == PathStatus::Kind::kFile        ? "a file"
                 : found.kind == PathStatus::Kind::kDirectory ? "a folder"
                                                              : "a device";
  return false;
}

// Connects to an inspected agent; sets the state where that fails.
Fd Connect(Agent& agent, Milliseconds limit) {
  Connection connection = ConnectUnix(agent.path, limit);
  if (connection.error == 0) return std::move(connection.fd);
  agent.detail = Words(connection.error);
  switch (connection.error) {
    case ECONNREFUSED:
      agent.state = AgentState::kRefused;
      break;
    case EACCES:
    case EPERM:
      agent.state = AgentState::kDenied;
      agent.denied_by = DeniedBy(agent.path);
      if (agent.denied_by.empty())
        agent.detail += " (owner and mode allow it; SELinux or AppArmor?)";
      break;
    case ETIMEDOUT:
      agent.state = AgentState::kSilent;
      agent.detail = "does not accept connections";
      break;
    case EINTR:
      agent.state = AgentState::kSilent;
      agent.detail = "interrupted";
      break;
    case ENOTSOCK:
    case EPROTOTYPE:
      agent.state = AgentState::kNotASocket;
      break;
    default:
      agent.state = AgentState::kMissing;
  }
  return {};
}

/// An answer to one message: its body, or why there is none.
struct Reply {
  IoResult result = IoResult::kOk;
  std::string bytes = {};  ///< the frame, as far as it came
};

IoResult Send(const Fd& fd, std::string_view body, Clock::time_point deadline) {
  return WriteAll(fd.get(), WireString(body), deadline);
}

Reply Receive(const Fd& fd, Clock::time_point deadline) {
  Reply reply;
  reply.result = ReadExactly(fd.get(), 4, reply.bytes, deadline);
  if (reply.result != IoResult::kOk) return reply;
  const std::uint32_t size = WireReader(reply.bytes).Uint32();
  if (size > kMaxAgentMessage) return reply;
  std::string body;
  reply.result = ReadExactly(fd.get(), size, body, deadline);
  reply.bytes += body;
  return reply;
}

bool IsFailure(unsigned char type) {
  return type == kAgentFailure || type == kSsh2AgentFailure ||
         type == kSshComAgentFailure;
}

ExtensionAnswer Judge(const Reply& reply) {
  if (reply.result == IoResult::kTimedOut) return ExtensionAnswer::kSilent;
  if (reply.result == IoResult::kError) return ExtensionAnswer::kNotAsked;
  if (reply.result == IoResult::kClosed)
    return reply.bytes.empty() ? ExtensionAnswer::kClosed
                               : ExtensionAnswer::kMalformed;
  if (reply.bytes.size() < 5) return ExtensionAnswer::kMalformed;
  const auto type = static_cast<unsigned char>(reply.bytes[4]);
  if (type == kAgentSuccess || type == kExtensionResponse)
    return ExtensionAnswer::kSuccess;
  if (type == kExtensionFailure) return ExtensionAnswer::kExtensionFailure;
  return IsFailure(type) ? ExtensionAnswer::kFailure
                         : ExtensionAnswer::kMalformed;
}

/// An extension request on its way, on a connection of its own: an agent that
/// does not know it may hang up.
class ExtensionRequest {
 public:
  ExtensionRequest(const std::string& path, std::string_view name,
                   Milliseconds limit)
      : deadline_(Clock::now() + limit) {
    Connection connection = ConnectUnix(path, limit);
    if (connection.error == 0) {
      fd_ = std::move(connection.fd);
      const std::string body = static_cast<char>(kExtension) + WireString(name);
      failure_.result = Send(fd_, body, deadline_);
    } else if (connection.error == ETIMEDOUT) {
      failure_.result = IoResult::kTimedOut;
    } else {
      failure_.result =
          connection.error == EINTR ? IoResult::kError : IoResult::kClosed;
    }
  }

  /// Waits for the answer and closes the connection.
  ExtensionAnswer Take() {
    const ExtensionAnswer answer = Judge(
        failure_.result == IoResult::kOk ? Receive(fd_, deadline_) : failure_);
    fd_ = Fd();
    return answer;
  }

 private:
  Clock::time_point deadline_;
  Fd fd_;
  Reply failure_;
};

void AskExtensions(Agent& agent, Milliseconds limit) {
  // Both are sent before an answer is awaited, so that an agent that hangs on
  // extensions costs one deadline and not two.
  ExtensionRequest query(agent.path, "query", limit);
  // Without its fields on purpose: no agent can take it for a real binding.
  ExtensionRequest session_bind(agent.path, kSessionBind, limit);
  agent.query = query.Take();
  agent.session_bind = session_bind.Take();
}

}  // namespace

void ReadListAnswer(std::string_view bytes, Agent& agent) {
  if (bytes.empty()) {
    agent.state = AgentState::kDropped;
    agent.detail = "hung up without an answer";
    return;
  }
  agent.state = AgentState::kMalformed;
  try {
    WireReader reader(bytes);
    const std::uint32_t size = reader.Uint32();
    if (size == 0 || size > kMaxAgentMessage) {
      agent.detail =
          "announces a message of " + std::to_string(size) + " bytes";
      return;
    }
    WireReader message(reader.Bytes(size));
    const unsigned char type = message.Byte();
    if (IsFailure(type)) {
      agent.state = AgentState::kListRefused;
      agent.detail = "refused to list its identities";
    } else if (type != kIdentitiesAnswer) {
      agent.detail = "answers with a message of type " + std::to_string(type);
    } else {
      std::string error;
      agent.identities = ParseIdentities(message.rest(), error);
      agent.detail = error;
      if (error.empty()) agent.state = AgentState::kAnswered;
    }
  } catch (const std::runtime_error&) {
    agent.detail = "the answer ends too early";
  }
}

AgentState TryAgent(const std::string& path, Milliseconds deadline) {
  Agent agent;
  agent.path = path;
  if (Inspect(agent) && Connect(agent, deadline))
    agent.state = AgentState::kAnswered;
  return agent.state;
}

Agent AskAgent(const std::string& path, Milliseconds deadline,
               bool with_extensions) {
  Agent agent;
  agent.path = path;
  agent.asked_with = "agent protocol";
  if (!Inspect(agent)) return agent;

  const auto until = Clock::now() + deadline;
  Fd fd = Connect(agent, deadline);
  if (!fd) return agent;
  Reply reply;
  reply.result =
      Send(fd, {reinterpret_cast<const char*>(&kRequestIdentities), 1}, until);
  if (reply.result == IoResult::kOk) reply = Receive(fd, until);
  const int error = errno;  // means something with kError only
  fd = Fd();                // some agents serve one connection at a time
  switch (reply.result) {
    case IoResult::kOk:
    case IoResult::kClosed:
      ReadListAnswer(reply.bytes, agent);
      break;
    case IoResult::kTimedOut:
      agent.state = AgentState::kSilent;
      agent.detail =
          "no answer within " + std::to_string(deadline.count()) + " ms";
      break;
    case IoResult::kError:
      agent.state = AgentState::kSilent;
      agent.detail = Words(error);
      break;
  }
  if (with_extensions && agent.state == AgentState::kAnswered)
    AskExtensions(agent, deadline);
  return agent;
}

}  // namespace agentdoctor
