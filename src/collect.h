// Collect: every probe, once, in the order that plan.h says.
#pragma once

#include "agentdoctor/facts.h"
#include "clients/client.h"
#include "plan.h"

namespace agentdoctor {

/// Everything about the way to one destination.  Never throws: what could not
/// be found out is Unknown.
Facts Collect(const Request& request, Client& client, const RunOptions& options,
              ControlMode control);

}  // namespace agentdoctor
