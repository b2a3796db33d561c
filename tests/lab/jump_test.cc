// Hosts behind others: ProxyCommand and ProxyJump.
#include <gtest/gtest.h>
#include <signal.h>

#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

class Jump : public Lab {
 protected:
  Jump() : bastion_(StartServer()), server_(StartServer()) {
    StartAgentWithKey();
  }

  /// The bastion shares its connections, as people have it.
  std::string Bastion(const std::string& lines = "") const {
    return HostBlock(bastion_,
                     "  ControlMaster auto\n"
                     "  ControlPersist yes\n"
                     "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON "%p\n" +
                         lines,
                     "bastion");
  }

  std::string Target(const std::string& lines) const {
    return HostBlock(server_, "  ForwardAgent yes\n" + lines);
  }

  const Server bastion_;
  const Server server_;
};

TEST_F(Jump, ThroughAProxyCommandIsHealthy) {
  WriteConfig(Target("  ProxyCommand nc %h %p\n"));
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_F(Jump, ThroughABastionIsHealthyAndLeavesNoMaster) {
  WriteConfig(Bastion() + Target("  ProxyJump bastion\n"));
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
  EXPECT_EQ(MasterPid(ControlSocket(bastion_)), 0);
  EXPECT_EQ(bastion_.Logins(), 1);
  EXPECT_EQ(server_.Logins(), 1);
}

TEST_F(Jump, ThroughABastionOnTheCommandLineIsHealthy) {
  WriteConfig(Bastion() + Target(""));
  EXPECT_TRUE(
      Reports(Run({"-J", "bastion", "gitlab-runner"}), {.verdict = "healthy"}));
  EXPECT_EQ(MasterPid(ControlSocket(bastion_)), 0);
}

TEST_F(Jump, ThroughALiveMasterOfTheBastionUsesIt) {
  WriteConfig(Bastion() + Target("  ProxyJump bastion\n"));
  const pid_t master = OpenMaster({}, "bastion");
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
  EXPECT_EQ(bastion_.Logins(), 1);
  EXPECT_EQ(MasterPid(ControlSocket(bastion_)), master);
}

TEST_F(Jump, ThroughAFrozenMasterOfTheBastionIsBlamedOnItByName) {
  WriteConfig(Bastion() + Target("  ProxyJump bastion\n"));
  const pid_t master = OpenMaster({}, "bastion");
  kill(master, SIGSTOP);
  const Outcome run = Run({"--timeout", "1", "gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "mux-master-unresponsive"}));
  const std::string text = run.TextOf("mux-master-unresponsive");
  EXPECT_NE(text.find("bastion"), std::string::npos) << text;
  EXPECT_NE(text.find(std::to_string(master)), std::string::npos) << text;
}

TEST_F(Jump, ThroughABastionThatRefusesIsSaidWithItsName) {
  WriteConfig(Bastion() + Target("  ProxyJump bastion\n"));
  kill(bastion_.program.pid, SIGTERM);
  Finish(bastion_.program);
  const Outcome run = Run({"--timeout", "2", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "undetermined",
                            .cause = "host-unreachable-through-jump"}));
  EXPECT_NE(run.TextOf("host-unreachable-through-jump").find("bastion"),
            std::string::npos);
}

TEST_F(Jump, ToAHostThatTheBastionCanNotReachIsSaid) {
  WriteConfig(Bastion() + Target("  ProxyJump bastion\n"));
  kill(server_.program.pid, SIGTERM);
  Finish(server_.program);
  EXPECT_TRUE(Reports(
      Run({"--timeout", "2", "gitlab-runner"}),
      {.verdict = "undetermined", .cause = "host-unreachable-through-jump"}));
}

TEST_F(Jump, WithAnUnknownBastionPromptsNobody) {
  WriteConfig(Bastion() + Target("  ProxyJump bastion\n"));
  WriteText(Home(".ssh/known_hosts"), "");
  const Outcome run = Run({"--timeout", "5", "gitlab-runner"});
  EXPECT_EQ(run.Verdict(), "undetermined") << run.out;
  EXPECT_EQ(ReadText(Home(".ssh/known_hosts")), "");
}

TEST_F(Jump, StaleMasterBehindABastionIsProvenAndFixed) {
  const std::string sharing =
      "  ControlMaster auto\n  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON
      "%p\n";
  WriteConfig(Bastion() +
              HostBlock(server_, "  ProxyJump bastion\n" + sharing));
  OpenMaster();
  WriteConfigLater(
      Bastion() +
      HostBlock(server_,
                "  ProxyJump bastion\n  ForwardAgent yes\n" + sharing));
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                       .cause = "mux-master-without-forwarding",
                                       .certainty = "proven"}));
  EXPECT_TRUE(Reports(Run({"--fix", "gitlab-runner"}), {.verdict = "healthy"}));
}

}  // namespace
}  // namespace agentdoctor::lab
