#include "probes/local_side.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "agent/fake_agent.h"
#include "needs_proc.h"
#include "probes/nss_wrapper.h"
#include "system/file.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

namespace fs = std::filesystem;
using Reaction = FakeAgent::Reaction;

/// Runs the test once more as a program whose user has an empty home folder of
/// its own, and judges by its exit status; inside that program it is true.
/// (The home folder is the password file's, which nss_wrapper replaces.)
bool InPrivateHome() {
  if (std::getenv("AGENTDOCTOR_TEST_INNER") != nullptr) return true;
  const TemporaryDirectory folder;
  const std::string& at = folder.path();
  fs::create_directories(at + "/home/.ssh");
  fs::create_directories(at + "/run");
  fs::create_directories(at + "/tmp");
  const std::string ids =
      std::to_string(getuid()) + ":" + std::to_string(getgid());
  std::ofstream(at + "/passwd")
      << "dave:x:" << ids << "::" << at << "/home:/bin/some-shell\n";
  std::ofstream(at + "/group") << "dave:x:" << getgid() << ":\n";
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const ProcessResult result = agentdoctor::Run(
      {.argv = {testing::internal::GetArgvs().front(),
                std::string("--gtest_filter=") + test->test_suite_name() + "." +
                    test->name()},
       .environment = {{"AGENTDOCTOR_TEST_INNER", "1"},
                       // AddressSanitizer can't stand a preloaded library and
                       // its way to load the real one.
                       {"ASAN_OPTIONS", "verify_asan_link_order=0"},
                       {"NSS_WRAPPER_DISABLE_DEEPBIND", "1"},
                       {"LD_PRELOAD", NssWrapper()},
                       {"NSS_WRAPPER_PASSWD", at + "/passwd"},
                       {"NSS_WRAPPER_GROUP", at + "/group"},
                       {"XDG_RUNTIME_DIR", at + "/run"},
                       {"TMPDIR", at + "/tmp"},
                       {"GNUPGHOME", std::nullopt},
                       {"SSH_AUTH_SOCK", std::nullopt},
                       {"SSH_CONNECTION", std::nullopt}},
       .total_limit = Milliseconds(60'000)});
  EXPECT_EQ(result.status, 0) << result.out << result.err;
  return false;
}

class LocalSideTest : public testing::Test {
 protected:
  void SetUp() override {
    if (NssWrapper().empty()) GTEST_SKIP() << "no nss_wrapper";
  }
};

void Write(const std::string& path, const std::string& text) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path) << text;
}

Fd Listen(const std::string& path) {
  fs::create_directories(fs::path(path).parent_path());
  return ListenUnix(path);
}

bool Contains(const std::vector<std::string>& paths, const std::string& path) {
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

TEST_F(LocalSideTest, TellsWhereItIs) {
  if (!InPrivateHome()) return;
  Side side = LookAround();
  EXPECT_EQ(side.uid.value(), static_cast<std::int64_t>(getuid()));
  EXPECT_FALSE(side.name.empty());
  EXPECT_EQ(side.shell.value(), "/bin/some-shell");
  if (side.boot_id.known())
    EXPECT_FALSE(side.boot_id->empty());
  else
    EXPECT_TRUE(kPortable) << side.boot_id.reason();
  EXPECT_EQ(side.auth_sock.value(), std::nullopt);
  EXPECT_FALSE(side.ssh_connection.known());
  EXPECT_TRUE(side.agents.empty());
  EXPECT_TRUE(side.environment_files.empty());
  EXPECT_FALSE(side.vscode_forwarding_off);

  setenv("SSH_AUTH_SOCK", "/tmp/agent", 1);
  setenv("SSH_CONNECTION", "::1 1 ::1 22", 1);
  side = LookAround();
  EXPECT_EQ(side.auth_sock.value(), "/tmp/agent");
  EXPECT_EQ(side.ssh_connection.value(), "::1 1 ::1 22");
  // To ssh, empty is unset.
  setenv("SSH_AUTH_SOCK", "", 1);
  EXPECT_EQ(LookAround().auth_sock.value(), std::nullopt);
}

TEST_F(LocalSideTest, TriesTheAgentsThatFilesName) {
  if (!InPrivateHome()) return;
  const std::string home = HomeDirectory();
  const Fd live = Listen(home + "/live");
  { const Fd dead = Listen(home + "/dead"); }
  Write(home + "/.ssh/environment",
        "# SSH_AUTH_SOCK=/commented\n"
        "SSH_AUTH_SOCK=" +
            home +
            "/dead; export SSH_AUTH_SOCK;\n"
            "SSH_AGENT_PID=12; export SSH_AGENT_PID;\n");
  Write(home + "/.keychain/host-sh",
        "SSH_AUTH_SOCK=\"" + home + "/live\"; export SSH_AUTH_SOCK;\n");
  Write(home + "/.keychain/other-sh",
        "\nexport SSH_AUTH_SOCK='/gone';\nSSH_AUTH_SOCK=$OTHER\n"
        "SSH_AUTH_SOCKET=/x\n");
  Write(home + "/.keychain/host-csh", "setenv SSH_AUTH_SOCK /csh;\n");
  EXPECT_EQ(
      LookAround().environment_files,
      (std::vector<EnvironmentFileLine>{
          {home + "/.ssh/environment", 2, home + "/dead", AgentState::kRefused},
          {home + "/.keychain/host-sh", 1, home + "/live",
           AgentState::kAnswered},
          {home + "/.keychain/other-sh", 2, "/gone", AgentState::kMissing}}));
}

TEST_F(LocalSideTest, FindsTheSettingThatTurnsForwardingOffInVsCode) {
  if (!InPrivateHome()) return;
  const std::string file = HomeDirectory() + "/.config/Code/User/settings.json";
  const auto line = [&](const std::string& text) {
    Write(file, text);
    const auto off = LookAround().vscode_forwarding_off;
    EXPECT_EQ(off ? off->file : file, file);
    return off ? off->line : 0;
  };
  const std::string key = "\"remote.SSH.enableAgentForwarding\"";
  EXPECT_EQ(line("{\n  // mine\n  " + key + ": false\n}\n"), 3);
  EXPECT_EQ(line("{" + key + ":false}"), 1);
  EXPECT_EQ(line("{\n  \"a\": [1,],\n  " + key + " : false,\n}\n"), 3);
  EXPECT_EQ(line("{\n  " + key + ": true\n}\n"), 0);
  EXPECT_EQ(line("{\n  // " + key + ": false\n}\n"), 0);
  EXPECT_EQ(line("{\n  // " + key + ": false\n  \"a\": 1,\n}\n"), 0);
  EXPECT_EQ(line("{\n  " + key + ": false,\n  " + key + ": true,\n}\n"), 0);
  EXPECT_EQ(line("{\"other\": false}"), 0);
  EXPECT_EQ(line("no settings at all"), 0);
  fs::remove(file);
  const std::string cursor =
      HomeDirectory() + "/.config/Cursor/User/settings.json";
  Write(cursor, "{\n" + key + ": false}");
  ASSERT_TRUE(LookAround().vscode_forwarding_off);
  EXPECT_EQ(LookAround().vscode_forwarding_off->file, cursor);
}

TEST_F(LocalSideTest, KnowsThePlacesOfAgents) {
  if (!InPrivateHome()) return;
  const std::string home = HomeDirectory();
  const std::string run = std::getenv("XDG_RUNTIME_DIR");
  const std::string temporary = std::getenv("TMPDIR");
  std::vector<Fd> listeners;
  const std::vector<std::string> places = {
      run + "/keyring/ssh",
      run + "/gnupg/S.gpg-agent.ssh",
      run + "/openssh_agent",
      home + "/.gnupg/S.gpg-agent.ssh",
      home + "/.1password/agent.sock",
      home + "/Library/Group Containers/2BUA8C4S2C.com.1password/t/agent.sock",
      home +
          "/Library/Containers/com.maxgoedjen.Secretive.SecretAgent/Data/"
          "socket.ssh",
      home + "/.bitwarden-ssh-agent.sock",
      home + "/snap/bitwarden/current/.bitwarden-ssh-agent.sock",
      home + "/.ssh/agent/s.abc.agent.def",
      home + "/.ssh/agent/s.abc.sshd.def",
      temporary + "/ssh-abcdefghijkl/agent.123",
  };
  for (const std::string& place : places) listeners.push_back(Listen(place));
  const std::vector<std::string> elsewhere = {
      home + "/.ssh/control.sock", temporary + "/other-abc/agent.123"};
  for (const std::string& place : elsewhere) listeners.push_back(Listen(place));
  Write(run + "/gcr/ssh", "no socket");
  // A link to one of them is no other agent.
  fs::create_symlink(places[0], run + "/vscode-ssh-auth-sock-1");

  const std::vector<std::string> found = AgentCandidates();
  for (const std::string& place : places)
    EXPECT_TRUE(Contains(found, place)) << place;
  for (const std::string& place : elsewhere)
    EXPECT_FALSE(Contains(found, place)) << place;
  EXPECT_FALSE(Contains(found, run + "/gcr/ssh"));
  EXPECT_FALSE(Contains(found, run + "/vscode-ssh-auth-sock-1"));
}

TEST_F(LocalSideTest, BoundsTheNumberOfCandidates) {
  if (!InPrivateHome()) return;
  const std::string folder =
      std::string(std::getenv("TMPDIR")) + "/ssh-abcdefghijkl/agent.";
  std::vector<Fd> listeners;
  for (int i = 0; i < 70; ++i)
    listeners.push_back(Listen(folder + std::to_string(i)));
  EXPECT_EQ(AgentCandidates().size(), 64u);
}

TEST(AskAgentsTest, KeepsWhatTheUserNamedAndOfTheRestWhatAnswers) {
  const RealAgent named;
  const RealAgent other;
  other.AddKey("key");
  const TemporaryDirectory folder;
  const std::string dead = folder.path() + "/dead";
  { const Fd listener = ListenUnix(dead); }
  const std::string link = folder.path() + "/link";
  fs::create_symlink(named.path(), link);

  Side side;
  const std::vector<Agent> others = AskAgents(
      side, {named.path(), "/no/such/agent", named.path(), ""},
      {dead, link, other.path(), "/not/there", other.path()}, kPlenty);
  ASSERT_EQ(others.size(), 1u);
  EXPECT_EQ(others[0].path, dead);
  EXPECT_EQ(others[0].state, AgentState::kRefused);
  ASSERT_EQ(side.agents.size(), 3u);
  EXPECT_EQ(side.agents[0].path, named.path());
  EXPECT_EQ(side.agents[0].state, AgentState::kAnswered);
  EXPECT_NE(side.agents[0].query, ExtensionAnswer::kNotAsked);
  EXPECT_EQ(side.agents[1].path, "/no/such/agent");
  EXPECT_EQ(side.agents[1].state, AgentState::kMissing);
  EXPECT_EQ(side.agents[2].path, other.path());
  EXPECT_EQ(side.agents[2].identities.size(), 1u);
  EXPECT_EQ(side.agents[2].query, ExtensionAnswer::kNotAsked);

  // A second call asks nobody twice.
  AskAgents(side, {named.path()}, {other.path()}, kPlenty);
  EXPECT_EQ(side.agents.size(), 3u);
}

TEST(AskAgentsTest, AsksThemAllAtOnce) {
  // Each answers only when all have been asked.
  constexpr int kAgents = 10;
  std::atomic<int> asked{0};
  std::vector<std::unique_ptr<FakeAgent>> agents;
  std::vector<std::string> paths;
  for (int i = 0; i < kAgents; ++i) {
    agents.push_back(std::make_unique<FakeAgent>([&](const std::string&) {
      ++asked;
      const auto deadline = std::chrono::steady_clock::now() + kPlenty;
      while (asked < kAgents && std::chrono::steady_clock::now() < deadline)
        usleep(1000);
      return Reaction{asked < kAgents ? "" : ListAnswer({}), true};
    }));
    paths.push_back(agents.back()->path());
  }
  Side side;
  AskAgents(side, {}, paths, 2 * kPlenty);
  EXPECT_EQ(side.agents.size(), static_cast<std::size_t>(kAgents));
}

}  // namespace
}  // namespace agentdoctor
