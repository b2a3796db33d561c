#include "system/processes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "needs_proc.h"
#include "system/file.h"
#include "system/socket.h"

namespace agentdoctor {
namespace {

constexpr Milliseconds kPlenty{20000};

/// lsof is a package of its own, and not everywhere.
bool LsofIsMissing() {
  return kPortable && FindProgram("lsof").empty() &&
         FindProgram("/usr/sbin/lsof").empty();
}

std::string Port(int fd) {
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return std::to_string(ntohs(address.sin_port));
}

Fd TcpSocket() { return Fd(socket(AF_INET, SOCK_STREAM, 0)); }

Fd TcpListener() {
  Fd fd = TcpSocket();
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof address),
            0);
  EXPECT_EQ(listen(fd.get(), 1), 0);
  return fd;
}

/// What is seen of a child that was just started.  Its parent runs on before
/// exec has set the command line.
RunningProcess Started(const BackgroundProcess& child) {
  RunningProcess seen;
  for (int i = 0; i < 1000 && seen.command.empty(); ++i) {
    if (i > 0) usleep(10'000);
    seen = LookAtProcess(child.pid(), kPlenty).value();
  }
  return seen;
}

TEST(ProcessesTest, OneOfOursIsSeen) {
  const std::int64_t before = std::time(nullptr);
  const BackgroundProcess child(Command{.argv = {"sleep", "3600.0"}});
  const RunningProcess seen = Started(child);
  EXPECT_EQ(seen.pid, child.pid());
  EXPECT_EQ(seen.parent, getpid());
  EXPECT_EQ(seen.owner, geteuid());
  EXPECT_EQ(seen.name, "sleep");
  EXPECT_EQ(seen.command, "sleep 3600.0");
  EXPECT_FALSE(seen.has_terminal);
  EXPECT_NEAR(static_cast<double>(seen.started), static_cast<double>(before),
              60);
  const auto all = RunningProcesses(kPlenty);
  const auto found = std::ranges::find(*all, seen.pid, &RunningProcess::pid);
  ASSERT_NE(found, all->end());
  EXPECT_EQ(found->command, seen.command);
  EXPECT_EQ(found->parent, seen.parent);
}

TEST(ProcessesTest, TheWordsOfACommandAreTold) {
  NEEDS_PROC();
  const BackgroundProcess child(
      Command{.argv = {"sh", "-c", "sleep 3600; :", "a b"}});
  EXPECT_EQ(Started(child).words.value(),
            (std::vector<std::string>{"sh", "-c", "sleep 3600; :", "a b"}));
}

TEST(ProcessesTest, OneThatIsNotThereIsUnknown) {
  const Fact<RunningProcess> seen = LookAtProcess(999'999'999, kPlenty);
  EXPECT_FALSE(seen.known());
  EXPECT_NE(seen.reason().find("999999999"), std::string::npos);
}

TEST(ProcessesTest, TellsWhoListensAndWhoIsConnected) {
  if (LsofIsMissing()) GTEST_SKIP() << "needs /proc";
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/socket";
  const Fd listener = ListenUnix(path);
  const auto count = [&](const std::vector<NamedSocket>& sockets,
                         bool listens) {
    return std::ranges::count(sockets, NamedSocket{path, listens});
  };
  EXPECT_EQ(count(*NamedSockets(kPlenty), true), 1);
  EXPECT_EQ(count(*NamedSockets(kPlenty), false), 0);
  const Connection client = ConnectUnix(path, kPlenty);
  const Fd accepted = Accept(listener);
  ASSERT_TRUE(accepted);
  EXPECT_EQ(count(*NamedSockets(kPlenty), true), 1);
  EXPECT_EQ(count(*NamedSockets(kPlenty), false), 1);

  const Fd tcp = TcpListener();
  const Fd peer = TcpSocket();
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  getsockname(tcp.get(), reinterpret_cast<sockaddr*>(&address), &size);
  ASSERT_EQ(connect(peer.get(), reinterpret_cast<const sockaddr*>(&address),
                    sizeof address),
            0);
  const auto all = SocketsOf({getpid(), 999'999'999}, kPlenty);
  ASSERT_EQ(all->size(), 1u);
  const HeldSockets& held = all->at(getpid());
  EXPECT_EQ(count(held.named, true), 1);
  EXPECT_EQ(count(held.named, false), 1);
  EXPECT_EQ(held.folder, std::filesystem::current_path().string());
  const std::string at = "127.0.0.1:" + Port(tcp.get());
  EXPECT_EQ(std::ranges::count(held.tcp_listeners, at), 1);
  EXPECT_EQ(std::ranges::count(held.tcp_peers, at), 1);
}

TEST(ProcessesTest, OfNoProcessesThereAreNoSockets) {
  const auto all = SocketsOf({}, kPlenty);
  EXPECT_TRUE(!all.known() || all->empty());
}

// What the fallback makes of systems that have fewer programs, or others.
class OtherSystems : public testing::Test {
 protected:
  void SetUp() override {
    if (!kPortable) GTEST_SKIP() << "asks no program";
    setenv("PATH", folder_.path().c_str(), 1);
  }
  void TearDown() override { setenv("PATH", path_.c_str(), 1); }

  /// A program of that name that says this.
  void Make(const std::string& name, const std::string& script) {
    const std::string file = folder_.path() + "/" + name;
    const Fd fd(open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0700));
    const std::string text = "#!/bin/sh\n" + script + "\n";
    ASSERT_EQ(write(fd.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }

 private:
  std::string path_ = std::getenv("PATH");
  TemporaryDirectory folder_;
};

TEST_F(OtherSystems, WithoutProgramsNothingIsKnown) {
  if (!FindProgram("/usr/sbin/lsof").empty() ||
      !FindProgram("/usr/sbin/ps").empty())
    GTEST_SKIP() << "they lie in /usr/sbin";
  EXPECT_EQ(LookAtProcess(1, kPlenty).reason(),
            "process 1 can't be seen: there is no /proc and no ps");
  EXPECT_EQ(RunningProcesses(kPlenty).reason(), "there is no /proc and no ps");
  EXPECT_EQ(NamedSockets(kPlenty).reason(), "there is no /proc and no lsof");
  EXPECT_EQ(SocketsOf({1}, kPlenty).reason(), "there is no /proc and no lsof");
  EXPECT_FALSE(BootId().known());
}

TEST_F(OtherSystems, OfMacOsProcessesAreRead) {
  Make("ps",
       "case \"$*\" in *'-o command='*) ;; *) exit 1 ;; esac\n"
       "cat <<'END'\n"
       "    1     0     0 Sat Nov 21 11:38:01 2026     ??       /sbin/launchd\n"
       " 6192     1   501 Wed Nov 18 09:00:00 2026     ??       ssh: "
       "/Users/dave/.ssh/cm x [mux]\n"
       " 6200  6100   501 Sat Nov 21 12:00:00 2026     ttys001  -zsh\n"
       "END");
  Make("cat", "exec /bin/cat \"$@\"");
  const std::vector<RunningProcess> all = RunningProcesses(kPlenty).value();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].name, "launchd");
  EXPECT_EQ(all[1].pid, 6192);
  EXPECT_EQ(all[1].owner, 501);
  EXPECT_EQ(all[1].command, "ssh: /Users/dave/.ssh/cm x [mux]");
  EXPECT_FALSE(all[1].has_terminal);
  EXPECT_EQ(all[2].parent, 6100);
  EXPECT_EQ(all[2].name, "zsh");
  EXPECT_TRUE(all[2].has_terminal);
  EXPECT_EQ(all[2].started - all[1].started, 3 * 86400 + 3 * 3600);
  EXPECT_EQ(all[1].words.reason(), "ps does not show where a word ends");
}

