// `agentdoctor here`: inside real sessions, tmux and screen.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "lab/fakes.h"
#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

const std::string kHere = AGENTDOCTOR_PROGRAM " here";

bool Has(const std::string& program) {
  return std::filesystem::exists("/usr/bin/" + program) ||
         std::filesystem::exists("/bin/" + program);
}

class Here : public Lab {
 protected:
  void LogIn() {
    StartAgentWithKey();
    WriteConfig(HostBlock(StartServer({.config = RemotePasswords()}),
                          "  ForwardAgent yes\n"));
    std::filesystem::create_directory(Tmux());
  }

  std::string Tmux() const { return Folder() + "/tmux"; }

  /// Runs lines in a session on the server, where no session of anybody else's
  /// is seen.  `$live` is the socket that sshd made.
  Ended Inside(const std::string& lines) {
    return Do({"ssh", "gitlab-runner",
               "export TMUX_TMPDIR=" + Tmux() + " SCREENDIR=" + Folder() +
                   "/screens LOGNAME=nobody-else USER=nobody-else; cd " +
                   RemoteHome() +
                   "; live=$SSH_AUTH_SOCK; printf %s \"$live\" >" + Folder() +
                   "/live\n" + lines + "\nexit $?"});
  }

  std::string Live() const { return ReadText(Folder() + "/live"); }

  /// The report of `here ARGS` behind some lines; replayed, it is the same.
  Outcome Look(const std::string& lines, const std::string& arguments = "",
               const std::string& run = kHere) {
    const std::string record =
        Folder() + "/here-" + std::to_string(++looks_) + ".json";
    return AsReport(Inside(lines + "\n" + run + " --json --record " + record +
                           " " + arguments),
                    record);
  }

  Outcome AsReport(const Ended& ended, const std::string& record) {
    Outcome outcome{.status = ended.status, .out = ended.out, .err = ended.err};
    outcome.report = nlohmann::json::parse(ended.out, nullptr, false);
    EXPECT_TRUE(outcome.report.is_object()) << ended.out << ended.err;
    if (!outcome.report.is_object()) return outcome;
    EXPECT_EQ(SchemaErrors(outcome.report), "");
    EXPECT_EQ(outcome.report["command"], "here");
    ExpectSameReplay({"here", "--json", "--record", record}, ended);
    return outcome;
  }

  static std::string ThisShell(const Outcome& outcome) {
    return outcome.Host().value("thisShell", "");
  }

 private:
  int looks_ = 0;
};

TEST_F(Here, AForwardedSessionIsHealthyAndQuiet) {
  LogIn();
  const std::string before = Snapshot();
  const Outcome here = Look("");
  EXPECT_TRUE(Reports(here, {.verdict = "healthy"}));
  EXPECT_EQ(here.Host()["client"]["name"], "");
  EXPECT_EQ(ThisShell(here), "");
  EXPECT_EQ(here.err, "");
  EXPECT_EQ(Snapshot(), before);
}

TEST_F(Here, ADeadVariableIsAnsweredWithTheSocketOfThisConnection) {
  LogIn();
  const Outcome here = Look("export SSH_AUTH_SOCK=/tmp/gone");
  EXPECT_TRUE(Reports(here, {.verdict = "broken",
                             .cause = "agent-socket-missing",
                             .certainty = "proven",
                             .beside = {"remote-env-overridden"}}));
  EXPECT_EQ(here.status, 1);
  EXPECT_EQ(ThisShell(here), "export SSH_AUTH_SOCK=" + Live());
  const std::string text = here.TextOf("agent-socket-missing");
  EXPECT_NE(text.find("of this very connection from 127.0.0.1"),
            std::string::npos)
      << text;

  const Ended answer = Inside("export SSH_AUTH_SOCK=/tmp/gone\n" + kHere);
  const std::size_t line =
      answer.out.find("\n    export SSH_AUTH_SOCK=" + Live() + "\n");
  ASSERT_NE(line, std::string::npos) << answer.out;
  EXPECT_LT(line, answer.out.find("/tmp/gone"));
}

