#include "collect.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <future>
#include <string>
#include <vector>

#include "clients/openssh_next_hop.h"
#include "probes/local_side.h"
#include "probes/next_hop.h"
#include "probes/place_side.h"
#include "probes/remote_side.h"
#include "system/clock.h"
#include "system/interrupt.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

void Resolve(Facts& facts, Client& client, const Stopover* from,
             NearSide* shared) {
  // Looking around may wait for an agent that a file names, `ssh -G` for a
  // Match exec; neither needs the other.
  auto near =
      from ? std::async(std::launch::deferred, [from] { return from->side; })
      : shared ? std::async(std::launch::deferred,
                            [shared] { return shared->LookAround(); })
               : std::async(std::launch::async, [] { return LookAround(); });
  Resolution resolution = client.Resolve(facts.request);
  facts.link.version = std::move(resolution.version);
  facts.link.config = std::move(resolution.config);
  facts.link.forwarded = std::move(resolution.forwarded);
  facts.link.primary = std::move(resolution.primary);
  facts.near = near.get();
}

/// The agents that count, each once: forwarded, used to log in, and the one of
/// the environment.
std::vector<std::string> AgentsThatCount(const Facts& facts) {
  std::vector<std::string> paths;
  const auto add = [&paths](const std::optional<std::string>& path) {
    if (path && !path->empty() &&
        std::ranges::find(paths, *path) == paths.end())
      paths.push_back(*path);
  };
  if (const AgentChoice* forwarded = facts.link.forwarded.get())
    add(forwarded->path);
  if (const AgentChoice* primary = facts.link.primary.get()) add(primary->path);
  if (const auto* auth_sock = facts.near.auth_sock.get()) add(*auth_sock);
  return paths;
}

void LookAtNearSide(Facts& facts, Client& client, const RunOptions& options,
                    const Stopover* from) {
  auto sharing = std::async(std::launch::async, [&]() -> Fact<Sharing> {
    const ClientConfig* config = facts.link.config.get();
    if (!config) return Unknown{facts.link.config.reason()};
    return client.LookForMasters(facts.request, *config);
  });
  Side side = facts.near;
  if (from)
    AskAgents(from->place, side, AgentsThatCount(facts), options.step_limit);
  else
    AskAgents(side, AgentsThatCount(facts), {}, options.local_limit);
  facts.link.sharing = sharing.get();
  facts.near = std::move(side);
}

/// Other agents are only a way out, so nothing waits for them: they are asked
/// while the session is under way.  Which there are is seen before it: on a
/// host that is this machine, sshd is about to make another one.
std::future<Side> AskOtherAgents(const Facts& facts, const RunOptions& options,
                                 NearSide* shared) {
  if (shared) {
    shared->AskOthers(options.local_limit);
    return std::async(std::launch::deferred,
                      [side = facts.near, shared]() mutable {
                        AddAgents(side, shared->Others());
                        return side;
                      });
  }
  return std::async(std::launch::async,
                    [side = facts.near, candidates = AgentCandidates(),
                     limit = options.local_limit]() mutable {
                      AskAgents(side, {}, candidates, limit);
                      return side;
                    });
}

Fact<std::vector<NextHop>> NextHops(const std::string& probe_output) {
  const auto probed = ParseNextHops(probe_output);
  if (!probed.known()) return Unknown{probed.reason()};
  std::vector<NextHop> hops;
  for (const ProbedNextHop& hop : *probed) hops.push_back(ReadNextHop(hop));
  return hops;
}

/// dropbear ends a connection, with every session on it, at a command of more
/// characters (sysoptions.h, MAX_STRING_LEN; up to 2022.83).  The probe exceeds
/// that only together with next hops.
constexpr std::size_t kLongestCommand = 9000;

/// A master does not tell what it is connected to, and the sessions on it are
/// the user's.
bool TooLongForAMaster(const Facts& facts, const ProbeCommand& probe) {
  const Sharing* sharing = facts.link.sharing.get();
  return sharing && sharing->master.state == MasterState::kAlive &&
         probe.command.size() > kLongestCommand;
}

bool RefusedAsTooLong(const Session& session, const ProbeCommand& probe) {
  return session.end != SessionEnd::kProbed &&
         session.transcript.authenticated &&
         session.transcript.server_version.starts_with("dropbear") &&
         probe.command.size() > kLongestCommand;
}

