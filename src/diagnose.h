// Diagnose: causes and consequences, the root cause, the verdict.
#pragma once

#include <optional>
#include <vector>

#include "agentdoctor/facts.h"
#include "agentdoctor/report.h"
#include "examine.h"

namespace agentdoctor {

/// What the checks' answers about \a facts come to (design: the chain).
HostReport Diagnose(const Facts& facts, const std::vector<Examined>& examined,
                    const std::optional<EarlierBreak>& earlier = {});

}  // namespace agentdoctor
