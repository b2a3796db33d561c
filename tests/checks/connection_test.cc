#include <gtest/gtest.h>

#include <algorithm>

#include "healthy.h"

namespace agentdoctor {
namespace {

using Strings = std::vector<std::string>;

Answer AskConnection(const Facts& facts) { return Ask("connection", facts); }

TEST(Connection, IsQuietAfterALogin) {
  EXPECT_EQ(Codes(AskConnection(HealthyFacts())), Strings{});
  EXPECT_EQ(AskConnection(HealthyFacts()).summary,
            "logged in to OpenSSH_9.2p1 Debian-2");
  EXPECT_EQ(Codes(AskConnection(SharedFacts())), Strings{});
}

TEST(Connection, IsSkippedWithoutASession) {
  Facts facts = HealthyFacts();
  facts.link.session = Unknown{"interrupted"};
  EXPECT_EQ(AskConnection(facts).skipped, "interrupted");
  for (const SessionEnd end : {SessionEnd::kCutOff, SessionEnd::kInterrupted}) {
    facts.link.session = Session{.end = end};
    EXPECT_EQ(Codes(AskConnection(facts)), Strings{});
    EXPECT_NE(AskConnection(facts).skipped, "");
  }
}

TEST(Connection, NamesTheRefusedKeyAndHowToLetTheServerKnowIt) {
  Facts facts = FaultFacts("authentication-failed",
                           "dave@h: Permission denied (publickey,password).");
  facts.link.session.get()->transcript.messages = {
      "key offered and refused: ED25519 SHA256:abc agent"};
  const Finding finding = AskConnection(facts).findings.at(0);
  EXPECT_TRUE(Says(finding, "SHA256:abc"));
  EXPECT_NE(finding.explanation.find("password"), std::string::npos);
  ASSERT_EQ(finding.fixes.size(), 3u);
  EXPECT_EQ(finding.fixes[1].commands[0][0], "ssh-copy-id");
  EXPECT_EQ(finding.fixes[2].commands[0][2], "--interactive");
}

TEST(Connection, SaysThatTooManyKeysEndTheLogin) {
  Facts facts = FaultFacts("authentication-failed",
                           "Received disconnect from 192.0.2.1 port 22:2: Too "
                           "many authentication failures");
  facts.link.session.get()->transcript.messages = {
      "Disconnected from 192.0.2.1 port 22"};
  const Finding finding = AskConnection(facts).findings.at(0);
  EXPECT_FALSE(Says(finding, "Disconnected from"));
  EXPECT_NE(finding.explanation.find("MaxAuthTries"), std::string::npos);
  const std::vector<std::string>& command = finding.fixes.at(0).commands.at(0);
  EXPECT_NE(std::find(command.begin(), command.end(), "IdentitiesOnly=yes"),
            command.end());
}

TEST(Connection, TellsARefusedSessionFromALostConnection) {
  Facts facts = FaultFacts(
      "connection-lost", "channel 0: open failed: connect failed: open failed");
  facts.link.session.get()->transcript.authenticated = true;
  const Finding finding = AskConnection(facts).findings.at(0);
  EXPECT_NE(finding.summary.find("refuses a session"), std::string::npos);
  EXPECT_NE(finding.explanation.find("MaxSessions"), std::string::npos);
}

TEST(Connection, ReportsEveryFaultWithSshsOwnWords) {
  for (const std::string& code : std::vector<std::string>{
           "name-not-resolved", "connection-refused", "connection-timeout",
           "network-unreachable", "proxy-failed", "host-key-unknown",
           "host-key-changed", "authentication-failed", "interaction-needed",
           "protocol-mismatch", "ssh-not-found", "connection-lost",
           "host-unreachable-through-jump"}) {
    const Answer answer = AskConnection(FaultFacts(code, "words of ssh."));
    ASSERT_EQ(Codes(answer), Strings{code});
    EXPECT_EQ(answer.findings[0].severity, Severity::kError);
    EXPECT_TRUE(Says(answer.findings[0], "words of ssh"));
    EXPECT_TRUE(Says(answer.findings[0], "gitlab-runner"));
    EXPECT_FALSE(answer.findings[0].fixes.empty());
  }
}

TEST(Connection, CallsAFaultOfNoNameALostConnection) {
  Facts facts = FaultFacts("something-new", "words");
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{"connection-lost"});
  facts.link.session.get()->fault.reset();
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{"connection-lost"});
  facts.link.session = Session{.end = SessionEnd::kNoProbe};
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{"connection-lost"});
}

TEST(Connection, SaysThatThereIsNoSsh) {
  Facts facts = HealthyFacts();
  facts.link.config = Unknown{"ssh-not-found: No such file or directory"};
  facts.link.session = Unknown{"ssh-not-found: No such file or directory"};
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{"ssh-not-found"});
  facts.link.config = Unknown{"ssh -G came to no end"};
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{});
}

TEST(Connection, RemovesAnOldKeyByTheNameItIsStoredUnder) {
  Facts facts = FaultFacts("host-key-changed", "changed");
  EXPECT_EQ(AskConnection(facts).findings[0].fixes[0].commands[0],
            (Strings{"ssh-keygen", "-R", "10.0.0.5"}));
  EXPECT_EQ(AskConnection(facts).findings[0].fixes[0].safety, Safety::kManual);
  facts.link.config.get()->values["port"] = Value("2222");
  EXPECT_EQ(AskConnection(facts).findings[0].fixes[0].commands[0],
            (Strings{"ssh-keygen", "-R", "[10.0.0.5]:2222"}));
}

