#include "probes/authorized_keys.h"

#include <gtest/gtest.h>

namespace agentdoctor {
namespace {

// ssh-keygen -t ed25519, and its fingerprint.
constexpr char kKey[] =
    "ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIGU6vB84OHutxRAQelXmC20qr9/tHRF82xhjQIdB2H63";
constexpr char kAccepted[] =
    "ED25519 SHA256:ZVAuFn8gtnCqJrCQNcqDxQ32VObhCipyPEkG1B/cL38 explicit agent";
constexpr char kOther[] =
    "ssh-ed25519 "
    "AAAAC3NzaC1lZDI1NTE5AAAAIApuN75MoDqpFGyGBalGuXzlCL+FEHRSbJlas+mVKidX";

std::string Output(const std::string& lines) {
  return "Welcome to the machine\nauthorized-keys-in /home/dave\n" + lines;
}

std::optional<KeyOptions> Find(const std::string& lines) {
  return FindKeyOptions(Output(lines), kAccepted);
}

TEST(AuthorizedKeys, FindsTheOptionsOfTheKey) {
  const auto options = Find("# mine\n\n" + std::string(kOther) +
                            "\nno-pty,no-agent-forwarding " + kKey + " dave\n");
  ASSERT_TRUE(options);
  EXPECT_EQ(options->source, "/home/dave/.ssh/authorized_keys:4");
  EXPECT_EQ(options->options, "no-pty,no-agent-forwarding");
  EXPECT_FALSE(options->agent_forwarding);
  EXPECT_FALSE(options->forced_command);
}

TEST(AuthorizedKeys, AllowsForwardingUnlessAnOptionForbidsIt) {
  EXPECT_TRUE(Find(kKey)->agent_forwarding);
  EXPECT_EQ(Find(kKey)->options, "");
  EXPECT_TRUE(Find(std::string("no-pty ") + kKey)->agent_forwarding);
  EXPECT_FALSE(Find(std::string("RESTRICT ") + kKey)->agent_forwarding);
}

TEST(AuthorizedKeys, TakesTheFirstLineWithTheKey) {
  const auto options =
      Find(std::string(kKey) + " one\nrestrict " + kKey + " two\n");
  EXPECT_EQ(options->source, "/home/dave/.ssh/authorized_keys:1");
  EXPECT_TRUE(options->agent_forwarding);
}

TEST(AuthorizedKeys, LooksForNoOptionInsideACommandAndKeepsItToItself) {
  const auto options = Find(
      "command=\"echo restrict, \\\"no-agent-forwarding\\\" now\",no-pty " +
      std::string(kKey));
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->agent_forwarding);
  EXPECT_TRUE(options->forced_command);
  EXPECT_EQ(options->options, "command,no-pty");
}

TEST(AuthorizedKeys, FindsNothingThatIsNotThere) {
  EXPECT_FALSE(Find(kOther));
  EXPECT_FALSE(Find(""));
  EXPECT_FALSE(
      Find("ssh-ed25519 ????\nssh-ed25519\nrestrict\n \"\nssh-ed25519 "
           "AAAA"));
  // Without the mark, or without a fingerprint to look for.
  EXPECT_FALSE(FindKeyOptions(kKey, kAccepted));
  EXPECT_FALSE(FindKeyOptions(Output(kKey), "pkalg ssh-ed25519 blen 51"));
}

TEST(AuthorizedKeys, AreNotFoundInAnEchoOfTheCommand) {
  EXPECT_FALSE(
      FindKeyOptions(AuthorizedKeysCommand() + "\n" + kKey, kAccepted));
}

}  // namespace
}  // namespace agentdoctor
