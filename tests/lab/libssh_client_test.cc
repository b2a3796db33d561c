// `run --client libssh`, and the server made with libssh.
#include <algorithm>
#include <atomic>
#include <mutex>

#include "lab/fakes.h"
#include "lab/lab.h"
#include "lab/libssh_server.h"

namespace agentdoctor::lab {
namespace {

class LibsshServerTest : public Lab {
 protected:
  void Know(const LibsshServer& server, const std::string& lines = "") {
    WriteText(Home(".ssh/known_hosts"), server.KnownHostsLine());
    WriteConfig("Host gear\n  HostName 127.0.0.1\n  Port " +
                std::to_string(server.port()) + "\n  User admin\n" + lines);
  }
};

TEST_F(LibsshServerTest, AnswersOpenSshAndAsksItsAgent) {
  const LibsshServer server({.uses_agent = true});
  StartAgentWithKey();
  Know(server);
  const Ended ended = Do({"ssh", "-A", "gear", "show", "version"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_NE(ended.out.find("% Invalid input"), std::string::npos) << ended.err;
  EXPECT_EQ(server.logins(), 1);
  EXPECT_EQ(server.commands(), std::vector<std::string>{"show version"});
  ASSERT_EQ(server.agent_answers().size(), 1U);
  // SSH_AGENT_IDENTITIES_ANSWER, one identity
  EXPECT_EQ(server.agent_answers()[0].substr(0, 5),
            std::string("\14\0\0\0\1", 5));
}

TEST_F(LibsshServerTest, OpensNoAgentChannelToAClientThatOffersNone) {
  const LibsshServer server({.uses_agent = true});
  StartAgentWithKey();
  Know(server);
  EXPECT_EQ(Do({"ssh", "-a", "gear", "show", "version"}).status, 1);
  EXPECT_EQ(server.agent_answers(), std::vector<std::string>{""});
}

TEST_F(LibsshServerTest, TakesNoPassword) {
  const LibsshServer server({.takes_keys = false});
  StartAgentWithKey();
  Know(server);
  const Ended ended = Do({"ssh", "-o", "BatchMode=yes", "gear", "x"});
  EXPECT_NE(ended.err.find("Permission denied (password)"), std::string::npos)
      << ended.err;
}

// ------------------------------------------------------------ --client libssh
// --

class LibsshClient : public Lab {
 protected:
  static std::string Summary(const Outcome& run, const std::string& check) {
    for (const auto& each : run.Host().value("checks", nlohmann::json::array()))
      if (each["id"] == check) return each["summary"];
    return {};
  }

  Outcome By(const Words& options, const std::string& host = "gitlab-runner") {
    Words arguments = {"--client", "libssh", "--timeout", "3"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.push_back(host);
    return Run(arguments);
  }

  Outcome With(const std::string& lines, const Words& options = {}) {
    WriteConfig("Host gitlab-runner\n  ForwardAgent yes\n  User dave\n" +
                lines);
    return By(options);
  }

  static std::string At(int port) {
    return "  HostName 127.0.0.1\n  Port " + std::to_string(port) + "\n";
  }

  static testing::AssertionResult Undetermined(const Outcome& run,
                                               const std::string& code) {
    return Reports(run, {.verdict = "undetermined", .cause = code});
  }
};

TEST_F(LibsshClient, FindsAHealthyPath) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  const std::string before = Snapshot();
  const Outcome run = By({});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(run.Host()["client"]["name"], "libssh");
  EXPECT_NE(Summary(run, "remote-socket").find("a canary answered at "),
            std::string::npos)
      << run.out;
  EXPECT_NE(Summary(run, "remote-socket").find("your agent holds 1 identity"),
            std::string::npos);
  EXPECT_EQ(server.Logins(), 1);
  EXPECT_EQ(Snapshot(), before);
}

TEST_F(LibsshClient, SaysThatThereIsNoLibssh) {
  StartAgentWithKey();
  WriteText(Home("libssh.so.4"), "no library");
  SetEnv("LD_LIBRARY_PATH", Home());
  const Outcome run = With(At(9));
  EXPECT_TRUE(Undetermined(run, "ssh-not-found"));
  const std::string text = run.TextOf("ssh-not-found");
  EXPECT_NE(text.find("libssh.so.4: "), std::string::npos) << text;
  EXPECT_NE(text.find("libssh-4"), std::string::npos) << text;
  // The others do without.
  EXPECT_NE(Run({"gitlab-runner"}).RootCause(), "ssh-not-found");
}

// The far side sees the canary's key and no other; the user's agent is asked
// for its list, for extensions, and for the one signature of the login.
TEST_F(LibsshClient, NeverForwardsTheUsersAgent) {
  const Server server = StartServer();
  StartAgentWithKey();
  std::mutex mutex;
  std::vector<int> types;
  const FakeAgent agent(AgentSocket("overheard"),
                        fake::Overhears(AgentSocket(), [&](int type) {
                          const std::lock_guard lock(mutex);
                          types.push_back(type);
                        }));
  SetEnv("SSH_AUTH_SOCK", AgentSocket("overheard"));
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  const std::string record = Home("facts.json");
  const Outcome run =
      Run({"--client", "libssh", "--record", record, "gitlab-runner"});
  EXPECT_EQ(run.Verdict(), "healthy") << run.out;
  const auto facts = nlohmann::json::parse(ReadText(record));
  const auto& host = facts["hosts"][0]["facts"];
  const std::string canary = host["link"]["session"]["canary"];
  ASSERT_TRUE(canary.starts_with("SHA256:"));
  // The probe finds the user's own agent, too, by its path: the host is this
  // machine.  What counts is what answers at the sockets of the connection.
  const auto sockets = host["far"]["connectionSockets"];
  ASSERT_FALSE(sockets.empty()) << host["far"].dump(1);
  int answers = 0;
  for (const auto& seen : host["far"]["agents"]) {
    if (std::find(sockets.begin(), sockets.end(), seen["path"]) ==
        sockets.end())
      continue;
    ASSERT_EQ(seen["identities"].size(), 1U) << seen.dump(1);
    EXPECT_EQ(seen["identities"][0]["fingerprint"], canary);
    ++answers;
  }
  EXPECT_GT(answers, 0);
  const std::lock_guard lock(mutex);
  constexpr int kSign = 13;       // SSH_AGENTC_SIGN_REQUEST
  constexpr int kList = 11;       // SSH_AGENTC_REQUEST_IDENTITIES
  constexpr int kExtension = 27;  // SSH_AGENTC_EXTENSION
  EXPECT_EQ(std::count(types.begin(), types.end(), kSign), 1);
  for (const int type : types)
    EXPECT_TRUE(type == kSign || type == kList || type == kExtension) << type;
}

TEST_F(LibsshClient, NamesAServerThatDenies) {
  const Server server = StartServer({.config = "AllowAgentForwarding no"});
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  EXPECT_TRUE(Reports(By({}), {.verdict = "broken",
                               .cause = "server-denies-forwarding",
                               .certainty = "likely"}));
}

// libssh hears nothing of the key's options.
TEST_F(LibsshClient, SaysThatTheKeyMayBeTheReason) {
  const Server server = StartServer({.key_options = "no-agent-forwarding"});
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  const Outcome run = By({});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "server-denies-forwarding",
                            .certainty = "likely"}));
  EXPECT_NE(run.TextOf("server-denies-forwarding").find("no-agent-forwarding"),
            std::string::npos);
}

TEST_F(LibsshClient, JudgesTheLocalSideByItself) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent no\n"));
  EXPECT_TRUE(Reports(
      By({}), {.verdict = "broken", .cause = "forwarding-disabled-by-config"}));
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  UnsetEnv("SSH_AUTH_SOCK");
  // Logged in with the key's file.
  EXPECT_TRUE(
      Reports(By({}), {.verdict = "broken", .cause = "agent-not-running"}));
  StartAgent("empty");
  EXPECT_TRUE(Reports(By({}), {.verdict = "broken", .cause = "agent-empty"}));
  EXPECT_EQ(server.Logins(), 3);
}

