#include "probes/place_side.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "probes/remote_side.h"

namespace agentdoctor {
namespace {

Side Probe(Place& place, const std::optional<std::string>& auth_sock,
           Milliseconds limit) {
  const ProbeCommand probe = MakeProbeCommand();
  Command command{.argv = {"sh", "-c", probe.command},
                  .idle_limit = limit,
                  .total_limit = 4 * limit};
  if (auth_sock) command.environment = {{"SSH_AUTH_SOCK", auth_sock}};
  const ProcessResult result = place.Run(command);
  const std::size_t begin = result.out.find(probe.begin_marker);
  const std::size_t end = result.out.find(probe.end_marker);
  if (begin == std::string::npos || end == std::string::npos) return {};
  const std::size_t from = begin + probe.begin_marker.size();
  return ParseProbe(result.out.substr(from, end - std::min(from, end)));
}

}  // namespace

Side LookAround(Place& place, const Side& seen, Milliseconds limit) {
  const auto* known = seen.auth_sock.get();
  if (known && *known == place.Variable("SSH_AUTH_SOCK")) return seen;
  Side side = Probe(place, std::nullopt, limit);
  // It did run there before; what it did not say now is as it was.
  return side.auth_sock.known() ? side : seen;
}

void AskAgents(Place& place, Side& side, const std::vector<std::string>& paths,
               Milliseconds limit) {
  for (const std::string& path : paths) {
    if (FindAgent(side, path) || side.agents_not_asked.contains(path)) continue;
    const Side answer = Probe(place, path, limit);
    if (const Agent* agent = FindAgent(answer, path)) {
      side.agents.push_back(*agent);
      continue;
    }
    const auto why = answer.agents_not_asked.find(path);
    side.agents_not_asked[path] = why == answer.agents_not_asked.end()
                                      ? "the probe said nothing of it"
                                      : why->second;
  }
}

}  // namespace agentdoctor
