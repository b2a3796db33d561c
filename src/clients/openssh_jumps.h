// The hosts on the way (ProxyJump), each with the configuration that ssh has
// for it.
#pragma once

#include <vector>

#include "clients/openssh_command.h"
#include "system/place.h"

namespace agentdoctor {

/// From here to the destination; asks `ssh -G` once for each.
std::vector<JumpHost> ResolveJumps(const Request& request,
                                   const ClientConfig& config,
                                   Milliseconds limit, Place& place = Here());

}  // namespace agentdoctor
