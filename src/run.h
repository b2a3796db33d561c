// A whole run: several destinations, repairs, and the report of it all.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "agentdoctor/facts.h"
#include "agentdoctor/report.h"
#include "clients/client.h"
#include "examine.h"
#include "facts_json.h"
#include "plan.h"
#include "repair.h"

namespace agentdoctor {

struct RunPlan {
  std::vector<Request> requests = {};  ///< one per destination
  std::vector<std::string> then = {};  ///< --then: on from each of them
  RunOptions options = {};
  ControlMode control = ControlMode::kAuto;
  Selection selection = {};
  std::optional<RepairOptions> repair = {};  ///< set: --fix or --dry-run
  std::size_t jobs = 32;
};

/// Collects (and, where asked, repairs and collects again) for every request,
/// in a bounded pool; hosts stand in the order asked, hops after their host.
/// The facts of many hosts take much room: they are kept only if there is a
/// \a recording to keep them in.
Report RunAll(const RunPlan& plan,
              const std::function<std::unique_ptr<Client>()>& make_client,
              Recording* recording = nullptr);

/// The same for the place one sits on: no requests, no client.
Report RunHere(const RunPlan& plan, Recording* recording = nullptr);

/// The report of a run that was recorded: the same to the letter.
Report MakeReport(const Recording& recording, const Selection& selection);

}  // namespace agentdoctor
