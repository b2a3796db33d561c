// The probe's script, run by real shells on this machine.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "agent/fake_agent.h"
#include "probes/records.h"
#include "probes/remote_side.h"
#include "probes/this_session.h"
#include "system/file.h"
#include "system/process.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

namespace fs = std::filesystem;
using Environment =
    std::vector<std::pair<std::string, std::optional<std::string>>>;
using Reaction = FakeAgent::Reaction;

// printf: mksh has none of its own.
const std::vector<std::string> kTools = {
    "od", "tr",   "awk",   "grep", "timeout", "ssh-add", "uname",
    "ls", "find", "sleep", "cat",  "printf",  "sh"};

void Write(const std::string& path, const std::string& text, int mode = 0644) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << text;
  chmod(path.c_str(), static_cast<mode_t>(mode));
}

class ProbeScript : public testing::Test {
 protected:
  ProbeScript() {
    fs::create_directories(Home());
    fs::create_directories(folder_.path() + "/tmp");
  }

  std::string Home() const { return folder_.path() + "/home"; }

  // A PATH with these programs only, and one more folder in front of it.
  std::string OnlyTools(const std::vector<std::string>& names) {
    const std::string bin = folder_.path() + "/bin";
    for (const std::string& name : names) {
      const std::string program = FindProgram(name);
      if (!program.empty() && !fs::exists(bin + "/" + name)) {
        fs::create_directories(bin);
        fs::create_symlink(program, bin + "/" + name);
      }
    }
    return bin;
  }

  static std::vector<std::string> Without(
      const std::vector<std::string>& names) {
    std::vector<std::string> tools = kTools;
    for (const std::string& name : names) std::erase(tools, name);
    return tools;
  }

