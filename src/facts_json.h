// Facts as JSON: what --record writes, replay reads and external checks get.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "agentdoctor/report.h"

namespace agentdoctor {

/// One host of a recorded run: with --fix also the facts before it and what
/// was done.
struct RecordedHost {
  Facts facts = {};
  std::optional<Facts> before = {};
  std::vector<RepairRecord> repairs = {};
  bool operator==(const RecordedHost&) const = default;
};

struct Recording {
  std::string command = "run";
  std::int64_t started = 0;
  std::int64_t duration_ms = 0;
  std::vector<RecordedHost> hosts = {};
  bool operator==(const Recording&) const = default;
};

std::string WriteRecording(const Recording& recording);

/// Throws std::runtime_error naming \a name and the place of the fault.
/// Unknown fields are ignored, missing ones are pending facts.
Recording ReadRecording(const std::string& text, const std::string& name);

}  // namespace agentdoctor
