// A master from earlier decides what every later session gets.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "lab/fakes.h"
#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

class StaleMaster : public Lab {
 protected:
  /// Story 1: the first connection was made before ForwardAgent was set.
  Server WithMasterFromBefore() {
    const Server server = StartServer();
    StartAgentWithKey();
    WriteConfig(HostBlock(server,
                          "  ControlMaster auto\n"
                          "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON
                          "%p\n"));
    master_ = OpenMaster();
    WriteConfigLater(HostBlock(server, Sharing()));
    return server;
  }

  Server WithSharing(const ServerOptions& options = {}) {
    const Server server = StartServer(options);
    WriteConfig(HostBlock(server, Sharing()));
    return server;
  }

  pid_t master_ = 0;
};

TEST_F(StaleMaster, MadeBeforeForwardingWasConfiguredIsNamedAndProven) {
  const Server server = WithMasterFromBefore();
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "mux-master-without-forwarding",
                            .certainty = "proven"}));
  const std::string text = run.TextOf("mux-master-without-forwarding");
  EXPECT_NE(text.find(std::to_string(master_)), std::string::npos) << text;
  EXPECT_NE(text.find(Home(".ssh/config")), std::string::npos)
      << "the newer configuration file: " << text;
  EXPECT_EQ(run.Remedy("mux-master-without-forwarding"),
            "ssh -O stop gitlab-runner\n");
  EXPECT_EQ(server.Logins(), 2) << "the master's and one control login";
}

TEST_F(StaleMaster, MadeByScpIsProvenAlike) {
  const Server server = WithSharing();
  StartAgentWithKey();
  WriteText(Home("file"), "content");
  const Ended copy = Do({"scp", "-q", "-o", "ControlPersist=yes", Home("file"),
                         "gitlab-runner:copy"});
  ASSERT_EQ(copy.status, 0) << copy.err;
  if (MasterPid(ControlSocket(server)) == 0)
    GTEST_SKIP() << "this scp makes no master (OpenSSH 10.0 and later)";
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                       .cause = "mux-master-without-forwarding",
                                       .certainty = "proven"}));
}

TEST_F(StaleMaster, MadeInTheForegroundWithoutAnAgentNeverForwards) {
  const Server server = WithSharing();
  const Program shell = OpenShell({"gitlab-runner"});
  StartAgentWithKey();
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                       .cause = "mux-master-without-forwarding",
                                       .certainty = "proven"}));
}

TEST_F(StaleMaster, MadeInTheBackgroundWithoutAnAgentForwardsADeadOne) {
  const Server server = WithSharing();
  OpenMaster();
  StartAgentWithKey();
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                               .cause = "mux-master-dead-agent",
                                               .certainty = "proven"}));
}

TEST_F(StaleMaster, WhoseAgentHasDiedIsProven) {
  const Server server = WithSharing();
  const Program old_agent = StartAgent("old");
  AddKey("id_ec2");
  OpenMaster();
  kill(old_agent.pid, SIGTERM);
  Finish(old_agent);
  StartAgentWithKey();
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "mux-master-dead-agent",
                            .certainty = "proven"}));
  EXPECT_EQ(run.Remedy("mux-master-dead-agent"), "ssh -O stop gitlab-runner\n");
}

TEST_F(StaleMaster, HoldingAnotherAgentIsAWarningWithBothKeys) {
  MakeKey("id_work");
  const Server server = WithSharing();
  StartAgent("old");
  AddKey("id_work");
  OpenMaster();
  StartAgentWithKey();
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "degraded", .cause = "mux-master-other-agent"}));
  const std::string text = run.TextOf("mux-master-other-agent");
  EXPECT_NE(text.find(Fingerprint("id_work")), std::string::npos) << text;
}

TEST_F(StaleMaster, FrozenIsBlamedByItsPidWithinTheDeadline) {
  WithMasterFromBefore();
  kill(master_, SIGSTOP);
  const Outcome run = Run({"--timeout", "1", "gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "mux-master-unresponsive"}));
  const std::string text = run.TextOf("mux-master-unresponsive");
  EXPECT_NE(text.find(std::to_string(master_)), std::string::npos) << text;
}

TEST_F(StaleMaster, AnsweringWhileItsConnectionIsFrozenIsProven) {
  const Server server = WithSharing();
  StartAgentWithKey();
  OpenMaster();
  for (const ProcessLine& line : Descendants(server.program.pid))
    kill(line.pid, SIGSTOP);
  const Outcome run = Run({"--timeout", "1", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "mux-connection-dead",
                            .certainty = "proven"}));
  EXPECT_EQ(run.Remedy("mux-connection-dead"), "ssh -O stop gitlab-runner\n");
}

TEST_F(StaleMaster, LeavingADeadSocketFileIsAWarning) {
  const Server server = WithSharing();
  StartAgentWithKey();
  LeaveDeadSocket(ControlSocket(server));
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "degraded", .cause = "mux-socket-stale"}));
  EXPECT_NE(run.TextOf("mux-socket-stale").find(ControlSocket(server)),
            std::string::npos);
}

