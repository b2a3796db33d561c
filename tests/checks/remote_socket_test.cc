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

/// What is suggested for a line that acts in every shell.
Fix GuardOf(StartupLine line, const std::string& shell = "/bin/bash") {
  Facts facts = OverriddenFacts(DeadAgent("/tmp/other", AgentState::kMissing));
  facts.far.shell = shell;
  facts.far.startup_lines = std::vector<StartupLine>{std::move(line)};
  return AskSocket(facts).findings.at(0).fixes.at(0);
}

TEST(RemoteSocket, GuardsInTheSyntaxOfTheShell) {
  StartupLine line = kBashrc;
  EXPECT_EQ(GuardOf(line).edits.at(0).text,
            "if [ -z \"$SSH_CONNECTION\" ] || [ ! -S \"$SSH_AUTH_SOCK\" ]; "
            "then\n  export SSH_AUTH_SOCK=/tmp/other\nfi");
  line.file = "/home/fisher/.config/fish/config.fish";
  line.text = "set -gx SSH_AUTH_SOCK /tmp/other";
  EXPECT_EQ(GuardOf(line).edits.at(0).text,
            "if not set -q SSH_CONNECTION; or not test -S "
            "\"$SSH_AUTH_SOCK\"\n    set -gx SSH_AUTH_SOCK /tmp/other\nend");
  line.file = "/home/fisher/.tcshrc";
  line.text = "setenv SSH_AUTH_SOCK /tmp/other";
  EXPECT_EQ(GuardOf(line).edits.at(0).text,
            "if (! $?SSH_CONNECTION || ! $?SSH_AUTH_SOCK) then\n"
            "  setenv SSH_AUTH_SOCK /tmp/other\nendif");
}

TEST(RemoteSocket, TearsNoCommandApart) {
  StartupLine line = kBashrc;
  for (const std::string text :
       {"[ -x /usr/bin/ssh-agent ] &&", "if eval $(ssh-agent); then",
        "eval $(ssh-agent) \\"}) {
    line.text = text;
    const Edit edit = GuardOf(line).edits.at(0);
    EXPECT_FALSE(edit.replaces) << text;
    EXPECT_NE(edit.text.find("# from line 2: " + text), std::string::npos);
  }
}

TEST(RemoteSocket, KnowsTheGuardsOfOhMyZsh) {
  StartupLine line{.file = "/home/dave/.zshrc",
                   .line = 7,
                   .text = "plugins=(git ssh-agent)",
                   .effect = StartupEffect::kStartsAgent};
  Edit edit = GuardOf(line, "/bin/zsh").edits.at(0);
  EXPECT_EQ(edit.text, "zstyle :omz:plugins:ssh-agent agent-forwarding yes");
  EXPECT_EQ(edit.line, 7);
  EXPECT_FALSE(edit.replaces);
  // Not into the middle of the list.
  line.text = "plugins=(... ssh-agent ...)";
  EXPECT_EQ(GuardOf(line, "/bin/zsh").edits.at(0).line, 0);
  line.text = "plugins=(gpg-agent)";
  EXPECT_NE(GuardOf(line, "/bin/zsh")
                .edits.at(0)
                .text.find("|| plugins+=(gpg-agent)"),
            std::string::npos);
}

TEST(RemoteSocket, NamesTheLineWithThatValueFirst) {
  Facts facts = OverriddenFacts(DeadAgent("/tmp/other", AgentState::kMissing));
  StartupLine first = kBashrc;
  first.line = 1;
  first.text = "export SSH_AUTH_SOCK=/tmp/first";
  StartupLine systemd = kBashrc;
  systemd.file = "/home/dave/.config/environment.d/agent.conf";
  systemd.text = "SSH_AUTH_SOCK=/tmp/systemd";
  systemd.scope = StartupScope::kSession;
  facts.far.startup_lines = std::vector<StartupLine>{systemd, first, kBashrc};
  const Finding finding = AskSocket(facts).findings.at(0);
  EXPECT_NE(finding.summary.find("/home/dave/.bashrc:2"), std::string::npos);
  EXPECT_FALSE(Says(finding, "environment.d"));
}

TEST(RemoteSocket, SaysWhereItLookedInVain) {
  Facts facts = OverriddenFacts(DeadAgent("/tmp/other", AgentState::kMissing));
  facts.far.startup_lines = std::vector<StartupLine>{};
  facts.far.shell = std::string("/usr/bin/zsh");
  Finding finding = AskSocket(facts).findings.at(0);
  EXPECT_TRUE(Says(finding, "No line that does it was found"));
  EXPECT_TRUE(Says(finding, ".zshenv"));
  EXPECT_NE(finding.fixes.at(0).shell_lines.at(0).find("zsh -xlic"),
            std::string::npos);
  facts.far.startup_lines = Unknown{"there is no grep"};
  finding = AskSocket(facts).findings.at(0);
  EXPECT_TRUE(Says(finding, "there is no grep"));
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

// sshd 10.1 and later: no name tells whose socket it is.
TEST(RemoteSocket, TakesAYoungerSocketWithTheSameKeysForThatOfTheSession) {
  const std::string younger = "/home/dave/.ssh/agent/s.AbC.sshd.xYz";
  Facts facts = OverriddenFacts(DeadAgent("/tmp/other", AgentState::kMissing));
  facts.far.initial_auth_sock = facts.far.auth_sock;
  facts.far.connection_sockets = Unknown{"there are younger sockets"};
  facts.far.younger_sockets = {younger};
  facts.far.agents[0] = LiveAgent(younger, {"work", "home"});
  const Answer answer = AskSocket(facts);
  ASSERT_EQ(Codes(answer), Strings{"remote-env-overridden"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kLikely);
  EXPECT_TRUE(Says(answer.findings[0], younger));
  EXPECT_NE(answer.findings[0].explanation.find("does not show"),
            std::string::npos);

  facts.far.agents[0] = LiveAgent(younger, {"another's"});
  EXPECT_EQ(Codes(AskSocket(facts)), Strings{"remote-socket-dead"});
  facts.far.agents[0] = LiveAgent(younger, {"work", "home"});
  facts.far.younger_sockets.clear();
  EXPECT_EQ(Codes(AskSocket(facts)), Strings{"remote-socket-dead"});
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
