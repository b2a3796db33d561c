#include "here.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <future>
#include <string_view>
#include <utility>
#include <vector>

#include "live_agents.h"
#include "path.h"
#include "probes/git_remotes.h"
#include "probes/local_side.h"
#include "probes/remote_side.h"
#include "system/clock.h"
#include "system/file.h"
#include "system/interrupt.h"
#include "system/process.h"
#include "system/processes.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kOwnLimit{2000};
/// Where this shell's own agent works, the others are only worth knowing, and
/// one that hangs is not waited for.
constexpr Milliseconds kQuickLimit{60};
/// Where it does not, one of them is the way out.
constexpr Milliseconds kOtherLimit{1000};
/// A forwarded agent may be an ocean away.
constexpr Milliseconds kRoundTrip{300};
/// Longer than the deadlines inside the probe.
constexpr Milliseconds kProbeLimit{15000};

bool HasKeys(const Side& side, const std::string& path) {
  const Agent* agent = FindAgent(side, path);
  return agent && agent->state == AgentState::kAnswered &&
         !agent->identities.empty();
}

/// This shell's own agent and the others of this user, all at once.
void AskEveryAgent(Side& side) {
  const std::string own = checks::OwnSocket(side);
  auto answer = std::async(std::launch::async, [&own] {
    Side mine;
    AskAgents(mine, {own}, {}, kOwnLimit);
    return mine;
  });
  const std::vector<std::string> candidates = AgentCandidates();
  Side others;
  AskAgents(others, {}, candidates, kQuickLimit);
  const bool in_time = answer.wait_for(kRoundTrip) == std::future_status::ready;
  if (in_time) side.agents = answer.get().agents;
  if (!in_time || !HasKeys(side, own))
    // Whoever answered already is not asked again.
    AskAgents(others, {}, candidates, kOtherLimit);
  if (!in_time) side.agents = answer.get().agents;
  for (Agent& agent : others.agents)
    if (agent.path != own) side.agents.push_back(std::move(agent));
}

Side RunProbe() {
  const ProbeCommand probe = MakeProbeCommand();
  const ProcessResult shell = Run(
      {.argv = {"/bin/sh", "-c", probe.command}, .total_limit = kProbeLimit});
  const std::size_t begin = shell.out.find(probe.begin_marker);
  const std::size_t end = shell.out.find(probe.end_marker);
  if (begin == std::string::npos || end == std::string::npos || end < begin)
    return UnknownSide(
        shell.end == ProcessEnd::kTimedOut
            ? "the probe came to no end within " +
                  Duration(kProbeLimit.count() / 1000)
            : "the probe could not be run here" +
                  (shell.error.empty() ? std::string() : ": " + shell.error));
  const std::size_t start = begin + probe.begin_marker.size();
  return ParseProbe(shell.out.substr(start, end - start));
}

/// Without the shells of the probe and this process: what is above it is
/// where one sits.
std::vector<Ancestor> AboveUs(std::vector<Ancestor> ancestors) {
  const auto self = std::ranges::find(
      ancestors, static_cast<std::int64_t>(getpid()), &Ancestor::pid);
  if (self != ancestors.end()) ancestors.erase(ancestors.begin(), self + 1);
  return ancestors;
}

bool IsServer(const std::string& name) {
  return name.starts_with("sshd") || name.starts_with("dropbear");
}

