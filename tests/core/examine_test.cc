#include "examine.h"

#include <gtest/gtest.h>

#include "checks/healthy.h"

namespace agentdoctor {
namespace {

using Strings = std::vector<std::string>;

Strings Ids(const std::vector<Examined>& examined) {
  Strings ids;
  for (const Examined& each : examined) ids.emplace_back(each.check->id);
  return ids;
}

Strings AllCodes(const std::vector<Examined>& examined) {
  Strings codes;
  for (const Examined& each : examined)
    for (const std::string& code : Codes(each.answer)) codes.push_back(code);
  return codes;
}

/// Two findings of two checks.
Facts TwoFaults() {
  Facts facts = HealthyFacts();
  facts.near.environment_files = {
      {"/home/dave/.ssh/environment", 1, "/tmp/dead", AgentState::kMissing}};
  facts.link.sharing.get()->directory.exists = false;
  return facts;
}

TEST(Examine, RunsEveryCheckInItsOrder) {
  EXPECT_EQ(Ids(Examine(TwoFaults(), AllChecks())),
            (Strings{"local-agent", "forward-agent", "control-master",
                     "connection", "server-policy", "remote-socket",
                     "remote-sessions", "next-hop"}));
}

TEST(Examine, SkipsACheckWhoseFactIsUnknown) {
  constexpr std::string_view kCodes[] = {"a-code"};
  const Check check{.id = "a-check",
                    .stage = Stage::kAgent,
                    .title = "A title",
                    .run = [](const Facts& facts) -> Answer {
                      return {.summary = facts.link.config->files[0].path};
                    },
                    .codes = kCodes};
  Facts facts;
  facts.link.config = Unknown{"nobody looked"};
  const auto examined = Examine(facts, {&check, 1});
  ASSERT_EQ(examined.size(), 1u);
  EXPECT_EQ(examined[0].answer.skipped, "nobody looked");
}

TEST(Examine, SelectsByCheckAndByCode) {
  const Facts facts = TwoFaults();
  const auto codes = [&](const Selection& selection) {
    return AllCodes(Examine(facts, AllChecks(), selection));
  };
  EXPECT_EQ(codes({}),
            (Strings{"environment-file-stale", "mux-directory-missing"}));
  EXPECT_EQ(codes({.only = {"local-agent"}}),
            Strings{"environment-file-stale"});
  EXPECT_EQ(codes({.only = {"mux-directory-missing"}}),
            Strings{"mux-directory-missing"});
  EXPECT_EQ(codes({.skip = {"control-master"}}),
            Strings{"environment-file-stale"});
  EXPECT_EQ(codes({.skip = {"environment-file-stale"}}),
            Strings{"mux-directory-missing"});
}

TEST(Examine, LeavesOutChecksOfWhichNothingIsWanted) {
  EXPECT_EQ(Ids(Examine(TwoFaults(), AllChecks(),
                        {.only = {"mux-directory-missing", "connection"}})),
            (Strings{"control-master", "connection"}));
}

}  // namespace
}  // namespace agentdoctor
