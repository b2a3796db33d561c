// Teleport's rules as a pure function, and the texts that tsh prints.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "clients/tsh_options.h"
#include "clients/tsh_words.h"

namespace agentdoctor {
namespace {

using Words = std::vector<std::string>;

constexpr int kOld = TshRelease(6, 1);
constexpr int kNew = TshRelease(15, 4);

TEST(TshOptions, AskForNothingByDefault) {
  EXPECT_EQ(TshMode({}), "no");
  EXPECT_EQ(TshMode({"-l", "-A", "-p", "22"}), "no") << "a user's name";
  EXPECT_EQ(TshMode({"-o", "User=dave"}), "no");
}

TEST(TshOptions, LetTheLastOptionHoldAndDashAWin) {
  EXPECT_EQ(TshMode({"-o", "ForwardAgent yes"}), "yes");
  EXPECT_EQ(TshMode({"-o", "ForwardAgent=local"}), "local");
  EXPECT_EQ(TshMode({"-o", "ForwardAgent yes", "-o", "ForwardAgent no"}), "no");
  EXPECT_EQ(TshMode({"-o", "ForwardAgent no", "-o", "ForwardAgent local"}),
            "local");
  EXPECT_EQ(TshMode({"-A", "-o", "ForwardAgent no"}), "yes");
  EXPECT_EQ(TshMode({"-o", "ForwardAgent local", "-A"}), "yes");
}

TEST(TshOptions, AreTakenApartAsTshDoes) {
  EXPECT_EQ(ForwardAgentMode("ForwardAgent=Yes"), "yes");
  EXPECT_EQ(ForwardAgentMode("ForwardAgent = NO"), "no");
  EXPECT_EQ(ForwardAgentMode(" ForwardAgent  local "), "local");
  EXPECT_EQ(ForwardAgentMode("forwardagent yes"), std::nullopt);
  EXPECT_EQ(ForwardAgentMode("ForwardAgent"), std::nullopt);
  EXPECT_EQ(ForwardAgentMode("ForwardAgent yes no"), std::nullopt);
  EXPECT_EQ(ForwardAgentMode("ForwardAgent true"), std::nullopt);
  EXPECT_EQ(ForwardAgentMode(""), std::nullopt);
}

TEST(TshOptions, MeanAnAgentByTheRelease) {
  EXPECT_EQ(TshForwards("no", kNew), TshAgent::kNone);
  EXPECT_EQ(TshForwards("yes", kNew), TshAgent::kUsers);
  EXPECT_EQ(TshForwards("local", kNew), TshAgent::kOwn);
  EXPECT_EQ(TshForwards("yes", TshRelease(6, 2)), TshAgent::kUsers);
  EXPECT_EQ(TshForwards("yes", kOld), TshAgent::kOwn);
  EXPECT_EQ(TshForwards("no", kOld), TshAgent::kNone);
  EXPECT_EQ(TshForwards("yes", 0), TshAgent::kUsers) << "not known: as today";
}

TEST(TshOptions, KnowTheRelease) {
  EXPECT_EQ(TshRelease("Teleport v15.4.2 git:v15.4.2-0-g0 go1.21"),
            TshRelease(15, 4));
  EXPECT_EQ(TshRelease("Teleport Enterprise v4.2.1git:v4.2.1 go1.13"),
            TshRelease(4, 2));
  EXPECT_EQ(TshRelease("Teleport v6.2.0-beta.1"), TshRelease(6, 2));
  EXPECT_EQ(TshRelease("a toy shell, version two"), 0);
  EXPECT_EQ(TshRelease(""), 0);
}

Request Asked(const Words& options, const std::string& destination = "node") {
  return {.destination = destination,
          .client = "tsh",
          .ssh_options = options,
          .ssh = "tsh"};
}

TEST(TshOptions, AreRefusedWhereTshHasNoneSuch) {
  EXPECT_EQ(TshRequestFault(Asked({"-A", "-l", "dave", "-p", "3022"})), "");
  EXPECT_EQ(TshRequestFault(Asked({}, "dave@node.example.com")), "");
  EXPECT_EQ(TshRequestFault(Asked({"-l", "-F"})), "") << "a user's name";
  EXPECT_EQ(TshRequestFault(Asked({"-o", "Compression yes"})), "")
      << "tsh passes over what it does not know";
  for (const Words& options :
       {Words{"-4"}, Words{"-6"}, Words{"-a"}, Words{"-F", "x"},
        Words{"-i", "x"}, Words{"-J", "x"}, Words{"-o", "ForwardAgent"},
        Words{"-o", "ForwardAgent /run/agent"}, Words{"-o", "FORWARDAGENT no"},
        Words{"-o", "StrictHostKeyChecking no"}, Words{"-o", "RequestTTY=yes"}})
    EXPECT_NE(TshRequestFault(Asked(options)), "") << options.back();
  for (const char* destination : {"", "-A", "@file", "ssh://node", "a=b"})
    EXPECT_NE(TshRequestFault(Asked({}, destination)), "") << destination;
}

TEST(TshWords, GiveTheVersion) {
  EXPECT_EQ(TshVersion("Teleport v15.4.2 git:v15.4.2-0-g1 go1.21.11\n"
                       "Proxy version: 15.4.0\n"),
            "Teleport v15.4.2");
  EXPECT_EQ(TshVersion("Teleport Enterprise v4.2.1git:v4.2.1-0-g1 go1.13.2"),
            "Teleport Enterprise v4.2.1");
  EXPECT_EQ(TshVersion("WARNING: something\nTeleport v6.2.0 git: go"),
            "Teleport v6.2.0");
  EXPECT_EQ(TshVersion("a toy shell v1.0"), "");
  EXPECT_EQ(TshVersion("Teleport vNext"), "");
}

std::string Profile(const std::string& until, const std::string& mark = "> ") {
  return mark + "Profile URL:        https://teleport.example.com:443\n" +
         "  Logged in as:       dave\n  Cluster:            main\n" +
         "  Valid until:        2026-11-21 22:00:00 +0000 UTC [" + until +
         "]\n  Extensions:         permit-pty\n\n";
}

std::string CodeOf(const std::string& status) {
  const auto fault = TshLoginFault(status);
  return fault ? fault->code : "";
}

TEST(TshWords, TellAValidLoginFromNone) {
  EXPECT_EQ(CodeOf(Profile("valid for 11h59m0s")), "");
  EXPECT_EQ(CodeOf(Profile("valid for <1m")), "");
  EXPECT_EQ(CodeOf(Profile("valid for 1h0m0s") + Profile("EXPIRED", "  ")), "")
      << "another profile does not matter";
  EXPECT_EQ(CodeOf(Profile("EXPIRED") + Profile("valid for 9h", "  ")),
            "interaction-needed");
  EXPECT_EQ(CodeOf("Not logged in.\n"), "interaction-needed");
  EXPECT_EQ(CodeOf("\033[31mERROR: \033[0mNot logged in.\n"),
            "interaction-needed");
  EXPECT_EQ(CodeOf(Profile("valid for 9h", "  ") + "ERROR: No active profile."),
            "interaction-needed");
  EXPECT_EQ(CodeOf(""), "interaction-needed");
  EXPECT_EQ(CodeOf("Usage: tsh status"), "interaction-needed");
  EXPECT_EQ(CodeOf(Profile("valid for 9h") +
                   "ERROR: dial tcp 10.0.0.1:443: connect: connection refused"),
            "connection-refused");
  EXPECT_NE(TshLoginFault(Profile("EXPIRED"))->message.find("[EXPIRED]"),
            std::string::npos);
}

TEST(TshWords, SayWhyThereIsNoSession) {
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"ERROR: access denied to dave connecting to node on cluster main"},
       "authentication-failed"},
      {{"ERROR: ssh: handshake failed: ssh: unable to authenticate, attempted "
        "methods [none publickey], no supported methods remain"},
       "authentication-failed"},
      {{"ERROR: failed connecting to node node.",
        "dial tcp 10.0.0.5:3022: "
        "i/o timeout"},
       "connection-timeout"},
      {{"ERROR: lookup nod on 10.0.0.1:53: no such host"}, "name-not-resolved"},
      {{"ERROR: Teleport proxy not available at proxy address x:3080"},
       "proxy-failed"},
      {{"error: untrusted host 10.0.0.5"}, "host-key-unknown"},
      {{"ERROR: a thing never heard of"}, "connection-lost"}};
  for (const auto& [messages, code] : cases) {
    const auto fault = TshFault(messages);
    ASSERT_TRUE(fault) << messages.front();
    EXPECT_EQ(fault->code, code) << messages.front();
    EXPECT_EQ(fault->message.find(messages.front()), 0U) << fault->message;
  }
  EXPECT_FALSE(TshFault({"access denied", "a far side's own message"}));
  EXPECT_FALSE(TshFault({}));
}

TEST(TshWords, TellARefusalAndAQuestion) {
  EXPECT_TRUE(TshForwardingDenied({"ERROR: forwarding request denied"}));
  EXPECT_FALSE(TshForwardingDenied({"forwarding request denied"}));
  EXPECT_EQ(TshAsksPerson("  Tap any security key  "), "Tap any security key");
  EXPECT_NE(TshAsksPerson("Enter password for Teleport user dave:"), "");
  EXPECT_NE(TshAsksPerson("open it by clicking on the link:"), "");
  EXPECT_EQ(TshAsksPerson("WARNING: Option 'User' is not supported."), "");
}

TEST(TshWords, StandWithoutColours) {
  EXPECT_EQ(TshLine(" \033[31mERROR: \033[0mno\r"), "ERROR: no");
  EXPECT_EQ(TshLine("\033[31"), "");
}

}  // namespace
}  // namespace agentdoctor
