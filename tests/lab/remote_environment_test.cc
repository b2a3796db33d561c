// What start-up files on the far side make of the variable.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <ostream>

#include "lab/fakes.h"
#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

class RemoteEnvironment : public Lab {
 protected:
  Server With(const ServerOptions& options = {}) {
    const Server server = StartServer(options);
    StartAgentWithKey();
    WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
    return server;
  }

  static bool NamesLine(const Outcome& run, const std::string& code,
                        const std::string& file, int line) {
    const nlohmann::json finding = run.Finding(code);
    if (!finding.is_object()) return false;
    for (const auto& evidence : finding["evidence"])
      if (evidence.value("file", "").ends_with(file) &&
          evidence.value("line", 0) == line)
        return true;
    return false;
  }
};

TEST_F(RemoteEnvironment, ReplacedByADeadSocketNamesFileAndLine) {
  With();
  WriteText(RemoteHome(".bashrc"),
            "# mine\nexport SSH_AUTH_SOCK=/tmp/old-agent.sock\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "remote-env-overridden",
                            .certainty = "proven"}));
  EXPECT_TRUE(NamesLine(run, "remote-env-overridden", ".bashrc", 2)) << run.out;
}

TEST_F(RemoteEnvironment, ReplacedByAFreshAgentIsFound) {
  With();
  const std::string socket = Folder() + "/far.sock";
  WriteText(RemoteHome(".bashrc"), "rm -f " + socket +
                                       "\neval \"$(ssh-agent -a " + socket +
                                       ")\" >/dev/null\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "remote-env-overridden"}));
  EXPECT_TRUE(NamesLine(run, "remote-env-overridden", ".bashrc", 2)) << run.out;
}

TEST_F(RemoteEnvironment, UnsetIsFound) {
  With();
  WriteText(RemoteHome(".bashrc"), "unset SSH_AUTH_SOCK\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "remote-env-cleared",
                            .certainty = "proven"}));
}

TEST_F(RemoteEnvironment, ReplacedBySshdItselfIsFound) {
  With({.config = "PermitUserEnvironment yes"});
  WriteText(RemoteHome(".ssh/environment"), "SSH_AUTH_SOCK=/tmp/gone.sock\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "remote-env-overridden"}));
  EXPECT_TRUE(NamesLine(run, "remote-env-overridden", ".ssh/environment", 1))
      << run.out;
}

TEST_F(RemoteEnvironment, ReplacedInAFileThatAnotherReadsIsFoundByTheTrace) {
  With();
  WriteText(RemoteHome(".bashrc"), ". ~/.shell/agent\n");
  std::filesystem::create_directories(RemoteHome(".shell"));
  WriteText(RemoteHome(".shell/agent"),
            "# mine\nexport SSH_AUTH_SOCK=/tmp/gone.sock\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "remote-env-overridden"}));
  EXPECT_NE(run.TextOf("remote-env-overridden").find("No line that does it"),
            std::string::npos)
      << run.out;
  // A login bash reads ~/.bashrc only if told so, as Debian's is.
  WriteText(RemoteHome(".profile"), ". ~/.bashrc\n");
  const std::string trace = run.Remedy("remote-env-overridden");
  EXPECT_NE(Ssh({"gitlab-runner", trace}).find(".shell/agent:2: "),
            std::string::npos)
      << trace;
}

TEST_F(RemoteEnvironment, GuardThatIsSuggestedKeepsTheAgent) {
  for (const std::string line :
       {"export SSH_AUTH_SOCK=/tmp/gone.sock", "eval \"$(ssh-agent -s)\""}) {
    SCOPED_TRACE(line);
    With();
    WriteText(RemoteHome(".bashrc"), line + "\n");
    const Outcome run = Run({"gitlab-runner"});
    ASSERT_TRUE(run.Has("remote-env-overridden")) << run.out;
    const nlohmann::json edit =
        run.Finding("remote-env-overridden")["fixes"][0]["edits"][0];
    EXPECT_EQ(edit["file"], RemoteHome(".bashrc"));
    WriteText(RemoteHome(".bashrc"), edit["text"].get<std::string>() + "\n");
    EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
  }
}

TEST_F(RemoteEnvironment, PluginsOfOhMyZshAreFoundWithTheirGuard) {
  if (access("/usr/bin/zsh", X_OK) != 0) GTEST_SKIP() << "zsh is not installed";
  With();
  SetLoginShell("/usr/bin/zsh");
  const std::string plugins =
      "plugins=(\n  git\n  ssh-agent\n)\nsource $ZSH/oh-my-zsh.sh\n";
  WriteText(RemoteHome(".zshrc"), plugins);
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded",
                            .cause = "remote-env-overridden",
                            .certainty = "likely"}));
  EXPECT_TRUE(NamesLine(run, "remote-env-overridden", ".zshrc", 3)) << run.out;
  const nlohmann::json edit =
      run.Finding("remote-env-overridden")["fixes"][0]["edits"][0];
  WriteText(RemoteHome(".zshrc"),
            edit["text"].get<std::string>() + "\n" + plugins);
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_F(RemoteEnvironment, NoiseDoesNotDisturb) {
  With();
  WriteText(RemoteHome(".bashrc"),
            "echo Welcome, dave\nprintf '\\033]0;title\\007\\377\\000'\n"
            "echo 'error: something' >&2\ncat\n");
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_F(RemoteEnvironment, ThatEndsTheShellIsNoForwardingFault) {
  With();
  WriteText(RemoteHome(".bashrc"), "exit 0\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "forced-command"}));
}

TEST_F(RemoteEnvironment, UnguardedBelowTheInteractiveGuardIsAWarning) {
  With();
  WriteText(RemoteHome(".bashrc"),
            "case $- in\n    *i*) ;;\n      *) return;;\nesac\n"
            "eval \"$(ssh-agent -s)\"\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded",
                            .cause = "remote-env-overridden",
                            .certainty = "likely"}));
  EXPECT_TRUE(NamesLine(run, "remote-env-overridden", ".bashrc", 5)) << run.out;
}

