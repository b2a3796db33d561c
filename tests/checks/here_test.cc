// What the checks say from inside, where there is one side only.
#include <gtest/gtest.h>

#include "healthy.h"
#include "live_agents.h"
#include "shell.h"

namespace agentdoctor {
namespace {

const std::string kMine = "/tmp/ssh-abcdefghij/agent.100";
const std::string kOther = "/tmp/ssh-zyxwvutsrq/agent.200";

Facts HereFacts() {
  Facts facts;
  facts.here = true;
  facts.collected = kNow;
  facts.request.destination = "gitlab-runner";
  Side& side = facts.near;
  side.name = "gitlab-runner";
  side.uid = 1000;
  side.shell = std::string("/bin/bash");
  side.auth_sock = std::optional<std::string>(kMine);
  side.initial_auth_sock = std::optional<std::string>(kMine);
  side.ssh_connection = std::string("203.0.113.5 50022 10.0.0.5 22");
  side.connection_sockets = std::vector<std::string>{kMine};
  Agent mine = LiveAgent(kMine, {"work"});
  mine.product = "forwarded by sshd";
  side.agents = {mine};
  side.startup_lines = std::vector<StartupLine>{};
  side.identity_agent = std::string();
  side.long_lived = LongLived{};
  side.ancestors = {
      {.pid = 102,
       .name = "bash",
       .auth_sock = std::optional<std::string>(kMine)},
      {.pid = 100, .name = "sshd", .auth_sock = std::optional<std::string>()}};
  facts.link.forwarded = AgentChoice{.text = "SSH_AUTH_SOCK", .path = kMine};
  return facts;
}

Facts With(Facts facts, const std::optional<std::string>& value,
           const std::vector<Agent>& agents = {}) {
  facts.near.auth_sock = value;
  facts.link.forwarded.get()->path = value;
  for (const Agent& agent : agents) facts.near.agents.push_back(agent);
  return facts;
}

std::vector<std::string> Codes(const HostReport& report) {
  std::vector<std::string> codes;
  for (const ReportedFinding& reported : report.findings)
    codes.push_back(reported.finding.code);
  return codes;
}

using Strings = std::vector<std::string>;

TEST(HereChecks, AreQuietInAForwardedSession) {
  const HostReport report = DiagnoseFacts(HereFacts());
  EXPECT_EQ(report.verdict, Verdict::kHealthy);
  EXPECT_EQ(Codes(report), Strings{});
  EXPECT_EQ(report.this_shell, "");
  for (const CheckResult& check : report.checks)
    EXPECT_EQ(check.status, Status::kPass) << check.id << check.summary;
}

TEST(HereChecks, AreQuietOnAMachineOfOnesOwn) {
  Facts facts = HereFacts();
  facts.near.ancestors = {};
  facts.near.ssh_connection = Unknown{"SSH_CONNECTION is not set"};
  facts.near.initial_auth_sock = Unknown{"no sshd is seen above this shell"};
  facts.near.connection_sockets = Unknown{"no sshd is seen above this shell"};
  facts.near.identity_agent = std::string("/run/user/1000/other.sock");
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kHealthy);
  EXPECT_EQ(Codes(DiagnoseFacts(facts)), Strings{});
}

TEST(HereChecks, AnswerADeadVariableWithTheSocketOfThisConnection) {
  Agent other = LiveAgent(kOther, {"work", "home"});
  other.product = "forwarded by sshd";
  Facts facts = With(HereFacts(), "/tmp/gone",
                     {DeadAgent("/tmp/gone", AgentState::kMissing), other});
  facts.near.socket_connections[kOther] = "198.51.100.7 1 10.0.0.5 22";
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kBroken);
  EXPECT_EQ(report.root_cause->code, "agent-socket-missing");
  EXPECT_EQ(report.this_shell, "export SSH_AUTH_SOCK=" + kMine);
  const auto& fixes = report.findings.front().finding.fixes;
  ASSERT_GE(fixes.size(), 2u);
  EXPECT_EQ(fixes[0].title, "Use the live agent at " + kMine +
                                " (forwarded by sshd, of this very connection "
                                "from 203.0.113.5), which holds 1 key");
  EXPECT_EQ(fixes[1].title, "Use the live agent at " + kOther +
                                " (forwarded by sshd from 198.51.100.7), "
                                "which holds 2 keys");
}

