// Repair: the only writer.  It does what is marked safe, and says so.
#pragma once

#include <vector>

#include "agentdoctor/facts.h"
#include "agentdoctor/report.h"

namespace agentdoctor {

struct RepairOptions {
  bool dry_run = false;
  bool force = false;  ///< also fixes marked review, and -O exit
};

/// Carries out the fixes of the findings that are causes (or says what it
/// would do).  Never signals a process, never edits a file.
std::vector<RepairRecord> Repair(const Facts& facts, const HostReport& report,
                                 const RepairOptions& options);

}  // namespace agentdoctor
