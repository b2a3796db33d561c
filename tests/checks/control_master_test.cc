#include <gtest/gtest.h>

#include "healthy.h"

namespace agentdoctor {
namespace {

using Strings = std::vector<std::string>;

Answer AskSharing(const Facts& facts) { return Ask("control-master", facts); }

Sharing& SharingOf(Facts& facts) { return *facts.link.sharing.get(); }

/// Through the master a socket exists, but no agent answers behind it.
Facts DeadAgentFacts() {
  Facts facts = SharedFacts();
  facts.link.control = GrantedControl(facts);
  facts.far.agents[0] = DeadAgent(kFarSocket, AgentState::kDropped);
  return facts;
}

/// The session hangs at a master that answers.
Facts HangingFacts(bool fresh_login_works) {
  Facts facts = SharedFacts();
  facts.link.session = Session{.end = SessionEnd::kTimedOut};
  facts.far = {};
  Control control;
  control.logged_in = fresh_login_works;
  if (!fresh_login_works)
    control.fault = TransportFault{"connection-timeout", "timed out"};
  control.granted = Unknown{"not asked"};
  control.far = Unknown{"the control login carried no probe"};
  facts.link.control = control;
  return facts;
}

TEST(ControlMaster, IsQuietWithoutAMasterAndThroughAHealthyOne) {
  EXPECT_EQ(Codes(AskSharing(HealthyFacts())), Strings{});
  EXPECT_EQ(Codes(AskSharing(SharedFacts())), Strings{});
  EXPECT_EQ(AskSharing(SharedFacts()).skipped, "");
  Facts facts = HealthyFacts();
  facts.link.sharing = Sharing{};
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
}

TEST(ControlMaster, IsSkippedWithoutFactsAboutSharing) {
  Facts facts = HealthyFacts();
  facts.link.sharing = Unknown{"not looked for"};
  EXPECT_EQ(AskSharing(facts).skipped, "not looked for");
  facts = SharedFacts();
  facts.link.session = Unknown{"interrupted"};
  EXPECT_EQ(AskSharing(facts).skipped, "interrupted");
}

TEST(ControlMaster, ProvesAMasterWithoutForwarding) {
  Facts facts = StaleMasterFacts();
  SharingOf(facts).master.newer_config = {
      {"/home/dave/.ssh/config", kNow - kDay}};
  const Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-master-without-forwarding"});
  const Finding& finding = answer.findings[0];
  EXPECT_EQ(finding.certainty, Certainty::kProven);
  EXPECT_EQ(finding.severity, Severity::kError);
  EXPECT_EQ(finding.summary,
            "the master for gitlab-runner (pid 6192, 3 days old) was started "
            "without agent forwarding, and every ssh reuses it");
  EXPECT_EQ(finding.evidence[0].source, "ssh -O check gitlab-runner");
  EXPECT_EQ(finding.evidence[0].text, "Master running (pid=6192)");
  EXPECT_TRUE(Says(finding, "/home/dave/.ssh/config"));
  EXPECT_TRUE(Says(finding, "SUCCESS"));
  const Fix& fix = finding.fixes.at(0);
  EXPECT_EQ(fix.safety, Safety::kSafe);
  EXPECT_EQ(fix.action, Action::kStopMaster);
  EXPECT_EQ(fix.target, SharingOf(facts).control_path);
  EXPECT_EQ(fix.commands.at(0),
            (Strings{"ssh", "-O", "stop", "gitlab-runner"}));
}

TEST(ControlMaster, IsOnlyLikelyWithoutAFreshLogin) {
  Facts facts = StaleMasterFacts();
  Control control;
  control.fault =
      TransportFault{"authentication-failed", "Permission denied (publickey)"};
  facts.link.control = control;
  const Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-master-without-forwarding"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kLikely);
  EXPECT_EQ(answer.findings[0].fixes[0].safety, Safety::kReview);
  EXPECT_TRUE(Says(answer.findings[0], "Permission denied (publickey)"));
  facts.link.control = NotNeeded{"--control never"};
  EXPECT_EQ(AskSharing(facts).findings[0].certainty, Certainty::kLikely);
  EXPECT_TRUE(Says(AskSharing(facts).findings[0], "--control never"));
}

TEST(ControlMaster, IsOnlyLikelyIfTheMachineIsNotKnownToBeTheSame) {
  Facts facts = StaleMasterFacts();
  facts.link.control.get()->far.get()->boot_id = Unknown{"no /proc"};
  EXPECT_EQ(AskSharing(facts).findings.at(0).certainty, Certainty::kLikely);
}

TEST(ControlMaster, LeavesOtherCausesOfAMissingAgentAlone) {
  Facts facts = StaleMasterFacts();
  facts.link.control.get()->granted = false;  // the server's finding
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});

