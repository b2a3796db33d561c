// Findings about PuTTY speak of its settings and menus.
#include "putty.h"

#include <gtest/gtest.h>

#include <string>

#include "words.h"

namespace agentdoctor::checks {
namespace {

Facts PuttyFacts() {
  Facts facts;
  facts.request = {.destination = "web 1",
                   .client = "putty",
                   .ssh_options = {"-p", "2222", "-A"},
                   .ssh = "plink"};
  facts.link.client = "putty";
  ClientConfig config;
  config.named = true;
  config.forward_agent = false;
  facts.link.config = config;
  return facts;
}

TEST(PuttyWords, NameItsProgramAndItsOptions) {
  const Facts facts = PuttyFacts();
  EXPECT_EQ(Ssh(facts),
            (std::vector<std::string>{"plink", "-P", "2222", "web 1"}));
  EXPECT_EQ(SshSource(facts, "-v"), "plink -v web 1");
}

TEST(PuttyWords, NameTheLineOrTheDefault) {
  Facts facts = PuttyFacts();
  Answer answer = JudgePuttySettings(facts, *facts.link.config);
  ASSERT_EQ(answer.findings.size(), 1U);
  EXPECT_EQ(answer.findings[0].code, "forwarding-not-requested");
  EXPECT_EQ(answer.findings[0].evidence.at(0).text, "AgentFwd=0 (by default)");

  const ConfigLine line{.file = "/home/dave/.putty/sessions/web%201",
                        .line = 42,
                        .text = "AgentFwd=0",
                        .scope = "session web 1"};
  ClientConfig config = *facts.link.config;
  config.forward_agent_line = line;
  config.values["agentfwd"] = {
      .values = {"0"}, .origin = ConfigOrigin::kFile, .winner = line};
  facts.link.config = config;
  answer = JudgePuttySettings(facts, config);
  ASSERT_EQ(answer.findings.size(), 1U);
  const Finding& finding = answer.findings[0];
  EXPECT_EQ(finding.evidence.at(0).line, 42);
  EXPECT_NE(finding.summary.find("web%201:42"), std::string::npos);
  ASSERT_EQ(finding.fixes.at(0).edits.size(), 1U);
  EXPECT_EQ(finding.fixes[0].edits[0].text, "AgentFwd=1");
  EXPECT_EQ(finding.fixes.at(1).commands.at(0),
            (std::vector<std::string>{"plink", "-A", "-P", "2222", "web 1"}));
}

TEST(PuttyWords, LeaveAnUpstreamToAPerson) {
  const Fix fix =
      CloseUpstream(PuttyFacts(), Master{.host = "web 1", .pid = 6192});
  EXPECT_EQ(fix.safety, Safety::kManual);
  EXPECT_TRUE(fix.commands.empty());
  EXPECT_NE(fix.title.find("pid 6192"), std::string::npos);
}

TEST(PuttyWords, OfAFaultAreNotOpenSshs) {
  Finding finding{.code = "host-key-changed",
                  .fixes = {{.commands = {{"ssh-keygen", "-R", "h"}}}}};
  SpeakOfPutty(PuttyFacts(), finding);
  ASSERT_EQ(finding.fixes.size(), 1U);
  EXPECT_EQ(finding.fixes[0].commands.at(0).at(0), "plink");
}

}  // namespace
}  // namespace agentdoctor::checks
