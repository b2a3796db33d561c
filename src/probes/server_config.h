// sshd_config, as far as the probe could read it.
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/facts.h"

namespace agentdoctor {

/// A line that grep found, beside its place.
struct FileLine {
  std::string file = {};
  int line = 0;
  std::string text = {};
};

/// Reads grep's FILE:LINE:TEXT; other lines are left out.
std::vector<FileLine> ReadFileLines(const std::string& text);

/// The lines about agent forwarding, in the order sshd reads them, each with
/// the Match line it stands under.  \a lines: at least the
/// AllowAgentForwarding, DisableForwarding, Match and Include lines of
/// /etc/ssh/sshd_config and of what it includes.
std::vector<ServerConfigLine> ParseServerConfig(
    const std::vector<FileLine>& lines);

}  // namespace agentdoctor