TEST_F(LibsshClient, FindsAnOverriddenVariable) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteText(RemoteHome(".bashrc"), "export SSH_AUTH_SOCK=/tmp/gone.sock\n");
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  EXPECT_EQ(By({}).RootCause(), "remote-env-overridden");
}

TEST_F(LibsshClient, NeverUsesAMaster) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent no\n" + Sharing()));
  OpenMaster({}, "gitlab-runner");
  WriteConfig(HostBlock(server, Sharing()));
  const Outcome run = By({});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_NE(Summary(run, "control-master").find("shares none"),
            std::string::npos)
      << run.out;
}

// ------------------------------------------------------------------ host keys
// --

TEST_F(LibsshClient, RefusesAnUnknownHostKeyAndWritesNothing) {
  const Server server = StartServer({.known = false});
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  const std::string before = Snapshot();
  EXPECT_TRUE(Undetermined(By({}), "host-key-unknown"));
  for (const char* strict : {"no", "accept-new"})
    EXPECT_EQ(
        By({"-o", std::string("StrictHostKeyChecking=") + strict}).Verdict(),
        "healthy");
  EXPECT_EQ(Snapshot(), before);
}

TEST_F(LibsshClient, NeverAcceptsAChangedHostKey) {
  const Server server = StartServer({.known = false});
  StartAgentWithKey();
  MakeKey("other");
  const std::string key = ReadText(Home(".ssh/other.pub"));
  WriteText(Home(".ssh/known_hosts"), server.KnownHostsName() + " " + key);
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  for (const char* strict : {"ask", "no"})
    EXPECT_TRUE(
        Undetermined(By({"-o", std::string("StrictHostKeyChecking=") + strict}),
                     "host-key-changed"));
  EXPECT_EQ(server.Logins(), 0);
}

