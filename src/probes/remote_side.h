// The probe: one POSIX-sh script for the far side, and what it answers.
#pragma once

#include <string>

#include "agentdoctor/facts.h"

namespace agentdoctor {

/// The probe as a remote command, and how to find its answer in the output.
struct ProbeCommand {
  std::string command = {};  ///< one line for the login shell
  std::string begin_marker = {};
  std::string end_marker = {};
};

/// The probe as a command for any login shell (bash, dash, zsh, fish, tcsh,
/// ...): no single quote, newline or `!` inside; markers are random.
ProbeCommand MakeProbeCommand();

/// What \a output (the text between the markers, still hex) says.  Facts it
/// does not speak of are Unknown with a reason.
Side ParseProbe(const std::string& output);

}  // namespace agentdoctor
