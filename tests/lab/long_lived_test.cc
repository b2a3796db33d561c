// What outlives a connection on the far side: tmux, screen, editors, containers
// and links, whose agents are gone (stories 4 and 5).
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <ostream>

#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

namespace fs = std::filesystem;

class LongLived : public Lab {
 protected:
  LongLived() {
    for (const char* folder : {"/far", "/far/tmux", "/far/screen"}) {
      fs::create_directories(Folder() + folder);
      chmod((Folder() + folder).c_str(), 0700);
    }
    StartAgentWithKey();
  }

  /// gitlab-runner, whose tmux and screen have folders of their own.
  void StartHost(const std::string& environment = "") {
    const Server server =
        StartServer({.config = "SetEnv TMUX_TMPDIR=" + Folder() +
                               "/far/tmux SCREENDIR=" + Folder() +
                               "/far/screen TERM=xterm " + environment});
    WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  }

  bool Installed(const std::string& program) {
    return Do({"sh", "-c", "command -v " + program}).status == 0;
  }

  /// A command in a connection that ends with it.
  std::string OnHost(const std::string& command) {
    return Ssh({"gitlab-runner", command});
  }

  /// Logs a person in, and waits until the shell has read its start-up files.
  Program LogIn() {
    const Program shell = Launched({"ssh", "gitlab-runner"}, true);
    WaitFor(shell);
    return shell;
  }

  /// Types a command, and waits until the shell has finished it.
  void Type(const Program& shell, const std::string& command) {
    shell.Type(command + "\r");
    WaitFor(shell);
  }

  void WaitFor(const Program& shell) {
    const std::string file = Folder() + "/far/done";
    ASSERT_TRUE(Eventually(
        [&] {
          shell.Type("touch " + file + "\r");
          return Eventually([&] { return fs::exists(file); }, Seconds{5});
        },
        Seconds{40}))
        << shell.Output();
    fs::remove(file);
  }

  void LogOut(const Program& shell) {
    shell.Type("exit\r");
    ASSERT_TRUE(Eventually([&] { return !shell.Alive(); })) << shell.Output();
  }

  /// Whether an agent answers at \a socket.
  bool AgentAnswers(const std::string& socket) {
    return Do({"env", "SSH_AUTH_SOCK=" + socket, "timeout", "5", "ssh-add",
               "-l"})
               .status == 0;
  }

  /// The lines of shell commands in a finding's fixes.
  static std::string ShellLines(const Outcome& run, const std::string& code) {
    std::string lines;
    const nlohmann::json finding = run.Finding(code);
    for (const auto& fix : finding.value("fixes", nlohmann::json::array()))
      for (const auto& command : fix["commands"])
        lines += command.get<std::string>() + "\n";
    return lines;
  }

  /// Puts the lines that a finding suggests at the end of the named files.
  void WriteEdits(const Outcome& run, const std::string& code) {
    const nlohmann::json finding = run.Finding(code);
    std::set<std::string> written;
    for (const auto& fix : finding.value("fixes", nlohmann::json::array()))
      for (const auto& edit : fix["edits"]) {
        const std::string file = edit["file"].get<std::string>();
        ASSERT_TRUE(file.starts_with("~/")) << file;
        if (!written.insert(file).second) continue;
        const std::string path = RemoteHome(file.substr(2));
        fs::create_directories(fs::path(path).parent_path());
        WriteText(path, (fs::exists(path) ? ReadText(path) : "") +
                            edit["text"].get<std::string>() + "\n");
      }
  }

  std::string Link() const { return RemoteHome(".ssh/ssh_auth_sock"); }
};

// --------------------------------------------------------------------- tmux --

TEST_F(LongLived, TmuxOfYesterdayIsNamedAndTheSuggestedLinesRenewIt) {
  if (!Installed("tmux")) GTEST_SKIP() << "tmux is not installed";
  StartHost();
  OnHost("tmux new-session -d -s work");
  Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded",
                            .cause = "tmux-stale-env",
                            .certainty = "proven"}));
  const std::string text = run.TextOf("tmux-stale-env");
  EXPECT_NE(text.find("tmux session work"), std::string::npos) << text;
  EXPECT_NE(text.find(Folder() + "/far/tmux/tmux-"), std::string::npos);

  const Program shell = LogIn();
  const std::string lines = ShellLines(run, "tmux-stale-env");
  for (std::size_t at = 0; at < lines.size();) {
    const std::size_t end = lines.find('\n', at);
    const std::string line = lines.substr(at, end - at);
    if (line.find("\"$SSH_AUTH_SOCK\"") != std::string::npos) Type(shell, line);
    at = end + 1;
  }
  run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  const std::string file = Folder() + "/far/keys";
  Type(shell, "tmux new-window -d -t work 'ssh-add -l >" + file + " 2>&1'");
  EXPECT_TRUE(Eventually([&] {
    return ReadText(file).find("id_ec2") != std::string::npos;
  })) << ReadText(file);
}

