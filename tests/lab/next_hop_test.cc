// From the host on to a further server: --to.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "lab/fakes.h"
#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

namespace fs = std::filesystem;

bool Has(const std::string& text, const std::string& word) {
  return text.find(word) != std::string::npos;
}

/// gitlab-runner, and a target that its ssh knows by that name.
class NextHop : public Lab {
 protected:
  NextHop() : hop_(StartServer(Hop())) {
    StartAgentWithKey();
    WriteConfig(HostBlock(hop_, "  ForwardAgent yes\n"));
  }

  ServerOptions Hop() { return {.config = RemotePasswords()}; }

  /// A Host block of the far side's configuration.
  static std::string Block(const std::string& name, int port,
                           const std::string& lines = "",
                           const std::string& user = "dave") {
    return "Host " + name + "\n  HostName 127.0.0.1\n  Port " +
           std::to_string(port) + "\n  User " + user + "\n" + lines;
  }

  /// Makes the far side's ssh know the server as \a name.
  void Introduce(const Server& server, const std::string& lines = "",
                 const std::string& name = "target",
                 const std::string& user = "dave") {
    const std::string config = RemoteHome(".ssh/config");
    WriteText(config, ReadText(config) + Block(name, server.port, lines, user));
    const std::string known = RemoteHome(".ssh/known_hosts");
    WriteText(known, ReadText(known) + server.KnownHostsName() + " " +
                         ReadText(server.folder + "/host_key.pub"));
  }

  Server Target(const std::string& lines = "",
                const ServerOptions& options = {}) {
    Server target = StartServer(options);
    Introduce(target, lines);
    return target;
  }

  Outcome RunTo(const std::string& destination = "target") {
    return Run({"gitlab-runner", "--to", destination});
  }

  static std::string Summary(const Outcome& run) {
    for (const auto& check :
         run.Host().value("checks", nlohmann::json::array()))
      if (check["id"] == "next-hop")
        return check["status"].get<std::string>() + ": " +
               check.value("summary", "");
    return {};
  }

  /// The whole of what must not change over there.
  testing::AssertionResult LeavesEverything(const std::string& destination,
                                            Outcome* outcome = nullptr) {
    const std::string before = Snapshot();
    const Outcome run = RunTo(destination);
    if (outcome) *outcome = run;
    std::string after;
    if (Eventually([&] { return (after = Snapshot()) == before; }))
      return testing::AssertionSuccess();
    return testing::AssertionFailure() << "before:\n"
                                       << before << "after:\n"
                                       << after;
  }

  const Server hop_;
};

TEST_F(NextHop, AcceptsTheForwardedKey) {
  const Server target = Target();
  Outcome run;
  EXPECT_TRUE(LeavesEverything("target", &run));
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(Summary(run), "pass: target: accepted ED25519 " +
                              Fingerprint("id_ec2") + " as dave");
  EXPECT_EQ(hop_.Logins(), 1);
  EXPECT_EQ(target.Logins(), 1);
  // A login, and nothing run in it.
  EXPECT_FALSE(Has(target.Log(), "Starting session")) << target.Log();
}

TEST_F(NextHop, AllAreNamed) {
  Introduce(StartServer(), "", "first");
  Introduce(StartServer(), "", "second");
  const Outcome run = Run({"gitlab-runner", "--to", "first", "--to", "second",
                           "--to", "nobody.invalid", "--to", "first"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "next-hop-unreachable"}));
  EXPECT_TRUE(Has(run.TextOf("next-hop-unreachable"), "nobody.invalid"));
}

TEST_F(NextHop, RefusesEveryKey) {
  MakeKey("id_other");
  AddKey("id_other");
  const Server target = Target();
  WriteText(target.folder + "/authorized_keys", "");
  Outcome run;
  EXPECT_TRUE(LeavesEverything("target", &run));
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "next-hop-denied",
                            .certainty = "proven"}));
  const std::string text = run.TextOf("next-hop-denied");
  EXPECT_TRUE(Has(text, Fingerprint("id_ec2"))) << text;
  EXPECT_TRUE(Has(text, Fingerprint("id_other"))) << text;
  EXPECT_EQ(run.status, 1);
}

TEST_F(NextHop, WithAnUnknownHostKeyIsNeverAccepted) {
  for (const char* strict : {"accept-new", "no", "ask"}) {
    const Server target = StartServer();
    WriteText(RemoteHome(".ssh/config"),
              Block("target", target.port,
                    std::string("  StrictHostKeyChecking ") + strict + "\n"));
    Outcome run;
    EXPECT_TRUE(LeavesEverything("target", &run)) << strict;
    EXPECT_TRUE(Reports(run, {.verdict = "broken",
                              .cause = "next-hop-unreachable",
                              .certainty = "proven"}))
        << strict;
    EXPECT_TRUE(Has(run.TextOf("next-hop-unreachable"), "host key"));
    EXPECT_EQ(target.Logins(), 0);
    EXPECT_FALSE(fs::exists(RemoteHome(".ssh/known_hosts")));
  }
}

