// Story 6: Teleport's tsh.  tsh is in no Debian package, so that a stand-in
// with its documented behaviour is run (tests/lab/tsh); the sshd, the agents
// and what arrives at the far side are real.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>

#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

class Tsh : public Lab {
 protected:
  Tsh() : server_(StartServer()) {
    mkdir((Folder() + "/bin").c_str(), 0755);
    WriteText(Folder() + "/bin/tsh",
              ReadText(AGENTDOCTOR_SOURCE_DIR "/tests/lab/tsh"), 0755);
    SetEnv("PATH", Folder() + "/bin:/usr/bin:/bin:/usr/sbin:/sbin");
    SetEnv("TSH_CALLS", Folder() + "/calls");
    mkdir(Home(".tsh").c_str(), 0700);
    Write("version", "15.4.2\n");
    Write("login", "valid\n");
    Write("ssh_config", HostBlock(server_, "  IdentitiesOnly yes\n", "node"));
    // Its own agent, with a key as tsh names it.
    MakeKey("teleport", {"-N", "", "-C", kComment});
    StartAgent("own");
    AddKey("teleport");
    EXPECT_EQ(rename((Home(".ssh/teleport")).c_str(), Home(".tsh/key").c_str()),
              0);
    EXPECT_EQ(
        symlink(AgentSocket("own").c_str(), Home(".tsh/agent.sock").c_str()),
        0);
    UnsetEnv("SSH_AUTH_SOCK");
    // OpenSSH's configuration means nothing to tsh.
    WriteConfig("Host *\n  ForwardAgent yes\n");
  }

  void Write(const std::string& name, const std::string& text) {
    WriteText(Home(".tsh/" + name), text);
  }

  Outcome RunTsh(Words words) {
    words.insert(words.begin(), {"--client", "tsh", "--timeout", "5"});
    return Run(words);
  }

  /// The command lines of tsh, of which the last word may be the probe.
  std::string Calls() const { return ReadText(Folder() + "/calls"); }
  bool OpenedSession() const {
    return Calls().find("ssh ") != std::string::npos;
  }

  static constexpr char kComment[] = "teleport:teleport.example.com:main:dave";
  const Server server_;
};

TEST_F(Tsh, ForwardsNothingUnlessItIsAsked) {
  StartAgentWithKey();
  const Outcome run = RunTsh({"node"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "forwarding-not-requested",
                            .certainty = "proven"}));
  EXPECT_EQ(run.Remedy("forwarding-not-requested"), "tsh ssh -A node\n");
  EXPECT_EQ(run.out.find("ssh_config\""), std::string::npos) << run.out;
  EXPECT_EQ(run.Host()["client"]["name"], "tsh");
  EXPECT_EQ(run.Host()["client"]["version"], "Teleport v15.4.2");
}

TEST_F(Tsh, ForwardsTheUsersAgent) {
  StartAgentWithKey();
  for (const Words& words :
       {Words{"-A", "node"}, Words{"-o", "ForwardAgent yes", "node"},
        Words{"-o", "ForwardAgent=YES", "-l", "dave", "node"},
        Words{"-A", "-o", "ForwardAgent no", "dave@node"},
        Words{"-A", "-o", "ForwardAgent local", "node"},
        Words{"-o", "ForwardAgent no", "-o", "ForwardAgent yes", "node"}}) {
    const Outcome run = RunTsh(words);
    EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
    EXPECT_FALSE(run.Has("teleport-agent-forwarded")) << run.out;
  }
}

