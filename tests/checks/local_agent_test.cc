#include <gtest/gtest.h>

#include "healthy.h"

namespace agentdoctor {
namespace {

using Strings = std::vector<std::string>;

Answer AskLocal(const Facts& facts) { return Ask("local-agent", facts); }

Facts WithState(AgentState state) {
  Facts facts = HealthyFacts();
  facts.near.agents = {DeadAgent(kAgentPath, state)};
  return facts;
}

TEST(LocalAgent, IsQuietWhereTheAgentAnswers) {
  const Answer answer = AskLocal(HealthyFacts());
  EXPECT_EQ(Codes(answer), Strings{});
  EXPECT_EQ(answer.skipped, "");
  EXPECT_EQ(answer.summary, "2 identities at " + kAgentPath);
}

TEST(LocalAgent, IsSkippedWhereTheAgentIsNotKnown) {
  Facts facts = HealthyFacts();
  facts.link.forwarded = Unknown{"ssh rejects the configuration"};
  EXPECT_EQ(AskLocal(facts).skipped, "ssh rejects the configuration");
  facts = HealthyFacts();
  facts.near.agents.clear();
  EXPECT_EQ(AskLocal(facts).skipped,
            "the agent at " + kAgentPath + " was not asked");
}

TEST(LocalAgent, GivesEachStateOfASocketItsCode) {
  const std::vector<std::pair<AgentState, std::string>> states = {
      {AgentState::kMissing, "agent-socket-missing"},
      {AgentState::kPathTooLong, "agent-socket-missing"},
      {AgentState::kRefused, "agent-socket-dead"},
      {AgentState::kDenied, "agent-socket-denied"},
      {AgentState::kDropped, "agent-socket-denied"},
      {AgentState::kNotASocket, "agent-not-a-socket"},
      {AgentState::kSilent, "agent-unresponsive"},
      {AgentState::kMalformed, "agent-protocol-error"},
      {AgentState::kListRefused, "agent-locked"}};
  for (const auto& [state, code] : states) {
    const Answer answer = AskLocal(WithState(state));
    ASSERT_EQ(Codes(answer), Strings{code});
    EXPECT_EQ(answer.findings[0].severity, Severity::kError) << code;
    EXPECT_TRUE(Says(answer.findings[0], kAgentPath)) << code;
    EXPECT_TRUE(Says(answer.findings[0], "SSH_AUTH_SOCK")) << code;
    EXPECT_FALSE(answer.findings[0].fixes.empty()) << code;
  }
}

TEST(LocalAgent, SaysThatNoVariableNamesAnAgent) {
  Facts facts = HealthyFacts();
  facts.link.forwarded =
      AgentChoice{.source = AgentSource::kEnvironment, .text = "SSH_AUTH_SOCK"};
  facts.near.agents.clear();
  const Answer answer = AskLocal(facts);
  ASSERT_EQ(Codes(answer), Strings{"agent-not-running"});
  EXPECT_TRUE(Says(answer.findings[0], "SSH_AUTH_SOCK is not set"));
  EXPECT_EQ(answer.findings[0].fixes.front().shell_lines.front(),
            "eval \"$(ssh-agent)\"");
}

TEST(LocalAgent, NamesTheLineThatSaysIdentityAgentNone) {
  Facts facts = HealthyFacts();
  facts.link.forwarded = AgentChoice{.source = AgentSource::kIdentityAgent,
                                     .text = "none",
                                     .line = Line(9, "IdentityAgent none")};
  const Answer answer = AskLocal(facts);
  ASSERT_EQ(Codes(answer), (Strings{"agent-not-running", "agent-elsewhere"}));
  EXPECT_TRUE(Says(answer.findings[0], "/home/dave/.ssh/config:9"));
}

TEST(LocalAgent, SaysWhichOptionNamesNoAgent) {
  Facts facts = HealthyFacts();
  facts.request.ssh_options = {"-o", "IdentityAgent=none"};
  facts.link.forwarded =
      AgentChoice{.source = AgentSource::kIdentityAgent, .text = "none"};
  const Finding finding = AskLocal(facts).findings.at(0);
  EXPECT_EQ(finding.code, "agent-not-running");
  EXPECT_TRUE(Says(finding, "command line: -o IdentityAgent=none"));
  EXPECT_EQ(finding.fixes.at(0).title, "Leave out \"-o IdentityAgent=none\"");
  EXPECT_EQ(finding.fixes[0].commands.at(0), (Strings{"ssh", "gitlab-runner"}));
  EXPECT_TRUE(finding.fixes.at(1).edits.empty());
  EXPECT_EQ(
      finding.fixes[1].commands.at(0),
      (Strings{"ssh", "-o", "IdentityAgent=" + kAgentPath, "gitlab-runner"}));
}

TEST(LocalAgent, QuotesAPathAsTheConfigurationWantsIt) {
  const std::vector<std::pair<std::string, std::string>> paths = {
      {"/tmp/agent", "/tmp/agent"},
      {"/tmp/my agent", "\"/tmp/my agent\""},
      {"/tmp/it's", "\"/tmp/it's\""},
      {R"(/tmp/a"b\c)", R"("/tmp/a\"b\\c")"},
      {"/tmp/50%", "/tmp/50%%"}};
  for (const auto& [path, quoted] : paths) {
    Facts facts = HealthyFacts();
    facts.link.forwarded = AgentChoice{.source = AgentSource::kIdentityAgent,
                                       .text = "none",
                                       .line = Line(9, "IdentityAgent none")};
    facts.near.agents = {LiveAgent(path, {"work"})};
    EXPECT_EQ(AskLocal(facts).findings.at(0).fixes.at(0).edits.at(0).text,
              "IdentityAgent " + quoted);
  }
}

TEST(LocalAgent, PointsToALiveAgentWithKeysFirst) {
  Facts facts = WithState(AgentState::kRefused);
  facts.near.agents.push_back(LiveAgent("/tmp/other", {"one"}));
  facts.near.agents.push_back(LiveAgent("/tmp/best", {"one", "two"}));
  facts.near.agents.push_back(LiveAgent("/tmp/empty", {}));
  Agent foreign = LiveAgent("/tmp/foreign", {"one", "two", "three"});
  foreign.owner = 1001;
  facts.near.agents.push_back(foreign);
  const Answer answer = AskLocal(facts);
  ASSERT_EQ(Codes(answer), (Strings{"agent-socket-dead", "agent-elsewhere"}));
  const auto& fixes = answer.findings[0].fixes;
  ASSERT_EQ(fixes.size(), 2u);
  EXPECT_EQ(fixes[0].commands[0],
            (Strings{"export", "SSH_AUTH_SOCK=/tmp/best"}));
  EXPECT_EQ(fixes[1].commands[0],
            (Strings{"export", "SSH_AUTH_SOCK=/tmp/other"}));
  EXPECT_FALSE(Says(answer.findings[1], "/tmp/foreign"));
}

TEST(LocalAgent, ChangesTheLineAndNotTheVariableWhereALineChose) {
  Facts facts = WithState(AgentState::kRefused);
  facts.link.forwarded.get()->source = AgentSource::kIdentityAgent;
  facts.link.forwarded.get()->line = Line(9, "IdentityAgent " + kAgentPath);
  facts.near.agents.push_back(LiveAgent("/tmp/other", {"one"}));
  const Answer answer = AskLocal(facts);
  const Fix& fix = answer.findings[0].fixes[0];
  EXPECT_TRUE(fix.commands.empty());
  EXPECT_EQ(fix.edits.at(0).line, 9);
  EXPECT_EQ(fix.edits.at(0).text, "IdentityAgent /tmp/other");
}

TEST(LocalAgent, TellsADanglingLinkFromAMissingFile) {
  Facts facts = WithState(AgentState::kMissing);
  facts.near.agents[0].link_target = "/tmp/gone";
  EXPECT_TRUE(Says(AskLocal(facts).findings[0], "dangling link to /tmp/gone"));
}

TEST(LocalAgent, BlamesTheValueWhereItIsMalformed) {
  Facts facts = HealthyFacts();
  facts.link.forwarded.get()->path = "~/agent";
  facts.near.agents = {DeadAgent("~/agent", AgentState::kMissing)};
  EXPECT_TRUE(Says(AskLocal(facts).findings[0], "tilde"));
}

TEST(LocalAgent, NamesOwnerAndModeWhereAccessIsDenied) {
  Facts facts = WithState(AgentState::kDenied);
  facts.near.agents[0].owner = 0;
  facts.near.agents[0].denied_by = "/run/other (owner 0, mode 0700)";
  const Answer answer = AskLocal(facts);
  EXPECT_TRUE(Says(answer.findings[0], "owner 0, mode 0600"));
  EXPECT_TRUE(Says(answer.findings[0], "/run/other (owner 0, mode 0700)"));
}

TEST(LocalAgent, IsSureOfAHangUpOnlyWhereTheOwnerIsAnother) {
  Facts facts = WithState(AgentState::kDropped);
  EXPECT_EQ(AskLocal(facts).findings[0].certainty, Certainty::kLikely);
  facts.near.agents[0].owner = 1001;
  EXPECT_EQ(AskLocal(facts).findings[0].certainty, Certainty::kProven);
}

TEST(LocalAgent, SaysThatAnEmptyOldAgentMayBeLocked) {
  Facts facts = HealthyFacts();
  facts.near.agents[0].identities.clear();
  const Answer answer = AskLocal(facts);
  ASSERT_EQ(Codes(answer), Strings{"agent-empty"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kError);
  EXPECT_TRUE(Says(answer.findings[0], "ssh-add -X"));
}

TEST(LocalAgent, FillsTheAgentOfMacOsFromTheKeychain) {
  Facts facts = HealthyFacts();
  facts.near.agents[0].identities.clear();
  EXPECT_FALSE(Says(AskLocal(facts).findings[0], "keychain"));
  facts.near.agents[0].product = "launchd";
  const Finding finding = AskLocal(facts).findings[0];
  EXPECT_EQ(finding.fixes[0].commands[0],
            (Strings{"/usr/bin/ssh-add", "--apple-load-keychain"}));
}

TEST(LocalAgent, KnowsAnEmptyAgentFromALockedOneSince10_3) {
  Facts facts = HealthyFacts();
  Agent& agent = facts.near.agents[0];
  agent.identities.clear();
  agent.query = ExtensionAnswer::kSuccess;
  agent.session_bind = ExtensionAnswer::kExtensionFailure;
  EXPECT_EQ(Codes(AskLocal(facts)), Strings{"agent-empty"});
  EXPECT_FALSE(Says(AskLocal(facts).findings[0], "locked"));
  agent.query = ExtensionAnswer::kFailure;
  EXPECT_EQ(Codes(AskLocal(facts)), Strings{"agent-locked"});
  EXPECT_EQ(AskLocal(facts).findings[0].certainty, Certainty::kProven);
}

TEST(LocalAgent, LetsAnEmptyAgentBeFilledBySsh) {
  Facts facts = HealthyFacts();
  facts.near.agents[0].identities.clear();
  for (const char* value : {"true", "ask", "confirm", "3600"}) {
    facts.link.config.get()->values["addkeystoagent"] = Value(value);
    const Answer answer = AskLocal(facts);
    ASSERT_EQ(Codes(answer), Strings{"agent-empty"});
    EXPECT_EQ(answer.findings[0].severity, Severity::kInfo) << value;
  }
  facts.link.config.get()->values["addkeystoagent"] = Value("no");
  EXPECT_EQ(AskLocal(facts).findings[0].severity, Severity::kError);
}

TEST(LocalAgent, MissesTheKeyThatHasToArrive) {
  Facts facts = HealthyFacts();
  facts.request.key = "/home/dave/.ssh/id_deploy";
  facts.request.key_fingerprint = "SHA256:deploy";
  const Answer answer = AskLocal(facts);
  ASSERT_EQ(Codes(answer), Strings{"agent-key-missing"});
  EXPECT_TRUE(Says(answer.findings[0], "SHA256:deploy"));
  EXPECT_EQ(answer.findings[0].fixes.back().commands[0],
            (Strings{"ssh-add", "/home/dave/.ssh/id_deploy"}));

  facts.request.key_fingerprint = "SHA256:work";
  EXPECT_EQ(Codes(AskLocal(facts)), Strings{});
  facts.request.key = "SHA256:home";
  facts.request.key_fingerprint = "";
  EXPECT_EQ(Codes(AskLocal(facts)), Strings{});
  facts.request.key = "/nowhere";
  EXPECT_EQ(AskLocal(facts).skipped,
            "the fingerprint of /nowhere could not be read");
}

TEST(LocalAgent, CountsKeysOnlyAboveFive) {
  Facts facts = HealthyFacts();
  facts.near.agents = {LiveAgent(kAgentPath, {"1", "2", "3", "4", "5"})};
  EXPECT_EQ(Codes(AskLocal(facts)), Strings{});
  facts.near.agents[0].identities.push_back(Key("6"));
  const Answer answer = AskLocal(facts);
  ASSERT_EQ(Codes(answer), Strings{"agent-many-keys"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kInfo);
}

TEST(LocalAgent, WarnsOfACertificateOutsideItsTime) {
  Facts facts = HealthyFacts();
  Identity& key = facts.near.agents[0].identities[0];
  key.certificate = Certificate{
      .key_id = "dave", .valid_after = kNow - 10, .valid_before = kNow + 10};
  EXPECT_EQ(Codes(AskLocal(facts)), Strings{});
  key.certificate->valid_before = kNow;
  Answer answer = AskLocal(facts);
  ASSERT_EQ(Codes(answer), Strings{"agent-cert-expired"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_TRUE(Says(answer.findings[0], "expired on 2026-11-21 10:00 UTC"));
  key.certificate->valid_before = kNow + 10;
  key.certificate->valid_after = kNow + 1;
  answer = AskLocal(facts);
  ASSERT_EQ(Codes(answer), Strings{"agent-cert-expired"});
  EXPECT_TRUE(Says(answer.findings[0], "not valid before"));
}

TEST(LocalAgent, NamesAnAgentThatDropsExtensions) {
  Facts facts = HealthyFacts();
  facts.near.agents[0].session_bind = ExtensionAnswer::kClosed;
  EXPECT_EQ(Codes(AskLocal(facts)), Strings{"agent-drops-extensions"});
  facts.link.version = "OpenSSH_8.8p1";  // does not send session-bind
  EXPECT_EQ(Codes(AskLocal(facts)), Strings{});
}

TEST(LocalAgent, MentionsAnotherAgentOnlyIfItHoldsOtherKeys) {
  Facts facts = HealthyFacts();
  facts.near.agents.push_back(LiveAgent("/tmp/same", {"home"}));
  EXPECT_EQ(Codes(AskLocal(facts)), Strings{});
  facts.near.agents.push_back(LiveAgent("/tmp/other", {"deploy"}));
  const Answer answer = AskLocal(facts);
  ASSERT_EQ(Codes(answer), Strings{"agent-elsewhere"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kInfo);
  EXPECT_EQ(answer.findings[0].fixes[0].commands[0],
            (Strings{"export", "SSH_AUTH_SOCK=/tmp/other"}));
}

TEST(LocalAgent, NamesFilesThatNameADeadAgent) {
  Facts facts = HealthyFacts();
  facts.near.environment_files = {
      {"/home/dave/.ssh/environment", 1, "/tmp/dead", AgentState::kRefused},
      {"/home/dave/.keychain/laptop-sh", 1, "/tmp/live",
       AgentState::kAnswered}};
  const Answer answer = AskLocal(facts);
  ASSERT_EQ(Codes(answer), Strings{"environment-file-stale"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kInfo);
  EXPECT_EQ(answer.findings[0].evidence[0].line, 1);
}

TEST(LocalAgent, LeavesForwardAgentsOwnMissingPathToItsCheck) {
  Facts facts = WithState(AgentState::kMissing);
  facts.link.forwarded.get()->source = AgentSource::kForwardAgent;
  EXPECT_EQ(Codes(AskLocal(facts)), Strings{});
  facts.near.agents[0].state = AgentState::kRefused;
  EXPECT_EQ(Codes(AskLocal(facts)), Strings{"agent-socket-dead"});
  facts.link.forwarded.get()->path.reset();
  EXPECT_EQ(Codes(AskLocal(facts)), Strings{});
}

TEST(LocalAgent, BlamesAHangingAgentThatOnlyLogsIn) {
  Facts facts = HealthyFacts();
  facts.link.forwarded = AgentChoice{.source = AgentSource::kForwardAgent,
                                     .text = "/tmp/forwarded",
                                     .path = "/tmp/forwarded"};
  facts.near.agents = {LiveAgent("/tmp/forwarded", {"work"}),
                       DeadAgent(kAgentPath, AgentState::kSilent)};
  const Answer answer = AskLocal(facts);
  ASSERT_EQ(Codes(answer), Strings{"agent-unresponsive"});
  EXPECT_TRUE(Says(answer.findings[0], kAgentPath));
}

}  // namespace
}  // namespace agentdoctor
