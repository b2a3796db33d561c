#include "diagnose.h"

#include <gtest/gtest.h>

#include "checks/healthy.h"

namespace agentdoctor {
namespace {

using Strings = std::vector<std::string>;

std::string Cause(const HostReport& report) {
  return report.root_cause ? report.root_cause->code : "";
}

Facts NotAsking(Facts facts) {
  ClientConfig& config = *facts.link.config.get();
  config.forward_agent = false;
  config.forward_agent_line.reset();
  config.values["forwardagent"] = Value("no");
  return facts;
}

TEST(Diagnose, CallsAnAnsweringAgentHealthy) {
  for (const Facts& facts : {HealthyFacts(), SharedFacts()}) {
    const HostReport report = DiagnoseFacts(facts);
    EXPECT_EQ(report.verdict, Verdict::kHealthy);
    EXPECT_EQ(Cause(report), "");
    EXPECT_EQ(report.host, "gitlab-runner");
    EXPECT_EQ(report.client, "openssh");
    EXPECT_EQ(report.client_version, "OpenSSH_9.2p1");
    EXPECT_EQ(report.duration_ms, 400);
    ASSERT_EQ(report.checks.size(), AllChecks().size());
    for (const CheckResult& check : report.checks) {
      EXPECT_EQ(check.status, Status::kPass) << check.id;
      EXPECT_NE(check.summary, "") << check.id;
    }
  }
}

TEST(Diagnose, TakesNoSilenceForHealth) {
  Facts facts = HealthyFacts();
  facts.link.session = Unknown{"not made"};
  facts.far = {};
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kUndetermined);

  facts = HealthyFacts();  // nobody could ask the agent
  facts.far.agents.clear();
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kUndetermined);

  facts = HealthyFacts();  // an agent answers, but not the forwarded one
  RemoveFarAgent(facts);
  facts.link.session.get()->transcript.forwarding_requested =
      Unknown{"can't be seen"};
  facts.far.auth_sock = std::optional<std::string>("/run/user/1000/host");
  facts.far.agents = {LiveAgent("/run/user/1000/host", {"server"})};
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kUndetermined);

  facts = HealthyFacts();  // a session that was cut off
  facts.link.session.get()->end = SessionEnd::kCutOff;
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kUndetermined);
  EXPECT_EQ(DiagnoseFacts(Facts{}).verdict, Verdict::kUndetermined);
}

TEST(Diagnose, NamesTheStaleMaster) {
  const HostReport report = DiagnoseFacts(StaleMasterFacts());
  EXPECT_EQ(report.verdict, Verdict::kBroken);
  EXPECT_EQ(Cause(report), "mux-master-without-forwarding");
  EXPECT_EQ(report.root_cause->check, "control-master");
  EXPECT_EQ(ResultOf(report, "control-master").status, Status::kFail);
  EXPECT_EQ(ResultOf(report, "server-policy").status, Status::kPass);
  EXPECT_EQ(ResultOf(report, "remote-socket").status, Status::kSkip);
}

TEST(Diagnose, TakesTheFirstErrorOfTheChainAndListsAllCauses) {
  Facts facts = NotAsking(HealthyFacts());
  RemoveFarAgent(facts);
  facts.near.agents[0].state = AgentState::kRefused;
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(Cause(report), "agent-socket-dead");
  EXPECT_NE(Find(report, "forwarding-not-requested"), nullptr);
}