TEST(HereChecks, PreferWhatTmuxSaysToOtherConnections) {
  Agent other = LiveAgent("/tmp/ssh-bbbbbbbbbb/agent.1", {"work"});
  other.product = "forwarded by sshd";
  Facts facts = With(HereFacts(), "/tmp/gone",
                     {DeadAgent("/tmp/gone", AgentState::kMissing), other,
                      LiveAgent("/run/user/1000/agent", {"a", "b"}),
                      LiveAgent(kOther, {"work"})});
  facts.near.connection_sockets = Unknown{"no sshd is seen above this shell"};
  facts.near.agents.erase(facts.near.agents.begin());
  facts.near.session_variables["TMUX"] = "/tmp/tmux-1000/default,1,0";
  facts.near.long_lived =
      LongLived{.holders = {{.kind = HolderKind::kTmuxSession,
                             .name = "work",
                             .server = "/tmp/tmux-1000/default",
                             .auth_sock = kOther}}};
  const auto agents = checks::LiveAgents(facts, "/tmp/gone");
  ASSERT_EQ(agents.size(), 3u);
  EXPECT_EQ(agents[0]->path, kOther);
  EXPECT_EQ(agents[1]->path, other.path);
  EXPECT_EQ(agents[2]->path, "/run/user/1000/agent");
  const Finding finding = DiagnoseFacts(facts).findings.front().finding;
  EXPECT_NE(finding.explanation.find("pane of tmux"), std::string::npos);
  EXPECT_NE(finding.explanation.find("told of a living agent"),
            std::string::npos);
}

TEST(HereChecks, NameNoAgentThatIsEmptySomebodyElsesOrBehindALinkTwice) {
  Agent foreign = LiveAgent("/tmp/foreign", {"work"});
  foreign.owner = 0;
  Agent link = LiveAgent("/home/dave/.ssh/ssh_auth_sock", {"work"});
  link.link_target = kMine;
  const Facts facts = With(HereFacts(), std::nullopt,
                           {LiveAgent("/tmp/empty", {}), foreign, link,
                            DeadAgent("/tmp/dead", AgentState::kRefused)});
  const auto agents = checks::LiveAgents(facts, "");
  ASSERT_EQ(agents.size(), 1u);
  EXPECT_EQ(agents[0]->path, kMine);
}

TEST(HereChecks, SayThatAnUnsetVariableWasTakenAway) {
  const HostReport report = DiagnoseFacts(With(HereFacts(), std::nullopt));
  EXPECT_EQ(Codes(report),
            (Strings{"agent-not-running", "remote-env-cleared"}));
  // Perhaps by hand.
  EXPECT_EQ(report.findings[1].finding.certainty, Certainty::kLikely);
}

TEST(HereChecks, SayWhenALivingAgentIsNotTheForwardedOne) {
  const HostReport report =
      DiagnoseFacts(With(HereFacts(), "/run/user/1000/agent",
                         {LiveAgent("/run/user/1000/agent", {"other"})}));
  EXPECT_EQ(report.verdict, Verdict::kDegraded);
  EXPECT_EQ(report.root_cause->code, "remote-env-overridden");
  // What was chosen by hand is another matter.
  EXPECT_EQ(
      DiagnoseFacts(With(HereFacts(), kOther, {LiveAgent(kOther, {"other"})}))
          .verdict,
      Verdict::kHealthy);
}

TEST(HereChecks, DoNotBlameStartupFilesForSudo) {
  Facts facts = With(HereFacts(), std::nullopt);
  facts.near.ancestors.insert(facts.near.ancestors.begin(),
                              {.pid = 110, .name = "sudo"});
  facts.near.session_variables["SUDO_USER"] = "dave";
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.root_cause->code, "agent-not-running");
  EXPECT_NE(report.findings[0].finding.explanation.find("sudo"),
            std::string::npos);
  for (const ReportedFinding& reported : report.findings)
    EXPECT_NE(reported.finding.code, "remote-env-cleared");
}

TEST(HereChecks, KnowTheSocketOfAnotherMachine) {
  Agent agent = DeadAgent("/home/dave/.ssh/agent/s.aaaaaaaaaa.sshd.bbbbbbbbbb",
                          AgentState::kRefused);
  agent.other_host = true;
  const HostReport report =
      DiagnoseFacts(With(HereFacts(), agent.path, {agent}));
  EXPECT_EQ(report.root_cause->code, "agent-socket-dead");
  EXPECT_NE(report.findings[0].finding.explanation.find("shares this home"),
            std::string::npos);
}

TEST(HereChecks, HealALinkOfVsCode) {
  const std::string path = "/run/user/1000/vscode-ssh-auth-sock-1";
  Agent agent = DeadAgent(path, AgentState::kMissing);
  agent.link_target = "/tmp/ssh-cccccccccc/agent.1";
  const HostReport report = DiagnoseFacts(With(HereFacts(), path, {agent}));
  const Finding& finding = report.findings[0].finding;
  EXPECT_NE(finding.explanation.find("VS Code"), std::string::npos);
  ASSERT_EQ(finding.fixes.size(), 2u);
  EXPECT_EQ(finding.fixes[1].commands,
            (std::vector<Strings>{{"ln", "-sfn", kMine, path}}));
}

