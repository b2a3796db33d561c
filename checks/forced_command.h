// Something else answered instead of the probe.
#pragma once

#include "agentdoctor/check.h"

namespace agentdoctor::checks {

/// Adds `forced-command` where a session ended by itself without the probe's
/// markers.
void JudgeForcedCommand(const Facts& facts, const Session& session,
                        Answer& answer);

/// "Remote: SOURCE: key options: ...", with file and line where the source is
/// one.
Evidence Announced(const std::string& source, const KeyOptions& options);

}  // namespace agentdoctor::checks