TEST_F(Here, AnUnsetVariableIsFound) {
  LogIn();
  const Outcome here = Look("unset SSH_AUTH_SOCK");
  EXPECT_TRUE(Reports(here, {.verdict = "broken",
                             .cause = "agent-not-running",
                             .beside = {"remote-env-cleared"}}));
  EXPECT_EQ(ThisShell(here), "export SSH_AUTH_SOCK=" + Live());
}

TEST_F(Here, NamesTheLineThatReplacedTheVariable) {
  LogIn();
  WriteText(RemoteHome(".bashrc"), "# mine\nexport SSH_AUTH_SOCK=/tmp/gone\n");
  const Outcome here =
      AsReport(Inside(kHere + " --json --record " + Folder() + "/record"),
               Folder() + "/record");
  EXPECT_TRUE(here.Has("remote-env-overridden")) << here.out;
  EXPECT_NE(here.TextOf("remote-env-overridden").find(".bashrc"),
            std::string::npos)
      << here.out;
}

TEST_F(Here, TheLineIsInTheSyntaxOfEachShell) {
  LogIn();
  const std::string dead = "export SSH_AUTH_SOCK=/tmp/gone\n";
  for (const std::string shell : {"bash", "dash", "ksh", "zsh", "sh"}) {
    if (!Has(shell)) continue;
    const Ended said =
        Inside(dead + shell + " -c 'eval \"$(" + kHere +
               " --export)\"; printf \"[%s]\" \"$SSH_AUTH_SOCK\"'");
    EXPECT_EQ(said.out, "[" + Live() + "]") << shell << said.err;
  }
  if (Has("fish")) {
    const Ended said =
        Inside(dead + "HOME=" + Folder() + " fish -c 'eval (" + kHere +
               " --export); printf \"[%s]\" $SSH_AUTH_SOCK'");
    EXPECT_EQ(said.out, "[" + Live() + "]") << said.err;
  }
  if (Has("tcsh")) {
    const Ended said =
        Inside(dead + "tcsh -fc 'eval \"`" + kHere +
               " --export`\"; printf \"[%s]\" \"$SSH_AUTH_SOCK\"'");
    EXPECT_EQ(said.out, "[" + Live() + "]") << said.err;
  }
  for (const auto& [shell, line] :
       {std::pair{"sh", "export SSH_AUTH_SOCK="},
        std::pair{"fish", "set -gx SSH_AUTH_SOCK "},
        std::pair{"csh", "setenv SSH_AUTH_SOCK "}}) {
    const Ended said = Inside(kHere + " --export --shell " + shell);
    EXPECT_EQ(said.out, line + Live() + "\n");
  }
}

TEST_F(Here, WithoutAnyAgentNothingIsExported) {
  // Other tests have agents of this user in /tmp.
  const Ended said = Do({AGENTDOCTOR_PROGRAM, "here", "--export"});
  if (said.status == 0)
    GTEST_SKIP() << "another agent lives here: " << said.out;
  EXPECT_EQ(said.status, 1);
  EXPECT_EQ(said.out, "");
  EXPECT_NE(said.err, "");
}

TEST_F(Here, APaneIsAnsweredWithWhatTmuxHasByNow) {
  if (!Has("tmux")) GTEST_SKIP() << "there is no tmux";
  LogIn();
  const std::string record = Folder() + "/record";
  const std::string report = Folder() + "/report";
  const Ended ended = Inside(
      "SSH_AUTH_SOCK=/tmp/gone tmux -f /dev/null new-session -d -s work\n"
      "tmux set-environment -t work SSH_AUTH_SOCK \"$live\"\n"
      "tmux new-window -t work 'SSH_AUTH_SOCK=/tmp/gone " +
      kHere + " --json --record " + record + " >" + report + " 2>" + report +
      ".err; echo $? >" + report +
      ".status; tmux wait-for -S looked'\n"
      "tmux wait-for looked; tmux kill-server");
  const Outcome here =
      AsReport({.status = std::atoi(ReadText(report + ".status").c_str()),
                .out = ReadText(report),
                .err = ReadText(report + ".err") + ended.err},
               record);
  EXPECT_EQ(here.RootCause(), "agent-socket-missing") << here.out;
  EXPECT_EQ(ThisShell(here), "export SSH_AUTH_SOCK=" + Live());
  EXPECT_NE(here.TextOf("agent-socket-missing").find("tmux session work has"),
            std::string::npos)
      << here.out;
}

