// The laboratory itself: what the other tests take for granted.
#include "lab/lab.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace agentdoctor::lab {
namespace {

using LabItself = Lab;

TEST_F(LabItself, ForwardsARealAgentThroughRealSsh) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, Sharing()));
  EXPECT_NE(Ssh({"gitlab-runner", "ssh-add -l"}).find(Fingerprint("id_ec2")),
            std::string::npos);
  EXPECT_EQ(Ssh({"gitlab-runner", "cd && pwd"}), RemoteHome() + "\n");
  EXPECT_EQ(server.Logins(), 2);
}

TEST_F(LabItself, SeesAMasterThatHidesAnAgent) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server,
                        "  ControlMaster auto\n"
                        "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON "%p\n"));
  const pid_t master = OpenMaster();
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
  WriteConfig(HostBlock(server, Sharing()));
  EXPECT_EQ(Ssh({"gitlab-runner", "echo [$SSH_AUTH_SOCK]"}), "[]\n");
  EXPECT_EQ(server.Logins(), 1);
}

TEST_F(LabItself, KeepsAShellOpen) {
  const Server server = StartServer();
  WriteConfig(HostBlock(server, ""));
  const Program shell = OpenShell({"gitlab-runner"});
  EXPECT_TRUE(Answers(shell));
  EXPECT_TRUE(shell.Alive());
}

TEST_F(LabItself, LeavesNothing) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, Sharing()));
  OpenMaster();
  OpenShell({"gitlab-runner"});
  EXPECT_FALSE(Descendants().empty());
  EndDescendants();
  EXPECT_TRUE(Descendants().empty());
}

TEST_F(LabItself, GivesDaveAnyLoginShell) {
  const Server server = StartServer();
  WriteConfig(HostBlock(server, ""));
  SetLoginShell("/usr/bin/tcsh");
  EXPECT_EQ(Ssh({"gitlab-runner", "echo $shell"}), "/usr/bin/tcsh\n");
}

}  // namespace
}  // namespace agentdoctor::lab
