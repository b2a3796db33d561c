// What the server permits, and how it says no.
#include <gtest/gtest.h>

#include <filesystem>

#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

class ServerPolicy : public Lab {
 protected:
  Server With(const ServerOptions& options) {
    const Server server = StartServer(options);
    StartAgentWithKey();
    WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
    return server;
  }

  /// A program for a forced command that records every start and every byte
  /// it is fed.
  std::string Recorder() const {
    const std::string program = Folder() + "/recorder";
    WriteText(program,
              "#!/bin/sh\n"
              "echo \"start $SSH_ORIGINAL_COMMAND\" >> " +
                  Folder() +
                  "/record\n"
                  "cat >> " +
                  Folder() +
                  "/fed\n"
                  "echo Welcome to the forge\n",
              0755);
    return program;
  }

  int Starts() const {
    const std::string record = ReadText(Folder() + "/record");
    int starts = 0;
    for (std::size_t at = record.find("start "); at != std::string::npos;
         at = record.find("start ", at + 1))
      ++starts;
    return starts;
  }
};

TEST_F(ServerPolicy, AgainstForwardingIsFound) {
  With({.config = "AllowAgentForwarding no"});
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}),
              {.verdict = "broken", .cause = "server-denies-forwarding"}));
}

TEST_F(ServerPolicy, AgainstForwardingIsProvenByTheControlLogin) {
  const Server server = With({.config = "AllowAgentForwarding no"});
  EXPECT_TRUE(Reports(Run({"--control", "always", "gitlab-runner"}),
                      {.verdict = "broken",
                       .cause = "server-denies-forwarding",
                       .certainty = "proven"}));
  EXPECT_EQ(server.Logins(), 2);
}

TEST_F(ServerPolicy, InAMatchBlockIsFound) {
  With({.match = "Match User dave\n  AllowAgentForwarding no"});
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}),
              {.verdict = "broken", .cause = "server-denies-forwarding"}));
}

TEST_F(ServerPolicy, InADropInIsFound) {
  WriteText(Folder() + "/sshd.d/10-company.conf", "AllowAgentForwarding no\n");
  With({.config = "Include " + Folder() +
                  "/sshd.d/*.conf\nAllowAgentForwarding yes"});
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}),
              {.verdict = "broken", .cause = "server-denies-forwarding"}));
}

TEST_F(ServerPolicy, DisablingAllForwardingIsFound) {
  With({.config = "DisableForwarding yes"});
  if (Ssh({"gitlab-runner", "echo $SSH_AUTH_SOCK"}) != "\n")
    GTEST_SKIP() << "this sshd forwards all the same (CVE-2025-32728)";
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}),
              {.verdict = "broken", .cause = "server-denies-forwarding"}));
}

TEST_F(ServerPolicy, BehindAMasterIsNotBlamedOnTheMaster) {
  const Server server = With({.config = "AllowAgentForwarding no"});
  WriteConfig(HostBlock(server, Sharing()));
  OpenMaster();
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                       .cause = "server-denies-forwarding",
                                       .certainty = "proven"}));
}

TEST_F(ServerPolicy, OfTheKeyIsNamedWithItsFileAndLine) {
  const Server server = With({.key_options = "restrict,pty"});
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "key-denies-forwarding",
                            .certainty = "proven"}));
  EXPECT_NE(run.TextOf("key-denies-forwarding")
                .find(server.folder + "/authorized_keys"),
            std::string::npos)
      << run.out;
}

TEST_F(ServerPolicy, OfNoAgentForwardingInTheKeyIsNamed) {
  With({.key_options = "no-agent-forwarding"});
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                               .cause = "key-denies-forwarding",
                                               .certainty = "proven"}));
}

TEST_F(ServerPolicy, OfACertificateIsNamedAlone) {
  const std::string ca = MakeKey("ca");
  MakeKey("id_cert");
  ASSERT_EQ(Do({"ssh-keygen", "-q", "-s", ca, "-I", "dave", "-n", "dave", "-O",
                "clear", "-O", "permit-pty", Home(".ssh/id_cert.pub")})
                .status,
            0);
  const Server server =
      StartServer({.config = "TrustedUserCAKeys " + ca + ".pub"});
  WriteText(server.folder + "/authorized_keys", "");
  StartAgent();
  AddKey("id_cert");
  WriteConfig("Host gitlab-runner\n  HostName 127.0.0.1\n  Port " +
              std::to_string(server.port) +
              "\n  User dave\n  IdentityFile ~/.ssh/id_cert\n"
              "  ForwardAgent yes\n");
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                       .cause = "cert-denies-forwarding",
                                       .certainty = "proven"}));
}

TEST_F(ServerPolicy, IsNotToBlameWhereItsSocketCanNotBeMade) {
  try {
    // OpenSSH 10.1 and later make it in the home folder instead.
    WriteText(RemoteHome(".ssh/agent"), "in the way");
    With({.mounts = {{"-t", "tmpfs", "-o", "ro", "none", "/tmp"}}});
  } catch (const std::runtime_error&) {
    GTEST_SKIP() << "needs mount namespaces";
  }
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                               .cause = "server-socket-failed",
                                               .certainty = "proven"}));
}

TEST_F(ServerPolicy, OfAForcedCommandIsDegradedWhenItGrantsForwarding) {
  const Server server = With({.config = "ForceCommand " + Recorder()});
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}),
                      {.verdict = "degraded", .cause = "forced-command"}));
  EXPECT_EQ(Starts(), 1) << "the control login starts nothing";
  EXPECT_EQ(ReadText(Folder() + "/fed"), "");
  EXPECT_EQ(server.Logins(), 2);
}

TEST_F(ServerPolicy, OfAForcedCommandIsBrokenWhenItRefusesForwarding) {
  With({.config = "ForceCommand " + Recorder() + "\nAllowAgentForwarding no"});
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "server-denies-forwarding",
                            .certainty = "proven",
                            .beside = {"forced-command"}}));
  EXPECT_EQ(Starts(), 1);
}

TEST_F(ServerPolicy, OfAForcedCommandInTheKeyIsNeverFedOrRunTwice) {
  With({.key_options = "command=\"" + Recorder() + "\""});
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}),
                      {.verdict = "degraded", .cause = "forced-command"}));
  EXPECT_EQ(Starts(), 1);
  EXPECT_EQ(ReadText(Folder() + "/fed"), "");
}

TEST_F(ServerPolicy, OfSftpOnlyIsAForcedCommandToo) {
  With({.config = "ForceCommand internal-sftp"});
  EXPECT_TRUE(Reports(Run({"--timeout", "2", "gitlab-runner"}),
                      {.verdict = "degraded", .cause = "forced-command"}));
}

TEST_F(ServerPolicy, OfANologinShellIsAForcedCommandToo) {
  With({});
  SetLoginShell("/usr/sbin/nologin");
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}),
                      {.verdict = "degraded", .cause = "forced-command"}));
}

TEST_F(ServerPolicy, OfAForcedCommandIsUndeterminedWithoutAControl) {
  With({.config = "ForceCommand " + Recorder()});
  const Outcome run = Run({"--control", "never", "gitlab-runner"});
  EXPECT_EQ(run.Verdict(), "undetermined") << run.out;
  EXPECT_TRUE(run.Has("forced-command"));
  EXPECT_EQ(run.status, 3);
}

}  // namespace
}  // namespace agentdoctor::lab
