#include "path.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "agentdoctor/check.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

const Agent* Chosen(const Facts& facts, const Fact<AgentChoice>& choice) {
  const AgentChoice* known = choice.get();
  if (!known || !known->path) return nullptr;
  return FindAgent(facts.near, *known->path);
}

bool Contains(const std::vector<std::string>& paths, const std::string& path) {
  return std::ranges::find(paths, path) != paths.end();
}

bool HoldsKey(const Agent& agent, const std::string& fingerprint) {
  return std::ranges::any_of(agent.identities,
                             [&fingerprint](const Identity& identity) {
                               return identity.fingerprint == fingerprint;
                             });
}

bool HoldsKeysOf(const Agent& agent, const Agent& other) {
  const auto keys = Fingerprints(agent);
  const auto others = Fingerprints(other);
  return !keys.empty() && std::ranges::includes(others, keys);
}

/// The server's end of an SSH_CONNECTION: "CLIENT PORT SERVER PORT".
struct ServerAddress {
  std::string host = {};
  std::string port = {};
  bool operator==(const ServerAddress&) const = default;
};

ServerAddress ServerEnd(const Side& side) {
  const std::string* connection = side.ssh_connection.get();
  if (!connection) return {};
  const std::vector<std::string> words = Words(*connection);
  // "unknown 0 unknown 0" are the words of a server that was not told (TinySSH
  // behind a listener of another kind).
  if (words.size() != 4 || words[3] == "0") return {};
  return {words[2], words[3]};
}

/// ControlPath, as written in a file, has neither \a token nor %C.
bool LacksToken(const Facts& facts, const char* token) {
  const Sharing* sharing = facts.link.sharing.get();
  if (!sharing || !sharing->line || sharing->control_template.empty())
    return false;
  return sharing->control_template.find("%C") == std::string::npos &&
         sharing->control_template.find(token) == std::string::npos;
}

}  // namespace

// Sockets as sshd names them: /tmp/ssh-XXXXXXXXXX/agent.PID up to 10.0 (ten
// random characters; ssh-agent has twelve), ~/.ssh/agent/s.HASH.sshd.RANDOM
// since 10.1, dropbear's, and a Teleport node's
// (/tmp/teleport-RANDOM/teleport-PID.socket).
bool NamedBySshd(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos || slash == 0) return false;
  const std::string_view name = path.substr(slash + 1);
  const std::string_view rest = path.substr(0, slash);
  const std::string_view folder = rest.substr(rest.rfind('/') + 1);
  if (folder.starts_with("ssh-") && folder.size() == 14)
    return name.starts_with("agent.");
  if (folder.starts_with("dropbear-")) return name.starts_with("auth-");
  if (folder.starts_with("teleport-"))
    return name.starts_with("teleport-") && name.ends_with(".socket");
  return name.starts_with("s.") &&
         name.find(".sshd.") != std::string_view::npos;
}

std::optional<bool> AsksForForwarding(const Facts& facts) {
  const ClientConfig* config = facts.link.config.get();
  if (config)
    if (const bool* flag = config->forward_agent.get()) return *flag;
  const Session* session = facts.link.session.get();
  if (!session || ThroughMaster(facts) || ForwardsCanary(facts))
    return std::nullopt;
  const bool* requested = session->transcript.forwarding_requested.get();
  if (!requested) return std::nullopt;
  if (*requested) return true;
  if (session->transcript.disabled_by_host_key) return std::nullopt;
  // ssh silently turns the flag off where the primary agent can't be reached.
  const Agent* primary = PrimaryAgent(facts);
  if (primary && primary->state == AgentState::kAnswered) return false;
  return std::nullopt;
}

const Agent* ForwardedAgent(const Facts& facts) {
  return Chosen(facts, facts.link.forwarded);
}

bool ForwardsCanary(const Facts& facts) {
  const Session* session = facts.link.session.get();
  return HasLink(facts) && session && !session->canary.empty();
}

bool WouldForward(const Facts& facts) {
  const Agent* agent = ForwardedAgent(facts);
  return AsksForForwarding(facts) == true && agent &&
         agent->state == AgentState::kAnswered && !agent->identities.empty();
}

const Agent* PrimaryAgent(const Facts& facts) {
  return Chosen(facts, facts.link.primary);
}

bool CanConnect(const Agent* agent) {
  if (!agent) return false;
  switch (agent->state) {
    case AgentState::kAnswered:
    case AgentState::kDropped:
    case AgentState::kSilent:
    case AgentState::kMalformed:
    case AgentState::kListRefused:
      return true;
    case AgentState::kMissing:
    case AgentState::kRefused:
    case AgentState::kDenied:
    case AgentState::kNotASocket:
    case AgentState::kPathTooLong:
      return false;
  }
  return false;
}

