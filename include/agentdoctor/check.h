// A check: one question about a stage of the chain.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/facts.h"
#include "agentdoctor/finding.h"

namespace agentdoctor {

/// A check's answer: what it found, or why it could not look.
struct Answer {
  std::vector<Finding> findings = {};
  /// Set: the question could not be answered in full, and why.
  std::string skipped = {};
  /// The healthy answer in one line: "3 identities at /run/.../agent".
  std::string summary = {};
};

/// There are two sides and a link between them: not `agentdoctor here`.
inline bool HasLink(const Facts& facts) { return !facts.here; }

struct Check {
  std::string_view id;  ///< "local-agent": names the source file and --only
  Stage stage;
  std::string_view title;  ///< the healthy state
  /// Answers from the facts alone: no I/O, no clock, no globals.  Reading a
  /// fact that is not known ends the check as skipped.
  Answer (*run)(const Facts& facts);
  /// Every code it can report.
  std::span<const std::string_view> codes;
  /// Whether the question arises at all.
  bool (*applies)(const Facts& facts) = HasLink;
};

/// Every check, in chain order.
std::span<const Check> AllChecks();

}  // namespace agentdoctor
