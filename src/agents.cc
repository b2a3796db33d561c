#include "agents.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <future>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "clients/openssh_config.h"
#include "probes/local_side.h"
#include "report/render.h"
#include "system/clock.h"
#include "system/interrupt.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

/// A path, and what names it.
using NamedPaths = std::vector<std::pair<std::string, AgentName>>;

/// Every path that the configuration, the environment or a file names.
NamedPaths Named(const AgentList& list, const Fact<AgentChoice>& primary,
                 const Side& side) {
  NamedPaths named;
  for (const Fact<AgentChoice>* fact : {&list.forwarded, &primary}) {
    const AgentChoice* choice = fact->get();
    if (!choice || !choice->path) continue;
    AgentName name{.what = Name(choice->source)};
    if (choice->line) {
      name.file = choice->line->file;
      name.line = choice->line->line;
    }
    named.emplace_back(*choice->path, std::move(name));
  }
  if (const auto* auth_sock = side.auth_sock.get(); auth_sock && *auth_sock)
    named.emplace_back(**auth_sock, AgentName{.what = "SSH_AUTH_SOCK"});
  for (const EnvironmentFileLine& line : side.environment_files)
    named.emplace_back(
        line.path,
        AgentName{.what = "a file", .file = line.file, .line = line.line});
  return named;
}

ListedAgent Listed(Agent agent, const NamedPaths& named, const Side& side,
                   const AgentChoice* forwarded) {
  ListedAgent listed{.agent = std::move(agent)};
  const std::string& path = listed.agent.path;
  for (const auto& [named_path, name] : named)
    if (named_path == path &&
        std::ranges::find(listed.named_by, name) == listed.named_by.end())
      listed.named_by.push_back(name);
  const auto* auth_sock = side.auth_sock.get();
  listed.in_environment = auth_sock && *auth_sock == path;
  listed.forwarded = forwarded && forwarded->path == path;
  return listed;
}

/// The forwarded one, those that something names, those with most keys.
void Sort(std::vector<ListedAgent>& agents) {
  const auto rank = [](const ListedAgent& listed) {
    return std::tuple(!listed.forwarded, listed.named_by.empty(),
                      listed.agent.state != AgentState::kAnswered,
                      -static_cast<long>(listed.agent.identities.size()));
  };
  std::ranges::stable_sort(agents, {}, rank);
}

}  // namespace

AgentList ListAgents(const Request& request, Client& client,
                     const RunOptions& options) {
  const Clock::time_point start = Clock::now();
  AgentList list{.started = std::time(nullptr),
                 .destination = request.destination};
  const bool no_host = request.destination.empty();
  auto near = std::async(std::launch::async, LookAround);
  const Resolution resolution =
      client.Resolve(no_host ? AboutNoHost(request) : request);
  Side side = near.get();
  list.uid = side.uid.value_or(0);
  list.forwarded = resolution.forwarded;
  if (no_host)
    list.requested = NotNeeded{"no host was named"};
  else if (const ClientConfig* config = resolution.config.get())
    list.requested = config->forward_agent;
  else
    list.requested = Unknown{resolution.config.reason()};

  const NamedPaths named = Named(list, resolution.primary, side);
  std::vector<std::string> paths;
  for (const auto& [path, name] : named) paths.push_back(path);
  std::vector<Agent> others =
      AskAgents(side, paths, AgentCandidates(), options.local_limit);
  const AgentChoice* forwarded = list.forwarded.get();
  for (Agent& agent : side.agents)
    list.agents.push_back(Listed(std::move(agent), named, side, forwarded));
  for (Agent& agent : others) {
    const bool dead = agent.state == AgentState::kRefused ||
                      agent.state == AgentState::kMissing;
    if (dead)
      ++list.dead;
    else
      list.agents.push_back(Listed(std::move(agent), named, side, forwarded));
  }
  Sort(list.agents);
  list.interrupted = Interrupted();
  list.duration_ms = MillisecondsSince(start);
  return list;
}

}  // namespace agentdoctor