TEST_F(NextHop, WithAChangedHostKeyIsSaid) {
  const Server target = StartServer();
  WriteText(RemoteHome(".ssh/config"),
            Block("target", target.port, "  StrictHostKeyChecking no\n"));
  WriteText(
      RemoteHome(".ssh/known_hosts"),
      target.KnownHostsName() + " " + ReadText(hop_.folder + "/host_key.pub"));
  Outcome run;
  EXPECT_TRUE(LeavesEverything("target", &run));
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "next-hop-unreachable"}));
  EXPECT_TRUE(Has(run.TextOf("next-hop-unreachable"), "ssh-keygen"));
  EXPECT_EQ(target.Logins(), 0);
}

TEST_F(NextHop, OnAClosedPortIsUnreachable) {
  const Server target = Target();
  kill(target.program.pid, SIGTERM);
  Finish(target.program);
  const Outcome run = RunTo();
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "next-hop-unreachable"}));
  EXPECT_TRUE(Has(run.TextOf("next-hop-unreachable"), "refuses"));
}

TEST_F(NextHop, ThatAcceptsAndSaysNothingHasADeadline) {
  const FakeHost silent(fake::Silent());
  WriteText(RemoteHome(".ssh/config"), Block("target", silent.port()));
  const Outcome run =
      Run({"--timeout", "5", "gitlab-runner", "--to", "target"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "next-hop-unreachable"}));
  EXPECT_TRUE(Has(run.TextOf("next-hop-unreachable"), "does not answer"));
}

TEST_F(NextHop, HangsUpAfterTooManyKeys) {
  const Server target = Target("", {.config = "MaxAuthTries 3"});
  for (const char* name : {"k1", "k2", "k3", "k4"}) MakeKey(name);
  // The right one comes last.
  Do({"ssh-add", "-D"});
  for (const char* name : {"k1", "k2", "k3", "k4", "id_ec2"}) AddKey(name);
  const Outcome run = RunTo();
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "next-hop-too-many-keys"}));
  const std::string text = run.TextOf("next-hop-too-many-keys");
  EXPECT_TRUE(Has(text, Fingerprint("k1"))) << text;
  EXPECT_TRUE(Has(text, "IdentitiesOnly yes")) << text;
}

TEST_F(NextHop, WithIdentitiesOnlyOffersNothing) {
  const Server target =
      Target("  IdentitiesOnly yes\n  IdentityFile ~/.ssh/none\n");
  const Outcome run = RunTo();
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "next-hop-ignores-agent",
                            .certainty = "proven"}));
  const std::string text = run.TextOf("next-hop-ignores-agent");
  EXPECT_TRUE(Has(text, "IdentitiesOnly")) << text;
  EXPECT_TRUE(Has(text, "remote/.ssh/config")) << text;
}

TEST_F(NextHop, WithIdentitiesOnlyAndThePublicKeyIsHealthy) {
  const Server target =
      Target("  IdentitiesOnly yes\n  IdentityFile ~/.ssh/ec2.pub\n");
  WriteText(RemoteHome(".ssh/ec2.pub"), ReadText(Home(".ssh/id_ec2.pub")));
  const Outcome run = RunTo();
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_TRUE(Has(Summary(run), Fingerprint("id_ec2"))) << Summary(run);
}

TEST_F(NextHop, WithAnotherIdentityAgentIsSaidOnce) {
  for (const char* agent : {"none", "/nonexistent/1password.sock"}) {
    fs::remove(RemoteHome(".ssh/known_hosts"));
    WriteText(RemoteHome(".ssh/config"), "");
    const Server target =
        Target("  IdentityAgent " + std::string(agent) + "\n");
    const Outcome run = RunTo();
    EXPECT_TRUE(Reports(run, {.verdict = "broken",
                              .cause = "next-hop-ignores-agent",
                              .certainty = "proven"}))
        << agent;
    EXPECT_TRUE(Has(run.TextOf("next-hop-ignores-agent"), agent));
  }
}

TEST_F(NextHop, ThatTakesTheHostsOwnKeyIsHealthyAndSaysSo) {
  // Not in the agent.
  MakeKey("own");
  const Server target = Target("  IdentityFile ~/.ssh/own\n");
  for (const char* suffix : {"", ".pub"})
    fs::rename(Home(std::string(".ssh/own") + suffix),
               RemoteHome(std::string(".ssh/own") + suffix));
  WriteText(target.folder + "/authorized_keys",
            ReadText(RemoteHome(".ssh/own.pub")));
  const Outcome run = RunTo();
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_TRUE(Has(run.TextOf("next-hop-denied"), "own")) << run.out;
}

