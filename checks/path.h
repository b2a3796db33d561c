// The path of a request, seen as a whole: which agent, which connection, which
// socket.  For every check that asks, and for the plan.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/facts.h"

namespace agentdoctor::checks {

/// Whether the client asks for forwarding.  The configuration's flag where it
/// is known; else (a path hides the flag in `ssh -G`) what the session showed.
std::optional<bool> AsksForForwarding(const Facts& facts);

/// The near agent that would be forwarded; null if none is named or asked.
const Agent* ForwardedAgent(const Facts& facts);

/// The session had a canary of ours behind it and not the user's agent, so it
/// shows the way; what stands at its beginning has to be seen by itself.
bool ForwardsCanary(const Facts& facts);

/// Whether all that a canary can't show is in order: forwarding is asked for,
/// and the agent that would be forwarded answers and holds keys.
bool WouldForward(const Facts& facts);

/// The near agent used to log in, likewise.
const Agent* PrimaryAgent(const Facts& facts);

/// Whether connecting to the agent works, which is all that ssh tries before it
/// forwards one (ssh.c, check_agent_present); null: there is none.
bool CanConnect(const Agent* agent);

/// The fact on this side that explains why no agent arrives; empty if none.
std::string LocalCause(const Facts& facts);

/// Whether the session went through a live master.  A session that hangs at a
/// master never gets as far as ssh's `master session id`: then its silence
/// about any connection of its own says so.
bool ThroughMaster(const Facts& facts);

/// The session, if it carried the probe.  Throws FactUnknown.
const Session& ProbedSession(const Facts& facts);

/// The side whose sessions and environment are judged: the far one, or, in
/// `agentdoctor here`, the one we sit on.
const Side& JudgedSide(const Facts& facts);

/// The same, once it was seen: there is no link, or a session carried the
/// probe.  Throws FactUnknown.
const Side& ProbedSide(const Facts& facts);

/// Whether sshd made a socket for this connection and gave it to the session.
struct HandedOver {
  std::optional<bool> made = {};  ///< no value: it can't be told
  std::vector<std::string> sockets = {};
  /// sshd's own environment was seen, or a socket of this connection.
  bool seen = false;
};
HandedOver LookAtHandedOver(const Facts& facts);

/// Why the agent at \a path of the far side was not asked.
std::string WhyNotAsked(const Facts& facts, const std::string& path);

/// Whether \a path looks like a socket that sshd, dropbear or Teleport made.
bool NamedBySshd(std::string_view path);

/// Whether \a agent, of the far side, holds keys of the agent that is forwarded
/// and no others.
bool HoldsForwardedKeys(const Facts& facts, const Agent& agent);

/// The agent behind the socket that sshd made; null if there is none or it
/// could not be asked.
const Agent* HandedOverAgent(const Facts& facts);

/// Whether \a agent, found at the session's SSH_AUTH_SOCK, is the forwarded
/// one: it is at sshd's socket, or holds keys of the agent there.
std::optional<bool> IsForwardedAgent(const Facts& facts, const Agent& agent);

/// Whether ssh on the far side asks another agent than the forwarded one when
/// its configuration says IdentityAgent \a option (expanded).
bool ReplacesForwardedAgent(const Facts& facts, const std::string& option);

/// The session's SSH_AUTH_SOCK leads to the forwarded agent, and it answers:
/// the only proof that forwarding works.  Where there is no link: it leads to
/// an agent with keys.
bool ForwardingWorks(const Facts& facts);

/// Whether session and control reached the same machine as the same user: by
/// boot id, name and user id.  Names alone tell machines apart, but do not make
/// them one.
std::optional<bool> SameMachine(const Facts& facts);

/// ControlPath lacks every token that tells hosts apart, where it is not
/// written for one host alone.
bool ControlPathLacksHost(const Facts& facts);

/// ControlPath does not tell hosts (or ports) apart, and nothing shows yet that
/// the session's master is connected to this one.
bool MasterMayServeAnother(const Facts& facts);

/// What shows that a master whose ControlPath several destinations share leads
/// elsewhere than a fresh login; else empty.
std::string LeadsElsewhere(const Facts& facts);

/// The jump host whose master does not answer, or null.
const Master* FrozenJumpMaster(const Facts& facts);

}  // namespace agentdoctor::checks
