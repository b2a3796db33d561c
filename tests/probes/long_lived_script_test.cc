// What the probe sees of real tmux servers, screens and processes.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <thread>

#include "agent/fake_agent.h"
#include "probes/remote_side.h"
#include "system/file.h"
#include "system/process.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

namespace fs = std::filesystem;
using Environment =
    std::vector<std::pair<std::string, std::optional<std::string>>>;
using Words = std::vector<std::string>;

class LongLivedScript : public testing::Test {
 protected:
  LongLivedScript() {
    fs::create_directories(Path("home/.ssh"));
    fs::create_directories(Path("screens"));
    chmod(Path("screens").c_str(), 0700);
  }

  // Whatever the test left running ends with it.
  ~LongLivedScript() override {
    for (const std::string& socket : ListDirectory(TmuxFolder()))
      Run({"tmux", "-S", TmuxFolder() + "/" + socket, "kill-server"});
    for (const std::string& socket : ListDirectory(Path("screens")))
      Run({"screen", "-S", socket, "-X", "quit"});
    const auto deadline = std::chrono::steady_clock::now() + kPlenty;
    while (!ListDirectory(Path("screens")).empty() &&
           std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(Milliseconds(10));
  }

  std::string Path(const std::string& name) const {
    return folder_.path() + "/" + name;
  }
  std::string TmuxFolder() const {
    return folder_.path() + "/tmux-" + std::to_string(geteuid());
  }

  Environment Variables(const Environment& more) const {
    Environment all = {
        {"HOME", Path("home")},          {"TMUX_TMPDIR", folder_.path()},
        {"SCREENDIR", Path("screens")},  {"SHELL", "/bin/sh"},
        {"DOCKER_HOST", "none"},         {"TMUX", std::nullopt},
        {"STY", std::nullopt},           {"SSH_AUTH_SOCK", std::nullopt},
        {"SSH_CONNECTION", std::nullopt}};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }

  void Run(const Words& argv, const Environment& more = {}) const {
    const ProcessResult result =
        agentdoctor::Run({.argv = argv,
                          .environment = Variables(more),
                          .total_limit = Milliseconds(60'000)});
    EXPECT_EQ(result.end, ProcessEnd::kExited) << argv[0] << result.err;
  }

  void Tmux(const std::string& server, const Words& words,
            const Environment& more = {}) const {
    Words argv = {"tmux", "-L", server, "-f", "/dev/null"};
    argv.insert(argv.end(), words.begin(), words.end());
    Run(argv, more);
  }

  void StartScreen(const std::string& name, const std::string& sock) const {
    Run({"screen", "-c", "/dev/null", "-dmS", name, "/bin/sh"},
        {{"SSH_AUTH_SOCK", sock}});
  }

  BackgroundProcess Start(Words argv, const Environment& more) const {
    return BackgroundProcess(
        {.argv = std::move(argv), .environment = Variables(more)});
  }

  Side Probe(const Environment& more = {},
             const std::string& shell = "/bin/sh") const {
    const ProbeCommand probe = MakeProbeCommand();
    const ProcessResult result =
        agentdoctor::Run({.argv = {shell, "-c", probe.command},
                          .environment = Variables(more),
                          .total_limit = Milliseconds(60'000)});
    const std::size_t begin = result.out.find(probe.begin_marker);
    const std::size_t end = result.out.find(probe.end_marker);
    if (begin == std::string::npos || end == std::string::npos) {
      ADD_FAILURE() << "no markers: " << result.out << result.err;
      return {};
    }
    const std::size_t from = begin + probe.begin_marker.size();
    EXPECT_LT(end - from, 1U << 20);
    return ParseProbe(result.out.substr(from, end - from));
  }

  // Those of this test, as "NAME VALUE".
  Words Of(const Side& side, HolderKind kind) const {
    Words texts;
    for (const Holder& holder : side.long_lived->holders) {
      if (holder.kind != kind) continue;
      const std::string value = holder.auth_sock.value_or("-");
      if ((kind == HolderKind::kProcess || kind == HolderKind::kEditor) &&
          !value.starts_with(folder_.path()))
        continue;
      texts.push_back(holder.name + " " + value);
    }
    return texts;
  }

  // Asks again until it is seen: a program that was just started may still be
  // the one that starts it.
  Side ProbeUntil(const std::function<bool(const Side&)>& seen,
                  const Environment& more = {}) const {
    const auto deadline = std::chrono::steady_clock::now() + kPlenty;
    Side side = Probe(more);
    while (!seen(side) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(Milliseconds(50));
      side = Probe(more);
    }
    return side;
  }

  bool NotSeen(const Side& side, const std::string& what) const {
    return std::ranges::any_of(side.long_lived->not_seen,
                               [&](const std::string& text) {
                                 return text.find(what) != std::string::npos;
                               });
  }

  AgentState StateOf(const Side& side, const std::string& path) const {
    const Agent* agent = FindAgent(side, path);
    EXPECT_NE(agent, nullptr) << path;
    return agent == nullptr ? AgentState::kSilent : agent->state;
  }

  TemporaryDirectory folder_;
};

TEST_F(LongLivedScript, SeesEveryTmuxServerAndItsSessions) {
  if (FindProgram("tmux").empty()) GTEST_SKIP() << "no tmux";
  const RealAgent agent;
  Tmux("one", {"new-session", "-d", "-s", "first"},
       {{"SSH_AUTH_SOCK", Path("dead")}});
  Tmux("one", {"new-session", "-d", "-s", "two words"},
       {{"SSH_AUTH_SOCK", agent.path()}});
  Tmux("one", {"new-session", "-d", "-s", "removed"});
  Tmux("other", {"new-session", "-d", "-s", "main"},
       {{"SSH_AUTH_SOCK", agent.path()}});
  Tmux("none", {"new-session", "-d", "-s", "unset"});
  const Side side = Probe();
  EXPECT_EQ(Of(side, HolderKind::kTmuxServer),
            (Words{" " + Path("dead"), " " + agent.path()}));
  Words sessions = Of(side, HolderKind::kTmuxSession);
  std::ranges::sort(sessions);
  EXPECT_EQ(sessions, (Words{"first " + Path("dead"), "main " + agent.path(),
                             "removed -", "two words " + agent.path()}));
  EXPECT_EQ(StateOf(side, Path("dead")), AgentState::kMissing);
  EXPECT_EQ(StateOf(side, agent.path()), AgentState::kAnswered);
  for (const Holder& holder : side.long_lived->holders)
    if (holder.kind == HolderKind::kTmuxServer) {
      EXPECT_TRUE(holder.server.starts_with(TmuxFolder()));
      EXPECT_TRUE(holder.pid && holder.since);
    }
}

TEST_F(LongLivedScript, IsNotHeldUpByAStoppedTmux) {
  if (FindProgram("tmux").empty()) GTEST_SKIP() << "no tmux";
  Tmux("hung", {"new-session", "-d", "-s", "a"});
  Tmux("well", {"new-session", "-d", "-s", "b"},
       {{"SSH_AUTH_SOCK", Path("dead")}});
  const ProcessResult pid = agentdoctor::Run(
      {.argv = {"tmux", "-L", "hung", "display-message", "-p", "#{pid}"},
       .environment = Variables({})});
  const pid_t server = static_cast<pid_t>(std::stol("0" + pid.out));
  ASSERT_GT(server, 1);
  kill(server, SIGSTOP);
  const Side side = Probe();
  kill(server, SIGCONT);
  EXPECT_TRUE(
      NotSeen(side, "tmux at " + TmuxFolder() + "/hung did not answer"));
  EXPECT_EQ(Of(side, HolderKind::kTmuxServer), Words{" " + Path("dead")});
}

TEST_F(LongLivedScript, SkipsASocketWithoutATmux) {
  if (FindProgram("tmux").empty()) GTEST_SKIP() << "no tmux";
  fs::create_directories(TmuxFolder());
  chmod(TmuxFolder().c_str(), 0700);
  { const Fd gone = ListenUnix(TmuxFolder() + "/default"); }
  const Side side = Probe();
  EXPECT_FALSE(NotSeen(side, TmuxFolder()));
  EXPECT_TRUE(Of(side, HolderKind::kTmuxServer).empty());
  EXPECT_EQ(ListDirectory(TmuxFolder()), Words{"default"});
}

TEST_F(LongLivedScript, CarriesHostileNamesAndValues) {
  if (FindProgram("tmux").empty()) GTEST_SKIP() << "no tmux";
  const std::string value = Path("x\n\x1b[31m\xff");
  Tmux("a\nb", {"new-session", "-d", "-s", "n\n\x1b[31m\xc3\xa9"},
       {{"SSH_AUTH_SOCK", value}});
  Tmux("long", {"new-session", "-d", "-s", "l"});
  // tmux takes no more than 16 kB at once.
  Tmux("long", {"set-environment", "-g", "SSH_AUTH_SOCK",
                "/" + std::string(15'000, 'x')});
  BackgroundProcess huge = Start(
      {"sleep", "600"}, {{"SSH_AUTH_SOCK", Path(std::string(100'000, 'y'))}});
  BackgroundProcess odd =
      Start({"sleep", "600"}, {{"SSH_AUTH_SOCK", value + "z"}});
  BackgroundProcess fake =
      Start({"sleep", "600"},
            {{"A", "x\nSSH_AUTH_SOCK=" + Path("fake")}, {"Z", "\n"}});
  const Side side = ProbeUntil([&](const Side& seen) {
    return seen.agents_not_asked.contains(value) &&
           Of(seen, HolderKind::kProcess).size() == 1;
  });
  bool seen = false;
  for (const Holder& holder : side.long_lived->holders) {
    if (holder.kind != HolderKind::kTmuxServer) continue;
    if (holder.server == TmuxFolder() + "/a\nb") {
      seen = true;
      EXPECT_EQ(holder.auth_sock, value);
    } else {
      EXPECT_LE(holder.auth_sock->size(), 512U);
    }
  }
  EXPECT_TRUE(seen);
  // A path that long is cut; it is none.
  const Words processes = Of(side, HolderKind::kProcess);
  ASSERT_EQ(processes.size(), 1U);
  EXPECT_TRUE(processes[0].starts_with("sleep " + Path("yyyy")));
  EXPECT_LE(processes[0].size(), 250U);
  for (const Agent& agent : side.agents) EXPECT_NE(agent.path, Path("fake"));
}

TEST_F(LongLivedScript, SeesAScreenAndThatItWasRepaired) {
  if (FindProgram("screen").empty()) GTEST_SKIP() << "no screen";
  const RealAgent agent;
  StartScreen("work", Path("dead"));
  Side side = ProbeUntil([&](const Side& seen) {
    return Of(seen, HolderKind::kScreen).size() == 1;
  });
  Words screens = Of(side, HolderKind::kScreen);
  ASSERT_EQ(screens.size(), 1U);
  EXPECT_TRUE(screens[0].ends_with(".work " + Path("dead"))) << screens[0];

  const std::string name = screens[0].substr(0, screens[0].find(' '));
  Run({"screen", "-S", name, "-X", "setenv", "SSH_AUTH_SOCK", agent.path()});
  Run({"screen", "-S", name, "-X", "screen", "/bin/sh"});
  side = ProbeUntil([&](const Side& seen) {
    return Of(seen, HolderKind::kScreen) == Words{name + " " + agent.path()};
  });
  EXPECT_EQ(Of(side, HolderKind::kScreen), Words{name + " " + agent.path()});
}

TEST_F(LongLivedScript, SkipsADeadScreen) {
  // No process has this number, or none that is a screen.
  { const Fd gone = ListenUnix(Path("screens/1.init")); }
  { const Fd gone = ListenUnix(Path("screens/99999999.gone")); }
  const Side side = Probe();
  EXPECT_TRUE(Of(side, HolderKind::kScreen).empty());
  EXPECT_FALSE(NotSeen(side, "screen"));
  fs::remove(Path("screens/1.init"));
  fs::remove(Path("screens/99999999.gone"));
}

TEST_F(LongLivedScript, CountsProcessesWithADeadSocket) {
  { const Fd gone = ListenUnix(Path("refused")); }
  const RealAgent agent;
  std::vector<BackgroundProcess> processes;
  for (int i = 0; i < 20; ++i)
    processes.push_back(
        Start({"sleep", "600"}, {{"SSH_AUTH_SOCK", Path("dead")}}));
  processes.push_back(
      Start({"cat", "/dev/zero"}, {{"SSH_AUTH_SOCK", Path("refused")}}));
  processes.push_back(
      Start({"sleep", "600"}, {{"SSH_AUTH_SOCK", agent.path()},
                               {"SSH_CONNECTION", "10.0.0.1 5 10.0.0.2 22"}}));
  const auto all = [&](const Side& side) {
    int count = 0;
    for (const Holder& holder : side.long_lived->holders)
      if (holder.kind == HolderKind::kProcess &&
          holder.auth_sock->starts_with(folder_.path()))
        count += holder.count;
    return count == 21;
  };
  for (const std::string name :
       {"dash", "bash", "ksh", "zsh", "mksh", "busybox", "yash"}) {
    if (FindProgram(name).empty()) continue;
    const std::string front = Path("bin-" + name);
    fs::create_directories(front);
    fs::create_symlink(FindProgram(name), front + "/sh");
    const Side side = ProbeUntil(
        all, {{"PATH", front + ":" + std::string(std::getenv("PATH"))}});
    Words seen = Of(side, HolderKind::kProcess);
    std::ranges::sort(seen);
    EXPECT_EQ(seen, (Words{"cat " + Path("refused"), "sleep " + Path("dead")}))
        << name;
    EXPECT_TRUE(all(side)) << name;
    ASSERT_TRUE(side.socket_connections.contains(agent.path())) << name;
    EXPECT_EQ(side.socket_connections.at(agent.path()),
              "10.0.0.1 5 10.0.0.2 22");
  }
}

TEST_F(LongLivedScript, KnowsAnEditorsServer) {
  const std::string bin = Path("home/.vscode-server/bin/abc");
  fs::create_directories(bin);
  fs::copy(FindProgram("sleep"), bin + "/node");
  BackgroundProcess editor =
      Start({bin + "/node", "600"}, {{"SSH_AUTH_SOCK", Path("dead")}});
  const Side side = ProbeUntil(
      [&](const Side& seen) { return !Of(seen, HolderKind::kEditor).empty(); });
  EXPECT_EQ(Of(side, HolderKind::kEditor), Words{"node " + Path("dead")});
  for (const Holder& holder : side.long_lived->holders)
    if (holder.kind == HolderKind::kEditor && holder.pid == editor.pid()) {
      EXPECT_EQ(holder.server, "VS Code");
    }
}

TEST_F(LongLivedScript, FindsTheLinksPeopleMake) {
  fs::create_symlink(Path("gone"), Path("home/.ssh/ssh_auth_sock"));
  fs::create_symlink(Path("gone"), Path("home/.ssh/agent.sock"));
  fs::create_symlink(folder_.path(), Path("home/.ssh/sockets"));
  std::ofstream(Path("home/.ssh/agent-notes")) << "x";
  const Side side = Probe();
  Words links = side.long_lived->links;
  std::erase_if(links, [&](const std::string& link) {
    return !link.starts_with(folder_.path());
  });
  std::ranges::sort(links);
  EXPECT_EQ(links, (Words{Path("home/.ssh/agent.sock"),
                          Path("home/.ssh/ssh_auth_sock")}));
  EXPECT_EQ(StateOf(side, links[0]), AgentState::kMissing);
  EXPECT_EQ(FindAgent(side, links[0])->link_target, Path("gone"));
}

TEST_F(LongLivedScript, AsksHungAgentsAllAtOnce) {
  std::vector<std::unique_ptr<FakeAgent>> hung;
  for (int i = 0; i < 5; ++i) {
    hung.push_back(std::make_unique<FakeAgent>(
        [](const std::string&) { return FakeAgent::Reaction{}; }));
    fs::create_symlink(hung.back()->path(),
                       Path("home/.ssh/agent.sock" + std::to_string(i)));
  }
  const Side side = Probe();
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(StateOf(side, Path("home/.ssh/agent.sock" + std::to_string(i))),
              AgentState::kSilent);
}

TEST_F(LongLivedScript, GivesReasonsForMoreSocketsThanItAsks) {
  for (int i = 0; i < 40; ++i) {
    const std::string socket = Path("s" + std::to_string(i));
    { const Fd gone = ListenUnix(socket); }
    fs::create_symlink(socket,
                       Path("home/.ssh/agent.sock" + std::to_string(i)));
  }
  const Side side = Probe();
  std::size_t asked = 0;
  std::size_t not_asked = 0;
  for (const std::string& link : side.long_lived->links) {
    if (!link.starts_with(folder_.path())) continue;
    asked += FindAgent(side, link) != nullptr;
    not_asked += side.agents_not_asked.contains(link);
  }
  EXPECT_EQ(asked + not_asked, 40U);
  EXPECT_GT(asked, 10U);
  EXPECT_GT(not_asked, 0U);
}

TEST_F(LongLivedScript, EndsADockerThatHangs) {
  fs::create_directories(Path("bin"));
  std::ofstream(Path("bin/docker")) << "#!/bin/sh\nexec sleep 1000\n";
  chmod(Path("bin/docker").c_str(), 0755);
  const Fd engine = ListenUnix(Path("docker.sock"));
  const Side side = Probe({{"DOCKER_HOST", "unix://" + Path("docker.sock")},
                           {"PATH", Path("bin") + ":" + std::getenv("PATH")}});
  EXPECT_TRUE(NotSeen(side, "docker ps did not answer within 3 s"));
}

TEST_F(LongLivedScript, ReadsWhatDockerSays) {
  fs::create_directories(Path("bin"));
  { const Fd gone = ListenUnix(Path("mounted")); }
  std::ofstream(Path("bin/docker"))
      << "#!/bin/sh\ncase $* in *\" ps \"*) echo abc ;; *)\n"
         "cat <<\\END\nC\"2020-01-01T00:00:00Z\" \"/app\"\n"
         "E\"TOKEN=secret\"\nE\"SSH_AUTH_SOCK=/agent\"\n"
         "M\"bind\" \""
      << Path("mounted") << "\" \"/agent\"\nEND\nesac\n";
  chmod(Path("bin/docker").c_str(), 0755);
  const Fd engine = ListenUnix(Path("docker.sock"));
  const Side side = Probe({{"DOCKER_HOST", "unix://" + Path("docker.sock")},
                           {"PATH", Path("bin") + ":" + std::getenv("PATH")}});
  ASSERT_EQ(Of(side, HolderKind::kContainer), Words{"app " + Path("mounted")});
  EXPECT_TRUE(side.long_lived->holders.front().kind != HolderKind::kContainer ||
              side.long_lived->holders.front().replaced);
  EXPECT_EQ(StateOf(side, Path("mounted")), AgentState::kRefused);
}

TEST_F(LongLivedScript, NeverTalksToAnEngineElsewhere) {
  fs::create_directories(Path("bin"));
  std::ofstream(Path("bin/docker"))
      << "#!/bin/sh\n: >" << Path("was-run") << "\n";
  chmod(Path("bin/docker").c_str(), 0755);
  Probe({{"DOCKER_HOST", "ssh://elsewhere"},
         {"PATH", Path("bin") + ":" + std::getenv("PATH")}});
  EXPECT_FALSE(fs::exists(Path("was-run")));
}

TEST_F(LongLivedScript, SaysWhichVariablesAreSet) {
  const Side side = Probe({{"TMUX", "/t/x,1,0"},
                           {"SUDO_USER", ""},
                           {"container", "lxc\n"},
                           {"SECRET", "x"}});
  EXPECT_EQ(side.session_variables.at("TMUX"), "/t/x,1,0");
  EXPECT_EQ(side.session_variables.at("SUDO_USER"), "");
  EXPECT_EQ(side.session_variables.at("container"), "lxc\n");
  EXPECT_FALSE(side.session_variables.contains("SECRET"));
  EXPECT_FALSE(side.session_variables.contains("STY"));
}

TEST_F(LongLivedScript, ChangesNothing) {
  if (FindProgram("tmux").empty() || FindProgram("screen").empty())
    GTEST_SKIP() << "no tmux or no screen";
  Tmux("one", {"new-session", "-d", "-s", "a"});
  StartScreen("b", Path("dead"));
  fs::create_symlink(Path("gone"), Path("home/.ssh/ssh_auth_sock"));
  ProbeUntil([&](const Side& seen) {
    return Of(seen, HolderKind::kScreen).size() == 1;
  });
  const auto snapshot = [&] {
    std::map<std::string, std::int64_t> seen;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path()))
      seen[entry.path()] = LookAt(entry.path()).modified;
    return seen;
  };
  const auto before = snapshot();
  Probe();
  EXPECT_EQ(snapshot(), before);
}

}  // namespace
}  // namespace agentdoctor