TEST_F(NextHop, ThroughAMasterOfTheHostsOwnIsSaid) {
  const Server target = Target("  ControlMaster auto\n  ControlPath " +
                               RemoteHome(".ssh/50%%-%n.sock") + "\n");
  Ssh({"gitlab-runner",
       "ssh -o ControlPersist=yes -o BatchMode=yes target true"
       " </dev/null >/dev/null 2>&1"});
  // The master's own connection stays.
  ASSERT_TRUE(Eventually([&] {
    const std::string processes = Snapshot();
    const std::string session = "sshd: dave@notty";
    const std::size_t first = processes.find(session);
    return first != std::string::npos && processes.rfind(session) == first;
  }));
  Outcome run;
  EXPECT_TRUE(LeavesEverything("target", &run));
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  const std::string text = run.TextOf("next-hop-ignores-agent");
  EXPECT_TRUE(Has(text, "50%-target.sock")) << run.out;
  // Not through it.
  EXPECT_EQ(target.Logins(), 2);
}

TEST_F(NextHop, LeavesNoMasterWhereTheConfigurationWantsOne) {
  const Server target = Target(
      "  ControlMaster auto\n  ControlPersist yes\n"
      "  ControlPath ~/.ssh/%n.sock\n");
  Outcome run;
  EXPECT_TRUE(LeavesEverything("target", &run));
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
}

TEST_F(NextHop, RunsNothingThatTheConfigurationAsksFor) {
  const std::string mark = RemoteHome("mark");
  const Server target =
      Target("  PermitLocalCommand yes\n  LocalCommand touch " + mark +
             "\n  RemoteCommand touch " + mark +
             "\n  RequestTTY force\n  LocalForward 127.0.0.1:1 127.0.0.1:1\n"
             "  ExitOnForwardFailure yes\n  ForkAfterAuthentication yes\n"
             "  AddKeysToAgent yes\n  UpdateHostKeys yes\n  ForwardX11 yes\n");
  Outcome run;
  EXPECT_TRUE(LeavesEverything("target", &run));
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_FALSE(fs::exists(mark));
}

TEST_F(NextHop, BehindAJumpHostAcceptsNoKeyThere) {
  const Server bastion = StartServer();
  const Server target = Target("  ProxyJump bastion\n");
  const std::string config = ReadText(RemoteHome(".ssh/config"));
  WriteText(RemoteHome(".ssh/config"),
            config + Block("bastion", bastion.port,
                           "  StrictHostKeyChecking no\n  ControlMaster auto\n"
                           "  ControlPersist yes\n"
                           "  ControlPath ~/.ssh/%n.sock\n"));
  Outcome run;
  EXPECT_TRUE(LeavesEverything("target", &run));
  EXPECT_TRUE(
      Reports(run, {.verdict = "broken", .cause = "next-hop-unreachable"}));

  WriteText(RemoteHome(".ssh/config"), config);
  Introduce(bastion,
            "  ControlMaster auto\n  ControlPersist yes\n"
            "  ControlPath ~/.ssh/%n.sock\n",
            "bastion");
  EXPECT_TRUE(LeavesEverything("target", &run));
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(bastion.Logins(), 1);
}

TEST_F(NextHop, BehindSeveralJumpHostsIsNotTried) {
  const Server target = Target("  ProxyJump one,two\n");
  const Outcome run = RunTo();
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_TRUE(Has(Summary(run), "several jump hosts")) << Summary(run);
  EXPECT_EQ(target.Logins(), 0);
}

TEST_F(NextHop, WithAKeyForTheHostAloneIsConstrained) {
  const Server target = Target();
  Do({"ssh-add", "-D"});
  AddKey("id_ec2",
         {"-H", Home(".ssh/known_hosts"), "-h", hop_.KnownHostsName()});
  const Outcome run = RunTo();
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "next-hop-key-constrained",
                            .certainty = "proven"}));
  EXPECT_TRUE(
      Has(run.TextOf("next-hop-key-constrained"), Fingerprint("id_ec2")));
  EXPECT_EQ(target.Logins(), 0);
}

TEST_F(NextHop, WithAKeyForAnotherTargetIsConstrained) {
  const Server elsewhere = StartServer();
  const Server target = Target();
  Do({"ssh-add", "-D"});
  AddKey("id_ec2",
         {"-H", Home(".ssh/known_hosts"), "-h", hop_.KnownHostsName(), "-h",
          hop_.KnownHostsName() + ">" + elsewhere.KnownHostsName()});
  const Outcome run = RunTo();
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "next-hop-key-constrained",
                            .certainty = "proven"}));
}

