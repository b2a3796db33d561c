// `agentdoctor here` as a script, for a machine on which nothing is installed.
#pragma once

#include <string>

namespace agentdoctor {

/// One `sh -c` command for a POSIX shell, to be pasted or to be read by `ssh
/// HOST sh`.  It reads nothing but its own text, and that whole before it runs.
std::string HereScript();

}  // namespace agentdoctor
