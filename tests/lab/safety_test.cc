// What a run may never do, whatever it meets.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <mutex>

#include "lab/fakes.h"
#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

namespace fs = std::filesystem;

class Safety : public Lab {
 protected:
  /// What lies in the servers' /tmp, which is a folder of the test.
  std::string FarTemporaryFiles() const {
    std::string names;
    for (const auto& entry :
         fs::recursive_directory_iterator(Folder() + "/far-tmp"))
      names += entry.path().string() + "\n";
    return names;
  }

  ServerOptions PrivateTmp() const {
    const std::string folder = Folder() + "/far-tmp";
    fs::create_directory(folder);
    fs::permissions(folder, fs::perms::all | fs::perms::sticky_bit);
    return {.mounts = {{"--bind", folder, "/tmp"}}};
  }

  testing::AssertionResult ChangesNothing(const Words& arguments) {
    const std::string before = Snapshot() + FarTemporaryFiles();
    Run(arguments);
    std::string after;
    if (Eventually(
            [&] {
              return (after = Snapshot() + FarTemporaryFiles()) == before;
            },
            Seconds{10}))
      return testing::AssertionSuccess();
    return testing::AssertionFailure() << "before:\n"
                                       << before << "after:\n"
                                       << after;
  }
};

TEST_F(Safety, APlainRunChangesNothing) {
  Server server;
  try {
    server = StartServer(PrivateTmp());
  } catch (const std::runtime_error&) {
    GTEST_SKIP() << "needs mount namespaces";
  }
  StartAgentWithKey();

  WriteConfig(HostBlock(server, Sharing()));
  EXPECT_TRUE(ChangesNothing({"gitlab-runner"})) << "healthy";
  LeaveDeadSocket(ControlSocket(server));
  EXPECT_TRUE(ChangesNothing({"gitlab-runner"})) << "dead socket";
  fs::remove(ControlSocket(server));

  WriteConfig(HostBlock(server, "  ForwardAgent no\n" + Sharing()));
  OpenMaster();
  WriteConfigLater(HostBlock(server, Sharing()));
  EXPECT_TRUE(ChangesNothing({"gitlab-runner"})) << "stale master";
  EXPECT_TRUE(ChangesNothing({"--fix", "--dry-run", "gitlab-runner"}));
  EXPECT_TRUE(ChangesNothing({"--control", "always", "gitlab-runner"}));

  WriteText(RemoteHome(".bashrc"), "export SSH_AUTH_SOCK=/tmp/gone\n");
  EXPECT_TRUE(ChangesNothing({"gitlab-runner"})) << "overridden";
}

