// Accounts whose login shell is another one than bash, or none.
#include <gtest/gtest.h>

#include <filesystem>
#include <ostream>

#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

struct Shell {
  std::string path;
  /// A file that is read for `ssh HOST COMMAND`, and the line with which that
  /// replaces the variable.  Some shells read none: then it is sshd's own.
  std::string file = ".ssh/environment";
  std::string line = "SSH_AUTH_SOCK=/tmp/gone";
};

void PrintTo(const Shell& shell, std::ostream* out) { *out << shell.path; }

class Account : public Lab {
 protected:
  Server With(const ServerOptions& options = {}) {
    const Server server = StartServer(options);
    StartAgentWithKey();
    WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
    return server;
  }

  std::string Program(const std::string& text) {
    const std::string path = Folder() + "/program";
    WriteText(path, text, 0755);
    return path;
  }
};

class AccountShell : public Account, public testing::WithParamInterface<Shell> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(GetParam().path))
      GTEST_SKIP() << "not installed: " << GetParam().path;
    SetLoginShell(GetParam().path);
  }
};

TEST_P(AccountShell, IsHealthyWhereAllIsWell) {
  const Server server = With();
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
  EXPECT_EQ(server.Logins(), 1);
}

TEST_P(AccountShell, IsHealthyThroughAMaster) {
  const Server server = With();
  WriteConfig(HostBlock(server, Sharing()));
  OpenMaster();
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_P(AccountShell, ShowsAStaleMaster) {
  const Server server = With();
  WriteConfig(HostBlock(server, "  ForwardAgent no\n" + Sharing()));
  OpenMaster();
  WriteConfigLater(HostBlock(server, Sharing()));
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                       .cause = "mux-master-without-forwarding",
                                       .certainty = "proven"}));
}

TEST_P(AccountShell, ShowsADeadSocketThatAStartUpFileNames) {
  With({.config = "PermitUserEnvironment yes"});
  std::filesystem::create_directories(
      std::filesystem::path(RemoteHome(GetParam().file)).parent_path());
  WriteText(RemoteHome(GetParam().file), GetParam().line + "\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "remote-env-overridden",
                            .certainty = "proven"}));
  EXPECT_NE(run.TextOf("remote-env-overridden").find(GetParam().file),
            std::string::npos)
      << run.out;
}

INSTANTIATE_TEST_SUITE_P(
    All, AccountShell,
    testing::Values(
        Shell{"/bin/bash", ".bashrc", "export SSH_AUTH_SOCK=/tmp/gone"},
        Shell{"/bin/dash"},
        Shell{"/bin/zsh", ".zshenv", "export SSH_AUTH_SOCK=/tmp/gone"},
        Shell{"/usr/bin/fish", ".config/fish/config.fish",
              "set -x SSH_AUTH_SOCK /tmp/gone"},
        Shell{"/bin/tcsh", ".tcshrc", "setenv SSH_AUTH_SOCK /tmp/gone"},
        Shell{"/bin/ksh93"}, Shell{"/bin/mksh"},
        Shell{"/bin/rbash", ".bashrc", "export SSH_AUTH_SOCK=/tmp/gone"}),
    [](const auto& instance) {
      return std::filesystem::path(instance.param.path).filename().string();
    });

TEST_F(Account, WithBusyboxAloneIsHealthy) {
  if (!std::filesystem::exists("/bin/busybox"))
    GTEST_SKIP() << "not installed: busybox";
  With();
  // What a small container or router has: one program under many names.
  const std::string bin = Folder() + "/bin";
  std::filesystem::create_directories(bin);
  for (const char* name :
       {"sh",      "ash",  "od",   "cat",   "ls",     "id", "tr",
        "timeout", "awk",  "grep", "sed",   "find",   "ps", "readlink",
        "sleep",   "head", "cut",  "uname", "printf", "nc"})
    std::filesystem::create_symlink("/bin/busybox", bin + "/" + name);
  std::filesystem::create_symlink("/usr/bin/ssh-add", bin + "/ssh-add");
  const std::string shell = bin + "/ash";
  SetLoginShell(shell);
  const Server server = StartServer({.config = "SetEnv PATH=" + bin});
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_F(Account, WhoseStartUpFileIsLoudIsHealthy) {
  With();
  WriteText(RemoteHome(".bashrc"),
            "echo Welcome; echo to the machine >&2; printf 'no line feed'\n");
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_F(Account, WhoseStartUpFileIsSlowIsHealthy) {
  With();
  WriteText(RemoteHome(".bashrc"), "sleep 2\n");
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_F(Account, WhoseStartUpFileExitsIsNoFaultOfForwarding) {
  With();
  WriteText(RemoteHome(".bashrc"), "echo maintenance; exit 0\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "forced-command"}));
  EXPECT_NE(run.TextOf("forced-command").find("maintenance"),
            std::string::npos);
}

TEST_F(Account, RestrictedToAFolderOfItsOwnSaysWhatItSaid) {
  With();
  SetLoginShell("/bin/rbash");
  std::filesystem::create_directories(RemoteHome("bin"));
  WriteText(RemoteHome(".bashrc"), "PATH=$HOME/bin\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "forced-command"}));
  EXPECT_NE(run.TextOf("forced-command").find("sh: command not found"),
            std::string::npos)
      << run.out;
}

TEST_F(Account, WithoutAShellIsNoFaultOfForwarding) {
  With();
  for (const char* shell : {"/bin/false", "/usr/sbin/nologin"}) {
    SetLoginShell(shell);
    EXPECT_TRUE(Reports(Run({"gitlab-runner"}),
                        {.verdict = "degraded", .cause = "forced-command"}))
        << shell;
    EXPECT_EQ(Run({"--control", "never", "gitlab-runner"}).Verdict(),
              "undetermined")
        << shell;
  }
}

TEST_F(Account, WithoutAShellShowsThatTheServerRefuses) {
  With({.config = "AllowAgentForwarding no"});
  SetLoginShell("/bin/false");
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                       .cause = "server-denies-forwarding",
                                       .certainty = "proven",
                                       .beside = {"forced-command"}}));
}

TEST_F(Account, OfABackupOrAMenuIsNoFaultOfForwarding) {
  // `borg serve`, rrsync and menus read a protocol or answers, and say
  // something of their own where none comes.
  const std::string program = Program(
      "#!/bin/sh\necho '1) status  2) quit'\nread choice || exit 2\n"
      "echo \"you chose $choice\"\n");
  With(
      {.key_options = "restrict,agent-forwarding,command=\"" + program + "\""});
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "forced-command"}));
  EXPECT_NE(run.TextOf("forced-command").find("1) status"), std::string::npos);
  EXPECT_EQ(run.out.find("you chose"), std::string::npos);
}

