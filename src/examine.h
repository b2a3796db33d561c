// Examine: run the checks over the facts.
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/check.h"
#include "agentdoctor/report.h"

namespace agentdoctor {

/// --only and --skip: codes or check ids; empty `only`: everything.
struct Selection {
  std::vector<std::string> only = {};
  std::vector<std::string> skip = {};
};

/// A check's answer beside the check.
struct Examined {
  const Check* check = nullptr;
  Answer answer = {};
  /// Codes of the check that are not to be reported.
  std::vector<std::string> left_out = {};
};

/// Runs every selected check; an unknown fact ends one as skipped.
std::vector<Examined> Examine(const Facts& facts, std::span<const Check> checks,
                              const Selection& selection = {});

}  // namespace agentdoctor
