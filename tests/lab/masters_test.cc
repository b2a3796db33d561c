// `agentdoctor masters`: every master of this user, and what --fix does to it.
//
// Other tests' masters belong to the same user: what is repaired, and what an
// exit status is about, is always named.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "lab/fakes.h"
#include "lab/lab.h"
#include "lab/listing.h"

namespace agentdoctor::lab {
namespace {

namespace fs = std::filesystem;

class Masters : public Listing {
 protected:
  Masters() : Listing("masters") {}

  static nlohmann::json Repairs(const Outcome& outcome) {
    return outcome.report.value("repairs", nlohmann::json::array());
  }

  std::string WithoutForwarding(const Server& server) const {
    return HostBlock(server,
                     "  ControlMaster auto\n"
                     "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON "%p\n");
  }

  /// A server, an agent, and a configuration that does not forward yet.
  Server Before() {
    const Server server = StartServer();
    StartAgentWithKey();
    WriteConfig(WithoutForwarding(server));
    return server;
  }

  void After(const Server& server) {
    WriteConfigLater(HostBlock(server, Sharing()));
  }
};

TEST_F(Masters, AreFoundWhereverTheyListen) {
  const Server server = Before();
  const pid_t persistent = OpenMaster();
  const std::string folder = Folder() + "/a" LAB_SPACE "folder";
  const std::string spaced = folder + "/m";
  fs::create_directory(folder);
  const std::string tunnel = Folder() + "/tunnel";
  Ssh({"-fNM", "-S", spaced, "-L", tunnel + ":/nonexistent", "gitlab-runner"});
  const std::string dead = Home(".ssh/sockets/dave@10.0.0.9" LAB_COLON "22");
  LeaveDeadSocket(dead);

  const Outcome list = List();
  const nlohmann::json one = At(list, ControlSocket(server));
  EXPECT_EQ(one["host"], "gitlab-runner");  // by the configuration
  EXPECT_EQ(one["state"], "alive");
  EXPECT_EQ(one["pid"], persistent);
  EXPECT_EQ(one["sessions"], 0);
  EXPECT_EQ(one["foreground"], false);
  EXPECT_EQ(one["forwardings"], nlohmann::json::array());
  EXPECT_EQ(one["peer"], "127.0.0.1:" + std::to_string(server.port));
  EXPECT_NE(one["started"], nullptr);
  EXPECT_TRUE(one["findings"].empty());
  const nlohmann::json other = At(list, spaced);
  // By its command line, of which ps does not show where a word ends.
  EXPECT_EQ(other["host"],
            kPortable ? nullptr : nlohmann::json("gitlab-runner"));
  EXPECT_EQ(other["state"], "alive");
  EXPECT_EQ(other["forwardings"], nlohmann::json({tunnel}));
  EXPECT_EQ(At(list, dead)["state"], "staleSocket");
  EXPECT_EQ(At(list, dead)["findings"][0]["code"], "mux-socket-stale");
  EXPECT_FALSE(one.contains("examined"));
  EXPECT_FALSE(list.report.contains("repairs"));
}

TEST_F(Masters, AForegroundOneWithItsSessionsIsSeen) {
  const Server server = StartServer();
  WriteConfig(HostBlock(server, Sharing()));
  const Program shell = OpenShell({"gitlab-runner"});
  const Program guest = OpenShell({"gitlab-runner"});
  const nlohmann::json master = At(List(), ControlSocket(server));
  EXPECT_EQ(master["host"], "gitlab-runner");
  EXPECT_EQ(master["foreground"], true);
  EXPECT_EQ(master["sessions"], 1);
}

TEST_F(Masters, OneThatNobodyCanNameTellsItsPeer) {
  const Server server = StartServer();
  WriteConfig(HostBlock(server, Sharing()));
  OpenMaster();
  WriteConfig("");
  const nlohmann::json master = At(List(), ControlSocket(server));
  EXPECT_EQ(master["host"], nullptr);
  EXPECT_NE(master["hostUnknown"], "");
  EXPECT_EQ(master["peer"], "127.0.0.1:" + std::to_string(server.port));
}

TEST_F(Masters, OneWhoseSocketFileIsGoneIsAnOrphan) {
  const Server server = StartServer();
  WriteConfig(HostBlock(server, Sharing()));
  const pid_t master = OpenMaster();
  fs::remove(ControlSocket(server));
  const Outcome list = List();
  EXPECT_EQ(At(list, ControlSocket(server))["orphaned"], true);
  EXPECT_EQ(At(list, ControlSocket(server))["pid"], master);
  EXPECT_EQ(List({ControlSocket(server)}).status, 0);
}

TEST_F(Masters, AFrozenOneIsNamedWithWhatToDo) {
  const Server server = StartServer();
  WriteConfig(HostBlock(server, Sharing()));
  const pid_t pid = OpenMaster();
  kill(pid, SIGSTOP);
  const Outcome list = List({"gitlab-runner"});
  EXPECT_EQ(list.status, 1);
  const nlohmann::json master = At(list, ControlSocket(server));
  EXPECT_EQ(master["state"], "unresponsive");
  EXPECT_EQ(master["pid"], pid);
  EXPECT_EQ(master["findings"][0]["code"], "mux-master-unresponsive");
  const Ended text = Agentdoctor({"masters", ControlSocket(server)});
  EXPECT_NE(text.out.find("kill -CONT " + std::to_string(pid)),
            std::string::npos)
      << text.out;
  // No process is ever signalled.
  const Outcome fixed = List({"--fix", "--force", "gitlab-runner"});
  EXPECT_EQ(fixed.status, 1);
  EXPECT_TRUE(Repairs(fixed).empty());
  EXPECT_FALSE(IsGone(pid));
}

TEST_F(Masters, AgentsAndLinksAreNone) {
  StartAgentWithKey();
  fs::create_symlink(AgentSocket(), Home(".ssh/cm-link"));
  LeaveDeadSocket(Home(".ssh/agent-dave@here"));
  const FakeAgent other(Home(".ssh/cm-other"), fake::HangsUp());
  const Outcome list = List();
  EXPECT_TRUE(At(list, Home(".ssh/cm-link")).empty());
  EXPECT_TRUE(At(list, Home(".ssh/agent-dave@here")).empty());
  EXPECT_TRUE(At(list, Home(".ssh/cm-other")).empty());
}

TEST_F(Masters, ListingChangesNothing) {
  const Server server = Before();
  OpenMaster();
  After(server);
  LeaveDeadSocket(Home(".ssh/sockets/dave@10.0.0.9" LAB_COLON "22"));
  const std::string before = Snapshot();
  const int logins = server.Logins();
  EXPECT_EQ(At(List(), ControlSocket(server))["newerConfig"][0]["path"],
            Home(".ssh/config"));
  EXPECT_EQ(Snapshot(), before);
  EXPECT_EQ(server.Logins(), logins);
}

TEST_F(Masters, FixLetsAStaleOneGo) {
  const Server server = Before();
  const pid_t master = OpenMaster();
  After(server);
  const Outcome fixed = List({"--fix", "gitlab-runner"});
  EXPECT_EQ(fixed.status, 0) << fixed.out;
  ASSERT_EQ(Repairs(fixed).size(), 1U);
  EXPECT_EQ(Repairs(fixed)[0]["status"], "applied");
  EXPECT_EQ(Repairs(fixed)[0]["code"], "mux-master-without-forwarding");
  EXPECT_EQ(Repairs(fixed)[0]["host"], "gitlab-runner");
  EXPECT_EQ(Repairs(fixed)[0]["path"], ControlSocket(server));
  EXPECT_TRUE(Eventually([&] { return IsGone(master); }));
  EXPECT_TRUE(At(List(), ControlSocket(server)).empty());
}

TEST_F(Masters, DryRunOnlySaysIt) {
  const Server server = Before();
  const pid_t master = OpenMaster();
  After(server);
  const std::string dead = Home(".ssh/sockets/dave@10.0.0.9" LAB_COLON "22");
  LeaveDeadSocket(dead);
  const std::string before = Snapshot();
  const Outcome planned = List({"--fix", "--dry-run", "gitlab-runner", dead});
  EXPECT_EQ(planned.status, 1);
  ASSERT_EQ(Repairs(planned).size(), 2U);
  EXPECT_EQ(Repairs(planned)[0]["status"], "planned");
  EXPECT_EQ(Repairs(planned)[1]["commands"], nlohmann::json({"rm " + dead}));
  EXPECT_EQ(At(planned, ControlSocket(server))["examined"]["status"], "fail");
  EXPECT_EQ(Snapshot(), before);
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
}

TEST_F(Masters, FixLeavesOpenShellsGoingOn) {
  const Server server = Before();
  const Program shell = OpenShell({"gitlab-runner"});
  const Program guest = OpenShell({"gitlab-runner"});
  After(server);
  const Outcome fixed = List({"--fix", "gitlab-runner"});
  EXPECT_EQ(Repairs(fixed).size(), 1U) << fixed.out;
  EXPECT_TRUE(Answers(shell)) << shell.Output();
  EXPECT_TRUE(Answers(guest)) << guest.Output();
}

TEST_F(Masters, FixNeverEndsATunnel) {
  const Server server = Before();
  Ssh({"-fNM", "-L", Folder() + "/tunnel:/nonexistent", "gitlab-runner"});
  const pid_t master = MasterPid(ControlSocket(server));
  ASSERT_NE(master, 0);
  After(server);
  const Outcome fixed = List({"--fix", "gitlab-runner"});
  EXPECT_EQ(fixed.status, 1);
  EXPECT_TRUE(Repairs(fixed).empty());
  const nlohmann::json left = At(fixed, ControlSocket(server));
  EXPECT_EQ(left["findings"][0]["fixes"][0]["safety"], "review");
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
}

TEST_F(Masters, FixNeverEndsOneThatNoFreshLoginCouldReplace) {
  const Server server = Before();
  const pid_t master = OpenMaster();
  After(server);
  WriteText(server.folder + "/authorized_keys", "");
  EXPECT_TRUE(Repairs(List({"--fix", "gitlab-runner"})).empty());
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
}

TEST_F(Masters, FixLeavesOneAloneThatNoNextConnectionWouldReplace) {
  const Server server = Before();
  const std::string own = Folder() + "/own";
  Ssh({"-fNM", "-S", own, "gitlab-runner"});
  const pid_t master = MasterPid(own);
  After(server);
  const int logins = server.Logins();
  const Outcome fixed = List({"--fix", own});
  EXPECT_EQ(fixed.status, 0) << fixed.out;
  EXPECT_TRUE(Repairs(fixed).empty());
  EXPECT_EQ(At(fixed, own)["examined"], nullptr);
  EXPECT_NE(At(fixed, own)["notExamined"], "");
  EXPECT_EQ(MasterPid(own), master);
  EXPECT_EQ(server.Logins(), logins);
}

TEST_F(Masters, FixLeavesAHealthyOneAlone) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(HostBlock(server, Sharing()));
  const pid_t master = OpenMaster();
  const Outcome fixed = List({"--fix", "gitlab-runner"});
  EXPECT_EQ(fixed.status, 0) << fixed.out;
  EXPECT_TRUE(Repairs(fixed).empty());
  EXPECT_EQ(At(fixed, ControlSocket(server))["examined"]["status"], "pass");
  EXPECT_EQ(MasterPid(ControlSocket(server)), master);
  EXPECT_EQ(server.Logins(), 1);
}

TEST_F(Masters, FixOpensNoSessionWhereNoForwardingIsWanted) {
  const Server server = StartServer();
  StartAgentWithKey();
  WriteConfig(WithoutForwarding(server));
  OpenMaster();
  const std::string log = server.Log();
  const Outcome fixed = List({"--fix", "gitlab-runner"});
  EXPECT_EQ(fixed.status, 0) << fixed.out;
  EXPECT_EQ(At(fixed, ControlSocket(server))["examined"], nullptr);
  EXPECT_EQ(server.Log(), log);
}

TEST_F(Masters, FixRemovesADeadSocketAndNothingElse) {
  WriteConfig("Host *\n  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON "%p\n");
  const std::string dead = Home(".ssh/sockets/dave@10.0.0.9" LAB_COLON "22");
  const std::string file = Home(".ssh/sockets/dave@10.0.0.8" LAB_COLON "22");
  LeaveDeadSocket(dead);
  WriteText(file, "not a socket");
  EXPECT_EQ(List({dead}).status, 0);
  EXPECT_EQ(List({"--strict", dead}).status, 1);
  EXPECT_TRUE(
      Repairs(List({"--fix", "--skip", "mux-socket-stale", dead})).empty());
  EXPECT_TRUE(fs::exists(dead));
  const Outcome fixed = List({"--fix", dead, file});
  EXPECT_EQ(fixed.status, 0);
  ASSERT_EQ(Repairs(fixed).size(), 1U);
  EXPECT_EQ(Repairs(fixed)[0]["host"], nullptr);
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_EQ(ReadText(file), "not a socket");
}

TEST_F(Masters, WrongUsageIsStatusTwo) {
  for (const Words& words : {Words{"masters", "-x"},
                             {"masters", "--force"},
                             {"masters", "--only", "agent-empty"},
                             {"masters", "--skip", "no-such-code"}}) {
    const Ended ended = Agentdoctor(words);
    EXPECT_EQ(ended.status, 2);
    EXPECT_EQ(ended.out, "");
    EXPECT_NE(ended.err, "");
  }
}

}  // namespace
}  // namespace agentdoctor::lab
