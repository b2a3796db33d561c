// Why no session comes about: ssh's own message is the evidence.
#include <gtest/gtest.h>

#include "lab/fakes.h"
#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

class Transport : public Lab {
 protected:
  /// The verdict over a Host block with these lines, first one wins.
  Outcome With(const std::string& lines, const Words& options = {}) {
    WriteConfig("Host gitlab-runner\n  ForwardAgent yes\n  User dave\n" +
                lines);
    Words arguments = {"--timeout", "2"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    arguments.push_back("gitlab-runner");
    return Run(arguments);
  }

  static std::string At(int port) {
    return "  HostName 127.0.0.1\n  Port " + std::to_string(port) + "\n";
  }

  static testing::AssertionResult Undetermined(const Outcome& run,
                                               const std::string& code) {
    return Reports(run, {.verdict = "undetermined", .cause = code});
  }
};

TEST_F(Transport, RefusedIsSaid) {
  StartAgentWithKey();
  const Server server = StartServer();
  kill(server.program.pid, SIGTERM);
  Finish(server.program);
  EXPECT_TRUE(Undetermined(With(At(server.port)), "connection-refused"));
}

TEST_F(Transport, OfAnUnknownNameIsSaid) {
  StartAgentWithKey();
  EXPECT_TRUE(
      Undetermined(With("  HostName nowhere.invalid\n"), "name-not-resolved"));
}

TEST_F(Transport, OfANameThatNothingKnowsIsNotCalledAMissingOption) {
  StartAgentWithKey();
  WriteConfig("Host gitlab-runner\n  ForwardAgent yes\n");
  EXPECT_TRUE(Undetermined(Run({"gitlab-runer.invalid"}), "name-not-resolved"));
}

TEST_F(Transport, ThatIsAcceptedInSilenceTimesOut) {
  StartAgentWithKey();
  const FakeHost host(fake::Silent());
  EXPECT_TRUE(Undetermined(With(At(host.port())), "connection-timeout"));
}

TEST_F(Transport, SilentAfterTheBannerTimesOut) {
  StartAgentWithKey();
  const FakeHost host(fake::Says("SSH-2.0-OpenSSH_9.2p1\r\n"));
  EXPECT_TRUE(Undetermined(With(At(host.port())), "connection-timeout"));
}

TEST_F(Transport, ToAServerOfTheLastCenturyIsAProtocolMismatch) {
  StartAgentWithKey();
  const FakeHost host(fake::Says("SSH-1.5-1.2.33\r\n"));
  EXPECT_TRUE(Undetermined(With(At(host.port())), "protocol-mismatch"));
}

TEST_F(Transport, ToAWebServerIsAProtocolMismatchAndQuoted) {
  StartAgentWithKey();
  const FakeHost host(fake::Answers("HTTP/1.1 400 Bad Request\r\n\r\n"));
  const Outcome run = With(At(host.port()));
  EXPECT_TRUE(Undetermined(run, "protocol-mismatch"));
  EXPECT_NE(run.TextOf("protocol-mismatch").find("HTTP/1.1 400 Bad Request"),
            std::string::npos)
      << run.out;
}

TEST_F(Transport, HungUpAtOnceIsLost) {
  StartAgentWithKey();
  const FakeHost host(fake::HangsUp());
  EXPECT_TRUE(Undetermined(With(At(host.port())), "connection-lost"));
}

TEST_F(Transport, WithAnUnknownHostKeyAsksNobodyAndWritesNothing) {
  StartAgentWithKey();
  const Server server = StartServer({.known = false});
  EXPECT_TRUE(Undetermined(With(At(server.port)), "host-key-unknown"));
  EXPECT_EQ(ReadText(Home(".ssh/known_hosts")), "");
}

TEST_F(Transport, WithAnUnknownHostKeyThatTheUserWouldAcceptGoesOn) {
  StartAgentWithKey();
  const Server server = StartServer({.known = false});
  EXPECT_TRUE(
      Reports(With(At(server.port) + "  StrictHostKeyChecking accept-new\n"),
              {.verdict = "healthy"}));
  EXPECT_EQ(ReadText(Home(".ssh/known_hosts")), "");
}

TEST_F(Transport, WithAChangedHostKeyIsSaid) {
  StartAgentWithKey();
  const Server server = StartServer({.known = false});
  WriteText(Home(".ssh/known_hosts"),
            server.KnownHostsName() + " " + ReadText(Home(".ssh/id_ec2.pub")));
  EXPECT_TRUE(Undetermined(With(At(server.port)), "host-key-changed"));
}

TEST_F(Transport, WithAChangedHostKeyAcceptedAllTheSameNeverForwards) {
  StartAgentWithKey();
  const Server server = StartServer({.known = false});
  WriteText(Home(".ssh/known_hosts"),
            server.KnownHostsName() + " " + ReadText(Home(".ssh/id_ec2.pub")));
  EXPECT_TRUE(Reports(
      With(At(server.port) + "  StrictHostKeyChecking no\n"),
      {.verdict = "broken", .cause = "forwarding-disabled-by-host-key"}));
}

TEST_F(Transport, NotAuthorisedIsSaid) {
  StartAgentWithKey();
  const Server server = StartServer();
  WriteText(server.folder + "/authorized_keys", "");
  EXPECT_TRUE(Undetermined(With(At(server.port)), "authentication-failed"));
}

TEST_F(Transport, ThatNeedsAPassphraseNeedsAPerson) {
  MakeKey("id_locked", {"-N", "secret"});
  MakeKey("id_other");
  const Server server = StartServer();
  WriteText(server.folder + "/authorized_keys",
            ReadText(Home(".ssh/id_locked.pub")));
  StartAgent();
  AddKey("id_other");
  EXPECT_TRUE(
      Undetermined(With(At(server.port) + "  IdentityFile ~/.ssh/id_locked\n"),
                   "interaction-needed"));
}

TEST_F(Transport, ThatNeedsAPasswordNeedsAPerson) {
  const Server server =
      StartServer({.config = "KbdInteractiveAuthentication yes\n"
                             "PasswordAuthentication yes\n"
                             "PubkeyAuthentication no\n"});
  StartAgentWithKey();
  EXPECT_TRUE(Undetermined(With(At(server.port)), "interaction-needed"));
}

TEST_F(Transport, ThroughABrokenProxyIsSaid) {
  StartAgentWithKey();
  EXPECT_TRUE(
      Undetermined(With("  ProxyCommand sh -c 'echo no tunnel >&2; exit 1'\n"),
                   "proxy-failed"));
}

TEST_F(Transport, WithoutAnSshProgramIsSaid) {
  StartAgentWithKey();
  WriteConfig("");
  EXPECT_TRUE(Undetermined(Run({"--ssh", "/nonexistent/ssh", "gitlab-runner"}),
                           "ssh-not-found"));
}

TEST_F(Transport, WithAProgramThatIsNoSshIsSaid) {
  StartAgentWithKey();
  WriteConfig("");
  for (const std::string program : {"/bin/false", "/bin/true", "/bin/cat"}) {
    const Outcome run = Run({"--ssh", program, "gitlab-runner"});
    EXPECT_TRUE(Undetermined(run, "ssh-not-found"));
    EXPECT_NE(run.TextOf("ssh-not-found")
                  .find(program + " is no OpenSSH client: it printed no "
                                  "version"),
              std::string::npos)
        << run.out;
  }
}

TEST_F(Transport, OfOneBadHostDoesNotSpoilAnother) {
  StartAgentWithKey();
  const FakeHost silent(fake::Silent());
  const Server server = StartServer();
  WriteConfig(HostBlock(server, "  ForwardAgent yes\n", "good") +
              "Host bad\n  ForwardAgent yes\n" + At(silent.port()));
  const Outcome run = Run({"--timeout", "1", "bad", "good"});
  EXPECT_EQ(run.Host(0)["verdict"], "undetermined");
  EXPECT_EQ(run.Host(1)["verdict"], "healthy") << run.out;
  EXPECT_EQ(run.status, 3);
}

}  // namespace
}  // namespace agentdoctor::lab
