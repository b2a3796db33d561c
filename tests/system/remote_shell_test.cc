// Quoting and markers for every login shell, and commands that hang.  The
// shells are run as sshd runs them: SHELL -c LINE, with a group of their own.
#include "system/remote_shell.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "system/file.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

using Words = std::vector<std::string>;

const Words kHostile = {
    "",   " ",  "a b",   "'",         "\"",    "!",
    "!!", "\\", "\\\\",  "$HOME",     "`id`",  "$(id)",
    "*",  "~",  "#x",    "a;b",       "a\nb",  "\t",
    "%s", "-n", "{a,b}", "é\x80\xff", "'\\''", "a'b\"c!d\\e$f",
    "&",  "|",  ">x",    "=ls",       "^a^b",  "\x1b[2J"};

RemoteShell::Way Through(const std::string& shell) {
  return [shell](const std::string& line) {
    return Command{.argv = {shell, "-c", line},
                   .idle_limit = Milliseconds{20000}};
  };
}

Command Print(const Words& words) {
  // A count first: an empty word must not get lost.
  Command command{.argv = {"sh", "-c", "printf '<%s>' $# \"$@\"", "sh"},
                  .total_limit = Milliseconds{20000}};
  command.argv.insert(command.argv.end(), words.begin(), words.end());
  return command;
}

std::string Printed(const Words& words) {
  std::string text = "<" + std::to_string(words.size()) + ">";
  for (const std::string& word : words) text += "<" + word + ">";
  return text;
}

class LoginShell : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    shell_ = FindProgram(GetParam());
    if (shell_.empty()) GTEST_SKIP() << GetParam() << " is not installed";
  }
  std::string shell_;
};

TEST_P(LoginShell, PassesHostileWordsOn) {
  RemoteShell place;
  ASSERT_EQ(place.Enter(Through(shell_)), "");
  const ProcessResult result = place.Run(Print(kHostile));
  EXPECT_EQ(result.end, ProcessEnd::kExited) << result.error << result.err;
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.out, Printed(kHostile));
  EXPECT_EQ(result.err, "");
}

TEST_P(LoginShell, LeadsOnToAFurtherOne) {
  RemoteShell place;
  ASSERT_EQ(place.Enter(Through("/bin/sh")), "");
  ASSERT_EQ(place.Enter(Through(shell_)), "");
  ASSERT_EQ(place.Enter(Through(shell_)), "");
  EXPECT_EQ(place.Run(Print(kHostile)).out, Printed(kHostile));
}

INSTANTIATE_TEST_SUITE_P(Each, LoginShell,
                         ::testing::Values("bash", "dash", "zsh", "fish",
                                           "tcsh", "ksh"));

TEST(RemoteShellTest, TellsStreamsAndStatusApart) {
  RemoteShell place;
  ASSERT_EQ(place.Enter(Through("/bin/sh")), "");
  std::string lines;
  const ProcessResult result = place.Run(
      {.argv = {"sh", "-c", "echo out; echo one >&2; printf two >&2; exit 3"},
       .total_limit = Milliseconds{20000},
       .on_error_line = [&lines](std::string_view line) {
         lines += "[" + std::string(line) + "]";
       }});
  EXPECT_EQ(result.end, ProcessEnd::kExited);
  EXPECT_EQ(result.status, 3);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(lines, "[one][two]");
}

TEST(RemoteShellTest, DropsWhatStartUpFilesPrint) {
  RemoteShell place;
  ASSERT_EQ(place.Enter([](const std::string& line) {
    return Command{
        .argv = {"sh", "-c", "echo noise; echo noise >&2; exec sh -c \"$0\"",
                 line},
        .idle_limit = Milliseconds{20000}};
  }),
            "");
  const ProcessResult result = place.Run(Print({"a"}));
  EXPECT_EQ(result.out, Printed({"a"}));
  EXPECT_EQ(result.err, "");
}

TEST(RemoteShellTest, ChangesTheEnvironmentOfOneCommandOnly) {
  RemoteShell place;
  ASSERT_EQ(place.Enter(Through("/bin/sh")), "");
  const auto value = [&](std::optional<std::string> change) {
    Command command{.argv = {"sh", "-c", "echo ${XYZ-unset}:$LC_ALL"},
                    .total_limit = Milliseconds{20000}};
    if (change) command.environment = {{"XYZ", change}};
    return place.Run(command).out;
  };
  EXPECT_EQ(value("it's"), "it's:C\n");
  EXPECT_EQ(value(std::nullopt), "unset:C\n");
}

TEST(RemoteShellTest, KnowsVariablesAndFiles) {
  const TemporaryDirectory folder;
  const std::string file = folder.path() + "/a 'b'";
  std::ofstream(file) << "one\n\ntwo";
  RemoteShell place;
  ASSERT_EQ(place.Enter(Through("/bin/sh")), "");
  const auto files =
      place.ReadFiles({"/nonexistent", file, folder.path(), "/dev/null"});
  ASSERT_EQ(files.size(), 1U);
  EXPECT_EQ(files.at(file).text, "one\n\ntwo");
  EXPECT_EQ(files.at(file).modified, LookAt(file).modified);
  EXPECT_EQ(place.Variable("HOME"), Here().Variable("HOME"));
  EXPECT_EQ(place.Variable("SURELY_NOT_SET_XYZ"), std::nullopt);
  EXPECT_EQ(place.Variable("x; id"), std::nullopt);
}

