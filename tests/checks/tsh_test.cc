// Findings about Teleport's tsh: by its rules, and by the keys that arrive.
#include <gtest/gtest.h>

#include "healthy.h"
#include "path.h"
#include "plan.h"

namespace agentdoctor {
namespace {

const std::string kNode = "/tmp/teleport-2417/teleport-812.socket";

Identity TeleportKey(const std::string& name) {
  Identity key = Key(name);
  key.comment = "teleport:proxy.example:main:dave";
  return key;
}

/// `tsh ssh WORDS node` to a Teleport node, and all is well.
Facts TshFacts(const std::string& mode, const std::vector<std::string>& words,
               AgentSource source = AgentSource::kEnvironment) {
  Facts facts = HealthyFacts();
  facts.request = {.destination = "node",
                   .client = "tsh",
                   .ssh_options = words,
                   .ssh = "tsh"};
  facts.next_hops = {};
  Link& link = facts.link;
  link.client = "tsh";
  link.version = "Teleport v15.4.2";
  ClientConfig config;
  config.values["forwardagent"] = {.values = {mode},
                                   .origin = ConfigOrigin::kCommandLine};
  config.forward_agent = mode != "no";
  link.config = config;
  if (source == AgentSource::kTeleport)
    link.forwarded = AgentChoice{.source = source, .text = "local"};
  link.primary = NotNeeded{"tsh logs in with the keys of ~/.tsh"};
  link.sharing = Sharing{};
  Transcript transcript;
  transcript.through_master = false;
  transcript.authenticated = true;
  transcript.forwarding_requested = mode != "no";
  link.session.get()->transcript = transcript;
  Side& far = facts.far;
  far.auth_sock = far.initial_auth_sock = std::optional<std::string>(kNode);
  far.connection_sockets = std::vector<std::string>{};
  far.agents.front().path = kNode;
  if (source == AgentSource::kTeleport)
    far.agents.front().identities = {TeleportKey("cert")};
  if (mode == "no") RemoveFarAgent(facts);
  return facts;
}

TEST(TshChecks, AreQuietWhereTheUsersAgentArrives) {
  const HostReport report = DiagnoseFacts(TshFacts("yes", {"-A"}));
  EXPECT_EQ(report.verdict, Verdict::kHealthy);
  EXPECT_TRUE(report.findings.empty());
  for (const CheckResult& check : report.checks) {
    if (check.id == "next-hop") continue;
    EXPECT_EQ(check.status, Status::kPass) << check.id << check.summary;
  }
}

TEST(TshChecks, KnowTheSocketOfATeleportNode) {
  EXPECT_TRUE(checks::NamedBySshd(kNode));
  EXPECT_FALSE(checks::NamedBySshd("/tmp/teleport-2417/other"));
}

TEST(TshChecks, NeedAnOption) {
  const HostReport report = DiagnoseFacts(TshFacts("no", {}));
  EXPECT_EQ(report.verdict, Verdict::kBroken);
  const ReportedFinding* found = Find(report, "forwarding-not-requested");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->finding.certainty, Certainty::kProven);
  EXPECT_EQ(found->finding.fixes.front().commands.front(),
            (std::vector<std::string>{"tsh", "ssh", "-A", "node"}));
  const HostReport off =
      DiagnoseFacts(TshFacts("no", {"-o", "ForwardAgent no", "-l", "dave"}));
  found = Find(off, "forwarding-disabled-by-config");
  ASSERT_TRUE(found);
  EXPECT_TRUE(Says(found->finding, "-o \"ForwardAgent no\""));
  EXPECT_EQ(
      found->finding.fixes.front().commands.front(),
      (std::vector<std::string>{"tsh", "ssh", "-A", "-l", "dave", "node"}));
}

TEST(TshChecks, SpeakOfNoOtherClient) {
  // Everything that can be wrong on this side and on the way, in tsh's words.
  std::vector<Facts> all = {TshFacts("no", {})};
  Facts none = TshFacts("yes", {"-A"});
  none.link.forwarded =
      AgentChoice{.source = AgentSource::kEnvironment, .text = "SSH_AUTH_SOCK"};
  none.near.auth_sock = std::optional<std::string>();
  RemoveFarAgent(none);
  all.push_back(none);
  Facts empty = TshFacts("yes", {"-A"});
  empty.near.agents.front().identities.clear();
  RemoveFarAgent(empty);
  all.push_back(empty);
  Facts denied = TshFacts("yes", {"-A"});
  RemoveFarAgent(denied);
  all.push_back(denied);
  for (const char* code :
       {"interaction-needed", "authentication-failed", "name-not-resolved",
        "connection-refused", "connection-timeout", "network-unreachable",
        "proxy-failed", "host-key-unknown", "ssh-not-found",
        "connection-lost"}) {
    Facts fault = TshFacts("yes", {"-A"});
    fault.link.session = Session{.end = SessionEnd::kFailed,
                                 .fault = TransportFault{code, "tsh's words"}};
    fault.far = {};
    all.push_back(fault);
  }
  for (const Facts& facts : all) {
    const HostReport report = DiagnoseFacts(facts);
    EXPECT_NE(report.verdict, Verdict::kHealthy);
    for (const ReportedFinding& reported : report.findings) {
      std::string text = Text(reported.finding);
      for (const Fix& fix : reported.finding.fixes) {
        text += fix.title;
        for (const Edit& edit : fix.edits) text += edit.file + edit.text;
        for (const auto& command : fix.commands)
          for (const std::string& word : command) text += word + " ";
      }
      for (const char* foreign :
           {"~/.ssh/config", "HostName", "IdentityAgent", "IdentityFile",
            "ssh -O", "-v ", "--ssh", "--interactive", "ssh -G", "plink"})
        EXPECT_EQ(text.find(foreign), std::string::npos)
            << reported.finding.code << ": " << foreign << ": " << text;
    }
  }
}

TEST(TshChecks, SayThatItsOwnAgentIsForwarded) {
  const HostReport report = DiagnoseFacts(
      TshFacts("local", {"-o", "ForwardAgent local"}, AgentSource::kTeleport));
  EXPECT_EQ(report.verdict, Verdict::kHealthy);
  const ReportedFinding* found = Find(report, "teleport-agent-forwarded");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->finding.severity, Severity::kInfo);
  EXPECT_EQ(found->finding.certainty, Certainty::kProven);
  EXPECT_TRUE(Says(found->finding, "SHA256:cert"));
  EXPECT_TRUE(Says(found->finding, "SHA256:work"));
}