TEST_F(Safety, TheUsersKeyIsNotShownWhereTheConfigurationSaysNo) {
  const Server server = StartServer();
  StartAgentWithKey();
  std::mutex mutex;
  int lists = 0;
  const std::string overheard = Folder() + "/overheard.sock";
  // Every use of the user's agent passes here; the control login must not.
  const FakeAgent agent(overheard,
                        fake::Overhears(AgentSocket(), [&](int type) {
                          const std::lock_guard lock(mutex);
                          lists += type == 11;
                        }));
  SetEnv("SSH_AUTH_SOCK", overheard);
  // Whatever socket a session of dave's gets writes down what it lists.
  WriteText(RemoteHome(".bashrc"),
            "ssh-add -l >> " + Folder() + "/seen 2>&1\n");
  WriteConfig(HostBlock(server,
                        "  ForwardAgent no\n  ControlMaster auto\n"
                        "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON "%p\n"));
  for (const Words& options :
       {Words{}, {"--control", "always"}, {"--fix", "--force"}}) {
    Words arguments = options;
    arguments.push_back("gitlab-runner");
    Run(arguments);
  }
  OpenMaster();
  Run({"--control", "always", "gitlab-runner"});
  const std::string seen = ReadText(Folder() + "/seen");
  EXPECT_NE(seen, "") << "the recorder ran";
  EXPECT_EQ(seen.find(Fingerprint("id_ec2")), std::string::npos) << seen;
  EXPECT_GT(lists, 0) << "the login itself used the agent";
}

TEST_F(Safety, TheCanaryAloneIsForwardedByTheControlLogin) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteText(RemoteHome(".bashrc"),
            "ssh-add -l >> " + Folder() + "/seen 2>&1\n");
  WriteConfig(HostBlock(server,
                        "  ControlMaster auto\n"
                        "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON "%p\n"));
  OpenMaster();
  WriteConfigLater(HostBlock(server, Sharing()));
  EXPECT_EQ(Run({"gitlab-runner"}).RootCause(),
            "mux-master-without-forwarding");
  const std::string seen = ReadText(Folder() + "/seen");
  EXPECT_EQ(seen.find(Fingerprint("id_ec2")), std::string::npos) << seen;
}

TEST_F(Safety, AskingAStaleMasterNeverMakesItForward) {
  const Server server = StartServer();
  StartAgentWithKey();
  // This master may forward, but nobody has asked it to.
  WriteConfig(HostBlock(server, Sharing()));
  Ssh({"-fNM", "gitlab-runner"});
  WriteConfig(HostBlock(server, "  ForwardAgent no\n" + Sharing()));
  Run({"gitlab-runner"});
  EXPECT_EQ(Ssh({"gitlab-runner", "echo [$SSH_AUTH_SOCK]"}), "[]\n");
}

TEST_F(Safety, WrongUsageIsStatusTwoWithAMessageAndNoOutput) {
  const std::vector<Words> wrong = {
      {},
      {"run"},
      {"run", "--no-such-option", "host"},
      {"run", "--timeout", "soon", "host"},
      {"run", "--format", "xml", "host"},
      {"run", "--control", "perhaps", "host"},
      {"run", "--only", "no-such-code", "host"},
      {"run", "--", "ssh", "-G", "host"},
      {"run", "--", "ssh"},
      {"run", "--", "scp", "a", "b:"},
      {"run", "--", "rsync", "-a", "file", "host:"},
      {"run", "--", "host", "b:"},
      {"run", ""},
      {"run", "two words"},
      {"frobnicate"},
      {"replay", Folder() + "/missing.json"},
  };
  for (const Words& arguments : wrong) {
    const Ended ended = Agentdoctor(arguments);
    std::string line;
    for (const std::string& word : arguments) line += " " + word;
    EXPECT_EQ(ended.status, 2) << "agentdoctor" << line;
    EXPECT_EQ(ended.out, "") << "agentdoctor" << line;
    EXPECT_NE(ended.err, "") << "agentdoctor" << line;
  }
}

TEST_F(Safety, ADestinationThatBeginsWithADashIsRefused) {
  for (const Words& arguments :
       {Words{"run", "--", "-oProxyCommand=touch " + Folder() + "/owned"},
        {"run", "--", "ssh", "--",
         "-oProxyCommand=touch " + Folder() + "/owned"},
        {"run", "dave@-oProxyCommand=touch"},
        {"config", "--", "-oProxyCommand=touch " + Folder() + "/owned"}}) {
    const Ended ended = Agentdoctor(arguments);
    EXPECT_EQ(ended.status, 2);
    EXPECT_EQ(ended.out, "");
  }
  EXPECT_FALSE(fs::exists(Folder() + "/owned"));
}

TEST_F(Safety, AGigabyteOfRemoteOutputIsCutOffInBoundedMemory) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  WriteText(RemoteHome(".bashrc"), "head -c 1073741824 /dev/zero\n");
  const Outcome run = Run({"--timeout", "2", "gitlab-runner"});
  EXPECT_EQ(run.Verdict(), "undetermined") << run.err;
  EXPECT_EQ(run.status, 3);
  EXPECT_FALSE(run.Has("forced-command")) << "it did not end by itself";
  rusage usage = {};
  getrusage(RUSAGE_CHILDREN, &usage);
  EXPECT_LT(usage.ru_maxrss, 128 * 1024) << "KiB, of the largest child";
}

TEST_F(Safety, EndlessErrorOutputIsCutOff) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  WriteText(RemoteHome(".bashrc"), "yes error >&2\n");
  const Outcome run = Run({"--timeout", "2", "gitlab-runner"});
  EXPECT_EQ(run.Verdict(), "undetermined") << run.err;
}

TEST_F(Safety, AStartUpFileThatWaitsForEverIsATimeout) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  WriteText(RemoteHome(".bashrc"), "sleep 1000\n");
  const Outcome run = Run({"--timeout", "1", "gitlab-runner"});
  EXPECT_EQ(run.Verdict(), "undetermined") << run.out;
  EXPECT_EQ(run.status, 3);
}