TEST(RemoteShellTest, SaysThatAProgramIsMissing) {
  RemoteShell place;
  ASSERT_EQ(place.Enter(Through("/bin/sh")), "");
  const ProcessResult result = place.Run(
      {.argv = {"surely-no-such-program"}, .total_limit = Milliseconds{20000}});
  EXPECT_EQ(result.end, ProcessEnd::kNotStarted);
  EXPECT_NE(result.error.find("surely-no-such-program"), std::string::npos)
      << result.error;
}

bool Gone(pid_t pid) {
  for (int i = 0; i < 2000; ++i) {
    if (kill(pid, 0) != 0) return true;
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    if (text.find(") Z ") != std::string::npos) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

/// Starts a child of its own, writes both pids and hangs.
Command Hang(const std::string& file) {
  return {.argv = {"sh", "-c",
                   "sleep 1000 & echo $$ $! >\"$1.new\"; mv \"$1.new\" \"$1\";"
                   " wait",
                   "sh", file}};
}

std::vector<pid_t> Pids(const std::string& file) {
  std::ifstream in(file);
  std::vector<pid_t> pids;
  for (pid_t pid = 0; in >> pid;) pids.push_back(pid);
  return pids;
}

class Hanging : public LoginShell {};

TEST_P(Hanging, EndsItAndGoesOn) {
  const TemporaryDirectory folder;
  RemoteShell place;
  ASSERT_EQ(place.Enter(Through(shell_)), "");
  Command command = Hang(folder.path() + "/pids");
  command.total_limit = Milliseconds{300};
  EXPECT_EQ(place.Run(command).end, ProcessEnd::kTimedOut);
  const std::vector<pid_t> pids = Pids(folder.path() + "/pids");
  ASSERT_EQ(pids.size(), 2U);
  for (const pid_t pid : pids) EXPECT_TRUE(Gone(pid));
  const ProcessResult next = place.Run(Print({"still there"}));
  EXPECT_EQ(next.out, Printed({"still there"})) << next.error;
  EXPECT_EQ(next.err, "");
}

INSTANTIATE_TEST_SUITE_P(Each, Hanging,
                         ::testing::Values("bash", "dash", "zsh", "fish",
                                           "tcsh", "ksh"));

TEST(RemoteShellTest, EndsACommandWithTheConnection) {
  const TemporaryDirectory folder;
  std::vector<pid_t> pids;
  {
    RemoteShell place;
    // As a connection would: its end is only seen at standard input.
    ASSERT_EQ(place.Enter([](const std::string& line) {
      return Command{.argv = {"sh", "-c", "cat | setsid sh -c \"$0\"", line},
                     .idle_limit = Milliseconds{20000}};
    }),
              "");
    Command command = Hang(folder.path() + "/pids");
    command.on_output = {};
    std::jthread ender([&] {
      for (int i = 0; i < 2000 && pids.size() < 2; ++i) {
        pids = Pids(folder.path() + "/pids");
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    });
    command.total_limit = Milliseconds{300};
    place.Run(command);
  }
  ASSERT_EQ(pids.size(), 2U);
  for (const pid_t pid : pids) EXPECT_TRUE(Gone(pid));
}

TEST(RemoteShellTest, SaysWhyThereIsNoSession) {
  RemoteShell place;
  EXPECT_EQ(place.Enter([](const std::string&) {
    return Command{.argv = {"sh", "-c", "echo 'Permission denied' >&2; exit 9"},
                   .idle_limit = Milliseconds{20000}};
  }),
            "Permission denied");
  const ProcessResult result = place.Run(Print({"a"}));
  EXPECT_EQ(result.end, ProcessEnd::kLost);
  EXPECT_EQ(result.error, "Permission denied");
}

TEST(RemoteShellTest, SaysThatTheSessionEnded) {
  RemoteShell place;
  ASSERT_EQ(place.Enter(Through("/bin/sh")), "");
  const ProcessResult result =
      place.Run({.argv = {"sh", "-c", "kill -9 $PPID; kill -9 -1$$ 0"},
                 .total_limit = Milliseconds{20000}});
  EXPECT_NE(result.end, ProcessEnd::kExited);
  EXPECT_FALSE(result.error.empty());
}

TEST(RemoteShellTest, StopsAtTheOutputAskedFor) {
  RemoteShell place;
  ASSERT_EQ(place.Enter(Through("/bin/sh")), "");
  std::string seen;
  const ProcessResult result =
      place.Run({.argv = {"sh", "-c", "echo enough; sleep 1000"},
                 .total_limit = Milliseconds{20000},
                 .on_output =
                     [&seen](std::string_view piece) {
                       seen += piece;
                       return seen.find("enough") != std::string::npos;
                     },
                 .stop_limit = Milliseconds{50}});
  EXPECT_EQ(result.end, ProcessEnd::kStopped);
  EXPECT_EQ(result.status, -1);
  EXPECT_EQ(place.Run(Print({"next"})).out, Printed({"next"}));
}

TEST(RemoteShellTest, IsLostToACommandThatSaysTooMuch) {
  RemoteShell place;
  ASSERT_EQ(place.Enter(Through("/bin/sh")), "");
  const ProcessResult result =
      place.Run({.argv = {"sh", "-c", "while :; do echo too much; done"},
                 .total_limit = Milliseconds{20000},
                 .output_limit = 10000});
  EXPECT_EQ(result.end, ProcessEnd::kOutputLimit);
  EXPECT_EQ(place.Run(Print({"a"})).end, ProcessEnd::kLost);
}

}  // namespace
}  // namespace agentdoctor
