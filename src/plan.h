// Which experiment is still needed, as a pure function of the facts so far.
#pragma once

#include <string>

#include "agentdoctor/facts.h"

namespace agentdoctor {

enum class Experiment {
  kResolve,   ///< read the configuration
  kNearSide,  ///< look around, ask the agents, look for masters
  kSession,   ///< one session on the user's own path, with the probe
  kControl,   ///< one fresh private login, with the canary
  kNone,      ///< everything is known that can be
};

enum class ControlMode { kAuto, kAlways, kNever };

struct Plan {
  Experiment next = Experiment::kNone;
  std::string because = {};  ///< why it is needed, or why nothing is
};

/// The next experiment.  With kNone, `because` says why there is no control.
Plan Next(const Facts& facts, ControlMode control);

/// Whether the control login may carry the probe, too: the first session ran
/// it, so no forced command is fed.
bool ControlMayProbe(const Facts& facts);

}  // namespace agentdoctor
