// What the probe says of the session alone.
#pragma once

#include <set>
#include <string>

#include "probes/records.h"
#include "probes/remote_side.h"

namespace agentdoctor {

/// The probe's answer without the agents that other processes name, whatever
/// runs on this machine: these stand behind the session's own.
inline Side ThisSession(const std::string& output) {
  Side side = ParseProbe(output);
  const auto records = ReadRecords(output);
  if (!records.known()) return side;
  std::set<std::string> own;
  for (const auto& [key, value] : records.value()) {
    if (key == "uid") break;
    if (key == "agent") own.insert(value);
  }
  std::erase_if(side.agents,
                [&](const Agent& agent) { return !own.contains(agent.path); });
  return side;
}

}  // namespace agentdoctor
