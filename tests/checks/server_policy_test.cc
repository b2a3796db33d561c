#include <gtest/gtest.h>

#include "healthy.h"

namespace agentdoctor {
namespace {

using Strings = std::vector<std::string>;

Answer AskServer(const Facts& facts) { return Ask("server-policy", facts); }

/// A fresh session that asked for forwarding and got none.
Facts RefusedFacts() {
  Facts facts = HealthyFacts();
  RemoveFarAgent(facts);
  return facts;
}

Facts ForcedFacts() {
  Facts facts = HealthyFacts();
  facts.link.session.get()->end = SessionEnd::kNoProbe;
  facts.link.session.get()->output_head = "Welcome to GitLab";
  facts.far = {};
  facts.link.control = GrantedControl(facts);
  return facts;
}

TEST(ServerPolicy, IsQuietWhereSshdMadeASocket) {
  EXPECT_EQ(Codes(AskServer(HealthyFacts())), Strings{});
  EXPECT_EQ(AskServer(HealthyFacts()).skipped, "");
  EXPECT_EQ(Codes(AskServer(SharedFacts())), Strings{});
  EXPECT_EQ(AskServer(SharedFacts()).skipped, "");
  EXPECT_EQ(AskServer(StaleMasterFacts()).summary,
            "the server grants forwarding");
}

TEST(ServerPolicy, IsSkippedWithoutALogin) {
  EXPECT_EQ(AskServer(FaultFacts("connection-refused", "refused")).skipped,
            "no session came about");
  Facts facts = RefusedFacts();
  facts.link.session.get()->transcript.forwarding_requested = false;
  EXPECT_EQ(AskServer(facts).skipped, "forwarding was not requested");
  facts = StaleMasterFacts();
  facts.link.control = NotNeeded{"--control never"};
  EXPECT_EQ(AskServer(facts).skipped, "not needed, because --control never");
}

TEST(ServerPolicy, IsLikelyToDenyWhatAFreshSessionDidNotGet) {
  const Answer answer = AskServer(RefusedFacts());
  ASSERT_EQ(Codes(answer), Strings{"server-denies-forwarding"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kLikely);
  EXPECT_EQ(answer.findings[0].fixes[0].edits[0].text,
            "AllowAgentForwarding yes");
}

TEST(ServerPolicy, IsNotProvenWhereTheServerSaysNothingOfTheKey) {
  Facts facts = StaleMasterFacts();
  Control& control = *facts.link.control.get();
  control.granted = false;
  control.transcript.server_version = "dropbear_2022.83";
  const Answer answer = AskServer(facts);
  ASSERT_EQ(Codes(answer), Strings{"server-denies-forwarding"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kLikely);
}

TEST(ServerPolicy, TellsEachSoftwareWhatItUnderstands) {
  Facts facts = RefusedFacts();
  Transcript& transcript = facts.link.session.get()->transcript;
  transcript.key_options.clear();
  transcript.server_version = "dropbear_2022.83";
  Finding finding = AskServer(facts).findings.at(0);
  EXPECT_EQ(finding.code, "server-denies-forwarding");
  EXPECT_TRUE(Says(finding, "dropbear handed over no agent socket"));
  EXPECT_FALSE(Says(finding, "AllowAgentForwarding"));
  for (const Fix& fix : finding.fixes) EXPECT_TRUE(fix.edits.empty());

  transcript.server_version = "Cisco-1.25";
  finding = AskServer(facts).findings.at(0);
  EXPECT_EQ(finding.certainty, Certainty::kLikely);
  EXPECT_FALSE(Says(finding, "sshd"));
  for (const Fix& fix : finding.fixes) EXPECT_TRUE(fix.edits.empty());
}

TEST(ServerPolicy, DoesNotLockOutTheKeysOfDropbear) {
  Facts facts = RefusedFacts();
  facts.link.session.get()->transcript.server_version = "dropbear_2022.83";
  facts.link.session.get()->transcript.key_options.clear();
  facts.link.control = GrantedControl(facts);
  Control& control = *facts.link.control.get();
  control.granted = false;
  control.transcript.server_version = "dropbear_2022.83";
  control.transcript.key_options = {
      {.source = "/home/dave/.ssh/authorized_keys:3", .options = "restrict"}};
  const Answer answer = AskServer(facts);
  ASSERT_EQ(Codes(answer), Strings{"key-denies-forwarding"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kProven);
  EXPECT_EQ(answer.findings[0].evidence[0].line, 3);
  // dropbear refuses a key with an option that it does not know.
  EXPECT_EQ(answer.findings[0].fixes[0].title.find("add `agent-forwarding`"),
            std::string::npos);
}

TEST(ServerPolicy, IsNotProvenWhereAnOldServerIsSilentAboutCertificates) {
  Facts facts = StaleMasterFacts();
  Control& control = *facts.link.control.get();
  control.granted = false;
  control.transcript.key_options.clear();
  control.transcript.accepted_certificate = true;
  for (const auto& [version, certainty] :
       {std::pair{"OpenSSH_7.4", Certainty::kLikely},
        {"OpenSSH_7.7", Certainty::kProven}}) {
    control.transcript.server_version = version;
    const Answer answer = AskServer(facts);
    ASSERT_EQ(Codes(answer), Strings{"server-denies-forwarding"});
    EXPECT_EQ(answer.findings[0].certainty, certainty) << version;
  }
}

TEST(ServerPolicy, IsProvenByTheServersOwnAnswer) {
  Facts facts = StaleMasterFacts();
  facts.link.control.get()->granted = false;
  const Answer answer = AskServer(facts);
  ASSERT_EQ(Codes(answer), Strings{"server-denies-forwarding"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kProven);
  EXPECT_TRUE(Says(answer.findings[0], "FAILURE"));
}

TEST(ServerPolicy, NamesTheLinesOfSshdConfigWhereTheyCanBeRead) {
  Facts facts = RefusedFacts();
  facts.far.server_config = std::vector<ServerConfigLine>{
      {"/etc/ssh/sshd_config.d/10.conf", 4, "AllowAgentForwarding no",
       "Match User dave"}};
  const Finding finding = AskServer(facts).findings.at(0);
  EXPECT_TRUE(Says(finding, "/etc/ssh/sshd_config.d/10.conf:4"));
  EXPECT_TRUE(Says(finding, "Match User dave"));
  EXPECT_EQ(finding.fixes[0].edits[0].line, 4);
}

TEST(ServerPolicy, DoesNotAccuseWhatItCannotSee) {
  Facts facts = RefusedFacts();
  facts.far.initial_auth_sock = Unknown{"there is no /proc"};
  facts.far.connection_sockets = Unknown{"no sshd is seen above the shell"};
  facts.far.auth_sock = std::optional<std::string>("/tmp/elsewhere");
  const Answer answer = AskServer(facts);
  EXPECT_EQ(Codes(answer), Strings{});
  EXPECT_NE(answer.skipped, "");
}

TEST(ServerPolicy, SeesThatTheOwnPathWasOnlySentAlong) {
  Facts facts = RefusedFacts();  // SendEnv and AcceptEnv
  facts.far.auth_sock = std::optional<std::string>(kAgentPath);
  facts.far.initial_auth_sock = std::optional<std::string>(kAgentPath);
  facts.far.agents = {DeadAgent(kAgentPath, AgentState::kMissing)};
  EXPECT_EQ(Codes(AskServer(facts)), Strings{"server-denies-forwarding"});
}

TEST(ServerPolicy, NamesTheLineOfTheKey) {
  Facts facts = RefusedFacts();
  KeyOptions& options = facts.link.session.get()->transcript.key_options[0];
  options.source = "/home/dave/.ssh/authorized_keys:3";
  options.options = "port-forwarding pty";
  options.agent_forwarding = false;
  const Answer answer = AskServer(facts);
  ASSERT_EQ(Codes(answer), Strings{"key-denies-forwarding"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kProven);
  EXPECT_EQ(answer.findings[0].evidence[0].file,
            "/home/dave/.ssh/authorized_keys");
  EXPECT_EQ(answer.findings[0].evidence[0].line, 3);
}

TEST(ServerPolicy, QuotesAnOldServerThatDoesNotNameTheLine) {
  Facts facts = RefusedFacts();
  Transcript& transcript = facts.link.session.get()->transcript;
  transcript.server_version = "OpenSSH_7.4";
  transcript.key_options = {{.options = "Agent forwarding disabled."}};
  for (const bool certificate : {false, true}) {
    // Then it is the line of the authority.
    transcript.accepted_certificate = certificate;
    const Answer answer = AskServer(facts);
    ASSERT_EQ(Codes(answer), Strings{"key-denies-forwarding"});
    EXPECT_TRUE(Says(answer.findings[0], "Remote: Agent forwarding disabled."));
    EXPECT_TRUE(answer.findings[0].summary.starts_with("the line of the key"));
  }
}

TEST(ServerPolicy, LearnsTheKeysOptionsFromTheControlToo) {
  Facts facts = StaleMasterFacts();
  facts.link.control.get()->granted = false;
  facts.link.control.get()->transcript.key_options = {
      {.source = "/home/dave/.ssh/authorized_keys:3", .options = "pty"}};
  EXPECT_EQ(Codes(AskServer(facts)), Strings{"key-denies-forwarding"});
}

TEST(ServerPolicy, NamesACertificateAlone) {
  Facts facts = RefusedFacts();
  Transcript& transcript = facts.link.session.get()->transcript;
  transcript.accepted_certificate = true;
  transcript.key_options.push_back(
      {.source = "/home/dave/.ssh/authorized_keys:1", .options = "pty"});
  EXPECT_EQ(Codes(AskServer(facts)), Strings{"cert-denies-forwarding"});
  transcript.accepted_certificate = false;
  transcript.key_options = {{.source = "cert", .options = "pty"}};
  EXPECT_EQ(Codes(AskServer(facts)), Strings{"cert-denies-forwarding"});
}

TEST(ServerPolicy, QuotesSshdThatCouldNotMakeItsSocket) {
  Facts facts = RefusedFacts();
  facts.link.session.get()->transcript.listener_failure =
      "Agent forwarding disabled: mkdtemp() failed: No space left on device";
  const Answer answer = AskServer(facts);
  ASSERT_EQ(Codes(answer), Strings{"server-socket-failed"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kProven);
  EXPECT_TRUE(Says(answer.findings[0], "No space left on device"));
  EXPECT_TRUE(Says(answer.findings[0], "/tmp"));
}

TEST(ServerPolicy, KnowsSoftwareWithoutForwarding) {
  Facts facts = RefusedFacts();
  facts.link.session.get()->transcript.server_version = "tinyssh_noversion";
  EXPECT_EQ(Codes(AskServer(facts)), Strings{"server-unsupported"});
}

TEST(ServerPolicy, NeedsMoreThanANameToProveThatNothingIsForwarded) {
  Facts facts = ForcedFacts();
  facts.link.session.get()->transcript.server_version = "tinyssh_noversion";
  facts.link.control = NotNeeded{"--control never"};
  const Finding* finding = nullptr;
  Answer answer = AskServer(facts);
  ASSERT_NE(finding = Find(answer, "server-unsupported"), nullptr);
  EXPECT_EQ(finding->certainty, Certainty::kLikely);
  facts.link.control = GrantedControl(facts);
  facts.link.control.get()->granted = false;
  answer = AskServer(facts);
  ASSERT_NE(finding = Find(answer, "server-unsupported"), nullptr);
  EXPECT_EQ(finding->certainty, Certainty::kProven);
  // Whatever its name says: it forwards.
  facts.link.control.get()->granted = true;
  EXPECT_EQ(Codes(AskServer(facts)), Strings{"forced-command"});
}

TEST(ServerPolicy, KnowsThatWindowsForwardsNothing) {
  Facts facts = ForcedFacts();
  Transcript& transcript = facts.link.session.get()->transcript;
  transcript.server_version = "OpenSSH_for_Windows_8.1";
  facts.link.session.get()->output_head =
      "'sh' is not recognized as an internal or external command,";
  // Its words are about a folder that Windows has not.
  transcript.listener_failure =
      "Agent forwarding disabled: mkdtemp() failed: No such file or directory";
  facts.link.control.get()->granted = false;
  const Answer answer = AskServer(facts);
  ASSERT_EQ(Codes(answer), (Strings{"forced-command", "server-unsupported"}));
  EXPECT_NE(answer.findings[0].summary.find("Windows"), std::string::npos);
  EXPECT_EQ(answer.findings[1].certainty, Certainty::kProven);
  EXPECT_TRUE(Says(answer.findings[1], "mkdtemp"));
}

TEST(ServerPolicy, SaysThatAServerTakesNoCommands) {
  Facts facts = ForcedFacts();
  facts.link.session.get()->output_head.clear();
  facts.link.session.get()->transcript.messages = {
      "exec request failed on channel 0"};
  const Finding finding = AskServer(facts).findings.at(0);
  EXPECT_EQ(finding.certainty, Certainty::kProven);
  EXPECT_NE(finding.summary.find("runs no commands"), std::string::npos);
}

TEST(ServerPolicy, BlamesNoForge) {
  Facts facts = ForcedFacts();
  facts.link.session.get()->transcript.server_version = "babeld-2e9d163d";
  facts.link.control.get()->granted = false;
  facts.link.control.get()->greeting = "Hi dave! You've successfully ...";
  const Answer answer = AskServer(facts);
  ASSERT_EQ(Codes(answer), Strings{"forced-command"});
  EXPECT_EQ(answer.summary, "the server refuses forwarding, as git forges do");
  EXPECT_NE(answer.findings[0].summary.find(
                "is a git forge (GitHub), which gives no shell: no agent is "
                "needed there, and the key ED25519 SHA256:work logs in"),
            std::string::npos)
      << answer.findings[0].summary;
  EXPECT_TRUE(Says(answer.findings[0], "Hi dave!"));
  EXPECT_TRUE(Says(answer.findings[0], "FAILURE"));
}

TEST(ServerPolicy, NoticesThatSomethingElseAnswered) {
  const Answer answer = AskServer(ForcedFacts());
  ASSERT_EQ(Codes(answer), Strings{"forced-command"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kLikely);
  EXPECT_TRUE(Says(answer.findings[0], "Welcome to GitLab"));
  EXPECT_NE(answer.findings[0].summary.find("or a start-up file of the login "
                                            "shell ends or replaces it"),
            std::string::npos);
  Facts facts = ForcedFacts();
  facts.link.session.get()->transcript.key_options[0].forced_command = true;
  EXPECT_EQ(AskServer(facts).findings[0].certainty, Certainty::kProven);
  EXPECT_EQ(AskServer(facts).findings[0].summary.find("start-up"),
            std::string::npos);
}

TEST(ServerPolicy, FindsTheRefusalBehindAForcedCommand) {
  Facts facts = ForcedFacts();
  facts.link.control.get()->granted = false;
  EXPECT_EQ(Codes(AskServer(facts)),
            (Strings{"forced-command", "server-denies-forwarding"}));
  facts.link.control = NotNeeded{"--control never"};
  EXPECT_EQ(Codes(AskServer(facts)), Strings{"forced-command"});
  EXPECT_EQ(AskServer(facts).skipped, "not needed, because --control never");
}

}  // namespace
}  // namespace agentdoctor