TEST(TshChecks, SayOnlyWhatIsLikelyWithoutASession) {
  Facts facts =
      TshFacts("local", {"-o", "ForwardAgent local"}, AgentSource::kTeleport);
  facts.link.session =
      Session{.end = SessionEnd::kFailed,
              .fault = TransportFault{"interaction-needed", "Not logged in."}};
  facts.far = {};
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kUndetermined);
  const ReportedFinding* found = Find(report, "teleport-agent-forwarded");
  ASSERT_TRUE(found);
  EXPECT_EQ(found->finding.certainty, Certainty::kLikely);
}

TEST(TshChecks, WarnWhereTheUsersAgentWasAskedForInVain) {
  Facts old = TshFacts("yes", {"-A"}, AgentSource::kTeleport);
  old.link.version = "Teleport v6.1.3";
  const HostReport report = DiagnoseFacts(old);
  EXPECT_EQ(report.verdict, Verdict::kDegraded);
  EXPECT_EQ(report.root_cause->code, "teleport-agent-forwarded");
  EXPECT_TRUE(Says(Find(report, "teleport-agent-forwarded")->finding,
                   "Teleport v6.1.3"));

  Facts recorded = TshFacts("yes", {"-A"});
  recorded.far.agents.front().identities = {TeleportKey("cert")};
  const HostReport other = DiagnoseFacts(recorded);
  EXPECT_EQ(other.root_cause->code, "teleport-agent-forwarded");
  EXPECT_EQ(Find(other, "teleport-agent-forwarded")->finding.certainty,
            Certainty::kProven);
  EXPECT_FALSE(Find(other, "remote-keys-differ"));

  // The user's agent has the same key, so only what is missing speaks.
  recorded.near.agents.front().identities.push_back(TeleportKey("cert"));
  EXPECT_EQ(Find(DiagnoseFacts(recorded), "teleport-agent-forwarded")
                ->finding.certainty,
            Certainty::kLikely);
  recorded.near.agents.front().identities = {TeleportKey("cert")};
  EXPECT_TRUE(DiagnoseFacts(recorded).findings.empty())
      << "one and the same, as far as can be seen";
}

TEST(TshChecks, BelieveTheKeysMoreThanTheRules) {
  // An alias of tsh's may add what the command line lacks.
  Facts facts = TshFacts("yes", {"-A"});
  facts.link.config.get()->forward_agent = false;
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kHealthy);
  facts =
      TshFacts("local", {"-o", "ForwardAgent local"}, AgentSource::kTeleport);
  facts.far.agents.front().identities = {Key("work")};
  EXPECT_FALSE(Find(DiagnoseFacts(facts), "teleport-agent-forwarded"));
}

TEST(TshChecks, BelieveTheServersAnswer) {
  Facts facts = TshFacts("yes", {"-A"});
  Session& session = *facts.link.session.get();
  session.end = SessionEnd::kNoProbe;
  session.transcript.forwarding_granted = false;
  session.transcript.messages = {"ERROR: forwarding request denied"};
  facts.far = {};
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kBroken);
  EXPECT_EQ(report.root_cause->code, "server-denies-forwarding");
  // An option of the key may be why, and tsh does not pass on what it says.
  const Finding& finding = Find(report, "server-denies-forwarding")->finding;
  EXPECT_EQ(finding.certainty, Certainty::kLikely);
  EXPECT_TRUE(Says(finding, "FAILURE"));
  EXPECT_FALSE(Find(report, "forced-command"));
}

TEST(TshChecks, NeedNoControlLogin) {
  for (const SessionEnd end : {SessionEnd::kProbed, SessionEnd::kNoProbe}) {
    Facts facts = TshFacts("yes", {"-A"});
    facts.link.session.get()->end = end;
    facts.link.control = {};
    EXPECT_EQ(Next(facts, ControlMode::kAlways).next, Experiment::kNone);
  }
}

}  // namespace
}  // namespace agentdoctor
