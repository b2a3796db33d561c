// The next hop (--to): what the far side's own ssh makes of a login to a
// further server.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/fact.h"
#include "agentdoctor/facts.h"
#include "system/process.h"

namespace agentdoctor {

/// How many destinations one probe takes: their answers share its limit.
inline constexpr std::size_t kMaxNextHops = 8;

/// The longest that a login of theirs may take; the probe must not be silent
/// for longer than its client waits.
inline constexpr Milliseconds kNextHopLimit{8000};

/// Whether a destination consists of characters that mean nothing to a shell.
bool IsPlainDestination(std::string_view destination);

/// What goes behind the functions of the probe's script.  \a limit: for each
/// login.
std::string NextHopScript(const std::vector<std::string>& to,
                          Milliseconds limit);

/// What was found out about one of them, and the words of the login itself,
/// for whoever knows ssh's.
struct ProbedNextHop {
  NextHop hop = {};
  std::string login = {};  ///< standard error and output, cut off if long
  bool cut_off = false;    ///< the login's end is missing
  bool timed_out = false;  ///< it was ended by the limit
};

/// The answers in \a output, the text between the probe's markers.
Fact<std::vector<ProbedNextHop>> ParseNextHops(const std::string& output);

}  // namespace agentdoctor