TEST_F(LibsshClient, ReadsHashedNamesAndAliases) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  ASSERT_EQ(Do({"ssh-keygen", "-H", "-f", Home(".ssh/known_hosts")}).status, 0);
  EXPECT_EQ(By({}).Verdict(), "healthy");
  EXPECT_TRUE(
      Undetermined(By({"-o", "HostKeyAlias=nobody"}), "host-key-unknown"));
}

// --------------------------------------------------------------- logging in --

TEST_F(LibsshClient, LogsInWithEveryKindOfKey) {
  StartAgent();
  for (const char* type : {"rsa", "ecdsa", "ed25519"}) {
    MakeKey(std::string("key_") + type,
            {"-t", type, "-N", "", "-b",
             std::string(type) == "rsa" ? "2048" : "256"});
  }
  const Server server = StartServer();
  for (const char* type : {"rsa", "ecdsa", "ed25519"}) {
    const std::string name = std::string("key_") + type;
    WriteConfig("Host gitlab-runner\n  HostName 127.0.0.1\n  Port " +
                std::to_string(server.port) +
                "\n  User dave\n  IdentitiesOnly yes\n  ForwardAgent yes\n"
                "  IdentityFile ~/.ssh/" +
                name + "\n");
    // From the file, then from the agent.
    EXPECT_EQ(By({}).RootCause(), "agent-empty") << type;
    AddKey(name);
    EXPECT_EQ(By({}).Verdict(), "healthy") << type;
    Do({"ssh-add", "-q", "-D"});
  }
}

TEST_F(LibsshClient, SkipsAKeyWithAPassphraseWithoutAsking) {
  StartAgent();
  MakeKey("locked", {"-N", "secret"});
  const Server server = StartServer();
  WriteConfig("Host gitlab-runner\n  HostName 127.0.0.1\n  Port " +
              std::to_string(server.port) +
              "\n  User dave\n  ForwardAgent yes\n"
              "  IdentityFile ~/.ssh/locked\n");
  const Outcome run = By({});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "agent-empty",
                            .beside = {"interaction-needed"}}));
  EXPECT_NE(run.TextOf("interaction-needed").find("locked"), std::string::npos);
}

TEST_F(LibsshClient, NamesKeysThatAreRefused) {
  const Server server = StartServer();
  StartAgent();
  MakeKey("stranger");
  AddKey("stranger");
  WriteConfig("Host gitlab-runner\n  HostName 127.0.0.1\n  Port " +
              std::to_string(server.port) +
              "\n  User dave\n  ForwardAgent yes\n"
              "  IdentityFile ~/.ssh/stranger\n");
  const Outcome run = By({});
  EXPECT_TRUE(Undetermined(run, "authentication-failed"));
  EXPECT_NE(run.TextOf("authentication-failed").find(Fingerprint("stranger")),
            std::string::npos);
}

TEST_F(LibsshClient, SaysThatAPasswordIsNeeded) {
  const LibsshServer server({.takes_keys = false});
  StartAgentWithKey();
  WriteText(Home(".ssh/known_hosts"), server.KnownHostsLine());
  EXPECT_TRUE(Undetermined(With(At(server.port())), "interaction-needed"));
}

