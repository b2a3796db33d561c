#include "server_software.h"

#include <gtest/gtest.h>

#include "healthy.h"

namespace agentdoctor {
namespace {

using checks::FindForge;
using checks::Software;
using checks::SoftwareOf;

Facts Answering(const std::string& words) {
  Facts facts = HealthyFacts();
  Session& session = *facts.link.session.get();
  session.end = SessionEnd::kNoProbe;
  session.output_head = words;
  facts.far = {};
  return facts;
}

TEST(ServerSoftware, IsKnownByItsVersion) {
  EXPECT_EQ(SoftwareOf("OpenSSH_9.2p1 Debian-2"), Software::kOpenSsh);
  EXPECT_EQ(SoftwareOf("OpenSSH_for_Windows_9.5"), Software::kWindows);
  EXPECT_EQ(SoftwareOf("dropbear_2022.83"), Software::kDropbear);
  EXPECT_EQ(SoftwareOf("tinyssh_20230101-1 lg70C62o"), Software::kTinySsh);
  EXPECT_EQ(SoftwareOf("Cisco-1.25"), Software::kOther);
  EXPECT_EQ(SoftwareOf(""), Software::kUnknown);
}

TEST(ServerSoftware, IsThatOfTheFreshLoginBehindAMaster) {
  Facts facts = StaleMasterFacts();
  facts.link.control.get()->transcript.server_version = "dropbear_2022.83";
  EXPECT_EQ(checks::ServerVersion(facts), "dropbear_2022.83");
}

TEST(ServerSoftware, OfForgesIsKnownByVersionOrWords) {
  const auto forge = [](const std::string& version, const std::string& words) {
    Facts facts = Answering(words);
    facts.link.session.get()->transcript.server_version = version;
    const auto found = FindForge(facts);
    return found ? found->product + (found->sure ? "" : "?") : "none";
  };
  EXPECT_EQ(forge("babeld-2e9d163d", ""), "GitHub");
  EXPECT_EQ(forge("GerritCodeReview_3.4.3 (APACHE-SSHD-2.6.0)", ""), "Gerrit");
  EXPECT_EQ(forge("OpenSSH_9.2p1", "FATAL: unknown git/gitolite command: 'sh"),
            "gitolite");
  EXPECT_EQ(forge("OpenSSH_9.2p1", "fatal: unrecognized command 'sh -c ..."),
            "git-shell");
  EXPECT_EQ(forge("OpenSSH_9.2p1", "This account is currently not available."),
            "none");
}

TEST(ServerSoftware, OfAForgeMayShowInTheGreeting) {
  Facts facts = Answering("ERROR: no such command");
  facts.link.control = GrantedControl(facts);
  EXPECT_FALSE(FindForge(facts));
  facts.link.control.get()->greeting = "Welcome to GitLab, @dave!";
  EXPECT_EQ(FindForge(facts)->product, "GitLab");
}

TEST(ServerSoftware, OfTheUserGitWithoutAShellIsProbablyAForge) {
  Facts facts = Answering("no");
  facts.link.config.get()->values["user"] = Value("git");
  ASSERT_TRUE(FindForge(facts));
  EXPECT_FALSE(FindForge(facts)->sure);
  facts.link.session.get()->end = SessionEnd::kProbed;
  EXPECT_FALSE(FindForge(facts)) << "with a shell it is a host";
}

}  // namespace
}  // namespace agentdoctor
