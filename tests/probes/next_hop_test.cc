// What the next hop's script looks like, and what is read of its answer.
#include "probes/next_hop.h"

#include <gtest/gtest.h>

#include "probes/remote_side.h"

namespace agentdoctor {
namespace {

using namespace std::chrono_literals;

std::string Hex(std::string_view text) {
  std::string hex;
  for (const char c : text) {
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return hex;
}

std::string Record(const std::string& key, const std::string& value) {
  return Hex(key + '\0' + value + '\0');
}

TEST(NextHopScript, SurvivesEveryLoginShell) {
  const ProbeCommand probe = MakeProbeCommand({"git@x", "y"}, 5s);
  const std::size_t first = probe.command.find('\'');
  const std::string inner =
      probe.command.substr(first + 1, probe.command.rfind('\'') - first - 1);
  EXPECT_EQ(inner.find_first_of("'\n!"), std::string::npos);
  EXPECT_EQ(inner.find("\\\\"), std::string::npos);
  EXPECT_NE(inner.find("=\"git@x y\";"), std::string::npos);
  // sshd hands it on as one argument; Linux takes 128 KiB.
  EXPECT_LT(probe.command.size(), 100'000U);
}

TEST(NextHopScript, GoesOnlyWhereItIsAskedFor) {
  EXPECT_EQ(MakeProbeCommand().command.find("StrictHostKeyChecking"),
            std::string::npos);
}

TEST(NextHopScript, TakesPlainDestinationsOnly) {
  for (const char* plain :
       {"git@gitlab.example", "ssh://git@x:2222", "fe80::1%eth0", "a_b-c.d"})
    EXPECT_TRUE(IsPlainDestination(plain)) << plain;
  for (const char* other :
       {"$x", "a b", "a\"b", "a'b", "a\\b", "a;b", "a!b", "a`b", "a*", "a?",
        "(a)", "a&b", "a|b", "a<b", "#a", "\xc3\xa9"})
    EXPECT_FALSE(IsPlainDestination(other)) << other;
}

TEST(NextHopAnswer, IsReadForEachDestination) {
  const auto hops = ParseNextHops(
      "\n" + Record("hop", "git@x") + "\n" +
      Record("hop_version", "OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.19") +
      Record("hop_config",
             "user git\nidentityfile ~/.ssh/a b\nidentityfile "
             "~/.ssh/c\n") +
      Record("hop_lines", "/home/dave/.ssh/config:5:  IdentitiesOnly yes") +
      Record("hop_master", "alive") +
      Record("hop_login", "debug1: one\ntwo\n=255") + Record("hop", "y") +
      Record("hop_not_tried", "no agent answers there") +
      Record("hop_login", "") + "\n" + Record("uid", "1000") +
      Record("end", ""));
  ASSERT_EQ(hops->size(), 2U);
  const ProbedNextHop& first = hops->front();
  EXPECT_EQ(first.hop.destination, "git@x");
  EXPECT_EQ(first.hop.version, "OpenSSH_9.2p1 Debian-2");
  EXPECT_EQ(first.hop.config.at("user"), "git");
  EXPECT_EQ(first.hop.config.at("identityfile"), "~/.ssh/a b, ~/.ssh/c");
  ASSERT_EQ(first.hop.lines.size(), 1U);
  EXPECT_EQ(first.hop.lines[0].line, 5);
  EXPECT_EQ(first.hop.lines[0].text, "IdentitiesOnly yes");
  EXPECT_TRUE(first.hop.master_alive);
  EXPECT_EQ(first.login, "debug1: one\ntwo");
  EXPECT_FALSE(first.cut_off);
  EXPECT_FALSE(first.timed_out);
  EXPECT_EQ(hops->back().hop.not_tried, "no agent answers there");
  EXPECT_FALSE(hops->back().cut_off);
}

TEST(NextHopAnswer, TellsHowTheLoginEnded) {
  const auto login = [](const std::string& text) {
    return ParseNextHops(Record("hop", "x") + Record("hop_login", text) +
                         Record("end", ""))
        ->front();
  };
  EXPECT_TRUE(login("words\n=137").timed_out);
  EXPECT_TRUE(login("words without an end").cut_off);
  EXPECT_TRUE(login("words\n=12345").cut_off);
  EXPECT_TRUE(login("words\n=").cut_off);
}

TEST(NextHopAnswer, IsUnknownWhereTheProbeWasDisturbed) {
  EXPECT_FALSE(ParseNextHops(Record("hop", "x") + "zz").known());
  EXPECT_FALSE(ParseNextHops(Record("hop", "x")).known());
  EXPECT_EQ(ParseNextHops(Record("end", ""))->size(), 0U);
}

}  // namespace
}  // namespace agentdoctor