TEST_F(Here, FixTellsTmuxOnly) {
  if (!Has("tmux")) GTEST_SKIP() << "there is no tmux";
  LogIn();
  const std::string begin =
      "SSH_AUTH_SOCK=/tmp/gone tmux -f /dev/null new-session -d -s work\n"
      "tmux set-environment -t work SSH_AUTH_SOCK /tmp/gone-too\n";
  const std::string end =
      "\ns=$?; tmux show-environment -t work SSH_AUTH_SOCK >" + Folder() +
      "/session; tmux show-environment -g SSH_AUTH_SOCK >" + Folder() +
      "/global; tmux kill-server; (exit $s)";

  const Outcome plain = Look(begin, end);
  EXPECT_TRUE(
      Reports(plain, {.verdict = "degraded", .cause = "tmux-stale-env"}));
  EXPECT_EQ(ReadText(Folder() + "/session"), "SSH_AUTH_SOCK=/tmp/gone-too\n");

  const Outcome planned = Look(begin, "--dry-run" + end);
  EXPECT_EQ(planned.Host()["repairs"][0]["status"], "planned") << planned.out;
  EXPECT_EQ(ReadText(Folder() + "/session"), "SSH_AUTH_SOCK=/tmp/gone-too\n");

  const Outcome fixed = Look(begin, "--fix" + end);
  EXPECT_TRUE(Reports(fixed, {.verdict = "healthy"}));
  EXPECT_EQ(fixed.Host()["before"]["rootCause"]["code"], "tmux-stale-env");
  EXPECT_EQ(fixed.Host()["repairs"][0]["status"], "applied") << fixed.out;
  EXPECT_EQ(ReadText(Folder() + "/session"), "SSH_AUTH_SOCK=" + Live() + "\n");
  EXPECT_EQ(ReadText(Folder() + "/global"), "SSH_AUTH_SOCK=" + Live() + "\n");
}

TEST_F(Here, FixTellsScreen) {
  if (!Has("screen")) GTEST_SKIP() << "there is no screen";
  LogIn();
  std::filesystem::create_directory(Folder() + "/screens");
  chmod((Folder() + "/screens").c_str(), 0700);
  const std::string window = Folder() + "/window";
  const Outcome fixed = Look(
      "SSH_AUTH_SOCK=/tmp/gone screen -dmS work sleep 600\n"
      "for i in 1 2 3 4 5 6 7 8 9; do screen -S work -Q select . >/dev/null && "
      "break; sleep 1; done",
      "--fix; s=$?; screen -S work -X screen sh -c 'echo $SSH_AUTH_SOCK >" +
          window + ".new; mv " + window + ".new " + window +
          "'; for i in 1 2 3 4 5 6 7 8 9 10; do [ -s " + window +
          " ] && break; sleep 1; done; screen -S work -X quit; (exit $s)");
  EXPECT_TRUE(fixed.Has("screen-stale-env")) << fixed.out;
  EXPECT_EQ(fixed.Host()["repairs"][0]["status"], "applied") << fixed.out;
  EXPECT_EQ(ReadText(window), Live() + "\n");
}

TEST_F(Here, SocketsThatHangAreNotWaitedFor) {
  LogIn();
  const std::string temporary = Folder() + "/t";
  std::filesystem::create_directory(temporary);
  std::vector<std::unique_ptr<FakeAgent>> agents;
  for (int i = 0; i < 20; ++i) {
    const std::string folder =
        temporary + "/ssh-" + std::string(10, 'a') + std::to_string(i);
    std::filesystem::create_directory(folder);
    agents.push_back(
        std::make_unique<FakeAgent>(folder + "/agent.1", fake::Silent()));
  }
  const Outcome here = Look("export TMPDIR=" + temporary);
  EXPECT_TRUE(Reports(here, {.verdict = "healthy"}));
  // The way out, where the own one is dead, is found all the same.
  const Outcome dead =
      Look("export TMPDIR=" + temporary + " SSH_AUTH_SOCK=/tmp/gone");
  EXPECT_EQ(ThisShell(dead), "export SSH_AUTH_SOCK=" + Live());
  for (const auto& agent : agents) EXPECT_GT(agent->connections(), 0);
}