  facts = StaleMasterFacts();
  facts.link.control.get()->far.get()->boot_id = std::string("another");
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});  // hosts-differ

  facts = StaleMasterFacts();
  facts.near.agents[0].state = AgentState::kRefused;
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});

  facts = StaleMasterFacts();
  facts.link.config.get()->forward_agent = false;
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});

  facts = StaleMasterFacts();  // ssh fell back: a fresh session
  facts.link.session.get()->transcript.through_master = false;
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
}

TEST(ControlMaster, StopsOnlyAMasterThatNobodyNeedsForMore) {
  const auto safety = [](const Facts& facts) {
    return AskSharing(facts).findings.at(0).fixes.at(0).safety;
  };
  Facts facts = StaleMasterFacts();
  EXPECT_EQ(safety(facts), Safety::kSafe);
  Master& master = SharingOf(facts).master;
  master.forwardings = std::vector<std::string>{"127.0.0.1:8080"};
  EXPECT_EQ(safety(facts), Safety::kReview);
  EXPECT_TRUE(AskSharing(facts).findings[0].fixes[0].title.find(
                  "127.0.0.1:8080") != std::string::npos);
  master.forwardings = Unknown{"this system does not list its sockets"};
  EXPECT_EQ(safety(facts), Safety::kReview);
  master.forwardings = std::vector<std::string>{};
  for (const char* word : {"-R", "-fNR", "-L8080:x:80", "-D", "-w"}) {
    master.command_line = Strings{"ssh", word, "gitlab-runner"};
    EXPECT_EQ(safety(facts), Safety::kReview) << word;
  }
  for (const char* word : {"-fNM", "-oLogLevel=quiet", "-S/run/Lab", "-lLea"}) {
    master.command_line = Strings{"ssh", word, "gitlab-runner"};
    EXPECT_EQ(safety(facts), Safety::kSafe) << word;
  }
  master.command_line = Unknown{"ps does not show where a word ends"};
  master.command_text = "ssh -fNM -R 9000:x:9000 gitlab-runner";
  EXPECT_EQ(safety(facts), Safety::kReview);
  master.command_text = "ssh -fNM gitlab-runner";
  EXPECT_EQ(safety(facts), Safety::kSafe);
  facts.link.config.get()->values["remoteforward"] = Value("9000 x:9000");
  EXPECT_EQ(safety(facts), Safety::kReview);
}

TEST(ControlMaster, PrintsTheCommandThatThePersonsOptionsNeed) {
  Facts facts = StaleMasterFacts();
  facts.request.ssh_options = {"-F",   "/tmp/config", "-A",      "-p",
                               "2222", "-i",          "/tmp/key"};
  SharingOf(facts).control_master = "true";
  EXPECT_EQ(AskSharing(facts).findings[0].fixes[0].commands[0],
            (Strings{"ssh", "-o", "ControlMaster=no", "-F", "/tmp/config", "-p",
                     "2222", "-O", "stop", "gitlab-runner"}));
}

