// Servers that are no OpenSSH.
#include <gtest/gtest.h>

#include <filesystem>

#include "lab/lab.h"
#include "lab/libssh_server.h"

namespace agentdoctor::lab {
namespace {

class Dropbear : public Lab {
 protected:
  Server With(const DropbearOptions& options = {}) {
    const Server server = StartDropbear(options);
    StartAgentWithKey();
    WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
    return server;
  }
};

TEST_F(Dropbear, ThatForwardsIsHealthy) {
  const Server server = With();
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(server.Logins(), 1) << "a healthy run is one login";
}

TEST_F(Dropbear, WithoutPortForwardingIsHealthy) {
  With({.options = {"-j", "-k"}});
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_F(Dropbear, ThroughAMasterIsHealthyAndLeavesItAlive) {
  const Server server = With();
  WriteConfig(HostBlock(server, Sharing()));
  const pid_t master = OpenMaster();
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
  // dropbear ends the whole connection at a command that is too long for it.
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
}

TEST_F(Dropbear, BehindAMasterIsNotSentACommandThatEndsIt) {
  const Server server = With();
  WriteConfig(HostBlock(server, Sharing()));
  const pid_t master = OpenMaster();
  const Outcome run = Run({"--to", "git@forge.example", "gitlab-runner"});
  EXPECT_EQ(run.Verdict(), "healthy") << run.out;
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
}

TEST_F(Dropbear, BehindAStaleMasterIsProvenToForward) {
  const Server server = With();
  WriteConfig(HostBlock(server, "  ForwardAgent no\n" + Sharing()));
  OpenMaster();
  WriteConfigLater(HostBlock(server, Sharing()));
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                       .cause = "mux-master-without-forwarding",
                                       .certainty = "proven"}));
}

TEST_F(Dropbear, NamesTheLineOfAKeyThatMayNotForward) {
  const Server server = With({.key_options = "no-pty,no-agent-forwarding"});
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "key-denies-forwarding",
                            .certainty = "proven"}));
  const std::string text = run.TextOf("key-denies-forwarding");
  EXPECT_NE(text.find(RemoteHome(".ssh/authorized_keys:1")), std::string::npos)
      << text;
  EXPECT_NE(text.find("no-pty,no-agent-forwarding"), std::string::npos);
  EXPECT_EQ(server.Logins(), 2);
}

TEST_F(Dropbear, IsNotReadBehindAForcedCommand) {
  const std::string record = Folder() + "/record";
  With({.key_options = "restrict,command=\"echo start >> " + record + "\""});
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                       .cause = "server-denies-forwarding",
                                       .certainty = "likely",
                                       .beside = {"forced-command"}}));
  EXPECT_EQ(ReadText(record), "start\n");
}

TEST_F(Dropbear, IsNotToldWhatOnlySshdUnderstands) {
  With({.key_options = "restrict"});
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_EQ(run.RootCause(), "key-denies-forwarding");
  const std::string text = run.TextOf("key-denies-forwarding");
  EXPECT_NE(text.find("in place of `restrict`"), std::string::npos) << text;
  EXPECT_EQ(run.out.find("sshd_config"), std::string::npos) << run.out;
}

TEST_F(Dropbear, WhoseFolderCannotBeMadeIsAskedForIt) {
  try {
    With({.mounts = {{"-t", "tmpfs", "-o", "ro", "none", "/tmp"}}});
  } catch (const std::runtime_error&) {
    GTEST_SKIP() << "needs mount namespaces";
  }
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "server-denies-forwarding",
                            .certainty = "likely"}));
  const std::string text = run.TextOf("server-denies-forwarding");
  EXPECT_NE(text.find("FAILURE"), std::string::npos) << text;
  EXPECT_NE(text.find("df /tmp"), std::string::npos) << text;
  EXPECT_EQ(run.out.find("sshd_config"), std::string::npos) << run.out;
}

TEST_F(Dropbear, WithACommandOfItsOwnIsDegraded) {
  const Server server = With({.options = {"-c", "echo menu"}});
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}),
                      {.verdict = "degraded", .cause = "forced-command"}));
  EXPECT_EQ(server.Logins(), 2);
}

TEST_F(Dropbear, WithADeadAgentInAStartUpFileIsFound) {
  With();
  WriteText(RemoteHome(".bashrc"), "export SSH_AUTH_SOCK=/tmp/gone\n");
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                               .cause = "remote-env-overridden",
                                               .certainty = "proven"}));
}

class TinySsh : public Lab {
 protected:
  Server With(const Words& options = {}) {
    const Server server = StartTinySsh(options);
    StartAgentWithKey();
    WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
    return server;
  }
};

#define NEEDS_MOUNTS(statement)               \
  try {                                       \
    statement;                                \
  } catch (const std::runtime_error&) {       \
    GTEST_SKIP() << "needs mount namespaces"; \
  }

TEST_F(TinySsh, HasNoForwardingByItsNameAndItsBehaviour) {
  Server server;
  NEEDS_MOUNTS(server = With());
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "server-unsupported",
                            .certainty = "proven"}));
  const std::string text = run.TextOf("server-unsupported");
  EXPECT_NE(text.find("tinyssh"), std::string::npos) << text;
  EXPECT_NE(text.find("no agent socket"), std::string::npos) << text;
  EXPECT_EQ(server.Logins(), 1) << "its name and the session are enough";
}

