#include "clients/shared_configs.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "system/file.h"

namespace agentdoctor {
namespace {

constexpr Milliseconds kLimit{10000};

/// The real ssh, asked for one destination, and what that says of another.
class SharedConfigsTest : public testing::Test {
 protected:
  Request For(const std::string& destination) const {
    return {.destination = destination,
            .ssh_options = {"-F", folder_.path() + "/config"}};
  }

  void Write(const std::string& text, const std::string& name = "config") {
    std::ofstream(folder_.path() + "/" + name) << text;
  }

  /// Whether the answer is shared; then it has to be what ssh itself says.
  bool Shares(const std::string& asked, const std::string& other) {
    ConfigAnswer answer;
    const Resolution first =
        ResolveOpenSsh(For(asked), kLimit, Here(), &answer);
    EXPECT_TRUE(first.config.known());
    const auto shared = AnswerFor(For(other), For(asked), answer);
    if (!shared) return false;
    Resolution derived = ReadAnswer(For(other), *shared);
    Resolution real = ResolveOpenSsh(For(other), kLimit);
    for (Resolution* each : {&derived, &real})
      each->config.get()->values.erase("controlpath");
    EXPECT_EQ(derived.version, real.version);
    EXPECT_EQ(derived.forwarded, real.forwarded);
    EXPECT_EQ(derived.primary, real.primary);
    EXPECT_EQ(*derived.config, *real.config) << asked << " " << other;
    return true;
  }

  TemporaryDirectory folder_;
};

TEST_F(SharedConfigsTest, SharesWhatABlockForBothSays) {
  Write(
      "Host web*\n  ForwardAgent yes\n  User dave\n  ControlPath /tmp/%C\n"
      "Host *\n  Port 2222\n  IdentityFile ~/.ssh/%h\n");
  EXPECT_TRUE(Shares("web1", "web2"));
  EXPECT_TRUE(Shares("web1", "web1.example"));
  EXPECT_TRUE(Shares("10.0.0.1", "10.0.0.2"));
  EXPECT_FALSE(Shares("web1", "db1"));
}

TEST_F(SharedConfigsTest, ExpandsAHostName) {
  Write(
      "Host web*\n  HostName %h.example\n  ForwardAgent yes\n"
      "Host db*\n  HostName 127.0.0.1\n");
  EXPECT_TRUE(Shares("web1", "web2"));
  EXPECT_TRUE(Shares("db1", "db2"));
}

TEST_F(SharedConfigsTest, AsksWhereALineTellsThemApart) {
  Write("Host web1\n  ForwardAgent yes\n");
  EXPECT_FALSE(Shares("web1", "web2"));
  EXPECT_TRUE(Shares("web2", "web3"));
  Write("Host web* !web2\n  ForwardAgent yes\n");
  EXPECT_FALSE(Shares("web1", "web2"));
  EXPECT_TRUE(Shares("web1", "web3"));
  Write("Match host web1\n  ForwardAgent yes\n");
  EXPECT_FALSE(Shares("web2", "web3"));
  Write("Match exec \"test %h = web1\"\n  ForwardAgent yes\n");
  EXPECT_FALSE(Shares("web2", "web3"));
  Write("IdentityAgent /tmp/%h\n");
  EXPECT_FALSE(Shares("web2", "web3"));
  Write("CanonicalizeHostname yes\nCanonicalDomains invalid\n");
  EXPECT_FALSE(Shares("web2", "web3"));
}

TEST_F(SharedConfigsTest, LooksIntoIncludedFiles) {
  Write("Host web1\n  ForwardAgent yes\n", "more");
  Write("Include " + folder_.path() + "/more\n");
  EXPECT_FALSE(Shares("web1", "web2"));
  EXPECT_TRUE(Shares("web2", "web3"));
}

// Then it reads everything once more, for the HostName.
TEST_F(SharedConfigsTest, LooksAtTheNameOfTheFinalPass) {
  Write(
      "Host web*\n  HostName %h.example\n"
      "Host web1.example\n  ForwardAgent yes\n"
      "Match final all\n  User dave\n");
  EXPECT_FALSE(Shares("web1", "web2"));
  EXPECT_TRUE(Shares("web2", "web3"));
}

TEST_F(SharedConfigsTest, AsksForNamesThatSshTakesApart) {
  Write("ForwardAgent yes\n");
  for (const char* name : {"dave@web2", "ssh://web2:22", "WEB2", "127.1",
                           "0x7f.1", "::1", "web%h"})
    EXPECT_FALSE(Shares("web1", name)) << name;
}

TEST_F(SharedConfigsTest, HoldsForTheSameOptionsOnly) {
  Write("ForwardAgent yes\n");
  ConfigAnswer answer;
  ResolveOpenSsh(For("web1"), kLimit, Here(), &answer);
  Request other = For("web2");
  EXPECT_TRUE(AnswerFor(other, For("web1"), answer));
  other.ssh_options.push_back("-4");
  EXPECT_FALSE(AnswerFor(other, For("web1"), answer));
}

TEST_F(SharedConfigsTest, AsksOnceForMany) {
  const std::string log = folder_.path() + "/log";
  const std::string ssh = folder_.path() + "/ssh";
  std::ofstream(ssh) << "#!/bin/sh\necho x >> " << log << "\nexec ssh \"$@\"\n";
  std::filesystem::permissions(ssh, std::filesystem::perms::owner_all);
  Write("Host web*\n  ForwardAgent yes\n");
  SharedConfigs configs;
  for (const char* name : {"web1", "web2", "web3", "db1"}) {
    Request request = For(name);
    request.ssh = ssh;
    ConfigAnswer answer;
    const Resolution resolution = configs.Resolve(request, kLimit, answer);
    ASSERT_TRUE(resolution.config.known()) << resolution.config.reason();
    EXPECT_EQ(FirstValue(*resolution.config, "hostname"), name);
  }
  EXPECT_EQ(ReadFile(log), "x\nx\n");
}

}  // namespace
}  // namespace agentdoctor
