#include "probes/remote_side.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/fake_agent.h"
#include "probes/server_config.h"

namespace agentdoctor {
namespace {

using Records = std::vector<std::pair<std::string, std::string>>;

std::string Hex(const std::string& bytes) {
  std::string text = "\n";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += ' ';
    text += "0123456789abcdef"[byte / 16];
    text += "0123456789abcdef"[byte % 16];
    if (text.size() % 48 == 0) text += '\n';
  }
  return text + "\n";
}

std::string Encode(const Records& records) {
  std::string bytes;
  for (const auto& [key, value] : records) {
    bytes += key + '\0';
    bytes += value + '\0';
  }
  return Hex(bytes);
}

const std::string kSocket = "/tmp/ssh-ABCDEFGHIJ/agent.4711";

// The values of a healthy answer; `changes` win.
Side Parse(Records changes, const Records& agents = {}) {
  changes.insert(changes.end(), {{"uid", "1000"},
                                 {"host", "far"},
                                 {"boot", "b0"},
                                 {"shell", "/bin/bash"},
                                 {"home", "/home/dave"},
                                 {"SSH_AUTH_SOCK", "+" + kSocket},
                                 {"SSH_CONNECTION", "+10.0.0.1 5 10.0.0.2 22"},
                                 {"initial", "+" + kSocket},
                                 {"ancestors", "4712+bash\n4711-sshd\n"},
                                 {"sockets", kSocket + "\n"},
                                 {"others", "+"},
                                 {"identity", "+"},
                                 {"sshd_config", "+"},
                                 {"lines", ""},
                                 {"context", ""},
                                 {"end", ""}});
  changes.insert(changes.begin(), agents.begin(), agents.end());
  return ParseProbe(Encode(changes));
}

Agent ParseAgent(const Records& values) {
  Records agent = {{"agent", kSocket}, {"kind", "SeO"}};
  for (const auto& value : values)
    (value.first == "agent" || value.first == "kind"
         ? agent[value.first == "kind" ? 1 : 0]
         : agent.emplace_back()) = value;
  const Side side = Parse({}, agent);
  EXPECT_EQ(side.agents.size(), 1U);
  return side.agents.empty() ? Agent() : side.agents[0];
}

Agent SshAdd(const std::string& answer) {
  return ParseAgent({{"asked", "ssh-add"}, {"answer", answer}});
}

using Sockets = std::vector<std::string>;

TEST(ParseProbe, ReadsAHealthyAnswer) {
  const std::string key =
      "ssh-ed25519 " + EncodeBase64(Ed25519Blob()) + " dave@laptop at home";
  const Side side = Parse({}, {{"agent", kSocket},
                               {"kind", "SeO"},
                               {"asked", "ssh-add"},
                               {"answer", key + "\n=0"}});
  EXPECT_EQ(side.name, "far");
  EXPECT_EQ(side.uid.value(), 1000);
  EXPECT_EQ(side.boot_id.value(), "b0");
  EXPECT_EQ(side.shell.value(), "/bin/bash");
  EXPECT_EQ(side.auth_sock.value(), kSocket);
  EXPECT_EQ(side.initial_auth_sock.value(), kSocket);
  EXPECT_EQ(side.ssh_connection.value(), "10.0.0.1 5 10.0.0.2 22");
  EXPECT_EQ(side.connection_sockets.value(), Sockets{kSocket});
  EXPECT_EQ(side.identity_agent.value(), "");
  EXPECT_TRUE(side.startup_lines.value().empty());
  EXPECT_TRUE(side.server_config.value().empty());
  ASSERT_EQ(side.agents.size(), 1U);
  const Agent& agent = side.agents[0];
  EXPECT_EQ(agent.state, AgentState::kAnswered);
  EXPECT_EQ(agent.owner, 1000);
  ASSERT_EQ(agent.identities.size(), 1U);
  EXPECT_EQ(agent.identities[0].type, "ssh-ed25519");
  EXPECT_EQ(agent.identities[0].comment, "dave@laptop at home");
  EXPECT_EQ(agent.identities[0].fingerprint, Fingerprint(Ed25519Blob()));
}

TEST(ParseProbe, KnowsTheWordsOfSshAdd) {
  EXPECT_EQ(SshAdd("The agent has no identities.\n=1").state,
            AgentState::kAnswered);
  EXPECT_EQ(
      SshAdd("Error connecting to agent: No such file or directory\n=2").state,
      AgentState::kMissing);
  EXPECT_EQ(SshAdd("Error connecting to agent: Connection refused\n=2").state,
            AgentState::kRefused);
  EXPECT_EQ(SshAdd("Error connecting to agent: Permission denied\n=2").state,
            AgentState::kDenied);
  EXPECT_EQ(
      SshAdd("Error connecting to agent: Too many levels of symbolic links\n=2")
          .state,
      AgentState::kMissing);
  EXPECT_EQ(SshAdd("error fetching identities: communication with agent "
                   "failed\n=1")
                .state,
            AgentState::kDropped);
  EXPECT_EQ(SshAdd("=141").state, AgentState::kDropped);
  EXPECT_EQ(SshAdd("error fetching identities: invalid format\n=1").state,
            AgentState::kMalformed);
  EXPECT_EQ(
      SshAdd("error fetching identities: agent refused operation\n=1").state,
      AgentState::kListRefused);
  EXPECT_EQ(SshAdd("error fetching identities: something new\n=1").state,
            AgentState::kMalformed);
  EXPECT_EQ(SshAdd("=137").state, AgentState::kSilent);
  EXPECT_EQ(SshAdd("=124").state, AgentState::kSilent);
}

TEST(ParseProbe, DoesNotGuessWhatItDoesNotUnderstand) {
  for (const std::string answer : {"", "=0", "=", "Segmentation fault\n=139",
                                   "x\n=1", "ssh-ed25519 AAAA x\n=0"}) {
    const Side side = Parse({}, {{"agent", kSocket},
                                 {"kind", "SeO"},
                                 {"asked", "ssh-add"},
                                 {"answer", answer}});
    EXPECT_TRUE(side.agents.empty()) << answer;
    EXPECT_TRUE(side.agents_not_asked.contains(kSocket)) << answer;
  }
}

TEST(ParseProbe, ReadsRawAnswers) {
  const auto raw = [](const std::string& bytes) {
    return ParseAgent({{"asked", "perl"}, {"answer", Hex(bytes)}});
  };
  EXPECT_EQ(raw(ListAnswer({{Ed25519Blob(), "a=b"}}) + "=0").identities.size(),
            1U);
  EXPECT_EQ(raw(ListAnswer({}) + "=137").state, AgentState::kAnswered);
  EXPECT_EQ(raw(WireString("\x05") + "=0").state, AgentState::kListRefused);
  EXPECT_EQ(raw("=0").state, AgentState::kDropped);
  EXPECT_EQ(raw("=137").state, AgentState::kSilent);
  EXPECT_EQ(raw("Killed\n=137").state, AgentState::kSilent);
  EXPECT_EQ(raw("Connection refused\n=0").state, AgentState::kRefused);
  EXPECT_EQ(raw(std::string("\0\0\0\x09\x0c\x7f\xff\xff\xff", 9) + "=0").state,
            AgentState::kMalformed);
}

TEST(ParseProbe, ReadsWhatStandsAtAPath) {
  EXPECT_EQ(ParseAgent({{"kind", "de"}}).state, AgentState::kNotASocket);
  EXPECT_EQ(ParseAgent({{"agent", "/" + std::string(107, 'x')}}).state,
            AgentState::kPathTooLong);
  const Agent link = ParseAgent(
      {{"kind", "L"},
       {"link", "lrwxrwxrwx 1 a a 4 Nov 1 10:00 " + kSocket + " -> /gone away"},
       {"asked", "ssh-add"},
       {"answer", "Error connecting to agent: No such file or directory\n=2"}});
  EXPECT_EQ(link.link_target, "/gone away");
  const Agent denied = ParseAgent(
      {{"kind", "Se"},
       {"entry", "srw-rw---- 1 1001 100 0 Nov 21 11:00 " + kSocket},
       {"asked", "ssh-add"},
       {"denied", "/tmp/ssh-ABCDEFGHIJ"},
       {"mode", "drwx------ 2 1001 100 60 Nov 21 11:00 /tmp/ssh-..."},
       {"answer", "Error connecting to agent: Permission denied\n=2"}});
  EXPECT_EQ(denied.owner, 1001);
  EXPECT_EQ(denied.mode, 0660);
  EXPECT_EQ(denied.denied_by, "/tmp/ssh-ABCDEFGHIJ (owner 1001, mode 0700)");
}

TEST(ParseProbe, AsksNobodyTwice) {
  const Side side = Parse({}, {{"agent", kSocket},
                               {"kind", "SeO"},
                               {"asked", "ssh-add"},
                               {"answer", "The agent has no identities.\n=1"},
                               {"agent", kSocket},
                               {"kind", "de"}});
  ASSERT_EQ(side.agents.size(), 1U);
  EXPECT_EQ(side.agents[0].state, AgentState::kAnswered);
}

TEST(ParseProbe, KnowsTheSocketOfThisConnection) {
  // Up to OpenSSH 10.0 by the process of the session.
  EXPECT_EQ(Parse({{"sockets", ""}}).connection_sockets.value(),
            Sockets{kSocket});
  // The client's own variable, let in by AcceptEnv: nobody's here.
  EXPECT_EQ(Parse({{"sockets", ""},
                   {"initial", "+/tmp/ssh-ABCDEFGHIJ/agent.99"},
                   {"SSH_AUTH_SOCK", "+/tmp/ssh-ABCDEFGHIJ/agent.99"}})
                .connection_sockets.value(),
            Sockets{});
  // PAM or SetEnv came after sshd.
  EXPECT_EQ(Parse({{"initial", "+/run/user/1000/keyring/ssh"}})
                .connection_sockets.value(),
            Sockets{kSocket});
  // From 10.1 on, and dropbear.
  for (const std::string socket : {"/home/dave/.ssh/agent/s.AbC.sshd.xYz",
                                   "/tmp/dropbear-00000001/auth-0000002-7"}) {
    EXPECT_EQ(Parse({{"sockets", ""}, {"initial", "+" + socket}})
                  .connection_sockets.value(),
              Sockets{socket});
    // ... and nothing to go by but the shell.
    EXPECT_EQ(Parse({{"sockets", ""},
                     {"initial", "?there is no /proc"},
                     {"SSH_AUTH_SOCK", "+" + socket}})
                  .connection_sockets.value(),
              Sockets{socket});
  }
}

// OpenSSH 9.8 and later: the session has a program of its own.
TEST(ParseProbe, KnowsEveryServerByItsName) {
  for (const std::string name : {"sshd", "sshd-session", "dropbear"})
    EXPECT_TRUE(Parse({{"ancestors", "8+sh\n7-" + name + "\n"},
                       {"sockets", ""},
                       {"initial", "+/elsewhere"}})
                    .connection_sockets.known())
        << name;
  EXPECT_EQ(Parse({{"ancestors", "8+sh\n7-tmux: server\n"},
                   {"sockets", ""},
                   {"initial", "+/elsewhere"}})
                .connection_sockets.reason(),
            "no sshd is seen above the shell");
}

TEST(ParseProbe, KnowsThatSshdMadeNoSocket) {
  EXPECT_EQ(Parse({{"sockets", ""}, {"initial", "-"}, {"SSH_AUTH_SOCK", "-"}})
                .connection_sockets.value(),
            Sockets{});
  // A younger connection's socket in ~/.ssh/agent can't be told from ours.
  const Side younger =
      Parse({{"sockets", ""},
             {"initial", "+/elsewhere"},
             {"others", "+/home/dave/.ssh/agent/s.AbC.sshd.xYz\n/tmp/x"}});
  EXPECT_FALSE(younger.connection_sockets.known());
  EXPECT_EQ(younger.younger_sockets,
            (Sockets{"/home/dave/.ssh/agent/s.AbC.sshd.xYz", "/tmp/x"}));
  EXPECT_EQ(Parse({{"sockets", ""}, {"initial", "+/elsewhere"}})
                .connection_sockets.value(),
            Sockets{});
}

TEST(ParseProbe, LeavesOutADeadSocketWithTheNumberOfThisConnection) {
  const Side side =
      Parse({{"initial", "-"}, {"SSH_AUTH_SOCK", "-"}},
            {{"agent", kSocket},
             {"kind", "SeO"},
             {"asked", "ssh-add"},
             {"answer", "Error connecting to agent: Connection refused\n=2"}});
  EXPECT_EQ(side.connection_sockets.value(), Sockets{});
}

TEST(ParseProbe, KeepsReasons) {
  const Side side = Parse({{"initial", "?there is no /proc"},
                           {"SSH_CONNECTION", "-"},
                           {"boot", ""},
                           {"uid", "x"},
                           {"identity", "?127"},
                           {"others", "?"},
                           {"sshd_config", "?"}});
  EXPECT_EQ(side.initial_auth_sock.reason(), "there is no /proc");
  EXPECT_EQ(side.identity_agent.reason(), "there is no ssh");
  EXPECT_EQ(side.server_config.reason(),
            "/etc/ssh/sshd_config can not be read there");
  EXPECT_EQ(Parse({{"sshd_config", ""}}).server_config.reason(),
            "there is no /etc/ssh/sshd_config");
  EXPECT_EQ(Parse({{"identity", "?255"}}).identity_agent.reason(),
            "ssh -G ended with status 255 there");
  EXPECT_FALSE(Parse({{"initial", "?"}}).initial_auth_sock.known());
  EXPECT_EQ(Parse({{"initial", "+/x"}, {"sockets", ""}, {"others", "?"}})
                .connection_sockets.reason(),
            "there is no find");
  EXPECT_FALSE(side.boot_id.known());
  EXPECT_FALSE(side.uid.known());
  EXPECT_FALSE(side.ssh_connection.known());
}

TEST(ParseProbe, BringsLineFeedsBack) {
  EXPECT_EQ(Parse({{"initial", "+/a\1b"}}).initial_auth_sock.value(), "/a\nb");
}

TEST(ParseProbe, RefusesWhatIsNoAnswer) {
  for (const std::string& output :
       {std::string(), std::string("none"), std::string("xyz"),
        std::string("6"), std::string("6e6f"), std::string(1000, '0'),
        std::string("\0\xff\n", 3), Encode({{"end", "x"}, {"more", ""}}),
        Encode({{"uid", "0"}}), Encode({{"end", ""}}).substr(0, 8)}) {
    const Side side = ParseProbe(output);
    EXPECT_FALSE(side.auth_sock.known());
    EXPECT_FALSE(side.auth_sock.pending());
    EXPECT_FALSE(side.connection_sockets.pending());
    EXPECT_FALSE(side.startup_lines.pending());
    EXPECT_TRUE(side.agents.empty());
  }
  EXPECT_NE(ParseProbe("none").uid.reason().find("no od"), std::string::npos);
}

TEST(ParseProbe, SurvivesEveryTruncation) {
  const std::string whole =
      Encode({{"agent", kSocket},
              {"kind", "LSeO"},
              {"asked", "ssh-add"},
              {"answer", "ssh-ed25519 AAAA\n=0"},
              {"SSH_AUTH_SOCK", "+" + kSocket},
              {"lines", "/etc/ssh/sshd_config:3:Match User x\n"},
              {"end", ""}});
  EXPECT_TRUE(ParseProbe(whole).auth_sock.known());
  for (std::size_t size = 0; size + 2 < whole.size(); ++size)
    EXPECT_FALSE(ParseProbe(whole.substr(0, size)).auth_sock.known()) << size;
}

TEST(ParseProbe, SurvivesGarbage) {
  const std::string keys[] = {"agent", "kind",      "link",    "entry",
                              "asked", "answer",    "denied",  "SSH_AUTH_SOCK",
                              "lines", "context",   "initial", "home",
                              "shell", "ancestors", "sockets", "others"};
  const std::string values[] = {
      "",
      "/x",
      "SO",
      "=0",
      "ssh-add",
      "perl",
      "=",
      "+",
      "-",
      "?",
      "+/x",
      "zsh",
      "/x:1:",
      "/x:99999999999:y",
      "drwx",
      "drwx------ 1 2 3",
      " - - ",
      "00 00 00 05 0c 3d 30",
      "ssh-rsa AAAAB3NzaC1yc2E= x\n=0",
      "/etc/ssh/sshd_config:1:include /etc/ssh/sshd_config /x\n"
      "/etc/ssh/sshd_config:2:Include=*\n/etc/ssh/x:1:include *",
      ":::::",
      "\xff\xfe\n\x01",
      std::string(60'000, 'a')};
  unsigned seed = 7;
  const auto random = [&](std::size_t below) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 10) % below;
  };
  for (int round = 0; round < 100; ++round) {
    Records records;
    for (std::size_t i = random(30); i > 0; --i)
      records.emplace_back(keys[random(std::size(keys))],
                           values[random(std::size(values))]);
    records.emplace_back("end", "");
    ParseProbe(Encode(records));
  }
}

TEST(ParseProbe, BoundsTheNumberOfAgents) {
  Records agents;
  for (int i = 0; i < 1000; ++i)
    agents.insert(agents.end(),
                  {{"agent", "/" + std::to_string(i)}, {"kind", "de"}});
  EXPECT_LE(Parse({}, agents).agents.size(), 256U);
}

std::string Describe(const std::vector<ServerConfigLine>& lines) {
  std::string text;
  for (const ServerConfigLine& line : lines)
    text += line.file.substr(line.file.rfind('/') + 1) + ":" +
            std::to_string(line.line) + " " + line.text +
            (line.match.empty() ? "" : " [" + line.match + "]") + "\n";
  return text;
}

TEST(ServerConfig, NamesFileLineAndMatch) {
  EXPECT_EQ(
      Describe(ParseServerConfig(ReadFileLines(
          "/etc/ssh/sshd_config:12:Include /etc/ssh/sshd_config.d/*.conf\n"
          "/etc/ssh/sshd_config:87:  AllowAgentForwarding yes\n"
          "/etc/ssh/sshd_config:90:Match User deploy\n"
          "/etc/ssh/sshd_config:91:\tallowagentforwarding=no\n"
          "/etc/ssh/sshd_config:92:Include other.conf\n"
          "/etc/ssh/sshd_config:95:Match all\n"
          "/etc/ssh/sshd_config:96:DisableForwarding no\n"
          "/etc/ssh/sshd_config.d/50-b.conf:1:DisableForwarding yes\n"
          "/etc/ssh/sshd_config.d/10-a.conf:1:Match Group x\n"
          "/etc/ssh/sshd_config.d/10-a.conf:2:AllowAgentForwarding no\n"
          "/etc/ssh/ssh_config:3:Match host y\n"
          "/etc/ssh/other.conf:5:AllowAgentForwarding yes\n"))),
      "10-a.conf:2 AllowAgentForwarding no [Match Group x]\n"
      "50-b.conf:1 DisableForwarding yes\n"
      "sshd_config:87 AllowAgentForwarding yes\n"
      "sshd_config:91 allowagentforwarding=no [Match User deploy]\n"
      "other.conf:5 AllowAgentForwarding yes [Match User deploy]\n"
      "sshd_config:96 DisableForwarding no [Match all]\n");
}

TEST(ServerConfig, EndsWhereFilesIncludeEachOther) {
  std::string text;
  for (int i = 0; i < 50; ++i)
    text += "/etc/ssh/sshd_config:" + std::to_string(i) +
            ":Include /etc/ssh/a\n/etc/ssh/a:" + std::to_string(i) +
            ":Include /etc/ssh/sshd_config\n";
  EXPECT_TRUE(ParseServerConfig(ReadFileLines(text)).empty());
}

}  // namespace
}  // namespace agentdoctor
