// The agent at home, in every state that people meet.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>

#include "lab/fakes.h"
#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

class LocalAgent : public Lab {
 protected:
  LocalAgent() : server_(StartServer()) {
    WriteConfig(HostBlock(server_, "  ForwardAgent yes\n"));
  }

  void Use(const std::string& path) { SetEnv("SSH_AUTH_SOCK", path); }

  /// One short step, as these cases wait for something that never comes.
  Outcome RunShort() { return Run({"--timeout", "1", "gitlab-runner"}); }

  const Server server_;
  const std::string path_ = Folder() + "/fake.sock";
};

TEST_F(LocalAgent, WithAKeyIsHealthyWithOneLogin) {
  StartAgentWithKey();
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "healthy"}));
  EXPECT_EQ(server_.Logins(), 1);
}

TEST_F(LocalAgent, NotSetIsNotRunning) {
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                               .cause = "agent-not-running",
                                               .certainty = "proven"}));
}

TEST_F(LocalAgent, AliveElsewhereIsNamed) {
  // gpg-agent's and systemd's places lie in XDG_RUNTIME_DIR.
  const std::string runtime = Folder() + "/run";
  std::filesystem::create_directory(runtime);
  chmod(runtime.c_str(), 0700);
  SetEnv("XDG_RUNTIME_DIR", runtime);
  const std::string socket = runtime + "/ssh-agent.socket";
  Launched({"ssh-agent", "-D", "-a", socket});
  ASSERT_TRUE(Eventually([&] { return std::filesystem::exists(socket); }));
  Use(socket);
  AddKey("id_ec2");
  UnsetEnv("SSH_AUTH_SOCK");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "agent-not-running"}));
  EXPECT_NE(run.TextOf("agent-elsewhere").find(socket), std::string::npos)
      << run.out;
}

TEST_F(LocalAgent, SocketThatDoesNotExistIsMissing) {
  Use(path_);
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "agent-socket-missing",
                            .certainty = "proven"}));
  EXPECT_NE(run.TextOf("agent-socket-missing").find(path_), std::string::npos);
}

TEST_F(LocalAgent, DanglingLinkSaysWhereItLeads) {
  std::filesystem::create_symlink(Folder() + "/gone", path_);
  Use(path_);
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "agent-socket-missing"}));
  EXPECT_NE(run.TextOf("agent-socket-missing").find(Folder() + "/gone"),
            std::string::npos);
}

TEST_F(LocalAgent, SocketNobodyListensOnIsDead) {
  LeaveDeadSocket(path_);
  Use(path_);
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                               .cause = "agent-socket-dead",
                                               .certainty = "proven"}));
}

TEST_F(LocalAgent, BehindAClosedFolderIsDeniedWithOwnerAndMode) {
  BecomeUser(54321);  // root would pass
  const std::string folder = Folder() + "/closed";
  std::filesystem::create_directory(folder);
  LeaveDeadSocket(folder + "/agent");
  chmod(folder.c_str(), 0000);
  Use(folder + "/agent");
  const Outcome run = Run({"gitlab-runner"});
  chmod(folder.c_str(), 0700);
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "agent-socket-denied",
                            .certainty = "proven"}));
  EXPECT_NE(run.TextOf("agent-socket-denied").find(folder), std::string::npos);
}

TEST_F(LocalAgent, ThatDropsUsIsDenied) {
  const FakeAgent agent(path_, fake::HangsUp());
  Use(path_);
  EXPECT_TRUE(Reports(RunShort(),
                      {.verdict = "broken", .cause = "agent-socket-denied"}));
}

TEST_F(LocalAgent, PathToAFileIsNotASocket) {
  WriteText(path_, "");
  Use(path_);
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}), {.verdict = "broken",
                                               .cause = "agent-not-a-socket",
                                               .certainty = "proven"}));
}

TEST_F(LocalAgent, ThatHangsIsBlamedAndNotTheConnection) {
  const FakeAgent agent(path_, fake::Silent());
  Use(path_);
  EXPECT_TRUE(Reports(RunShort(),
                      {.verdict = "broken", .cause = "agent-unresponsive"}));
}

TEST_F(LocalAgent, ThatIsStoppedIsBlamed) {
  const Program agent = StartAgent();
  AddKey("id_ec2");
  kill(agent.pid, SIGSTOP);
  EXPECT_TRUE(Reports(RunShort(),
                      {.verdict = "broken", .cause = "agent-unresponsive"}));
}

