#include "agent/client.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "agent/fake_agent.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr Milliseconds kShort{150};

using Reaction = FakeAgent::Reaction;

Agent AskFake(FakeAgent::Answer answer, Milliseconds limit = kPlenty) {
  const FakeAgent fake(std::move(answer));
  return AskAgent(fake.path(), limit);
}

/// An agent that lists one key and does \a with_extension otherwise.
Agent AskLister(const Reaction& with_extension, Milliseconds limit = kPlenty) {
  return AskFake(
      [&](const std::string& body) {
        if (static_cast<unsigned char>(body[0]) == kRequestIdentities)
          return Reaction{ListAnswer({{Ed25519Blob(), "a key"}})};
        return with_extension;
      },
      limit);
}

std::string Byte(unsigned char value) {
  return WireString(std::string(1, static_cast<char>(value)));
}

TEST(AgentTest, ListsWhatARealAgentHoldsWithTheFingerprintsOfSshAdd) {
  const RealAgent real;
  for (const char* type : {"rsa", "ecdsa", "ed25519"})
    real.AddKey(std::string("my ") + type, type);
  const Agent agent = AskAgent(real.path(), kPlenty);
  EXPECT_EQ(agent.state, AgentState::kAnswered);
  EXPECT_EQ(agent.asked_with, "agent protocol");
  EXPECT_EQ(agent.owner, static_cast<std::int64_t>(getuid()));
  EXPECT_EQ(agent.mode, 0600);
  ASSERT_EQ(agent.identities.size(), 3u);
  EXPECT_EQ(agent.identities[0].type, "ssh-rsa");
  EXPECT_EQ(agent.identities[1].type, "ecdsa-sha2-nistp256");
  EXPECT_EQ(agent.identities[2].type, "ssh-ed25519");
  EXPECT_EQ(agent.identities[2].comment, "my ed25519");
  const std::vector<std::string> lines = SplitLines(real.Do({"ssh-add", "-l"}));
  ASSERT_EQ(lines.size(), 3u);
  for (std::size_t i = 0; i < lines.size(); ++i)
    EXPECT_NE(lines[i].find(" " + agent.identities[i].fingerprint + " "),
              std::string::npos)
        << lines[i];
}

TEST(AgentTest, ReadsTheCertificatesOfARealAgentLikeSshAdd) {
  const RealAgent real;
  real.Do({"ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f",
           real.folder() + "/ca"});
  for (const char* type : {"rsa", "ecdsa", "ed25519"}) {
    const std::string file = real.folder() + "/" + type;
    real.Do({"ssh-keygen", "-q", "-N", "", "-t", type, "-f", file});
    real.Do({"ssh-keygen", "-q", "-s", real.folder() + "/ca", "-I",
             std::string("id of ") + type, "-n", "dave", "-V",
             "20200101000000Z:20300101000000Z", file + ".pub"});
    real.Do({"ssh-add", "-q", file});
  }
  const Agent agent = AskAgent(real.path(), kPlenty);
  ASSERT_EQ(agent.identities.size(), 6u);
  const std::vector<std::string> lines = SplitLines(real.Do({"ssh-add", "-l"}));
  ASSERT_EQ(lines.size(), 6u);
  int certificates = 0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const Identity& identity = agent.identities[i];
    EXPECT_NE(lines[i].find(" " + identity.fingerprint + " "),
              std::string::npos)
        << lines[i];
    EXPECT_EQ(identity.certificate.has_value(),
              lines[i].find("-CERT)") != std::string::npos);
    if (!identity.certificate) continue;
    ++certificates;
    EXPECT_TRUE(identity.type.ends_with("-cert-v01@openssh.com"));
    EXPECT_TRUE(identity.certificate->key_id.starts_with("id of "));
    EXPECT_EQ(identity.certificate->valid_after, 1577836800u);
    EXPECT_EQ(identity.certificate->valid_before, 1893456000u);
  }
  EXPECT_EQ(certificates, 3);
}