TEST(HereChecks, SendSomebodyWithoutAnyAgentBack) {
  Facts facts = With(HereFacts(), std::nullopt);
  facts.near.agents.clear();
  facts.near.connection_sockets = Strings{};
  facts.near.initial_auth_sock = std::optional<std::string>();
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(Codes(report), Strings{"agent-not-running"});
  EXPECT_EQ(report.this_shell, "");
  ASSERT_EQ(report.findings[0].finding.fixes.size(), 1u);
  EXPECT_TRUE(report.findings[0].finding.fixes[0].title.starts_with(
      "Connect anew with forwarding"));
}

TEST(HereChecks, SetTheVariableInTmuxToWhatLasts) {
  const std::string link = "/home/dave/.ssh/ssh_auth_sock";
  Facts facts = HereFacts();
  facts.near.agents.push_back(DeadAgent("/tmp/gone", AgentState::kMissing));
  facts.near.long_lived =
      LongLived{.holders = {{.kind = HolderKind::kTmuxSession,
                             .name = "a b",
                             .server = "/tmp/tmux-1000/default",
                             .auth_sock = "/tmp/gone"}}};
  const auto fix = [](const Facts& of) {
    return DiagnoseFacts(of).findings.at(0).finding.fixes.at(0);
  };
  EXPECT_EQ(fix(facts).safety, Safety::kSafe);
  EXPECT_EQ(fix(facts).action, Action::kSetEnvironment);
  EXPECT_EQ(fix(facts).commands,
            (std::vector<Strings>{{"tmux", "-S", "/tmp/tmux-1000/default",
                                   "set-environment", "-t", "=a b",
                                   "SSH_AUTH_SOCK", kMine}}));
  // A link that is alive outlives this connection.
  Agent living = LiveAgent(link, {"work"});
  living.link_target = kMine;
  facts.near.agents.push_back(living);
  facts.near.long_lived.get()->links = {link};
  EXPECT_EQ(fix(facts).target, link);
}

TEST(HereChecks, MentionAWorkTreeThatNeedsNoAgent) {
  Facts facts = HereFacts();
  facts.near.git_remotes = {{"origin", "https://git.example/a/b", "x", ""},
                            {"upstream", "git@git.example:a/b", "x", ""}};
  const HostReport report = DiagnoseFacts(facts);
  EXPECT_EQ(report.verdict, Verdict::kHealthy);
  ASSERT_EQ(Codes(report), Strings{"next-hop-not-ssh"});
  EXPECT_EQ(report.findings[0].finding.fixes[0].commands,
            (std::vector<Strings>{{"git", "remote", "set-url", "origin",
                                   "git@git.example:a/b"}}));
  facts.near.git_remotes.erase(facts.near.git_remotes.begin());
  EXPECT_EQ(Codes(DiagnoseFacts(facts)), Strings{});
  facts.near.git_remotes[0].ssh_command = "/opt/putty/plink -batch";
  EXPECT_EQ(Codes(DiagnoseFacts(facts)), Strings{"next-hop-not-ssh"});
}

TEST(HereChecks, QuoteForEachShell) {
  using checks::ExportLine;
  using checks::ShellWord;
  using checks::Syntax;
  const auto line = [](const std::string& path, Syntax syntax) {
    return ExportLine(ShellWord(path, syntax), syntax);
  };
  EXPECT_EQ(line("/tmp/x", Syntax::kSh), "export SSH_AUTH_SOCK=/tmp/x");
  EXPECT_EQ(line("/a b'$c\n", Syntax::kSh),
            "export SSH_AUTH_SOCK='/a b'\\''$c\n'");
  EXPECT_EQ(line("/a b'\\$c", Syntax::kFish),
            "set -gx SSH_AUTH_SOCK '/a b\\'\\\\$c'");
  EXPECT_EQ(line("/a b'!c", Syntax::kCsh),
            "setenv SSH_AUTH_SOCK '/a b'\\''\\!c'");
}

TEST(HereChecks, WriteForTheShellOneSitsIn) {
  Facts facts = With(HereFacts(), std::nullopt);
  facts.near.ancestors[0].name = "fish";
  EXPECT_EQ(DiagnoseFacts(facts).this_shell, "set -gx SSH_AUTH_SOCK " + kMine);
  facts.near.ancestors[0].name = "tcsh";
  EXPECT_EQ(DiagnoseFacts(facts).this_shell, "setenv SSH_AUTH_SOCK " + kMine);
}

}  // namespace
}  // namespace agentdoctor