TEST(Connection, TimesOutWithOrWithoutAFault) {
  Facts facts = HealthyFacts();
  facts.link.session = Session{.end = SessionEnd::kTimedOut};
  facts.far = {};
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{"connection-timeout"});
  facts.link.session.get()->transcript.authenticated = true;
  const Answer answer = AskConnection(facts);
  ASSERT_EQ(Codes(answer), Strings{"connection-timeout"});
  EXPECT_TRUE(Says(answer.findings[0], "the login to gitlab-runner works"));
}

TEST(Connection, DoesNotBlameTheNetworkForAHangingAgent) {
  Facts facts = FaultFacts("connection-timeout", "timed out");
  facts.near.agents[0].state = AgentState::kSilent;
  const Answer answer = AskConnection(facts);
  EXPECT_EQ(Codes(answer), Strings{});
  EXPECT_NE(answer.skipped.find(kAgentPath), std::string::npos);
}

TEST(Connection, DoesNotBlameTheNetworkForAFrozenMaster) {
  Facts facts = HealthyFacts();
  facts.link.session = Session{.end = SessionEnd::kTimedOut};
  facts.link.sharing.get()->master.state = MasterState::kUnresponsive;
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{});
  for (const char* code : {"connection-timeout", "proxy-failed"}) {
    facts = FaultFacts(code, "words");
    facts.link.sharing.get()->jump_masters = {
        {.host = "bastion", .state = MasterState::kUnresponsive}};
    EXPECT_EQ(Codes(AskConnection(facts)), Strings{});
    EXPECT_NE(AskConnection(facts).skipped.find("bastion"), std::string::npos);
  }
}

TEST(Connection, LeavesAHangAtALiveMasterToTheFreshLogin) {
  Facts facts = SharedFacts();
  facts.link.session = Session{.end = SessionEnd::kTimedOut};
  facts.far = {};
  Control control;
  control.logged_in = true;
  facts.link.control = control;
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{});
  control.logged_in = false;
  control.fault = TransportFault{"network-unreachable", "No route to host"};
  facts.link.control = control;
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{"network-unreachable"});
}

TEST(Connection, NamesTheHostKeyThatKeepsSshFromForwarding) {
  Facts facts = HealthyFacts();
  Transcript& transcript = facts.link.session.get()->transcript;
  transcript.disabled_by_host_key = true;
  transcript.messages = {
      "Offending ED25519 key in /home/dave/.ssh/known_hosts:3",
      "Agent forwarding is disabled to avoid man-in-the-middle attacks."};
  const Answer answer = AskConnection(facts);
  ASSERT_EQ(Codes(answer), Strings{"forwarding-disabled-by-host-key"});
  EXPECT_TRUE(Says(answer.findings[0], "known_hosts:3"));
}

TEST(Connection, ComparesMachinesByBootId) {
  Facts facts = StaleMasterFacts();
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{});
  facts.link.control.get()->far.get()->boot_id = std::string("another");
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{"hosts-differ"});
  facts.link.control.get()->far.get()->boot_id = Unknown{"no /proc"};
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{});
}

TEST(Connection, TellsContainersOfOneMachineApart) {
  Facts facts = StaleMasterFacts();
  facts.link.control.get()->far.get()->name = "runner-2";
  const Answer answer = AskConnection(facts);
  ASSERT_EQ(Codes(answer), Strings{"hosts-differ"});
  EXPECT_TRUE(Says(answer.findings[0], "different containers"));
  EXPECT_TRUE(Says(answer.findings[0], "runner-2"));
  // The sharing of connections is judged no more.
  EXPECT_EQ(Codes(Ask("control-master", facts)), Strings{});
}

TEST(Connection, TellsMachinesWithoutBootIdsApartByName) {
  Facts facts = StaleMasterFacts();  // macOS and the BSDs have none
  facts.far.boot_id = Unknown{"no /proc"};
  Side& fresh = *facts.link.control.get()->far.get();
  fresh.boot_id = Unknown{"no /proc"};
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{});
  const Answer sharing = Ask("control-master", facts);
  ASSERT_EQ(Codes(sharing), Strings{"mux-master-without-forwarding"});
  EXPECT_EQ(sharing.findings[0].certainty, Certainty::kLikely)
      << "the same name is no proof";
  fresh.name = "runner-2";
  EXPECT_EQ(Codes(AskConnection(facts)), Strings{"hosts-differ"});
}

TEST(Connection, TellsUsersOfOneMachineApart) {
  Facts facts = StaleMasterFacts();
  facts.link.control.get()->far.get()->uid = 1001;
  const Answer answer = AskConnection(facts);
  ASSERT_EQ(Codes(answer), Strings{"hosts-differ"});
  EXPECT_TRUE(Says(answer.findings[0], "different users"));
  EXPECT_TRUE(Says(answer.findings[0], "user id 1001"));
}

TEST(Connection, SaysThatAServerHungUpAtTheProbe) {
  Facts facts = FaultFacts("connection-lost",
                           "client_loop: send disconnect: Broken pipe");
  Transcript& transcript = facts.link.session.get()->transcript;
  transcript.authenticated = true;
  transcript.server_version = "dropbear_2014.63";
  const Answer answer = AskConnection(facts);
  ASSERT_EQ(Codes(answer), Strings{"connection-lost"});
  EXPECT_NE(answer.findings[0].summary.find("lets you in, and then hangs up"),
            std::string::npos);
  EXPECT_TRUE(Says(answer.findings[0], "dropbear_2014.63"));
}

}  // namespace
}  // namespace agentdoctor
