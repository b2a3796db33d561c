#include <gtest/gtest.h>

#include "healthy.h"

namespace agentdoctor {
namespace {

using Strings = std::vector<std::string>;

const std::string kServer = "/tmp/tmux-1000/default";
const std::string kDead = "/tmp/ssh-yesterday0/agent.99";
const std::string kLinkPath = "/home/dave/.ssh/ssh_auth_sock";

Answer AskSessions(const Facts& facts) { return Ask("remote-sessions", facts); }

Holder TmuxServer(std::optional<std::string> socket) {
  return {.kind = HolderKind::kTmuxServer,
          .server = kServer,
          .pid = 700,
          .since = kNow - 9 * kDay,
          .auth_sock = std::move(socket)};
}

Holder TmuxSession(const std::string& name, std::optional<std::string> socket) {
  return {.kind = HolderKind::kTmuxSession,
          .name = name,
          .server = kServer,
          .since = kNow - 2 * kDay,
          .auth_sock = std::move(socket)};
}

/// A healthy host on which these live on; the agent at kDead is gone.
Facts With(std::vector<Holder> holders) {
  Facts facts = HealthyFacts();
  facts.far.agents.push_back(DeadAgent(kDead, AgentState::kMissing));
  facts.far.long_lived.get()->holders = std::move(holders);
  return facts;
}

/// The same, seen by a process of that host.
Facts Here(Facts facts) {
  facts.here = true;
  facts.near = std::move(facts.far);
  facts.far = {};
  facts.link = {};
  return facts;
}

std::string Lines(const Finding& finding) {
  std::string text;
  for (const Fix& fix : finding.fixes) {
    for (const auto& argv : fix.commands) {
      for (const std::string& word : argv) text += word + " ";
      text += "\n";
    }
    for (const std::string& line : fix.shell_lines) text += line + "\n";
    for (const Edit& edit : fix.edits)
      text += edit.file + ": " + edit.text + "\n";
  }
  return text;
}

bool Suggests(const Finding& finding, const std::string& words) {
  return Lines(finding).find(words) != std::string::npos;
}

TEST(RemoteSessions, AreQuietWhereNothingLivesOn) {
  const Answer answer = AskSessions(HealthyFacts());
  EXPECT_EQ(Codes(answer), Strings{});
  EXPECT_EQ(answer.skipped, "");
  EXPECT_EQ(answer.summary, "no long-lived session names a dead agent");
}

TEST(RemoteSessions, AreSkippedWithoutAProbe) {
  EXPECT_EQ(AskSessions(FaultFacts("connection-refused", "refused")).skipped,
            "no session came about");
  Facts facts = HealthyFacts();
  facts.far.long_lived = Unknown{"there is no /proc"};
  EXPECT_EQ(AskSessions(facts).skipped, "there is no /proc");
}

TEST(RemoteSessions, NameATmuxSessionWithAnAgentThatIsGone) {
  const Answer answer =
      AskSessions(With({TmuxServer(kDead), TmuxSession("work", kDead)}));
  ASSERT_EQ(Codes(answer), Strings{"tmux-stale-env"});
  const Finding& finding = answer.findings[0];
  EXPECT_EQ(finding.severity, Severity::kWarning);
  EXPECT_EQ(finding.certainty, Certainty::kProven);
  EXPECT_EQ(finding.summary,
            "tmux session work on gitlab-runner names an agent that is gone: " +
                kDead);
  EXPECT_TRUE(Says(finding, kServer));
  EXPECT_TRUE(Says(finding, "pid 700"));
  EXPECT_TRUE(Says(finding, "since 2026-11-19 10:00 UTC"));
  EXPECT_TRUE(Says(finding, "No such file or directory"));
  EXPECT_TRUE(Suggests(finding,
                       "tmux -S /tmp/tmux-1000/default set-environment -t "
                       "'=work' SSH_AUTH_SOCK \"$SSH_AUTH_SOCK\""));
  EXPECT_TRUE(Suggests(finding, "set-environment -g SSH_AUTH_SOCK"));
  EXPECT_TRUE(
      Suggests(finding, "eval \"$(tmux show-environment -s SSH_AUTH_SOCK)\""));
  EXPECT_TRUE(Suggests(finding, "~/.tmux.conf: set-environment -g"));
  EXPECT_TRUE(Suggests(finding, "ln -sfn"));
  // Our own probe's socket is gone when somebody reads this.
  EXPECT_FALSE(Suggests(finding, kFarSocket));
}

TEST(RemoteSessions, CallDeadOnlyWhatNobodyServes) {
  for (const auto& [state, gone] : std::vector<std::pair<AgentState, bool>>{
           {AgentState::kAnswered, false},
           {AgentState::kMissing, true},
           {AgentState::kRefused, true},
           {AgentState::kDenied, false},
           {AgentState::kDropped, false},
           {AgentState::kNotASocket, true},
           {AgentState::kPathTooLong, true},
           {AgentState::kSilent, false},
           {AgentState::kMalformed, false},
           {AgentState::kListRefused, false}}) {
    Facts facts = With({TmuxSession("work", kDead)});
    facts.far.agents.back().state = state;
    const Answer answer = AskSessions(facts);
    EXPECT_EQ(answer.findings.size(), gone ? 1u : 0u)
        << static_cast<int>(state);
    // Neither alive nor gone: then it says so.
    EXPECT_EQ(answer.skipped.empty(), gone || state == AgentState::kAnswered)
        << answer.skipped;
  }
}

TEST(RemoteSessions, SayWhatCouldNotBeSeen) {
  Facts facts = With({TmuxSession("work", "/tmp/never-asked")});
  facts.far.long_lived.get()->not_seen = {"docker did not answer within 2 s"};
  const Answer answer = AskSessions(facts);
  EXPECT_EQ(Codes(answer), Strings{});
  EXPECT_NE(answer.skipped.find("docker did not answer"), std::string::npos);
  EXPECT_NE(answer.skipped.find("/tmp/never-asked"), std::string::npos);
}

TEST(RemoteSessions, AreQuietAboutTmuxThatLives) {
  for (const auto& holders : std::vector<std::vector<Holder>>{
           {TmuxServer(kFarSocket), TmuxSession("work", kFarSocket)},
           // A tmux that never saw an agent, or was attached without one.
           {TmuxServer(std::nullopt), TmuxSession("work", std::nullopt)},
           {TmuxSession("work", std::nullopt)},
           {TmuxServer(kFarSocket), TmuxSession("work", std::nullopt)},
           {TmuxServer(""), TmuxSession("work", "")}})
    EXPECT_EQ(Codes(AskSessions(With(holders))), Strings{});
}

TEST(RemoteSessions, TakeOnlyNoteOfADeadServerValueThatNobodyInherits) {
  const Answer answer =
      AskSessions(With({TmuxServer(kDead), TmuxSession("work", kFarSocket),
                        TmuxSession("mail", kFarSocket)}));
  ASSERT_EQ(Codes(answer), Strings{"tmux-stale-env"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kInfo);
  EXPECT_TRUE(Says(answer.findings[0], "living one of its own"));
}

TEST(RemoteSessions, WarnOfADeadServerValueThatSomebodyGets) {
  Answer answer = AskSessions(With({TmuxServer(kDead)}));
  ASSERT_EQ(Codes(answer), Strings{"tmux-stale-env"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  // Attached last without an agent, as the server was not.
  answer =
      AskSessions(With({TmuxServer(kDead), TmuxSession("work", std::nullopt)}));
  ASSERT_EQ(Codes(answer), Strings{"tmux-stale-env"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_TRUE(Says(answer.findings[0], "-SSH_AUTH_SOCK"));
  EXPECT_TRUE(Says(answer.findings[0], "work"));
}

TEST(RemoteSessions, MakeOneReadableFindingOfTwenty) {
  std::vector<Holder> holders{TmuxServer(kDead)};
  for (int i = 0; i < 20; ++i)
    holders.push_back(TmuxSession("s" + std::to_string(i), kDead));
  const Answer answer = AskSessions(With(holders));
  ASSERT_EQ(Codes(answer), Strings{"tmux-stale-env"});
  const Finding& finding = answer.findings[0];
  EXPECT_NE(finding.summary.find("tmux sessions s0, s1, s2 and 17 more"),
            std::string::npos)
      << finding.summary;
  for (int i = 0; i < 20; ++i)
    EXPECT_TRUE(Says(finding, "session s" + std::to_string(i) + " of"));
  // Not a line for each of them.
  EXPECT_TRUE(Suggests(finding, "while IFS= read -r s"));
  EXPECT_LT(Lines(finding).size(), 4000u);
}

TEST(RemoteSessions, AreNotFloodedByNames) {
  const std::string name = "\x1b[31m'; rm -rf ~\n" + std::string(100000, 'x');
  Facts facts = With({TmuxSession(name, kDead)});
  facts.far.long_lived.get()->holders.push_back(
      {.kind = HolderKind::kScreen, .name = name, .auth_sock = kDead});
  const Answer answer = AskSessions(facts);
  ASSERT_EQ(Codes(answer), (Strings{"tmux-stale-env", "screen-stale-env"}));
  for (const Finding& finding : answer.findings) {
    EXPECT_LT(finding.summary.size(), 400u);
    EXPECT_EQ(finding.summary.find_first_of("\n\x1b"), std::string::npos);
    EXPECT_TRUE(Suggests(finding, "'\\''; rm -rf ~")) << Lines(finding);
  }
}

TEST(RemoteSessions, NameAScreenSessionAndHowToRenewIt) {
  const Answer answer = AskSessions(With({{.kind = HolderKind::kScreen,
                                           .name = "4711.night job",
                                           .pid = 4711,
                                           .since = kNow - kDay,
                                           .auth_sock = kDead}}));
  ASSERT_EQ(Codes(answer), Strings{"screen-stale-env"});
  const Finding& finding = answer.findings[0];
  EXPECT_EQ(finding.severity, Severity::kWarning);
  EXPECT_TRUE(Says(finding, "4711.night job"));
  EXPECT_TRUE(Suggests(finding,
                       "screen -S '4711.night job' -X setenv SSH_AUTH_SOCK "
                       "\"$SSH_AUTH_SOCK\""));
  EXPECT_TRUE(Suggests(finding, "~/.screenrc: setenv SSH_AUTH_SOCK"));
}

TEST(RemoteSessions, NameTheEditorWhoseServerIsStale) {
  Facts facts = With({{.kind = HolderKind::kEditor,
                       .name = "node",
                       .server = "Cursor",
                       .pid = 812,
                       .since = kNow - kDay,
                       .auth_sock = "/tmp/vscode-ssh-auth-sock-7"}});
  Agent link = DeadAgent("/tmp/vscode-ssh-auth-sock-7", AgentState::kMissing);
  link.link_target = kDead;
  facts.far.agents.push_back(link);
  facts.far.long_lived.get()->links = {link.path};
  const Answer answer = AskSessions(facts);
  ASSERT_EQ(Codes(answer), Strings{"vscode-stale-env"});
  const Finding& finding = answer.findings[0];
  EXPECT_TRUE(Says(finding, "Cursor"));
  EXPECT_TRUE(Says(finding, "pid 812"));
  EXPECT_NE(finding.fixes[0].title.find("Kill VS Code Server"),
            std::string::npos);
  EXPECT_TRUE(Suggests(finding, "kill 812"));
  EXPECT_TRUE(Suggests(
      finding, "ln -sfn \"$SSH_AUTH_SOCK\" /tmp/vscode-ssh-auth-sock-7"));
  // What VS Code leaves behind when nobody uses it is no fault.
  facts.far.long_lived.get()->holders.clear();
  EXPECT_EQ(Codes(AskSessions(facts)), Strings{});
}

Holder Container() {
  return {.kind = HolderKind::kContainer,
          .name = "deploy",
          .server = "docker",
          .since = kNow - kDay,
          .auth_sock = kDead,
          .destination = "/home/deploy/ssh_auth_sock"};
}

TEST(RemoteSessions, NameTheContainerWhoseSocketIsGone) {
  const Answer answer = AskSessions(With({Container()}));
  ASSERT_EQ(Codes(answer), Strings{"container-stale-socket"});
  const Finding& finding = answer.findings[0];
  EXPECT_EQ(finding.severity, Severity::kWarning);
  EXPECT_EQ(finding.certainty, Certainty::kProven);
  EXPECT_TRUE(Says(finding, "docker container deploy"));
  EXPECT_TRUE(Says(finding, kDead));
  EXPECT_TRUE(Says(finding, "/home/deploy/ssh_auth_sock"));
  EXPECT_TRUE(Suggests(finding, "--mount type=bind"));
  EXPECT_FALSE(Suggests(finding, "rmdir"));
}

TEST(RemoteSessions, SeeASocketThatWasReplacedUnderAContainer) {
  Holder container = Container();
  container.auth_sock = kFarSocket;
  EXPECT_EQ(Codes(AskSessions(With({container}))), Strings{});
  container.replaced = true;
  const Answer answer = AskSessions(With({container}));
  ASSERT_EQ(Codes(answer), Strings{"container-stale-socket"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kLikely);
  EXPECT_TRUE(Says(answer.findings[0], "replaced"));
}

TEST(RemoteSessions, SeeTheFolderThatDockerMadeOfAMissingSocket) {
  Facts facts = With({Container()});
  facts.far.agents.back().state = AgentState::kNotASocket;
  facts.far.agents.back().detail = "a folder";
  const Answer answer = AskSessions(facts);
  ASSERT_EQ(Codes(answer), Strings{"container-stale-socket"});
  EXPECT_EQ(answer.findings[0].fixes[0].commands[0],
            (Strings{"sudo", "rmdir", kDead}));
}

TEST(RemoteSessions, CountOtherProcessesByProgram) {
  const auto process = [](const std::string& name, int count,
                          std::int64_t since) {
    return Holder{.kind = HolderKind::kProcess,
                  .name = name,
                  .pid = 100 + count,
                  .since = since,
                  .auth_sock = kDead,
                  .count = count};
  };
  const Answer answer = AskSessions(
      With({process("bash", 9, kNow - 2 * kDay),
            process("python3", 1, kNow - 5 * kDay),
            process("node", 2, kNow - kDay), process("vim", 1, kNow)}));
  ASSERT_EQ(Codes(answer), Strings{"process-stale-env"});
  const Finding& finding = answer.findings[0];
  EXPECT_EQ(finding.severity, Severity::kInfo);
  EXPECT_EQ(finding.summary,
            "13 processes on gitlab-runner name an agent that is gone: 9 bash, "
            "2 node, 1 python3 and 1 more; the oldest is python3 (pid 101, "
            "since 2026-11-16 10:00 UTC)");
  EXPECT_TRUE(Says(finding, "bash, 9 of them"));
}

/// ~/.ssh/ssh_auth_sock leads to a socket that is gone.
Facts DanglingLink() {
  Facts facts = With({});
  Agent link = DeadAgent(kLinkPath, AgentState::kMissing);
  link.link_target = kDead;
  facts.far.agents.push_back(link);
  facts.far.long_lived.get()->links = {kLinkPath};
  return facts;
}

StartupLine LinkLine(StartupScope scope, bool guarded) {
  return {.file = "/home/dave/.bashrc",
          .line = 12,
          .text = "ln -sf \"$SSH_AUTH_SOCK\" ~/.ssh/ssh_auth_sock",
          .scope = scope,
          .effect = StartupEffect::kLinks,
          .guarded = guarded};
}

TEST(RemoteSessions, SeeALinkThatDangles) {
  const Answer answer = AskSessions(DanglingLink());
  ASSERT_EQ(Codes(answer), Strings{"auth-symlink-stale"});
  const Finding& finding = answer.findings[0];
  EXPECT_EQ(finding.severity, Severity::kWarning);
  EXPECT_EQ(finding.summary, kLinkPath + " on gitlab-runner dangles: " + kDead);
  EXPECT_TRUE(Suggests(finding, "ln -sfn \"$SSH_AUTH_SOCK\" " + kLinkPath));
  EXPECT_TRUE(Suggests(finding, "~/.bashrc: "));
}

TEST(RemoteSessions, TellADeadLinkFromOneThatLeadsToItself) {
  Facts facts = DanglingLink();
  facts.far.agents.back().state = AgentState::kRefused;
  EXPECT_TRUE(Says(AskSessions(facts).findings.at(0), "a socket that is dead"));
  facts.far.agents.back().state = AgentState::kMissing;
  facts.far.agents.back().link_target = kLinkPath;
  EXPECT_TRUE(Says(AskSessions(facts).findings.at(0), "leads to itself"));
}

TEST(RemoteSessions, NeverCallALivingLinkStale) {
  Facts facts = DanglingLink();
  facts.far.agents.back() = LiveAgent(kLinkPath, {"work"});
  facts.far.agents.back().link_target = "/tmp/ssh-somebodyel/agent.1";
  facts.far.long_lived.get()->holders = {TmuxServer(kLinkPath),
                                         TmuxSession("work", kLinkPath)};
  EXPECT_EQ(Codes(AskSessions(facts)), Strings{});
}

TEST(RemoteSessions, KnowALinkThatTheNextLoginRenews) {
  Facts facts = DanglingLink();
  facts.far.long_lived.get()->holders = {TmuxServer(kLinkPath)};
  facts.far.startup_lines =
      std::vector{LinkLine(StartupScope::kInteractive, false)};
  for (const Finding& finding : AskSessions(facts).findings)
    EXPECT_EQ(finding.severity, Severity::kInfo) << finding.code;
  EXPECT_EQ(DiagnoseFacts(facts).verdict, Verdict::kHealthy);
  // The naive one leaves a dead socket where it is.
  facts.far.startup_lines =
      std::vector{LinkLine(StartupScope::kInteractive, true)};
  const Answer answer = AskSessions(facts);
  const Finding* naive = Find(answer, "auth-symlink-stale");
  ASSERT_NE(naive, nullptr);
  EXPECT_EQ(naive->severity, Severity::kWarning);
  EXPECT_TRUE(Says(*naive, "/home/dave/.bashrc:12 makes it only where"));
  // This one ran for our own session, in vain.
  facts.far.startup_lines =
      std::vector{LinkLine(StartupScope::kSession, false)};
  EXPECT_EQ(Find(AskSessions(facts), "auth-symlink-stale")->severity,
            Severity::kWarning);
}

TEST(RemoteSessions, DegradeAndNeverBreak) {
  const HostReport report =
      DiagnoseFacts(With({TmuxServer(kDead), TmuxSession("work", kDead)}));
  EXPECT_EQ(report.verdict, Verdict::kDegraded);
  ASSERT_TRUE(report.root_cause);
  EXPECT_EQ(report.root_cause->code, "tmux-stale-env");
}

TEST(RemoteSessions, WriteTheRecipeForTheLoginShell) {
  for (const auto& [shell, file, line] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"/bin/bash", "~/.bashrc", "[ $? -lt 2 ]"},
           {"/usr/bin/zsh", "~/.zshrc", "[ $? -lt 2 ]"},
           {"/usr/bin/fish", "~/.config/fish/config.fish", "test $status"},
           {"/bin/tcsh", "~/.cshrc", "if ($status < 2) then"},
           {"/bin/sh", "~/.profile", "[ $? -lt 2 ]"}}) {
    Facts facts = With({TmuxSession("work", kDead)});
    facts.far.shell = shell;
    const Answer answer = AskSessions(facts);
    EXPECT_TRUE(Suggests(answer.findings.at(0), file + ": ")) << shell;
    EXPECT_TRUE(Suggests(answer.findings.at(0), line)) << shell;
  }
}

// ----------------------------------------------------------- seen from here --

/// A shell of dave's on the runner, without the variable.
Facts HereWithout(std::vector<Ancestor> ancestors) {
  Facts facts = Here(HealthyFacts());
  facts.near.auth_sock = std::optional<std::string>();
  facts.near.ancestors = std::move(ancestors);
  return facts;
}

Ancestor Above(
    std::int64_t pid, const std::string& name,
    Fact<std::optional<std::string>> socket = std::optional<std::string>()) {
  return {.pid = pid, .name = name, .auth_sock = std::move(socket)};
}

TEST(RemoteSessions, SeenFromHereAreThoseOfThisMachine) {
  const Answer answer = AskSessions(Here(With({TmuxSession("work", kDead)})));
  ASSERT_EQ(Codes(answer), Strings{"tmux-stale-env"});
  EXPECT_TRUE(Says(answer.findings[0], "on this machine"));
}

TEST(RemoteSessions, KnowMosh) {
  const Facts facts =
      HereWithout({Above(30, "bash"), Above(20, "mosh-server")});
  const Answer answer = AskSessions(facts);
  ASSERT_EQ(Codes(answer), Strings{"mosh-drops-agent"});
  EXPECT_EQ(answer.findings[0].severity, Severity::kWarning);
  EXPECT_TRUE(Says(answer.findings[0], "pid 20"));
  // With an agent it does no harm; an ssh inside mosh is another connection.
  Facts other = facts;
  other.near.auth_sock = std::optional<std::string>(kFarSocket);
  EXPECT_EQ(Codes(AskSessions(other)), Strings{});
  other = facts;
  other.near.ancestors.insert(other.near.ancestors.begin() + 1,
                              Above(25, "sshd-session"));
  EXPECT_EQ(Codes(AskSessions(other)), Strings{});
  // Only what one sits in counts.
  EXPECT_EQ(Codes(AskSessions(HealthyFacts())), Strings{});
}

TEST(RemoteSessions, KnowSudo) {
  Facts facts =
      HereWithout({Above(40, "bash"), Above(30, "sudo"),
                   Above(20, "bash", std::optional<std::string>(kFarSocket))});
  facts.near.session_variables["SUDO_USER"] = "dave";
  Answer answer = AskSessions(facts);
  ASSERT_EQ(Codes(answer), Strings{"sudo-drops-agent"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kProven);
  EXPECT_TRUE(Says(answer.findings[0], kFarSocket));
  EXPECT_TRUE(Says(answer.findings[0], "SUDO_USER=dave"));
  EXPECT_TRUE(
      Suggests(answer.findings[0], "Defaults env_keep += \"SSH_AUTH_SOCK\""));
  // Another user's environment can't be read.
  facts.near.ancestors[1].auth_sock = Unknown{"Permission denied"};
  facts.near.ancestors[2].auth_sock = Unknown{"Permission denied"};
  answer = AskSessions(facts);
  ASSERT_EQ(Codes(answer), Strings{"sudo-drops-agent"});
  EXPECT_EQ(answer.findings[0].certainty, Certainty::kLikely);
  // Whoever called sudo had none to be dropped.
  facts.near.ancestors[1].auth_sock = std::optional<std::string>();
  facts.near.ancestors[2].auth_sock = std::optional<std::string>();
  EXPECT_EQ(Codes(AskSessions(facts)), Strings{});
}

}  // namespace
}  // namespace agentdoctor