TEST(ControlMaster, ProvesAMasterWhoseAgentIsGone) {
  const Answer answer = AskSharing(DeadAgentFacts());
  ASSERT_EQ(Codes(answer), Strings{"mux-master-dead-agent"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kProven);
  EXPECT_EQ(answer.findings[0].fixes[0].safety, Safety::kSafe);
  EXPECT_TRUE(Says(answer.findings[0], kFarSocket));
  Facts facts = DeadAgentFacts();
  facts.link.control = NotNeeded{"--control never"};
  EXPECT_EQ(AskSharing(facts).findings[0].certainty, Certainty::kLikely);
  facts = DeadAgentFacts();
  facts.near.agents[0].state = AgentState::kRefused;
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
  facts = DeadAgentFacts();
  facts.near.agents[0].session_bind = ExtensionAnswer::kClosed;
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
  // A socket that is gone is nobody's agent: remote-socket-dead.
  facts = DeadAgentFacts();
  facts.far.agents[0].state = AgentState::kMissing;
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
}

TEST(ControlMaster, WarnsOfAnotherAgentButNotOfFewerKeys) {
  Facts facts = SharedFacts();
  facts.far.agents[0] = LiveAgent(kFarSocket, {"work"});
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
  facts.far.agents[0] = LiveAgent(kFarSocket, {"work", "stranger"});
  const Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-master-other-agent"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_TRUE(Says(answer.findings[0], "SHA256:stranger"));
  EXPECT_EQ(answer.findings[0].fixes[0].safety, Safety::kReview);
}

TEST(ControlMaster, ReportsAForwardingThatTheConfigurationDenies) {
  Facts facts = SharedFacts();
  facts.link.config.get()->forward_agent = false;
  facts.link.config.get()->forward_agent_line = Line(6, "ForwardAgent no");
  const Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-leaks-forwarding"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_EQ(answer.findings[0].fixes[0].safety, Safety::kReview);
  EXPECT_TRUE(Says(answer.findings[0], "/home/dave/.ssh/config"));
}

TEST(ControlMaster, SaysNothingOfAnAgentNobodyCouldAsk) {
  Facts facts = SharedFacts();
  facts.far.agents.clear();
  facts.far.agents_not_asked[kFarSocket] = "nothing there can ask it";
  const Answer answer = AskSharing(facts);
  EXPECT_EQ(Codes(answer), Strings{});
  EXPECT_NE(answer.skipped.find("nothing there can ask it"), std::string::npos);
}

TEST(ControlMaster, NamesAFrozenMasterByItsPid) {
  Facts facts = HealthyFacts();
  Master& master = SharingOf(facts).master;
  master.state = MasterState::kUnresponsive;
  master.pid = 6192;
  const Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-master-unresponsive"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kError);
  EXPECT_TRUE(Says(answer.findings[0], "6192"));
  EXPECT_EQ(answer.findings[0].fixes[0].safety, Safety::kManual);
  EXPECT_EQ(answer.findings[0].fixes.back().commands.back(),
            (Strings{"kill", "6192"}));
}

TEST(ControlMaster, NamesTheBastionOfAFrozenMaster) {
  Facts facts = HealthyFacts();
  facts.link.sharing = Sharing{};
  SharingOf(facts).jump_masters = {{.host = "bastion",
                                    .path = "/tmp/cm-bastion",
                                    .state = MasterState::kUnresponsive,
                                    .pid = 77}};
  const Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-master-unresponsive"});
  EXPECT_TRUE(Says(answer.findings[0], "bastion (pid 77)"));

  Facts shared = SharedFacts();  // its own master needs no bastion
  SharingOf(shared).jump_masters = SharingOf(facts).jump_masters;
  EXPECT_EQ(AskSharing(shared).findings.at(0).severity, Severity::kWarning);
}

TEST(ControlMaster, ProvesADeadConnectionByAFreshOne) {
  const Answer answer = AskSharing(HangingFacts(true));
  ASSERT_EQ(Codes(answer), Strings{"mux-connection-dead"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kProven);
  EXPECT_EQ(answer.findings[0].fixes[0].safety, Safety::kSafe);
  EXPECT_EQ(answer.findings[0].fixes[1].action, Action::kExitMaster);
  EXPECT_NE(answer.findings[0].fixes[1].safety, Safety::kSafe);
}

TEST(ControlMaster, DoesNotBlameTheMasterIfNobodyGetsThere) {
  EXPECT_EQ(Codes(AskSharing(HangingFacts(false))), Strings{});
  Facts facts = HangingFacts(true);  // the server had opened the session
  facts.link.session.get()->transcript.through_master = true;
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
  facts = HangingFacts(true);  // a connection of its own had begun
  facts.link.session.get()->transcript.server_version = "OpenSSH_9.2p1";
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
}

TEST(ControlMaster, IsLikelyToBeDeadWithoutAFreshLogin) {
  Facts facts = HangingFacts(true);
  facts.link.control = NotNeeded{"--control never"};
  const Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-connection-dead"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kLikely);
  EXPECT_EQ(answer.findings[0].fixes[0].safety, Safety::kReview);
}

TEST(ControlMaster, SaysWhyAMasterDidNotTakeTheSession) {
  Facts facts = SharedFacts();
  Transcript& transcript = facts.link.session.get()->transcript;
  transcript = HealthyFacts().link.session->transcript;
  transcript.fallback =
      "mux_client_request_session: session request failed: Session open "
      "refused by peer";
  const Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-session-refused"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_TRUE(Says(answer.findings[0], "refused by peer"));
}

TEST(ControlMaster, RemovesADeadSocketOnlyIfItIsOurs) {
  Facts facts = HealthyFacts();
  Master& master = SharingOf(facts).master;
  master.state = MasterState::kStaleSocket;
  master.socket_owner = 1000;
  Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-socket-stale"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_EQ(answer.findings[0].fixes[0].safety, Safety::kSafe);
  EXPECT_EQ(answer.findings[0].fixes[0].action, Action::kRemoveSocket);
  EXPECT_EQ(answer.findings[0].fixes[0].target, master.path);
  master.socket_owner = 0;
  EXPECT_EQ(AskSharing(facts).findings[0].fixes[0].safety, Safety::kReview);
  master.socket_owner.reset();
  EXPECT_EQ(AskSharing(facts).findings[0].fixes[0].safety, Safety::kReview);
}

TEST(ControlMaster, JudgesWhatControlPathTellsApart) {
  const auto judge = [](const std::string& path, const std::string& scope) {
    Facts facts = HealthyFacts();
    SharingOf(facts).control_template = path;
    SharingOf(facts).line = Line(20, "ControlPath " + path, scope);
    const Answer answer = AskSharing(facts);
    return answer.findings.empty() ? std::optional<Severity>()
                                   : answer.findings[0].severity;
  };
  EXPECT_EQ(judge("~/.ssh/cm/%C", "Host *"), std::nullopt);
  EXPECT_EQ(judge("~/.ssh/cm/%r@%h:%p", "Host *"), std::nullopt);
  EXPECT_EQ(judge("~/.ssh/cm/%r@%n:%p", "Host *"), std::nullopt);
  EXPECT_EQ(judge("~/.ssh/cm/%r@%h", "Host *"), Severity::kInfo);
  EXPECT_EQ(judge("~/.ssh/cm/shared", "Host *"), Severity::kWarning);
  EXPECT_EQ(judge("~/.ssh/cm/shared", "Host a b"), Severity::kWarning);
  EXPECT_EQ(judge("~/.ssh/cm/shared", ""), Severity::kWarning);
  for (const char* scope : {"Host gitlab-runner", "host gitlab-runner",
                            "Match originalhost gitlab-runner"})
    EXPECT_EQ(judge("~/.ssh/cm/runner", scope), Severity::kInfo) << scope;
  for (const char* scope :
       {"Match originalhost a,b", "Match host *.example", "Match user dave"})
    EXPECT_EQ(judge("~/.ssh/cm/shared", scope), Severity::kWarning) << scope;
}

TEST(ControlMaster, FindsTheMasterOfAnotherHost) {
  Facts facts = SharedFacts();
  facts.link.control = GrantedControl(facts);
  SharingOf(facts).control_template = "~/.ssh/cm/shared";
  SharingOf(facts).line = Line(20, "ControlPath ~/.ssh/cm/shared", "Host *");
  facts.link.control.get()->far.get()->ssh_connection =
      std::string("10.0.0.9 50001 10.0.0.5 2222");
  Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-path-not-unique"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kError);
  EXPECT_TRUE(Says(answer.findings[0], "2222"));

  facts.link.control.get()->far.get()->ssh_connection =
      facts.far.ssh_connection;
  EXPECT_EQ(AskSharing(facts).findings[0].severity, Severity::kWarning);
  facts.link.control.get()->far.get()->boot_id = std::string("another");
  EXPECT_EQ(AskSharing(facts).findings[0].severity, Severity::kError);
}

TEST(ControlMaster, FindsTheMasterOfAnotherUser) {
  Facts facts = SharedFacts();
  facts.link.control = GrantedControl(facts);
  facts.link.control.get()->far.get()->uid = 1001;
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
  SharingOf(facts).control_template = "~/.ssh/cm/%h:%p";
  ASSERT_EQ(Codes(AskSharing(facts)), Strings{"mux-path-not-unique"});
  EXPECT_EQ(AskSharing(facts).findings[0].severity, Severity::kError);
}

TEST(ControlMaster, ChangesTheCommandLineWhereItNamesThePath) {
  Facts facts = HealthyFacts();
  facts.request.ssh_options = {"-S", "/tmp/" + std::string(95, 'x')};
  Sharing& sharing = *facts.link.sharing.get();
  sharing.control_path = facts.request.ssh_options[1];
  sharing.line.reset();
  const Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-path-too-long"});
  const Fix& fix = answer.findings[0].fixes.at(0);
  EXPECT_TRUE(fix.edits.empty());
  EXPECT_EQ(
      fix.commands.at(0),
      (Strings{"ssh", "-o", "ControlPath=~/.ssh/cm/%C", "gitlab-runner"}));
}

TEST(ControlMaster, NamesTheLimitOfAPathThatIsTooLong) {
  Facts facts = HealthyFacts();
  SharingOf(facts).control_path = "/" + std::string(89, 'x');
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
  SharingOf(facts).control_path += "x";
  const Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-path-too-long"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_TRUE(Says(answer.findings[0], "90 fit"));
  SharingOf(facts).control_master = "false";  // only connects: 107 fit
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
  SharingOf(facts).control_path = "/" + std::string(107, 'x');
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{"mux-path-too-long"});
}

TEST(ControlMaster, MakesTheFolderThatIsMissing) {
  Facts facts = HealthyFacts();
  SharingOf(facts).directory.exists = false;
  Answer answer = AskSharing(facts);
  ASSERT_EQ(Codes(answer), Strings{"mux-directory-missing"});
  EXPECT_EQ(answer.findings[0].fixes[0].safety, Safety::kSafe);
  EXPECT_EQ(answer.findings[0].fixes[0].action, Action::kMakeDirectory);
  EXPECT_EQ(answer.findings[0].fixes[0].target, "/home/dave/.ssh/sockets");
  SharingOf(facts).control_master = "false";  // never makes a socket there
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
}

TEST(ControlMaster, WarnsOfAFolderThatOthersCanWriteTo) {
  Facts facts = HealthyFacts();
  ControlDirectory& folder = SharingOf(facts).directory;
  folder.mode = 0775;  // a group of one's own is common
  EXPECT_EQ(Codes(AskSharing(facts)), Strings{});
  folder.mode = 0777;
  EXPECT_EQ(AskSharing(facts).findings.at(0).severity, Severity::kWarning);
  folder.mode = 01777;
  folder.owner = 0;
  EXPECT_EQ(AskSharing(facts).findings.at(0).severity, Severity::kInfo);
  folder.mode = 0700;
  folder.owner = 1001;
  EXPECT_EQ(AskSharing(facts).findings.at(0).severity, Severity::kWarning);
}

}  // namespace
}  // namespace agentdoctor
