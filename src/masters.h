// `agentdoctor masters`: every multiplexing master of this user, and --fix.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agentdoctor/listings.h"
#include "clients/client.h"
#include "examine.h"
#include "repair.h"

namespace agentdoctor {

struct MastersPlan {
  /// The ssh program and the options that name the configuration (-F).
  Request request = {};
  /// Hosts or control paths; empty: all masters.
  std::vector<std::string> wanted = {};
  RunOptions options = {};
  Selection selection = {};  ///< names of the check of shared connections
  std::optional<RepairOptions> repair = {};  ///< set: --fix or --dry-run
};

/// Finds and asks the masters.  With a repair, those are examined as
/// `run --fix HOST` would that answer, whose host is known, that `ssh HOST`
/// uses, and from which the configuration wants forwarding: only a session
/// through a master tells whether it is stale.  Dead sockets are removed by
/// the same rules.
MasterList ListMasters(
    const MastersPlan& plan,
    const std::function<std::unique_ptr<Client>()>& make_client);

}  // namespace agentdoctor