TEST(Diagnose, MakesOnlySymptomsConsequences) {
  Facts facts = SharedFacts();  // the master's agent is gone
  facts.link.control = GrantedControl(facts);
  facts.far.agents[0] = DeadAgent(kFarSocket, AgentState::kDropped);
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(Cause(report), "mux-master-dead-agent");
  ASSERT_NE(Find(report, "remote-socket-dead"), nullptr);
  EXPECT_EQ(Find(report, "remote-socket-dead")->consequence_of,
            "mux-master-dead-agent");

  facts = HealthyFacts();  // nothing nearer explains it
  facts.far.agents[0] = DeadAgent(kFarSocket, AgentState::kDropped);
  EXPECT_EQ(Cause(DiagnoseFacts(facts)), "remote-socket-dead");
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kBroken);

  facts = HealthyFacts();  // two causes
  facts.near.agents[0].identities.clear();
  facts.far.agents[0].identities.clear();
  facts.far.auth_sock = std::optional<std::string>();
  const HostReport both = DiagnoseFacts(facts);
  EXPECT_EQ(Find(both, "remote-env-cleared")->consequence_of, "");
  EXPECT_EQ(Cause(both), "agent-empty");
}

TEST(Diagnose, DegradesByTheFirstWarning) {
  Facts facts = HealthyFacts();
  facts.link.sharing.get()->directory.exists = false;
  facts.far.identity_agent = std::string("none");
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kDegraded);
  EXPECT_EQ(Cause(report), "mux-directory-missing");
  EXPECT_EQ(ResultOf(report, "control-master").status, Status::kWarn);
}

TEST(Diagnose, StaysHealthyWithInformation) {
  Facts facts = HealthyFacts();
  facts.near.agents.push_back(LiveAgent("/tmp/other", {"deploy"}));
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_NE(Find(report, "agent-elsewhere"), nullptr);
  EXPECT_EQ(report.verdict, Verdict::kHealthy);
  EXPECT_EQ(Cause(report), "");
  EXPECT_EQ(ResultOf(report, "local-agent").status, Status::kPass);
}

TEST(Diagnose, IsUndeterminedAfterATransportFault) {
  const HostReport report =
      DiagnoseFacts(FaultFacts("authentication-failed", "Permission denied"));
  EXPECT_EQ(report.verdict, Verdict::kUndetermined);
  EXPECT_EQ(Cause(report), "authentication-failed");
  EXPECT_EQ(ResultOf(report, "connection").status, Status::kFail);
}

TEST(Diagnose, IsBrokenByWhatIsKnownInSpiteOfATransportFault) {
  Facts facts = FaultFacts("connection-refused", "Connection refused");
  facts.near.agents[0].state = AgentState::kRefused;
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kBroken);
  EXPECT_EQ(Cause(report), "agent-socket-dead");
  EXPECT_NE(Find(report, "connection-refused"), nullptr);
}

TEST(Diagnose, IsBrokenWhereTheHostKeyForbidsForwarding) {
  Facts facts = HealthyFacts();
  RemoveFarAgent(facts);
  facts.link.session.get()->transcript.disabled_by_host_key = true;
  facts.link.session.get()->transcript.forwarding_requested = false;
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kBroken);
  EXPECT_EQ(Cause(report), "forwarding-disabled-by-host-key");
  EXPECT_EQ(report.findings.size(), 1u);
}

TEST(Diagnose, StopsComparingDifferentMachines) {
  Facts facts = StaleMasterFacts();
  facts.link.control.get()->far.get()->boot_id = std::string("another");
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kUndetermined);
  EXPECT_EQ(Cause(report), "hosts-differ");
  EXPECT_EQ(report.findings.size(), 1u);
}

TEST(Diagnose, IsUndeterminedWhenInterrupted) {
  Facts facts = HealthyFacts();
  facts.interrupted = true;
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kUndetermined);
  facts.link.session = Unknown{"interrupted"};
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kUndetermined);
}

TEST(Diagnose, CallsAMisspeltNameByItsName) {
  Facts facts = NotAsking(FaultFacts("name-not-resolved", "no such name"));
  facts.link.config.get()->named = false;
  HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(Cause(report), "name-not-resolved");
  EXPECT_EQ(report.verdict, Verdict::kUndetermined);
  EXPECT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(ResultOf(report, "forward-agent").status, Status::kSkip);
  facts.link.config.get()->named = true;
  EXPECT_EQ(Cause(DiagnoseFacts(facts)), "forwarding-not-requested");
}