TEST(AgentTest, AnswersForAnEmptyRealAgent) {
  const RealAgent real;
  Agent agent = AskAgent(real.path(), kPlenty);
  EXPECT_EQ(agent.state, AgentState::kAnswered);
  EXPECT_TRUE(agent.identities.empty());
  // What OpenSSH says depends on its release; it never hangs up.
  for (const ExtensionAnswer answer : {agent.query, agent.session_bind})
    EXPECT_TRUE(answer == ExtensionAnswer::kSuccess ||
                answer == ExtensionAnswer::kFailure ||
                answer == ExtensionAnswer::kExtensionFailure);
  agent = AskAgent(real.path(), kPlenty, /*with_extensions=*/false);
  EXPECT_EQ(agent.query, ExtensionAnswer::kNotAsked);
  EXPECT_EQ(agent.session_bind, ExtensionAnswer::kNotAsked);
}

TEST(AgentTest, AnswersForALockedRealAgentAsIfItWereEmpty) {
  const RealAgent real;
  real.AddKey("key");
  const std::string askpass = real.folder() + "/askpass";
  std::ofstream(askpass) << "#!/bin/sh\necho secret\n";
  chmod(askpass.c_str(), 0700);
  const ProcessResult result =
      agentdoctor::Run({.argv = {"ssh-add", "-x"},
                        .environment = {{"SSH_AUTH_SOCK", real.path()},
                                        {"DISPLAY", ":0"},
                                        {"SSH_ASKPASS", askpass},
                                        {"SSH_ASKPASS_REQUIRE", "force"}},
                        .total_limit = kPlenty});
  ASSERT_EQ(result.status, 0) << result.err;
  const Agent agent = AskAgent(real.path(), kPlenty);
  EXPECT_EQ(agent.state, AgentState::kAnswered);
  EXPECT_TRUE(agent.identities.empty());
  EXPECT_EQ(agent.query, ExtensionAnswer::kFailure);
}

TEST(AgentTest, GivesUpOnAFrozenRealAgent) {
  const RealAgent real;
  kill(real.pid(), SIGSTOP);
  const Agent agent = AskAgent(real.path(), kShort);
  kill(real.pid(), SIGCONT);
  EXPECT_EQ(agent.state, AgentState::kSilent);
  EXPECT_NE(agent.detail.find("150 ms"), std::string::npos) << agent.detail;
}

TEST(AgentTest, TellsWhatLiesAtThePathInsteadOfAnAgent) {
  const TemporaryDirectory folder;
  const auto state = [&](const std::string& name) {
    return AskAgent(folder.path() + name, kPlenty);
  };
  EXPECT_EQ(state("/none").state, AgentState::kMissing);
  EXPECT_EQ(state("").state, AgentState::kNotASocket);
  EXPECT_EQ(state("").detail, "a folder");
  std::ofstream(folder.path() + "/file") << "";
  EXPECT_EQ(state("/file").state, AgentState::kNotASocket);
  EXPECT_EQ(state("/file").detail, "a file");
  EXPECT_EQ(state("/file/agent").state, AgentState::kMissing);
  { const Fd dead = ListenUnix(folder.path() + "/dead"); }
  EXPECT_EQ(state("/dead").state, AgentState::kRefused);
  EXPECT_EQ(TryAgent(folder.path() + "/dead", kPlenty), AgentState::kRefused);
  EXPECT_EQ(state("/dead").owner, static_cast<std::int64_t>(getuid()));
  EXPECT_EQ(AskAgent("", kPlenty).state, AgentState::kMissing);
}

TEST(AgentTest, NamesTheTargetOfADanglingLink) {
  const TemporaryDirectory folder;
  const std::string link = folder.path() + "/link";
  std::filesystem::create_symlink("/tmp/ssh-gone/agent.1", link);
  const Agent agent = AskAgent(link, kPlenty);
  EXPECT_EQ(agent.state, AgentState::kMissing);
  EXPECT_EQ(agent.link_target, "/tmp/ssh-gone/agent.1");
  std::filesystem::create_symlink("loop", folder.path() + "/loop");
  const Agent loop = AskAgent(folder.path() + "/loop", kPlenty);
  EXPECT_EQ(loop.state, AgentState::kMissing);
  EXPECT_EQ(loop.detail, std::generic_category().message(ELOOP));
}

TEST(AgentTest, RefusesAPathThatSshWouldCutOff) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/" + std::string(120, 'x');
  std::ofstream(path) << "it does exist";
  const Agent agent = AskAgent(path, kPlenty);
  EXPECT_EQ(agent.state, AgentState::kPathTooLong);
  EXPECT_NE(agent.detail.find(std::to_string(SunPathSize() - 1)),
            std::string::npos)
      << agent.detail;
}