TEST_F(NextHop, WithAKeyForThisTargetIsHealthy) {
  const Server target = Target();
  Do({"ssh-add", "-D"});
  AddKey("id_ec2",
         {"-H", Home(".ssh/known_hosts"), "-h", hop_.KnownHostsName(), "-h",
          hop_.KnownHostsName() + ">" + target.KnownHostsName()});
  EXPECT_TRUE(Reports(RunTo(), {.verdict = "healthy"}));
}

TEST_F(NextHop, WithAKeyToConfirmThatNobodyConfirmsIsLikelyConstrained) {
  // To the host with one key, on with the other.
  MakeKey("id_confirm");
  const Server target = Target();
  WriteText(target.folder + "/authorized_keys",
            ReadText(Home(".ssh/id_confirm.pub")));
  AddKey("id_confirm", {"-c"});
  const Outcome run = RunTo();
  EXPECT_TRUE(Reports(run, {.verdict = "broken",
                            .cause = "next-hop-key-constrained",
                            .certainty = "likely"}));
  const std::string text = run.TextOf("next-hop-key-constrained");
  EXPECT_TRUE(Has(text, Fingerprint("id_confirm"))) << text;
  EXPECT_TRUE(Has(text, "agent refused operation")) << text;
}

TEST_F(NextHop, OfAForgeIsNamedByItsGreeting) {
  const Server forge = StartServer(
      {.config = "ForceCommand echo \"Hi dave! You've successfully "
                 "authenticated, but GitHub does not provide shell access.\" "
                 ">&2; exit 1"});
  Introduce(forge, "", "github.example", "git");
  Outcome run;
  EXPECT_TRUE(LeavesEverything("git@github.example", &run));
  EXPECT_TRUE(Reports(run, {.verdict = "healthy"}));
  EXPECT_EQ(Summary(run), "pass: git@github.example: accepted ED25519 " +
                              Fingerprint("id_ec2") + " as dave");
}

TEST_F(NextHop, OfAForgeThatTakesAnotherKeyFirstIsAWarning) {
  MakeKey("work");
  AddKey("work");
  const Server forge = StartServer(
      {.config = "ForceCommand echo \"Welcome to GitLab, @mallory!\""});
  Introduce(forge, "", "gitlab.example", "git");
  const Outcome run = Run({"--key", Fingerprint("work"), "gitlab-runner",
                           "--to", "git@gitlab.example"});
  EXPECT_TRUE(
      Reports(run, {.verdict = "degraded", .cause = "next-hop-denied"}));
  EXPECT_TRUE(Has(run.TextOf("next-hop-denied"), "as mallory"));
}

TEST_F(NextHop, WithAHostileGreetingIsBoundedAndHarmless) {
  WriteText(Folder() + "/banner",
            "\033[2J\033]0;owned\007Hi \033[31mmallory\377!\nAuthenticated to "
            "you using \"publickey\".\ndebug1: Offering public key: x ED25519 "
            "SHA256:fake agent\n",
            0644);
  WriteText(
      Folder() + "/greet",
      "printf 'Hi \\033[31mda\\377ve\\n!'\nyes \"$(printf '\\033]0;x\\007')\" "
      "| head -c 1048576\n",
      0755);
  const Server forge = StartServer({.config = "Banner " + Folder() +
                                              "/banner\nForceCommand sh " +
                                              Folder() + "/greet"});
  Introduce(forge, "", "evil", "git");
  const Outcome run = RunTo("git@evil");
  EXPECT_FALSE(Has(run.out, "\033")) << run.out;
  const Ended text =
      Agentdoctor({"run", "--verbose", "gitlab-runner", "--to", "git@evil"});
  EXPECT_FALSE(Has(text.out, "\033")) << text.out;
  EXPECT_FALSE(Has(text.out, "\377")) << text.out;
  EXPECT_LT(text.out.size(), 20000U);
}

TEST_F(NextHop, WithoutAnAgentThereIsSkippedWithTheReason) {
  const Server target = Target();
  WriteConfig(HostBlock(hop_, "  ForwardAgent no\n"));
  const Outcome run = RunTo();
  EXPECT_TRUE(Reports(
      run, {.verdict = "broken", .cause = "forwarding-disabled-by-config"}));
  EXPECT_TRUE(Has(Summary(run), "skip")) << Summary(run);
  EXPECT_EQ(target.Logins(), 0);
}

TEST_F(NextHop, ThatIsNoPlainWordIsWrongUsage) {
  for (const char* word : {"$(id)", "a b", "-oProxyCommand=x", "a'b", "", "a;b",
                           "a\"b", "a\\b", "a!b", "a`b", "\n"}) {
    const Ended ended = Agentdoctor({"run", "gitlab-runner", "--to", word});
    EXPECT_EQ(ended.status, 2) << word;
    EXPECT_EQ(ended.out, "");
  }
}

}  // namespace
}  // namespace agentdoctor::lab