TEST(Diagnose, BlamesTheHangingAgentForTheHangingLogin) {
  Facts facts = FaultFacts("connection-timeout", "timed out");
  facts.near.agents[0].state = AgentState::kSilent;
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kBroken);
  EXPECT_EQ(Cause(report), "agent-unresponsive");
  EXPECT_EQ(Find(report, "connection-timeout"), nullptr);
}

TEST(Diagnose, DoesNotCallBrokenWhatWorksThroughTheMaster) {
  Facts facts = SharedFacts();
  facts.near.agents[0].state = AgentState::kRefused;
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kDegraded);
  EXPECT_EQ(Cause(report), "works-only-through-master");
  ASSERT_EQ(report.findings.size(), 1u);
  const ReportedFinding& finding = report.findings[0];
  EXPECT_EQ(finding.check, "control-master");
  EXPECT_EQ(finding.finding.severity, Severity::kWarning);
  EXPECT_TRUE(Says(finding.finding, "agent-socket-dead"));
  EXPECT_TRUE(Says(finding.finding, kAgentPath));
  EXPECT_FALSE(finding.finding.fixes.empty());
  EXPECT_EQ(ResultOf(report, "local-agent").status, Status::kWarn);
  EXPECT_EQ(ResultOf(report, "control-master").status, Status::kWarn);
}

TEST(Diagnose, ReportsTheLeakBesideWhatWorksOnlyThroughTheMaster) {
  const Facts facts = NotAsking(SharedFacts());
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kDegraded);
  EXPECT_EQ(Cause(report), "mux-leaks-forwarding");
  EXPECT_NE(Find(report, "works-only-through-master"), nullptr);
  const HostReport without = Diagnose(
      facts,
      Examine(facts, AllChecks(), {.skip = {"works-only-through-master"}}));
  EXPECT_EQ(Cause(without), "mux-leaks-forwarding");
  EXPECT_EQ(without.findings.size(), 1u);
}

TEST(Diagnose, StaysBrokenWhereTheMastersAgentIsEmptyToo) {
  Facts facts = SharedFacts();
  facts.near.agents[0].identities.clear();
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kDegraded);
  facts.far.agents[0].identities.clear();
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kBroken);
  EXPECT_EQ(Cause(DiagnoseFacts(facts)), "agent-empty");
}

TEST(Diagnose, StaysBrokenWhereTheKeyDoesNotArriveEither) {
  Facts facts = SharedFacts();
  facts.request.key = "/home/dave/.ssh/id_deploy";
  facts.request.key_fingerprint = "SHA256:deploy";
  EXPECT_EQ(Cause(DiagnoseFacts(facts)), "agent-key-missing");
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kBroken);
  facts.far.agents[0] = LiveAgent(kFarSocket, {"work", "home", "deploy"});
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kDegraded);
}

TEST(Diagnose, BelievesAFreshSessionMoreThanABusyMoment) {
  Facts facts = HealthyFacts();
  facts.near.agents[0] = DeadAgent(kAgentPath, AgentState::kSilent);
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kHealthy);
  EXPECT_EQ(Find(report, "agent-unresponsive")->finding.severity,
            Severity::kInfo);
  facts = HealthyFacts();
  facts.near.agents[0].session_bind = ExtensionAnswer::kClosed;
  EXPECT_TRUE(DiagnoseFacts(facts).findings.empty());
}

TEST(Diagnose, JudgesAForcedCommandByWhatTheServerGrants) {
  Facts facts = HealthyFacts();
  facts.link.session.get()->end = SessionEnd::kNoProbe;
  facts.far = {};
  facts.link.control = GrantedControl(facts);
  facts.link.control.get()->far = Unknown{"the control carried no probe"};
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kDegraded);
  EXPECT_EQ(Cause(DiagnoseFacts(facts)), "forced-command");

  facts.link.control.get()->granted = false;
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kBroken);
  EXPECT_EQ(Cause(DiagnoseFacts(facts)), "server-denies-forwarding");

  facts.link.control = NotNeeded{"--control never"};
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kUndetermined);
  EXPECT_EQ(Cause(DiagnoseFacts(facts)), "forced-command");
}

