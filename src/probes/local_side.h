// The place we sit on: its environment and its agents.
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "system/process.h"

namespace agentdoctor {

/// Environment, host name, uid, boot id; files that name agents (~/.ssh/
/// environment, keychain), VS Code's setting.  No agent is asked; of those the
/// files name it is only tried whether somebody listens.
Side LookAround();

/// Sockets of this user in the known places that may be agents
/// (at most 64), without asking them.
std::vector<std::string> AgentCandidates();

/// Asks the agents at \a paths (with extensions) and those at \a candidates
/// (without), all at once, and adds them to \a side: the former whatever comes
/// of it, of the latter those that answer.  Returns the others.
std::vector<Agent> AskAgents(Side& side, const std::vector<std::string>& paths,
                             const std::vector<std::string>& candidates,
                             Milliseconds limit);

/// Adds those of \a agents that \a side does not have, by whatever name.
void AddAgents(Side& side, const std::vector<Agent>& agents);

}  // namespace agentdoctor
