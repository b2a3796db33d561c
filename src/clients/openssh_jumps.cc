#include "clients/openssh_jumps.h"

#include "clients/openssh_config.h"

namespace agentdoctor {
namespace {

JumpHost ResolveJump(const Request& request, const std::string& host,
                     const std::string& before, Milliseconds limit,
                     Place& place) {
  // The words that ssh itself gives to the ssh of a ProxyJump (ssh.c).
  const JumpName name = ParseJumpHost(host);
  Request jump{.destination = name.host, .ssh = request.ssh};
  const auto add = [&jump](const char* option, const std::string& value) {
    if (value.empty()) return;
    jump.ssh_options.emplace_back(option);
    jump.ssh_options.push_back(value);
  };
  for (std::size_t i = 0; i + 1 < request.ssh_options.size(); ++i)
    if (request.ssh_options[i] == "-F") add("-F", request.ssh_options[i + 1]);
  add("-l", name.user);
  add("-p", name.port);
  add("-J", before);
  return {
      .host = host,
      .config =
          ResolveOpenSsh(jump, limit, place).config.value_or(ClientConfig{})};
}

}  // namespace

std::vector<JumpHost> ResolveJumps(const Request& request,
                                   const ClientConfig& config,
                                   Milliseconds limit, Place& place) {
  std::vector<JumpHost> jumps;
  std::string value = FirstValue(config, "proxyjump");
  // Only the first host of a list takes its own ProxyJump; the others are
  // given the list.  The limit ends a configuration that jumps in a circle.
  constexpr std::size_t kJumps = 8;
  while (jumps.size() < kJumps) {
    const std::vector<std::string> hosts = SplitProxyJump(value);
    if (hosts.empty()) break;
    std::vector<JumpHost> first;
    std::string before;
    for (const std::string& host : hosts) {
      first.push_back(ResolveJump(request, host, before, limit, place));
      before += (before.empty() ? "" : ",") + host;
    }
    value = FirstValue(first.front().config, "proxyjump");
    jumps.insert(jumps.begin(), first.begin(), first.end());
  }
  return jumps;
}

}  // namespace agentdoctor