/// A git forge that let us in.
Facts ForgeFacts() {
  Facts facts = HealthyFacts();
  facts.request.destination = "git@github.com";
  facts.link.config.get()->values["user"] = Value("git");
  Session& session = *facts.link.session.get();
  session.end = SessionEnd::kNoProbe;
  session.transcript.server_version = "babeld-2e9d163d";
  session.output_head = "Invalid command: 'sh -c ...";
  facts.far = {};
  facts.next_hops = Unknown{"no session carried the probe"};
  facts.link.control = NotNeeded{"not asked for"};
  return facts;
}

TEST(Diagnose, BlamesNothingWhereAForgeLetsOneIn) {
  Facts facts = ForgeFacts();
  HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kDegraded);
  EXPECT_EQ(Cause(report), "forced-command");

  facts = NotAsking(facts);
  report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kDegraded);
  EXPECT_EQ(report.findings.size(), 1U);
  EXPECT_EQ(ResultOf(report, "forward-agent").status, Status::kPass);

  facts.near.auth_sock = std::optional<std::string>();
  facts.near.agents.clear();
  facts.link.forwarded.get()->path.reset();
  facts.link.primary.get()->path.reset();
  report = DiagnoseFacts(facts);  // a key file logged in
  EXPECT_EQ(report.verdict, Verdict::kDegraded);
  ASSERT_NE(Find(report, "agent-not-running"), nullptr);
  EXPECT_EQ(Find(report, "agent-not-running")->finding.severity,
            Severity::kInfo);
}

TEST(Diagnose, MissesTheKeyThatAForgeWasToSee) {
  Facts facts = ForgeFacts();
  facts.request.key = "SHA256:deploy";
  facts.request.key_fingerprint = "SHA256:deploy";
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kBroken);
  EXPECT_EQ(Cause(report), "agent-key-missing");
}

TEST(Diagnose, IsBrokenByAMasterThatDoesNotAnswer) {
  Facts facts = FaultFacts("connection-timeout", "timed out");
  facts.link.sharing.get()->jump_masters = {
      {.host = "bastion", .state = MasterState::kUnresponsive, .pid = 77}};
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kBroken);
  EXPECT_EQ(Cause(report), "mux-master-unresponsive");
  EXPECT_EQ(report.findings.size(), 1u);
}

// --------------------------------------------- what every finding looks like
// --

