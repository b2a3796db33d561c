// `agentdoctor agents`: every agent there is, and which one would be forwarded.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "lab/fakes.h"
#include "lab/lab.h"
#include "lab/listing.h"

namespace agentdoctor::lab {
namespace {

namespace fs = std::filesystem;

class Agents : public Listing {
 protected:
  Agents() : Listing("agents") {}

  /// Where an ssh-agent of OpenSSH 10.1 listens.
  std::string KnownPlace(const std::string& name) {
    fs::create_directories(Home(".ssh/agent"));
    return Home(".ssh/agent/s." + name + ".agent.x");
  }
};

TEST_F(Agents, TheOneOfTheEnvironmentIsForwarded) {
  StartAgentWithKey();
  const Outcome list = List();
  EXPECT_EQ(list.status, 0);
  EXPECT_EQ(list.report["forwarded"]["path"], AgentSocket());
  EXPECT_EQ(list.report["forwarded"]["what"], "SSH_AUTH_SOCK");
  const nlohmann::json agent = list.report["agents"][0];
  EXPECT_EQ(agent["path"], AgentSocket());
  EXPECT_EQ(agent["forwarded"], true);
  EXPECT_EQ(agent["inEnvironment"], true);
  ASSERT_EQ(agent["keys"].size(), 1U);
  EXPECT_EQ(agent["keys"][0]["fingerprint"], Fingerprint("id_ec2"));
  EXPECT_EQ(agent["keys"][0]["comment"], "id_ec2");
  EXPECT_NE(agent["sessionBind"], "notAsked");
}

TEST_F(Agents, IdentityAgentReplacesTheEnvironmentsDeadOne) {
  StartAgentWithKey();
  WriteConfig("Host *\n  IdentityAgent " + AgentSocket() + "\n");
  const std::string dead = Folder() + "/dead.sock";
  LeaveDeadSocket(dead);
  SetEnv("SSH_AUTH_SOCK", dead);
  const Outcome list = List();
  EXPECT_EQ(list.status, 0);
  EXPECT_EQ(list.report["forwarded"]["what"], "IdentityAgent");
  EXPECT_EQ(list.report["forwarded"]["file"], Home(".ssh/config"));
  EXPECT_EQ(list.report["forwarded"]["line"], 2);
  EXPECT_EQ(At(list, AgentSocket())["namedBy"][0]["what"], "IdentityAgent");
  EXPECT_EQ(At(list, dead)["state"], "refused");
  EXPECT_EQ(At(list, dead)["forwarded"], false);
  EXPECT_EQ(At(list, dead)["inEnvironment"], true);
}

TEST_F(Agents, AnswersForADestination) {
  StartAgentWithKey();
  WriteConfig("Host web1\n  ForwardAgent " + AgentSocket() +
              "\nHost web2\n  ForwardAgent no\n");
  UnsetEnv("SSH_AUTH_SOCK");
  EXPECT_EQ(List().status, 1);
  const Outcome web1 = List({"web1"});
  EXPECT_EQ(web1.status, 0);
  EXPECT_EQ(web1.report["destination"], "web1");
  EXPECT_EQ(web1.report["requested"], true);
  EXPECT_EQ(web1.report["forwarded"]["what"], "ForwardAgent");
  const Outcome web2 = List({"web2"});
  EXPECT_EQ(web2.status, 1);
  EXPECT_EQ(web2.report["requested"], false);
}

TEST_F(Agents, OthersAreFoundAndDeadOnesCounted) {
  StartAgentWithKey();
  const std::string other = KnownPlace("live");
  Launched({"ssh-agent", "-D", "-a", other});
  ASSERT_TRUE(Eventually([&] { return fs::exists(other); }));
  const std::string dead = KnownPlace("dead");
  LeaveDeadSocket(dead);
  const std::string silent = KnownPlace("silent");
  const FakeAgent agent(silent, fake::Silent());
  const std::string refusing = KnownPlace("refusing");
  const FakeAgent locked(refusing, fake::Answers(std::string("\0\0\0\1\5", 5)));
  const Outcome list = List();
  EXPECT_EQ(list.status, 0);
  EXPECT_EQ(At(list, other)["state"], "answered");
  EXPECT_EQ(At(list, other)["product"], "ssh-agent");
  EXPECT_TRUE(At(list, other)["namedBy"].empty());
  // No candidate is asked more than for its keys.
  EXPECT_EQ(At(list, other)["sessionBind"], "notAsked");
  EXPECT_EQ(At(list, silent)["state"], "silent");
  EXPECT_EQ(At(list, refusing)["state"], "listRefused");
  EXPECT_TRUE(At(list, dead).empty());
  EXPECT_GE(list.report["dead"], 1);
}

TEST_F(Agents, ADeadOneThatAFileNamesIsShown) {
  StartAgentWithKey();
  const std::string dead = Folder() + "/gone.sock";
  WriteText(Home(".ssh/environment"), "X=1\nSSH_AUTH_SOCK=" + dead + "\n");
  const Outcome list = List();
  EXPECT_EQ(list.status, 0);
  EXPECT_EQ(At(list, dead)["state"], "missing");
  EXPECT_EQ(At(list, dead)["namedBy"][0]["file"], Home(".ssh/environment"));
  EXPECT_EQ(At(list, dead)["namedBy"][0]["line"], 2);
}

TEST_F(Agents, HungOrEmptyIsNoUse) {
  const std::string path = Folder() + "/fake.sock";
  const FakeAgent agent(path, fake::Silent());
  SetEnv("SSH_AUTH_SOCK", path);
  const Outcome hung = List();
  EXPECT_EQ(hung.status, 1);
  EXPECT_EQ(At(hung, path)["state"], "silent");
  StartAgent();
  const Outcome empty = List();
  EXPECT_EQ(empty.status, 1);
  EXPECT_EQ(At(empty, AgentSocket())["summary"], "no keys");
}

TEST_F(Agents, WhereNobodyNamesOneThereIsNone) {
  UnsetEnv("SSH_AUTH_SOCK");
  const Outcome list = List();
  EXPECT_EQ(list.status, 1);
  EXPECT_EQ(list.report["forwarded"]["path"], nullptr);
  EXPECT_EQ(Agentdoctor({"agents", "--quiet"}).out,
            "x ssh would forward no agent: SSH_AUTH_SOCK is not set\n");
}

TEST_F(Agents, ARejectedConfigurationLeavesItUnknown) {
  StartAgentWithKey();
  WriteConfig("Host *\n  NoSuchKeyword yes\n");
  const Outcome list = List();
  EXPECT_EQ(list.status, 3);
  EXPECT_EQ(list.report["forwarded"]["unknown"],
            "ssh rejects the configuration");
  EXPECT_EQ(At(list, AgentSocket())["inEnvironment"], true);
}

TEST_F(Agents, AHostileCommentDoesNoHarm) {
  const std::string comment = "\x1b]0;owned\x07\x1b[2J";
  MakeKey("hostile", {"-N", "", "-C", comment});
  StartAgent();
  AddKey("hostile");
  const Ended text = Agentdoctor({"agents", "--verbose", "--color", "always"});
  EXPECT_EQ(text.out.find(comment.substr(0, 4)), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("owned"), std::string::npos);
  const Outcome list = List();
  EXPECT_NE(
      At(list, AgentSocket())["keys"][0]["comment"].get<std::string>().find(
          "owned"),
      std::string::npos);
}

TEST_F(Agents, ListingChangesNothing) {
  StartAgentWithKey();
  LeaveDeadSocket(KnownPlace("dead"));
  const std::string before = Snapshot();
  EXPECT_EQ(List().status, 0);
  EXPECT_EQ(Snapshot(), before);
}

TEST_F(Agents, WrongUsageIsStatusTwo) {
  for (const Words& words :
       {Words{"agents", "-x"}, {"agents", "a b"}, {"agents", "a", "b"}}) {
    const Ended ended = Agentdoctor(words);
    EXPECT_EQ(ended.status, 2);
    EXPECT_EQ(ended.out, "");
    EXPECT_NE(ended.err, "");
  }
}

}  // namespace
}  // namespace agentdoctor::lab