TEST_F(RemoteEnvironment, UnguardedInAProfileIsAWarning) {
  With();
  WriteText(RemoteHome(".profile"), "eval `ssh-agent`\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded",
                            .cause = "remote-env-overridden",
                            .certainty = "likely"}));
  EXPECT_TRUE(NamesLine(run, "remote-env-overridden", ".profile", 1))
      << run.out;
}

TEST_F(RemoteEnvironment, GuardedIsQuiet) {
  With();
  WriteText(RemoteHome(".bashrc"),
            "case $- in\n    *i*) ;;\n      *) return;;\nesac\n"
            "if [ -z \"$SSH_AUTH_SOCK\" ]; then\n"
            "  eval \"$(ssh-agent -s)\"\nfi\n");
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_F(RemoteEnvironment, ClientsOwnPathSentAlongIsNotTakenForASocket) {
  With({.config = "AllowAgentForwarding no\nAcceptEnv SSH_AUTH_SOCK"});
  WriteConfig("SendEnv SSH_AUTH_SOCK\n" + ReadText(Home(".ssh/config")));
  // Here the far side is the same machine, so the path even works.
  EXPECT_NE(Run({"gitlab-runner"}).Verdict(), "undetermined");
}

TEST_F(RemoteEnvironment, WhereSshIgnoresTheForwardedAgentIsAWarning) {
  With({.config = RemotePasswords()});
  WriteText(RemoteHome(".ssh/config"),
            "Host *\n  IdentityAgent /tmp/1password.sock\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "degraded", .cause = "remote-identity-agent"}));
  EXPECT_NE(run.TextOf("remote-identity-agent").find("/tmp/1password.sock"),
            std::string::npos);
}

struct Shell {
  const char* path = nullptr;
  const char* file = nullptr;  ///< read for `ssh HOST COMMAND`, too
  const char* line = nullptr;  ///< replaces the variable
};

void PrintTo(const Shell& shell, std::ostream* out) { *out << shell.path; }

class LoginShell : public RemoteEnvironment,
                   public testing::WithParamInterface<Shell> {
 protected:
  void SetUp() override {
    if (access(GetParam().path, X_OK) != 0)
      GTEST_SKIP() << GetParam().path << " is not installed";
  }
};

TEST_P(LoginShell, PassesTheProbeOn) {
  With();
  SetLoginShell(GetParam().path);
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
}

class StartUpFile : public LoginShell {};

TEST_P(StartUpFile, ThatReplacesTheVariableIsFoundWithItsLine) {
  With();
  SetLoginShell(GetParam().path);
  WriteText(RemoteHome(GetParam().file),
            std::string("# mine\n") + GetParam().line + "\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "remote-env-overridden"}));
  EXPECT_TRUE(NamesLine(run, "remote-env-overridden", GetParam().file, 2))
      << run.out;
}

constexpr Shell kShells[] = {
    {"/bin/bash", ".bashrc", "export SSH_AUTH_SOCK=/tmp/old.sock"},
    {"/usr/bin/zsh", ".zshenv", "export SSH_AUTH_SOCK=/tmp/old.sock"},
    {"/usr/bin/fish", ".config/fish/config.fish",
     "set -gx SSH_AUTH_SOCK /tmp/old.sock"},
    {"/usr/bin/tcsh", ".tcshrc", "setenv SSH_AUTH_SOCK /tmp/old.sock"},
};
/// They read no file for a command.
constexpr Shell kPlainShells[] = {{"/bin/dash"}, {"/usr/bin/ksh"}};

const auto kShellName = [](const auto& shell) {
  return std::filesystem::path(shell.param.path).filename().string();
};

INSTANTIATE_TEST_SUITE_P(Each, LoginShell, testing::ValuesIn(kShells),
                         kShellName);
INSTANTIATE_TEST_SUITE_P(Plain, LoginShell, testing::ValuesIn(kPlainShells),
                         kShellName);
INSTANTIATE_TEST_SUITE_P(Each, StartUpFile, testing::ValuesIn(kShells),
                         kShellName);

}  // namespace
}  // namespace agentdoctor::lab
