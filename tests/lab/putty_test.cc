// PuTTY, with a real plink: saved sessions, agents, host keys, and upstreams
// that other sessions share.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

namespace fs = std::filesystem;

class Putty : public Lab {
 protected:
  /// PuTTY's upstreams of one user share a folder in /tmp, so each test is
  /// another user.
  Putty() {
    const std::string name = "alice-" + std::to_string(getpid());
    shared_ = "/tmp/putty-connshare." + name;
    const std::string passwords = ReadText(Folder() + "/passwd");
    WriteText(Folder() + "/putty-passwd",
              name + passwords.substr(passwords.find(':')), 0644);
    SetEnv("NSS_WRAPPER_PASSWD", Folder() + "/putty-passwd");
    fs::create_directories(Home(".putty/sessions"));
  }

  ~Putty() override {
    EndDescendants();
    std::error_code ignored;
    fs::remove_all(shared_, ignored);
  }

  std::string HostKey(const Server& server) {
    const std::string line =
        Do({"ssh-keygen", "-lf", server.folder + "/host_key.pub"}).out;
    const std::size_t begin = line.find("SHA256:");
    return line.substr(begin, line.find(' ', begin) - begin);
  }

  /// What PuTTY would write, as far as it matters, and more \a lines.
  std::string Session(const Server& server, const std::string& lines) {
    return "Present=1\nHostName=127.0.0.1\nProtocol=ssh\nPortNumber=" +
           std::to_string(server.port) +
           "\nUserName=dave\nSSHManualHostKeys=" + HostKey(server) + ",\n" +
           lines;
  }

  void Save(const std::string& file, const std::string& text) {
    WriteText(Home(".putty/sessions/" + file), text);
  }

  Server WithSession(const std::string& lines,
                     const ServerOptions& options = {}) {
    const Server server = StartServer(options);
    Save("gitlab-runner", Session(server, lines));
    return server;
  }

