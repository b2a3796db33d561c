#include <gtest/gtest.h>

#include "healthy.h"

namespace agentdoctor {
namespace {

using Strings = std::vector<std::string>;

Answer AskConfig(const Facts& facts) { return Ask("forward-agent", facts); }

Facts NotAsking() {
  Facts facts = HealthyFacts();
  ClientConfig& config = *facts.link.config.get();
  config.forward_agent = false;
  config.forward_agent_line.reset();
  config.values["forwardagent"] = Value("no");
  return facts;
}

Facts NamingAnAgent(const std::string& path) {
  Facts facts = HealthyFacts();
  ClientConfig& config = *facts.link.config.get();
  config.forward_agent_path = path;
  config.forward_agent_line = Line(6, "ForwardAgent " + path);
  facts.link.forwarded = AgentChoice{.source = AgentSource::kForwardAgent,
                                     .text = path,
                                     .path = path,
                                     .line = Line(6, "ForwardAgent " + path)};
  facts.near.agents.push_back(LiveAgent(path, {"work"}));
  return facts;
}

TEST(ForwardAgent, IsQuietWhereAHostAsks) {
  const Answer answer = AskConfig(HealthyFacts());
  EXPECT_EQ(Codes(answer), Strings{});
  EXPECT_EQ(answer.skipped, "");
}

TEST(ForwardAgent, IsSkippedWithoutAConfiguration) {
  Facts facts = HealthyFacts();
  facts.link.config = Unknown{"ssh -G came to no end"};
  EXPECT_EQ(AskConfig(facts).skipped, "ssh -G came to no end");
}

TEST(ForwardAgent, QuotesSshWhereItRejectsTheConfiguration) {
  Facts facts = HealthyFacts();
  ClientConfig config;
  config.error = ConfigError{"Bad configuration option: usekeychain",
                             "/home/dave/.ssh/config", 3};
  facts.link.config = config;
  const Answer answer = AskConfig(facts);
  ASSERT_EQ(Codes(answer), Strings{"config-error"});
  EXPECT_TRUE(Says(answer.findings[0], "/home/dave/.ssh/config:3"));
  EXPECT_TRUE(
      Says(answer.findings[0], "Bad configuration option: usekeychain"));
  // The most frequent one has lines to paste.
  ASSERT_EQ(answer.findings[0].fixes.size(), 1u);
  ASSERT_EQ(answer.findings[0].fixes[0].edits.size(), 1u);
  EXPECT_EQ(answer.findings[0].fixes[0].edits[0].text,
            "IgnoreUnknown UseKeychain");
}

TEST(ForwardAgent, SaysWhereToAskIfNothingDoes) {
  const Answer answer = AskConfig(NotAsking());
  ASSERT_EQ(Codes(answer), Strings{"forwarding-not-requested"});
  const auto& fixes = answer.findings[0].fixes;
  EXPECT_EQ(fixes[0].edits[0].text, "Host gitlab-runner\n  ForwardAgent yes");
  EXPECT_EQ(fixes[1].commands[0], (Strings{"ssh", "-A", "gitlab-runner"}));
}

TEST(ForwardAgent, NamesTheHostOfAUriInItsLines) {
  Facts facts = NotAsking();
  facts.request.destination = "ssh://dave@[2001:db8::1]:2222";
  facts.request.ssh_options = {"-F", "/tmp/config", "-a"};
  const Finding finding = AskConfig(facts).findings[0];
  EXPECT_EQ(finding.code, "forwarding-disabled-by-config");
  facts.request.ssh_options = {"-F", "/tmp/config"};
  const Answer answer = AskConfig(facts);
  EXPECT_EQ(answer.findings[0].fixes[0].edits[0].file, "/tmp/config");
  EXPECT_EQ(answer.findings[0].fixes[0].edits[0].text,
            "Host 2001:db8::1\n  ForwardAgent yes");
}

TEST(ForwardAgent, NamesTheLineThatSaysNo) {
  Facts facts = NotAsking();
  facts.link.config.get()->forward_agent_line =
      Line(4, "ForwardAgent no", "Host *");
  const Answer answer = AskConfig(facts);
  ASSERT_EQ(Codes(answer), Strings{"forwarding-disabled-by-config"});
  EXPECT_EQ(answer.findings[0].evidence[0].line, 4);
}

TEST(ForwardAgent, TakesALaterNoForADisabledOneStill) {
  Facts facts = NotAsking();
  facts.link.config.get()->forward_agent_line = Line(4, "ForwardAgent no");
  facts.link.config.get()->forward_agent_shadowed = {
      Line(9, "ForwardAgent=no", "Host *")};
  EXPECT_EQ(Codes(AskConfig(facts)), Strings{"forwarding-disabled-by-config"});
}

TEST(ForwardAgent, NamesBothLinesWhereAnEarlierOneWon) {
  Facts facts = NotAsking();
  facts.link.config.get()->forward_agent_line =
      Line(2, "ForwardAgent no", "Host git*");
  facts.link.config.get()->forward_agent_shadowed = {
      Line(12, "ForwardAgent yes"),
      Line(20, "ForwardAgent /tmp/agent", "Host *")};
  const Answer answer = AskConfig(facts);
  ASSERT_EQ(Codes(answer), Strings{"forward-agent-shadowed"});
  const Finding& finding = answer.findings[0];
  EXPECT_TRUE(Says(finding, "config:2"));
  EXPECT_TRUE(Says(finding, "config:12"));
  EXPECT_TRUE(Says(finding, "Host git*"));
  EXPECT_TRUE(Says(finding, "Host gitlab-runner"));
  EXPECT_EQ(finding.evidence.size(), 3u);
}

TEST(ForwardAgent, BlamesTheCommandLineForItsOwnNo) {
  Facts facts = NotAsking();
  facts.request.ssh_options = {"-a"};
  facts.link.config.get()->forward_agent_shadowed = {
      Line(12, "ForwardAgent yes")};
  const Answer answer = AskConfig(facts);
  ASSERT_EQ(Codes(answer), Strings{"forwarding-disabled-by-config"});
  EXPECT_TRUE(Says(answer.findings[0], "command line"));
  EXPECT_TRUE(Says(answer.findings[0], "config:12"));
  EXPECT_EQ(answer.findings[0].fixes[0].commands[0],
            (Strings{"ssh", "gitlab-runner"}));
}

TEST(ForwardAgent, SaysWhichOptionToLeaveOut) {
  Facts facts = NotAsking();
  facts.request.ssh_options = {"-p", "22", "-o", "ForwardAgent=no"};
  facts.link.config.get()->forward_agent_shadowed = {
      Line(12, "ForwardAgent yes")};
  const Finding finding = AskConfig(facts).findings.at(0);
  EXPECT_TRUE(Says(finding, "-o ForwardAgent=no"));
  EXPECT_EQ(finding.fixes[0].title, "Leave out \"-o ForwardAgent=no\"");
  EXPECT_EQ(finding.fixes[0].commands[0],
            (Strings{"ssh", "-p", "22", "gitlab-runner"}));
  // Where the file itself says no first, that is not enough.
  facts.link.config.get()->forward_agent_shadowed = {
      Line(2, "ForwardAgent no"), Line(12, "ForwardAgent yes")};
  EXPECT_EQ(AskConfig(facts).findings.at(0).fixes[0].commands[0],
            (Strings{"ssh", "-A", "-p", "22", "gitlab-runner"}));
}

TEST(ForwardAgent, PointsToTheAliasThatAsks) {
  Facts facts = NotAsking();
  facts.link.config.get()->other_aliases = {
      {"runner", Line(8, "ForwardAgent yes", "Host runner")}};
  const Answer answer = AskConfig(facts);
  ASSERT_EQ(Codes(answer),
            (Strings{"forwarding-not-requested", "host-alias-mismatch"}));
  EXPECT_EQ(answer.findings[1].severity, Severity::kInfo);
  EXPECT_EQ(answer.findings[1].fixes[0].commands[0],
            (Strings{"ssh", "runner"}));
  EXPECT_EQ(answer.findings[1].fixes[1].edits[0].text,
            "Host runner gitlab-runner");
}

TEST(ForwardAgent, SaysThatItsVariableIsUnset) {
  Facts facts = NamingAnAgent("$MY_AGENT");
  facts.link.forwarded.get()->path.reset();
  const Answer answer = AskConfig(facts);
  ASSERT_EQ(Codes(answer), Strings{"forward-agent-socket-unset"});
  EXPECT_TRUE(Says(answer.findings[0], "$MY_AGENT"));
  EXPECT_TRUE(Says(answer.findings[0], "config:6"));
}

TEST(ForwardAgent, SaysThatItsPathDoesNotExist) {
  Facts facts = NamingAnAgent("/tmp/gone");
  facts.near.agents.back().state = AgentState::kMissing;
  EXPECT_EQ(Codes(AskConfig(facts)), Strings{"forward-agent-socket-missing"});
  facts.near.agents.back().state = AgentState::kRefused;  // agent-socket-dead
  EXPECT_EQ(Codes(AskConfig(facts)), Strings{});
}

TEST(ForwardAgent, RecognisesTeleportsWord) {
  Facts facts = NamingAnAgent("local");
  facts.near.agents.back().state = AgentState::kMissing;
  const Answer answer = AskConfig(facts);
  ASSERT_EQ(Codes(answer), Strings{"forward-agent-socket-missing"});
  EXPECT_TRUE(Says(answer.findings[0], "Teleport"));
}

TEST(ForwardAgent, NeedsThePrimaryAgentEvenForANamedOne) {
  for (const AgentState state :
       {AgentState::kMissing, AgentState::kRefused, AgentState::kDenied}) {
    Facts facts = NamingAnAgent("/tmp/live");
    facts.near.agents[0].state = state;
    EXPECT_EQ(Codes(AskConfig(facts)),
              Strings{"forward-agent-primary-missing"});
  }
  Facts facts = NamingAnAgent("/tmp/live");
  facts.link.primary = AgentChoice{.source = AgentSource::kIdentityAgent,
                                   .text = "none",
                                   .line = Line(9, "IdentityAgent none")};
  const Answer answer = AskConfig(facts);
  ASSERT_EQ(Codes(answer), Strings{"forward-agent-primary-missing"});
  EXPECT_TRUE(Says(answer.findings[0], "IdentityAgent"));
  EXPECT_EQ(answer.findings[0].fixes[0].edits[0].text,
            "IdentityAgent /tmp/live");
  // ssh only connects, so a hanging agent passes.
  facts = NamingAnAgent("/tmp/live");
  facts.near.agents[0].state = AgentState::kSilent;
  EXPECT_EQ(Codes(AskConfig(facts)), Strings{});
}

TEST(ForwardAgent, LetsTheSameAgentLogInWhereThatIsDecided) {
  Facts facts = NamingAnAgent("/tmp/my agent");
  // SSH_AUTH_SOCK decides: any line of one's own wins, or the variable itself.
  facts.near.agents[0].state = AgentState::kMissing;
  std::vector<Fix> fixes = AskConfig(facts).findings.at(0).fixes;
  ASSERT_EQ(fixes.size(), 2u);
  EXPECT_EQ(fixes[0].edits.at(0).line, 6);
  EXPECT_FALSE(fixes[0].edits[0].replaces);
  EXPECT_EQ(fixes[0].edits[0].text, "IdentityAgent \"/tmp/my agent\"");
  EXPECT_EQ(fixes[1].commands.at(0),
            (Strings{"export", "SSH_AUTH_SOCK=/tmp/my agent"}));
  // A line for this host gives way; the variable would not be looked at.
  facts.link.primary = AgentChoice{.source = AgentSource::kIdentityAgent,
                                   .text = "/nope",
                                   .path = "/nope",
                                   .line = Line(3, "IdentityAgent /nope")};
  facts.near.agents.push_back(DeadAgent("/nope", AgentState::kMissing));
  fixes = AskConfig(facts).findings.at(0).fixes;
  ASSERT_EQ(fixes.size(), 1u);
  EXPECT_EQ(fixes[0].edits.at(0).line, 3);
  EXPECT_TRUE(fixes[0].edits[0].replaces);
  // A line for many hosts stays, below one for this host.
  facts.link.primary.get()->line = Line(3, "IdentityAgent /nope", "Host *");
  fixes = AskConfig(facts).findings.at(0).fixes;
  ASSERT_EQ(fixes.size(), 1u);
  EXPECT_EQ(fixes[0].edits.at(0).line, 1);
  EXPECT_FALSE(fixes[0].edits[0].replaces);
  EXPECT_EQ(fixes[0].edits[0].text,
            "Host gitlab-runner\n  IdentityAgent \"/tmp/my agent\"");
  // No file wins against the command line.
  facts.request.ssh_options = {"-A", "-o", "IdentityAgent=/nope"};
  facts.link.primary.get()->line.reset();
  const Finding finding = AskConfig(facts).findings.at(0);
  EXPECT_TRUE(Says(finding, "command line: -o IdentityAgent=/nope"));
  ASSERT_EQ(finding.fixes.size(), 1u);
  EXPECT_TRUE(finding.fixes[0].edits.empty());
  EXPECT_EQ(finding.fixes[0].commands.at(0),
            (Strings{"ssh", "-A", "-o", "IdentityAgent=\"/tmp/my agent\"",
                     "gitlab-runner"}));
}

TEST(ForwardAgent, ChangesTheCommandLineWhereItNamesTheAgent) {
  Facts facts = NamingAnAgent("$NOPE");
  facts.request.ssh_options = {"-o", "forwardagent $NOPE"};
  facts.link.config.get()->forward_agent_line.reset();
  facts.link.forwarded.get()->line.reset();
  facts.link.forwarded.get()->path.reset();
  const Finding finding = AskConfig(facts).findings.at(0);
  EXPECT_EQ(finding.code, "forward-agent-socket-unset");
  EXPECT_TRUE(Says(finding, "command line: -o forwardagent $NOPE"));
  EXPECT_TRUE(finding.fixes.at(1).edits.empty());
  EXPECT_EQ(finding.fixes[1].commands.at(0),
            (Strings{"ssh", "-o", "ForwardAgent=yes", "gitlab-runner"}));
}

TEST(ForwardAgent, WarnsWhereEveryHostIsForwardedTo) {
  const std::vector<std::pair<std::string, bool>> scopes = {
      {"Host *", true},           {"", true},
      {"Match all", true},        {"Match final all", true},
      {"Host * !bastion", true},  {"Host web*", false},
      {"Match user dave", false}, {"Match final host web", false}};
  for (const auto& [scope, warns] : scopes) {
    Facts facts = HealthyFacts();
    facts.link.config.get()->forward_agent_line =
        Line(6, "ForwardAgent yes", scope);
    const Answer answer = AskConfig(facts);
    EXPECT_EQ(Codes(answer),
              warns ? Strings{"forward-agent-global"} : Strings{})
        << scope;
    if (warns) {
      EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
    }
  }
}

TEST(ForwardAgent, NamesVsCodesOwnSetting) {
  Facts facts = HealthyFacts();
  facts.near.vscode_forwarding_off = EnvironmentFileLine{
      .file = "/home/dave/.config/Code/settings.json", .line = 7};
  const Answer answer = AskConfig(facts);
  ASSERT_EQ(Codes(answer), Strings{"vscode-forwarding-off"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_EQ(answer.findings[0].evidence[0].line, 7);
}

TEST(ForwardAgent, LearnsAHiddenFlagFromTheSession) {
  Facts facts = NamingAnAgent("/tmp/live");
  facts.link.config.get()->forward_agent = Unknown{"a path hides the flag"};
  EXPECT_EQ(AskConfig(facts).skipped, "");
  facts.link.session.get()->transcript.forwarding_requested = false;
  EXPECT_EQ(Codes(AskConfig(facts)).front(), "forwarding-disabled-by-config");
  // A primary agent that is gone turns the flag off as well.
  facts.near.agents[0].state = AgentState::kMissing;
  EXPECT_EQ(Codes(AskConfig(facts)), Strings{"forward-agent-primary-missing"});
  facts.near.agents[0].state = AgentState::kAnswered;
  facts.link.session = Unknown{"not made"};
  EXPECT_EQ(AskConfig(facts).skipped, "a path hides the flag");
}

}  // namespace
}  // namespace agentdoctor
