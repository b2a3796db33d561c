// A place at the far end of a session, as programs there see it.
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "system/place.h"

namespace agentdoctor {

/// Runs the probe at \a place.  \a seen is what an earlier session there saw:
/// it stands where nothing can have changed since, the agent's socket above
/// all, which sshd makes anew for each connection.
Side LookAround(Place& place, const Side& seen, Milliseconds limit);

/// Asks the agents at \a paths that nobody has asked yet.
void AskAgents(Place& place, Side& side, const std::vector<std::string>& paths,
               Milliseconds limit);

}  // namespace agentdoctor
