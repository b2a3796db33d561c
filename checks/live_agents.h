// The agents of the near side that could serve instead of one that does not.
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/facts.h"

namespace agentdoctor::checks {

/// SSH_AUTH_SOCK of the process that looked; empty if unset.
std::string OwnSocket(const Side& side);

/// Other agents of this user than the one at \a path that answered with keys,
/// best first.  In `agentdoctor here` that is the socket of this very
/// connection, then what tmux's session says, then sockets of other
/// connections, the newest first, then agents of this machine.
std::vector<const Agent*> LiveAgents(const Facts& facts,
                                     const std::string& path);

/// The agent for what outlives this shell: a well-known link to a living one,
/// else this shell's own, else the best of the others; null if there is none.
const Agent* LastingAgent(const Facts& facts);

/// Whose agent it is, as far as it is known: "forwarded by sshd from
/// 203.0.113.5"; else empty.
std::string Whose(const Side& side, const Agent& agent);

}  // namespace agentdoctor::checks
