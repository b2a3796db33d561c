#include "agent/canary.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "agent/fake_agent.h"

namespace agentdoctor {
namespace {

std::chrono::steady_clock::time_point Soon() {
  return std::chrono::steady_clock::now() + kPlenty;
}

// The body of the canary's answer to a message; empty: it hung up.
std::string Ask(const Canary& canary, const std::string& frame) {
  const Connection connection = ConnectUnix(canary.path(), kPlenty);
  EXPECT_EQ(connection.error, 0);
  EXPECT_EQ(WriteAll(connection.fd.get(), frame, Soon()), IoResult::kOk);
  std::string head;
  std::string body;
  if (ReadExactly(connection.fd.get(), 4, head, Soon()) != IoResult::kOk)
    return {};
  EXPECT_EQ(
      ReadExactly(connection.fd.get(), WireReader(head).Uint32(), body, Soon()),
      IoResult::kOk);
  return body;
}

TEST(CanaryTest, ListsItsOneKeyToTheRealSshAdd) {
  const TemporaryDirectory folder;
  const Canary canary(folder.path() + "/canary");
  const ProcessResult result =
      agentdoctor::Run({.argv = {"ssh-add", "-l"},
                        .environment = {{"SSH_AUTH_SOCK", canary.path()}},
                        .total_limit = kPlenty});
  EXPECT_EQ(result.out,
            "256 " + canary.fingerprint() + " agentdoctor canary (ED25519)\n");
}

TEST(CanaryTest, HasAnotherKeyEachTime) {
  const TemporaryDirectory folder;
  const Canary one(folder.path() + "/one");
  const Canary two(folder.path() + "/two");
  EXPECT_NE(one.fingerprint(), two.fingerprint());
}

TEST(CanaryTest, LetsItselfBeBoundAndRefusesEverythingElse) {
  const TemporaryDirectory folder;
  const Canary canary(folder.path() + "/canary");
  const std::string failure(1, static_cast<char>(kAgentFailure));
  const std::string success(1, static_cast<char>(kAgentSuccess));
  EXPECT_EQ(Ask(canary, WireString("\x1b" + WireString(kSessionBind) + "body")),
            success);
  EXPECT_EQ(Ask(canary, WireString("\x1b" + WireString("query"))), failure);
  EXPECT_EQ(Ask(canary, WireString("\x1b")), failure);
  EXPECT_EQ(Ask(canary, WireString("")), failure);
  // Sign, add, remove all, lock.
  for (const char* message : {"\x0d", "\x11", "\x13", "\x16"})
    EXPECT_EQ(Ask(canary, WireString(message + WireString("x"))), failure);
  // The longest message there is, and one that is too long.
  EXPECT_EQ(Ask(canary, WireString("\x0d" + std::string(256 * 1024 - 1, 'x'))),
            failure);
  EXPECT_EQ(Ask(canary, WireUint32(256 * 1024 + 1)), "");
}

TEST(CanaryTest, ServesSeveralAtATime) {
  const TemporaryDirectory folder;
  const Canary canary(folder.path() + "/canary");
  // These stay connected and never finish their sentence.
  std::vector<Connection> idle;
  for (int i = 0; i < 8; ++i) {
    idle.push_back(ConnectUnix(canary.path(), kPlenty));
    WriteAll(idle.back().fd.get(), std::string(2, '\0'), Soon());
  }
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      const Agent agent = AskAgent(canary.path(), kPlenty);
      EXPECT_EQ(agent.state, AgentState::kAnswered);
      ASSERT_EQ(agent.identities.size(), 1u);
      EXPECT_EQ(agent.identities[0].fingerprint, canary.fingerprint());
      EXPECT_EQ(agent.session_bind, ExtensionAnswer::kSuccess);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(CanaryTest, AnswersMessagesThatComeInPiecesAndInBatches) {
  const TemporaryDirectory folder;
  const Canary canary(folder.path() + "/canary");
  const Connection connection = ConnectUnix(canary.path(), kPlenty);
  const std::string question = WireString("\x0b");
  std::string answer;
  for (const char c : question + question)
    ASSERT_EQ(WriteAll(connection.fd.get(), std::string(1, c), Soon()),
              IoResult::kOk);
  const std::size_t size =
      ListAnswer({{Ed25519Blob(), "agentdoctor canary"}}).size();
  EXPECT_EQ(ReadExactly(connection.fd.get(), 2 * size, answer, Soon()),
            IoResult::kOk);
  EXPECT_EQ(answer.substr(0, size), answer.substr(size));
}

TEST(CanaryTest, HangsUpOnWhoeverLetsAnswersPileUp) {
  const TemporaryDirectory folder;
  const Canary canary(folder.path() + "/canary");
  const Connection connection = ConnectUnix(canary.path(), kPlenty);
  IoResult result = IoResult::kOk;
  const std::string question = WireString("\x0b");
  for (int i = 0; i < 1'000'000 && result == IoResult::kOk; ++i)
    result = WriteAll(connection.fd.get(), question, Soon());
  EXPECT_EQ(result, IoResult::kClosed);
  EXPECT_EQ(AskAgent(canary.path(), kPlenty).state, AgentState::kAnswered);
}

TEST(CanaryTest, IsGoneAfterItsEnd) {
  const TemporaryDirectory folder;
  auto canary = std::make_unique<Canary>(folder.path() + "/canary");
  const std::string path = canary->path();
  EXPECT_EQ(LookAt(path).mode, 0600);
  const Connection open = ConnectUnix(path, kPlenty);
  canary.reset();
  EXPECT_EQ(LookAt(path).kind, PathStatus::Kind::kMissing);
  std::string data;
  EXPECT_EQ(ReadExactly(open.fd.get(), 1, data, Soon()), IoResult::kClosed);
}

}  // namespace
}  // namespace agentdoctor