TEST_F(LibsshClient, LogsInWithACertificate) {
  MakeKey("authority");
  MakeKey("certified");
  ASSERT_EQ(Do({"ssh-keygen", "-q", "-s", Home(".ssh/authority"), "-I", "x",
                "-n", "dave", Home(".ssh/certified.pub")})
                .status,
            0);
  const Server server =
      StartServer({.config = "TrustedUserCAKeys " + Home(".ssh/authority.pub") +
                             "\nAuthorizedKeysFile none"});
  StartAgent();
  const std::string block =
      "Host gitlab-runner\n  HostName 127.0.0.1\n  Port " +
      std::to_string(server.port) +
      "\n  User dave\n  ForwardAgent yes\n"
      "  IdentityFile ~/.ssh/certified\n";
  WriteConfig(block);
  EXPECT_EQ(By({}).RootCause(), "agent-empty");
  AddKey("certified");
  EXPECT_EQ(By({}).Verdict(), "healthy");
  EXPECT_EQ(server.Logins(), 2) << server.Log();
}

TEST_F(LibsshClient, DoesNotWaitForAnAgentThatDoesNotSign) {
  const Server server = StartServer();
  StartAgent();
  AddKey("id_ec2", {"-c"});  // and there is nobody to confirm
  SetEnv("SSH_ASKPASS", "/bin/false");
  WriteConfig(HostBlock(server,
                        "  ForwardAgent yes\n"
                        "  IdentitiesOnly yes\n"));
  const Outcome run = By({});
  EXPECT_TRUE(Undetermined(run, "authentication-failed"));
  EXPECT_NE(run.TextOf("authentication-failed").find("did not sign"),
            std::string::npos)
      << run.out;
}

// --------------------------------------------------------------------- faults
// --

TEST_F(LibsshClient, SaysWhatIsWrongWithTheConnection) {
  StartAgentWithKey();
  EXPECT_TRUE(
      Undetermined(With("  HostName nowhere.invalid\n"), "name-not-resolved"));
  const FakeHost silent(fake::Silent());
  EXPECT_TRUE(Undetermined(With(At(silent.port())), "connection-timeout"));
  const FakeHost greets(fake::Says("SSH-2.0-OpenSSH_9.2p1\r\n"));
  EXPECT_TRUE(Undetermined(With(At(greets.port())), "connection-timeout"));
  const FakeHost old(fake::Says("SSH-1.5-1.2.33\r\n"));
  EXPECT_TRUE(Undetermined(With(At(old.port())), "protocol-mismatch"));
  const FakeHost web(fake::Answers("HTTP/1.1 400 Bad Request\r\n\r\n"));
  EXPECT_TRUE(Undetermined(With(At(web.port())), "protocol-mismatch"));
  const FakeHost rude(fake::HangsUp());
  EXPECT_TRUE(Undetermined(With(At(rude.port())), "connection-lost"));
  const Server server = StartServer();
  kill(server.program.pid, SIGTERM);
  Finish(server.program);
  EXPECT_TRUE(Undetermined(With(At(server.port)), "connection-refused"));
}

TEST_F(LibsshClient, GoesThroughAProxyCommand) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(
      HostBlock(server, "  ForwardAgent yes\n  ProxyCommand nc %h %p\n"));
  EXPECT_EQ(By({}).Verdict(), "healthy");
  WriteConfig(HostBlock(
      server, "  ForwardAgent yes\n  ProxyCommand echo no way >&2; exit 1\n"));
  const Outcome run = By({});
  EXPECT_TRUE(Undetermined(run, "proxy-failed"));
  EXPECT_NE(run.TextOf("proxy-failed").find("no way"), std::string::npos);
}

TEST_F(LibsshClient, GivesNoShellADestinationThatIsAProgram) {
  WriteText(Home(".ssh/config"),
            "Host *\n  ForwardAgent yes\n  ProxyCommand true %n\n");
  const std::string mark = Folder() + "/ran";
  // An ssh that lets every name through, as those before 9.6 do.
  const std::string ssh = Folder() + "/ssh";
  WriteText(ssh, "#!/bin/sh\nexec ssh -vvv -G h\n", 0755);
  const Ended ended = Agentdoctor(
      {"run", "--client", "libssh", "--ssh", ssh, "x;>" + mark + "@h"});
  EXPECT_NE(ended.out.find("since a shell runs it"), std::string::npos)
      << ended.out;
  EXPECT_FALSE(std::filesystem::exists(mark + "@h"));
}

TEST_F(LibsshClient, GoesThroughAJumpHost) {
  const Server jump = StartServer();
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n  ProxyJump jump\n") +
              HostBlock(jump, "", "jump"));
  EXPECT_EQ(By({}).Verdict(), "healthy");
  EXPECT_EQ(jump.Logins(), 1);
}

