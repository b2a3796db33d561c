// What ssh said when it logged in to a further server.
#include "clients/openssh_next_hop.h"

#include <gtest/gtest.h>

namespace agentdoctor {
namespace {

constexpr char kStart[] =
    "OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.19\n"
    "debug1: Connecting to x [10.0.0.9] port 22.\n"
    "debug1: Remote protocol version 2.0, remote software version OpenSSH_9.9\n"
    "debug1: get_agent_identities: bound agent to hostkey\n"
    "debug1: get_agent_identities: agent returned 2 keys\n"
    "debug1: Will attempt key: work ED25519 SHA256:work agent\n"
    "debug1: Authentications that can continue: publickey\n"
    "debug1: Next authentication method: publickey\n";

NextHop Read(const std::string& login) {
  ProbedNextHop probed{.login = kStart + login};
  probed.hop.destination = "git@x";
  probed.hop.config = {{"user", "git"}};
  return ReadNextHop(probed);
}

TEST(OpenSshNextHop, ReadsTheKeyThatWasAccepted) {
  const NextHop hop = Read(
      "debug1: Offering public key: my work agent ED25519 SHA256:work agent\n"
      "debug1: Authentications that can continue: publickey\n"
      "debug1: Offering public key: ~/.ssh/h ED25519 SHA256:home explicit "
      "agent\n"
      "debug1: Server accepts key: ~/.ssh/h ED25519 SHA256:home explicit "
      "agent\n"
      "Authenticated to x ([10.0.0.9]:22) using \"publickey\".\n"
      "Hi dave! You've successfully authenticated, but GitHub does not provide "
      "shell access.\n");
  EXPECT_TRUE(hop.authenticated);
  EXPECT_EQ(hop.auth_method, "publickey");
  EXPECT_EQ(hop.agent_keys.value_or(-1), 2);
  EXPECT_EQ(hop.server_version, "OpenSSH_9.9");
  EXPECT_EQ(hop.offered,
            (std::vector<OfferedKey>{
                {"ED25519", "SHA256:work", "my work agent", true, false},
                {"ED25519", "SHA256:home", "~/.ssh/h", true, true}}));
  EXPECT_EQ(hop.user, "dave");
  EXPECT_TRUE(hop.greeting.starts_with("Hi dave!"));
  EXPECT_FALSE(hop.fault);
}

TEST(OpenSshNextHop, KnowsTheGreetingsOfForges) {
  const auto account = [](const std::string& greeting) {
    return Read("Authenticated to x ([10.0.0.9]:22) using \"publickey\".\n" +
                greeting + "\n")
        .user;
  };
  EXPECT_EQ(account("Welcome to GitLab, @dave!"), "dave");
  EXPECT_EQ(account("Hi there, dave! You've successfully authenticated with "
                    "the key named laptop, but Gitea does not provide shell "
                    "access."),
            "dave");
  EXPECT_EQ(account("Hi org/repo! You've successfully authenticated"),
            "org/repo");
  EXPECT_EQ(account("Hi Dave Example, you have successfully connected over "
                    "SSH."),
            "Dave Example");
  EXPECT_EQ(account("logged in as dave."), "dave");
  EXPECT_EQ(account("Shell access is not supported."), "git");
  EXPECT_EQ(account("Hi " + std::string(5000, 'x') + "!"), "git");
}

TEST(OpenSshNextHop, ReadsAFileOfTheHostsOwn) {
  const NextHop hop = Read(
      "debug1: Offering public key: work ED25519 SHA256:work agent\n"
      "debug1: Authentications that can continue: publickey\n"
      "debug1: Trying private key: /home/dave/.ssh/id_rsa\n"
      "debug1: Trying private key: /home/dave/.ssh/id_ed25519\n"
      "Authenticated to x ([10.0.0.9]:22) using \"publickey\".\n");
  EXPECT_EQ(hop.offered,
            (std::vector<OfferedKey>{
                {"ED25519", "SHA256:work", "work", true, false},
                {"", "", "/home/dave/.ssh/id_ed25519", false, true}}));
}

TEST(OpenSshNextHop, ReadsThatTheAgentDidNotSign) {
  const NextHop hop = Read(
      "debug1: Offering public key: work ED25519 SHA256:work agent\n"
      "debug1: Server accepts key: work ED25519 SHA256:work agent\n"
      "sign_and_send_pubkey: signing failed for ED25519 \"work\" from agent: "
      "agent refused operation\n"
      "git@x: Permission denied (publickey).\n");
  EXPECT_TRUE(hop.offered.at(0).accepted);
  EXPECT_NE(hop.signing_failure.find("agent refused operation"),
            std::string::npos);
  EXPECT_FALSE(hop.authenticated);
}

TEST(OpenSshNextHop, ReadsThatTheAgentHasNoKeyForTheServer) {
  ProbedNextHop probed{.login =
                           "debug1: get_agent_identities: "
                           "ssh_fetch_identitylist: agent contains no "
                           "identities\nx: Permission denied (publickey).\n"};
  EXPECT_EQ(ReadNextHop(probed).agent_keys.value_or(-1), 0);
}

TEST(OpenSshNextHop, BlamesTheLimitThatEndedIt) {
  ProbedNextHop probed{.login = kStart, .timed_out = true};
  EXPECT_EQ(ReadNextHop(probed).fault->code, "connection-timeout");
  probed = {.login = kStart, .cut_off = true};
  EXPECT_EQ(ReadNextHop(probed).fault->code, "connection-lost");
}

TEST(OpenSshNextHop, ThatWasNotTriedHasNoFault) {
  ProbedNextHop probed;
  probed.hop.destination = "dave@x";
  probed.hop.not_tried = "no agent answers there";
  const NextHop hop = ReadNextHop(probed);
  EXPECT_FALSE(hop.fault);
  EXPECT_EQ(hop.user, "dave");
}

}  // namespace
}  // namespace agentdoctor
