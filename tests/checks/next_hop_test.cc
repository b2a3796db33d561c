#include <gtest/gtest.h>

#include "healthy.h"

namespace agentdoctor {
namespace {

using Strings = std::vector<std::string>;

Answer AskNextHop(const Facts& facts) { return Ask("next-hop", facts); }

NextHop& Hop(Facts& facts) { return facts.next_hops.get()->front(); }

/// Both forwarded keys were offered, and neither was taken.
Facts DeniedFacts(const std::string& message =
                      "git@gitlab.example: Permission denied (publickey).") {
  Facts facts = HealthyFacts();
  NextHop& hop = Hop(facts);
  hop.authenticated = false;
  hop.auth_method.clear();
  hop.offered[0].accepted = false;
  hop.offered.push_back({"ED25519", "SHA256:home", "home", true, false});
  hop.fault = TransportFault{"authentication-failed", message};
  return facts;
}

/// Nothing was offered because of this line of the host's configuration.
Facts KeptBackFacts(const std::string& keyword, const std::string& value,
                    const std::string& line) {
  Facts facts = DeniedFacts();
  Hop(facts).offered.clear();
  Hop(facts).config = {{keyword, value}};
  Hop(facts).lines = {{.file = "/home/dave/.ssh/config",
                       .line = 7,
                       .text = line + " " + value}};
  return facts;
}

Finding Only(const Facts& facts) {
  const Answer answer = AskNextHop(facts);
  EXPECT_EQ(answer.findings.size(), 1U);
  return answer.findings.empty() ? Finding() : answer.findings[0];
}

TEST(NextHop, IsQuietWhereAForwardedKeyIsAccepted) {
  const Answer answer = AskNextHop(HealthyFacts());
  EXPECT_EQ(Codes(answer), Strings{});
  EXPECT_EQ(answer.skipped, "");
  EXPECT_EQ(answer.summary,
            "git@gitlab.example: accepted ED25519 SHA256:work as git");
}

TEST(NextHop, NamesTheAccountOfAForge) {
  Facts facts = HealthyFacts();
  Hop(facts).user = "dave";
  Hop(facts).greeting = "Welcome to GitLab, @dave!";
  EXPECT_EQ(AskNextHop(facts).summary,
            "git@gitlab.example: accepted ED25519 SHA256:work as dave");
}

TEST(NextHop, IsSkippedWithTheReason) {
  EXPECT_EQ(AskNextHop(FaultFacts("connection-refused", "refused")).skipped,
            "no session came about");
  Facts facts = HealthyFacts();
  Hop(facts) = {.destination = "git@gitlab.example",
                .not_tried = "no agent answers there"};
  EXPECT_EQ(AskNextHop(facts).skipped,
            "no login to git@gitlab.example was tried: no agent answers there");
}

TEST(NextHop, NamesTheKeysThatAreRefusedAndTheOnesThatAreHidden) {
  Facts facts = DeniedFacts();
  facts.near.agents[0].identities.push_back(Key("secret"));
  const Finding finding = Only(facts);
  EXPECT_EQ(finding.code, "next-hop-denied");
  EXPECT_EQ(finding.severity, Severity::kError);
  EXPECT_EQ(finding.certainty, Certainty::kProven);
  for (const char* name : {"SHA256:work", "SHA256:home", "SHA256:secret"})
    EXPECT_TRUE(Says(finding, name)) << name;
}

TEST(NextHop, TellsWhatWorksBesideWhatDoesNot) {
  Facts facts = DeniedFacts();
  NextHop works = HealthyFacts().next_hops->front();
  works.destination = "web01";
  facts.next_hops.get()->push_back(works);
  EXPECT_TRUE(Says(Only(facts), "web01: accepted ED25519 SHA256:work"));
}

TEST(NextHop, SuggestsGitAsTheUserOfAForge) {
  Facts facts =
      DeniedFacts("dave@gitlab.example: Permission denied (publickey).");
  Hop(facts).destination = "gitlab.example";
  Hop(facts).user = "dave";
  Hop(facts).config = {{"hostname", "gitlab.example"}};
  EXPECT_EQ(Only(facts).fixes[0].commands,
            (std::vector<Strings>{{"ssh", "-T", "git@gitlab.example"}}));
}

TEST(NextHop, BlamesTheLineThatKeepsTheKeysBack) {
  const Finding only =
      Only(KeptBackFacts("identitiesonly", "yes", "IdentitiesOnly"));
  EXPECT_EQ(only.code, "next-hop-ignores-agent");
  EXPECT_EQ(only.certainty, Certainty::kProven);
  EXPECT_TRUE(Says(only, "IdentitiesOnly yes"));
  EXPECT_EQ(only.evidence[1].file, "/home/dave/.ssh/config");
  EXPECT_EQ(only.evidence[1].line, 7);

  const Finding agent =
      Only(KeptBackFacts("identityagent", "none", "IdentityAgent"));
  EXPECT_EQ(agent.code, "next-hop-ignores-agent");
  EXPECT_TRUE(Says(agent, "IdentityAgent none"));
  EXPECT_EQ(agent.fixes[0].edits[0].text,
            "Host gitlab.example\n  IdentityAgent SSH_AUTH_SOCK");

  const Finding keys =
      Only(KeptBackFacts("pubkeyauthentication", "no", "PubkeyAuthentication"));
  EXPECT_EQ(keys.code, "next-hop-ignores-agent");
}

TEST(NextHop, DoesNotBlameAnIdentityAgentThatIsTheForwardedOne) {
  Facts facts = KeptBackFacts("identityagent", kFarSocket, "IdentityAgent");
  EXPECT_EQ(Only(facts).code, "next-hop-denied");
  EXPECT_EQ(Only(facts).certainty, Certainty::kLikely);
}

TEST(NextHop, IsAnInfoWhereTheHostsOwnKeyLetsIn) {
  Facts facts = HealthyFacts();
  Hop(facts).config = {{"identitiesonly", "yes"}};
  Hop(facts).offered = {{.type = "ED25519",
                         .fingerprint = "SHA256:deploy",
                         .file = "/home/dave/.ssh/deploy",
                         .accepted = true}};
  Finding finding = Only(facts);
  EXPECT_EQ(finding.code, "next-hop-ignores-agent");
  EXPECT_EQ(finding.severity, Severity::kInfo);
  EXPECT_TRUE(Says(finding, "/home/dave/.ssh/deploy"));

  // ... after the forwarded ones were refused.
  Hop(facts).config.clear();
  Hop(facts).offered.insert(Hop(facts).offered.begin(),
                            {"ED25519", "SHA256:work", "work", true, false});
  finding = Only(facts);
  EXPECT_EQ(finding.code, "next-hop-denied");
  EXPECT_EQ(finding.severity, Severity::kInfo);
}

TEST(NextHop, TakesTheKeyOfAnotherAgentForNoForwardedOne) {
  Facts facts = HealthyFacts();
  Hop(facts).config = {{"identityagent", "/run/user/1000/other.sock"}};
  Hop(facts).offered[0].fingerprint = "SHA256:other";
  const Finding finding = Only(facts);
  EXPECT_EQ(finding.code, "next-hop-ignores-agent");
  EXPECT_EQ(finding.severity, Severity::kInfo);
  EXPECT_TRUE(Says(finding, "another agent"));
}

TEST(NextHop, MentionsAMasterOfTheHostsOwn) {
  Facts facts = HealthyFacts();
  Hop(facts).master_alive = true;
  Hop(facts).config = {{"controlpath", "/home/dave/.ssh/git.sock"}};
  EXPECT_EQ(Only(facts).severity, Severity::kInfo);
  EXPECT_TRUE(Says(Only(facts), "/home/dave/.ssh/git.sock"));
  facts = DeniedFacts();
  Hop(facts).master_alive = true;
  EXPECT_EQ(Only(facts).code, "next-hop-denied");
  EXPECT_TRUE(Says(Only(facts), "a master answers"));
}

TEST(NextHop, WarnsWhereAnotherKeyIsTakenThanTheOneAskedFor) {
  Facts facts = HealthyFacts();
  facts.request.key = "~/.ssh/home";
  facts.request.key_fingerprint = "SHA256:home";
  const Finding finding = Only(facts);
  EXPECT_EQ(finding.code, "next-hop-denied");
  EXPECT_EQ(finding.severity, Severity::kWarning);
  EXPECT_TRUE(Says(finding, "before ~/.ssh/home"));
  facts.request.key_fingerprint = "SHA256:work";
  EXPECT_EQ(Codes(AskNextHop(facts)), Strings{});
}

TEST(NextHop, HangsUpAfterTooManyKeys) {
  const Finding finding =
      Only(DeniedFacts("Received disconnect from 10.0.0.9 port 22:2: Too many "
                       "authentication failures"));
  EXPECT_EQ(finding.code, "next-hop-too-many-keys");
  EXPECT_TRUE(Says(finding, "SHA256:home"));
}

TEST(NextHop, TellsEveryWayOfNotGettingThere) {
  for (const char* code :
       {"name-not-resolved", "connection-refused", "connection-timeout",
        "network-unreachable", "proxy-failed", "host-unreachable-through-jump",
        "host-key-unknown", "host-key-changed", "protocol-mismatch",
        "connection-lost"}) {
    Facts facts = DeniedFacts();
    Hop(facts).offered.clear();
    Hop(facts).agent_keys = Unknown{"the ssh there did not say"};
    Hop(facts).fault = TransportFault{code, "ssh's own words"};
    const Finding finding = Only(facts);
    EXPECT_EQ(finding.code, "next-hop-unreachable") << code;
    EXPECT_TRUE(Says(finding, "ssh's own words")) << code;
    EXPECT_TRUE(Says(finding, "git@gitlab.example")) << code;
    EXPECT_FALSE(finding.fixes[0].commands.empty()) << code;
  }
}

TEST(NextHop, SeesKeysThatAreHiddenFromTheHost) {
  Facts facts = HealthyFacts();
  facts.far.agents[0].identities.clear();
  Hop(facts) = {.destination = "git@gitlab.example",
                .not_tried = "the agent there shows no key"};
  const Finding finding = Only(facts);
  EXPECT_EQ(finding.code, "next-hop-key-constrained");
  EXPECT_EQ(finding.certainty, Certainty::kProven);
  EXPECT_TRUE(Says(finding, "SHA256:work"));

  // An agent that is empty at home hides nothing.
  facts.near.agents[0].identities.clear();
  EXPECT_EQ(Codes(AskNextHop(facts)), Strings{});
  EXPECT_NE(AskNextHop(facts).skipped, "");
}

TEST(NextHop, SeesKeysThatAreHiddenFromTheLogin) {
  Facts facts = DeniedFacts();
  Hop(facts).offered.clear();
  Hop(facts).agent_keys = 0;
  EXPECT_EQ(Only(facts).code, "next-hop-key-constrained");
}

TEST(NextHop, ThatWouldTakeAKeyWhichIsNotSignedWithIsLikelyConstrained) {
  Facts facts = DeniedFacts();
  Hop(facts).offered[1].accepted = true;
  Hop(facts).signing_failure =
      "sign_and_send_pubkey: signing failed for ED25519 \"home\" from agent: "
      "agent refused operation";
  const Finding refused = Only(facts);
  EXPECT_EQ(refused.code, "next-hop-key-constrained");
  EXPECT_EQ(refused.certainty, Certainty::kLikely);
  EXPECT_TRUE(Says(refused, "SHA256:home"));
  EXPECT_TRUE(Says(refused, "agent refused operation"));

  Hop(facts).signing_failure.clear();
  Hop(facts).fault = TransportFault{"connection-timeout", "no answer"};
  EXPECT_EQ(Only(facts).code, "next-hop-key-constrained");
  EXPECT_TRUE(Says(Only(facts), "did not sign in time"));
}

TEST(NextHop, ThatAsksForASecondFactorAfterAForwardedKeyIsFine) {
  Facts facts = DeniedFacts();
  Hop(facts).offered[1].accepted = true;
  Hop(facts).fault = TransportFault{"interaction-needed", "Permission denied"};
  const Answer answer = AskNextHop(facts);
  EXPECT_EQ(Codes(answer), Strings{});
  EXPECT_NE(answer.summary.find("asks for more"), std::string::npos);
}

TEST(NextHop, NeedsNoKeyWhereAnotherMethodLetsIn) {
  Facts facts = HealthyFacts();
  Hop(facts).auth_method = "gssapi-with-mic";
  Hop(facts).offered.clear();
  EXPECT_EQ(Codes(AskNextHop(facts)), Strings{});
}

}  // namespace
}  // namespace agentdoctor
