// What the system knows about a master's process.  Linux says it in /proc,
// others through ps, or not at all.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agentdoctor/fact.h"
#include "system/process.h"

namespace agentdoctor {

struct MasterProcess {
  Fact<std::int64_t> started = {};
  Fact<std::vector<std::string>> forwardings = {};
  Fact<std::vector<std::string>> command_line = {};
  Fact<bool> foreground = {};
};

MasterProcess LookAtMasterProcess(std::int64_t pid,
                                  const std::string& control_path,
                                  Milliseconds limit);

/// How many are connected to the control socket.  To be asked before anything
/// of ours connects: a master may be slow to notice that we have left.
Fact<int> CountClients(const std::string& control_path);

/// The process that listens at \a control_path; for a master that does not
/// answer.
std::optional<std::int64_t> FindListener(const std::string& control_path);

}  // namespace agentdoctor
