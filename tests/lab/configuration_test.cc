// What ssh's configuration says, and where it says so.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "lab/fakes.h"
#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

class Configuration : public Lab {
 protected:
  Configuration() : server_(StartServer()) { StartAgentWithKey(); }

  std::string Block(const std::string& lines) const {
    return HostBlock(server_, lines);
  }

  Outcome With(const std::string& config) {
    WriteConfig(config);
    return Run({"gitlab-runner"});
  }

  /// Where a line of ~/.ssh/config stands, as the report says it.
  static bool Names(const nlohmann::json& finding, const std::string& file,
                    int line) {
    if (!finding.is_object()) return false;
    for (const auto& evidence : finding["evidence"])
      if (evidence.value("file", "") == file &&
          evidence.value("line", 0) == line)
        return true;
    return false;
  }

  const Server server_;
};

TEST_F(Configuration, ThatAsksForNothingIsNotRequested) {
  const Outcome run = With(Block(""));
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "forwarding-not-requested",
                            .certainty = "proven"}));
}

TEST_F(Configuration, ThatSaysNoIsDisabledWithItsLine) {
  const Outcome run = With(Block("  ForwardAgent no\n"));
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "forwarding-disabled-by-config",
                            .certainty = "proven"}));
  EXPECT_TRUE(Names(run.Finding("forwarding-disabled-by-config"),
                    Home(".ssh/config"), 6))
      << run.out;
}

TEST_F(Configuration, ShadowedByAnEarlierLineNamesBoth) {
  const Outcome run = With("Host gitlab-*\n  ForwardAgent no\n" +
                           Block("  ForwardAgent yes\n"));
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "forward-agent-shadowed",
                            .certainty = "proven"}));
  const auto finding = run.Finding("forward-agent-shadowed");
  EXPECT_TRUE(Names(finding, Home(".ssh/config"), 2)) << run.out;
  EXPECT_TRUE(Names(finding, Home(".ssh/config"), 8)) << run.out;
}

TEST_F(Configuration, ShadowedByAnIncludeNamesTheIncludedFile) {
  WriteText(Home(".ssh/conf.d/company"), "Host *\n  ForwardAgent no\n");
  const Outcome run =
      With("Include conf.d/*\n" + Block("  ForwardAgent yes\n"));
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "forward-agent-shadowed"}));
  EXPECT_TRUE(Names(run.Finding("forward-agent-shadowed"),
                    Home(".ssh/conf.d/company"), 2))
      << run.out;
}

TEST_F(Configuration, ShadowedByAMatchNamesIt) {
  const Outcome run =
      With("Match host 127.0.0.1 exec true\n  User dave\n" + Block("") +
           "Match originalhost gitlab-runner exec true\n"
           "  ForwardAgent no\n"
           "Host *\n  ForwardAgent yes\n");
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "forward-agent-shadowed"}));
  EXPECT_NE(run.TextOf("forward-agent-shadowed")
                .find("Match originalhost gitlab-runner"),
            std::string::npos)
      << run.out;
}

TEST_F(Configuration, ShadowedInASecondPassIsStillNamed) {
  const Outcome run = With(Block("  ForwardAgent no\n") +
                           "Match final host 127.0.0.1\n  ForwardAgent yes\n");
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "forward-agent-shadowed"}));
}

TEST_F(Configuration, ThatForwardsToEveryHostIsAWarning) {
  const Outcome run = With(Block("") + "Host *\n  ForwardAgent yes\n");
  EXPECT_TRUE(
      Reports(run, {.verdict = "degraded", .cause = "forward-agent-global"}));
}

TEST_F(Configuration, UnderAnotherAliasIsMentioned) {
  WriteConfig(Block("") + HostBlock(server_, "  ForwardAgent yes\n", "runner"));
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "forwarding-not-requested"}));
  EXPECT_NE(run.TextOf("host-alias-mismatch").find("runner"),
            std::string::npos);
}

TEST_F(Configuration, ForwardAgentMayBeAPath) {
  EXPECT_TRUE(Reports(With(Block("  ForwardAgent " + AgentSocket() + "\n")),
                      {.verdict = "healthy"}));
}

TEST_F(Configuration, ForwardAgentMayBeAPathToAnotherAgentThanTheLogins) {
  MakeKey("id_work");
  const std::string primary = AgentSocket();
  StartAgent("work");
  AddKey("id_work");
  SetEnv("SSH_AUTH_SOCK", primary);
  const Outcome run =
      With(Block("  ForwardAgent " + AgentSocket("work") + "\n"));
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
}

