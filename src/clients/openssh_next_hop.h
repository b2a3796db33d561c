// What OpenSSH said at the far side when it logged in to a further server.
#pragma once

#include "agentdoctor/facts.h"
#include "probes/next_hop.h"

namespace agentdoctor {

/// The next hop with what the words of its login say.
NextHop ReadNextHop(const ProbedNextHop& probed);

}  // namespace agentdoctor
