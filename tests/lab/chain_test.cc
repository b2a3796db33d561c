// Story 2: A -> B -> C -> D, each with a home of its own, healthy and then
// broken at each hop in turn.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>

#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

namespace fs = std::filesystem;

class Chain : public Lab {
 protected:
  Chain() { StartAgentWithKey(); }

  /// A server `name` in whose sessions dave has a home of his own.
  Server& StartHost(const std::string& name, ServerOptions options = {},
                    const std::string& shell = "/bin/bash") {
    const std::string home = HomeOf(name);
    fs::create_directories(home + "/.ssh");
    chmod(home.c_str(), 0700);
    chmod((home + "/.ssh").c_str(), 0700);
    const std::string passwords = Folder() + "/passwd-" + name;
    WriteText(passwords,
              "dave:x:" + std::to_string(geteuid()) + ":" +
                  std::to_string(getegid()) + "::" + home + ":" + shell +
                  "\n"
                  "root:x:0:0::/root:/bin/bash\n"
                  "sshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n",
              0644);
    std::string variables = RemotePasswords();
    const std::string file = "/remote-passwd";
    variables.replace(variables.find(file), file.size(), "/passwd-" + name);
    options.config += "\n" + variables;
    SetEnv("NSS_WRAPPER_PASSWD", passwords);
    Server& server = hosts_[name] = StartServer(options);
    SetEnv("NSS_WRAPPER_PASSWD", Folder() + "/passwd");
    return server;
  }

  std::string HomeOf(const std::string& name) const { return RemoteHome(name); }

  /// What ssh on \a from is told about \a to.
  void Know(const std::string& from, const std::string& to,
            const std::string& lines = "  ForwardAgent yes\n") {
    const Server& server = hosts_.at(to);
    WriteText(HomeOf(from) + "/.ssh/config",
              "Host " + to + "\n  HostName " + server.address + "\n  Port " +
                  std::to_string(server.port) + "\n  User dave\n" + lines);
    WriteText(HomeOf(from) + "/.ssh/known_hosts",
              server.KnownHostsName() + " " +
                  ReadText(server.folder + "/host_key.pub"));
  }

  /// b, c and d, each of which asks for forwarding to the next one.
  void StartAll(const ServerOptions& options_of_c = {}) {
    StartHost("b");
    StartHost("c", options_of_c);
    StartHost("d");
    WriteConfig(HostBlock(hosts_.at("b"), "  ForwardAgent yes\n", "b"));
    Know("b", "c");
    Know("c", "d");
  }

  /// What other tests of this user's have left running is no part of it.
  Outcome RunPath(Words words) {
    words.insert(words.begin(), {"--skip", "remote-sessions"});
    return Run(words);
  }

  Outcome RunChain() { return RunPath({"b", "--then", "c", "--then", "d"}); }

  /// The state once nothing changes any more.
  std::string Settled() {
    std::string last;
    Eventually([&] {
      usleep(300000);
      return std::exchange(last, Snapshot()) == last;
    });
    return last;
  }

  std::string Verdicts(const Outcome& run) {
    std::string text;
    for (const auto& host :
         run.report.value("hosts", nlohmann::json::array())) {
      for (const auto& via : host["via"]) text += via.get<std::string>() + ">";
      text += host["host"].get<std::string>() + " " +
              host["verdict"].get<std::string>();
      if (!host["rootCause"].is_null())
        text += " " + host["rootCause"]["code"].get<std::string>();
      text += "\n";
    }
    return text;
  }

  std::map<std::string, Server> hosts_;
};

/// What the check of targets says of host \a index; empty: there are none.
std::string NextHopOf(const Outcome& run, std::size_t index) {
  const nlohmann::json host = run.Host(index);
  for (const auto& check : host.value("checks", nlohmann::json::array()))
    if (check["id"] == "next-hop" && check["status"] != "skip")
      return check["summary"].get<std::string>();
  return {};
}