TEST_F(TinySsh, RefusesTheControl) {
  NEEDS_MOUNTS(With());
  const Outcome run = Run({"--control", "always", "gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "server-unsupported",
                            .certainty = "proven"}));
  EXPECT_NE(run.TextOf("server-unsupported").find("FAILURE"),
            std::string::npos);
}

TEST_F(TinySsh, BehindAMasterIsNotBlamedOnTheMaster) {
  Server server;
  NEEDS_MOUNTS(server = With());
  WriteConfig(HostBlock(server, Sharing()));
  // A connection to TinySSH ends with its one session.
  Ssh({"-fNM", "gitlab-runner"});
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                               .cause = "server-unsupported",
                                               .certainty = "proven"}));
}

TEST_F(TinySsh, ThatTakesNoCommandIsNamedAllTheSame) {
  NEEDS_MOUNTS(With({"-e", "cat"}));
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_EQ(run.Verdict(), "broken") << run.out;
  EXPECT_TRUE(run.Has("server-unsupported")) << run.out;
  // It refuses the request and hangs up: ssh hears of one or the other first.
  const std::string refused = run.TextOf("forced-command");
  const std::string lost = run.TextOf("connection-lost");
  EXPECT_TRUE(refused.find("runs no commands") != std::string::npos ||
              lost.find("lets you in, and then hangs up") != std::string::npos)
      << run.out;
}

// --------------------------------------------------- without a POSIX shell --

class Shellless : public Lab {
 protected:
  Outcome Examine(const LibsshServer& server,
                  const std::string& user = "admin") {
    StartAgentWithKey();
    WriteText(Home(".ssh/known_hosts"), server.KnownHostsLine());
    WriteConfig("Host switch\n  HostName 127.0.0.1\n  Port " +
                std::to_string(server.port()) + "\n  User " + user +
                "\n  ForwardAgent yes\n");
    return Run({"switch"});
  }
};

TEST_F(Shellless, ThatGrantsForwardingIsDegraded) {
  const LibsshServer server;
  const Outcome run = Examine(server);
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "forced-command"}));
  const std::string text = run.TextOf("forced-command");
  EXPECT_NE(text.find("Invalid input detected"), std::string::npos) << text;
  EXPECT_NE(text.find("NetOS_7.4"), std::string::npos) << text;
  EXPECT_NE(text.find("SUCCESS"), std::string::npos) << text;
  EXPECT_EQ(server.logins(), 2);
  EXPECT_EQ(server.commands().size(), 1U) << "the control runs nothing";
}

TEST_F(Shellless, ThatRefusesForwardingIsNotToldOfSshd) {
  const LibsshServer server({.grants_forwarding = false});
  const Outcome run = Examine(server);
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "server-denies-forwarding",
                            .certainty = "likely",
                            .beside = {"forced-command"}}));
  EXPECT_EQ(run.out.find("sshd_config"), std::string::npos) << run.out;
}

TEST_F(Shellless, ThatTakesNoCommandsSaysSo) {
  const LibsshServer server({.takes_commands = false});
  const Outcome run = Examine(server);
  EXPECT_TRUE(Reports(run, {.verdict = "degraded",
                            .cause = "forced-command",
                            .certainty = "proven"}));
  EXPECT_NE(run.TextOf("forced-command").find("runs no commands"),
            std::string::npos)
      << run.out;
}

TEST_F(Shellless, ThatIsWindowsForwardsNothing) {
  const LibsshServer server(
      {.software = "OpenSSH_for_Windows_9.5",
       .grants_forwarding = false,
       .answer = "'sh' is not recognized as an internal or external command,"
                 "\r\noperable program or batch file.\r\n"});
  EXPECT_TRUE(Reports(Examine(server), {.verdict = "broken",
                                        .cause = "server-unsupported",
                                        .certainty = "proven",
                                        .beside = {"forced-command"}}));
}

TEST_F(Shellless, ThatIsGitHubIsNoFault) {
  const LibsshServer server(
      {.software = "babeld-2e9d163d",
       .grants_forwarding = false,
       .greeting = "Hi dave! You've successfully authenticated, but GitHub "
                   "does not provide shell access.\n",
       .answer = "Invalid command: 'sh -c'\n"});
  const Outcome run = Examine(server, "git");
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "forced-command"}));
  const std::string text = run.TextOf("forced-command");
  EXPECT_NE(text.find("git forge (GitHub)"), std::string::npos) << text;
  EXPECT_NE(text.find("Hi dave!"), std::string::npos) << text;
  EXPECT_EQ(server.commands().size(), 2U) << "the probe, and the greeting";
}

TEST_F(Shellless, IsAskedForItsGreetingOnlyAsGit) {
  const LibsshServer server({.greeting = "Welcome\n"});
  Examine(server);
  EXPECT_EQ(server.commands().size(), 1U);
}

}  // namespace
}  // namespace agentdoctor::lab
