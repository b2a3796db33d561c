#include "clients/login_keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "agent/client.h"
#include "agent/wire.h"
#include "system/file.h"
#include "system/process.h"

namespace agentdoctor {
namespace {

/// Real keys, made by ssh-keygen.
class LoginKeysTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const {
    return folder_.path() + "/" + name;
  }

  /// Its public half.
  AgentKey Make(const std::string& name, const std::string& passphrase = "",
                const std::vector<std::string>& options = {}) {
    Command command{.argv = {"ssh-keygen", "-q", "-t", "ed25519", "-C", name,
                             "-N", passphrase, "-f", Path(name)}};
    command.argv.insert(command.argv.end(), options.begin(), options.end());
    agentdoctor::Run(command);
    const std::string line = ReadFile(Path(name + ".pub")).value_or("");
    const std::size_t blank = line.find(' ');
    return {.blob = DecodeBase64(
                line.substr(blank + 1, line.find(' ', blank + 1) - blank - 1)),
            .comment = name};
  }

  std::vector<LoginKey> Offers(const std::vector<AgentKey>& agent,
                               const LoginFiles& files) {
    messages_.clear();
    return KeysToOffer(agent, files, messages_);
  }

  TemporaryDirectory folder_;
  std::vector<std::string> messages_;
};

TEST_F(LoginKeysTest, OffersTheAgentsKeysThatFilesNameFirst) {
  const AgentKey one = Make("one");
  const AgentKey two = Make("two");
  const AgentKey file = Make("file");
  const auto offers =
      Offers({one, two}, {.identities = {Path("file"), Path("two")}});
  ASSERT_EQ(offers.size(), 3U);
  EXPECT_EQ(offers[0].blob, two.blob);
  EXPECT_EQ(offers[0].agent_blob, two.blob);
  EXPECT_EQ(offers[1].blob, one.blob);
  EXPECT_EQ(offers[2].blob, file.blob);
  EXPECT_EQ(offers[2].file, Path("file"));
  EXPECT_TRUE(offers[2].agent_blob.empty());
  EXPECT_EQ(offers[2].Name(), "ED25519 " + Fingerprint(file.blob));
  EXPECT_EQ(offers[0].Name(), "ED25519 " + Fingerprint(two.blob) + " agent");
}

TEST_F(LoginKeysTest, OffersOnlyNamedKeysWithIdentitiesOnly) {
  const AgentKey one = Make("one");
  const AgentKey two = Make("two");
  // A public key file is enough to name a key of the agent's.
  const auto offers = Offers(
      {one, two}, {.identities = {Path("two.pub")}, .identities_only = true});
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].blob, two.blob);
}

TEST_F(LoginKeysTest, KnowsAKeyWithAPassphraseByItsPublicHalf) {
  const AgentKey locked = Make("locked", "secret");
  unlink(Path("locked.pub").c_str());
  const auto offers = Offers({}, {.identities = {Path("locked")}});
  ASSERT_EQ(offers.size(), 1U);
  EXPECT_EQ(offers[0].blob, locked.blob);
  EXPECT_TRUE(offers[0].has_passphrase);
}

TEST_F(LoginKeysTest, PutsCertificatesFirst) {
  const AgentKey authority = Make("authority");
  const AgentKey key = Make("key");
  agentdoctor::Run({.argv = {"ssh-keygen", "-q", "-s", Path("authority"), "-I",
                             "x", Path("key.pub")}});
  const auto offers = Offers({key}, {.identities = {Path("key")}});
  ASSERT_EQ(offers.size(), 2U);
  EXPECT_TRUE(offers[0].certificate());
  EXPECT_EQ(offers[0].agent_blob, key.blob);
  EXPECT_EQ(offers[0].Name(),
            "ED25519-CERT " + Fingerprint(key.blob) + " agent");
  EXPECT_EQ(offers[1].blob, key.blob);
}

TEST_F(LoginKeysTest, IgnoresWhatOthersMayRead) {
  Make("open");
  chmod(Path("open").c_str(), 0644);
  EXPECT_TRUE(Offers({}, {.identities = {Path("open")}}).empty());
  ASSERT_EQ(messages_.size(), 1U);
  EXPECT_NE(messages_[0].find(Path("open")), std::string::npos);
}

TEST_F(LoginKeysTest, PassesOverWhatIsNoFile) {
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  std::ofstream(Path("noise")) << "no key\n";
  chmod(Path("noise").c_str(), 0600);
  EXPECT_TRUE(Offers({}, {.identities = {Path("pipe"), Path("noise"),
                                         Path("missing"), folder_.path()}})
                  .empty());
}

}  // namespace
}  // namespace agentdoctor