TEST_F(LongLived, TmuxWithALivingAgentIsNotStale) {
  if (!Installed("tmux")) GTEST_SKIP() << "tmux is not installed";
  StartHost();
  const Program shell = LogIn();
  Type(shell, "tmux new-session -d -s work");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_FALSE(run.Has("tmux-stale-env")) << run.out;
}

TEST_F(LongLived, TmuxThatNeverHadAnAgentIsQuiet) {
  if (!Installed("tmux")) GTEST_SKIP() << "tmux is not installed";
  StartHost();
  OnHost("env -u SSH_AUTH_SOCK tmux new-session -d -s console");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_FALSE(run.Has("tmux-stale-env")) << run.out;
}

TEST_F(LongLived, TmuxThatWasAttachedAnewIsOnlyNoted) {
  if (!Installed("tmux")) GTEST_SKIP() << "tmux is not installed";
  StartHost();
  OnHost("tmux new-session -d -s work");
  const Program shell = LogIn();
  Type(shell, "tmux set-environment -t work SSH_AUTH_SOCK $SSH_AUTH_SOCK");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(run.Finding("tmux-stale-env").value("severity", ""), "info");
}

TEST_F(LongLived, TwentyDeadSessionsMakeOneFinding) {
  if (!Installed("tmux")) GTEST_SKIP() << "tmux is not installed";
  StartHost();
  OnHost(
      "for i in `seq 20`; do tmux new-session -d -s job$i 'sleep 600'; done");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "tmux-stale-env"}));
  const nlohmann::json finding = run.Finding("tmux-stale-env");
  EXPECT_NE(finding["summary"].get<std::string>().find("and 17 more"),
            std::string::npos)
      << finding["summary"];
  for (int i = 1; i <= 20; ++i)
    EXPECT_NE(run.TextOf("tmux-stale-env")
                  .find("session job" + std::to_string(i) + " of"),
              std::string::npos)
        << i;
  EXPECT_EQ(Agentdoctor({"run", "--strict", "gitlab-runner"}).status, 1);
}

// ------------------------------------------------------------------- screen --

TEST_F(LongLived, ScreenOfYesterdayIsNamed) {
  if (!Installed("screen")) GTEST_SKIP() << "screen is not installed";
  StartHost();
  OnHost("screen -dmS night");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "degraded", .cause = "screen-stale-env"}));
  const std::string lines = ShellLines(run, "screen-stale-env");
  EXPECT_NE(lines.find(".night -X setenv SSH_AUTH_SOCK"), std::string::npos)
      << lines;
}

TEST_F(LongLived, ScreenWithALivingAgentIsNotStale) {
  if (!Installed("screen")) GTEST_SKIP() << "screen is not installed";
  StartHost();
  const Program shell = LogIn();
  Type(shell, "screen -dmS night");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_FALSE(run.Has("screen-stale-env")) << run.out;
}

// ---------------------------------------------------- editors and processes --

TEST_F(LongLived, ServerOfAnEditorIsNamed) {
  StartHost();
  const std::string folder = "~/.vscode-server/bin/0123abcd";
  OnHost("mkdir -p " + folder + "; cp `command -v sleep` " + folder +
         "/node; setsid " + folder + "/node 600 >/dev/null 2>&1 </dev/null &");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "degraded", .cause = "vscode-stale-env"}));
  EXPECT_NE(run.TextOf("vscode-stale-env").find("VS Code"), std::string::npos);
}

TEST_F(LongLived, OtherProcessesAreCounted) {
  StartHost();
  const std::string name = "evil\x1b[31m\x7f";
  WriteText(RemoteHome("start"),
            "cp `command -v sleep` '" + RemoteHome(name) +
                "'\nfor i in 1 2 3; do setsid '" + RemoteHome(name) +
                "' 600 >/dev/null 2>&1 </dev/null &\ndone\n");
  OnHost("sh start");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_NE(run.TextOf("process-stale-env").find("3 evil"), std::string::npos)
      << run.TextOf("process-stale-env");
  const Ended text = Agentdoctor({"run", "--verbose", "gitlab-runner"});
  EXPECT_NE(text.out.find("evil"), std::string::npos) << text.out;
  EXPECT_EQ(text.out.find_first_of("\x1b\x7f"), std::string::npos);
}

// -------------------------------------------------------------------- links --

TEST_F(LongLived, LinkThatDanglesIsNamed) {
  StartHost();
  fs::create_symlink("/tmp/ssh-yesterday0/agent.99", Link());
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "degraded", .cause = "auth-symlink-stale"}));
  EXPECT_NE(run.TextOf("auth-symlink-stale").find(Link()), std::string::npos);
}

