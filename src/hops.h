// The hosts behind the first one (--then): each hop examined from the one
// before it.
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "clients/client.h"
#include "plan.h"

namespace agentdoctor {

/// The requests of a path: the first one's, and one for each further host.
/// What is asked about the end of the path (--to) goes with the last.
std::vector<Request> PathRequests(const Request& first,
                                  const std::vector<std::string>& then);

/// Examines the hops after the first of \a path, of which \a first is known.
/// \a client is the one that examined it; it may be null if none did.  A hop
/// that can't be examined has its place in the answer, with the reason.
std::vector<Facts> CollectHops(const Facts& first,
                               const std::vector<Request>& path, Client* client,
                               const RunOptions& options, ControlMode control);

}  // namespace agentdoctor