TEST_F(StaleMaster, OfAnotherHostAtASharedPathIsAnError) {
  const Server other = StartServer();
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "", "gitlab-runner") +
              HostBlock(other, "", "elsewhere") +
              "Host *\n  ForwardAgent yes\n  ControlMaster auto\n"
              "  ControlPath ~/.ssh/sockets/shared\n");
  OpenMaster({}, "elsewhere");
  const Outcome run = Run({"--skip", "forward-agent-global", "gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "mux-path-not-unique"}));
}

TEST_F(StaleMaster, PathSharedByHostsIsAWarningBeforeItHarms) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n") +
              "Host *\n  ControlMaster auto\n"
              "  ControlPath ~/.ssh/sockets/shared\n");
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}),
                      {.verdict = "degraded", .cause = "mux-path-not-unique"}));
}

TEST_F(StaleMaster, PathTooLongForASocketIsAWarning) {
  const Server server = StartServer();
  StartAgentWithKey();
  // ssh binds PATH.XXXXXXXXXXXXXXXX first: 17 bytes more than it connects to.
  const std::string stem = Home(".ssh/sockets/");
  WriteConfig(HostBlock(server,
                        "  ForwardAgent yes\n  ControlMaster auto\n"
                        "  ControlPath " +
                            stem + "%h-" + std::string(90 - stem.size(), 'x') +
                            "\n"));
  EXPECT_TRUE(Reports(Run({"--skip", "mux-path-not-unique", "gitlab-runner"}),
                      {.verdict = "degraded", .cause = "mux-path-too-long"}));
}

TEST_F(StaleMaster, FolderOfItsPathMissingIsAWarning) {
  const Server server = WithSharing();
  StartAgentWithKey();
  std::filesystem::remove(Home(".ssh/sockets"));
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}),
              {.verdict = "degraded", .cause = "mux-directory-missing"}));
}

TEST_F(StaleMaster, ForwardingAgainstTheConfigurationIsReportedAsALeak) {
  const Server server = WithSharing();
  StartAgentWithKey();
  OpenMaster();
  Ssh({"gitlab-runner", "true"});  // the request that makes the listener
  WriteConfigLater(HostBlock(server,
                             "  ForwardAgent no\n"
                             "  ControlMaster auto\n"
                             "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON
                             "%p\n"));
  // A new connection would not have it: that may be said beside.
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded",
                            .cause = "mux-leaks-forwarding",
                            .beside = {"works-only-through-master"}}));
}

TEST_F(StaleMaster, StillForwardingAfterTheVariableIsGoneWorksOnlyThroughIt) {
  const Server server = WithSharing();
  StartAgentWithKey();
  OpenMaster();
  UnsetEnv("SSH_AUTH_SOCK");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(
      run, {.verdict = "degraded", .cause = "works-only-through-master"}));
  EXPECT_NE(run.TextOf("works-only-through-master").find("agent-not-running"),
            std::string::npos);
}

TEST_F(StaleMaster, StillForwardingAfterTheLinesAreGoneWorksOnlyThroughIt) {
  const Server server = WithSharing();
  StartAgentWithKey();
  OpenMaster();
  Ssh({"gitlab-runner", "true"});
  WriteConfigLater(HostBlock(server,
                             "  ControlMaster auto\n"
                             "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON
                             "%p\n"));
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(run.Has("mux-leaks-forwarding")) << run.out;
  EXPECT_EQ(run.Verdict(), "degraded");
  EXPECT_EQ(run.status, 0);
}

TEST_F(StaleMaster, WithoutRoomForASessionIsAWarning) {
  const Server server = WithSharing({.config = "MaxSessions 1"});
  StartAgentWithKey();
  OpenMaster();
  const Program open = OpenShell({"gitlab-runner"});
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "degraded", .cause = "mux-session-refused"}));
}

TEST_F(StaleMaster, ThatForwardsIsHealthyAndCostsNoLogin) {
  const Server server = WithSharing();
  StartAgentWithKey();
  OpenMaster();
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
  EXPECT_EQ(server.Logins(), 1);
}

TEST_F(StaleMaster, UnderControlMasterYesIsAskedWithoutLoggingIn) {
  const Server server = WithMasterFromBefore();
  WriteConfigLater(HostBlock(server,
                             "  ForwardAgent yes\n"
                             "  ControlMaster yes\n"
                             "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON
                             "%p\n"));
  const Outcome run = Run({"gitlab-runner"});
  // Such a configuration never uses a master: the user's own path is fresh.
  EXPECT_NE(run.Verdict(), "undetermined") << run.out;
  EXPECT_LE(server.Logins(), 3);
  EXPECT_EQ(MasterPid(ControlSocket(server)), master_);
  if (run.Has("mux-master-without-forwarding")) {
    EXPECT_EQ(run.Remedy("mux-master-without-forwarding"),
              "ssh -o ControlMaster=no -O stop gitlab-runner\n");
  }
}

TEST_F(StaleMaster, NotThereUnderControlMasterYesLeavesNone) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server,
                        "  ForwardAgent yes\n"
                        "  ControlMaster yes\n"
                        "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON "%p\n"));
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
  EXPECT_EQ(MasterPid(ControlSocket(server)), 0);
  EXPECT_EQ(server.Logins(), 1);
}

}  // namespace
}  // namespace agentdoctor::lab