TEST_F(LongLived, LinkThatLeadsToAnAgentIsQuiet) {
  StartHost();
  const Program shell = LogIn();
  Type(shell, "ln -s $SSH_AUTH_SOCK ~/.ssh/ssh_auth_sock");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_FALSE(run.Has("auth-symlink-stale")) << run.out;
}

TEST_F(LongLived, RecipeThatLeavesADeadLinkIsNamedWithItsLine) {
  StartHost();
  WriteText(RemoteHome(".ssh/rc"),
            "if [ ! -L ~/.ssh/ssh_auth_sock ]; then\n"
            "  ln -sf \"$SSH_AUTH_SOCK\" ~/.ssh/ssh_auth_sock\nfi\n");
  OnHost("true");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "degraded", .cause = "auth-symlink-stale"}));
  EXPECT_NE(run.TextOf("auth-symlink-stale").find(".ssh/rc:2 makes it only"),
            std::string::npos)
      << run.TextOf("auth-symlink-stale");
}

// --------------------------------------------------------------- containers --

/// A docker engine of its own, which leaves nothing behind: what it would put
/// into /etc, /opt and /run goes into folders of its mount namespace.
class LongLivedContainer : public LongLived {
 protected:
  void TearDown() override {
    if (engine_.pid < 0) return;
    Docker({"rm", "-f", "deploy"});
    kill(engine_.pid, SIGTERM);
    EXPECT_TRUE(Eventually([&] { return !engine_.Alive(); }));
  }

  /// Why there is none; empty: it runs.
  std::string StartEngine() {
    if (geteuid() != 0) return "only root can start dockerd";
    if (!Installed("dockerd") || !Installed("docker"))
      return "docker.io is not installed";
    const std::string etc = Folder() + "/engine/etc";
    fs::create_directories(etc);
    for (const char* file : {"passwd", "group", "nsswitch.conf"})
      fs::copy("/etc/" + std::string(file), etc + "/" + file);
    const std::string at = Folder() + "/engine";
    engine_ = Launched(
        {"env", "-u", "LD_PRELOAD", "unshare", "--mount", "sh", "-c",
         "mount --bind " + etc +
             " /etc && mount -t tmpfs none /run && mount -t tmpfs none /opt "
             "&& exec dockerd --storage-driver=vfs --iptables=false "
             "--ip6tables=false --bridge=none --data-root " +
             at + "/data --exec-root " + at + "/exec --pidfile " + at +
             "/pid -H unix://" + at + "/docker.sock"});
    if (!Eventually([&] {
          return !engine_.Alive() || Docker({"version"}).status == 0;
        }) ||
        !engine_.Alive()) {
      const std::string log = engine_.Errors();
      const std::size_t end = log.find_last_not_of('\n');
      const std::size_t begin = log.find_last_of('\n', end) + 1;
      return "dockerd: " + log.substr(begin, end - begin + 1);
    }
    // Nothing but a program that does nothing, and its libraries.
    const Ended made =
        Do({"env", "-u", "LD_PRELOAD", "sh", "-c",
            "tar -chf " + at +
                "/root.tar -C / bin/sleep `ldd /bin/sleep | grep -o '/[^ ]*' | "
                "cut -c2-` && docker -H unix://" +
                at + "/docker.sock import " + at + "/root.tar ad:1"});
    if (made.status != 0) return "docker import: " + made.err;
    return {};
  }

  Ended Docker(const Words& arguments) {
    Words argv = {"env",    "-u", "LD_PRELOAD",
                  "docker", "-H", "unix://" + Folder() + "/engine/docker.sock"};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return Do(argv);
  }

  /// The container `deploy`, with \a socket where the story has it.
  void StartContainer(const std::string& socket) {
    const std::string place = "/home/deploy/ssh_auth_sock";
    const Ended run =
        Docker({"run", "--detach", "--network", "none", "--name", "deploy",
                "--env", "SSH_AUTH_SOCK=" + place, "--volume",
                socket + ":" + place, "ad:1", "/bin/sleep", "600"});
    ASSERT_EQ(run.status, 0) << run.err;
  }

  void StartHostWithEngine() {
    StartHost("DOCKER_HOST=unix://" + Folder() + "/engine/docker.sock");
  }

  bool Says(const Outcome& run, const std::string& words) {
    return run.TextOf("container-stale-socket").find(words) !=
           std::string::npos;
  }

 private:
  Program engine_ = {};
};

TEST_F(LongLivedContainer, IsNamedWhenTheSocketItMountsIsGone) {
  if (const std::string why = StartEngine(); !why.empty()) GTEST_SKIP() << why;
  StartHostWithEngine();
  const Program shell = LogIn();
  const std::string file = Folder() + "/far/socket";
  Type(shell, "printf %s $SSH_AUTH_SOCK >" + file);
  const std::string socket = ReadText(file);
  StartContainer(socket);
  Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));

  LogOut(shell);
  run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded",
                            .cause = "container-stale-socket",
                            .certainty = "proven"}));
  EXPECT_TRUE(Says(run, "container deploy"));
  EXPECT_TRUE(Says(run, socket + " is mounted at /home/deploy/ssh_auth_sock"))
      << run.out;
}

