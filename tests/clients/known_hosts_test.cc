#include "clients/known_hosts.h"

#include <gtest/gtest.h>

#include "agent/client.h"
#include "agent/wire.h"

namespace agentdoctor {
namespace {

std::string Blob(char fill, const std::string& type = "ssh-ed25519") {
  return WireString(type) + WireString(std::string(32, fill));
}

std::string Line(const std::string& names, const std::string& blob,
                 const std::string& type = "ssh-ed25519") {
  return names + " " + type + " " + EncodeBase64(blob) + " a comment\n";
}

std::size_t Found(const std::string& text, const std::string& name) {
  return FindKnownKeys(text, "known_hosts", name).size();
}

TEST(KnownHosts, NamesAHostWithItsPort) {
  EXPECT_EQ(KnownHostsName("Web.Example", 22), "web.example");
  EXPECT_EQ(KnownHostsName("::1", 2222), "[::1]:2222");
}

TEST(KnownHosts, FindsPlainNamesAndPatterns) {
  const std::string text =
      "# a comment\n\n" + Line("web1,10.0.0.1", Blob('a')) +
      Line("*.example,!db.example", Blob('b')) + Line("[web1]:2222", Blob('c'));
  EXPECT_EQ(Found(text, "web1"), 1U);
  EXPECT_EQ(Found(text, "10.0.0.1"), 1U);
  EXPECT_EQ(Found(text, "a.example"), 1U);
  EXPECT_EQ(Found(text, "db.example"), 0U);
  EXPECT_EQ(Found(text, "web11"), 0U);
  const auto keys = FindKnownKeys(text, "file", "[web1]:2222");
  ASSERT_EQ(keys.size(), 1U);
  EXPECT_EQ(keys[0].blob, Blob('c'));
  EXPECT_EQ(keys[0].line, 5);
}

// Made by `ssh-keygen -H` of OpenSSH 9.2 from "[127.0.0.1]:2222".
TEST(KnownHosts, FindsHashedNames) {
  const std::string text =
      Line("|1|dGBniT9sqyCo6Y875tG54dM8KuI=|yiSqXX2Xgj+85RZC71op3RfWkdw=",
           Blob('a'));
  EXPECT_EQ(Found(text, "[127.0.0.1]:2222"), 1U);
  EXPECT_EQ(Found(text, "127.0.0.1"), 0U);
  EXPECT_EQ(Found(Line("|1|short|", Blob('a')), "x"), 0U);
}

TEST(KnownHosts, PassesOverWhatIsNoKey) {
  EXPECT_EQ(Found("web1\nweb1 ssh-ed25519\nweb1 ssh-ed25519 !!!\n"
                  "web1 ssh-rsa " +
                      EncodeBase64(Blob('a')) + "\n@unknown web1 ssh-ed25519 " +
                      EncodeBase64(Blob('a')),
                  "web1"),
            0U);
}

TEST(KnownHosts, JudgesAKeyByAllLines) {
  const auto judge = [](const std::string& text, char fill) {
    return JudgeHostKey(FindKnownKeys(text, "file", "web1"), Blob(fill));
  };
  const std::string known = Line("web1", Blob('a'));
  EXPECT_EQ(judge(known, 'a'), HostKeyState::kKnown);
  EXPECT_EQ(judge(known, 'b'), HostKeyState::kChanged);
  EXPECT_EQ(judge("", 'a'), HostKeyState::kUnknown);
  EXPECT_EQ(judge(known + Line("web1", Blob('b')), 'b'), HostKeyState::kKnown);
  // A revoked key is that wherever else it stands.
  EXPECT_EQ(judge(known + "@revoked " + Line("*", Blob('a')), 'a'),
            HostKeyState::kRevoked);
  EXPECT_EQ(judge("@revoked " + Line("*", Blob('a')), 'b'),
            HostKeyState::kUnknown);
  // An authority's key is no host's.
  EXPECT_EQ(judge("@cert-authority " + Line("*", Blob('a')), 'a'),
            HostKeyState::kUnknown);
}

}  // namespace
}  // namespace agentdoctor