std::string LocalCause(const Facts& facts) {
  if (const ClientConfig* config = facts.link.config.get())
    if (const bool* flag = config->forward_agent.get(); flag && !*flag)
      return "the configuration does not ask for forwarding";
  const AgentChoice* forwarded = facts.link.forwarded.get();
  if (forwarded && forwarded->source == AgentSource::kTeleport) return {};
  if (forwarded && !forwarded->path) return "no agent is there to be forwarded";
  const Agent* agent = ForwardedAgent(facts);
  if (agent && agent->state != AgentState::kAnswered)
    return "the agent at " + agent->path + " does not answer";
  if (agent && agent->session_bind == ExtensionAnswer::kClosed &&
      !IsPutty(facts) && !IsTsh(facts))
    return "the agent at " + agent->path + " drops ssh's connections";
  const AgentChoice* primary = facts.link.primary.get();
  if (primary && !primary->path) return "ssh has no agent to log in with";
  const Agent* login = PrimaryAgent(facts);
  if (login && (!CanConnect(login) || login->state == AgentState::kSilent))
    return "the agent at " + login->path + ", which ssh logs in with, does " +
           "not answer";
  return {};
}

bool ThroughMaster(const Facts& facts) {
  const Session* session = facts.link.session.get();
  if (!session) return false;
  const Transcript& transcript = session->transcript;
  if (const bool* through = transcript.through_master.get(); through)
    if (*through || session->end != SessionEnd::kTimedOut) return *through;
  const Sharing* sharing = facts.link.sharing.get();
  return sharing && sharing->master.state == MasterState::kAlive &&
         session->end == SessionEnd::kTimedOut && transcript.fallback.empty() &&
         transcript.server_version.empty() && !transcript.authenticated;
}

const Session& ProbedSession(const Facts& facts) {
  const Session& session = *facts.link.session;
  switch (session.end) {
    case SessionEnd::kProbed:
      return session;
    case SessionEnd::kNoProbe:
      throw FactUnknown("something else answered instead of the probe");
    case SessionEnd::kCutOff:
      throw FactUnknown("the session was cut off: it sent too much");
    case SessionEnd::kTimedOut:
      throw FactUnknown("the session came to no end within the deadline");
    case SessionEnd::kFailed:
      throw FactUnknown("no session came about");  // connection says why
    case SessionEnd::kInterrupted:
      throw FactUnknown("interrupted");
  }
  throw FactUnknown("no session");
}

const Side& JudgedSide(const Facts& facts) {
  return facts.here ? facts.near : facts.far;
}

const Side& ProbedSide(const Facts& facts) {
  if (HasLink(facts)) ProbedSession(facts);
  return JudgedSide(facts);
}

bool HoldsForwardedKeys(const Facts& facts, const Agent& agent) {
  if (ForwardsCanary(facts)) return HoldsKey(agent, facts.link.session->canary);
  const Agent* near = HasLink(facts) ? ForwardedAgent(facts) : nullptr;
  return near && HoldsKeysOf(agent, *near);
}

HandedOver LookAtHandedOver(const Facts& facts) {
  const Side& side = JudgedSide(facts);
  HandedOver result;
  if (const auto* sockets = side.connection_sockets.get()) {
    result.sockets = *sockets;
    if (!sockets->empty()) return {true, *sockets, true};
  }
  const auto named = [&](const std::string& path) {
    if (NamedBySshd(path)) return true;
    const Agent* agent = FindAgent(side, path);
    return agent && HoldsForwardedKeys(facts, *agent);
  };
  if (const auto* initial = side.initial_auth_sock.get()) {
    if (!*initial || (*initial)->empty()) return {false, {}, true};
    // AcceptEnv let the near side's own value through: a grant would have
    // overwritten it (session.c, do_setup_env).
    const auto* here = HasLink(facts) ? facts.near.auth_sock.get() : nullptr;
    if (here && *here == *initial && side.connection_sockets.known())
      return {false, {}, true};
    if (named(**initial)) return {true, {**initial}, true};
    // Another hand's value: PAM, SetEnv, ~/.ssh/environment, AcceptEnv.
    if (side.connection_sockets.known()) return {false, {}, true};
    return {};
  }
  const auto* shell = side.auth_sock.get();
  if (!shell) return {};
  if (*shell && !(*shell)->empty()) {
    if (named(**shell)) return {true, {**shell}, true};
    if (side.connection_sockets.known()) return {false, {}, false};
    return {};
  }
  return {false, {}, side.connection_sockets.known()};
}

std::string WhyNotAsked(const Facts& facts, const std::string& path) {
  const auto& not_asked = JudgedSide(facts).agents_not_asked;
  const auto known = not_asked.find(path);
  return "the agent at " + path + " could not be asked" +
         (known == not_asked.end() ? std::string() : ": " + known->second);
}

const Agent* HandedOverAgent(const Facts& facts) {
  const Agent* first = nullptr;
  for (const std::string& path : LookAtHandedOver(facts).sockets) {
    const Agent* agent = FindAgent(JudgedSide(facts), path);
    if (agent && agent->state == AgentState::kAnswered) return agent;
    if (!first) first = agent;
  }
  return first;
}

