#include "clients/openssh_masters.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>

#include "clients/loopback.h"
#include "clients/master_process.h"
#include "needs_proc.h"
#include "system/socket.h"

namespace agentdoctor {
namespace {

constexpr Milliseconds kLimit{10000};

/// Whether the fallback can see no sockets.
bool SocketsAreUnseen() { return !FindMasters(kLimit).known(); }

/// With a blank, at which lsof cuts a name off on Linux.
constexpr const char* kName = kPortable ? "m" : "m x";

class Masters : public Loopback {
 protected:
  Master Ask(const std::string& path, Milliseconds limit = kLimit,
             const std::vector<ConfigFile>& files = {}) {
    return AskMaster("ssh", "tgt", path, files, limit);
  }
};

TEST_F(Masters, ThereIsNone) {
  const Master master = Ask(Path("m"));
  EXPECT_EQ(master.state, MasterState::kNone);
  EXPECT_EQ(master.host, "tgt");
  EXPECT_EQ(master.path, Path("m"));
  EXPECT_FALSE(master.pid);
  EXPECT_FALSE(master.started.known());
}

TEST_F(Masters, NobodyListens) {
  ListenUnix(Path("m"));
  const Master master = Ask(Path("m"));
  EXPECT_EQ(master.state, MasterState::kStaleSocket);
  EXPECT_EQ(master.socket_owner, getuid());
  EXPECT_TRUE(master.socket_modified);
}

TEST_F(Masters, AFileIsNoSocket) {
  WriteText(Path("m"), "");
  EXPECT_EQ(Ask(Path("m")).state, MasterState::kNotASocket);
}

TEST_F(Masters, ASocketThatIsNoMasterFailsInSshsWords) {
  const Fd listener = ListenUnix(Path("m"));
  // It accepts by its backlog, and never answers.
  EXPECT_EQ(Ask(Path("m"), Milliseconds(200)).state,
            MasterState::kUnresponsive);
}

TEST_F(Masters, ALiveOneTellsItsPidAndAge) {
  const Server server = StartServer();
  WriteConfig(Host("tgt", server));
  const std::int64_t before = std::time(nullptr);
  const pid_t pid = StartMaster("tgt", Path(kName));
  const Master master = Ask(Path(kName), kLimit,
                            {{.path = "old", .modified = before - 100},
                             {.path = "new", .modified = before + 100}});
  EXPECT_EQ(master.state, MasterState::kAlive) << master.detail;
  EXPECT_EQ(master.pid, pid);
  EXPECT_NEAR(static_cast<double>(master.started.value()),
              static_cast<double>(before), 60);
  ASSERT_EQ(master.newer_config.size(), 1u);
  EXPECT_EQ(master.newer_config[0].path, "new");
  EXPECT_FALSE(master.foreground.value());
  // Asking opened no session and no connection.
  EXPECT_EQ(server.Logins(), 1);
  if (SocketsAreUnseen()) {
    EXPECT_FALSE(master.forwardings.known());
    EXPECT_FALSE(master.attached_clients.known());
    NEEDS_PROC();
  }
  EXPECT_TRUE(master.forwardings.value().empty());
  EXPECT_EQ(master.attached_clients.value(), 0);
  NEEDS_PROC();
  EXPECT_EQ(master.command_line.value().at(1), "-M");
}

TEST_F(Masters, ForwardingsAndClientsOfItsOwnAreSeen) {
  if (SocketsAreUnseen()) NEEDS_PROC();
  WriteConfig(Host("tgt", StartServer()));
  StartMaster("tgt", Path("m"),
              {"-L", Path("forwarded") + ":/nowhere", "-D",
               "127.0.0.1:" + std::to_string(FreePort())});
  BackgroundProcess client(
      Command{.argv = {"ssh", "-S", Path("m"), "tgt", kLastingCommand}});
  ASSERT_TRUE(
      Eventually([this] { return CountClients(Path("m"), kLimit) == 1; }));
  const Master master = Ask(Path("m"));
  EXPECT_EQ(master.attached_clients.value(), 1);
  ASSERT_EQ(master.forwardings.value().size(), 2u);
  EXPECT_TRUE(master.forwardings.value()[0].starts_with("127.0.0.1:"))
      << master.forwardings.value()[0];
  EXPECT_EQ(master.forwardings.value()[1], Path("forwarded"));
}

TEST_F(Masters, TheSystemShowsWhoListensWhere) {
  if (SocketsAreUnseen()) NEEDS_PROC();
  const Server server = StartServer();
  WriteConfig(Host("tgt", server));
  const pid_t pid = StartMaster("tgt", Path(kName),
                                {"-L", Path("not-a-master") + ":/nowhere"});
  std::vector<std::string> paths;
  const Fact<std::vector<MasterListener>> masters = FindMasters(kLimit);
  for (const MasterListener& master : masters.value())
    if (master.pid == pid && master.listens && !master.relative)
      paths.push_back(master.path);
  EXPECT_EQ(paths, std::vector<std::string>{Path(kName)});
  EXPECT_EQ(FindPeer(pid, kLimit).value(),
            "127.0.0.1:" + std::to_string(server.port));
  EXPECT_FALSE(FindPeer(getpid(), kLimit).known());
}

TEST_F(Masters, APersistentOneHasReplacedItsCommandLine) {
  WriteConfig(Host("tgt", StartServer()));
  ASSERT_EQ(agentdoctor::Run(
                {.argv = {"ssh", "-o", "ControlMaster=auto", "-o",
                          "ControlPersist=60", "-S", Path("m"), "tgt", "true"},
                 .total_limit = Milliseconds(20000)})
                .end,
            ProcessEnd::kExited);
  const Master master = Ask(Path("m"));
  EXPECT_EQ(master.state, MasterState::kAlive);
  EXPECT_FALSE(master.command_line.known());
  ASSERT_TRUE(master.pid);
  const auto pid = static_cast<pid_t>(*master.pid);
  kill(pid, SIGTERM);
  EXPECT_TRUE(Eventually([pid] { return kill(pid, 0) != 0; }));
}

TEST_F(Masters, AFrozenOneIsUnresponsiveAndFoundAllTheSame) {
  WriteConfig(Host("tgt", StartServer()));
  const pid_t pid = StartMaster("tgt", Path("m"));
  kill(pid, SIGSTOP);
  const Master master = Ask(Path("m"), Milliseconds(300));
  kill(pid, SIGCONT);
  EXPECT_EQ(master.state, MasterState::kUnresponsive);
  if (SocketsAreUnseen()) NEEDS_PROC();
  EXPECT_EQ(master.pid, pid);
}

TEST_F(Masters, AControlDirectoryTellsItsModeOrIsMissing) {
  const std::string folder = Path("sockets");
  ASSERT_EQ(mkdir(folder.c_str(), 0), 0);
  ASSERT_EQ(chmod(folder.c_str(), 0770), 0);
  const ControlDirectory directory = LookAtControlDirectory(folder + "/m");
  EXPECT_TRUE(directory.exists);
  EXPECT_EQ(directory.path, folder);
  EXPECT_EQ(directory.mode, 0770);
  EXPECT_EQ(directory.owner, getuid());
  EXPECT_FALSE(LookAtControlDirectory(Path("none/m")).exists);
  EXPECT_EQ(LookAtControlDirectory("/m").path, "/");
}

TEST_F(Masters, ThePathLimitIsWhereSshFails) {
  WriteConfig(Host("tgt", StartServer()));
  const auto length = static_cast<std::size_t>(ControlPathLimit());
  const std::string longest = Path(std::string(length - Path("").size(), 'x'));
  ASSERT_EQ(longest.size(), length);
  StartMaster("tgt", longest);
  EXPECT_EQ(Ask(longest).state, MasterState::kAlive);
  const ProcessResult longer = agentdoctor::Run(
      {.argv = {"ssh", "-M", "-S", longest + "x", "tgt", "true"},
       .total_limit = Milliseconds(20000)});
  EXPECT_NE(longer.err.find("too long for Unix domain socket"),
            std::string::npos)
      << longer.err;
}

}  // namespace
}  // namespace agentdoctor
