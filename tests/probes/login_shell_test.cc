// The probe through a real sshd, which forwards a real agent to a login shell.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>

#include "agent/fake_agent.h"
#include "probes/nss_wrapper.h"
#include "probes/remote_side.h"
#include "probes/this_session.h"
#include "system/file.h"
#include "system/process.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

namespace fs = std::filesystem;

void Write(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << text;
}

/// Logs in by `sshd -i` as ProxyCommand: no port, no daemon.
class LoginShell : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    shell_ = FindProgram(GetParam());
    if (shell_.empty()) GTEST_SKIP() << GetParam() << " is not installed";
    if (NssWrapper().empty()) GTEST_SKIP() << "no nss_wrapper";
    if (access("/usr/sbin/sshd", X_OK) != 0) GTEST_SKIP() << "no sshd";
    if (geteuid() == 0) mkdir("/run/sshd", 0755);
    const std::string& at = folder_.path();
    Write(at + "/passwd", "dave:x:" + std::to_string(getuid()) + ":" +
                              std::to_string(getgid()) + "::" + Home() + ":" +
                              shell_ +
                              "\nsshd:x:105:65534::/run/sshd:/bin/false\n");
    Write(at + "/group",
          "dave:x:" + std::to_string(getgid()) + ":\nnogroup:x:65534:\n");
    key_ = agent_.AddKey("login");
    agent_.Do({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
               at + "/host_key"});
    Write(Home() + "/.ssh/authorized_keys", *ReadFile(key_ + ".pub"));
    WriteServerConfig("");
  }

  std::string Home() const { return folder_.path() + "/home"; }

  void WriteServerConfig(const std::string& lines) {
    Write(folder_.path() + "/sshd_config",
          lines + "HostKey " + folder_.path() +
              "/host_key\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n"
              "PidFile none\nAuthorizedKeysFile " +
              Home() + "/.ssh/authorized_keys\n");
  }

  Side Probe() {
    const std::string& at = folder_.path();
    const ProbeCommand probe = MakeProbeCommand();
    // ssh sends its ProxyCommand a SIGHUP, of which sshd would die before it
    // removed the agent's socket: so it is no process that ssh knows.
    const std::string server =
        "setsid --fork env LD_PRELOAD=" + NssWrapper() +
        " NSS_WRAPPER_PASSWD=" + at + "/passwd NSS_WRAPPER_GROUP=" + at +
        "/group /usr/sbin/sshd -i -f " + at + "/sshd_config -E " + at + "/log";
    const ProcessResult result = agentdoctor::Run(
        {.argv = {"ssh",      "-F",
                  "none",     "-A",
                  "-i",       key_,
                  "-o",       "IdentitiesOnly=yes",
                  "-o",       "BatchMode=yes",
                  "-o",       "StrictHostKeyChecking=no",
                  "-o",       "UserKnownHostsFile=/dev/null",
                  "-o",       "GlobalKnownHostsFile=/dev/null",
                  "-o",       "ProxyCommand=" + server,
                  "dave@far", probe.command},
         .environment = {{"SSH_AUTH_SOCK", agent_.path()},
                         // Not for ssh itself when sanitized code runs this.
                         {"LD_PRELOAD", std::nullopt}},
         .total_limit = Milliseconds(60'000)});
    const std::size_t begin = result.out.find(probe.begin_marker);
    const std::size_t end = result.out.find(probe.end_marker);
    if (begin == std::string::npos || end == std::string::npos) {
      ADD_FAILURE() << result.out << result.err
                    << ReadFile(at + "/log").value_or("");
      return {};
    }
    const std::size_t from = begin + probe.begin_marker.size();
    return ThisSession(result.out.substr(from, end - from));
  }

  TemporaryDirectory folder_;
  RealAgent agent_;
  std::string key_;
  std::string shell_;
};

TEST_P(LoginShell, FindsTheForwardedAgent) {
  const Side side = Probe();
  EXPECT_EQ(side.shell.value(), shell_);
  ASSERT_TRUE(side.initial_auth_sock.known())
      << side.initial_auth_sock.reason();
  ASSERT_TRUE(side.initial_auth_sock.value().has_value());
  const std::string socket = *side.initial_auth_sock.value();
  EXPECT_EQ(side.auth_sock.value(), socket);
  EXPECT_EQ(side.connection_sockets.value(), std::vector<std::string>{socket});
  ASSERT_EQ(side.agents.size(), 1U);
  EXPECT_EQ(side.agents[0].path, socket);
  EXPECT_EQ(side.agents[0].state, AgentState::kAnswered);
  EXPECT_EQ(side.agents[0].product, "forwarded by sshd");
  EXPECT_EQ(side.agents[0].identities,
            AskAgent(agent_.path(), kPlenty, false).identities);
  EXPECT_TRUE(side.ssh_connection.known());
  EXPECT_TRUE(side.startup_lines.value().empty());

  // The end of the session leaves nothing in /tmp.
  const fs::path left = fs::path(socket).parent_path();
  for (int i = 0; i < 1000 && fs::exists(left); ++i) usleep(10'000);
  EXPECT_FALSE(fs::exists(left)) << left;
}

TEST_P(LoginShell, SeesThatSshdMadeNoSocket) {
  WriteServerConfig("AllowAgentForwarding no\n");
  const Side side = Probe();
  EXPECT_EQ(side.auth_sock.value(), std::nullopt);
  EXPECT_EQ(side.initial_auth_sock.value(), std::nullopt);
  EXPECT_TRUE(side.connection_sockets.value().empty());
  EXPECT_TRUE(side.agents.empty());
}

TEST_P(LoginShell, SeesThroughAStartUpFile) {
  const std::string name = GetParam();
  std::string file;
  std::string line = "echo noise; export SSH_AUTH_SOCK=/nowhere";
  if (name == "bash") file = ".bashrc";
  if (name == "zsh") file = ".zshenv";
  if (name == "fish") {
    file = ".config/fish/config.fish";
    line = "echo noise; set -gx SSH_AUTH_SOCK /nowhere";
  }
  if (name == "tcsh") {
    file = ".tcshrc";
    line = "echo noise; setenv SSH_AUTH_SOCK /nowhere";
  }
  if (file.empty()) GTEST_SKIP() << name << " reads no file for a command";
  Write(Home() + "/" + file, "# mine\n" + line + "\n");
  const Side side = Probe();
  EXPECT_EQ(side.auth_sock.value(), "/nowhere");
  ASSERT_TRUE(side.initial_auth_sock.value().has_value());
  const std::string socket = *side.initial_auth_sock.value();
  EXPECT_EQ(side.connection_sockets.value(), std::vector<std::string>{socket});
  ASSERT_NE(FindAgent(side, "/nowhere"), nullptr);
  EXPECT_EQ(FindAgent(side, "/nowhere")->state, AgentState::kMissing);
  ASSERT_NE(FindAgent(side, socket), nullptr);
  EXPECT_EQ(FindAgent(side, socket)->state, AgentState::kAnswered);
  ASSERT_EQ(side.startup_lines.value().size(), 1U);
  const StartupLine& found = side.startup_lines.value()[0];
  EXPECT_EQ(found.file, Home() + "/" + file);
  EXPECT_EQ(found.line, 2);
  EXPECT_EQ(found.scope, StartupScope::kEveryShell);
  EXPECT_EQ(found.effect, StartupEffect::kSets);
  EXPECT_FALSE(found.guarded);
}

TEST_P(LoginShell, SeesThatSshdItselfNamesAnotherAgent) {
  WriteServerConfig("SetEnv SSH_AUTH_SOCK=/of/the/server\n");
  const Side side = Probe();
  EXPECT_EQ(side.auth_sock.value(), "/of/the/server");
  EXPECT_EQ(side.initial_auth_sock.value(), "/of/the/server");
  // Found by the process of the session, or (OpenSSH 10.1 and later) not.
  if (side.connection_sockets.known()) {
    ASSERT_EQ(side.connection_sockets.value().size(), 1U);
    const std::string socket = side.connection_sockets.value()[0];
    ASSERT_NE(FindAgent(side, socket), nullptr);
    EXPECT_EQ(FindAgent(side, socket)->state, AgentState::kAnswered);
  }
}

// sshd from 10.1 on gives its sockets names that say nothing of the session.
TEST_P(LoginShell, DoesNotClaimASocketOfAnotherConnection) {
  WriteServerConfig(
      "AllowAgentForwarding no\nSetEnv SSH_AUTH_SOCK=/of/the/server\n");
  const std::string socket = Home() + "/.ssh/agent/s.AbCdEfGhIj.sshd.KlMnOp";
  fs::create_directories(Home() + "/.ssh/agent");
  const Fd listener = ListenUnix(socket);
  const Side younger = Probe();
  EXPECT_FALSE(younger.connection_sockets.known());
  EXPECT_NE(younger.connection_sockets.reason().find(socket), std::string::npos)
      << younger.connection_sockets.reason();
  // An older one can't be ours.
  const timespec hour_ago[2] = {{time(nullptr) - 3600, 0},
                                {time(nullptr) - 3600, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, socket.c_str(), hour_ago, 0), 0);
  const Side older = Probe();
  ASSERT_TRUE(older.connection_sockets.known())
      << older.connection_sockets.reason();
  EXPECT_TRUE(older.connection_sockets.value().empty());
}

INSTANTIATE_TEST_SUITE_P(Each, LoginShell,
                         testing::Values("bash", "dash", "zsh", "fish", "tcsh",
                                         "ksh"),
                         [](const auto& shell) {
                           return std::string(shell.param);
                         });

}  // namespace
}  // namespace agentdoctor
