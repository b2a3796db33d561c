#include "probes/git_remotes.h"

#include <gtest/gtest.h>

namespace agentdoctor {
namespace {

using namespace std::string_literals;

TEST(GitRemotes, AreReadWithTheFileTheyStandIn) {
  const auto remotes = ParseGitConfig(
      "file:.git/config\0remote.origin.url\nhttps://git.example/x.git\0"s +
      "file:.git/config\0remote.a.b.url\ngit@git.example:x.git\0"s);
  ASSERT_EQ(remotes.size(), 2u);
  EXPECT_EQ(remotes[0], (GitRemote{"origin", "https://git.example/x.git",
                                   ".git/config", ""}));
  EXPECT_EQ(remotes[1].name, "a.b");
  EXPECT_EQ(remotes[1].url, "git@git.example:x.git");
}

TEST(GitRemotes, LoseWhoeverStandsInTheUrl) {
  const auto remotes = ParseGitConfig(
      "file:x\0remote.origin.url\nhttps://dave:se@cret@git.example:8443/x\0"s);
  ASSERT_EQ(remotes.size(), 1u);
  EXPECT_EQ(remotes[0].url, "https://git.example:8443/x");
}

TEST(GitRemotes, AreRewrittenByTheLongestInsteadOf) {
  const auto remotes = ParseGitConfig(
      "file:g\0url.https://mirror/.insteadof\nhttps://\0"s +
      "file:g\0url.git@git.example:.insteadof\nhttps://git.example/\0"s +
      "file:x\0remote.origin.url\nhttps://git.example/x.git\0"s);
  ASSERT_EQ(remotes.size(), 1u);
  EXPECT_EQ(remotes[0].url, "git@git.example:x.git");
}

TEST(GitRemotes, SayWhatGitRunsInsteadOfSsh) {
  const auto remotes =
      ParseGitConfig("file:g\0core.sshcommand\nplink -agent\0"s +
                     "file:x\0remote.origin.url\nssh://git@git.example/x\0"s);
  ASSERT_EQ(remotes.size(), 1u);
  EXPECT_EQ(remotes[0].ssh_command, "plink -agent");
  EXPECT_EQ(remotes[0].url, "ssh://git.example/x");
}

TEST(GitRemotes, OfRubbishAreNone) {
  EXPECT_TRUE(ParseGitConfig("").empty());
  EXPECT_TRUE(ParseGitConfig("file:x").empty());
  EXPECT_TRUE(ParseGitConfig("\0\0\0"s).empty());
  EXPECT_TRUE(ParseGitConfig("file:x\0remote.url\nhttps://x\0"s).empty());
}

}  // namespace
}  // namespace agentdoctor