TEST_F(Configuration, ForwardAgentPathThatIsMissingIsNamed) {
  const Outcome run = With(Block("  ForwardAgent /nonexistent/agent\n"));
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "forward-agent-socket-missing",
                            .certainty = "proven"}));
  EXPECT_NE(
      run.TextOf("forward-agent-socket-missing").find("/nonexistent/agent"),
      std::string::npos);
}

TEST_F(Configuration, ForwardAgentLocalIsTheMixUpItIs) {
  const Outcome run = With(Block("  ForwardAgent local\n"));
  EXPECT_TRUE(Reports(
      run, {.verdict = "broken", .cause = "forward-agent-socket-missing"}));
  EXPECT_NE(run.TextOf("forward-agent-socket-missing").find("Teleport"),
            std::string::npos);
}

TEST_F(Configuration, ForwardAgentPathThatIsDeadKeepsTheAgentsCode) {
  LeaveDeadSocket(Folder() + "/dead");
  EXPECT_TRUE(Reports(With(Block("  ForwardAgent " + Folder() + "/dead\n")),
                      {.verdict = "broken", .cause = "agent-socket-dead"}));
}

TEST_F(Configuration, ForwardAgentMayBeAVariable) {
  SetEnv("WORK_AGENT", AgentSocket());
  EXPECT_TRUE(Reports(With(Block("  ForwardAgent $WORK_AGENT\n")),
                      {.verdict = "healthy"}));
  EXPECT_TRUE(Reports(With(Block("  ForwardAgent ${WORK_AGENT}\n")),
                      {.verdict = "healthy"}));
}

TEST_F(Configuration, ForwardAgentVariableThatIsUnsetIsNamed) {
  const Outcome run = With(Block("  ForwardAgent $WORK_AGENT\n"));
  EXPECT_TRUE(Reports(
      run, {.verdict = "broken", .cause = "forward-agent-socket-unset"}));
  EXPECT_NE(run.TextOf("forward-agent-socket-unset").find("WORK_AGENT"),
            std::string::npos);
}

TEST_F(Configuration, ForwardAgentBracedVariableThatIsUnsetIsAConfigError) {
  const Outcome run = With(Block("  ForwardAgent ${WORK_AGENT}\n"));
  EXPECT_TRUE(Reports(run, {.verdict = "broken", .cause = "config-error"}));
}

TEST_F(Configuration, ForwardAgentPathAfterANoDoesNotForward) {
  const Outcome run = With("Host gitlab-*\n  ForwardAgent no\n" +
                           Block("  ForwardAgent " + AgentSocket() + "\n"));
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "forward-agent-shadowed"}));
}

TEST_F(Configuration, ForwardAgentPathNeedsAPrimaryAgent) {
  UnsetEnv("SSH_AUTH_SOCK");
  EXPECT_TRUE(
      Reports(With(Block("  ForwardAgent " + AgentSocket() + "\n")),
              {.verdict = "broken", .cause = "forward-agent-primary-missing"}));
}

TEST_F(Configuration, IdentityAgentMayNameTheAgent) {
  UnsetEnv("SSH_AUTH_SOCK");
  EXPECT_TRUE(Reports(With(Block("  ForwardAgent yes\n  IdentityAgent " +
                                 AgentSocket() + "\n")),
                      {.verdict = "healthy"}));
}

TEST_F(Configuration, IdentityAgentNoneLeavesNoAgentToForward) {
  const Outcome run = With(Block("  ForwardAgent yes\n  IdentityAgent none\n"));
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "agent-not-running"}));
  EXPECT_NE(run.TextOf("agent-not-running").find("IdentityAgent"),
            std::string::npos);
}

TEST_F(Configuration, IdentityAgentThatIsMissingIsNamedAsTheOne) {
  const Outcome run =
      With(Block("  ForwardAgent yes\n  IdentityAgent /nonexistent/agent\n"));
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "agent-socket-missing"}));
  EXPECT_NE(run.TextOf("agent-socket-missing").find("IdentityAgent"),
            std::string::npos);
}

TEST_F(Configuration, WithABadOptionIsAConfigErrorAtItsLine) {
  const Outcome run = With(Block("  ForwardAgent yes\n  UseKeychain yes\n"));
  EXPECT_TRUE(Reports(run, {.verdict = "broken", .cause = "config-error"}));
  EXPECT_TRUE(Names(run.Finding("config-error"), Home(".ssh/config"), 7))
      << run.out;
}

TEST_F(Configuration, ThatOthersMayWriteIsAConfigError) {
  WriteConfig(Block("  ForwardAgent yes\n"));
  chmod(Home(".ssh/config").c_str(), 0666);
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken", .cause = "config-error"}));
  EXPECT_NE(run.TextOf("config-error").find("permissions"), std::string::npos);
}

