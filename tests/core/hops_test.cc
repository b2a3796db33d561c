// The hops behind a host: what is asked of each, what the plan allows there,
// and whose fault it is.
#include "hops.h"

#include <gtest/gtest.h>

#include "checks/healthy.h"
#include "run.h"

namespace agentdoctor {
namespace {

/// \a facts as those of the hop to `web` behind their own destination.
Facts Beyond(Facts facts) {
  facts.via = {facts.request.destination};
  facts.request.destination = "web";
  facts.request.ssh_options.clear();
  return facts;
}

Facts WithoutAgent(Facts facts) {
  facts.near.auth_sock = std::optional<std::string>();
  facts.near.agents.clear();
  for (Fact<AgentChoice>* choice : {&facts.link.forwarded, &facts.link.primary})
    *choice = AgentChoice{.text = "SSH_AUTH_SOCK"};
  facts.link.session =
      Session{.end = SessionEnd::kFailed,
              .fault = TransportFault{"authentication-failed",
                                      "Permission denied (publickey)."}};
  facts.far = {};
  return facts;
}

HostReport Second(const Facts& first, const Facts& second) {
  Recording recording;
  recording.hosts = {{.facts = first}, {.facts = second}};
  return MakeReport(recording, {}).hosts.at(1);
}

TEST(Hops, AskAboutTheEndOfThePathAtItsEnd) {
  const Request first{.destination = "b",
                      .ssh_options = {"-A"},
                      .ssh = "/opt/ssh",
                      .key = "k",
                      .key_fingerprint = "SHA256:k",
                      .interactive = true,
                      .to = {"git@forge"}};
  EXPECT_EQ(PathRequests(first, {}), std::vector<Request>{first});
  const std::vector<Request> path = PathRequests(first, {"c", "d"});
  ASSERT_EQ(path.size(), 3U);
  EXPECT_TRUE(path[0].to.empty());
  EXPECT_TRUE(path[1].to.empty());
  EXPECT_EQ(path[2].to, first.to);
  EXPECT_EQ(path[2].destination, "d");
  EXPECT_EQ(path[2].key_fingerprint, "SHA256:k");
  // These are about the first login, and the program is one of this machine.
  EXPECT_TRUE(path[1].ssh_options.empty());
  EXPECT_EQ(path[1].ssh, "ssh");
  EXPECT_FALSE(path[1].interactive);
}

TEST(Hops, AreNotReachedThroughAHostWithoutASession) {
  Facts first = HealthyFacts();
  const std::vector<Request> path = PathRequests(first.request, {"c", "d"});
  first.link.session = Session{
      .end = SessionEnd::kFailed,
      .fault = TransportFault{"connection-refused", "Connection refused"}};
  const std::vector<Facts> hops =
      CollectHops(first, path, nullptr, {}, ControlMode::kAuto);
  ASSERT_EQ(hops.size(), 2U);
  const std::string host = first.request.destination;
  EXPECT_EQ(hops[0].via, std::vector<std::string>{host});
  EXPECT_EQ(hops[1].via, (std::vector<std::string>{host, "c"}));
  for (const Facts& hop : hops)
    EXPECT_EQ(hop.link.session.reason(),
              "nothing can be run on " + host + ": Connection refused");
}

TEST(Hops, CostNoSecondLoginThatNeedsAPerson) {
  Facts first = HealthyFacts();
  const std::vector<Request> path = PathRequests(first.request, {"c"});
  first.link.session.get()->transcript.asked_person = "touch your key";
  const std::vector<Facts> hops =
      CollectHops(first, path, nullptr, {}, ControlMode::kAuto);
  ASSERT_EQ(hops.size(), 1U);
  EXPECT_NE(hops[0].link.session.reason().find("needed a person"),
            std::string::npos);
  EXPECT_EQ(Second(first, hops[0]).verdict, Verdict::kUndetermined);
}

TEST(Hops, HaveAControlOnlyWhereAMasterIsInDoubt) {
  Facts stale = Beyond(StaleMasterFacts());
  stale.link.control = {};
  EXPECT_EQ(Next(stale, ControlMode::kAuto).next, Experiment::kControl);
  Facts forced = Beyond(HealthyFacts());
  forced.link.session.get()->end = SessionEnd::kNoProbe;
  forced.link.control = {};
  EXPECT_EQ(Next(forced, ControlMode::kAlways).next, Experiment::kNone);
}

TEST(Hops, WithoutAnAgentFollowFromTheBreakBeforeThem) {
  const HostReport hop =
      Second(StaleMasterFacts(), WithoutAgent(Beyond(HealthyFacts())));
  EXPECT_EQ(hop.verdict, Verdict::kUndetermined);
  EXPECT_FALSE(hop.root_cause);
  ASSERT_TRUE(hop.earlier);
  EXPECT_EQ(hop.earlier->code, "mux-master-without-forwarding");
  for (const ReportedFinding& reported : hop.findings) {
    EXPECT_EQ(reported.consequence_of, "mux-master-without-forwarding");
    EXPECT_EQ(reported.consequence_host, hop.via.back());
  }
}

TEST(Hops, HaveCausesOfTheirOwnWhereThePathIsWhole) {
  const HostReport hop =
      Second(HealthyFacts(), WithoutAgent(Beyond(HealthyFacts())));
  EXPECT_FALSE(hop.earlier);
  ASSERT_TRUE(hop.root_cause);
  EXPECT_EQ(hop.root_cause->code, "agent-not-running");
}

TEST(Hops, SayWhereAndAreNotRepaired) {
  const HostReport hop = Second(HealthyFacts(), Beyond(StaleMasterFacts()));
  EXPECT_EQ(hop.root_cause->code, "mux-master-without-forwarding");
  for (const ReportedFinding& reported : hop.findings)
    for (const Fix& fix : reported.finding.fixes) {
      EXPECT_EQ(fix.host, hop.via.back()) << fix.title;
      EXPECT_NE(fix.safety, Safety::kSafe) << fix.title;
      EXPECT_EQ(fix.action, Action::kNone) << fix.title;
    }
}

}  // namespace
}  // namespace agentdoctor
