// Can the forwarded keys log in to the next server?
#include <array>

#include "checks.h"
#include "path.h"

namespace agentdoctor::checks {
namespace {

constexpr std::array<std::string_view, 6> kCodes = {
    "next-hop-denied",        "next-hop-unreachable",
    "next-hop-too-many-keys", "next-hop-ignores-agent",
    "next-hop-not-ssh",       "next-hop-key-constrained"};

bool Arises(const Facts& facts) {
  return facts.here || !facts.request.to.empty();
}

Answer Run(const Facts& facts) {
  Answer answer;
  if (!facts.here) ProbedSession(facts);
  const std::vector<NextHop>& hops = *facts.next_hops;
  answer.summary = "logged in to " + hops.front().destination;
  return answer;
}

}  // namespace

constinit const Check kNextHop{
    .id = "next-hop",
    .stage = Stage::kNextHop,
    .title = "The forwarded keys log in to the next server",
    .run = Run,
    .codes = kCodes,
    .applies = Arises};

}  // namespace agentdoctor::checks