// As somebody who is not root, whoever runs the test: a child asks, and says
// on a pipe what it saw.
Agent AskUnprivileged(const std::string& path) {
  int ends[2];
  if (pipe(ends) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    if (getuid() == 0 && setuid(65534) != 0) _exit(1);
    const Agent agent = AskAgent(path, kPlenty);
    const std::string text = std::to_string(static_cast<int>(agent.state)) +
                             "\n" + agent.denied_by + "\n" + agent.detail;
    const ssize_t written = write(ends[1], text.data(), text.size());
    _exit(written > 0 ? 0 : 1);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got; (got = read(ends[0], buffer, sizeof buffer)) > 0;)
    text.append(buffer, static_cast<std::size_t>(got));
  close(ends[0]);
  waitpid(child, nullptr, 0);
  const std::vector<std::string> lines = SplitLines(text);
  Agent agent;
  if (lines.size() < 3) return agent;
  agent.state = static_cast<AgentState>(std::stoi(lines[0]));
  agent.denied_by = lines[1];
  agent.detail = lines[2];
  return agent;
}

TEST(AgentTest, NamesTheElementOfThePathThatDenies) {
  const TemporaryDirectory folder;
  chmod(folder.path().c_str(), 0755);
  const std::string inner = folder.path() + "/inner";
  std::filesystem::create_directories(inner + "/below");
  const std::string path = inner + "/below/agent";
  const Fd listener = ListenUnix(path);

  chmod(inner.c_str(), 0000);
  Agent agent = AskUnprivileged(path);
  EXPECT_EQ(agent.state, AgentState::kDenied);
  EXPECT_TRUE(agent.denied_by.starts_with(inner + " (owner "))
      << agent.denied_by;
  EXPECT_TRUE(agent.denied_by.ends_with("mode 0000)")) << agent.denied_by;

  // Through a link to it as well.
  const std::string link = folder.path() + "/link";
  std::filesystem::create_symlink("inner/below/agent", link);
  agent = AskUnprivileged(link);
  EXPECT_EQ(agent.state, AgentState::kDenied);
  EXPECT_TRUE(agent.denied_by.starts_with(inner + " (owner "))
      << agent.denied_by;

  chmod(inner.c_str(), 0755);
  chmod(path.c_str(), 0000);
  agent = AskUnprivileged(path);
  EXPECT_EQ(agent.state, AgentState::kDenied);
  EXPECT_TRUE(agent.denied_by.starts_with(path + " (owner "))
      << agent.denied_by;
}

TEST(AgentTest, BoundsAnAgentThatNeverAnswers) {
  const Agent agent =
      AskFake([](const std::string&) { return Reaction{}; }, kShort);
  EXPECT_EQ(agent.state, AgentState::kSilent);
}

TEST(AgentTest, BoundsAnAgentThatNeverAccepts) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/agent";
  const Fd listener = ListenUnix(path);
  std::vector<Connection> queue;
  while (queue.size() < 100 && (queue.empty() || queue.back().error == 0))
    queue.push_back(ConnectUnix(path, Milliseconds(50)));
  EXPECT_EQ(AskAgent(path, kShort).state, AgentState::kSilent);
}

TEST(AgentTest, BoundsAnAnswerThatTricklesInForEver) {
  const Agent agent = AskFake(
      [](const std::string&) { return Reaction{WireUint32(1000) + "\x0c"}; },
      kShort);
  EXPECT_EQ(agent.state, AgentState::kSilent);
}

TEST(AgentTest, TellsAnAgentThatHangsUp) {
  EXPECT_EQ(AskFake([](const std::string&) {
              return Reaction{"", true};
            }).state,
            AgentState::kDropped);
}

TEST(AgentTest, CallsJunkMalformed) {
  for (const std::string& junk :
       {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"),
        std::string("OK Pleased to meet you\n"), WireUint32(0),
        WireUint32(256 * 1024 + 1), Byte(99), WireString("\x0c"),
        WireString("\x0c" + WireUint32(1)), std::string("\0\0", 2)}) {
    const Agent agent = AskFake([&](const std::string&) {
      return Reaction{junk, true};
    });
    EXPECT_EQ(agent.state, AgentState::kMalformed) << junk;
    EXPECT_FALSE(agent.detail.empty());
    EXPECT_TRUE(agent.identities.empty());
  }
}