TEST_F(Tsh, ForwardsItsOwnAgentIfAskedTo) {
  StartAgentWithKey();
  const Outcome run = RunTsh({"-o", "ForwardAgent local", "node"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  const nlohmann::json finding = run.Finding("teleport-agent-forwarded");
  ASSERT_TRUE(finding.is_object()) << run.out;
  EXPECT_EQ(finding["severity"], "info");
  EXPECT_EQ(finding["certainty"], "proven");
  const std::string text = run.TextOf("teleport-agent-forwarded");
  EXPECT_NE(text.find(kComment), std::string::npos) << text;
  EXPECT_NE(text.find(Fingerprint("id_ec2")), std::string::npos) << text;
  EXPECT_EQ(run.Remedy("teleport-agent-forwarded"), "tsh ssh -A node\n");
}

TEST_F(Tsh, NeedsNoAgentOfTheUsersForItsOwn) {
  const Outcome run = RunTsh({"-o", "ForwardAgent local", "node"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_TRUE(run.Has("teleport-agent-forwarded")) << run.out;
}

TEST_F(Tsh, LacksAKeyOfTheUsersInItsOwnAgent) {
  StartAgentWithKey();
  const Outcome run = RunTsh(
      {"-o", "ForwardAgent local", "--key", Home(".ssh/id_ec2.pub"), "node"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "agent-key-missing"}));
  EXPECT_EQ(run.Remedy("agent-key-missing"), "tsh ssh -A node\n");
}

TEST_F(Tsh, IsTooOldToForwardTheUsersAgent) {
  StartAgentWithKey();
  Write("version", "6.1.3\n");
  const Outcome run = RunTsh({"-A", "node"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded",
                            .cause = "teleport-agent-forwarded",
                            .certainty = "proven"}));
  const std::string text = run.TextOf("teleport-agent-forwarded");
  EXPECT_NE(text.find("Teleport v6.1.3"), std::string::npos) << text;
}

TEST_F(Tsh, ForwardsItsOwnAgainstItsRules) {
  // As where the proxy records sessions: the version says one thing, the keys
  // that arrive another.
  StartAgentWithKey();
  Write("version", "6.1.3\n");
  WriteText(Folder() + "/bin/new", ReadText(Folder() + "/bin/tsh"), 0755);
  WriteText(Folder() + "/bin/tsh",
            "#!/bin/sh\n[ $1 = version ] && echo 'Teleport v15.4.2 git: go' && "
            "exit\nexec " +
                Folder() + "/bin/new \"$@\"\n",
            0755);
  const Outcome run = RunTsh({"-A", "node"});
  EXPECT_TRUE(Reports(run, {.verdict = "degraded",
                            .cause = "teleport-agent-forwarded",
                            .certainty = "proven"}));
  EXPECT_FALSE(run.Has("remote-keys-differ")) << run.out;
}

TEST_F(Tsh, HasNoAgentToForward) {
  const Outcome unset = RunTsh({"-A", "node"});
  EXPECT_TRUE(
      Reports(unset, {.verdict = "broken", .cause = "agent-not-running"}));
  EXPECT_NE(unset.TextOf("agent-not-running").find("tsh"), std::string::npos);
  SetEnv("SSH_AUTH_SOCK", Folder() + "/gone.sock");
  const Outcome gone = RunTsh({"-o", "ForwardAgent yes", "node"});
  EXPECT_TRUE(
      Reports(gone, {.verdict = "broken", .cause = "agent-socket-missing"}));
}

TEST_F(Tsh, MeetsAServerThatRefuses) {
  StartAgentWithKey();
  const Server strict = StartServer({.config = "AllowAgentForwarding no\n"});
  Write("ssh_config", HostBlock(strict, "  IdentitiesOnly yes\n", "node"));
  const Outcome run = RunTsh({"-A", "node"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "server-denies-forwarding",
                            .certainty = "likely"}));
  const std::string text = run.TextOf("server-denies-forwarding");
  EXPECT_NE(text.find("forward_agent: true"), std::string::npos) << text;
}

TEST_F(Tsh, IsToldOfTheRefusal) {
  StartAgentWithKey();
  Write("error", "forwarding request denied");
  const Outcome run = RunTsh({"-A", "node"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "server-denies-forwarding",
                            .certainty = "likely"}));
}

TEST_F(Tsh, OpensNoSessionWithoutALogin) {
  StartAgentWithKey();
  for (const char* version : {"15.4.2\n", "6.2.0\n"})
    for (const char* login : {"none\n", "expired\n"}) {
      Write("version", version);
      Write("login", login);
      const Outcome run = RunTsh({"-A", "node"});
      EXPECT_TRUE(Reports(
          run, {.verdict = "undetermined", .cause = "interaction-needed"}));
      EXPECT_EQ(run.status, 3);
      EXPECT_EQ(run.Remedy("interaction-needed"), "tsh login\n");
    }
  EXPECT_FALSE(OpenedSession()) << Calls();
  EXPECT_EQ(ReadText(Home(".tsh/browser")), "");
}

TEST_F(Tsh, EndsAtItsDeadlineHoweverItHangs) {
  StartAgentWithKey();
  for (const char* commands : {"ssh\n", "status\n", "version\nstatus\nssh\n"}) {
    Write("hang", commands);
    const Outcome run =
        Run({"--client", "tsh", "--timeout", "1", "-A", "node"});
    EXPECT_TRUE(Reports(
        run, {.verdict = "undetermined", .cause = "connection-timeout"}))
        << commands;
  }
}

TEST_F(Tsh, WaitsForAPersonWhoIsNotThere) {
  StartAgentWithKey();
  Write("output", "Enter an OTP code from a device:\n");
  Write("hang", "ssh\n");
  const Outcome run = Run({"--client", "tsh", "--timeout", "1", "-A", "node"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "undetermined", .cause = "interaction-needed"}));
}

