// The report: what a run comes to.  Renderers are functions of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agentdoctor/finding.h"

namespace agentdoctor {

enum class Status { kPass, kWarn, kFail, kSkip };

struct CheckResult {
  std::string id = {};
  Stage stage = Stage::kAgent;
  std::string title = {};
  Status status = Status::kSkip;
  std::string summary = {};
};

/// A finding in its place: who reported it, and what explains it.
struct ReportedFinding {
  Finding finding = {};
  std::string check = {};
  Stage stage = Stage::kAgent;
  std::string consequence_of = {};    ///< a code; empty: a cause by itself
  std::string consequence_host = {};  ///< an earlier hop's; empty: this one's
};

enum class Verdict { kHealthy, kDegraded, kBroken, kUndetermined };

struct RootCause {
  std::string code = {};
  std::string check = {};
  std::string summary = {};
};

/// What an earlier hop of the path lacks.
struct EarlierBreak {
  std::string host = {};
  std::string code = {};
};

enum class RepairStatus { kApplied, kFailed, kPlanned };

struct RepairRecord {
  std::string code = {};
  std::string title = {};
  std::vector<std::string> commands = {};  ///< as printed, shell-quoted
  RepairStatus status = RepairStatus::kPlanned;
  std::string detail = {};
  bool operator==(const RepairRecord&) const = default;
};

/// The state before a repair.
struct Before {
  Verdict verdict = Verdict::kUndetermined;
  std::optional<RootCause> root_cause = {};
};

struct HostReport {
  std::string host = {};
  std::vector<std::string> via = {};
  std::string client = {};
  std::string client_version = {};
  Verdict verdict = Verdict::kUndetermined;
  std::optional<RootCause> root_cause = {};
  std::vector<CheckResult> checks = {};
  std::vector<ReportedFinding> findings = {};
  bool fix_requested = false;  ///< `before` and `repairs` are part of it
  std::optional<Before> before = {};
  std::vector<RepairRecord> repairs = {};
  /// `here`: the line that gives the shell one sits in a working agent; empty
  /// where it has one, or there is none to be had.
  std::string this_shell = {};
  /// No probe ran, but the server was seen to grant forwarding.
  bool granted_unseen = false;
  /// On a further hop: the path is broken before it.
  std::optional<EarlierBreak> earlier = {};
  std::int64_t duration_ms = 0;
};

struct Report {
  std::string command = {};  ///< "run", "here"
  std::int64_t started = 0;  ///< seconds since 1970
  std::int64_t duration_ms = 0;
  std::vector<HostReport> hosts = {};
};

/// 0, 1 or 3 (design: exit status); 2, wrong usage, never has a report.
int ExitStatus(const Report& report, bool strict);

}  // namespace agentdoctor
