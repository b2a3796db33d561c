// The probe: one POSIX-sh script for the far side, and what it answers.
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "system/process.h"

namespace agentdoctor {

/// The probe as a remote command, and how to find its answer in the output.
struct ProbeCommand {
  std::string command = {};  ///< one line for the login shell
  std::string begin_marker = {};
  std::string end_marker = {};
};

/// The probe as a command for any login shell (bash, dash, zsh, fish, tcsh,
/// ...): no single quote, newline or `!` inside; markers are random.  It also
/// logs in to each of \a to, if there are any (see next_hop.h).
ProbeCommand MakeProbeCommand();
ProbeCommand MakeProbeCommand(const std::vector<std::string>& to,
                              Milliseconds login_limit);

/// What \a output (the text between the markers, still hex) says.  Facts it
/// does not speak of are Unknown with a reason.
Side ParseProbe(const std::string& output);

/// A side of which the probe could say nothing: its facts are Unknown.
Side UnknownSide(const std::string& why);

}  // namespace agentdoctor
