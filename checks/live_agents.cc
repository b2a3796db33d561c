#include "live_agents.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "path.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

bool OfThisUser(const Side& side, const Agent& agent) {
  const std::int64_t* uid = side.uid.get();
  return !uid || !agent.owner || *agent.owner == *uid;
}

bool Contains(const std::vector<std::string>& items, const std::string& item) {
  return std::ranges::find(items, item) != items.end();
}

/// What the tmux session one sits in would give to a new pane.
std::set<std::string> TmuxSockets(const Side& side) {
  std::set<std::string> sockets;
  const auto tmux = side.session_variables.find("TMUX");
  const LongLived* sessions = side.long_lived.get();
  if (tmux == side.session_variables.end() || !sessions) return sockets;
  const std::string server = tmux->second.substr(0, tmux->second.find(','));
  for (const Holder& holder : sessions->holders)
    if (holder.kind == HolderKind::kTmuxSession && holder.server == server &&
        holder.auth_sock)
      sockets.insert(*holder.auth_sock);
  return sockets;
}

/// The better, the smaller.
int Rank(const Side& side, const std::set<std::string>& tmux,
         const Agent& agent) {
  const auto* sockets = side.connection_sockets.get();
  if (sockets &&
      (Contains(*sockets, agent.path) || Contains(*sockets, agent.link_target)))
    return 0;
  if (tmux.contains(agent.path)) return 1;
  return agent.product.starts_with("forwarded") ? 2 : 3;
}

/// "203.0.113.5" of an SSH_CONNECTION.
std::string ClientOf(const std::string& connection) {
  return connection.substr(0, connection.find(' '));
}

}  // namespace

std::string OwnSocket(const Side& side) {
  return side.auth_sock.value_or({}).value_or("");
}

std::vector<const Agent*> LiveAgents(const Facts& facts,
                                     const std::string& path) {
  const Side& side = facts.near;
  std::vector<const Agent*> agents;
  const auto listed = [&agents](const std::string& other) {
    return std::ranges::any_of(
        agents, [&](const Agent* agent) { return agent->path == other; });
  };
  for (const Agent& agent : side.agents)
    if (agent.path != path && agent.state == AgentState::kAnswered &&
        !agent.identities.empty() && OfThisUser(side, agent) &&
        !(facts.here && listed(agent.link_target)))
      agents.push_back(&agent);
  const auto tmux = TmuxSockets(side);
  std::ranges::stable_sort(agents, [&](const Agent* a, const Agent* b) {
    if (facts.here) {
      const int rank = Rank(side, tmux, *a);
      const int other = Rank(side, tmux, *b);
      if (rank != other) return rank < other;
      // They stand in the order of their age.
      if (rank < 3) return false;
    }
    return a->identities.size() > b->identities.size();
  });
  return agents;
}

const Agent* LastingAgent(const Facts& facts) {
  const auto usable = [&facts](const std::string& path) -> const Agent* {
    const Agent* agent = FindAgent(facts.near, path);
    return agent && agent->state == AgentState::kAnswered &&
                   !agent->identities.empty()
               ? agent
               : nullptr;
  };
  if (const LongLived* sessions = facts.near.long_lived.get())
    for (const std::string& link : sessions->links)
      if (const Agent* agent = usable(link)) return agent;
  const std::string own = OwnSocket(facts.near);
  if (const Agent* agent = usable(own)) return agent;
  const std::vector<const Agent*> others = LiveAgents(facts, own);
  return others.empty() ? nullptr : others.front();
}

std::string Whose(const Side& side, const Agent& agent) {
  std::string whose = agent.product;
  const auto* sockets = side.connection_sockets.get();
  if (sockets && Contains(*sockets, agent.path)) {
    whose += whose.empty() ? "" : ", ";
    whose += "of this very connection";
    if (const std::string* connection = side.ssh_connection.get())
      whose += " from " + ClientOf(*connection);
    return whose;
  }
  for (const std::string& path : {agent.path, agent.link_target}) {
    const auto known = side.socket_connections.find(path);
    if (path.empty() || known == side.socket_connections.end()) continue;
    if (const std::string client = ClientOf(known->second); !client.empty())
      return whose + (whose.empty() ? "forwarded from " : " from ") + client;
  }
  return whose;
}

}  // namespace agentdoctor::checks