TEST_F(LongLivedContainer, ForWhichDockerMadeAFolderIsNamed) {
  if (const std::string why = StartEngine(); !why.empty()) GTEST_SKIP() << why;
  StartHostWithEngine();
  const std::string socket = Folder() + "/far/agent.sock";
  StartContainer(socket);
  ASSERT_TRUE(fs::is_directory(socket));
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "degraded", .cause = "container-stale-socket"}));
  EXPECT_EQ(run.Remedy("container-stale-socket"),
            "sudo rmdir " + socket + "\n");
}

TEST_F(LongLivedContainer, WhoseSocketWasReplacedIsNamed) {
  if (const std::string why = StartEngine(); !why.empty()) GTEST_SKIP() << why;
  StartHostWithEngine();
  const std::string socket = Folder() + "/far/agent.sock";
  const Program old = Launched({"ssh-agent", "-D", "-a", socket});
  ASSERT_TRUE(Eventually([&] { return fs::exists(socket); }));
  StartContainer(socket);
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
  kill(old.pid, SIGTERM);
  ASSERT_TRUE(Eventually([&] { return !old.Alive(); }));
  Launched({"ssh-agent", "-D", "-a", socket});
  ASSERT_TRUE(Eventually([&] { return fs::exists(socket); }));
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded",
                            .cause = "container-stale-socket",
                            .certainty = "likely"}));
  EXPECT_TRUE(Says(run, "replaced")) << run.out;
}

// ------------------------------------------------------- the lasting recipe --

struct Shell {
  const char* path = nullptr;
};

void PrintTo(const Shell& shell, std::ostream* out) { *out << shell.path; }

class Recipe : public LongLived, public testing::WithParamInterface<Shell> {};

TEST_P(Recipe, SurvivesTheEndOfASecondConnectionAndHealsThatOfTheFirst) {
  const std::string path = GetParam().path;
  if (!Installed("tmux")) GTEST_SKIP() << "tmux is not installed";
  if (access(path.c_str(), X_OK) != 0)
    GTEST_SKIP() << path << " is not installed";
  SetLoginShell(path);
  // As /etc/skel has it.
  if (path == "/bin/bash") WriteText(RemoteHome(".profile"), ". ~/.bashrc\n");
  StartHost();
  OnHost("tmux new-session -d -s work");
  Outcome run = Run({"gitlab-runner"});
  ASSERT_TRUE(run.Has("tmux-stale-env")) << run.out;
  WriteEdits(run, "tmux-stale-env");
  OnHost("tmux kill-server");

  // The first takes the link, the second leaves it alone, ending or not.
  const Program first = LogIn();
  ASSERT_TRUE(AgentAnswers(Link())) << first.Output();
  const fs::path socket = fs::read_symlink(Link());
  Type(first, "tmux new-session -d -s work");
  const Program second = LogIn();
  EXPECT_EQ(fs::read_symlink(Link()), socket);
  LogOut(second);
  EXPECT_TRUE(AgentAnswers(Link()));
  EXPECT_EQ(fs::read_symlink(Link()), socket);
  run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_FALSE(run.Has("tmux-stale-env")) << run.out;

  // The first ends while another lives: the next pane finds that one.
  const Program third = LogIn();
  LogOut(first);
  EXPECT_FALSE(AgentAnswers(Link()));
  Type(third, "tmux new-window -d -t work");
  EXPECT_TRUE(Eventually([&] { return AgentAnswers(Link()); }))
      << third.Output();

  // Nobody is there: no reason to warn, the next login renews it.
  LogOut(third);
  EXPECT_FALSE(AgentAnswers(Link()));
  run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  const Program fourth = LogIn();
  EXPECT_TRUE(AgentAnswers(Link())) << fourth.Output();
  const std::string file = Folder() + "/far/keys";
  Type(fourth, "tmux new-window -d -t work 'ssh-add -l >" + file + "'");
  EXPECT_TRUE(Eventually([&] {
    return fs::exists(file) &&
           ReadText(file).find("id_ec2") != std::string::npos;
  }));
}

constexpr Shell kShells[] = {
    {"/bin/bash"}, {"/usr/bin/zsh"}, {"/usr/bin/fish"}, {"/usr/bin/tcsh"}};

INSTANTIATE_TEST_SUITE_P(
    Of, Recipe, testing::ValuesIn(kShells), [](const auto& shell) {
      return fs::path(shell.param.path).filename().string();
    });

}  // namespace
}  // namespace agentdoctor::lab