  Outcome RunPutty(const Words& arguments, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE()) {
    Words words = {"--client", "putty"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return Run(words, file, line);
  }

  /// A PuTTY that others share the connection of, with a command running in
  /// it.
  Program OpenUpstream(const Words& options = {}) {
    Words argv = {"plink", "-batch"};
    argv.insert(argv.end(), options.begin(), options.end());
    argv.insert(argv.end(), {"gitlab-runner", "echo ready; exec cat"});
    const Program upstream = Launched(argv, true);
    if (!Eventually([&] {
          return upstream.Output().find("ready") != std::string::npos;
        }))
      throw std::runtime_error("plink: " + upstream.Output() +
                               upstream.Errors());
    return upstream;
  }

  std::string shared_;  ///< the folder of the upstreams' sockets
};

const char* const kForwards = "AgentFwd=1\n";
const char* const kShares = "AgentFwd=1\nConnectionSharing=1\n";

TEST_F(Putty, ThatForwardsIsHealthyAndLeavesNothingBehind) {
  const Server server = WithSession(
      "AgentFwd=1\nConnectionSharing=1\nLogType=1\nLogFileName=" +
      Home("putty.log") +
      "\nLogFileClash=0\nX11Forward=1\nRemoteCommand=touch " +
      RemoteHome("touched") + "\nPortForwardings=R4=localhost:80,\n");
  StartAgentWithKey();
  const std::string before = Snapshot();
  const Outcome run = RunPutty({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(run.Host()["client"]["name"], "putty");
  EXPECT_TRUE(run.Host()["client"]["version"].get<std::string>().starts_with(
      "PuTTY_Release_"));
  EXPECT_EQ(Snapshot(), before);
  EXPECT_FALSE(fs::exists(shared_)) << "it has become an upstream";
  EXPECT_EQ(server.Logins(), 1);
}

TEST_F(Putty, DoesNotForwardByDefault) {
  WithSession("");
  StartAgentWithKey();
  EXPECT_TRUE(
      Reports(RunPutty({"gitlab-runner"}),
              {.verdict = "broken", .cause = "forwarding-not-requested"}));
  EXPECT_TRUE(
      Reports(RunPutty({"-A", "gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_F(Putty, ThatWasToldNotToForwardIsNamedByItsLine) {
  WithSession("AgentFwd=0\n");
  StartAgentWithKey();
  const Outcome run = RunPutty({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "forwarding-not-requested",
                            .certainty = "proven"}));
  const std::string text = run.TextOf("forwarding-not-requested");
  EXPECT_NE(text.find(Home(".putty/sessions/gitlab-runner") + ":7"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("Allow agent forwarding"), std::string::npos) << text;
  EXPECT_EQ(text.find("ssh_config"), std::string::npos) << text;
}

TEST_F(Putty, ByTheOptionForwardsNot) {
  WithSession(kForwards);
  StartAgentWithKey();
  EXPECT_TRUE(
      Reports(RunPutty({"-a", "gitlab-runner"}),
              {.verdict = "broken", .cause = "forwarding-disabled-by-config"}));
}

TEST_F(Putty, HasSessionsWithAnyName) {
  const Server server = StartServer();
  Save("my%20session%20100%25%2F", Session(server, kForwards));
  StartAgentWithKey();
  EXPECT_TRUE(Reports(RunPutty({"my session 100%/"}), {.verdict = "healthy"}));
}

TEST_F(Putty, HasItsFolderElsewhere) {
  const Server server = StartServer();
  fs::create_directories(Home("putty/sessions"));
  WriteText(Home("putty/sessions/gitlab-runner"), Session(server, kForwards));
  Save("gitlab-runner", Session(server, "AgentFwd=0\n"));
  SetEnv("PUTTYDIR", Home("putty"));
  StartAgentWithKey();
  EXPECT_TRUE(Reports(RunPutty({"gitlab-runner"}), {.verdict = "healthy"}));
}

TEST_F(Putty, TakesAHostWithDefaultSettings) {
  const Server server = StartServer();
  Save("Default%20Settings", Session(server, "AgentFwd=1\n"));
  StartAgentWithKey();
  const Outcome run =
      RunPutty({"-p", std::to_string(server.port), "dave@127.0.0.1"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "degraded", .cause = "forward-agent-global"}));
}

TEST_F(Putty, NamesTheSessionThatForwardsToTheSameHost) {
  const Server server = WithSession(kForwards);
  Save("Default%20Settings", Session(server, "AgentFwd=0\n"));
  StartAgentWithKey();
  const Outcome run = RunPutty({"127.0.0.1"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "forwarding-not-requested"}));
  EXPECT_NE(run.TextOf("host-alias-mismatch").find("gitlab-runner"),
            std::string::npos);
}

TEST_F(Putty, OfAnotherProtocolIsNotRun) {
  Save("modem", "HostName=127.0.0.1\nProtocol=telnet\nPortNumber=1\n");
  StartAgentWithKey();
  EXPECT_TRUE(Reports(RunPutty({"modem"}),
                      {.verdict = "broken", .cause = "config-error"}));
}

TEST_F(Putty, RefusesOptionsThatPlinkDoesNotKnow) {
  for (const Words& options :
       {Words{"-J", "bastion"}, Words{"-F", "file"}, Words{"-o", "Port=1"}}) {
    const Ended ended = Do({AGENTDOCTOR_PROGRAM, "run", "--client", "putty",
                            options[0], options[1], "host"});
    EXPECT_EQ(ended.status, 2);
    EXPECT_EQ(ended.out, "");
    EXPECT_NE(ended.err.find(options[0]), std::string::npos) << ended.err;
  }
}

// ---------------------------------------------------------------- upstreams --

TEST_F(Putty, SharingAnUpstreamThatForwardsIsHealthy) {
  const Server server = WithSession(kShares);
  StartAgentWithKey();
  const Program upstream = OpenUpstream();
  EXPECT_TRUE(Reports(RunPutty({"gitlab-runner"}), {.verdict = "healthy"}));
  EXPECT_EQ(server.Logins(), 1) << "the upstream's";
  EXPECT_TRUE(upstream.Alive());
}

TEST_F(Putty, SharingAnUpstreamWithoutForwardingIsProven) {
  const Server server = WithSession("ConnectionSharing=1\n");
  StartAgentWithKey();
  const Program upstream = OpenUpstream();
  Save("gitlab-runner", Session(server, kShares));
  const Outcome run = RunPutty({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "mux-master-without-forwarding",
                            .certainty = "proven"}));
  const std::string text = run.TextOf("mux-master-without-forwarding");
  EXPECT_NE(text.find("pid " + std::to_string(upstream.pid)), std::string::npos)
      << text;
  EXPECT_NE(text.find("close the window"), std::string::npos) << text;
  EXPECT_EQ(text.find("ssh -O"), std::string::npos) << text;
  EXPECT_EQ(run.Remedy("mux-master-without-forwarding"), "");
  EXPECT_EQ(server.Logins(), 2) << "the upstream's and one control login";
  EXPECT_TRUE(upstream.Alive());
}

// The control login is all that is lost.
TEST_F(Putty, IsExaminedWhereThereIsNoLibssh) {
  const Server server = WithSession("ConnectionSharing=1\n");
  StartAgentWithKey();
  const Program upstream = OpenUpstream();
  Save("gitlab-runner", Session(server, kShares));
  WriteText(Home("libssh.so.4"), "no library");
  SetEnv("LD_LIBRARY_PATH", Home());
  const Outcome run = RunPutty({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "mux-master-without-forwarding",
                            .certainty = "likely"}));
  EXPECT_EQ(server.Logins(), 1) << "the upstream's";
}

TEST_F(Putty, IsNeverClosedByAFix) {
  const Server server = WithSession("ConnectionSharing=1\n");
  StartAgentWithKey();
  const Program upstream = OpenUpstream();
  Save("gitlab-runner", Session(server, kShares));
  EXPECT_TRUE(Reports(RunPutty({"--fix", "--force", "gitlab-runner"}),
                      {.verdict = "broken",
                       .cause = "mux-master-without-forwarding",
                       .certainty = "proven"}));
  EXPECT_TRUE(upstream.Alive());
}

TEST_F(Putty, WithAKeyFileIsProvenByTheSameKey) {
  MakeKey("id_other");
  const Server server = StartServer();
  StartAgentWithKey();
  AddKey("id_other");
  const std::string ppk = Home("other.ppk");
  ASSERT_EQ(Do({"puttygen", Home(".ssh/id_other"), "-O", "private", "-o", ppk})
                .status,
            0);
  const std::string lines = "ConnectionSharing=1\nPublicKeyFile=" + ppk + "\n";
  Save("gitlab-runner", Session(server, lines));
  const Program upstream = OpenUpstream();
  Save("gitlab-runner", Session(server, kForwards + lines));
  EXPECT_TRUE(Reports(RunPutty({"gitlab-runner"}),
                      {.verdict = "broken",
                       .cause = "mux-master-without-forwarding",
                       .certainty = "proven"}));
  const std::string log = server.Log();
  EXPECT_EQ(log.find(Fingerprint("id_ec2")), std::string::npos)
      << "a control login with another key: " << log;
}

TEST_F(Putty, WithAKeyThatOnlyItCanReadIsLikely) {
  MakeKey("id_other");
  const Server server = StartServer();
  StartAgentWithKey();
  const std::string ppk = Home("other.ppk");
  ASSERT_EQ(Do({"puttygen", Home(".ssh/id_other"), "-O", "private", "-o", ppk})
                .status,
            0);
  const std::string lines = "ConnectionSharing=1\nPublicKeyFile=" + ppk + "\n";
  Save("gitlab-runner", Session(server, lines));
  const Program upstream = OpenUpstream();
  Save("gitlab-runner", Session(server, kForwards + lines));
  const Outcome run = RunPutty({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "mux-master-without-forwarding",
                            .certainty = "likely"}));
  EXPECT_NE(run.TextOf("mux-master-without-forwarding").find(ppk),
            std::string::npos);
}

TEST_F(Putty, SharingAnUpstreamThatForwardsUnaskedIsAWarning) {
  const Server server = WithSession(kShares);
  StartAgentWithKey();
  const Program upstream = OpenUpstream();
  Save("gitlab-runner", Session(server, "ConnectionSharing=1\n"));
  EXPECT_TRUE(RunPutty({"gitlab-runner"}).Has("mux-leaks-forwarding"));
}

TEST_F(Putty, SharingAnUpstreamWhoseAgentHasDiedIsProven) {
  const Server server = WithSession(kShares);
  const Program old_agent = StartAgent("old");
  AddKey("id_ec2");
  const Program upstream = OpenUpstream();
  kill(old_agent.pid, SIGTERM);
  Finish(old_agent);
  StartAgentWithKey();
  EXPECT_TRUE(
      Reports(RunPutty({"gitlab-runner"}), {.verdict = "broken",
                                            .cause = "mux-master-dead-agent",
                                            .certainty = "proven"}));
}

TEST_F(Putty, SharingAFrozenUpstreamIsBlamedByItsPid) {
  const Server server = WithSession(kShares);
  StartAgentWithKey();
  const Program upstream = OpenUpstream();
  kill(upstream.pid, SIGSTOP);
  const Outcome run = RunPutty({"--timeout", "2", "gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "mux-master-unresponsive"}));
  EXPECT_NE(
      run.TextOf("mux-master-unresponsive").find(std::to_string(upstream.pid)),
      std::string::npos);
}

TEST_F(Putty, ThatTakesTheSocketOfADeadUpstreamIsHealthy) {
  const Server server = WithSession(kShares);
  StartAgentWithKey();
  const Program upstream = OpenUpstream();
  kill(upstream.pid, SIGKILL);
  Finish(upstream);
  EXPECT_TRUE(Reports(RunPutty({"gitlab-runner"}), {.verdict = "healthy"}));
}

// ------------------------------------------------ host keys, agents, servers
// --

TEST_F(Putty, OfAnotherHostKeyThanItsListIsSaid) {
  const Server server = StartServer();
  const Server other = StartServer();
  std::string text = Session(server, kForwards);
  text.replace(text.find(HostKey(server)), HostKey(server).size(),
               HostKey(other));
  Save("gitlab-runner", text);
  StartAgentWithKey();
  const Outcome run = RunPutty({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "undetermined", .cause = "host-key-changed"}));
  const std::string said = run.TextOf("host-key-changed");
  EXPECT_NE(said.find("Host key not in manually configured list"),
            std::string::npos)
      << said;
  const auto line = run.Finding("host-key-changed")["evidence"].back();
  EXPECT_EQ(line["file"], Home(".putty/sessions/gitlab-runner"));
  EXPECT_EQ(line["line"], 6);
  EXPECT_EQ(said.find("ssh-keygen"), std::string::npos) << said;
}

TEST_F(Putty, UsesItsHostKeyCache) {
  const Server server = StartServer();
  std::string text = Session(server, kShares);
  const std::size_t list = text.find("SSHManualHostKeys");
  text.erase(list, text.find('\n', list) + 1 - list);
  Save("gitlab-runner", text);
  StartAgentWithKey();
  EXPECT_TRUE(
      Reports(RunPutty({"gitlab-runner"}),
              {.verdict = "undetermined", .cause = "host-key-unknown"}));

  // PuTTY writes its own cache; -a makes the upstream that the control
  // experiment, which reads the cache, explains.
  const Program first = Launched({"sh", "-c",
                                  "echo y | plink -no-antispoof -noshare "
                                  "gitlab-runner true"});
  Finish(first);
  const Program upstream = OpenUpstream({"-a"});
  EXPECT_TRUE(Reports(RunPutty({"gitlab-runner"}),
                      {.verdict = "broken",
                       .cause = "mux-master-without-forwarding",
                       .certainty = "proven"}));
  kill(upstream.pid, SIGKILL);
  Finish(upstream);

  const std::string cache = Home(".putty/sshhostkeys");
  std::string keys = ReadText(cache);
  ASSERT_NE(keys.find(",0x"), std::string::npos) << keys;
  keys.insert(keys.find(",0x") + 3, "1");
  WriteText(cache, keys);
  EXPECT_TRUE(
      Reports(RunPutty({"gitlab-runner"}),
              {.verdict = "undetermined", .cause = "host-key-changed"}));
}

TEST_F(Putty, WithADeadAgentIsTheAgentsFault) {
  WithSession(kForwards);
  const Program agent = StartAgent();
  kill(agent.pid, SIGKILL);
  Finish(agent);
  EXPECT_TRUE(Reports(RunPutty({"gitlab-runner"}),
                      {.verdict = "broken", .cause = "agent-socket-dead"}));
}

TEST_F(Putty, WithoutAnAgentIsTheAgentsFault) {
  WithSession(kForwards);
  EXPECT_TRUE(Reports(RunPutty({"gitlab-runner"}),
                      {.verdict = "broken", .cause = "agent-not-running"}));
}

TEST_F(Putty, ForwardsPageant) {
  if (!fs::exists("/usr/bin/pageant"))
    GTEST_SKIP() << "pageant comes with putty's windows, which need GTK";
  WithSession(kForwards);
  const std::string ppk = Home("id.ppk");
  ASSERT_EQ(
      Do({"puttygen", Home(".ssh/id_ec2"), "-O", "private", "-o", ppk}).status,
      0);
  const Ended ended = Do({"pageant", ppk, "--exec", AGENTDOCTOR_PROGRAM, "run",
                          "--client", "putty", "gitlab-runner"});
  EXPECT_EQ(ended.status, 0) << ended.out << ended.err;
  EXPECT_NE(ended.out.find(" works"), std::string::npos) << ended.out;
}

TEST_F(Putty, RefusedByTheServerIsProven) {
  WithSession(kForwards, {.config = "AllowAgentForwarding no"});
  StartAgentWithKey();
  EXPECT_TRUE(
      Reports(RunPutty({"gitlab-runner"}), {.verdict = "broken",
                                            .cause = "server-denies-forwarding",
                                            .certainty = "proven"}));
}

TEST_F(Putty, RefusedForItsKeyNamesTheLine) {
  WithSession(kForwards, {.key_options = "no-agent-forwarding"});
  StartAgentWithKey();
  const Outcome run = RunPutty({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "key-denies-forwarding"}));
  EXPECT_NE(run.TextOf("key-denies-forwarding").find(Fingerprint("id_ec2")),
            std::string::npos);
}

TEST_F(Putty, WhoseKeyIsUnknownThereIsNamed) {
  const Server server = WithSession(kForwards);
  MakeKey("id_new");
  StartAgent();
  AddKey("id_new");
  const Outcome run = RunPutty({"gitlab-runner"});
  EXPECT_TRUE(Reports(
      run, {.verdict = "undetermined", .cause = "authentication-failed"}));
  EXPECT_NE(run.TextOf("authentication-failed").find(Fingerprint("id_new")),
            std::string::npos);
}

/// A further host, known over there, as --to names it.
class PuttyOnward : public Putty {
 protected:
  Outcome RunOnward(const Server& next) {
    WriteText(
        RemoteHome(".ssh/known_hosts"),
        next.KnownHostsName() + " " + ReadText(next.folder + "/host_key.pub"));
    return RunPutty({"--to",
                     "ssh://dave@127.0.0.1:" + std::to_string(next.port),
                     "gitlab-runner"});
  }
};

TEST_F(PuttyOnward, LogsInFromThere) {
  const Server next = StartServer({.config = RemotePasswords()});
  WithSession(kForwards, {.config = RemotePasswords()});
  StartAgentWithKey();
  EXPECT_TRUE(Reports(RunOnward(next), {.verdict = "healthy"}));
  EXPECT_EQ(next.Logins(), 1);
}

// An upstream hangs up on a packet of more than 16 KiB (ssh/sharing.c): the
// probe has to be shorter than that even together with next hops.
TEST_F(PuttyOnward, LogsInThroughAnUpstream) {
  const Server next = StartServer({.config = RemotePasswords()});
  const Server server = WithSession(kShares, {.config = RemotePasswords()});
  StartAgentWithKey();
  const Program upstream = OpenUpstream();
  EXPECT_TRUE(Reports(RunOnward(next), {.verdict = "healthy"}));
  EXPECT_EQ(next.Logins(), 1);
  EXPECT_EQ(server.Logins(), 1) << "the upstream's";
  EXPECT_TRUE(upstream.Alive());
}

TEST_F(Putty, GoesOnToAFurtherHost) {
  const Server next = StartServer();
  WithSession(kForwards, {.config = RemotePasswords()});
  StartAgentWithKey();
  WriteText(
      RemoteHome(".ssh/known_hosts"),
      next.KnownHostsName() + " " + ReadText(next.folder + "/host_key.pub"));
  WriteText(RemoteHome(".ssh/config"),
            HostBlock(next, "  ForwardAgent yes\n", "web01"));
  const Outcome run = RunPutty({"--then", "web01", "gitlab-runner"});
  EXPECT_EQ(run.Host(0).value("verdict", ""), "healthy") << run.out;
  EXPECT_EQ(run.Host(1).value("verdict", ""), "healthy") << run.out;
}

}  // namespace
}  // namespace agentdoctor::lab
