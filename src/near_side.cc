#include "near_side.h"

#include <utility>

#include "probes/local_side.h"

namespace agentdoctor {

Side NearSide::LookAround() {
  std::call_once(looked_, [this] { side_ = agentdoctor::LookAround(); });
  return side_;
}

void NearSide::AskOthers(Milliseconds limit) {
  std::call_once(asked_, [this, limit] {
    others_ =
        std::async(std::launch::async, [candidates = AgentCandidates(), limit] {
          Side side;
          AskAgents(side, {}, candidates, limit);
          return std::move(side.agents);
        }).share();
  });
}

}  // namespace agentdoctor
