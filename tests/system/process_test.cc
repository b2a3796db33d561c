#include "system/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <set>
#include <system_error>
#include <thread>

#include "system/file.h"
#include "system/interrupt.h"
#include "system/socket.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

ProcessResult Shell(const std::string& script) {
  return agentdoctor::Run({.argv = {"sh", "-c", script}});
}

/// A FIFO that children open: they live as long as somebody writes to it, and
/// it tells when the last of them is gone.
class Leash {
 public:
  Leash() : path_(folder_.path() + "/fifo") {
    EXPECT_EQ(mkfifo(path_.c_str(), 0600), 0);
    read_ = Fd(open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }
  const std::string& path() const { return path_; }

  /// Whether every process that had it open for writing ends within 20 s.
  bool AllGone() const {
    pollfd polled{read_.get(), POLLIN, 0};
    while (poll(&polled, 1, 20'000) > 0) {
      if ((polled.revents & POLLHUP) != 0) return true;
      char byte;
      if (read(read_.get(), &byte, 1) < 0) return false;
    }
    return false;
  }

 private:
  TemporaryDirectory folder_;
  std::string path_;
  Fd read_;
};

TEST(ProcessTest, TellsExitStatusAndBothStreams) {
  const ProcessResult result = Shell("echo out; echo err >&2; exit 7");
  EXPECT_EQ(result.end, ProcessEnd::kExited);
  EXPECT_EQ(result.status, 7);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
}

TEST(ProcessTest, TellsTheSignalThatEndedAChild) {
  const ProcessResult result = Shell("kill -SEGV $$");
  EXPECT_EQ(result.end, ProcessEnd::kSignalled);
  EXPECT_EQ(result.status, SIGSEGV);
}

TEST(ProcessTest, NamesAProgramThatDoesNotExist) {
  const ProcessResult result = agentdoctor::Run({.argv = {"no-such-program"}});
  EXPECT_EQ(result.end, ProcessEnd::kNotStarted);
  EXPECT_NE(result.error.find("no-such-program"), std::string::npos);
}

TEST(ProcessTest, PassesWordsOnAsTheyAre) {
  const ProcessResult result =
      agentdoctor::Run({.argv = {"printf", "%s|", "a b", "$HOME", "'", ""}});
  EXPECT_EQ(result.out, "a b|$HOME|'||");
}

TEST(ProcessTest, ChangesTheEnvironmentAndAlwaysSpeaksC) {
  setenv("AGENTDOCTOR_TEST_KEPT", "kept", 1);
  setenv("AGENTDOCTOR_TEST_GONE", "gone", 1);
  const ProcessResult result = agentdoctor::Run(
      {.argv = {"sh", "-c",
                "echo $AGENTDOCTOR_TEST_KEPT ${AGENTDOCTOR_TEST_GONE-unset}"
                " $AGENTDOCTOR_TEST_NEW $LC_ALL"},
       .environment = {{"AGENTDOCTOR_TEST_GONE", std::nullopt},
                       {"AGENTDOCTOR_TEST_NEW", "new"}}});
  EXPECT_EQ(result.out, "kept unset new C\n");
}

TEST(ProcessTest, GivesInputAndOtherwiseNone) {
  const std::string input(300'000, 'x');
  EXPECT_EQ(agentdoctor::Run({.argv = {"cat"}, .input = input}).out, input);
  EXPECT_EQ(agentdoctor::Run({.argv = {"cat"}}).out, "");
}

TEST(ProcessTest, SurvivesAChildThatDoesNotReadItsInput) {
  const ProcessResult result =
      agentdoctor::Run({.argv = {"true"}, .input = std::string(1 << 20, 'x')});
  EXPECT_EQ(result.end, ProcessEnd::kExited);
  EXPECT_EQ(result.status, 0);
}

TEST(ProcessTest, RestoresTheSignalsThatItIgnoresItself) {
  signal(SIGPIPE, SIG_IGN);
  const ProcessResult result = Shell("kill -PIPE $$; echo survived");
  EXPECT_EQ(result.end, ProcessEnd::kSignalled);
  EXPECT_EQ(result.status, SIGPIPE);
}

TEST(ProcessTest, EndsAChildThatSaysNothingForTooLong) {
  const Leash leash;
  const ProcessResult result = agentdoctor::Run(
      {.argv = {"sh", "-c", "exec 3>\"$0\"; echo so far; sleep 1000",
                leash.path()},
       .idle_limit = Milliseconds(100)});
  EXPECT_EQ(result.end, ProcessEnd::kTimedOut);
  EXPECT_EQ(result.out, "so far\n");
  EXPECT_TRUE(leash.AllGone());
}

TEST(ProcessTest, EndsAChildThatTalksForEver) {
  const ProcessResult result = agentdoctor::Run(
      {.argv = {"sh", "-c", "while :; do echo x; sleep 0.01; done"},
       .idle_limit = Milliseconds(60'000),
       .total_limit = Milliseconds(100)});
  EXPECT_EQ(result.end, ProcessEnd::kTimedOut);
}

TEST(ProcessTest, KillsWhatIgnoresATermAndItsChildrenToo) {
  const Leash leash;
  const ProcessResult result = agentdoctor::Run(
      {.argv = {"sh", "-c",
                "trap '' TERM; exec 3>\"$0\"; sleep 1000 & sleep 1000; sleep 9",
                leash.path()},
       .total_limit = Milliseconds(100)});
  EXPECT_EQ(result.end, ProcessEnd::kTimedOut);
  EXPECT_TRUE(leash.AllGone());
}

TEST(ProcessTest, NoticesTheEndThoughAGrandchildKeepsTheStreamsOpen) {
  const TemporaryDirectory folder;
  const std::string fifo = folder.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const Fd held(open(fifo.c_str(), O_RDWR | O_CLOEXEC));
  // The grandchild ends when `held` is closed; waiting for end-of-file would
  // never end.
  const ProcessResult result = agentdoctor::Run(
      {.argv = {"sh", "-c", "{ read -r line <\"$0\"; } & echo done", fifo}});
  EXPECT_EQ(result.end, ProcessEnd::kExited);
  EXPECT_EQ(result.out, "done\n");
}

TEST(ProcessTest, KeepsNoMoreOutputThanAllowed) {
  const ProcessResult result =
      agentdoctor::Run({.argv = {"yes"}, .output_limit = 100'000});
  EXPECT_EQ(result.end, ProcessEnd::kOutputLimit);
  EXPECT_EQ(result.out.size(), 100'000u);
}

TEST(ProcessTest, KeepsTheLimitForAChildThatEndsAtOnce) {
  const ProcessResult result =
      agentdoctor::Run({.argv = {"printf", "0123456789"}, .output_limit = 4});
  EXPECT_EQ(result.end, ProcessEnd::kOutputLimit);
  EXPECT_EQ(result.out, "0123");
}

TEST(ProcessTest, StopsWhenTheOutputSaysSo) {
  const Leash leash;
  std::string seen;
  const ProcessResult result = agentdoctor::Run(
      {.argv = {"sh", "-c", "exec 3>\"$0\"; echo enough; sleep 1000",
                leash.path()},
       .on_output = [&](std::string_view piece) {
         seen += piece;
         return seen == "enough\n";
       }});
  EXPECT_EQ(result.end, ProcessEnd::kStopped);
  EXPECT_EQ(result.out, "enough\n");
  EXPECT_TRUE(leash.AllGone());
}

TEST(ProcessTest, HandsOverErrorLinesWithoutTheirEnds) {
  std::vector<std::string> lines;
  agentdoctor::Run(
      {.argv = {"sh", "-c", "echo out; printf 'one\\r\\ntwo\\nthree' >&2"},
       .on_error_line = [&](std::string_view line) {
         lines.emplace_back(line);
       }});
  EXPECT_EQ(lines, (std::vector<std::string>{"one", "two", "three"}));
}

TEST(ProcessTest, GivesAChildASessionOfItsOwnUnlessInteractive) {
  if (LookAt("/proc/self/stat").kind != PathStatus::Kind::kFile)
    GTEST_SKIP() << "needs /proc";
  const std::string ours = std::to_string(getsid(0));
  const auto session = [](bool interactive) {
    std::string out = agentdoctor::Run({.argv = {"cut", "-d", " ", "-f", "6",
                                                 "/proc/self/stat"},
                                        .interactive = interactive})
                          .out;
    return std::string(Trim(out));
  };
  EXPECT_EQ(session(true), ours);
  EXPECT_NE(session(false), ours);
}

TEST(ProcessTest, LeaksNoDescriptorIntoAChild) {
  if (LookAt("/proc/self/fd").kind != PathStatus::Kind::kDirectory)
    GTEST_SKIP() << "needs /proc";
  // Its pipes are open here.
  BackgroundProcess other({.argv = {"sleep", "1000"}});
  std::set<std::string> allowed{"0", "1", "2"};
  for (const std::string& fd : ListDirectory("/proc/self/fd")) {
    const int flags = fcntl(std::stoi(fd), F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) allowed.insert(fd);
  }
  const ProcessResult result =
      agentdoctor::Run({.argv = {"sh", "-c", "ls /proc/$$/fd; exit 0"}});
  for (const std::string& fd : SplitLines(result.out))
    EXPECT_TRUE(allowed.contains(fd)) << fd;
  EXPECT_FALSE(result.out.empty());
}

TEST(ProcessTest, RunsManyChildrenAtATime) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([i] {
      for (int j = 0; j < 10; ++j) {
        const std::string word = std::to_string(100 * i + j);
        const ProcessResult result = agentdoctor::Run({.argv = {"echo", word}});
        EXPECT_EQ(result.out, word + "\n");
        EXPECT_EQ(result.status, 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

bool InterruptEndsRun() {
  CatchInterrupts();
  const Leash leash;
  const ProcessResult result = agentdoctor::Run(
      {.argv = {"sh", "-c", "exec 3>\"$0\"; echo up; sleep 1000", leash.path()},
       .on_output = [](std::string_view) {
         raise(SIGINT);
         return false;
       }});
  // Nothing is started any more.
  const ProcessResult next = agentdoctor::Run({.argv = {"true"}});
  return result.end == ProcessEnd::kInterrupted && Interrupted() &&
         leash.AllGone() && next.end == ProcessEnd::kInterrupted;
}

TEST(ProcessTest, IsEndedByAnInterruptAndTakesItsChildrenAlong) {
  // In a process of its own: the flag stays.
  EXPECT_EXIT(std::exit(InterruptEndsRun() ? 0 : 1), testing::ExitedWithCode(0),
              "");
}

TEST(ProcessTest, LeavesIgnoredWhatTheParentIgnores) {
  EXPECT_EXIT(
      {
        signal(SIGHUP, SIG_IGN);
        CatchInterrupts();
        raise(SIGHUP);
        std::exit(Interrupted() ? 1 : 0);
      },
      testing::ExitedWithCode(0), "");
}

TEST(BackgroundProcessTest, WaitsForALineAndGoesOn) {
  const Leash leash;
  {
    std::string last;
    BackgroundProcess child(
        {.argv = {"sh", "-c",
                  "exec 3>\"$0\"; echo one >&2; echo two >&2; sleep 1000",
                  leash.path()},
         .total_limit = Milliseconds(60'000),
         .on_error_line = [&](std::string_view line) { last = line; }});
    EXPECT_EQ(child.WaitUntil([&] { return last == "one"; }),
              ProcessEnd::kStopped);
    EXPECT_EQ(last, "one");
    EXPECT_EQ(child.WaitUntil([&] { return last == "two"; }),
              ProcessEnd::kStopped);
    EXPECT_EQ(child.err(), "one\ntwo\n");
    EXPECT_GT(child.pid(), 0);
    EXPECT_EQ(kill(child.pid(), 0), 0);
    // It can be moved without ending the child.
    BackgroundProcess moved = std::move(child);
    EXPECT_EQ(kill(moved.pid(), 0), 0);
  }
  EXPECT_TRUE(leash.AllGone());
}

TEST(BackgroundProcessTest, AsksAgainThoughNothingIsSaid) {
  int asked = 0;
  BackgroundProcess child({.argv = {"sleep", "1000"}});
  EXPECT_EQ(child.WaitUntil([&] { return ++asked == 3; }),
            ProcessEnd::kStopped);
}

TEST(BackgroundProcessTest, TellsItsEnd) {
  BackgroundProcess child({.argv = {"sh", "-c", "echo why >&2; exit 3"}});
  const auto never = [] { return false; };
  EXPECT_EQ(child.WaitUntil(never), ProcessEnd::kExited);
  EXPECT_EQ(child.status(), 3);
  EXPECT_EQ(child.err(), "why\n");
  EXPECT_EQ(child.WaitUntil(never), ProcessEnd::kExited);
}

TEST(BackgroundProcessTest, TimesOut) {
  BackgroundProcess child(
      {.argv = {"sleep", "1000"}, .total_limit = Milliseconds(50)});
  EXPECT_EQ(child.WaitUntil([] { return false; }), ProcessEnd::kTimedOut);
}

TEST(BackgroundProcessTest, ThrowsIfItCantBeStarted) {
  EXPECT_THROW(BackgroundProcess({.argv = {"no-such-program"}}),
               std::system_error);
}

TEST(FindProgramTest, LooksInThePathForExecutableFiles) {
  EXPECT_TRUE(FindProgram("sh").ends_with("/sh"));
  EXPECT_EQ(FindProgram("/bin/sh"), "/bin/sh");
  EXPECT_EQ(FindProgram("no-such-program"), "");
  EXPECT_EQ(FindProgram("/etc"), "");
  EXPECT_EQ(FindProgram(""), "");
}

}  // namespace
}  // namespace agentdoctor
