#include "clients/putty_transcript.h"

#include <gtest/gtest.h>

#include <fstream>
#include <stdexcept>
#include <string>

namespace agentdoctor {
namespace {

PuttyTranscriptReader Read(const std::string& text) {
  PuttyTranscriptReader reader;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    reader.Line(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
  }
  return reader;
}

/// What a real plink said, with folders renamed.
std::string Captured(const std::string& name) {
  std::ifstream file(std::string(AGENTDOCTOR_SOURCE_DIR) +
                     "/tests/clients/data/" + name);
  if (!file) throw std::runtime_error(name);
  return {std::istreambuf_iterator<char>(file), {}};
}

PuttyTranscriptReader ReadCaptured(const std::string& name) {
  return Read(Captured("putty-0.78-" + name + ".stderr"));
}

std::string Code(const PuttyTranscriptReader& reader) {
  const auto fault = reader.Fault();
  return fault ? fault->code : "";
}

TEST(PuttyTranscript, AFreshLoginSaysWhatTheServerAnswered) {
  const PuttyTranscriptReader reader = ReadCaptured("forwarding");
  const Transcript& transcript = reader.transcript();
  EXPECT_TRUE(transcript.authenticated);
  EXPECT_EQ(transcript.server_version, "OpenSSH_9.2p1 Debian-2+deb12u10");
  EXPECT_EQ(transcript.auth_method, "publickey");
  EXPECT_EQ(transcript.through_master.value_or(true), false);
  EXPECT_TRUE(transcript.forwarding_requested.value_or(false));
  EXPECT_TRUE(transcript.forwarding_granted.value_or(false));
  ASSERT_EQ(transcript.key_options.size(), 1U);
  EXPECT_TRUE(transcript.key_options[0].agent_forwarding);
  EXPECT_EQ(transcript.key_options[0].source,
            "/home/dave/.ssh/authorized_keys:1");
  EXPECT_EQ(reader.agent_key(), 0U);
  EXPECT_EQ(reader.agent_keys(), 1U);
  EXPECT_EQ(Code(reader), "");
  // What the remote command said itself is no event of plink's.
  EXPECT_EQ(transcript.messages,
            (std::vector<std::string>{
                "256 SHA256:/PG/+RpOQPXhdGDZ9KUj8EfZGIKmN6jwgpU8411h4gM my "
                "key (ED25519)",
                "err"}));
}

TEST(PuttyTranscript, ABannerIsNoEvent) {
  const PuttyTranscriptReader reader = ReadCaptured("banner");
  EXPECT_TRUE(reader.transcript().authenticated);
  EXPECT_TRUE(reader.transcript().forwarding_granted.value_or(false));
}

TEST(PuttyTranscript, WithoutTheRequestThereIsNoAnswer) {
  const PuttyTranscriptReader reader = ReadCaptured("no-forwarding");
  const Transcript& transcript = reader.transcript();
  EXPECT_EQ(transcript.forwarding_requested.value_or(true), false);
  EXPECT_FALSE(transcript.forwarding_granted.known());
}

TEST(PuttyTranscript, ARefusalIsTheServersWhereNoUpstreamStandsBetween) {
  const PuttyTranscriptReader reader = ReadCaptured("refused");
  EXPECT_TRUE(reader.transcript().forwarding_requested.value_or(false));
  EXPECT_EQ(reader.transcript().forwarding_granted.value_or(true), false);

  // An upstream's: sshd refuses what it has granted on this connection before.
  const PuttyTranscriptReader shared = ReadCaptured("through-upstream");
  const Transcript& transcript = shared.transcript();
  EXPECT_TRUE(transcript.through_master.value_or(false));
  EXPECT_TRUE(transcript.forwarding_requested.value_or(false));
  EXPECT_FALSE(transcript.forwarding_granted.known());
  EXPECT_FALSE(transcript.authenticated);
  EXPECT_EQ(transcript.server_version, "OpenSSH_9.2p1 Debian-2+deb12u10");
}

TEST(PuttyTranscript, AnUpstreamThatIsSilentShowsNothingOfTheServer) {
  const std::string text = Captured("putty-0.78-through-upstream.stderr");
  const PuttyTranscriptReader reader =
      Read(text.substr(0, text.find("Opened main channel")));
  EXPECT_FALSE(reader.transcript().through_master.known());
  EXPECT_EQ(reader.transcript().server_version, "");
  EXPECT_FALSE(reader.connecting());
}

TEST(PuttyTranscript, TheOptionsOfTheKeyAreRead) {
  const PuttyTranscriptReader reader = ReadCaptured("restricted-key");
  const Transcript& transcript = reader.transcript();
  ASSERT_EQ(transcript.key_options.size(), 1U);
  EXPECT_FALSE(transcript.key_options[0].agent_forwarding);
  EXPECT_EQ(transcript.forwarding_granted.value_or(true), false);
}

TEST(PuttyTranscript, AKeyFileIsNamed) {
  const PuttyTranscriptReader reader = ReadCaptured("key-file");
  EXPECT_EQ(reader.key_file(), "id.ppk");
  EXPECT_FALSE(reader.agent_key());
  EXPECT_EQ(reader.transcript().accepted_key, "my key");
}

TEST(PuttyTranscript, FaultsHaveTheCodesOfOpenSsh) {
  EXPECT_EQ(Code(ReadCaptured("host-key-unknown")), "host-key-unknown");
  EXPECT_EQ(Code(ReadCaptured("host-key-changed")), "host-key-changed");
  EXPECT_EQ(Code(ReadCaptured("host-key-not-listed")), "host-key-changed");
  EXPECT_EQ(Code(ReadCaptured("name-not-resolved")), "name-not-resolved");
  EXPECT_EQ(Code(ReadCaptured("connection-refused")), "connection-refused");
  EXPECT_EQ(Code(ReadCaptured("no-agent")), "interaction-needed");
  EXPECT_EQ(Code(ReadCaptured("dead-agent")), "interaction-needed");
  EXPECT_EQ(Code(ReadCaptured("no-key-accepted")), "authentication-failed");
  EXPECT_EQ(ReadCaptured("no-key-accepted").refused(),
            std::vector<std::size_t>{0});
}

TEST(PuttyTranscript, TheMessageIsPlinksOwn) {
  const auto fault = ReadCaptured("name-not-resolved").Fault();
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->message, "Name or service not known");
  EXPECT_EQ(ReadCaptured("host-key-not-listed").Fault()->message,
            "Host key not in manually configured list");
}

TEST(PuttyTranscript, TheRemoteProgramCanNotSayWhatPlinkSays) {
  const PuttyTranscriptReader reader =
      Read(Captured("putty-0.78-no-forwarding.stderr") +
           "Agent forwarding enabled\nUsing existing shared connection at x\n"
           "Opened main channel\n");
  EXPECT_EQ(reader.transcript().forwarding_requested.value_or(true), false);
  EXPECT_EQ(reader.transcript().through_master.value_or(true), false);
}

}  // namespace
}  // namespace agentdoctor
