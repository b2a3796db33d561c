#include "run.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace agentdoctor {
namespace {

/// Fails for one destination in a way that nobody expects.
class FailingClient final : public Client {
 public:
  Resolution Resolve(const Request& request) override {
    if (request.destination == "bad")
      throw std::runtime_error("no room in /tmp");
    return {.config = Unknown{"not asked"},
            .forwarded = Unknown{"not asked"},
            .primary = Unknown{"not asked"}};
  }
  Fact<Sharing> LookForMasters(const Request&, const ClientConfig&) override {
    return Unknown{"not asked"};
  }
  SessionResult OpenSession(const Facts&, const ProbeCommand&) override {
    return {};
  }
  std::optional<Command> ShellCommand(const Facts&,
                                      const std::string&) override {
    return std::nullopt;
  }
  std::optional<Agent> AskRemoteAgent(const Facts&,
                                      const std::string&) override {
    return std::nullopt;
  }
  ControlResult MakeControlLogin(const Facts&, const ProbeCommand*) override {
    return {};
  }
};

TEST(Run, OneBadHostTakesNoOtherWithIt) {
  RunPlan plan;
  for (const char* destination : {"bad", "good", "bad"})
    plan.requests.push_back({.destination = destination});
  plan.repair = RepairOptions{};
  Recording recording;
  const Report report = RunAll(
      plan, [] { return std::make_unique<FailingClient>(); }, &recording);
  ASSERT_EQ(recording.hosts.size(), 3u);
  EXPECT_EQ(recording.hosts[0].facts.link.config.reason(), "no room in /tmp");
  EXPECT_EQ(recording.hosts[1].facts.link.config.reason(), "not asked");

  ASSERT_EQ(report.hosts.size(), 3u);
  for (const HostReport& host : report.hosts)
    EXPECT_EQ(host.verdict, Verdict::kUndetermined) << host.host;
  EXPECT_EQ(report.hosts[2].host, "bad");
  // What could be recorded can be read again.
  const Recording again = ReadRecording(WriteRecording(recording), "facts");
  EXPECT_EQ(again.hosts.size(), 3u);
}

}  // namespace
}  // namespace agentdoctor
