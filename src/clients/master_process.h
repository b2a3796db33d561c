// What the system shows of a master's process (system/processes.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agentdoctor/fact.h"
#include "agentdoctor/facts.h"
#include "system/process.h"

namespace agentdoctor {

/// Fills in what is seen of \a master's process (its pid and path are known):
/// when it started, its forwardings, its command line, its terminal.
void LookAtMasterProcess(Master& master, Milliseconds limit);

/// How many are connected to the control socket.  To be asked before anything
/// of ours connects: a master may be slow to notice that we have left.
Fact<int> CountClients(const std::string& control_path, Milliseconds limit);

/// The process that listens at \a control_path; for a master that does not
/// answer.
std::optional<std::int64_t> FindListener(const std::string& control_path,
                                         Milliseconds limit);

/// A process of this user's that serves, or served, a control socket.
struct MasterListener {
  std::int64_t pid = 0;
  std::string path = {};
  bool listens = false;   ///< false: only its title names the path
  bool relative = false;  ///< the kernel knows another name for the path
};

/// Those that can be seen among the ssh processes; nothing where the system
/// does not show them.
Fact<std::vector<MasterListener>> FindMasters(Milliseconds limit);

/// The other end of a master's connection, "10.0.0.5:22".
Fact<std::string> FindPeer(std::int64_t pid, Milliseconds limit);

}  // namespace agentdoctor
