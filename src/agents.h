// `agentdoctor agents`: which agents there are, and which one ssh would
// forward.
#pragma once

#include "agentdoctor/listings.h"
#include "clients/client.h"

namespace agentdoctor {

/// Asks every agent of this user that can be found.  \a request: for whom; with
/// an empty destination for no host in particular.
AgentList ListAgents(const Request& request, Client& client,
                     const RunOptions& options);

}  // namespace agentdoctor