// ------------------------------------------------------------- git forges --

class Forge : public Account {
 protected:
  /// As user git, whose program \a command is.
  Server With(const std::string& command, const std::string& lines,
              const std::string& config = "") {
    const Server server = StartServer(
        {.config = config, .key_options = "command=\"" + command + "\""});
    StartAgentWithKey();
    WriteConfig("Host forge\n  HostName 127.0.0.1\n  Port " +
                std::to_string(server.port) +
                "\n  User git\n  IdentityFile ~/.ssh/id_ec2\n" + lines);
    return server;
  }

  /// What GitHub, GitLab and Gitea have in common: a greeting for whoever asks
  /// for a shell, and git's commands.
  std::string Greeter() {
    return Program(
        "#!/bin/sh\n"
        "echo \"start $SSH_ORIGINAL_COMMAND\" >> " +
        Folder() +
        "/starts\n"
        "case $SSH_ORIGINAL_COMMAND in\n"
        "  git-*) exec sh -c \"$SSH_ORIGINAL_COMMAND\" ;;\n"
        "  '') echo 'Hi dave! You have successfully authenticated, but Gitea "
        "does not provide shell access.' >&2; exit 1 ;;\n"
        "  *) echo \"Gitea: Unknown git command: $SSH_ORIGINAL_COMMAND\" >&2; "
        "exit 1 ;;\n"
        "esac\n");
  }
};

TEST_F(Forge, ThatForwardsIsNoFaultAndSaysWhoOneIs) {
  const Server server = With(Greeter(), "  ForwardAgent yes\n");
  const Outcome run = Run({"forge"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "forced-command"}));
  const std::string text = run.TextOf("forced-command");
  EXPECT_NE(text.find("is a git forge (Gitea)"), std::string::npos) << text;
  EXPECT_NE(text.find(Fingerprint("id_ec2") + " logs in"), std::string::npos)
      << text;
  EXPECT_NE(text.find("Hi dave!"), std::string::npos) << text;
  EXPECT_NE(text.find("SUCCESS"), std::string::npos) << text;
  EXPECT_EQ(text.find("begin"), std::string::npos) << "not the probe: " << text;
  EXPECT_EQ(server.Logins(), 2);
}

TEST_F(Forge, ThatForwardsNothingIsNoFault) {
  With(Greeter(), "  ForwardAgent yes\n", "AllowAgentForwarding no");
  const Outcome run = Run({"forge"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "forced-command"}));
  EXPECT_NE(run.TextOf("forced-command").find("FAILURE"), std::string::npos);
  EXPECT_EQ(run.out.find("sshd_config"), std::string::npos) << run.out;
}

TEST_F(Forge, ToWhichNothingIsForwardedIsNoFault) {
  const Server server = With(Greeter(), "");
  const Outcome run = Run({"forge"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "forced-command"}));
  EXPECT_FALSE(run.Has("forwarding-not-requested")) << run.out;
  EXPECT_EQ(server.Logins(), 1);
}

TEST_F(Forge, NeedsNoAgentWhereAKeyFileLogsIn) {
  With(Greeter(), "  ForwardAgent yes\n");
  UnsetEnv("SSH_AUTH_SOCK");
  const Outcome run = Run({"forge"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "forced-command"}));
  EXPECT_EQ(run.Finding("agent-not-running").value("severity", ""), "info");
}

TEST_F(Forge, OfGitAloneIsKnownByItsWords) {
  // git-shell(1) is what a git server without a forge has.
  With("git-shell -c \\\"$SSH_ORIGINAL_COMMAND\\\"", "  ForwardAgent yes\n");
  const Outcome run = Run({"forge"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "forced-command"}));
  EXPECT_NE(run.TextOf("forced-command").find("git-shell"), std::string::npos)
      << run.out;
}

TEST_F(Forge, ThatKnowsNoneOfTheKeysIsALoginThatFails) {
  const Server server = With(Greeter(), "  ForwardAgent yes\n");
  WriteText(server.folder + "/authorized_keys", "");
  EXPECT_TRUE(Reports(Run({"forge"}), {.verdict = "undetermined",
                                       .cause = "authentication-failed"}));
}

TEST_F(Forge, IsNoHostWhereTheUserGitHasAShell) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig("Host forge\n  HostName 127.0.0.1\n  Port " +
              std::to_string(server.port) +
              "\n  User git\n  IdentityFile ~/.ssh/id_ec2\n"
              "  ForwardAgent yes\n");
  EXPECT_TRUE(Reports(Run({"forge"}), {.verdict = "healthy"}));
}

}  // namespace
}  // namespace agentdoctor::lab
