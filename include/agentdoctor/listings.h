// What `agentdoctor agents` and `agentdoctor masters` list.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "agentdoctor/report.h"

namespace agentdoctor {

/// What names an agent: "SSH_AUTH_SOCK", or the line of a file.
struct AgentName {
  std::string what = {};  ///< "SSH_AUTH_SOCK", "IdentityAgent", "a file"
  std::string file = {};  ///< empty: none
  int line = 0;
  bool operator==(const AgentName&) const = default;
};

struct ListedAgent {
  Agent agent = {};
  std::vector<AgentName> named_by = {};  ///< empty: found in a known place
  bool in_environment = false;
  bool forwarded = false;  ///< the one a session would get
};

/// Every agent of this user on this machine, the one that counts first.
struct AgentList {
  std::int64_t started = 0;
  std::int64_t duration_ms = 0;
  std::int64_t uid = 0;
  /// For whom ssh was asked; empty: no host in particular.
  std::string destination = {};
  /// The agent that would be forwarded, and why that one.
  Fact<AgentChoice> forwarded = {};
  /// Whether forwarding to the destination is asked for.
  Fact<bool> requested = {};
  std::vector<ListedAgent> agents = {};
  /// Sockets in the known places that nobody listens on and nothing names.
  int dead = 0;
  bool interrupted = false;
};

/// The agent that would be forwarded, or null.
inline const ListedAgent* ForwardedAgent(const AgentList& list) {
  for (const ListedAgent& listed : list.agents)
    if (listed.forwarded) return &listed;
  return nullptr;
}

/// 0: it answers, with keys; 1: it does not; 3: which one is not known.
int ExitStatus(const AgentList& list);

struct ListedMaster {
  /// `host` is as it was typed, or an alias of the configuration.
  Master master = {};
  /// Why the host is not known; empty if it is.
  std::string host_unknown = {};
  /// What it is connected to: "10.0.0.5:22".
  Fact<std::string> peer = {};
  /// It listens, and its socket file is gone: no new ssh can reach it.
  bool orphaned = false;
  /// What is wrong with it, as the check of shared connections says it.
  std::vector<ReportedFinding> findings = {};
  /// With --fix, what an examination of its host came to, ...
  std::optional<CheckResult> examined = {};
  std::string not_examined = {};  ///< ... or why there was none
};

/// A repair, and the master it was for.
struct MasterRepair {
  std::string path = {};
  std::string host = {};
  RepairRecord record = {};
};

/// Every multiplexing master of this user; with --fix after the repairs.
struct MasterList {
  std::int64_t started = 0;
  std::int64_t duration_ms = 0;
  std::vector<ListedMaster> masters = {};
  bool fix_requested = false;
  std::vector<MasterRepair> repairs = {};
  bool interrupted = false;
};

/// 0: none needs anything; 1: one is stale or stuck (with \a strict: or there
/// is a dead socket); 3: none is, but of one it could not be found out.
int ExitStatus(const MasterList& list, bool strict);

}  // namespace agentdoctor