/// What the sshd above this shell began the session with, and the sockets it
/// made.  (The probe looks at its parent's environment, which here is ours.)
void LookAtSession(Side& side, const Side& probed) {
  const auto server =
      std::ranges::find_if(side.ancestors, IsServer, &Ancestor::name);
  if (server == side.ancestors.end()) {
    const Unknown unknown{"no sshd is seen above this shell"};
    side.initial_auth_sock = unknown;
    side.connection_sockets = unknown;
    return;
  }
  if (server == side.ancestors.begin())
    side.initial_auth_sock = Unknown{"the login shell has become this program"};
  else
    side.initial_auth_sock = (server - 1)->auth_sock;

  // Up to OpenSSH 10.0 named after a process above us; later ones only the
  // first shell's variable names.
  std::vector<std::string> sockets = probed.connection_sockets.value_or({});
  std::erase_if(sockets, [&side](const std::string& path) {
    const std::string pid = path.substr(path.rfind('.') + 1);
    return !path.starts_with("/tmp/ssh-") ||
           std::ranges::none_of(side.ancestors, [&](const Ancestor& above) {
             return std::to_string(above.pid) == pid;
           });
  });
  if (const auto* initial = side.initial_auth_sock.get();
      initial && *initial && checks::NamedBySshd(**initial) &&
      std::ranges::find(sockets, **initial) == sockets.end())
    sockets.push_back(**initial);
  if (!sockets.empty() || side.initial_auth_sock.known())
    side.connection_sockets = std::move(sockets);
  else
    side.connection_sockets = Unknown{side.initial_auth_sock.reason()};
}

/// What the container engine leaves at the top of a container.
void LookForContainer(Side& side) {
  if (side.session_variables.contains("container")) return;
  if (LookAt("/.dockerenv").kind != PathStatus::Kind::kMissing)
    side.session_variables["container"] = "docker";
  else if (LookAt("/run/.containerenv").kind != PathStatus::Kind::kMissing)
    side.session_variables["container"] = "podman";
}

/// Adds what the probe saw to what was seen without it.
void Merge(Side& side, Side probed) {
  side.startup_lines = std::move(probed.startup_lines);
  side.identity_agent = std::move(probed.identity_agent);
  side.long_lived = std::move(probed.long_lived);
  side.session_variables = std::move(probed.session_variables);
  side.socket_connections = std::move(probed.socket_connections);
  side.ancestors = AboveUs(std::move(probed.ancestors));
  std::vector<std::string> ask;
  for (Agent& agent : probed.agents)
    if (FindAgent(side, agent.path) == nullptr)
      side.agents.push_back(std::move(agent));
  // Where nothing could ask for the shell, this program can.
  for (const auto& [path, why] : probed.agents_not_asked) ask.push_back(path);
  AskAgents(side, ask, {}, kOtherLimit);
  LookAtSession(side, probed);
  LookForContainer(side);
}

Facts Begin() {
  Facts facts;
  facts.here = true;
  facts.collected = std::time(nullptr);
  facts.near = LookAround();
  facts.request.destination =
      facts.near.name.empty() ? "localhost" : facts.near.name;
  // What ssh would take here: there is no destination, so no configuration
  // that names another.
  const auto* own = facts.near.auth_sock.get();
  facts.link.forwarded = AgentChoice{.source = AgentSource::kEnvironment,
                                     .text = "SSH_AUTH_SOCK",
                                     .path = own ? *own : std::nullopt};
  return facts;
}

}  // namespace

Facts CollectHere() {
  const Clock::time_point start = Clock::now();
  auto probe = std::async(std::launch::async, RunProbe);
  auto remotes = std::async(std::launch::async, LookForGitRemotes);
  Facts facts = Begin();
  AskEveryAgent(facts.near);
  Merge(facts.near, probe.get());
  facts.near.git_remotes = remotes.get();
  facts.interrupted = Interrupted();
  facts.duration_ms = MillisecondsSince(start);
  return facts;
}

std::optional<std::string> ChooseAgent() {
  {
    // The ordinary case needs no more than one question.
    Facts facts = Begin();
    const std::string own = checks::OwnSocket(facts.near);
    AskAgents(facts.near, {own}, {}, kOwnLimit);
    if (HasKeys(facts.near, own)) return own;
  }
  const Facts facts = CollectHere();
  const std::vector<const Agent*> agents =
      checks::LiveAgents(facts, checks::OwnSocket(facts.near));
  if (agents.empty()) return std::nullopt;
  return agents.front()->path;
}

checks::Syntax ParentSyntax() {
  const auto parent = LookAtProcess(getppid(), kOtherLimit);
  if (parent.known() && checks::IsShell(parent->name))
    return checks::SyntaxOf(parent->name);
  const char* shell = std::getenv("SHELL");
  return checks::SyntaxOf(shell ? shell : "");
}

}  // namespace agentdoctor