TEST_F(Tsh, SaysInItsOwnWordsWhyThereIsNoSession) {
  StartAgentWithKey();
  const std::vector<std::pair<std::string, std::string>> faults = {
      {"access denied to dave connecting to node on cluster main",
       "authentication-failed"},
      {"failed to dial target host\n\tdial tcp: lookup node: no such host",
       "name-not-resolved"},
      {"dial tcp 10.0.0.1:443: connect: connection refused",
       "connection-refused"},
      {"something nobody has heard of", "connection-lost"}};
  for (const auto& [words, code] : faults) {
    Write("error", words);
    const Outcome run = RunTsh({"-A", "node"});
    EXPECT_TRUE(Reports(run, {.verdict = "undetermined", .cause = code}));
    EXPECT_NE(run.TextOf(code).find(words.substr(0, 20)), std::string::npos)
        << run.out;
  }
}

TEST_F(Tsh, IsNotInstalled) {
  StartAgentWithKey();
  SetEnv("PATH", "/usr/bin:/bin");
  const Outcome run = RunTsh({"-A", "node"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "undetermined", .cause = "ssh-not-found"}));
  EXPECT_NE(run.TextOf("ssh-not-found").find("no tsh program"),
            std::string::npos)
      << run.out;
}

TEST_F(Tsh, IsAnotherProgramOfThatName) {
  StartAgentWithKey();
  WriteText(Folder() + "/bin/tsh", "#!/bin/sh\necho a toy shell\n", 0755);
  EXPECT_TRUE(Reports(RunTsh({"-A", "node"}),
                      {.verdict = "undetermined", .cause = "ssh-not-found"}));
}

TEST_F(Tsh, RefusesWhatTshDoesNotKnow) {
  const std::vector<std::pair<Words, std::string>> wrong = {
      {{"-F", "file", "node"}, "no ssh_config"},
      {{"-i", "key", "node"}, "identity file"},
      {{"-J", "host", "node"}, "proxy"},
      {{"-a", "node"}, "ForwardAgent no"},
      {{"-4", "node"}, "-4"},
      {{"-o", "ForwardAgent=$SSH_AUTH_SOCK", "node"}, "yes, no or local"},
      {{"-o", "forwardagent=yes", "node"}, "case"},
      {{"-o", "AddKeysToAgent=yes", "node"}, "add keys"},
      {{"ssh://dave@node:22"}, "[user@]host"},
      {{"env=prod"}, "labels"},
      {{"--interactive", "node"}, "tsh login"},
      {{"--ssh", "/usr/bin/tsh", "node"}, "PATH"}};
  for (const auto& [words, reason] : wrong) {
    Words run = {"run", "--client", "tsh"};
    run.insert(run.end(), words.begin(), words.end());
    const Ended ended = Agentdoctor(run);
    EXPECT_EQ(ended.status, 2) << words.front();
    EXPECT_EQ(ended.out, "");
    EXPECT_NE(ended.err.find(reason), std::string::npos) << ended.err;
  }
  EXPECT_EQ(Calls(), "");
}

TEST_F(Tsh, ChangesNothing) {
  StartAgentWithKey();
  const std::string keys = Do({"ssh-add", "-l"}).out;
  const std::string before = Snapshot();
  RunTsh({"-A", "node"});
  RunTsh({"-o", "ForwardAgent local", "node"});
  EXPECT_EQ(Do({"ssh-add", "-l"}).out, keys);
  EXPECT_TRUE(Eventually([&] { return Snapshot() == before; })) << Snapshot();
  // Only these forms, each as design and manual say.
  std::istringstream calls(Calls());
  for (std::string line; std::getline(calls, line);)
    EXPECT_TRUE(line == "version" || line == "status" ||
                line.starts_with("ssh -A node sh -c ") ||
                line.starts_with("ssh -o ForwardAgent local node sh -c "))
        << line;
}

TEST_F(Tsh, LeavesNoChildBehind) {
  StartAgentWithKey();
  Write("hang", "ssh\n");
  const auto before = Descendants().size();
  Run({"--client", "tsh", "--timeout", "1", "-A", "node"});
  EXPECT_TRUE(Eventually([&] { return Descendants().size() == before; }));
}

TEST_F(Tsh, HasAnOptionThatOpenSshTakesForAFile) {
  StartAgentWithKey();
  WriteConfig(HostBlock(server_, "  ForwardAgent local\n"));
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "forward-agent-socket-missing",
                            .certainty = "proven"}));
  const std::string text = run.TextOf("forward-agent-socket-missing");
  EXPECT_NE(text.find("Teleport"), std::string::npos) << text;
}

}  // namespace
}  // namespace agentdoctor::lab