/// A set-up for each code of the catalogue.
std::vector<Facts> OneOfEach() {
  std::vector<Facts> all;
  const auto add = [&all](Facts base, auto&& change) {
    change(base);
    all.push_back(std::move(base));
  };
  add(Facts{}, [](Facts& facts) {
    facts.here = true;
    facts.near.git_remotes = {{"origin", "https://git.example/x", "", ""}};
  });
  for (const AgentState state :
       {AgentState::kMissing, AgentState::kRefused, AgentState::kDenied,
        AgentState::kDropped, AgentState::kNotASocket, AgentState::kSilent,
        AgentState::kMalformed, AgentState::kListRefused,
        AgentState::kPathTooLong})
    add(StaleMasterFacts(),
        [state](Facts& facts) { facts.near.agents[0].state = state; });
  add(StaleMasterFacts(), [](Facts& facts) {
    facts.link.forwarded.get()->path.reset();
    facts.near.agents = {LiveAgent("/tmp/other", {"a"})};
    facts.near.environment_files = {{"/e", 1, "/x", AgentState::kMissing}};
  });
  add(HealthyFacts(), [](Facts& facts) {
    facts.near.agents = {LiveAgent(kAgentPath, {"1", "2", "3", "4", "5", "6"})};
    facts.near.agents[0].identities[0].certificate =
        Certificate{.key_id = "old", .valid_before = 1};
    facts.request.key = "SHA256:no";
  });
  add(HealthyFacts(),
      [](Facts& facts) { facts.near.agents[0].identities.clear(); });
  add(StaleMasterFacts(), [](Facts& facts) {
    facts.near.agents[0].session_bind = ExtensionAnswer::kClosed;
  });
  add(HealthyFacts(), [](Facts& facts) {
    ClientConfig config;
    config.error = ConfigError{"Bad configuration option: x", "/c", 3};
    facts.link.config = config;
  });
  add(NotAsking(StaleMasterFacts()), [](Facts& facts) {
    facts.link.config.get()->other_aliases = {
        {"other", Line(8, "ForwardAgent yes", "Host other")}};
  });
  add(NotAsking(StaleMasterFacts()), [](Facts& facts) {
    facts.link.config.get()->forward_agent_line = Line(2, "ForwardAgent no");
  });
  add(NotAsking(StaleMasterFacts()), [](Facts& facts) {
    facts.link.config.get()->forward_agent_line = Line(2, "ForwardAgent no");
    facts.link.config.get()->forward_agent_shadowed = {
        Line(9, "ForwardAgent yes")};
  });
  for (const bool set : {true, false})
    add(StaleMasterFacts(), [set](Facts& facts) {
      facts.link.config.get()->forward_agent_path = "/tmp/named";
      facts.link.forwarded = AgentChoice{.source = AgentSource::kForwardAgent,
                                         .text = "/tmp/named"};
      if (set) facts.link.forwarded.get()->path = "/tmp/named";
      facts.near.agents.push_back(
          DeadAgent("/tmp/named", AgentState::kMissing));
    });
  add(StaleMasterFacts(), [](Facts& facts) {
    facts.link.config.get()->forward_agent_path = "/tmp/named";
    facts.link.forwarded = AgentChoice{.source = AgentSource::kForwardAgent,
                                       .text = "/tmp/named",
                                       .path = "/tmp/named"};
    facts.link.primary.get()->path.reset();
    facts.near.agents.push_back(LiveAgent("/tmp/named", {"a"}));
  });
  add(HealthyFacts(), [](Facts& facts) {
    facts.link.config.get()->forward_agent_line =
        Line(2, "ForwardAgent yes", "Host *");
    facts.near.vscode_forwarding_off = EnvironmentFileLine{"/s.json", 3};
  });
  all.push_back(StaleMasterFacts());
  add(SharedFacts(), [](Facts& facts) {
    facts.far.agents[0] = DeadAgent(kFarSocket, AgentState::kDropped);
  });
  add(SharedFacts(), [](Facts& facts) {
    facts.far.agents[0] = LiveAgent(kFarSocket, {"stranger"});
  });
  all.push_back(NotAsking(SharedFacts()));
  add(SharedFacts(), [](Facts& facts) {
    facts.link.session = Session{.end = SessionEnd::kTimedOut};
  });
  add(HealthyFacts(), [](Facts& facts) {
    Sharing& sharing = *facts.link.sharing.get();
    sharing.master.state = MasterState::kUnresponsive;
    sharing.control_path = std::string(120, 'x');
    sharing.control_template = "shared";
    sharing.directory.exists = false;
    sharing.jump_masters = {
        {.host = "bastion", .path = "/cm", .state = MasterState::kStaleSocket}};
  });
  add(SharedFacts(), [](Facts& facts) {
    facts.link.session = HealthyFacts().link.session;
    facts.link.session.get()->transcript.fallback = "refused by peer";
  });
  for (const std::string_view code : CheckNamed("connection").codes)
    if (code != "hosts-differ" && code != "forwarding-disabled-by-host-key")
      all.push_back(FaultFacts(std::string(code), "ssh says so."));
  add(HealthyFacts(), [](Facts& facts) {
    facts.link.session.get()->transcript.disabled_by_host_key = true;
  });
  add(StaleMasterFacts(), [](Facts& facts) {
    facts.link.control.get()->far.get()->boot_id = std::string("other");
  });
  add(StaleMasterFacts(),
      [](Facts& facts) { facts.link.control.get()->granted = false; });
  for (const char* source : {"/a:1", "cert"})
    add(HealthyFacts(), [source](Facts& facts) {
      RemoveFarAgent(facts);
      facts.link.session.get()->transcript.key_options = {
          {.source = source, .options = "pty"}};
    });
  add(HealthyFacts(), [](Facts& facts) {
    RemoveFarAgent(facts);
    facts.link.session.get()->transcript.server_version = "tinyssh";
  });
  add(HealthyFacts(), [](Facts& facts) {
    RemoveFarAgent(facts);
    facts.link.session.get()->transcript.listener_failure = "mkdtemp() failed";
  });
  for (const char* version :
       {"OpenSSH_9.2p1", "OpenSSH_for_Windows_9.5", "babeld-2e9d163d"})
    add(HealthyFacts(), [version](Facts& facts) {
      Session& session = *facts.link.session.get();
      session.end = SessionEnd::kNoProbe;
      session.transcript.server_version = version;
    });
  for (const char* version : {"dropbear_2022.83", "Cisco-1.25"})
    add(HealthyFacts(), [version](Facts& facts) {
      RemoveFarAgent(facts);
      facts.link.session.get()->transcript.server_version = version;
      facts.link.session.get()->transcript.key_options.clear();
    });
  add(HealthyFacts(), [](Facts& facts) {
    facts.far.auth_sock = std::optional<std::string>("/tmp/other");
    facts.far.agents.push_back(LiveAgent("/tmp/other", {"x"}));
    facts.far.identity_agent = std::string("none");
  });
  add(HealthyFacts(),
      [](Facts& facts) { facts.far.auth_sock = std::optional<std::string>(); });
  add(HealthyFacts(),
      [](Facts& facts) { facts.far.agents[0].state = AgentState::kRefused; });
  add(HealthyFacts(), [](Facts& facts) {
    facts.far.agents[0] = LiveAgent(kFarSocket, {"work"});
  });
  add(HealthyFacts(), [](Facts& facts) {
    const std::string gone = "/tmp/ssh-yesterday0/agent.9";
    facts.far.agents.push_back(DeadAgent(gone, AgentState::kMissing));
    LongLived& lives = *facts.far.long_lived.get();
    lives.links = {gone};
    for (const HolderKind kind :
         {HolderKind::kTmuxServer, HolderKind::kTmuxSession,
          HolderKind::kScreen, HolderKind::kEditor, HolderKind::kContainer,
          HolderKind::kProcess})
      lives.holders.push_back(
          {.kind = kind, .name = "work", .pid = 7, .auth_sock = gone});
  });
  for (const char* above : {"mosh-server", "sudo"})
    add(HealthyFacts(), [above](Facts& facts) {
      facts.here = true;
      facts.near.auth_sock = std::optional<std::string>();
      facts.near.ancestors = {
          {.pid = 2, .name = above, .auth_sock = std::optional<std::string>()},
          {.pid = 1,
           .name = "bash",
           .auth_sock = std::optional<std::string>(kFarSocket)}};
      facts.near.long_lived = LongLived{};
    });
  add(HealthyFacts(), [](Facts& facts) {
    facts.request.client = facts.link.client = "tsh";
    facts.request.ssh_options = {"-o", "ForwardAgent local"};
    facts.link.config.get()->values["forwardagent"].values = {"local"};
    facts.link.forwarded =
        AgentChoice{.source = AgentSource::kTeleport, .text = "local"};
    facts.far.agents.front().identities = {Key("teleport:dave")};
  });
  const auto add_hop = [&add](const auto& change) {
    add(HealthyFacts(), [&change](Facts& facts) {
      NextHop& hop = facts.next_hops.get()->front();
      hop.authenticated = false;
      hop.auth_method.clear();
      hop.offered[0].accepted = false;
      hop.fault = TransportFault{"authentication-failed",
                                 "Permission denied (publickey)."};
      change(hop);
    });
  };
  add_hop([](NextHop&) {});
  add_hop([](NextHop& hop) {
    hop.fault = TransportFault{"connection-refused", "Connection refused"};
  });
  add_hop([](NextHop& hop) {
    hop.fault->message = "Too many authentication failures";
  });
  add_hop([](NextHop& hop) {
    hop.offered.clear();
    hop.config = {{"identitiesonly", "yes"}};
  });
  add_hop([](NextHop& hop) {
    hop.offered[0].accepted = true;
    hop.signing_failure = "agent refused operation";
  });
  return all;
}

