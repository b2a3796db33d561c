// --fix: what it repairs, what it leaves alone, and what it says.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "lab/fakes.h"
#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

namespace fs = std::filesystem;

class Fix : public Lab {
 protected:
  std::string WithoutForwarding(const Server& server) const {
    return HostBlock(server,
                     "  ControlMaster auto\n"
                     "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON "%p\n");
  }

  /// A server, an agent, and a configuration that does not forward yet.
  Server Before(const ServerOptions& options = {}) {
    const Server server = StartServer(options);
    StartAgentWithKey();
    WriteConfig(WithoutForwarding(server));
    return server;
  }

  void After(const Server& server) {
    WriteConfigLater(HostBlock(server, Sharing()));
  }

  static nlohmann::json Repairs(const Outcome& run) {
    return run.Host().value("repairs", nlohmann::json::array());
  }

  static std::string BeforeVerdict(const Outcome& run) {
    return run.Host()
        .value("before", nlohmann::json::object())
        .value("verdict", "");
  }
};

TEST_F(Fix, LetsAnIdleStaleMasterGo) {
  const Server server = Before();
  const pid_t master = OpenMaster();
  After(server);
  const std::string config = ReadText(Home(".ssh/config"));

  const Outcome run = Run({"--fix", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(BeforeVerdict(run), "broken");
  EXPECT_EQ(run.Host()["before"]["rootCause"]["code"],
            "mux-master-without-forwarding");
  ASSERT_EQ(Repairs(run).size(), 1U);
  EXPECT_EQ(Repairs(run)[0]["status"], "applied");
  EXPECT_EQ(Repairs(run)[0]["code"], "mux-master-without-forwarding");
  EXPECT_EQ(Repairs(run)[0]["commands"],
            nlohmann::json({"ssh -O stop gitlab-runner"}));
  EXPECT_TRUE(Eventually([&] { return IsGone(master); }));
  EXPECT_FALSE(fs::exists(ControlSocket(server)));
  EXPECT_EQ(ReadText(Home(".ssh/config")), config);
  EXPECT_NE(Ssh({"gitlab-runner", "ssh-add -l"}).find(Fingerprint("id_ec2")),
            std::string::npos);
}

TEST_F(Fix, LeavesAnOpenSessionGoingOn) {
  const Server server = Before();
  OpenMaster();
  const Program shell = OpenShell({"gitlab-runner"});
  After(server);

  const Outcome run = Run({"--fix", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_TRUE(Answers(shell)) << shell.Output();
  EXPECT_NE(Ssh({"gitlab-runner", "ssh-add -l"}).find(Fingerprint("id_ec2")),
            std::string::npos);
}

TEST_F(Fix, LeavesTheShellOfAForegroundMasterGoingOn) {
  const Server server = Before();
  const Program shell = OpenShell({"gitlab-runner"});
  After(server);

  const Outcome run = Run({"--fix", "gitlab-runner"});
  EXPECT_EQ(BeforeVerdict(run), "broken");
  EXPECT_TRUE(Answers(shell)) << shell.Output();
  EXPECT_TRUE(shell.Alive());
}

TEST_F(Fix, HealsAMasterWhoseAgentHasDied) {
  const Server server = StartServer();
  WriteConfig(HostBlock(server, Sharing()));
  const Program old_agent = StartAgent("old");
  AddKey("id_ec2");
  OpenMaster();
  kill(old_agent.pid, SIGTERM);
  Finish(old_agent);
  StartAgentWithKey();
  const Outcome run = Run({"--fix", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(run.Host()["before"]["rootCause"]["code"], "mux-master-dead-agent");
}

TEST_F(Fix, HealsAFrozenConnection) {
  const Server server = StartServer();
  WriteConfig(HostBlock(server, Sharing()));
  StartAgentWithKey();
  OpenMaster();
  for (const ProcessLine& line : Descendants(server.program.pid))
    kill(line.pid, SIGSTOP);
  const Outcome run = Run({"--fix", "--timeout", "3", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(run.Host()["before"]["rootCause"]["code"], "mux-connection-dead");
}

TEST_F(Fix, EndsTheMasterOfAFrozenConnectionWhenForced) {
  const Server server = StartServer();
  WriteConfig(HostBlock(server, Sharing()));
  StartAgentWithKey();
  const pid_t master = OpenMaster();
  for (const ProcessLine& line : Descendants(server.program.pid))
    kill(line.pid, SIGSTOP);
  const Outcome run =
      Run({"--fix", "--force", "--timeout", "3", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  ASSERT_EQ(Repairs(run).size(), 1U);
  EXPECT_EQ(Repairs(run)[0]["commands"][0], "ssh -O exit gitlab-runner");
  EXPECT_TRUE(Eventually([&] { return IsGone(master); }));
}

TEST_F(Fix, IsOnlyPlannedByADryRun) {
  const Server server = Before();
  const pid_t master = OpenMaster();
  After(server);
  const Outcome run = Run({"--fix", "--dry-run", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "mux-master-without-forwarding",
                            .certainty = "proven"}));
  ASSERT_EQ(Repairs(run).size(), 1U);
  EXPECT_EQ(Repairs(run)[0]["status"], "planned");
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
}

TEST_F(Fix, NeverEndsATunnel) {
  const Server server = Before();
  const std::string tunnel = Folder() + "/tunnel";
  Ssh({"-fNM", "-L", tunnel + ":/nonexistent", "gitlab-runner"});
  const pid_t master = MasterPid(ControlSocket(server));
  ASSERT_NE(master, 0);
  After(server);
  const Outcome run = Run({"--fix", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "mux-master-without-forwarding",
                            .certainty = "proven"}));
  EXPECT_EQ(Repairs(run).size(), 0U);
  EXPECT_EQ(run.Finding("mux-master-without-forwarding")["fixes"][0]["safety"],
            "review");
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
}

TEST_F(Fix, NeverEndsATunnelFromTheFarSide) {
  const Server server = Before();
  // It listens over there: here, only the command line tells.
  Ssh({"-fNM", "-R", Folder() + "/tunnel:/nonexistent", "gitlab-runner"});
  const pid_t master = MasterPid(ControlSocket(server));
  After(server);
  const Outcome run = Run({"--fix", "gitlab-runner"});
  EXPECT_EQ(run.RootCause(), "mux-master-without-forwarding");
  EXPECT_EQ(Repairs(run).size(), 0U);
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
}

TEST_F(Fix, NeverEndsAMasterThatNoFreshLoginCouldReplace) {
  const Server server = Before();
  const pid_t master = OpenMaster();
  After(server);
  // A one-time credential: it has been used.
  WriteText(server.folder + "/authorized_keys", "");
  const Outcome run = Run({"--fix", "gitlab-runner"});
  EXPECT_EQ(run.RootCause(), "mux-master-without-forwarding") << run.out;
  EXPECT_EQ(run.Finding("mux-master-without-forwarding")["certainty"],
            "likely");
  EXPECT_EQ(Repairs(run).size(), 0U);
  EXPECT_EQ(run.status, 1);
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
}

TEST_F(Fix, NeverEndsAMasterThatMayBeDeliberate) {
  MakeKey("id_work");
  const Server server = StartServer();
  WriteConfig(HostBlock(server, Sharing()));
  StartAgent("old");
  AddKey("id_work");
  const pid_t master = OpenMaster();
  StartAgentWithKey();
  const Outcome run = Run({"--fix", "gitlab-runner"});
  EXPECT_EQ(run.RootCause(), "mux-master-other-agent") << run.out;
  EXPECT_EQ(Repairs(run).size(), 0U);
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
}

TEST_F(Fix, EndsATunnelWhenForced) {
  const Server server = Before();
  Ssh({"-fNM", "-L", Folder() + "/tunnel:/nonexistent", "gitlab-runner"});
  const pid_t master = MasterPid(ControlSocket(server));
  After(server);
  const Outcome run = Run({"--fix", "--force", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  ASSERT_EQ(Repairs(run).size(), 1U);
  EXPECT_EQ(Repairs(run)[0]["status"], "applied");
  EXPECT_TRUE(Eventually([&] { return IsGone(master); }));
}

TEST_F(Fix, RemovesASocketFileNobodyListensOn) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, Sharing()));
  LeaveDeadSocket(ControlSocket(server));
  const Outcome run = Run({"--fix", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(BeforeVerdict(run), "degraded");
  EXPECT_FALSE(fs::exists(ControlSocket(server)));
}

TEST_F(Fix, LeavesAFileInTheSocketsPlaceAlone) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, Sharing()));
  WriteText(ControlSocket(server), "not a socket");
  Run({"--fix", "--force", "gitlab-runner"});
  EXPECT_EQ(ReadText(ControlSocket(server)), "not a socket");
}

TEST_F(Fix, MakesTheMissingFolderOfTheControlPath) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, Sharing()));
  fs::remove(Home(".ssh/sockets"));
  const Outcome run = Run({"--fix", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  ASSERT_TRUE(fs::is_directory(Home(".ssh/sockets")));
  EXPECT_EQ(fs::status(Home(".ssh/sockets")).permissions(),
            fs::perms::owner_all);
}

TEST_F(Fix, LeavesAHealthyHostAlone) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, Sharing()));
  const pid_t master = OpenMaster();
  const Outcome run = Run({"--fix", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(Repairs(run).size(), 0U);
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
  EXPECT_EQ(server.Logins(), 1);
}

}  // namespace
}  // namespace agentdoctor::lab