TEST_F(LocalAgent, ThatTalksJunkBreaksTheProtocol) {
  // What gpg's own socket says, taken for an ssh agent's.
  const FakeAgent agent(path_,
                        fake::Says("OK Pleased to meet you, process 1\n"));
  Use(path_);
  EXPECT_TRUE(Reports(RunShort(),
                      {.verdict = "broken", .cause = "agent-protocol-error"}));
}

TEST_F(LocalAgent, ThatClaimsTwoThousandMillionKeysBreaksTheProtocol) {
  const FakeAgent agent(
      path_, fake::Answers(std::string("\0\0\0\x05\x0c\x7f\xff\xff\xff", 9)));
  Use(path_);
  EXPECT_TRUE(Reports(RunShort(),
                      {.verdict = "broken", .cause = "agent-protocol-error"}));
}

TEST_F(LocalAgent, ThatClaimsAnAnswerOfManyGigabytesBreaksTheProtocol) {
  const FakeAgent agent(path_, fake::Answers("\x7f\xff\xff\xff\x0c"));
  Use(path_);
  EXPECT_TRUE(Reports(RunShort(),
                      {.verdict = "broken", .cause = "agent-protocol-error"}));
}

TEST_F(LocalAgent, WithoutKeysIsEmpty) {
  StartAgent();
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}),
                      {.verdict = "broken", .cause = "agent-empty"}));
}

TEST_F(LocalAgent, LockedIsCalledEmptyOrLocked) {
  StartAgentWithKey();
  WriteText(Folder() + "/askpass", "#!/bin/sh\necho secret\n", 0755);
  SetEnv("SSH_ASKPASS", Folder() + "/askpass");
  SetEnv("SSH_ASKPASS_REQUIRE", "force");
  ASSERT_EQ(Do({"ssh-add", "-x"}).status, 0);
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_EQ(run.Verdict(), "broken");
  // OpenSSH before 10.3 does not let them be told apart.
  if (run.RootCause() != "agent-locked") {
    EXPECT_EQ(run.RootCause(), "agent-empty");
    EXPECT_NE(run.TextOf("agent-empty").find("lock"), std::string::npos);
  }
}

TEST_F(LocalAgent, ThatDropsExtensionsIsProven) {
  StartAgentWithKey();
  const FakeAgent agent(path_, fake::DropsExtensions(AgentSocket()));
  Use(path_);
  EXPECT_TRUE(Reports(RunShort(), {.verdict = "broken",
                                   .cause = "agent-drops-extensions",
                                   .certainty = "proven"}));
}

TEST_F(LocalAgent, WithoutTheKeyThatHasToArriveIsAnError) {
  MakeKey("id_work");
  StartAgentWithKey();
  EXPECT_TRUE(Reports(Run({"--key", Home(".ssh/id_work.pub"), "gitlab-runner"}),
                      {.verdict = "broken", .cause = "agent-key-missing"}));
  EXPECT_TRUE(Reports(Run({"--key", Fingerprint("id_ec2"), "gitlab-runner"}),
                      {.verdict = "healthy"}));
}

TEST_F(LocalAgent, WithManyKeysIsOnlyMentioned) {
  StartAgentWithKey();
  for (const char* name : {"k1", "k2", "k3", "k4", "k5"}) {
    MakeKey(name);
    AddKey(name);
  }
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_TRUE(run.Has("agent-many-keys"));
}

TEST_F(LocalAgent, HoldingAnExpiredCertificateIsAWarning) {
  MakeKey("ca");
  MakeKey("id_work");
  ASSERT_EQ(Do({"ssh-keygen", "-q", "-s", Home(".ssh/ca"), "-I", "old", "-n",
                "dave", "-V", "20200101:20200102", Home(".ssh/id_work.pub")})
                .status,
            0);
  StartAgentWithKey();
  AddKey("id_work");
  EXPECT_TRUE(Reports(Run({"gitlab-runner"}),
                      {.verdict = "degraded", .cause = "agent-cert-expired"}));
}

TEST_F(LocalAgent, GoneFromTheEnvironmentFileIsMentioned) {
  StartAgentWithKey();
  WriteText(Home(".ssh/environment"), "SSH_AUTH_SOCK=" + path_ + "\n");
  const Outcome run = Run({"gitlab-runner"});
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_TRUE(run.Has("environment-file-stale")) << run.out;
}

}  // namespace
}  // namespace agentdoctor::lab
