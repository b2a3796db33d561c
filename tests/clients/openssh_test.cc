#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "agent/canary.h"
#include "clients/client.h"
#include "clients/loopback.h"
#include "clients/openssh_command.h"
#include "system/socket.h"

namespace agentdoctor {
namespace {

// Says who asks, what sshd handed over, and what the agent behind it holds.
const ProbeCommand kProbe{
    .command =
        "echo begin-mark; echo \"sock=$SSH_AUTH_SOCK\"; ssh-add -l; "
        "echo end-mark; true",
    .begin_marker = "begin-mark",
    .end_marker = "end-mark"};

class OpenSshTest : public Loopback {
 protected:
  OpenSshTest() { MakeClient(Milliseconds(20000)); }

  void MakeClient(Milliseconds limit) {
    RunOptions options{.step_limit = limit};
    options.tell = [this](const std::string& host, const std::string& words) {
      told_ += host + ": " + words + "\n";
    };
    client_ = MakeOpenSsh(options);
  }

  /// What is known before any session.
  Facts Known(const std::string& destination,
              const std::vector<std::string>& options = {}) {
    Facts facts;
    facts.request.destination = destination;
    facts.request.ssh_options = options;
    const Resolution resolution = client_->Resolve(facts.request);
    facts.link.version = resolution.version;
    facts.link.config = resolution.config;
    facts.link.sharing =
        client_->LookForMasters(facts.request, facts.link.config.value());
    return facts;
  }

  SessionResult Open(const Facts& facts, const ProbeCommand& probe = kProbe) {
    return client_->OpenSession(facts, probe);
  }

  std::string KnownHosts() const {
    return ReadText(Path("home/.ssh/known_hosts"));
  }