/// Asks in a session of its own, once the first one has shown that it is sshd.
Fact<std::vector<NextHop>> AskNextHops(const Facts& facts, Client& client,
                                       const ProbeCommand& probe) {
  if (std::ranges::none_of(facts.far.ancestors, [](const Ancestor& ancestor) {
        return ancestor.name.starts_with("sshd");
      }))
    return Unknown{
        "the server behind the master may end the connection at a command as "
        "long as --to takes; add -o ControlPath=none"};
  const SessionResult result = client.OpenSession(facts, probe);
  if (result.session.end != SessionEnd::kProbed)
    return Unknown{"no second session carried the question"};
  return NextHops(result.probe_output);
}

void OpenSession(Facts& facts, Client& client, const RunOptions& options) {
  const ProbeCommand whole =
      MakeProbeCommand(facts.request.to, options.step_limit);
  const bool apart = TooLongForAMaster(facts, whole);
  SessionResult result =
      client.OpenSession(facts, apart ? MakeProbeCommand() : whole);
  const bool refused = !apart && RefusedAsTooLong(result.session, whole);
  if (refused) result = client.OpenSession(facts, MakeProbeCommand());
  facts.link.session = std::move(result.session);
  if (facts.link.session->end != SessionEnd::kProbed) {
    facts.next_hops = Unknown{"no session carried the probe"};
    return;
  }
  facts.far = ParseProbe(result.probe_output);
  if (refused)
    facts.next_hops = Unknown{
        facts.link.session->transcript.server_version +
        " takes no command as long as the one that would log in from there"};
  else if (!facts.request.to.empty())
    facts.next_hops = apart ? AskNextHops(facts, client, whole)
                            : NextHops(result.probe_output);
  // Agents that nothing over there can ask are asked through the master.
  std::erase_if(facts.far.agents_not_asked, [&](const auto& not_asked) {
    std::optional<Agent> answer = client.AskRemoteAgent(facts, not_asked.first);
    if (!answer) return false;
    facts.far.agents.push_back(std::move(*answer));
    return true;
  });
}

}  // namespace

Control MakeControlLogin(const Facts& facts, Client& client) {
  const ProbeCommand probe = MakeProbeCommand();
  ControlResult result =
      client.MakeControlLogin(facts, ControlMayProbe(facts) ? &probe : nullptr);
  if (!result.probe_output.empty())
    result.control.far = ParseProbe(result.probe_output);
  else if (result.control.far.pending())
    result.control.far = Unknown{"the control login carried no probe"};
  return std::move(result.control);
}

Facts Collect(const Request& request, Client& client, const RunOptions& options,
              ControlMode control, const Stopover* from, NearSide* shared) {
  const Clock::time_point start = Clock::now();
  Facts facts;
  facts.request = request;
  facts.collected = std::time(nullptr);
  facts.link.client = request.client;
  if (from) facts.via = from->via;

  std::future<Side> near;
  Plan plan = Next(facts, control);
  for (; plan.next != Experiment::kNone && !Interrupted();
       plan = Next(facts, control)) {
    switch (plan.next) {
      case Experiment::kResolve:
        Resolve(facts, client, from, shared);
        break;
      case Experiment::kNearSide:
        LookAtNearSide(facts, client, options, from);
        if (!from) near = AskOtherAgents(facts, options, shared);
        break;
      case Experiment::kSession:
        OpenSession(facts, client, options);
        break;
      case Experiment::kControl:
        if (from)
          facts.link.control = from->control(facts);
        else
          facts.link.control = MakeControlLogin(facts, client);
        break;
      case Experiment::kNone:
        break;
    }
  }

  if (near.valid()) facts.near = near.get();
  facts.interrupted = Interrupted();
  if (facts.interrupted) {
    if (facts.link.session.pending())
      facts.link.session = Unknown{"interrupted"};
    if (facts.link.control.pending())
      facts.link.control = Unknown{"interrupted"};
  } else {
    if (facts.link.session.pending())
      facts.link.session = Unknown{plan.because};
    if (facts.link.control.pending())
      facts.link.control = NotNeeded{plan.because};
  }
  facts.duration_ms = MillisecondsSince(start);
  return facts;
}

Facts NotExamined(const Request& request, std::vector<std::string> via,
                  const std::string& why) {
  Facts facts;
  facts.request = request;
  facts.via = std::move(via);
  facts.collected = std::time(nullptr);
  facts.interrupted = Interrupted();
  facts.link.client = request.client;
  facts.link.config = Unknown{why};
  facts.link.forwarded = Unknown{why};
  facts.link.primary = Unknown{why};
  facts.link.sharing = Unknown{why};
  facts.link.session = Unknown{why};
  facts.link.control = NotNeeded{why};
  return facts;
}

}  // namespace agentdoctor