TEST_F(LibsshClient, ProvesWhatAServerWithoutAShellDoes) {
  const LibsshServer server({.uses_agent = true});
  StartAgentWithKey();
  WriteText(Home(".ssh/known_hosts"), server.KnownHostsLine());
  const Outcome run = With(At(server.port()));
  EXPECT_TRUE(Reports(run, {.verdict = "degraded", .cause = "forced-command"}));
  EXPECT_NE(run.TextOf("forced-command").find("asked the agent"),
            std::string::npos);
  EXPECT_NE(run.TextOf("forced-command").find("% Invalid input"),
            std::string::npos);
  EXPECT_EQ(server.logins(), 1);
}

TEST_F(LibsshClient, KnowsNothingOfAServerThatNeverAsks) {
  const LibsshServer server;
  StartAgentWithKey();
  WriteText(Home(".ssh/known_hosts"), server.KnownHostsLine());
  EXPECT_EQ(With(At(server.port())).Verdict(), "undetermined");
}

// ------------------------------------------------------------------- the rest
// --

TEST_F(LibsshClient, RefusesADestinationThatCouldBeAnOption) {
  for (const char* destination : {"user@-oProxyCommand=x", "ssh://-x"}) {
    const Ended ended = Agentdoctor({"run", "--client", "libssh", destination});
    EXPECT_EQ(ended.status, 2) << destination;
    EXPECT_EQ(ended.out, "");
  }
}

TEST_F(LibsshClient, RefusesWhatItCannotDo) {
  for (const Words& options : std::vector<Words>{{"--to", "git@gitlab.example"},
                                                 {"--then", "b"},
                                                 {"--interactive"}}) {
    Words words = {"run", "--client", "libssh"};
    words.insert(words.end(), options.begin(), options.end());
    words.push_back("gitlab-runner");
    const Ended ended = Agentdoctor(words);
    EXPECT_EQ(ended.status, 2);
    EXPECT_EQ(ended.out, "");
    EXPECT_NE(ended.err.find("--client libssh takes no " + options[0]),
              std::string::npos)
        << ended.err;
  }
}

TEST_F(LibsshClient, ExaminesManyHostsAtOnce) {
  const Server server = StartServer({.config = "MaxStartups 200"});
  StartAgentWithKey();
  WriteText(Home(".ssh/config"), "Host web*\n  HostName 127.0.0.1\n  Port " +
                                     std::to_string(server.port) +
                                     "\n  User dave\n  ForwardAgent yes\n");
  Words arguments = {"--client", "libssh"};
  for (int i = 0; i < 20; ++i) arguments.push_back("web" + std::to_string(i));
  const Outcome run = Run(arguments);
  EXPECT_EQ(run.status, 0) << run.out;
  for (std::size_t i = 0; i < 20; ++i)
    EXPECT_EQ(run.Host(i).value("verdict", ""), "healthy") << i;
  EXPECT_EQ(server.Logins(), 20);
}

TEST_F(LibsshClient, NeedsNoSshProgram) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n"));
  const Outcome run = By({"--ssh", "/nonexistent/ssh"});
  // The way is fine; whether forwarding is asked for, libssh does not read.
  EXPECT_EQ(run.Verdict(), "undetermined") << run.out;
  EXPECT_EQ(run.Problems(), std::set<std::string>{});
  EXPECT_NE(Summary(run, "forward-agent").find("no ssh program"),
            std::string::npos)
      << run.out;
  EXPECT_EQ(By({"--ssh", "/nonexistent/ssh", "-A"}).Verdict(), "healthy");
}

TEST_F(LibsshClient, IsInterruptedWithAReport) {
  StartAgentWithKey();
  const FakeHost silent(fake::Silent());
  WriteConfig("Host gitlab-runner\n  ForwardAgent yes\n" + At(silent.port()));
  const Program run = LaunchAgentdoctor({"run", "--client", "libssh", "--json",
                                         "--timeout", "60", "gitlab-runner"});
  EXPECT_TRUE(Eventually([&] { return silent.connections() > 0; }));
  kill(run.pid, SIGINT);
  const Ended ended = Finish(run, Seconds{10});
  EXPECT_EQ(ended.status, 3);
  EXPECT_TRUE(nlohmann::json::accept(ended.out)) << ended.out;
}

}  // namespace
}  // namespace agentdoctor::lab