  // Runs the probe as this login shell would, with `before` and `after` around
  // it, and returns what stands between the markers.
  std::string Output(const Environment& environment = {},
                     const std::string& shell = "/bin/bash",
                     const std::string& before = "",
                     const std::string& after = "") {
    const ProbeCommand probe = MakeProbeCommand();
    Environment all = {{"HOME", Home()},
                       {"TMPDIR", folder_.path() + "/tmp"},
                       {"SHELL", shell},
                       {"SSH_AUTH_SOCK", std::nullopt},
                       {"SSH_CONNECTION", std::nullopt},
                       {"ZDOTDIR", std::nullopt},
                       {"XDG_CONFIG_HOME", std::nullopt}};
    for (const auto& [name, value] : environment) {
      std::erase_if(
          all, [&, &n = name](const auto& entry) { return entry.first == n; });
      all.emplace_back(name, value);
    }
    std::vector<std::string> argv = around_;
    argv.insert(argv.end(), {shell, "-c", before + probe.command + after});
    const ProcessResult result =
        agentdoctor::Run({.argv = std::move(argv),
                          .environment = all,
                          .total_limit = Milliseconds(60'000)});
    EXPECT_EQ(result.end, ProcessEnd::kExited) << result.error << result.err;
    const std::size_t begin = result.out.find(probe.begin_marker);
    const std::size_t end = result.out.find(probe.end_marker);
    if (begin == std::string::npos || end == std::string::npos || end < begin) {
      ADD_FAILURE() << "no markers: " << result.out << result.err;
      return {};
    }
    const std::size_t from = begin + probe.begin_marker.size();
    return result.out.substr(from, end - from);
  }

  Side Probe(const Environment& environment = {},
             const std::string& shell = "/bin/bash",
             const std::string& before = "", const std::string& after = "") {
    return ThisSession(Output(environment, shell, before, after));
  }

  // The one agent asked.
  Agent Only(const Side& side) {
    EXPECT_EQ(side.agents.size(), 1U);
    return side.agents.empty() ? Agent() : side.agents[0];
  }

  // The answer of the agent at this path, asked through SSH_AUTH_SOCK.
  Agent AskedAt(const std::string& path, const Environment& more = {}) {
    Environment environment = more;
    environment.emplace_back("SSH_AUTH_SOCK", path);
    const Agent agent = Only(Probe(environment));
    EXPECT_EQ(agent.path, path);
    return agent;
  }

  // The same of an agent that does answer: on a busy machine a program may need
  // more than the probe's two seconds only to start.
  Agent AnswerAt(const std::string& path, const Environment& more = {}) {
    Agent agent = AskedAt(path, more);
    for (int again = 0; again < 5 && agent.state == AgentState::kSilent;
         ++again)
      agent = AskedAt(path, more);
    return agent;
  }

  TemporaryDirectory folder_;
  /// A command that runs the login shell.
  std::vector<std::string> around_ = {};
};

TEST(ProbeCommand, PassesEveryLoginShell) {
  const std::string command = MakeProbeCommand().command;
  EXPECT_TRUE(command.starts_with("sh -c '")) << command.substr(0, 20);
  EXPECT_TRUE(command.ends_with("'; true"));
  EXPECT_EQ(std::count(command.begin(), command.end(), '\''), 2);
  EXPECT_EQ(command.find('\n'), std::string::npos);
  EXPECT_EQ(command.find('!'), std::string::npos);
  EXPECT_EQ(command.find("\\\\"), std::string::npos);
  // dropbear up to 2022.83 hangs up on more.
  EXPECT_LT(command.size(), 9000U);
}

TEST(ProbeCommand, DoesNotContainItsMarkers) {
  const ProbeCommand probe = MakeProbeCommand();
  EXPECT_EQ(probe.command.find(probe.begin_marker), std::string::npos);
  EXPECT_EQ(probe.command.find(probe.end_marker), std::string::npos);
  EXPECT_NE(probe.begin_marker, MakeProbeCommand().begin_marker);
}

TEST_F(ProbeScript, SaysWhoAndWhere) {
  const Side side = Probe({{"SSH_CONNECTION", "10.0.0.1 5 10.0.0.2 22"}});
  EXPECT_EQ(side.uid.value(), static_cast<std::int64_t>(geteuid()));
  char name[256] = {};
  gethostname(name, sizeof name - 1);
  EXPECT_EQ(side.name, name);
  if (const auto boot = ReadFile("/proc/sys/kernel/random/boot_id")) {
    EXPECT_EQ(side.boot_id.value(), Trim(*boot));
  }
  EXPECT_EQ(side.shell.value(), "/bin/bash");
  EXPECT_EQ(side.ssh_connection.value(), "10.0.0.1 5 10.0.0.2 22");
  EXPECT_EQ(side.identity_agent.value(), "");
  EXPECT_TRUE(side.startup_lines.known());
  EXPECT_TRUE(side.agents.empty());
  EXPECT_TRUE(side.agents_not_asked.empty());
}

// As on macOS and the BSDs, and in a chroot.
TEST_F(ProbeScript, SaysWhatItCanNotKnowWithoutProc) {
  around_ = {"unshare",
             getuid() == 0 ? "-m" : "-rm",
             "sh",
             "-c",
             "mount -t tmpfs none /proc && exec \"$@\"",
             "sh"};
  std::vector<std::string> trial = around_;
  trial.emplace_back("true");
  if (agentdoctor::Run({.argv = trial}).status != 0)
    GTEST_SKIP() << "/proc can't be hidden here";
  const RealAgent agent;
  agent.AddKey("key");
  const Side side = Probe({{"SSH_AUTH_SOCK", agent.path()}});
  EXPECT_EQ(side.auth_sock.value(), agent.path());
  EXPECT_TRUE(side.uid.known()) << side.uid.reason();
  EXPECT_FALSE(side.name.empty());
  EXPECT_EQ(side.initial_auth_sock.reason(), "there is no /proc");
  EXPECT_FALSE(side.boot_id.known());
  EXPECT_TRUE(side.startup_lines.known());
  ASSERT_TRUE(side.long_lived.known()) << side.long_lived.reason();
  EXPECT_TRUE(side.long_lived->holders.empty());
  const auto& not_seen = side.long_lived->not_seen;
  EXPECT_NE(std::find(not_seen.begin(), not_seen.end(),
                      "processes: there is no /proc, tr or awk"),
            not_seen.end());
  // The agent is asked all the same.
  ASSERT_EQ(side.agents.size(), 1U);
  EXPECT_EQ(side.agents[0].state, AgentState::kAnswered);
  EXPECT_EQ(side.agents[0].identities.size(), 1U);
}

TEST_F(ProbeScript, TellsUnsetFromEmpty) {
  EXPECT_EQ(Probe().auth_sock.value(), std::nullopt);
  EXPECT_EQ(Probe().initial_auth_sock.value(), std::nullopt);
  const Side side = Probe({{"SSH_AUTH_SOCK", ""}});
  EXPECT_EQ(side.auth_sock.value(), "");
  EXPECT_EQ(side.initial_auth_sock.value(), "");
}

TEST_F(ProbeScript, SeesWhatSshdHandedOverBehindTheShell) {
  const Side side = Probe({{"SSH_AUTH_SOCK", "/nowhere/first"}}, "/bin/bash",
                          "export SSH_AUTH_SOCK=/nowhere/second; ");
  EXPECT_EQ(side.initial_auth_sock.value(), "/nowhere/first");
  EXPECT_EQ(side.auth_sock.value(), "/nowhere/second");
  ASSERT_EQ(side.agents.size(), 2U);
  EXPECT_EQ(side.agents[0].path, "/nowhere/second");
  EXPECT_EQ(side.agents[1].path, "/nowhere/first");
  const Side beginning = Probe({{"SSH_AUTH_SOCK", "/nowhere/first"}},
                               "/bin/bash", "export SSH_AUTH_SOCK=/nowhere; ");
  EXPECT_EQ(beginning.initial_auth_sock.value(), "/nowhere/first");
  const Side cleared = Probe({{"SSH_AUTH_SOCK", "/nowhere/first"}}, "/bin/bash",
                             "unset SSH_AUTH_SOCK; ");
  EXPECT_EQ(cleared.initial_auth_sock.value(), "/nowhere/first");
  EXPECT_EQ(cleared.auth_sock.value(), std::nullopt);
}

TEST_F(ProbeScript, IsNotMisledByOtherVariables) {
  const Side side = Probe({{"A", "x\nSSH_AUTH_SOCK=/fake\n"},
                           {"XSSH_AUTH_SOCK", "/fake"},
                           {"SSH_AUTH_SOCK", "/nowhere"},
                           {"Z", "x\nSSH_AUTH_SOCK=/fake"}});
  EXPECT_EQ(side.initial_auth_sock.value(), "/nowhere");
  EXPECT_EQ(side.auth_sock.value(), "/nowhere");
}

TEST_F(ProbeScript, CarriesAnyValue) {
  for (const std::string value :
       {"/a b/c", "/a\nb", "/a\n", "\n", " ", "-S", "~/x", "$HOME", "%s%n", "*",
        "/a\x1b[31m\x07", "/a\xff\xfe\x80", "+x", "a=b", "\\0\\n", "?",
        "/tmp/ssh-*/agent.*"}) {
    const Side side = Probe({{"SSH_AUTH_SOCK", value}});
    EXPECT_EQ(side.auth_sock.value(), value);
    EXPECT_EQ(side.initial_auth_sock.value(), value);
    ASSERT_EQ(side.agents.size(), 1U) << value;
    EXPECT_EQ(side.agents[0].path, value);
    EXPECT_EQ(side.agents[0].state, AgentState::kMissing) << value;
  }
}

TEST_F(ProbeScript, CutsALongValue) {
  const std::string value = "/" + std::string(100'000, 'x');
  const std::string output = Output({{"SSH_AUTH_SOCK", value}});
  EXPECT_LT(output.size(), 200'000U);
  const Side side = ThisSession(output);
  EXPECT_EQ(side.auth_sock.value(), value.substr(0, 8191));
  EXPECT_EQ(side.initial_auth_sock.value(), value.substr(0, 8191));
  EXPECT_EQ(Only(side).state, AgentState::kPathTooLong);
}

TEST_F(ProbeScript, SurvivesNoise) {
  const Side side = Probe({{"SSH_AUTH_SOCK", "/nowhere"}}, "/bin/bash",
                          "set -v; printf 'Welcome\\377\\000\\033[1m'; "
                          "PS4=agentdoctor-begin; set -x; ",
                          "; echo bye");
  EXPECT_EQ(side.auth_sock.value(), "/nowhere");
}

TEST_F(ProbeScript, ListsTheKeysOfARealAgent) {
  const RealAgent agent;
  agent.AddKey("one");
  agent.AddKey("two", "rsa");
  const Agent direct = AskAgent(agent.path(), kPlenty, false);
  const Agent asked = AskedAt(agent.path());
  EXPECT_EQ(asked.state, AgentState::kAnswered);
  EXPECT_EQ(asked.identities, direct.identities);
  EXPECT_EQ(asked.identities.size(), 2U);
  EXPECT_EQ(asked.asked_with, "ssh-add");
  EXPECT_EQ(asked.owner, static_cast<std::int64_t>(geteuid()));
}

TEST_F(ProbeScript, RunsInEveryShellThatMayBeSh) {
  const RealAgent agent;
  agent.AddKey("one");
  for (const std::string name :
       {"dash", "bash", "ksh", "zsh", "mksh", "busybox", "yash"}) {
    const std::string shell = FindProgram(name);
    if (shell.empty()) continue;
    // Under the name sh, bash and zsh follow POSIX.
    const std::string front = folder_.path() + "/" + name;
    fs::create_directories(front);
    fs::create_symlink(shell, front + "/sh");
    for (const std::vector<std::string>& missing :
         {std::vector<std::string>{}, std::vector<std::string>{"timeout"}}) {
      const Side side =
          Probe({{"SSH_AUTH_SOCK", agent.path()},
                 {"PATH", front + ":" + OnlyTools(Without(missing))}},
                "/bin/bash", "export SSH_AUTH_SOCK=/nowhere; ");
      EXPECT_EQ(side.initial_auth_sock.value(), agent.path()) << name;
      EXPECT_EQ(side.auth_sock.value(), "/nowhere") << name;
      ASSERT_EQ(side.agents.size(), 2U) << name;
      EXPECT_EQ(side.agents[0].state, AgentState::kMissing) << name;
      EXPECT_EQ(side.agents[1].state, AgentState::kAnswered) << name;
      EXPECT_EQ(side.agents[1].identities.size(), 1U) << name;
      EXPECT_EQ(side.startup_lines.value().size(), 0U) << name;
      // timeout is left in the folder by the first round.
      fs::remove(folder_.path() + "/bin/timeout");
    }
  }
}

TEST_F(ProbeScript, AsksWithWhatThereIs) {
  const RealAgent agent;
  agent.AddKey("one");
  const Agent direct = AskAgent(agent.path(), kPlenty, false);
  for (const std::string tool : {"python3", "perl"}) {
    if (FindProgram(tool).empty()) continue;
    fs::remove_all(folder_.path() + "/bin");
    std::vector<std::string> tools = Without({"ssh-add"});
    tools.push_back(tool);
    // pyenv's python3 is a bash script that looks for itself.
    const std::string path =
        OnlyTools(tools) + (tool == "python3" ? ":/usr/bin" : "");
    if (tool == "python3" && FindProgram("ssh-add") == "/usr/bin/ssh-add") {
      fs::remove(folder_.path() + "/bin/python3");
      if (!fs::exists("/usr/bin/python3")) continue;
      fs::create_symlink("/usr/bin/python3", folder_.path() + "/bin/python3");
    }
    const Environment only = {{"PATH", folder_.path() + "/bin"}};
    const Agent asked = AnswerAt(agent.path(), only);
    EXPECT_EQ(asked.asked_with, tool);
    EXPECT_EQ(asked.state, AgentState::kAnswered) << tool;
    EXPECT_EQ(asked.identities, direct.identities) << tool;
    EXPECT_EQ(AnswerAt("/nowhere", only).state, AgentState::kMissing) << tool;
    const std::string dead = folder_.path() + "/dead";
    { const Fd gone = ListenUnix(dead); }
    EXPECT_EQ(AnswerAt(dead, only).state, AgentState::kRefused) << tool;
    fs::remove(dead);
    const FakeAgent rude([](const std::string&) {
      return Reaction{.bytes = {}, .hang_up = true};
    });
    EXPECT_EQ(AnswerAt(rude.path(), only).state, AgentState::kDropped) << tool;
    const FakeAgent mute([](const std::string&) { return Reaction{}; });
    EXPECT_EQ(AskedAt(mute.path(), only).state, AgentState::kSilent) << tool;
  }
}

TEST_F(ProbeScript, SaysWhenNothingCanAsk) {
  const RealAgent agent;
  const Side side = Probe({{"SSH_AUTH_SOCK", agent.path()},
                           {"PATH", OnlyTools(Without({"ssh-add"}))}});
  EXPECT_TRUE(side.agents.empty());
  ASSERT_TRUE(side.agents_not_asked.contains(agent.path()));
  EXPECT_NE(side.agents_not_asked.at(agent.path()).find("no ssh-add"),
            std::string::npos);
  // What the shell sees by itself needs nobody.
  EXPECT_EQ(Only(Probe({{"SSH_AUTH_SOCK", Home()},
                        {"PATH", OnlyTools(Without({"ssh-add"}))}}))
                .state,
            AgentState::kNotASocket);
}

TEST_F(ProbeScript, TellsTheStatesOfAnAgentApart) {
  const std::string at = folder_.path();
  EXPECT_EQ(AskedAt(at + "/missing").state, AgentState::kMissing);

  fs::create_symlink(at + "/gone", at + "/link");
  const Agent dangling = AskedAt(at + "/link");
  EXPECT_EQ(dangling.state, AgentState::kMissing);
  EXPECT_EQ(dangling.link_target, at + "/gone");

  { const Fd gone = ListenUnix(at + "/dead"); }
  const Agent dead = AskedAt(at + "/dead");
  EXPECT_EQ(dead.state, AgentState::kRefused);
  EXPECT_EQ(dead.detail, "Connection refused");

  Write(at + "/file", "x");
  EXPECT_EQ(AskedAt(at + "/file").state, AgentState::kNotASocket);
  EXPECT_EQ(AskedAt(at).state, AgentState::kNotASocket);
  EXPECT_EQ(AskedAt("/" + std::string(120, 'x')).state,
            AgentState::kPathTooLong);

  const FakeAgent rude([](const std::string&) {
    return Reaction{.bytes = {}, .hang_up = true};
  });
  EXPECT_EQ(AskedAt(rude.path()).state, AgentState::kDropped);

  const FakeAgent refusing(
      [](const std::string&) { return Reaction{.bytes = WireString("\x05")}; });
  EXPECT_EQ(AskedAt(refusing.path()).state, AgentState::kListRefused);

  const FakeAgent junk([](const std::string&) {
    return Reaction{.bytes = "HTTP/1.1 400 Bad Request\r\n\r\n",
                    .hang_up = true};
  });
  EXPECT_EQ(AskedAt(junk.path()).state, AgentState::kMalformed);

  const FakeAgent mute([](const std::string&) { return Reaction{}; });
  EXPECT_EQ(AskedAt(mute.path()).state, AgentState::kSilent);

  const RealAgent empty;
  const Agent without_keys = AskedAt(empty.path());
  EXPECT_EQ(without_keys.state, AgentState::kAnswered);
  EXPECT_TRUE(without_keys.identities.empty());
}

TEST_F(ProbeScript, NamesTheFolderThatDenies) {
  if (geteuid() == 0) GTEST_SKIP() << "nothing is denied to root";
  const std::string at = folder_.path() + "/closed";
  fs::create_directories(at);
  { const Fd gone = ListenUnix(at + "/agent"); }
  chmod(at.c_str(), 0);
  const Agent agent = AskedAt(at + "/agent");
  chmod(at.c_str(), 0700);
  EXPECT_EQ(agent.state, AgentState::kDenied);
  EXPECT_TRUE(agent.denied_by.starts_with(at + " (owner ")) << agent.denied_by;
  EXPECT_TRUE(agent.denied_by.ends_with("mode 0000)")) << agent.denied_by;
}

TEST_F(ProbeScript, EndsAToolThatHangs) {
  const std::string front = folder_.path() + "/front";
  Write(front + "/ssh-add", "#!/bin/sh\nexec sleep 1000\n", 0755);
  for (const std::vector<std::string>& missing :
       {std::vector<std::string>{"timeout"}, std::vector<std::string>{}}) {
    const Side side =
        Probe({{"SSH_AUTH_SOCK", "/nowhere"},
               {"PATH", front + ":" + OnlyTools(Without(missing))}});
    EXPECT_EQ(Only(side).state, AgentState::kSilent);
  }
}

TEST_F(ProbeScript, TakesATimeoutOfAnOlderBusyboxForNone) {
  // It wants `timeout -t SECONDS`, and runs the 2.
  const std::string front = folder_.path() + "/front";
  Write(front + "/timeout", "#!/bin/sh\nshift 2; exec \"$@\"\n", 0755);
  const RealAgent agent;
  EXPECT_EQ(
      AskedAt(agent.path(), {{"PATH", front + ":" + OnlyTools(kTools)}}).state,
      AgentState::kAnswered);
}

TEST_F(ProbeScript, EncodesWithWhatThereIs) {
  for (const std::string tool : {"hexdump"}) {
    if (FindProgram(tool).empty()) continue;
    std::vector<std::string> tools = Without({"od"});
    tools.push_back(tool);
    const std::string path = OnlyTools(tools);
    const Side side = Probe({{"SSH_AUTH_SOCK", "/a\nb\xff"}, {"PATH", path}});
    ASSERT_TRUE(side.auth_sock.known()) << tool << side.auth_sock.reason();
    EXPECT_EQ(side.auth_sock.value(), "/a\nb\xff") << tool;
  }
  fs::remove_all(folder_.path() + "/bin");
  const Side side = Probe({{"PATH", OnlyTools(Without({"od"}))}});
  EXPECT_NE(side.auth_sock.reason().find("no od"), std::string::npos)
      << side.auth_sock.reason();
}

TEST_F(ProbeScript, NeedsLittle) {
  const Side side =
      Probe({{"SSH_AUTH_SOCK", "/nowhere"}, {"PATH", OnlyTools({"sh", "od"})}});
  EXPECT_EQ(side.auth_sock.value(), "/nowhere");
  EXPECT_EQ(side.uid.value(), static_cast<std::int64_t>(geteuid()));
  EXPECT_EQ(side.initial_auth_sock.value(), "/nowhere");
  // What was changed is not seen without tr.
  const Side changed = Probe(
      {{"SSH_AUTH_SOCK", "/nowhere/first"}, {"PATH", OnlyTools({"sh", "od"})}},
      "/bin/bash", "export SSH_AUTH_SOCK=/nowhere/second; ");
  EXPECT_FALSE(changed.initial_auth_sock.known());
}

TEST_F(ProbeScript, FindsTheLinesOfStartUpFiles) {
  Write(Home() + "/.bashrc",
        "export TOKEN=secret\n"
        "[ -z \"$PS1\" ] && return\n"
        "if [ -z \"$SSH_AUTH_SOCK\" ]; then\n"
        "  eval $(ssh-agent)\n"
        "fi\n"
        "export SSH_AUTH_SOCK=/a\n");
  Write(Home() + "/.profile", "eval `keychain --eval`\n");
  Write(Home() + "/.zshrc", "export SSH_AUTH_SOCK=/of/another/shell\n");
  Write(Home() + "/.ssh/environment", "SSH_AUTH_SOCK=/b\n");
  const std::string output = Output();
  const Side side = ParseProbe(output);
  std::map<std::string, StartupLine> lines;
  for (const StartupLine& line : side.startup_lines.value())
    if (line.file.starts_with(Home()))
      lines[line.file.substr(Home().size() + 1) + ":" +
            std::to_string(line.line)] = line;
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_TRUE(lines.at(".bashrc:4").guarded);
  EXPECT_FALSE(lines.at(".bashrc:6").guarded);
  EXPECT_EQ(lines.at(".bashrc:6").scope, StartupScope::kInteractive);
  EXPECT_EQ(lines.at(".bashrc:6").text, "export SSH_AUTH_SOCK=/a");
  EXPECT_EQ(lines.at(".profile:1").scope, StartupScope::kLogin);
  EXPECT_EQ(lines.at(".ssh/environment:1").scope, StartupScope::kSession);
  // No assignment but ours leaves the machine, not even in hexadecimal.
  std::string digits;
  for (const char c : output)
    if (c != ' ' && c != '\n') digits += c;
  EXPECT_EQ(digits.find("736563726574"), std::string::npos);
}

TEST_F(ProbeScript, ReadsTheFilesOfEachShell) {
  const std::map<std::string, std::pair<std::string, std::string>> files = {
      {"zsh", {".zshenv", "export SSH_AUTH_SOCK=/a"}},
      {"fish", {".config/fish/config.fish", "set -gx SSH_AUTH_SOCK /a"}},
      {"tcsh", {".cshrc", "setenv SSH_AUTH_SOCK /a"}},
      {"ksh", {".kshrc", "export SSH_AUTH_SOCK=/a"}}};
  for (const auto& [name, file] : files) {
    const std::string shell = FindProgram(name);
    if (shell.empty()) continue;
    Write(Home() + "/" + file.first, file.second + "\n");
    const Side side = Probe({{"XDG_CONFIG_HOME", Home() + "/.config"}}, shell);
    ASSERT_EQ(side.startup_lines.value().size(), 1U) << name;
    EXPECT_EQ(side.startup_lines.value()[0].file, Home() + "/" + file.first);
    fs::remove(Home() + "/" + file.first);
  }
}

TEST_F(ProbeScript, SearchesProcessesWhereThereAreOthers) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can be one who runs nothing";
  around_ = {"setpriv", "--reuid=54322", "--clear-groups"};
  const auto search = [this](const std::string& before,
                             const std::string& after) {
    const auto records =
        ReadRecords(Output({}, "/bin/bash", before, after)).value();
    for (const auto& [key, value] : records)
      if (key == "far") return value.substr(0, value.find('\n'));
    return std::string();
  };
  EXPECT_EQ(search("", ""), "-");
  EXPECT_EQ(search("sleep 60 & p=$!; ", "; kill $p"), "=1 ");
  EXPECT_EQ(search("SSH_AUTH_SOCK=/tmp/gone sleep 60 & p=$!; ", "; kill $p"),
            "=0 1");
}

TEST_F(ProbeScript, NeverReadsFromAPipe) {
  ASSERT_EQ(mkfifo((Home() + "/.bashrc").c_str(), 0600), 0);
  // A shell with that home would itself wait; sh reads no file.
  EXPECT_TRUE(Probe({{"SHELL", "/bin/bash"}}, "/bin/sh").startup_lines.known());
}

TEST_F(ProbeScript, AsksTheSshThereForItsAgent) {
  if (FindProgram("ssh").empty()) GTEST_SKIP() << "no ssh";
  // A stand-in: the real one reads the configuration of the password file's
  // home folder.
  const std::string front = folder_.path() + "/front";
  Write(front + "/ssh",
        "#!/bin/sh\necho host agentdoctor.invalid\n"
        "echo identityagent /run/other agent.sock\n",
        0755);
  const Environment environment = {{"PATH", front + ":" + OnlyTools(kTools)}};
  EXPECT_EQ(Probe(environment).identity_agent.value(), "");
  Write(Home() + "/.ssh/config", "Host *\n  identityagent = /x\n");
  EXPECT_EQ(Probe(environment).identity_agent.value(), "/run/other agent.sock");
  Write(Home() + "/.ssh/config", "Include more\n");
  EXPECT_EQ(Probe(environment).identity_agent.value(), "/run/other agent.sock");
  Write(front + "/ssh", "#!/bin/sh\nexit 255\n", 0755);
  EXPECT_FALSE(Probe(environment).identity_agent.known());
}

TEST_F(ProbeScript, LeavesNothingBehind) {
  const RealAgent agent;
  agent.AddKey("one");
  Write(Home() + "/.bashrc", "eval $(ssh-agent)\n");
  Write(Home() + "/.ssh/config", "IdentityAgent /x\n");
  const auto snapshot = [&] {
    std::map<std::string, std::int64_t> seen;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path()))
      seen[entry.path()] = LookAt(entry.path()).modified;
    seen[folder_.path()] = LookAt(folder_.path()).modified;
    return seen;
  };
  const std::string mark = "AGENTDOCTOR_TEST_MARK=" + folder_.path();
  const auto still_runs = [&] {
    for (const std::string& pid : ListDirectory("/proc"))
      if (const auto text = ReadFile("/proc/" + pid + "/environ");
          text && text->find(mark) != std::string::npos)
        return true;
    return false;
  };
  const std::string only = OnlyTools(Without({"timeout"}));
  const auto before = snapshot();
  for (const std::string& path : {std::string(std::getenv("PATH")), only}) {
    Probe({{"SSH_AUTH_SOCK", agent.path()},
           {"PATH", path},
           {"AGENTDOCTOR_TEST_MARK", folder_.path()}},
          "/bin/sh", "export SSH_AUTH_SOCK=/nowhere; ");
    EXPECT_EQ(snapshot(), before);
    // A process that was told to end may take a moment.
    const auto deadline = std::chrono::steady_clock::now() + kPlenty;
    while (still_runs() && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(Milliseconds(10));
    EXPECT_FALSE(still_runs());
  }
}
}  // namespace
}  // namespace agentdoctor
