// This side, seen once for all the hosts of a run.
#pragma once

#include <future>
#include <mutex>
#include <vector>

#include "agentdoctor/facts.h"
#include "system/process.h"

namespace agentdoctor {

/// May be used by several threads.
class NearSide {
 public:
  /// As LookAround() of probes/local_side.h.
  Side LookAround();

  /// Begins to ask the agents that there are now and that nothing names.  To be
  /// called before any session is opened: on a host that is this machine, sshd
  /// then makes others.
  void AskOthers(Milliseconds limit);

  /// Those that answered.
  const std::vector<Agent>& Others() { return others_.get(); }

 private:
  std::once_flag looked_;
  Side side_;
  std::once_flag asked_;
  std::shared_future<std::vector<Agent>> others_;
};

}  // namespace agentdoctor