TEST_F(Chain, IsHealthyAllAlongAndLeavesNothing) {
  StartAll();
  const std::string before = Settled();
  const Outcome run = RunChain();
  EXPECT_EQ(Verdicts(run), "b healthy\nb>c healthy\nb>c>d healthy\n")
      << run.out << run.err;
  EXPECT_EQ(run.status, 0);
  EXPECT_TRUE(Eventually([&] { return Snapshot() == before; }))
      << before << "---\n"
      << Snapshot();
  // One for the probe, one to go on from there.
  EXPECT_EQ(hosts_["b"].Logins(), 2);
  EXPECT_EQ(hosts_["c"].Logins(), 2);
  EXPECT_EQ(hosts_["d"].Logins(), 1);
}

/// The finding \a code of host \a index; null if there is none.
nlohmann::json FindingOf(const Outcome& run, std::size_t index,
                         const std::string& code) {
  const nlohmann::json host = run.Host(index);
  for (const auto& finding : host["findings"])
    if (finding["code"] == code) return finding;
  return nullptr;
}

TEST_F(Chain, GoesOnThroughEveryLoginShell) {
  for (const char* shell : {"/usr/bin/fish", "/usr/bin/tcsh", "/usr/bin/zsh"})
    if (access(shell, X_OK) != 0) GTEST_SKIP() << shell << " is not installed";
  StartHost("b", {}, "/usr/bin/fish");
  StartHost("c", {}, "/usr/bin/tcsh");
  StartHost("d", {}, "/usr/bin/zsh");
  WriteConfig(HostBlock(hosts_.at("b"), "  ForwardAgent yes\n", "b"));
  Know("b", "c");
  Know("c", "d");
  const Outcome run = RunChain();
  EXPECT_EQ(Verdicts(run), "b healthy\nb>c healthy\nb>c>d healthy\n")
      << run.out;
}

TEST_F(Chain, NoisyStartUpFilesChangeNothing) {
  StartAll();
  for (const char* name : {"b", "c", "d"})
    WriteText(HomeOf(name) + "/.bashrc",
              "echo Welcome; echo 'debug1: Welcome' >&2\n");
  EXPECT_EQ(Verdicts(RunChain()), "b healthy\nb>c healthy\nb>c>d healthy\n");
}

TEST_F(Chain, BrokenAtHomeIsBrokenAtTheFirstHop) {
  StartAll();
  WriteConfig(HostBlock(hosts_.at("b"), "", "b"));
  const Outcome run = RunChain();
  EXPECT_EQ(Verdicts(run),
            "b broken forwarding-not-requested\nb>c undetermined\n"
            "b>c>d undetermined\n")
      << run.out;
  EXPECT_EQ(run.status, 1);
  const auto refused = FindingOf(run, 1, "authentication-failed");
  EXPECT_EQ(refused.value("consequenceOf", ""), "forwarding-not-requested");
  EXPECT_EQ(refused.value("consequenceOfHost", ""), "b");
}

TEST_F(Chain, WithoutForwardAgentOnBItBreaksAtC) {
  StartAll();
  Know("b", "c", "");
  const Outcome run = RunChain();
  EXPECT_EQ(Verdicts(run),
            "b healthy\nb>c broken forwarding-not-requested\n"
            "b>c>d undetermined\n")
      << run.out;
  EXPECT_EQ(run.status, 1);
  const auto finding = FindingOf(run, 1, "forwarding-not-requested");
  ASSERT_FALSE(finding.is_null());
  EXPECT_EQ(finding["fixes"][0].value("host", ""), "b");
  EXPECT_EQ(finding["fixes"][0]["edits"][0].value("file", ""), "~/.ssh/config");
  EXPECT_EQ(finding["evidence"][0].value("host", ""), "b");
  const auto missing = FindingOf(run, 2, "agent-not-running");
  EXPECT_EQ(missing.value("consequenceOf", ""), "forwarding-not-requested");
  EXPECT_EQ(missing.value("consequenceOfHost", ""), "c");

  const Ended text = Agentdoctor(
      {"run", "--skip", "remote-sessions", "b", "--then", "c", "--then", "d"});
  EXPECT_EQ(text.out.find("x agent forwarding along b -> c -> d breaks at c: "),
            0U)
      << text.out;
}