TEST(Findings, HaveSummaryEvidenceAndImperativeFixes) {
  std::set<std::string> seen;
  for (const Facts& facts : OneOfEach())
    for (const ReportedFinding& reported : DiagnoseFacts(facts).findings) {
      const Finding& finding = reported.finding;
      SCOPED_TRACE(finding.code + ": " + finding.summary);
      seen.insert(finding.code);
      EXPECT_FALSE(finding.summary.empty());
      EXPECT_FALSE(finding.summary.ends_with('.'));
      EXPECT_EQ(finding.summary.find('\n'), std::string::npos);
      EXPECT_FALSE(finding.evidence.empty());
      for (const Evidence& evidence : finding.evidence)
        EXPECT_FALSE(evidence.source.empty() || evidence.text.empty());
      if (finding.severity != Severity::kInfo) {
        EXPECT_FALSE(finding.fixes.empty());
      }
      for (const Fix& fix : finding.fixes) {
        ASSERT_FALSE(fix.title.empty());
        EXPECT_TRUE(fix.title[0] >= 'A' && fix.title[0] <= 'Z') << fix.title;
        EXPECT_FALSE(fix.title.ends_with('.')) << fix.title;
        if (fix.safety == Safety::kSafe) {
          EXPECT_NE(fix.action, Action::kNone) << fix.title;
        }
        EXPECT_EQ(fix.action != Action::kNone, !fix.target.empty());
        for (const auto& command : fix.commands) EXPECT_FALSE(command.empty());
      }
      EXPECT_TRUE(finding.explanation.empty() ||
                  finding.explanation.ends_with('.'))
          << finding.explanation;
    }
  std::set<std::string> codes;
  for (const Check& check : AllChecks())
    codes.insert(check.codes.begin(), check.codes.end());
  EXPECT_EQ(seen, codes);
}

// ------------------------------------------------------------- exit status --

TEST(ExitStatus, IsThatOfTheWorstHost) {
  const auto status = [](std::initializer_list<Verdict> verdicts, bool strict) {
    Report report;
    for (const Verdict verdict : verdicts)
      report.hosts.push_back({.verdict = verdict});
    return ExitStatus(report, strict);
  };
  using enum Verdict;
  EXPECT_EQ(status({kHealthy}, false), 0);
  EXPECT_EQ(status({kHealthy, kDegraded}, false), 0);
  EXPECT_EQ(status({kHealthy, kDegraded}, true), 1);
  EXPECT_EQ(status({kHealthy}, true), 0);
  EXPECT_EQ(status({kHealthy, kUndetermined}, false), 3);
  EXPECT_EQ(status({kUndetermined, kBroken, kHealthy}, false), 1);
  EXPECT_EQ(status({kUndetermined, kDegraded}, true), 1);
  EXPECT_EQ(status({}, false), 3);
}

}  // namespace
}  // namespace agentdoctor
