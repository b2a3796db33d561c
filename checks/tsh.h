// Teleport's own words: tsh's options, agent and roles, where OpenSSH has files
// and one agent.
#pragma once

#include "agentdoctor/check.h"
#include "agentdoctor/facts.h"
#include "agentdoctor/finding.h"

namespace agentdoctor::checks {

/// The agent that answered behind the session's forwarded socket, or null.
const Agent* ArrivedAgent(const Facts& facts);

/// tsh forwarded its own key agent, as the keys that arrived show, although the
/// user's was asked for.
bool OwnAgentArrived(const Facts& facts);

/// How to get the user's own agent forwarded.
Fix ForwardUsersAgent(const Facts& facts);

/// Which agent the options ask for, and which one came: forward-agent's answer.
Answer JudgeTshOptions(const Facts& facts, const ClientConfig& config);

/// Gives a transport fault the explanation and remedies of tsh.
void SpeakOfTsh(const Facts& facts, Finding& finding);

/// The same for a server's refusal; returns the remedy in place of \a fix.
Fix SpeakOfRoles(Finding& finding, Fix fix, bool refused);

}  // namespace agentdoctor::checks