TEST_F(Chain, AServerThatDeniesForwardingBreaksItAtC) {
  StartAll({.config = "AllowAgentForwarding no"});
  const Outcome run = RunChain();
  EXPECT_EQ(Verdicts(run),
            "b healthy\nb>c broken server-denies-forwarding\n"
            "b>c>d undetermined\n")
      << run.out;
}

TEST_F(Chain, AStaleMasterOnBBreaksItAtC) {
  StartAll();
  Know("b", "c",
       "  ForwardAgent yes\n  ControlMaster auto\n"
       "  ControlPath ~/.ssh/%r@%h" LAB_COLON "%p\n");
  Ssh({"b", "ssh", "-a", "-o", "ControlPersist=yes", "c", "true"});
  const std::string before = Settled();
  const Outcome run = RunChain();
  EXPECT_EQ(Verdicts(run),
            "b healthy\nb>c broken mux-master-without-forwarding\n"
            "b>c>d undetermined\n")
      << run.out;
  const auto finding = FindingOf(run, 1, "mux-master-without-forwarding");
  ASSERT_FALSE(finding.is_null());
  // The control experiment was made from here, through b.
  EXPECT_EQ(finding["certainty"], "proven") << finding.dump(1);
  EXPECT_EQ(finding["fixes"][0].value("host", ""), "b");
  EXPECT_NE(finding["fixes"][0]["safety"], "safe");
  EXPECT_TRUE(Eventually([&] { return Snapshot() == before; }))
      << before << "---\n"
      << Snapshot();
}

TEST_F(Chain, AStaleMasterOnAHopIsNotRepaired) {
  StartAll();
  Know("b", "c",
       "  ForwardAgent yes\n  ControlMaster auto\n"
       "  ControlPath ~/.ssh/%r@%h" LAB_COLON "%p\n");
  Ssh({"b", "ssh", "-a", "-o", "ControlPersist=yes", "c", "true"});
  const std::string before = Settled();
  const Outcome run = RunPath({"b", "--then", "c", "--fix"});
  EXPECT_EQ(Verdicts(run),
            "b healthy\nb>c broken mux-master-without-forwarding\n")
      << run.out;
  EXPECT_TRUE(Eventually([&] { return Snapshot() == before; }))
      << before << "---\n"
      << Snapshot();
}

TEST_F(Chain, AStartUpFileOnCBreaksItAtC) {
  StartAll();
  WriteText(HomeOf("c") + "/.bashrc",
            "export SSH_AUTH_SOCK=" + HomeOf("c") + "/no-agent\n");
  const Outcome run = RunChain();
  EXPECT_EQ(Verdicts(run),
            "b healthy\nb>c broken remote-env-overridden\n"
            "b>c>d undetermined\n")
      << run.out;
  EXPECT_EQ(
      FindingOf(run, 2, "agent-socket-missing").value("consequenceOfHost", ""),
      "c");
}

TEST_F(Chain, AnUnknownHostKeyIsNotAcceptedOnB) {
  StartAll();
  Know("b", "c", "  ForwardAgent yes\n  StrictHostKeyChecking accept-new\n");
  WriteText(HomeOf("b") + "/.ssh/known_hosts", "");
  const std::string before = Settled();
  const Outcome run = RunChain();
  EXPECT_EQ(Verdicts(run),
            "b healthy\nb>c undetermined host-key-unknown\n"
            "b>c>d undetermined\n")
      << run.out;
  EXPECT_EQ(run.status, 3);
  const nlohmann::json last = run.Host(2);
  for (const auto& check : last["checks"])
    EXPECT_NE(check["summary"].get<std::string>().find("on c"),
              std::string::npos)
        << check;
  EXPECT_TRUE(Eventually([&] { return Snapshot() == before; }));
}

TEST_F(Chain, AServerThatRefusesTheKeysIsSaidAtD) {
  StartAll();
  WriteText(hosts_["d"].folder + "/authorized_keys", "");
  const Outcome run = RunChain();
  EXPECT_EQ(Verdicts(run),
            "b healthy\nb>c healthy\n"
            "b>c>d undetermined authentication-failed\n")
      << run.out;
  EXPECT_EQ(run.status, 3);
}