TEST_F(Safety, EscapesFromTheFarSideDoNotReachTheTerminal) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  WriteText(RemoteHome(".bashrc"),
            "export SSH_AUTH_SOCK=$(printf '/tmp/\\033]0;owned\\007')\n");
  const Ended run = Agentdoctor({"run", "--verbose", "gitlab-runner"});
  EXPECT_EQ(run.status, 1);
  EXPECT_EQ(run.out.find('\033'), std::string::npos);
  EXPECT_EQ(run.err.find('\033'), std::string::npos);
  Run({"gitlab-runner"});  // valid JSON all the same
}

TEST_F(Safety, CtrlCLeavesNoChildAndAValidReport) {
  const FakeHost silent(fake::Silent());
  StartAgentWithKey();
  WriteConfig("Host gitlab-runner\n  HostName 127.0.0.1\n  Port " +
              std::to_string(silent.port()) + "\n  ForwardAgent yes\n");
  const std::vector<ProcessLine> before = Descendants();
  const Words words = {"run", "--json", "--record", Folder() + "/facts.json",
                       "gitlab-runner"};
  const Program run = LaunchAgentdoctor(words);
  ASSERT_TRUE(Eventually([&] { return silent.connections() > 0; }));
  kill(run.pid, SIGINT);
  const Ended ended = Finish(run, Seconds{10});
  ExpectSameReplay(words, ended);
  EXPECT_EQ(ended.status, 3) << ended.err;
  const auto report = nlohmann::json::parse(ended.out, nullptr, false);
  ASSERT_TRUE(report.is_object()) << ended.out;
  EXPECT_EQ(SchemaErrors(report), "");
  EXPECT_EQ(report["hosts"][0]["verdict"], "undetermined");
  EXPECT_TRUE(Eventually([&] { return Descendants() == before; }));
  EXPECT_TRUE(fs::is_empty(Folder() + "/tmp"));
}

TEST_F(Safety, CtrlCDuringAFrozenSessionLeavesNoChild) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, Sharing()));
  OpenMaster();
  WriteText(RemoteHome(".bashrc"), "touch " + Folder() + "/in; sleep 1000\n");
  const Words words = {"run", "--json", "--record", Folder() + "/facts.json",
                       "gitlab-runner"};
  const Program run = LaunchAgentdoctor(words);
  ASSERT_TRUE(Eventually([&] { return fs::exists(Folder() + "/in"); }));
  kill(run.pid, SIGINT);
  const Ended ended = Finish(run, Seconds{10});
  ExpectSameReplay(words, ended);
  EXPECT_EQ(ended.status, 3) << ended.out << ended.err;
  EXPECT_TRUE(nlohmann::json::parse(ended.out, nullptr, false).is_object());
  EXPECT_TRUE(Eventually([&] {
    for (const ProcessLine& line : Descendants())
      if (line.parent == getpid() &&
          line.command.find("gitlab-runner") != std::string::npos)
        return false;
    return true;
  }));
}

}  // namespace
}  // namespace agentdoctor::lab