TEST_F(Configuration, IsOverruledByTheCommandLine) {
  WriteConfig(Block("  ForwardAgent no\n"));
  EXPECT_TRUE(Reports(Run({"-A", "gitlab-runner"}), {.verdict = "healthy"}));
  EXPECT_TRUE(Reports(Run({"-o", "ForwardAgent=yes", "gitlab-runner"}),
                      {.verdict = "healthy"}));
  WriteConfig(Block("  ForwardAgent yes\n"));
  EXPECT_TRUE(
      Reports(Run({"-a", "gitlab-runner"}),
              {.verdict = "broken", .cause = "forwarding-disabled-by-config"}));
}

TEST_F(Configuration, IsReadAsForThePastedCommandLine) {
  WriteConfig(Block(""));
  EXPECT_TRUE(Reports(Run({"--", "ssh", "-A", "-v", "gitlab-runner", "uptime"}),
                      {.verdict = "healthy"}));
  EXPECT_TRUE(
      Reports(Run({"--", "ssh", "-tq", "gitlab-runner"}),
              {.verdict = "broken", .cause = "forwarding-not-requested"}));
}

TEST_F(Configuration, MayBeAnotherFile) {
  WriteText(Folder() + "/work_config", Block("  ForwardAgent yes\n"));
  EXPECT_TRUE(Reports(Run({"-F", Folder() + "/work_config", "gitlab-runner"}),
                      {.verdict = "healthy"}));
}

TEST_F(Configuration, IsNotNeededWhereTheDestinationSaysItAll) {
  WriteConfig("Host 127.0.0.1\n  ForwardAgent yes\n");
  const std::string port = std::to_string(server_.port);
  EXPECT_TRUE(
      Reports(Run({"-p", port, "dave@127.0.0.1"}), {.verdict = "healthy"}));
  EXPECT_TRUE(Reports(Run({"-p", port, "-l", "dave", "127.0.0.1"}),
                      {.verdict = "healthy"}));
  EXPECT_TRUE(
      Reports(Run({"ssh://dave@127.0.0.1:" + port}), {.verdict = "healthy"}));
}

TEST_F(Configuration, SuggestsCommandsWithTheOptionsOfTheUser) {
  WriteText(Folder() + "/work_config",
            Block("  ControlMaster auto\n"
                  "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON "%p\n"));
  const std::string file = Folder() + "/work_config";
  Ssh({"-F", file, "-o", "ControlPersist=yes", "gitlab-runner", "true"});
  const Outcome run = Run({"-F", file, "-A", "gitlab-runner"});
  EXPECT_EQ(run.RootCause(), "mux-master-without-forwarding") << run.out;
  const std::string remedy = run.Remedy("mux-master-without-forwarding");
  EXPECT_NE(remedy.find("-F " + file), std::string::npos) << remedy;
}

TEST_F(Configuration, ShowsProvenanceOnItsOwn) {
  WriteConfig("Host gitlab-*\n  ForwardAgent no\n" +
              Block("  ForwardAgent yes\n"));
  const Ended shown = Agentdoctor({"config", "gitlab-runner", "ForwardAgent"});
  EXPECT_EQ(shown.status, 0) << shown.err;
  EXPECT_NE(shown.out.find("config:2"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("config:8"), std::string::npos) << shown.out;
  EXPECT_EQ(server_.Logins(), 0);
}

TEST_F(Configuration, MayNameAnIpv6Address) {
  Server server;
  try {
    server = StartServer({.address = "::1"});
  } catch (const std::runtime_error&) {
    GTEST_SKIP() << "no IPv6 here";
  }
  WriteConfig("Host ::1\n  ForwardAgent yes\n");
  const std::string port = std::to_string(server.port);
  EXPECT_TRUE(Reports(Run({"-p", port, "dave@::1"}), {.verdict = "healthy"}));
}

TEST_F(Configuration, OfSeveralHostsIsJudgedForEachInTheOrderAsked) {
  WriteConfig(Block("  ForwardAgent yes\n") + HostBlock(server_, "", "other"));
  const Outcome run = Run({"other", "gitlab-runner", "other"});
  ASSERT_EQ(run.report["hosts"].size(), 2U);
  EXPECT_EQ(run.Host(0)["host"], "other");
  EXPECT_EQ(run.Host(0)["verdict"], "broken");
  EXPECT_EQ(run.Host(1)["host"], "gitlab-runner");
  EXPECT_EQ(run.Host(1)["verdict"], "healthy");
  EXPECT_EQ(run.report["summary"]["healthy"], 1);
  EXPECT_EQ(run.report["summary"]["broken"], 1);
  EXPECT_EQ(run.status, 1);
}

}  // namespace
}  // namespace agentdoctor::lab
