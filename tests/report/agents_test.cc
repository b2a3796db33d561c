// The list of agents: text and JSON, to the letter.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "agentdoctor/listings.h"
#include "report/render.h"
#include "schema.h"

namespace agentdoctor {
namespace {

constexpr std::int64_t kNow = 1795255200;  // 2026-11-21 10:00 UTC

ListedAgent Live() {
  ListedAgent listed;
  listed.agent = {.path = "/run/user/1000/keyring/ssh",
                  .state = AgentState::kAnswered,
                  .owner = 1000,
                  .mode = 0755,
                  .product = "gnome-keyring",
                  .query = ExtensionAnswer::kFailure,
                  .session_bind = ExtensionAnswer::kSuccess};
  listed.agent.identities = {
      {.type = "ssh-ed25519", .fingerprint = "SHA256:a", .comment = "laptop"},
      {.type = "ssh-rsa-cert-v01@openssh.com",
       .fingerprint = "SHA256:b",
       .comment = "ca",
       .certificate =
           Certificate{.key_id = "dave",
                       .valid_before = static_cast<std::uint64_t>(kNow) - 1}}};
  listed.named_by = {{.what = "SSH_AUTH_SOCK"}};
  listed.in_environment = true;
  listed.forwarded = true;
  return listed;
}

ListedAgent Locked() {
  ListedAgent listed;
  listed.agent = {.path = "/home/dave/.1password/agent.sock",
                  .link_target = "/home/dave/else",
                  .state = AgentState::kListRefused,
                  .owner = 0,
                  .mode = 0600,
                  .product = "1Password"};
  listed.named_by = {
      {.what = "a file", .file = "/home/dave/.ssh/environment", .line = 3}};
  return listed;
}

AgentList Example() {
  AgentList list{.started = kNow, .duration_ms = 12, .uid = 1000};
  list.forwarded = AgentChoice{.text = "SSH_AUTH_SOCK",
                               .path = "/run/user/1000/keyring/ssh"};
  list.requested = NotNeeded{"no host was named"};
  list.agents = {Live(), Locked()};
  list.dead = 3;
  return list;
}

nlohmann::json Parsed(const AgentList& list) {
  const auto json = nlohmann::json::parse(RenderAgentsJson(list));
  EXPECT_EQ(SchemaFaults(json), "");
  return json;
}

TEST(AgentsText, AnswersFirstThenListsThemAll) {
  EXPECT_EQ(
      RenderAgentsText(Example(), {}),
      R"(✓ ssh would forward the agent at /run/user/1000/keyring/ssh: 2 keys

  ✓ /run/user/1000/keyring/ssh (gnome-keyring): 2 keys
      named by SSH_AUTH_SOCK (in the environment); would be forwarded
      ssh-ed25519                   SHA256:a  laptop
      ssh-rsa-cert-v01@openssh.com  SHA256:b  ca  (expired at 2026-11-21T09:59:59Z)

  ✗ /home/dave/.1password/agent.sock (1Password): refuses to list its keys: it
    is locked, or needs your consent
      a link to /home/dave/else
      named by /home/dave/.ssh/environment:3
      owner 0, mode 0600

  Also 3 sockets of agents that have ended.
)");
}

TEST(AgentsText, IsOneLineWhereThatIsAskedFor) {
  EXPECT_EQ(RenderAgentsText(Example(), {.quiet = true}),
            "✓ ssh would forward the agent at /run/user/1000/keyring/ssh: 2 "
            "keys\n");
}

TEST(AgentsText, SaysWhyThereIsNone) {
  AgentList list{.destination = "web1"};
  list.forwarded = AgentChoice{.source = AgentSource::kIdentityAgent,
                               .text = "none",
                               .line = ConfigLine{.file = "/c", .line = 4}};
  list.requested = false;
  EXPECT_EQ(RenderAgentsText(list, {.columns = 120}),
            "✗ ssh would forward no agent to web1: IdentityAgent in /c:4 says "
            "none; but the configuration asks for no forwarding\n  there\n");
  list.forwarded = Unknown{"ssh rejects the configuration"};
  list.requested = Unknown{"ssh rejects the configuration"};
  EXPECT_EQ(RenderAgentsText(list, {.columns = 120}),
            "- which agent ssh would forward to web1 is not known: ssh rejects "
            "the configuration\n");
}

TEST(AgentsText, IsHarmlessWhateverAnAgentSays) {
  AgentList list = Example();
  const std::string hostile = "\x1b]0;x\x07\nroot\xff\xe2\x80\xae";
  for (ListedAgent& listed : list.agents) {
    listed.agent.path += hostile;
    listed.agent.link_target = hostile;
    listed.agent.detail = hostile;
    listed.agent.product = hostile;
    for (Identity& identity : listed.agent.identities)
      identity = {.type = hostile,
                  .fingerprint = hostile,
                  .comment = hostile + std::string(100000, 'x')};
    for (AgentName& name : listed.named_by) name.file = hostile;
  }
  list.destination = hostile;
  for (const bool verbose : {false, true}) {
    const std::string text = RenderAgentsText(list, {.verbose = verbose});
    for (const char* bad : {"\x1b", "\x07", "\xff", "\xe2\x80\xae", "\nroot"})
      EXPECT_EQ(text.find(bad), std::string::npos) << text.substr(0, 2000);
    EXPECT_EQ(text.size() > 100000, verbose);
  }
  const auto json = Parsed(list);
  EXPECT_EQ(json["agents"][1]["linkTarget"],
            "\x1b]0;x\x07\nroot\xef\xbf\xbd\xe2\x80\xae");
}

TEST(AgentsText, ShowsSomeOfManyKeys) {
  AgentList list = Example();
  Identity key = list.agents[0].agent.identities[0];
  list.agents[0].agent.identities.assign(2048, key);
  const std::string text = RenderAgentsText(list, {});
  EXPECT_NE(text.find("(2036 more with --verbose)"), std::string::npos);
}

TEST(AgentsJson, HoldsEverythingAndFitsTheSchema) {
  const auto json = Parsed(Example());
  EXPECT_EQ(json["command"], "agents");
  EXPECT_EQ(json["startedAt"], "2026-11-21T10:00:00Z");
  EXPECT_EQ(json["forwarded"]["what"], "SSH_AUTH_SOCK");
  EXPECT_EQ(json["dead"], 3);
  const auto& live = json["agents"][0];
  EXPECT_EQ(live["state"], "answered");
  EXPECT_EQ(live["forwarded"], true);
  EXPECT_EQ(live["inEnvironment"], true);
  EXPECT_EQ(live["mode"], "0755");
  EXPECT_EQ(live["sessionBind"], "success");
  EXPECT_EQ(live["keys"][1]["certificate"]["valid"], false);
  EXPECT_EQ(live["keys"][1]["certificate"]["keyId"], "dave");
  EXPECT_FALSE(live["keys"][0].contains("certificate"));
  EXPECT_EQ(json["agents"][1]["namedBy"][0]["line"], 3);
  EXPECT_FALSE(json.contains("destination"));
}

TEST(AgentsJson, FitsTheSchemaInEveryState) {
  AgentList list = Example();
  list.destination = "web1";
  for (int state = 0; state <= static_cast<int>(AgentState::kListRefused);
       ++state) {
    ListedAgent listed = Live();
    listed.agent.state = static_cast<AgentState>(state);
    listed.agent.detail = "why";
    listed.agent.denied_by = "/home (owner 0, mode 0700)";
    list.agents.push_back(listed);
  }
  list.forwarded = Unknown{"why"};
  const auto json = Parsed(list);
  EXPECT_EQ(json["forwarded"]["path"], nullptr);
  EXPECT_EQ(json["forwarded"]["unknown"], "why");
  EXPECT_EQ(json["requested"], nullptr);
}

TEST(AgentsJson, IsNotTakenForValidWhenItIsNot) {
  auto json = Parsed(Example());
  json["agents"][0].erase("keys");
  EXPECT_NE(SchemaFaults(json), "");
  json = Parsed(Example());
  json["command"] = "masters";
  EXPECT_NE(SchemaFaults(json), "");
}

TEST(AgentsExitStatus, IsAboutTheOneThatWouldBeForwarded) {
  AgentList list = Example();
  EXPECT_EQ(ExitStatus(list), 0);
  list.agents[0].agent.identities.clear();
  EXPECT_EQ(ExitStatus(list), 1);
  list = Example();
  list.agents[0].agent.state = AgentState::kSilent;
  EXPECT_EQ(ExitStatus(list), 1);
  list = Example();
  list.agents.erase(list.agents.begin());
  EXPECT_EQ(ExitStatus(list), 1);
  list = Example();
  list.forwarded = Unknown{"why"};
  EXPECT_EQ(ExitStatus(list), 3);
  list = Example();
  list.interrupted = true;
  EXPECT_EQ(ExitStatus(list), 3);
}

}  // namespace
}  // namespace agentdoctor