TEST_F(OtherSystems, OfMacOsSocketsAreRead) {
  // There an accepted connection has its listener's name, and no state.
  Make("lsof",
       "/bin/cat <<'END'\n"
       "p6192\nfcwd\ntDIR\nn/Users/dave\n"
       "f0\ntCHR\nn/dev/null\n"
       "f3\ntIPv4\nn192.168.1.5:50111->10.0.0.5:22\nTST=ESTABLISHED\nTQR=0\n"
       "f4\ntunix\nn/Users/dave/.ssh/cm x.AbCdEfGhIjKlMnOp\n"
       "f5\ntunix\nn/Users/dave/.ssh/cm x.AbCdEfGhIjKlMnOp\n"
       "f6\ntunix\nn->0x7a4ee6b0b5e9a0c3\n"
       "f7\ntIPv6\nn[::1]:8080\nTST=LISTEN\n"
       "f8\ntunix\nn/Users/J\\xc3\\xbcrgen/socket\n"
       "END\nexit 1");
  const auto all = SocketsOf({6192}, kPlenty);
  ASSERT_TRUE(all.known()) << all.reason();
  ASSERT_EQ(all->size(), 1u);
  const HeldSockets& held = all->at(6192);
  const std::string name = "/Users/dave/.ssh/cm x.AbCdEfGhIjKlMnOp";
  EXPECT_EQ(held.named,
            (std::vector<NamedSocket>{{name, true}, {name, false}}));
  EXPECT_EQ(held.folder, "/Users/dave");
  EXPECT_EQ(held.tcp_listeners, std::vector<std::string>{"[::1]:8080"});
  EXPECT_EQ(held.tcp_peers, std::vector<std::string>{"10.0.0.5:22"});
}

TEST_F(OtherSystems, APsWithOtherOptionsTellsNothing) {
  // busybox
  Make("ps", "echo \"ps: invalid option -- 'x'\" >&2; exit 1");
  EXPECT_EQ(RunningProcesses(kPlenty).reason(),
            "this system's ps does not tell");
  EXPECT_EQ(LookAtProcess(1, kPlenty).reason(),
            "process 1 can't be seen: this system's ps does not tell");
}

TEST_F(OtherSystems, AProgramThatHangsIsNotWaitedFor) {
  Make("lsof", "/bin/sleep 3600");
  EXPECT_EQ(NamedSockets(Milliseconds(50)).reason(), "lsof did not answer");
}

TEST_F(OtherSystems, TheBootIsNamedBySysctl) {
  Make("sysctl",
       "echo \"sysctl: unknown oid 'kern.boot_id'\" >&2\n"
       "echo 5D2A8D1C-6E0B-4B4E-9D61-1E7A4D2E0F11; exit 1");
  EXPECT_EQ(BootId().value(), "5D2A8D1C-6E0B-4B4E-9D61-1E7A4D2E0F11");
}

}  // namespace
}  // namespace agentdoctor