TEST_F(Chain, GoesOnThroughTheUsersMasterWithoutALogin) {
  StartAll();
  WriteConfig(HostBlock(hosts_.at("b"), Sharing(), "b"));
  OpenMaster({}, "b");
  const Outcome run = RunPath({"b", "--then", "c"});
  EXPECT_EQ(Verdicts(run), "b healthy\nb>c healthy\n") << run.out;
  EXPECT_EQ(hosts_["b"].Logins(), 1);
}

TEST_F(Chain, ATargetIsTriedFromTheLastHop) {
  StartAll();
  const Outcome run = RunPath({"b", "--then", "c", "--to", "d"});
  EXPECT_EQ(Verdicts(run), "b healthy\nb>c healthy\n") << run.out;
  EXPECT_EQ(NextHopOf(run, 0), "");
  EXPECT_EQ(NextHopOf(run, 1),
            "d: accepted ED25519 " + Fingerprint("id_ec2") + " as dave");
  EXPECT_EQ(hosts_["d"].Logins(), 1);
}

TEST_F(Chain, ATargetThatRefusesIsSaidOfTheLastHop) {
  StartAll();
  WriteText(hosts_["d"].folder + "/authorized_keys", "");
  const Outcome run = RunPath({"b", "--then", "c", "--to", "d"});
  EXPECT_EQ(Verdicts(run), "b healthy\nb>c broken next-hop-denied\n")
      << run.out;
}

TEST_F(Chain, GoesOnBehindAJumpHostThatBKnows) {
  StartAll();
  StartHost("j");
  Know("b", "j", "");
  const std::string config = ReadText(HomeOf("b") + "/.ssh/config");
  const std::string known = ReadText(HomeOf("b") + "/.ssh/known_hosts");
  Know("b", "c", "  ForwardAgent yes\n  ProxyJump j\n" + config);
  WriteText(HomeOf("b") + "/.ssh/known_hosts",
            known + ReadText(HomeOf("b") + "/.ssh/known_hosts"));
  const std::string before = Settled();
  const Outcome run = RunChain();
  EXPECT_EQ(Verdicts(run), "b healthy\nb>c healthy\nb>c>d healthy\n")
      << run.out;
  EXPECT_GT(hosts_["j"].Logins(), 0);
  EXPECT_TRUE(Eventually([&] { return Snapshot() == before; }))
      << before << "---\n"
      << Snapshot();
}

TEST_F(Chain, SeveralDestinationsHaveTheirHopsBehindThem) {
  StartAll();
  StartHost("e");
  WriteConfig(HostBlock(hosts_.at("b"), "  ForwardAgent yes\n", "b") +
              HostBlock(hosts_.at("e"), "  ForwardAgent yes\n", "e"));
  Know("e", "c");
  EXPECT_EQ(Verdicts(RunPath({"b", "e", "--then", "c"})),
            "b healthy\nb>c healthy\ne healthy\ne>c healthy\n");
}

TEST_F(Chain, WhatHangsOnAHopEndsWithTheRun) {
  StartAll();
  kill(hosts_["c"].program.pid, SIGSTOP);
  const std::string before = Settled();
  // ssh on b waits for c's banner.
  const Program doctor = LaunchAgentdoctor(
      {"run", "--skip", "remote-sessions", "b", "--then", "c"});
  const auto waits = [&] {
    const std::vector<ProcessLine> all = Descendants();
    return std::any_of(all.begin(), all.end(), [](const ProcessLine& line) {
      return line.command.find("-- c sh -c") != std::string::npos;
    });
  };
  EXPECT_TRUE(Eventually(waits)) << Snapshot();
  kill(doctor.pid, SIGINT);
  EXPECT_EQ(Finish(doctor).status, 3);
  EXPECT_TRUE(Eventually([&] { return Snapshot() == before; }))
      << before << "---\n"
      << Snapshot();
  kill(hosts_["c"].program.pid, SIGCONT);
}

}  // namespace
}  // namespace agentdoctor::lab
