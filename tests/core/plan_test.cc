#include "plan.h"

#include <gtest/gtest.h>

#include "checks/healthy.h"

namespace agentdoctor {
namespace {

/// The facts as they are before the control experiment.
Facts Open(Facts facts) {
  facts.link.control = {};
  return facts;
}

Experiment After(const Facts& facts, ControlMode mode = ControlMode::kAuto) {
  return Next(facts, mode).next;
}

Facts ForcedFacts() {
  Facts facts = Open(HealthyFacts());
  facts.link.session.get()->end = SessionEnd::kNoProbe;
  facts.far = {};
  return facts;
}

Facts HangingAtMaster() {
  Facts facts = Open(SharedFacts());
  facts.link.session = Session{.end = SessionEnd::kTimedOut};
  facts.far = {};
  return facts;
}

TEST(Plan, GoesFromTheConfigurationToTheSession) {
  Facts facts;
  EXPECT_EQ(After(facts), Experiment::kResolve);
  facts.link.config = HealthyFacts().link.config;
  EXPECT_EQ(After(facts), Experiment::kNearSide);
  facts.link.sharing = Unknown{"not looked for"};
  EXPECT_EQ(After(facts), Experiment::kSession);
  facts = HealthyFacts();
  EXPECT_EQ(After(facts), Experiment::kNone);
}

TEST(Plan, OpensNoSessionWithoutAConfiguration) {
  Facts facts;
  facts.link.config = Unknown{"ssh-not-found: no such file"};
  EXPECT_EQ(After(facts), Experiment::kNone);
  EXPECT_EQ(Next(facts, ControlMode::kAuto).because,
            "ssh-not-found: no such file");
  ClientConfig config;
  config.error = ConfigError{"Bad configuration option: x", "/c", 3};
  facts.link.config = config;
  EXPECT_EQ(After(facts), Experiment::kNone);
}

TEST(Plan, OpensNoSessionThatWouldOnlyHang) {
  const auto before = [](Facts facts) {
    facts.link.session = {};
    facts.link.control = {};
    return facts;
  };
  Facts frozen = before(SharedFacts());
  EXPECT_EQ(After(frozen), Experiment::kSession);
  frozen.link.sharing.get()->master.state = MasterState::kUnresponsive;
  EXPECT_EQ(After(frozen), Experiment::kNone);

  Facts bastion = before(HealthyFacts());
  bastion.link.sharing.get()->jump_masters = {
      {.host = "bastion", .state = MasterState::kUnresponsive}};
  EXPECT_EQ(Next(bastion, ControlMode::kAuto).because,
            "the master for bastion does not answer, and ssh would wait for "
            "it");
  bastion.link.sharing.get()->master.state = MasterState::kAlive;
  EXPECT_EQ(After(bastion), Experiment::kSession);

  Facts agent = before(HealthyFacts());
  agent.near.agents[0].state = AgentState::kSilent;
  EXPECT_EQ(After(agent), Experiment::kNone);
  agent.link.sharing.get()->master.state = MasterState::kAlive;
  EXPECT_EQ(After(agent), Experiment::kSession);
}

TEST(Plan, DoesNothingMoreWhenInterrupted) {
  Facts facts = Open(StaleMasterFacts());
  facts.interrupted = true;
  EXPECT_EQ(After(facts), Experiment::kNone);
  EXPECT_EQ(After(facts, ControlMode::kAlways), Experiment::kNone);
}

TEST(Plan, MakesOneLoginWhereAllIsWell) {
  EXPECT_EQ(After(Open(HealthyFacts())), Experiment::kNone);
  EXPECT_EQ(After(Open(SharedFacts())), Experiment::kNone);
  EXPECT_EQ(After(Open(HealthyFacts()), ControlMode::kAlways),
            Experiment::kControl);
}

TEST(Plan, ComparesAMasterWithoutAnAgentToAFreshLogin) {
  const Facts facts = Open(StaleMasterFacts());
  EXPECT_EQ(After(facts), Experiment::kControl);
  EXPECT_EQ(After(facts, ControlMode::kNever), Experiment::kNone);
  EXPECT_EQ(Next(facts, ControlMode::kNever).because, "--control never");
  EXPECT_EQ(After(StaleMasterFacts()), Experiment::kNone) << "made already";
}

TEST(Plan, ComparesAMasterWithADeadAgent) {
  Facts facts = Open(SharedFacts());
  facts.far.agents[0] = DeadAgent(kFarSocket, AgentState::kDropped);
  EXPECT_EQ(After(facts), Experiment::kControl);
}

TEST(Plan, ComparesAMasterBehindAForeignVariable) {
  Facts facts = Open(StaleMasterFacts());
  facts.far.auth_sock = std::optional<std::string>("/run/user/1000/host");
  facts.far.agents = {LiveAgent("/run/user/1000/host", {"server"})};
  EXPECT_EQ(After(facts), Experiment::kControl);
}

TEST(Plan, NeedsNoControlForOtherKeysOrALeak) {
  Facts facts = Open(SharedFacts());
  facts.far.agents[0] = LiveAgent(kFarSocket, {"stranger"});
  EXPECT_EQ(After(facts), Experiment::kNone);
  facts = Open(SharedFacts());
  facts.link.config.get()->forward_agent = false;
  EXPECT_EQ(After(facts), Experiment::kNone);
}

TEST(Plan, AsksWhoseMasterItIsWhereHostsShareOne) {
  Facts facts = Open(SharedFacts());
  facts.link.sharing.get()->control_template = "~/.ssh/cm/shared";
  EXPECT_EQ(After(facts), Experiment::kControl);
  facts = Open(SharedFacts());
  facts.link.sharing.get()->control_template = "~/.ssh/cm/%r@%h";
  EXPECT_EQ(After(facts), Experiment::kNone);
  facts.far.ssh_connection = std::string("10.0.0.9 50000 10.0.0.5 2222");
  EXPECT_EQ(After(facts), Experiment::kControl);
}

TEST(Plan, TakesAFreshSessionForItsOwnControl) {
  Facts facts = Open(HealthyFacts());
  RemoveFarAgent(facts);
  EXPECT_EQ(After(facts), Experiment::kNone);
}

TEST(Plan, AsksAServerThatDoesNotSayWhyThereIsNoAgent) {
  Facts facts = Open(HealthyFacts());
  RemoveFarAgent(facts);
  Transcript& transcript = facts.link.session.get()->transcript;
  transcript.server_version = "dropbear_2022.83";
  EXPECT_EQ(After(facts), Experiment::kControl);
  transcript.server_version = "tinyssh_noversion";  // its name says why
  EXPECT_EQ(After(facts), Experiment::kNone);
  facts = Open(HealthyFacts());
  facts.link.session.get()->transcript.server_version = "dropbear_2022.83";
  EXPECT_EQ(After(facts), Experiment::kNone);
}

TEST(Plan, SparesTheLoginWhereALocalFactExplainsEverything) {
  Facts facts = Open(StaleMasterFacts());
  facts.near.agents[0].state = AgentState::kRefused;
  EXPECT_EQ(After(facts), Experiment::kNone);
  facts = Open(StaleMasterFacts());
  facts.link.forwarded.get()->path.reset();
  EXPECT_EQ(After(facts), Experiment::kNone);
  facts = Open(StaleMasterFacts());
  facts.link.config.get()->forward_agent = false;
  EXPECT_EQ(After(facts), Experiment::kNone);
  facts = Open(StaleMasterFacts());
  facts.near.agents[0].session_bind = ExtensionAnswer::kClosed;
  EXPECT_EQ(After(facts), Experiment::kNone);
  facts = Open(StaleMasterFacts());  // ssh forwards none without this one
  facts.link.primary.get()->path.reset();
  EXPECT_EQ(After(facts), Experiment::kNone);
  facts = Open(StaleMasterFacts());  // an empty agent explains no missing one
  facts.near.agents[0].identities.clear();
  EXPECT_EQ(After(facts), Experiment::kControl);
}

TEST(Plan, AsksTheServerBehindAForcedCommand) {
  EXPECT_EQ(After(ForcedFacts()), Experiment::kControl);
  Facts facts = ForcedFacts();  // what the key allows is known already
  facts.link.session.get()->transcript.key_options[0].agent_forwarding = false;
  EXPECT_EQ(After(facts), Experiment::kNone);
  facts = ForcedFacts();
  facts.link.session.get()->transcript.authenticated = false;
  EXPECT_EQ(After(facts), Experiment::kNone);
}

TEST(Plan, AsksForAFreshLoginWhereAMasterHangs) {
  EXPECT_EQ(After(HangingAtMaster()), Experiment::kControl);
  Facts facts = HangingAtMaster();  // the server had opened the session
  facts.link.session.get()->transcript.through_master = true;
  EXPECT_EQ(After(facts), Experiment::kNone);
  facts = HangingAtMaster();  // no local fact explains a hang
  facts.link.config.get()->forward_agent = false;
  EXPECT_EQ(After(facts), Experiment::kControl);
  facts = HangingAtMaster();  // the login would hang at the agent
  facts.near.agents[0].state = AgentState::kSilent;
  EXPECT_EQ(After(facts), Experiment::kNone);
}

TEST(Plan, DoesNotTryAgainAfterATransportFault) {
  Facts facts = Open(FaultFacts("connection-refused", "refused"));
  EXPECT_EQ(After(facts), Experiment::kNone);
  EXPECT_EQ(After(facts, ControlMode::kAlways), Experiment::kNone);
  facts.link.session = Session{.end = SessionEnd::kTimedOut};
  EXPECT_EQ(After(facts), Experiment::kNone);
}

TEST(Plan, TakesNoSecondTouchOfAPerson) {
  Facts facts = ForcedFacts();
  facts.link.session.get()->transcript.asked_person = "touch your key";
  EXPECT_EQ(After(facts), Experiment::kNone);
  EXPECT_EQ(Next(facts, ControlMode::kAuto).because,
            "the first login needed a person");
  EXPECT_EQ(After(facts, ControlMode::kAlways), Experiment::kControl);
}

TEST(Plan, FeedsTheProbeOnlyWhereItRanBefore) {
  EXPECT_TRUE(ControlMayProbe(StaleMasterFacts()));
  EXPECT_FALSE(ControlMayProbe(ForcedFacts()));
  EXPECT_FALSE(ControlMayProbe(HangingAtMaster()));
  EXPECT_FALSE(ControlMayProbe(Facts{}));
}

}  // namespace
}  // namespace agentdoctor
