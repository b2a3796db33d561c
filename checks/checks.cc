#include "checks.h"

namespace agentdoctor {

std::span<const Check> AllChecks() {
  // The order in which a request passes the stages: the first error that is
  // no consequence is the root cause.
  static const Check checks[] = {
      checks::kLocalAgent,     checks::kForwardAgent, checks::kControlMaster,
      checks::kConnection,     checks::kServerPolicy, checks::kRemoteSocket,
      checks::kRemoteSessions, checks::kNextHop,
  };
  return checks;
}

}  // namespace agentdoctor