std::optional<bool> IsForwardedAgent(const Facts& facts, const Agent& agent) {
  const HandedOver handed = LookAtHandedOver(facts);
  if (handed.made == false) return false;
  if (Contains(handed.sockets, agent.path) ||
      Contains(handed.sockets, agent.link_target))
    return true;
  if (ForwardsCanary(facts) && agent.state == AgentState::kAnswered)
    return HoldsKey(agent, facts.link.session->canary);
  const Agent* forwarded = HandedOverAgent(facts);
  if (!forwarded || forwarded->state != AgentState::kAnswered)
    forwarded = HasLink(facts) ? ForwardedAgent(facts) : nullptr;
  if (!forwarded || forwarded->state != AgentState::kAnswered ||
      (forwarded->identities.empty() && agent.identities.empty()))
    return std::nullopt;
  return HoldsKeysOf(agent, *forwarded);
}

bool ReplacesForwardedAgent(const Facts& facts, const std::string& option) {
  if (option.empty() || option == "SSH_AUTH_SOCK" || option == "$SSH_AUTH_SOCK")
    return false;
  const auto* auth_sock = JudgedSide(facts).auth_sock.get();
  if (auth_sock && *auth_sock == option) return false;
  const Agent* agent = FindAgent(JudgedSide(facts), option);
  return !agent || agent->state != AgentState::kAnswered ||
         IsForwardedAgent(facts, *agent) == false;
}

bool ForwardingWorks(const Facts& facts) {
  const Session* session = facts.link.session.get();
  if (HasLink(facts) && (!session || session->end != SessionEnd::kProbed))
    return false;
  const Side& side = JudgedSide(facts);
  const auto* socket = side.auth_sock.get();
  if (!socket || !*socket) return false;
  const Agent* agent = FindAgent(side, **socket);
  if (!agent || agent->state != AgentState::kAnswered) return false;
  return HasLink(facts) ? IsForwardedAgent(facts, *agent) == true
                        : !agent->identities.empty();
}

std::optional<bool> SameMachine(const Facts& facts) {
  const Control* control = facts.link.control.get();
  const Side* far = control ? control->far.get() : nullptr;
  if (!far) return std::nullopt;
  const bool booted = far->boot_id.known() && facts.far.boot_id.known();
  if (booted && *far->boot_id != *facts.far.boot_id) return false;
  // Containers have the boot id of their machine, and a name each.
  if (!far->name.empty() && !facts.far.name.empty() &&
      far->name != facts.far.name)
    return false;
  if (!booted) return std::nullopt;
  if (!far->uid.known() || !facts.far.uid.known()) return std::nullopt;
  return *far->uid == *facts.far.uid;
}

bool ControlPathLacksHost(const Facts& facts) {
  const Sharing* sharing = facts.link.sharing.get();
  if (!sharing || sharing->control_path.empty() || !sharing->line) return false;
  for (const char* token : {"%C", "%h", "%n", "%k"})
    if (sharing->control_template.find(token) != std::string::npos)
      return false;
  // "Host gitlab-runner" with a path of its own is unique by its scope.
  return !sharing->control_template.empty() &&
         !NamesOneHost(sharing->line->scope);
}

bool MasterMayServeAnother(const Facts& facts) {
  if (!ThroughMaster(facts)) return false;
  if (ControlPathLacksHost(facts)) return true;
  // Behind a port that is forwarded the numbers differ without any harm, so
  // this is a question and no answer yet.
  const ClientConfig* config = facts.link.config.get();
  const std::string port = config ? FirstValue(*config, "port") : "";
  const std::string arrived = ServerEnd(facts.far).port;
  return LacksToken(facts, "%p") && !port.empty() && !arrived.empty() &&
         port != arrived;
}

std::string LeadsElsewhere(const Facts& facts) {
  const Control* control = facts.link.control.get();
  const Side* fresh = control ? control->far.get() : nullptr;
  if (!fresh || !ThroughMaster(facts)) return {};
  const ServerAddress mine = ServerEnd(facts.far);
  const ServerAddress theirs = ServerEnd(*fresh);
  const bool known = !mine.port.empty() && !theirs.port.empty();
  const std::string arrivals = "the session arrived at " + mine.host +
                               " port " + mine.port + ", a fresh login at " +
                               theirs.host + " port " + theirs.port;
  if (ControlPathLacksHost(facts)) {
    if (SameMachine(facts) == false)
      return "the session and a fresh login reached different machines or "
             "users";
    if (known && mine != theirs) return arrivals;
    return {};
  }
  if (LacksToken(facts, "%p") && known && mine.port != theirs.port)
    return arrivals;
  const std::int64_t* uid = facts.far.uid.get();
  const std::int64_t* other = fresh->uid.get();
  if (LacksToken(facts, "%r") && uid && other && *uid != *other)
    return "the session is logged in as user " + std::to_string(*uid) +
           ", a fresh login as " + std::to_string(*other);
  return {};
}

const Master* FrozenJumpMaster(const Facts& facts) {
  const Sharing* sharing = facts.link.sharing.get();
  if (!sharing) return nullptr;
  const auto frozen = std::ranges::find(
      sharing->jump_masters, MasterState::kUnresponsive, &Master::state);
  return frozen == sharing->jump_masters.end() ? nullptr : &*frozen;
}

}  // namespace agentdoctor::checks