TEST(AgentTest, DoesNotBelieveInTwoBillionKeys) {
  const Agent agent = AskFake([](const std::string&) {
    return Reaction{WireString("\x0c" + WireUint32(0x80000000u))};
  });
  EXPECT_EQ(agent.state, AgentState::kMalformed);
  EXPECT_NE(agent.detail.find("2147483648"), std::string::npos) << agent.detail;
}

TEST(AgentTest, TakesTheMostThatOpensshTakesAndNoMore) {
  const auto ask = [](std::size_t count) {
    return AskFake([count](const std::string& body) {
      if (static_cast<unsigned char>(body[0]) != kRequestIdentities)
        return Reaction{Byte(kAgentFailure)};
      return Reaction{
          ListAnswer(std::vector<std::pair<std::string, std::string>>(
              count, {Ed25519Blob(), "key"}))};
    });
  };
  EXPECT_EQ(ask(2048).identities.size(), 2048u);
  EXPECT_EQ(ask(2049).state, AgentState::kMalformed);
}

TEST(AgentTest, TellsARefusedList) {
  for (const unsigned char failure :
       {kAgentFailure, kSsh2AgentFailure, kSshComAgentFailure}) {
    const Agent agent =
        AskFake([&](const std::string&) { return Reaction{Byte(failure)}; });
    EXPECT_EQ(agent.state, AgentState::kListRefused);
    EXPECT_EQ(agent.query, ExtensionAnswer::kNotAsked);
  }
}

TEST(AgentTest, TellsHowExtensionsAreAnswered) {
  const auto both = [](const Agent& agent, ExtensionAnswer expected) {
    EXPECT_EQ(agent.state, AgentState::kAnswered);
    EXPECT_EQ(agent.identities.size(), 1u);
    EXPECT_EQ(agent.query, expected);
    EXPECT_EQ(agent.session_bind, expected);
  };
  both(AskLister({Byte(kAgentSuccess)}), ExtensionAnswer::kSuccess);
  both(AskLister({Byte(kExtensionResponse)}), ExtensionAnswer::kSuccess);
  both(AskLister({Byte(kAgentFailure)}), ExtensionAnswer::kFailure);
  both(AskLister({Byte(kExtensionFailure)}),
       ExtensionAnswer::kExtensionFailure);
  both(AskLister({Byte(99)}), ExtensionAnswer::kMalformed);
  both(AskLister({"ab", true}), ExtensionAnswer::kMalformed);
  both(AskLister({"", true}), ExtensionAnswer::kClosed);
  both(AskLister({}, kShort), ExtensionAnswer::kSilent);
}

TEST(AgentTest, SendsExactlyTheQuestionsOfTheProtocol) {
  std::vector<std::string> bodies;
  AskFake([&](const std::string& body) {
    bodies.push_back(body);
    if (body == "\x0b") return Reaction{ListAnswer({})};
    return Reaction{Byte(kAgentFailure)};
  });
  EXPECT_EQ(bodies, (std::vector<std::string>{
                        "\x0b", "\x1b" + WireString("query"),
                        "\x1b" + WireString("session-bind@openssh.com")}));
}

TEST(AgentTest, JudgesAnAnswerThatCameByOtherMeans) {
  Agent agent;
  ReadListAnswer(ListAnswer({{Ed25519Blob(), "c"}}), agent);
  EXPECT_EQ(agent.state, AgentState::kAnswered);
  EXPECT_EQ(agent.identities.size(), 1u);
  ReadListAnswer("", agent);
  EXPECT_EQ(agent.state, AgentState::kDropped);
  const std::string whole = ListAnswer({{Ed25519Blob(), "c"}});
  for (std::size_t size = 1; size < whole.size(); ++size) {
    Agent cut;
    ReadListAnswer(std::string_view(whole).substr(0, size), cut);
    EXPECT_EQ(cut.state, AgentState::kMalformed) << size;
  }
}

}  // namespace
}  // namespace agentdoctor
