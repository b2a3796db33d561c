// Collect: every fact about one hop, each of them once.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "clients/client.h"
#include "near_side.h"
#include "plan.h"

namespace agentdoctor {

/// Where a further hop begins: at the host that the hop before it led to.
struct Stopover {
  Place& place;
  Side side = {};  ///< as it is seen from there
  std::vector<std::string> via = {};
  /// The control experiment.  It is made from here, where the canary is.
  std::function<Fact<Control>(const Facts& facts)> control = {};
};

/// Asks the plan what is needed next until nothing is.  Without \a from the hop
/// begins here, at \a near if other hosts of the run do, too.
Facts Collect(const Request& request, Client& client, const RunOptions& options,
              ControlMode control, const Stopover* from = nullptr,
              NearSide* near = nullptr);

/// One fresh login of \a client's that forwards a canary.
Control MakeControlLogin(const Facts& facts, Client& client);

/// What is known of a hop that could not be examined: why not.
Facts NotExamined(const Request& request, std::vector<std::string> via,
                  const std::string& why);

}  // namespace agentdoctor