TEST_F(Here, HostileValuesComeOutHarmless) {
  LogIn();
  const std::string set =
      "SSH_AUTH_SOCK=$(printf '/tmp/\\033]0;x\\007\\n\\377end'); export "
      "SSH_AUTH_SOCK";
  const Outcome here = Look(set);
  EXPECT_EQ(here.Verdict(), "broken");
  EXPECT_EQ(ThisShell(here), "export SSH_AUTH_SOCK=" + Live());
  const Ended text = Inside(set + "\n" + kHere);
  EXPECT_EQ(text.out.find('\033'), std::string::npos) << text.out;
  EXPECT_EQ(text.out.find('\377'), std::string::npos) << text.out;
}

TEST_F(Here, AWorkTreeWithAWebUrlIsMentioned) {
  if (!Has("git")) GTEST_SKIP() << "there is no git";
  LogIn();
  const Outcome here = Look(
      "export HOME=" + Folder() +
      "; git init -q tree 2>/dev/null; mkdir -p tree/a; cd tree/a; git remote "
      "add origin https://dave:secret@git.example/team/x.git");
  EXPECT_TRUE(Reports(here, {.verdict = "healthy"}));
  ASSERT_TRUE(here.Has("next-hop-not-ssh")) << here.out;
  EXPECT_EQ(here.out.find("secret"), std::string::npos);
  EXPECT_EQ(here.Remedy("next-hop-not-ssh"),
            "git remote set-url origin git@git.example:team/x.git\n");
  const Outcome rewritten =
      Look("export HOME=" + Folder() +
           "; cd tree; git config url.git@git.example:.insteadOf "
           "https://dave:secret@git.example/");
  EXPECT_FALSE(rewritten.Has("next-hop-not-ssh")) << rewritten.out;
}

TEST_F(Here, UnderSudoTheVariableIsMissed) {
  if (!Has("sudo") || getuid() != 0)
    GTEST_SKIP() << "no sudo without questions";
  LogIn();
  const Outcome here = Look(
      // It has no business with passwords that are not the machine's.
      "unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP", "",
      "sudo -n -H " + kHere);
  EXPECT_EQ(here.RootCause(), "agent-not-running") << here.out << here.err;
  EXPECT_TRUE(here.Has("sudo-drops-agent")) << here.out;
  EXPECT_FALSE(here.Has("remote-env-cleared")) << here.out;
}

TEST_F(Here, WithoutHomeOrProgramsThereIsAnAnswer) {
  const std::string record = Folder() + "/record";
  const Ended ended =
      Do({"env", "-i", "PATH=/nonexistent", "SSH_AUTH_SOCK=/tmp/gone",
          AGENTDOCTOR_PROGRAM, "here", "--json", "--record", record});
  const Outcome here = AsReport(ended, record);
  EXPECT_EQ(here.Verdict(), "broken") << here.err;
  EXPECT_EQ(here.RootCause(), "agent-socket-missing");
}

TEST_F(Here, TheScriptDoesItWhereNothingIsInstalled) {
  LogIn();
  const std::string script = Folder() + "/script";
  WriteText(script, Do({AGENTDOCTOR_PROGRAM, "here", "--script"}).out);
  // `agentdoctor here --script | ssh HOST sh`
  const Ended piped =
      Finish(Launched({"ssh", "gitlab-runner", "sh"}, false, script));
  EXPECT_TRUE(piped.out.starts_with("export SSH_AUTH_SOCK='")) << piped.out;
  EXPECT_EQ(piped.err, "");

  std::vector<std::string> shells = {"sh", "bash", "dash", "ksh", "zsh"};
  if (Has("busybox")) shells.emplace_back("busybox sh");
  for (const std::string& shell : shells) {
    if (!Has(shell.substr(0, shell.find(' ')))) continue;
    for (const std::string value : {"$live", "/tmp/gone", ""}) {
      const Ended said =
          Inside("SSH_AUTH_SOCK=" + value + " " + shell + " <" + script);
      const std::string first = said.out.substr(0, said.out.find('\n'));
      EXPECT_EQ(first, "export SSH_AUTH_SOCK='" + Live() + "'")
          << shell << " " << value << "\n"
          << said.out;
      EXPECT_EQ(said.err, "") << shell;
    }
  }
}

}  // namespace
}  // namespace agentdoctor::lab
