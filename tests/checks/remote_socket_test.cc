#include <gtest/gtest.h>

#include "healthy.h"

namespace agentdoctor {
namespace {

using Strings = std::vector<std::string>;

Answer AskSocket(const Facts& facts) { return Ask("remote-socket", facts); }

const StartupLine kBashrc{.file = "/home/dave/.bashrc",
                          .line = 2,
                          .text = "export SSH_AUTH_SOCK=/tmp/other",
                          .scope = StartupScope::kEveryShell};

/// The shell names another socket than the one that sshd made.
Facts OverriddenFacts(const Agent& agent) {
  Facts facts = HealthyFacts();
  facts.far.auth_sock = std::optional<std::string>(agent.path);
  facts.far.agents.push_back(agent);
  facts.far.startup_lines = std::vector<StartupLine>{kBashrc};
  return facts;
}

TEST(RemoteSocket, IsQuietWhereTheForwardedAgentAnswers) {
  const Answer answer = AskSocket(HealthyFacts());
  EXPECT_EQ(Codes(answer), Strings{});
  EXPECT_EQ(answer.skipped, "");
  EXPECT_EQ(answer.summary, "2 identities at " + kFarSocket);
  EXPECT_EQ(Codes(AskSocket(SharedFacts())), Strings{});
}

TEST(RemoteSocket, IsSkippedWithoutAProbeOrAnAgent) {
  EXPECT_EQ(AskSocket(FaultFacts("connection-refused", "refused")).skipped,
            "no session came about");
  Facts facts = HealthyFacts();
  RemoveFarAgent(facts);
  EXPECT_NE(AskSocket(facts).skipped.find("SSH_AUTH_SOCK is not set"),
            std::string::npos);
  facts = HealthyFacts();
  facts.far.agents.clear();
  facts.far.agents_not_asked[kFarSocket] = "nothing there can ask it";
  EXPECT_NE(AskSocket(facts).skipped.find("nothing there can ask it"),
            std::string::npos);
}

TEST(RemoteSocket, NamesTheLineThatReplacedTheVariable) {
  const Answer answer =
      AskSocket(OverriddenFacts(DeadAgent("/tmp/other", AgentState::kMissing)));
  ASSERT_EQ(Codes(answer), Strings{"remote-env-overridden"});
  const Finding& finding = answer.findings[0];
  EXPECT_EQ(finding.severity, Severity::kError);
  EXPECT_EQ(finding.certainty, Certainty::kProven);
  EXPECT_TRUE(Says(finding, "/home/dave/.bashrc:2"));
  EXPECT_TRUE(Says(finding, kFarSocket));
  EXPECT_EQ(finding.fixes[0].edits[0].file, "/home/dave/.bashrc");
}

TEST(RemoteSocket, SeesAnAgentOfTheHostsOwnInItsPlace) {
  for (const Strings& keys : {Strings{}, Strings{"server-key"}})
    EXPECT_EQ(Codes(AskSocket(OverriddenFacts(LiveAgent("/tmp/other", keys)))),
              Strings{"remote-env-overridden"});
}

TEST(RemoteSocket, TakesALinkToTheForwardedAgentForHealthy) {
  Agent link = LiveAgent("/home/dave/.ssh/ssh_auth_sock", {"work", "home"});
  EXPECT_EQ(Codes(AskSocket(OverriddenFacts(link))), Strings{});
  link = LiveAgent("/home/dave/.ssh/ssh_auth_sock", {});
  link.link_target = kFarSocket;
  Facts facts = OverriddenFacts(link);
  facts.far.agents[0].identities.clear();
  facts.near.agents[0].identities.clear();
  EXPECT_EQ(Codes(AskSocket(facts)), Strings{});
}

TEST(RemoteSocket, SeesAVariableThatWasReplacedBeforeTheShell) {
  Facts facts = OverriddenFacts(DeadAgent("/tmp/other", AgentState::kRefused));
  facts.far.initial_auth_sock = facts.far.auth_sock;  // PAM, SetEnv, ...
  const Answer answer = AskSocket(facts);
  ASSERT_EQ(Codes(answer), Strings{"remote-env-overridden"});
  EXPECT_FALSE(Says(answer.findings[0], ".bashrc"));
  EXPECT_NE(answer.findings[0].fixes[0].title.find("SetEnv in sshd_config"),
            std::string::npos);
  EXPECT_TRUE(answer.findings[0].fixes[0].edits.empty());
}

TEST(RemoteSocket, ClaimsNoSocketOfSshdThatNobodySaw) {
  Facts facts = OverriddenFacts(LiveAgent("/tmp/other", {"server-key"}));
  facts.far.initial_auth_sock = Unknown{"there is no /proc"};
  facts.far.connection_sockets = Unknown{"no sshd is seen above the shell"};
  EXPECT_EQ(Codes(AskSocket(facts)), Strings{});
  EXPECT_NE(AskSocket(facts).skipped, "");
}

TEST(RemoteSocket, SeesAVariableThatWasCleared) {
  Facts facts = HealthyFacts();
  facts.far.auth_sock = std::optional<std::string>();
  Answer answer = AskSocket(facts);
  ASSERT_EQ(Codes(answer), Strings{"remote-env-cleared"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kProven);
  facts.far.auth_sock = std::optional<std::string>("");  // empty is unset
  EXPECT_EQ(Codes(AskSocket(facts)), Strings{"remote-env-cleared"});
  facts.far.initial_auth_sock = Unknown{"there is no /proc"};
  EXPECT_EQ(AskSocket(facts).findings[0].certainty, Certainty::kLikely);
}

TEST(RemoteSocket, CallsADeadSocketOfSshdDead) {
  for (const AgentState state : {AgentState::kDropped, AgentState::kMissing,
                                 AgentState::kRefused, AgentState::kSilent}) {
    Facts facts = HealthyFacts();
    facts.far.agents[0] = DeadAgent(kFarSocket, state);
    const Answer answer = AskSocket(facts);
    ASSERT_EQ(Codes(answer), Strings{"remote-socket-dead"});
    EXPECT_TRUE(Says(answer.findings[0], kFarSocket));
  }
}

TEST(RemoteSocket, ComparesKeysByFingerprint) {
  Facts facts = HealthyFacts();
  facts.far.agents[0] = LiveAgent(kFarSocket, {"work"});
  Answer answer = AskSocket(facts);
  ASSERT_EQ(Codes(answer), Strings{"remote-keys-differ"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kInfo);
  EXPECT_TRUE(Says(answer.findings[0], "SHA256:home"));
  facts.far.agents[0] = LiveAgent(kFarSocket, {"work", "home", "stranger"});
  answer = AskSocket(facts);
  ASSERT_EQ(Codes(answer), Strings{"remote-keys-differ"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_TRUE(Says(answer.findings[0], "SHA256:stranger"));
}

TEST(RemoteSocket, LeavesOtherKeysOfAMasterToItsCheck) {
  Facts facts = SharedFacts();
  facts.far.agents[0] = LiveAgent(kFarSocket, {"stranger"});
  EXPECT_EQ(Codes(AskSocket(facts)), Strings{});
}

TEST(RemoteSocket, WarnsOfStartUpFilesOfOtherShells) {
  Facts facts = HealthyFacts();
  StartupLine line{.file = "/home/dave/.bashrc",
                   .line = 9,
                   .text = "eval \"$(ssh-agent)\"",
                   .scope = StartupScope::kInteractive,
                   .effect = StartupEffect::kStartsAgent};
  facts.far.startup_lines = std::vector<StartupLine>{line};
  const Answer answer = AskSocket(facts);
  ASSERT_EQ(Codes(answer), Strings{"remote-env-overridden"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kLikely);
  EXPECT_EQ(answer.findings[0].evidence[0].line, 9);

  line.guarded = true;
  facts.far.startup_lines = std::vector<StartupLine>{line};
  EXPECT_EQ(Codes(AskSocket(facts)), Strings{});
  line.guarded = false;
  line.effect = StartupEffect::kSets;
  line.text = "export SSH_AUTH_SOCK=~/.ssh/ssh_auth_sock";  // the recipe
  facts.far.startup_lines = std::vector<StartupLine>{line};
  EXPECT_EQ(Codes(AskSocket(facts)), Strings{});
  // What acts in every shell has been seen to do no harm.
  facts.far.startup_lines = std::vector<StartupLine>{kBashrc};
  EXPECT_EQ(Codes(AskSocket(facts)), Strings{});
}

TEST(RemoteSocket, WarnsWhereSshThereIgnoresTheAgent) {
  Facts facts = HealthyFacts();
  facts.far.identity_agent = std::string("/tmp/1password.sock");
  Answer answer = AskSocket(facts);
  ASSERT_EQ(Codes(answer), Strings{"remote-identity-agent"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_TRUE(Says(answer.findings[0], "/tmp/1password.sock"));
  for (const std::string& value : {std::string("SSH_AUTH_SOCK"), kFarSocket}) {
    facts.far.identity_agent = value;
    EXPECT_EQ(Codes(AskSocket(facts)), Strings{});
  }
  facts.far.identity_agent = Unknown{"there is no ssh"};
  EXPECT_EQ(Codes(AskSocket(facts)), Strings{});
}

}  // namespace
}  // namespace agentdoctor
