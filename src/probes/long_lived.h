// What outlives a connection on the far side: the lines of the probe's
// `long_lived` record, as probe.sh writes them, and what they mean.
#pragma once

#include <string>

#include "agentdoctor/facts.h"

namespace agentdoctor {

/// The probe's own words about the processes above it.
struct ProbeProcess {
  std::string self = {};       ///< its pid
  std::string ancestors = {};  ///< lines "PID+NAME", - if not readable
};

/// Reads \a lines into \a side, whose agents have been read before: whether a
/// process names a dead socket is told by them.
void ReadLongLived(const std::string& lines, const ProbeProcess& probe,
                   Side& side);

}  // namespace agentdoctor
