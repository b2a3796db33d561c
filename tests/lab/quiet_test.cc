// Ordinary working setups give no warning at all.
#include <gtest/gtest.h>

#include <filesystem>

#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

class Quiet : public Lab {};

TEST_F(Quiet, WithTheStartUpFilesOfDebian) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, Sharing()));
  for (const char* name : {".bashrc", ".profile", ".bash_logout"}) {
    const std::string file = std::string("/etc/skel/") + name;
    if (std::filesystem::exists(file))
      std::filesystem::copy_file(file, RemoteHome(name));
  }
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_F(Quiet, WithAKeyConstrainedToItsDestination) {
  const Server server = StartServer();
  StartAgent();
  AddKey("id_ec2",
         {"-H", Home(".ssh/known_hosts"), "-h", server.KnownHostsName()});
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
}

TEST_F(Quiet, WithAnEmptyAgentThatSshFillsAtLogin) {
  const Server server = StartServer();
  StartAgent();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n  AddKeysToAgent yes\n"));
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(Do({"ssh-add", "-l"}).status, 1) << "no key was added";
}

TEST_F(Quiet, WithTheConfigurationOfAMac) {
  const Server server = StartServer();
  StartAgentWithKey();
  const Server taken = StartServer();  // something that holds a port
  WriteConfig(HostBlock(server, Sharing() +
                                    "  IgnoreUnknown UseKeychain\n"
                                    "  UseKeychain yes\n"
                                    "  AddKeysToAgent yes\n"
                                    "  RemoteCommand touch " +
                                    Folder() +
                                    "/remote-command\n"
                                    "  RequestTTY yes\n"
                                    "  LocalForward " +
                                    std::to_string(taken.port) +
                                    " localhost:80\n"
                                    "  ExitOnForwardFailure yes\n"
                                    "  PermitLocalCommand yes\n"
                                    "  LocalCommand touch " +
                                    Folder() +
                                    "/local-command\n"
                                    "  ForwardX11 yes\n"
                                    "  UpdateHostKeys yes\n"
                                    "  ServerAliveInterval 60\n"));
  const std::string before = Snapshot();
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
  EXPECT_FALSE(std::filesystem::exists(Folder() + "/remote-command"));
  EXPECT_FALSE(std::filesystem::exists(Folder() + "/local-command"));
  std::string after;
  EXPECT_TRUE(Eventually([&] { return (after = Snapshot()) == before; }))
      << before << "--- after ---\n"
      << after;
}

TEST_F(Quiet, WithTwoAgentsOfWhichOneIsForwarded) {
  const Server server = StartServer();
  StartAgent("desktop");
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_F(Quiet, WithACertificateThatPermitsIt) {
  const std::string ca = MakeKey("ca");
  ASSERT_EQ(Do({"ssh-keygen", "-q", "-s", ca, "-I", "dave", "-n", "dave", "-V",
                "+1h", Home(".ssh/id_ec2.pub")})
                .status,
            0);
  const Server server =
      StartServer({.config = "TrustedUserCAKeys " + ca + ".pub"});
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

}  // namespace
}  // namespace agentdoctor::lab
