// A job of a pipeline: it must not prompt, not hang, and say what it means.
#include <gtest/gtest.h>

#include "lab/fakes.h"
#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

class Pipeline : public Lab {
 protected:
  Pipeline() : server_(StartServer()) {
    WriteConfig(HostBlock(server_, "  ForwardAgent yes\n"));
    SetEnv("CI", "true");
  }

  const Server server_;
};

TEST_F(Pipeline, WithoutAnAgentSaysSoOnCleanStreams) {
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "agent-not-running"}));
  EXPECT_EQ(run.err, "");
}

TEST_F(Pipeline, WithoutAnAgentSaysSoInWords) {
  const Ended run = Agentdoctor({"run", "gitlab-runner"});
  EXPECT_EQ(run.status, 1);
  const std::string first = run.out.substr(0, run.out.find('\n'));
  EXPECT_NE(first.find("gitlab-runner"), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("agent-not-running"), std::string::npos) << run.out;
  EXPECT_EQ(run.out.find('\033'), std::string::npos)
      << "no terminal: no colour";
  EXPECT_EQ(run.err, "");
}

TEST_F(Pipeline, WithATerminalStillPromptsNobody) {
  WriteText(Home(".ssh/known_hosts"), "");
  StartAgentWithKey();
  WriteText(Folder() + "/askpass",
            "#!/bin/sh\necho asked >> " + Folder() + "/asked\n", 0755);
  SetEnv("SSH_ASKPASS", Folder() + "/askpass");
  SetEnv("DISPLAY", ":0");
  const Program run = Launched(
      {AGENTDOCTOR_PROGRAM, "run", "--timeout", "5", "gitlab-runner"}, true);
  EXPECT_EQ(Finish(run).status, 3) << run.Output();
  EXPECT_NE(run.Output().find("host-key-unknown"), std::string::npos)
      << run.Output();
  EXPECT_EQ(run.Output().find("yes/no"), std::string::npos) << run.Output();
  EXPECT_EQ(ReadText(Folder() + "/asked"), "");
}

TEST_F(Pipeline, WritesTheReportToAFile) {
  StartAgentWithKey();
  const std::string file = Folder() + "/report.json";
  const Ended run =
      Agentdoctor({"run", "--json", "--output", file, "gitlab-runner"});
  EXPECT_EQ(run.status, 0);
  EXPECT_EQ(run.out, "");
  EXPECT_EQ(nlohmann::json::parse(ReadText(file))["summary"]["healthy"], 1);
}

TEST_F(Pipeline, SaysBeforeAnyLoginThatAFileCannotBeWritten) {
  StartAgentWithKey();
  const std::string file = Folder() + "/missing/report.json";
  for (const char* option : {"--output", "--record"}) {
    const Ended run = Agentdoctor({"run", option, file, "gitlab-runner"});
    EXPECT_EQ(run.status, 2) << run.err;
    EXPECT_EQ(run.out, "");
    EXPECT_NE(run.err.find(file), std::string::npos) << run.err;
  }
}

TEST_F(Pipeline, FailsWhereTheReportIsLost) {
  StartAgentWithKey();
  const auto shell = [this](const std::string& words) {
    return Do({"/bin/bash", "-c",
               "set -o pipefail; '" AGENTDOCTOR_PROGRAM "' " + words});
  };
  for (const std::string command :
       {"run gitlab-runner", "run --json gitlab-runner", "run --list-checks",
        "explain", "explain agent-not-running", "config gitlab-runner",
        "--help", "--version"})
    for (const char* lost : {" >/dev/full", " >&-"}) {
      const Ended ended = shell(command + lost);
      EXPECT_EQ(ended.status, 3) << command << lost;
      EXPECT_NE(ended.err.find("standard output"), std::string::npos)
          << command << lost << ended.err;
    }
}

TEST_F(Pipeline, KeepsItsStatusWhereTheReaderHasReadEnough) {
  const std::string command = "'" AGENTDOCTOR_PROGRAM "' run gitlab-runner";
  // Once the file is there, nobody is left at the other end of the pipe.
  const std::string gone = Folder() + "/gone";
  const std::string unread =
      "{ until [ -e " + gone + " ]; do sleep 0.01; done; " + command +
      "; echo $? >&2; } | { exec <&-; touch " + gone + "; }";
  const Ended broken = Do({"/bin/bash", "-c", unread});
  EXPECT_EQ(broken.err, "1\n");
}

TEST_F(Pipeline, NeverColoursWithNoColor) {
  const Words words = {"run", "--color", "always", "gitlab-runner"};
  EXPECT_NE(Finish(LaunchAgentdoctor(words)).out.find('\033'),
            std::string::npos);
  SetEnv("NO_COLOR", "1");
  EXPECT_EQ(Finish(LaunchAgentdoctor(words)).out.find('\033'),
            std::string::npos);
}

TEST_F(Pipeline, MayFailOnWarnings) {
  StartAgentWithKey();
  LeaveDeadSocket(ControlSocket(server_));
  WriteConfig(HostBlock(server_, Sharing()));
  EXPECT_EQ(Run({"gitlab-runner"}).status, 0);
  EXPECT_EQ(Run({"--strict", "gitlab-runner"}).status, 1);
}

TEST_F(Pipeline, MayLeaveFindingsAndChecksOut) {
  StartAgentWithKey();
  WriteConfig(HostBlock(server_, Sharing()));
  OpenMaster();
  UnsetEnv("SSH_AUTH_SOCK");
  EXPECT_TRUE(
      Reports(Run({"gitlab-runner"}),
              {.verdict = "degraded", .cause = "works-only-through-master"}));
  EXPECT_FALSE(Run({"--skip", "works-only-through-master", "gitlab-runner"})
                   .Has("works-only-through-master"));
  LeaveDeadSocket(Home(".ssh/sockets/unused"));
  WriteConfig(HostBlock(server_,
                        "  ForwardAgent yes\n  ControlPath "
                        "~/.ssh/sockets/unused\n"));
  SetEnv("SSH_AUTH_SOCK", AgentSocket());
  EXPECT_TRUE(Reports(Run({"--only", "local-agent", "gitlab-runner"}),
                      {.verdict = "healthy"}));
  EXPECT_TRUE(Run({"gitlab-runner"}).Has("mux-socket-stale"));
}

TEST_F(Pipeline, ExitStatusIsTheSameInEveryFormat) {
  for (const char* format : {"text", "json"})
    EXPECT_EQ(Agentdoctor({"run", "--format", format, "gitlab-runner"}).status,
              1)
        << format;
}

TEST_F(Pipeline, ExplainsACodeOffline) {
  const Ended page = Agentdoctor({"explain", "agent-not-running"});
  EXPECT_EQ(page.status, 0);
  EXPECT_NE(page.out.find("SSH_AUTH_SOCK"), std::string::npos) << page.out;
  EXPECT_EQ(Agentdoctor({"explain", "no-such-code"}).status, 2);
}

}  // namespace
}  // namespace agentdoctor::lab
