#include "clients/mux_proxy.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <thread>

#include "agent/canary.h"
#include "clients/loopback.h"

namespace agentdoctor {
namespace {

constexpr Milliseconds kLimit{10000};

class MuxProxyTest : public Loopback {
 protected:
  /// A master of a fresh connection, which forwards our canary.
  std::string Master(const Server& server) {
    WriteConfig(Host("tgt", server));
    const std::string socket = Path("m");
    StartMaster("tgt", socket, {"-o", "ForwardAgent=" + canary_.path()});
    return socket;
  }

  const Canary canary_{Path("canary")};
};

TEST_F(MuxProxyTest, AsksTheServerForForwardingInSoManyWords) {
  MuxProxy proxy(Master(StartServer()), kLimit);
  proxy.OpenSession();
  EXPECT_TRUE(proxy.RequestAgentForwarding());
}

TEST_F(MuxProxyTest, HearsARefusal) {
  MuxProxy proxy(Master(StartServer("AllowAgentForwarding no")), kLimit);
  proxy.OpenSession();
  EXPECT_FALSE(proxy.RequestAgentForwarding());
}

TEST_F(MuxProxyTest, HearsTheRefusalOfARestrictedKey) {
  MuxProxy proxy(Master(StartServer("", "restrict")), kLimit);
  proxy.OpenSession();
  EXPECT_FALSE(proxy.RequestAgentForwarding());
}

TEST_F(MuxProxyTest, HearsThatAServerRefusesSessions) {
  MuxProxy proxy(Master(StartServer("MaxSessions 0")), kLimit);
  EXPECT_THROW(proxy.OpenSession(), std::runtime_error);
}

TEST_F(MuxProxyTest, RunsACommandWithTheMastersAgentBehindIt) {
  MuxProxy proxy(Master(StartServer()), kLimit);
  proxy.OpenSession();
  ASSERT_TRUE(proxy.RequestAgentForwarding());
  const std::string output =
      proxy.Execute(std::string("ssh-add -l; echo the end; ") + kLastingCommand,
                    1 << 20, "the end");
  EXPECT_NE(output.find(canary_.fingerprint()), std::string::npos) << output;
}

TEST_F(MuxProxyTest, ReadsMoreThanAWindowAndNotMoreThanTheLimit) {
  MuxProxy proxy(Master(StartServer()), kLimit);
  proxy.OpenSession();
  constexpr std::size_t kLimitBytes = 1 << 20;
  EXPECT_EQ(
      proxy.Execute("echo noise >&2; cat /dev/zero", kLimitBytes, "end").size(),
      kLimitBytes);
}

TEST_F(MuxProxyTest, ReadsUntilTheCommandEnds) {
  MuxProxy proxy(Master(StartServer()), kLimit);
  proxy.OpenSession();
  EXPECT_EQ(proxy.Execute("echo hello", 1 << 20, "never said"), "hello\n");
}

TEST_F(MuxProxyTest, AsksAnAgentOnTheFarSide) {
  MuxProxy proxy(Master(StartServer()), kLimit);
  const std::string answer =
      proxy.AskRemoteSocket(canary_.path(), std::string("\0\0\0\1\x0b", 5));
  ASSERT_GT(answer.size(), 9u);
  EXPECT_EQ(answer[4], '\x0c');  // SSH_AGENT_IDENTITIES_ANSWER
  EXPECT_EQ(answer.substr(5, 4), std::string("\0\0\0\1", 4));
}

TEST_F(MuxProxyTest, HearsThatASocketCannotBeReached) {
  MuxProxy proxy(Master(StartServer()), kLimit);
  EXPECT_THROW(proxy.AskRemoteSocket("/nowhere", "x"), std::runtime_error);
}

/// A master that says \a words, whatever it hears, and hangs up.
class Liar {
 public:
  Liar(const std::string& path, std::string words)
      : listener_(ListenUnix(path)), thread_([this, words] {
          pollfd polled{listener_.get(), POLLIN, 0};
          if (poll(&polled, 1, 20000) != 1) return;
          const Fd peer(accept(listener_.get(), nullptr, nullptr));
          const auto soon =
              std::chrono::steady_clock::now() + std::chrono::seconds(20);
          WriteAll(peer.get(), words, soon);
          std::string heard;
          if (words.empty()) ReadExactly(peer.get(), 1 << 20, heard, soon);
        }) {}
  ~Liar() { thread_.join(); }

 private:
  Fd listener_;
  std::thread thread_;
};

TEST_F(MuxProxyTest, DoesNotBelieveAMaster) {
  const std::string hello("\0\0\0\x08\0\0\0\1\0\0\0\4", 12);
  const std::string proxy_reply("\0\0\0\x08\x80\0\0\x0f\0\0\0\1", 12);
  const std::string cases[] = {
      std::string("\xff\xff\xff\xff", 4),             // endless
      std::string("\0\0\0\0", 4),                     // empty
      std::string("\0\0\0\x08\0\0\0\1\0\0\0\5", 12),  // version 5
      std::string("\0\0\0\x02hi", 6),                 // too short
      hello,                                          // hangs up
      hello + std::string("\0\0\0\x08\x80\0\0\x03\0\0\0\1", 12),
      // proxy mode, then a message for a channel without a number
      hello + proxy_reply + std::string("\0\0\0\3\0\x5b\0", 7),
  };
  int number = 0;
  for (const std::string& words : cases) {
    const std::string path = Path("liar" + std::to_string(++number));
    const Liar liar(path, words);
    EXPECT_THROW(
        {
          MuxProxy proxy(path, kLimit);
          proxy.OpenSession();
        },
        std::runtime_error)
        << number;
  }
}

TEST_F(MuxProxyTest, DoesNotWaitForAMasterThatIsSilent) {
  const std::string path = Path("silent");
  const Liar liar(path, "");
  EXPECT_THROW(MuxProxy(path, Milliseconds(50)), MuxSilent);
}

TEST_F(MuxProxyTest, SaysThatThereIsNoMaster) {
  EXPECT_THROW(MuxProxy(Path("none"), kLimit), std::runtime_error);
}

}  // namespace
}  // namespace agentdoctor