  std::unique_ptr<Client> client_;
  std::string told_;
};

/// All processes below \a parent: an sshd that is not root's has two for a
/// connection, one below the other.
std::vector<pid_t> ChildrenOf(pid_t parent) {
  const ProcessResult found =
      agentdoctor::Run({.argv = {"pgrep", "-P", std::to_string(parent)}});
  std::vector<pid_t> pids;
  std::istringstream words(found.out);
  for (pid_t pid = 0; words >> pid;) {
    pids.push_back(pid);
    for (const pid_t below : ChildrenOf(pid)) pids.push_back(below);
  }
  return pids;
}

std::string CodeOf(const std::optional<TransportFault>& fault) {
  return fault ? fault->code : "";
}

// ------------------------------------------------------------------ session --

TEST_F(OpenSshTest, ASessionCarriesTheProbe) {
  const Server server = StartServer();
  WriteConfig(Host("tgt", server));
  const SessionResult result = Open(Known("tgt"));
  EXPECT_EQ(result.session.end, SessionEnd::kProbed);
  EXPECT_FALSE(result.session.fault);
  EXPECT_EQ(result.session.exit_status, 0);
  EXPECT_NE(result.probe_output.find("sock=\n"), std::string::npos)
      << result.probe_output;
  EXPECT_TRUE(result.session.transcript.authenticated);
  EXPECT_FALSE(result.session.transcript.through_master.value());
  EXPECT_FALSE(result.session.transcript.forwarding_requested.value());
  EXPECT_EQ(server.Logins(), 1);
}

TEST_F(OpenSshTest, ASessionForwardsTheUsersAgentIfTheyDo) {
  const Canary agent(Path("agent"));
  SetEnvironment("SSH_AUTH_SOCK", agent.path());
  WriteConfig(Host("tgt", StartServer()));
  const SessionResult result = Open(Known("tgt", {"-A"}));
  EXPECT_TRUE(result.session.transcript.forwarding_requested.value());
  EXPECT_NE(result.probe_output.find(agent.fingerprint()), std::string::npos)
      << result.probe_output;
}

TEST_F(OpenSshTest, ASessionSetsNothingOffAndWritesNothing) {
  WriteConfig(Host("tgt", StartServer("", "", false),
                   "  StrictHostKeyChecking accept-new\n  UpdateHostKeys yes\n"
                   "  PermitLocalCommand yes\n  LocalCommand touch " +
                       Path("touched") + "\n  RemoteCommand touch " +
                       Path("touched") +
                       "\n  ControlMaster auto\n  ControlPath " + Path("m") +
                       "\n  ControlPersist yes\n  RequestTTY force\n"
                       "  ForkAfterAuthentication yes\n  SessionType none\n"
                       "  LocalForward " +
                       Path("forwarded") + " /nowhere\n"));
  const std::string before = KnownHosts();
  EXPECT_EQ(Open(Known("tgt")).session.end, SessionEnd::kProbed);
  EXPECT_EQ(KnownHosts(), before);
  for (const char* name : {"touched", "m", "forwarded"})
    EXPECT_EQ(LookAt(Path(name)).kind, PathStatus::Kind::kMissing) << name;
}

TEST_F(OpenSshTest, ASessionGoesThroughALiveMaster) {
  const Server server = StartServer();
  WriteConfig(Host("tgt", server, "  ControlPath " + Path("%r@%h:%p")));
  const std::string socket =
      Path("dave@127.0.0.1:" + std::to_string(server.port));
  const pid_t pid = StartMaster("tgt", socket);
  const Facts facts = Known("tgt");
  const Sharing& sharing = facts.link.sharing.value();
  EXPECT_EQ(sharing.control_path, socket);
  EXPECT_EQ(sharing.control_template, Path("%r@%h:%p"));
  EXPECT_EQ(sharing.directory.path, Path("").substr(0, Path("").size() - 1));
  EXPECT_EQ(sharing.master.pid, pid);
  EXPECT_TRUE(sharing.line.has_value());
  const SessionResult result = Open(facts);
  EXPECT_EQ(result.session.end, SessionEnd::kProbed);
  EXPECT_TRUE(result.session.transcript.through_master.value());
  EXPECT_EQ(server.Logins(), 1);
}

TEST_F(OpenSshTest, AStaleSocketIsNoMaster) {
  WriteConfig(Host("tgt", StartServer(), "  ControlPath " + Path("m")));
  ListenUnix(Path("m"));
  const Facts facts = Known("tgt");
  EXPECT_EQ(facts.link.sharing->master.state, MasterState::kStaleSocket);
  const SessionResult result = Open(facts);
  EXPECT_EQ(result.session.end, SessionEnd::kProbed);
  EXPECT_FALSE(result.session.transcript.through_master.value());
  EXPECT_EQ(result.session.transcript.fallback,
            "Control socket connect(" + Path("m") + "): Connection refused");
  // It is the user's, and stays.
  EXPECT_EQ(LookAt(Path("m")).kind, PathStatus::Kind::kSocket);
}

TEST_F(OpenSshTest, AMasterWhoseServerIsGoneTimesOut) {
  const Server server = StartServer();
  WriteConfig(Host("tgt", server, "  ControlPath " + Path("m")));
  StartMaster("tgt", Path("m"));
  const Facts facts = Known("tgt");
  ASSERT_EQ(facts.link.sharing->master.state, MasterState::kAlive);
  const std::vector<pid_t> connection = ChildrenOf(server.pid);
  ASSERT_FALSE(connection.empty());
  for (const pid_t pid : connection) kill(pid, SIGSTOP);
  MakeClient(Milliseconds(300));
  const SessionResult result = Open(facts);
  for (const pid_t pid : connection) kill(pid, SIGCONT);
  EXPECT_EQ(result.session.end, SessionEnd::kTimedOut);
  EXPECT_FALSE(result.session.fault);
}

TEST_F(OpenSshTest, AFrozenMasterTimesOut) {
  WriteConfig(Host("tgt", StartServer(), "  ControlPath " + Path("m")));
  const pid_t pid = StartMaster("tgt", Path("m"));
  const Facts facts = Known("tgt");
  kill(pid, SIGSTOP);
  MakeClient(Milliseconds(300));
  const SessionResult result = Open(facts);
  kill(pid, SIGCONT);
  // Since 9.4 ssh gives up the master by itself and connects.
  if (result.session.transcript.fallback.empty())
    EXPECT_EQ(result.session.end, SessionEnd::kTimedOut);
  else
    EXPECT_EQ(result.session.end, SessionEnd::kProbed);
}

TEST_F(OpenSshTest, AForcedCommandAnswersInsteadOfTheProbe) {
  WriteConfig(Host("tgt", StartServer("", "command=\"echo Welcome to git\"")));
  const SessionResult result = Open(Known("tgt"));
  EXPECT_EQ(result.session.end, SessionEnd::kNoProbe);
  EXPECT_EQ(result.session.output_head, "Welcome to git\n");
  EXPECT_EQ(result.session.output_bytes, 15);
  EXPECT_TRUE(result.session.transcript.key_options.at(0).forced_command);
}

TEST_F(OpenSshTest, TooMuchOutputIsCutOff) {
  WriteConfig(Host("tgt", StartServer()));
  const SessionResult result = Open(Known("tgt"), {.command = "cat /dev/zero",
                                                   .begin_marker = "begin-mark",
                                                   .end_marker = "end-mark"});
  EXPECT_EQ(result.session.end, SessionEnd::kCutOff);
  EXPECT_EQ(result.session.output_bytes, 1 << 20);
}

TEST_F(OpenSshTest, NobodyWaitsForASessionThatStaysOpen) {
  WriteConfig(Host("tgt", StartServer()));
  const SessionResult result = Open(
      Known("tgt"), {.command = std::string("echo begin-markhelloend-mark; ") +
                                kLastingCommand,
                     .begin_marker = "begin-mark",
                     .end_marker = "end-mark"});
  EXPECT_EQ(result.session.end, SessionEnd::kProbed);
  EXPECT_EQ(result.probe_output, "hello");
  EXPECT_FALSE(result.session.exit_status);
}

TEST_F(OpenSshTest, ASilentSessionTimesOut) {
  WriteConfig(Host("tgt", StartServer()));
  const Facts facts = Known("tgt");
  MakeClient(Milliseconds(1500));
  const SessionResult result = Open(facts, {.command = kLastingCommand,
                                            .begin_marker = "begin-mark",
                                            .end_marker = "end-mark"});
  EXPECT_EQ(result.session.end, SessionEnd::kTimedOut);
}

TEST_F(OpenSshTest, FaultsAreSshsOwnWords) {
  const Server unknown = StartServer("", "", false);
  const Server locked = StartServer("AuthorizedKeysFile none");
  WriteConfig(Host("nobody", {.port = FreePort()}) + Host("new", unknown) +
              Host("locked", locked) + "Host proxied\n  ProxyCommand sh " +
              Path("proxy") + "\n");
  WriteText(Path("proxy"), "echo no such instance >&2\nexit 1\n");
  const auto fault = [this](const std::string& destination) {
    const SessionResult result = Open(Known(destination));
    EXPECT_EQ(result.session.end, SessionEnd::kFailed) << destination;
    return result.session.fault.value_or(TransportFault{});
  };
  EXPECT_EQ(fault("nobody").code, "connection-refused");
  EXPECT_EQ(fault("new").code, "host-key-unknown");
  EXPECT_EQ(fault("locked").code, "authentication-failed");
  EXPECT_EQ(fault("locked").message,
            "dave@127.0.0.1: Permission denied "
            "(publickey).");
  EXPECT_EQ(fault("proxied").code, "proxy-failed");
  EXPECT_EQ(fault("proxied").message, "no such instance");
}

TEST_F(OpenSshTest, AServerThatNeverSpeaksTimesOut) {
  const Server server = StartServer();
  kill(server.pid, SIGSTOP);
  WriteConfig(Host("tgt", server));
  const Facts facts = Known("tgt");
  MakeClient(Milliseconds(1000));
  const SessionResult result = Open(facts);
  kill(server.pid, SIGCONT);
  EXPECT_EQ(result.session.end, SessionEnd::kFailed);
  EXPECT_EQ(CodeOf(result.session.fault), "connection-timeout");
}

TEST_F(OpenSshTest, WithoutAnSshThereIsNoSession) {
  Facts facts;
  facts.request.destination = "tgt";
  facts.request.ssh = Path("no-ssh");
  facts.link.config = ClientConfig{};
  EXPECT_EQ(CodeOf(Open(facts).session.fault), "ssh-not-found");
}

// --------------------------------------------------------------------- jump --

TEST_F(OpenSshTest, AJumpLeavesNoMasterAndNoHostKeyBehind) {
  const Server jump = StartServer("", "", false);
  const Server target = StartServer("", "", false);
  WriteConfig(Host("tgt", target, "  ProxyJump jmp") + Host("jmp", jump) +
              "Host *\n  StrictHostKeyChecking accept-new\n  ControlMaster "
              "auto\n  ControlPersist yes\n  ControlPath " +
              Path("m-%C") + "\n");
  const std::string before = KnownHosts();
  const SessionResult result = Open(Known("tgt"));
  EXPECT_EQ(result.session.end, SessionEnd::kProbed);
  EXPECT_EQ(jump.Logins(), 1);
  EXPECT_EQ(target.Logins(), 1);
  EXPECT_EQ(KnownHosts(), before);
  for (const auto& entry : std::filesystem::directory_iterator(Path("")))
    EXPECT_FALSE(entry.is_socket()) << entry.path();
}

TEST_F(OpenSshTest, SeveralHopsAreGoneInTheirOrder) {
  const Server first = StartServer();
  const Server second = StartServer();
  const Server target = StartServer();
  // The second hop is asked for on the command line, the first by its block.
  WriteConfig(Host("tgt", target) + Host("first", first) +
              Host("second", second, "  ProxyJump first"));
  const SessionResult result = Open(Known("tgt", {"-J", "dave@second"}));
  EXPECT_EQ(result.session.end, SessionEnd::kProbed);
  for (const Server& server : {first, second, target})
    EXPECT_EQ(server.Logins(), 1);
}

TEST_F(OpenSshTest, MastersOfJumpHostsAreUsedAndSeen) {
  const Server jump = StartServer();
  WriteConfig(Host("tgt", StartServer(), "  ProxyJump jmp") +
              Host("jmp", jump, "  ControlPath " + Path("j")));
  const pid_t pid = StartMaster("jmp", Path("j"));
  const Facts facts = Known("tgt");
  const auto& masters = facts.link.sharing->jump_masters;
  ASSERT_EQ(masters.size(), 1u);
  EXPECT_EQ(masters[0].host, "jmp");
  EXPECT_EQ(masters[0].pid, pid);
  const SessionResult result = Open(facts);
  EXPECT_EQ(result.session.end, SessionEnd::kProbed);
  EXPECT_FALSE(result.session.transcript.through_master.value());
  EXPECT_EQ(jump.Logins(), 1);
}

TEST_F(OpenSshTest, FaultsOfAJumpSayWhereTheyHappened) {
  const Server jump = StartServer();
  const Server unknown = StartServer("", "", false);
  const Server nobody{.port = FreePort()};
  WriteConfig(
      Host("behind", nobody, "  ProxyJump jmp") + Host("jmp", jump) +
      Host("unreachable", jump, "  ProxyJump gone") + Host("gone", nobody) +
      Host("unverified", jump, "  ProxyJump new") + Host("new", unknown));
  const auto fault = [this](const std::string& destination) {
    return Open(Known(destination)).session.fault.value_or(TransportFault{});
  };
  EXPECT_EQ(fault("behind").code, "host-unreachable-through-jump");
  EXPECT_EQ(fault("unreachable").code, "host-unreachable-through-jump");
  EXPECT_EQ(fault("unreachable").message,
            "on the way through gone: ssh: connect to host 127.0.0.1 port " +
                std::to_string(nobody.port) + ": Connection refused");
  EXPECT_EQ(fault("unverified").code, "host-key-unknown");
  EXPECT_NE(fault("unverified").message.find("new"), std::string::npos);
}

// ------------------------------------------------------------------ control --

TEST_F(OpenSshTest, TheControlIsGrantedTheCanary) {
  const Server server = StartServer();
  WriteConfig(Host("tgt", server, "  ForwardAgent no"));
  const ControlResult result =
      client_->MakeControlLogin(Known("tgt", {"-a"}), &kProbe);
  EXPECT_TRUE(result.control.logged_in);
  EXPECT_FALSE(result.control.fault);
  EXPECT_TRUE(result.control.granted.value());
  EXPECT_NE(result.probe_output.find(result.control.canary), std::string::npos)
      << result.probe_output;
  EXPECT_EQ(server.Logins(), 1);
  EXPECT_TRUE(result.control.transcript.key_options.at(0).agent_forwarding);
}

TEST_F(OpenSshTest, TheControlHearsARefusal) {
  WriteConfig(Host("tgt", StartServer("AllowAgentForwarding no")));
  const ControlResult result = client_->MakeControlLogin(Known("tgt"), &kProbe);
  EXPECT_TRUE(result.control.logged_in);
  EXPECT_FALSE(result.control.granted.value());
}

TEST_F(OpenSshTest, TheControlFeedsNoForcedCommand) {
  WriteConfig(Host(
      "tgt", StartServer("", "command=\"touch " + Path("touched") + "\"")));
  const ControlResult result = client_->MakeControlLogin(Known("tgt"), &kProbe);
  EXPECT_TRUE(result.control.granted.value());
  EXPECT_EQ(result.probe_output, "");
  EXPECT_EQ(LookAt(Path("touched")).kind, PathStatus::Kind::kMissing);
}

TEST_F(OpenSshTest, TheControlIsAFreshLoginBesideALiveMaster) {
  const Server server = StartServer();
  WriteConfig(Host("tgt", server,
                   "  ControlMaster auto\n  ControlPath " + Path("m") +
                       "\n  ControlPersist yes\n"));
  StartMaster("tgt", Path("m"));
  const Facts facts = Known("tgt");
  const ControlResult result = client_->MakeControlLogin(facts, &kProbe);
  EXPECT_TRUE(result.control.granted.value());
  EXPECT_EQ(server.Logins(), 2);
  // The user's own is as it was: nobody ever asked it for forwarding.
  const SessionResult session = Open(facts);
  EXPECT_TRUE(session.session.transcript.through_master.value());
  EXPECT_NE(session.probe_output.find("sock=\n"), std::string::npos);
}

TEST_F(OpenSshTest, TheControlLogsInWithADeadAgentOnTheNearSide) {
  SetEnvironment("SSH_AUTH_SOCK", Path("dead"));
  WriteConfig(Host("tgt", StartServer()));
  EXPECT_TRUE(
      client_->MakeControlLogin(Known("tgt"), nullptr).control.granted.value());
}

TEST_F(OpenSshTest, AControlThatCannotLogInSaysWhy) {
  WriteConfig(Host("tgt", StartServer("AuthorizedKeysFile none")));
  const ControlResult result = client_->MakeControlLogin(Known("tgt"), &kProbe);
  EXPECT_FALSE(result.control.logged_in);
  EXPECT_EQ(CodeOf(result.control.fault), "authentication-failed");
  EXPECT_FALSE(result.control.granted.known());
}

TEST_F(OpenSshTest, AControlWithoutASessionKnowsNothingOfForwarding) {
  WriteConfig(Host("tgt", StartServer("MaxSessions 0")));
  const ControlResult result = client_->MakeControlLogin(Known("tgt"), &kProbe);
  EXPECT_TRUE(result.control.logged_in);
  EXPECT_FALSE(result.control.granted.known());
}

// -------------------------------------------------------------- remote agent
// --

TEST_F(OpenSshTest, ARemoteAgentIsAskedThroughTheLiveMaster) {
  const Canary remote(Path("remote"));
  WriteConfig(Host("tgt", StartServer(), "  ControlPath " + Path("m")));
  StartMaster("tgt", Path("m"));
  Facts facts = Known("tgt");
  facts.link.session = Session{.transcript = {.through_master = true}};
  const auto agent = client_->AskRemoteAgent(facts, remote.path());
  ASSERT_TRUE(agent);
  EXPECT_EQ(agent->state, AgentState::kAnswered);
  EXPECT_EQ(agent->asked_with, "direct-streamlocal");
  ASSERT_EQ(agent->identities.size(), 1u);
  EXPECT_EQ(agent->identities[0].fingerprint, remote.fingerprint());
  EXPECT_FALSE(client_->AskRemoteAgent(facts, Path("nowhere")));
  // A master that did not carry the session may lead to another machine.
  facts.link.session.get()->transcript.through_master = false;
  EXPECT_FALSE(client_->AskRemoteAgent(facts, remote.path()));
}

TEST_F(OpenSshTest, WithoutAMasterNoRemoteAgentIsAsked) {
  WriteConfig(Host("tgt", StartServer()));
  EXPECT_FALSE(client_->AskRemoteAgent(Known("tgt"), "/a"));
}

}  // namespace
}  // namespace agentdoctor
