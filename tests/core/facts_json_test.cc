#include "facts_json.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <stdexcept>

namespace agentdoctor {
namespace {

using Json = nlohmann::json;

ConfigLine Line(int line) {
  return {"/home/dave/.ssh/config", line, "ForwardAgent yes",
          "Host gitlab-*",          3,    "/home/dave/.ssh/main"};
}

Agent SomeAgent() {
  Agent agent;
  agent.path = "/tmp/ssh-XXXXvSgJ6k9yqQnI/agent.6031";
  agent.link_target = "/tmp/elsewhere";
  agent.state = AgentState::kAnswered;
  agent.detail = "in its words";
  agent.owner = 1000;
  agent.mode = 0600;
  agent.denied_by = "/root (root, 0700)";
  agent.product = "gpg-agent";
  agent.other_host = true;
  agent.identities = {
      {"ssh-ed25519", "SHA256:abc", "dave@laptop", {}},
      {"ssh-ed25519-cert-v01@openssh.com", "SHA256:def", "",
       Certificate{"dave", 5, std::uint64_t{18446744073709551615u}}}};
  agent.query = ExtensionAnswer::kExtensionFailure;
  agent.session_bind = ExtensionAnswer::kClosed;
  agent.asked_with = "agent protocol";
  return agent;
}

Side SomeSide() {
  Side side;
  side.name = "laptop";
  side.uid = 1000;
  side.boot_id = std::string("9e1f");
  side.shell = std::string("/bin/zsh");
  side.auth_sock = std::optional<std::string>("/tmp/agent");
  side.initial_auth_sock = std::optional<std::string>();
  side.ssh_connection = std::string("10.0.0.1 50000 10.0.0.2 22");
  side.connection_sockets = std::vector<std::string>{"/tmp/ssh-a/agent.7"};
  side.younger_sockets = {"/home/dave/.ssh/agent/s.AbC.sshd.xYz"};
  side.agents = {SomeAgent()};
  side.agents_not_asked = {{"/tmp/b", "no program can ask"}};
  side.environment_files = {
      {"/home/dave/.ssh/environment", 2, "/tmp/gone", AgentState::kRefused}};
  side.startup_lines = std::vector<StartupLine>{
      {"/home/dave/.zshenv", 4, "eval $(ssh-agent)", StartupScope::kInteractive,
       StartupEffect::kStartsAgent, true}};
  side.server_config = std::vector<ServerConfigLine>{{"/etc/ssh/sshd_config", 9,
                                                      "AllowAgentForwarding no",
                                                      "Match User dave"}};
  side.identity_agent = std::string("none");
  side.vscode_forwarding_off =
      EnvironmentFileLine{"/home/dave/.config/Code/User/settings.json", 12, "x",
                          AgentState::kDenied};
  Holder holder;
  holder.kind = HolderKind::kContainer;
  holder.name = "runner";
  holder.server = "docker";
  holder.pid = 77;
  holder.since = 1795000003;
  holder.auth_sock = "/tmp/gone";
  holder.destination = "/ssh-agent";
  holder.replaced = true;
  holder.count = 3;
  side.long_lived = LongLived{
      {holder}, {"/home/dave/.ssh/ssh_auth_sock"}, {"tmux did not answer"}};
  side.ancestors = {{4711, "tmux: server", std::optional<std::string>("/x")}};
  side.session_variables = {{"TMUX", "/tmp/tmux-1000/default,1,0"}};
  side.socket_connections = {{"/tmp/gone", "::1 5 ::1 22"}};
  side.git_remotes = {
      {"origin", "https://x", "/home/dave/x/.git/config", "plink"}};
  return side;
}

Master SomeMaster() {
  Master master;
  master.host = "gitlab-runner";
  master.path = "/home/dave/.ssh/cm/1";
  master.state = MasterState::kAlive;
  master.detail = "words";
  master.pid = 6192;
  master.started = 1795000000;
  master.attached_clients = 2;
  master.forwardings = std::vector<std::string>{"127.0.0.1:8080"};
  master.command_line = std::vector<std::string>{"ssh", "-M", "x"};
  master.command_text = "ssh -M x";
  master.foreground = true;
  master.socket_owner = 1000;
  master.socket_modified = 1795000001;
  master.newer_config = {{"/home/dave/.ssh/config", 1795000002}};
  return master;
}

Transcript SomeTranscript() {
  Transcript transcript;
  transcript.server_version = "OpenSSH_9.2p1";
  transcript.through_master = true;
  transcript.fallback = "Session open refused by peer";
  transcript.forwarding_requested = NotNeeded{"it went through a master"};
  transcript.forwarding_granted = true;
  transcript.key_options = {
      {"/root/.ssh/authorized_keys:3", "pty", true, true}};
  transcript.accepted_key = "ED25519 SHA256:abc agent";
  transcript.accepted_certificate = true;
  transcript.auth_method = "publickey";
  transcript.listener_failure = "Agent forwarding disabled: mkdtemp() failed";
  transcript.disabled_by_host_key = true;
  transcript.authenticated = true;
  transcript.asked_person = "Confirm user presence";
  transcript.messages = {"a", "b"};
  return transcript;
}

/// Every field differs from a new object's.
Facts EverythingKnown() {
  Facts facts;
  facts.request = {"gitlab-runner", "putty",      {"-p", "2222"}, "/opt/ssh",
                   "id.pub",        "SHA256:abc", true,           {"git@x"}};
  facts.via = {"bastion"};
  facts.collected = 1795255200;
  facts.duration_ms = 398;
  facts.interrupted = true;
  facts.here = true;
  facts.near = SomeSide();
  facts.far = SomeSide();

  ClientConfig config;
  config.error = ConfigError{"Bad configuration option: usekeychain",
                             "/home/dave/.ssh/config", 7};
  config.values["forwardagent"] = {
      {"yes"}, ConfigOrigin::kFile, Line(6), {Line(9)}, "two passes"};
  config.files = {{"/home/dave/.ssh/config", 1795000002}};
  config.named = true;
  config.other_aliases = {{"runner", Line(20)}};
  config.forward_agent = true;
  config.forward_agent_path = "$AGENT";
  config.forward_agent_line = Line(6);
  config.forward_agent_shadowed = {Line(30)};

  Link& link = facts.link;
  link.client = "openssh";
  link.version = "OpenSSH_9.2p1";
  link.config = config;
  link.forwarded =
      AgentChoice{AgentSource::kForwardAgent, "$AGENT", "/tmp/agent", Line(6)};
  link.primary = AgentChoice{AgentSource::kIdentityAgent, "none", {}, Line(7)};

  Sharing sharing;
  sharing.control_path = "/home/dave/.ssh/cm/1";
  sharing.control_template = "~/.ssh/cm/%p";
  sharing.control_master = "auto";
  sharing.control_persist = "yes";
  sharing.line = Line(8);
  sharing.path_limit = 90;
  sharing.directory = {"/home/dave/.ssh/cm", false, 1000, 0755};
  sharing.master = SomeMaster();
  sharing.jump_masters = {SomeMaster()};
  link.sharing = sharing;

  Session session;
  session.end = SessionEnd::kCutOff;
  session.fault = TransportFault{"connection-lost", "Broken pipe"};
  session.transcript = SomeTranscript();
  session.exit_status = 255;
  session.duration_ms = 12;
  session.output_bytes = 1 << 30;
  session.output_head = "Welcome";
  session.canary = "SHA256:canary";
  session.canary_asked = true;
  link.session = session;

  Control control;
  control.logged_in = true;
  control.fault = TransportFault{"proxy-failed", "expired"};
  control.transcript = SomeTranscript();
  control.granted = false;
  control.granted_shown_by = "the server made a socket";
  control.canary = "SHA256:can";
  control.far = SomeSide();
  control.duration_ms = 90;
  link.control = control;

  NextHop hop;
  hop.destination = "git@x";
  hop.not_tried = "no agent answers there";
  hop.config = {{"user", "git"}};
  hop.lines = {{"/etc/ssh/ssh_config", 3, "IdentitiesOnly yes", "", 0, ""}};
  hop.version = "OpenSSH_9.2p1";
  hop.fault = TransportFault{"authentication-failed", "Permission denied"};
  hop.agent_keys = 2;
  hop.offered = {{"ED25519", "SHA256:abc", "dave@x", true, true}};
  hop.server_version = "OpenSSH_9.9";
  hop.authenticated = true;
  hop.auth_method = "publickey";
  hop.user = "git";
  hop.greeting = "Hi dave!";
  hop.signing_failure = "agent refused operation";
  hop.master_alive = true;
  hop.messages = {"words"};
  facts.next_hops = std::vector<NextHop>{hop};
  return facts;
}

Recording EverythingRecorded() {
  Recording recording;
  recording.command = "here";
  recording.started = 1795255200;
  recording.duration_ms = 412;
  RecordedHost host;
  host.facts = EverythingKnown();
  host.before = EverythingKnown();
  host.before->far = Side{};
  host.repairs = {{"mux-socket-stale",
                   "Remove the socket",
                   {"rm x"},
                   RepairStatus::kFailed,
                   "no longer there"}};
  recording.hosts = {host, RecordedHost{}};
  return recording;
}

Facts RoundTrip(const Facts& facts) {
  Recording recording;
  recording.hosts.push_back({facts, {}, {}});
  return ReadRecording(WriteRecording(recording), "x").hosts.at(0).facts;
}

std::string ErrorOf(const std::string& text) {
  try {
    ReadRecording(text, "run.json");
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(Recording, ComesBackAsItWas) {
  const Recording recording = EverythingRecorded();
  EXPECT_EQ(ReadRecording(WriteRecording(recording), "x"), recording);
}

TEST(Recording, HasEveryFieldOfFacts) {
  std::ifstream header(AGENTDOCTOR_SOURCE_DIR "/include/agentdoctor/facts.h");
  const std::string text = WriteRecording(EverythingRecorded());
  const std::regex field(R"(^  [A-Za-z_:<>, ]+[ >]([a-z_]+) = )");
  int fields = 0;
  for (std::string line; std::getline(header, line);) {
    std::smatch match;
    if (!std::regex_search(line, match, field)) continue;
    ++fields;
    std::string name;
    for (const char c : match[1].str()) {
      if (!name.empty() && name.back() == '_')
        name.back() = static_cast<char>(c - 'a' + 'A');
      else
        name += c;
    }
    EXPECT_NE(text.find("\"" + name + "\":"), std::string::npos) << name;
  }
  EXPECT_GT(fields, 120);
}

TEST(Recording, LeavesOutWhatNobodyLookedFor) {
  Recording recording;
  recording.hosts.emplace_back();
  EXPECT_EQ(Json::parse(WriteRecording(recording)),
            Json::parse(R"({"factsVersion": 1, "hosts": [{}]})"));
}

TEST(Recording, TellsUnknownNotNeededAndPendingApart) {
  Facts facts;
  facts.near.uid = Unknown{"no permission"};
  facts.link.control = NotNeeded{"no master is running"};
  facts.near.auth_sock = std::optional<std::string>();
  const Facts read = RoundTrip(facts);
  EXPECT_EQ(read, facts);
  EXPECT_EQ(read.near.uid.reason(), "no permission");
  EXPECT_EQ(read.link.control.reason(),
            "not needed, because no master is running");
  EXPECT_TRUE(read.link.session.pending());
  ASSERT_TRUE(read.near.auth_sock.known());
  EXPECT_FALSE(read.near.auth_sock->has_value());
  EXPECT_TRUE(read.far.auth_sock.pending());
}

TEST(Recording, SaysSoInPlainJson) {
  Facts facts;
  facts.near.uid = 1000;
  facts.near.boot_id = Unknown{"no /proc"};
  facts.link.control = NotNeeded{"no master"};
  Recording recording;
  recording.hosts.push_back({facts, {}, {}});
  EXPECT_EQ(Json::parse(WriteRecording(recording))["hosts"][0]["facts"],
            Json::parse(R"({"near": {"uid": 1000,
                                     "bootId": {"unknown": "no /proc"}},
                            "link": {"control": {"notNeeded": "no master"}}})"));
}

TEST(Recording, MayHaveFieldsOfLaterReleases) {
  const Recording recording = ReadRecording(
      R"({"factsVersion": 1, "new": {}, "hosts": [{"facts": {"later": [1],
          "near": {"uid": 5, "x": null}}}]})",
      "x");
  EXPECT_EQ(recording.hosts.at(0).facts.near.uid.value(), 5);
  EXPECT_EQ(recording.command, "run");
}

TEST(Recording, KeepsHostileText) {
  Facts facts;
  facts.request.destination = std::string("\x1b[2J\0\"\\\n", 9);
  EXPECT_EQ(RoundTrip(facts), facts);
  facts.request.destination = "a\xff";
  EXPECT_EQ(RoundTrip(facts).request.destination, "a\xef\xbf\xbd");
}

TEST(Recording, NamesTheFileAndThePlaceOfAFault) {
  EXPECT_EQ(ErrorOf("{"), "run.json: no valid JSON at byte 2");
  EXPECT_EQ(ErrorOf("[]"),
            "run.json: factsVersion: missing: this is no recording");
  EXPECT_EQ(ErrorOf(R"({"factsVersion": 2})"),
            "run.json: factsVersion: recorded by another release of "
            "agentdoctor");
  EXPECT_EQ(ErrorOf(R"({"factsVersion": 1, "hosts": {}})"),
            "run.json: hosts: a list is expected");
  EXPECT_EQ(ErrorOf(R"({"factsVersion": 1, "hosts": [{}, {"facts": {"near":
                        {"agents": [{"state": "fine"}]}}}]})"),
            "run.json: hosts[1].facts.near.agents[0].state: unknown word "
            "\"fine\"");
  EXPECT_EQ(ErrorOf(R"({"factsVersion": 1, "hosts": [{"facts": {"near":
                        {"agents": [{"mode": 4294967296}]}}}]})"),
            "run.json: hosts[0].facts.near.agents[0].mode: the number is out "
            "of range");
  EXPECT_EQ(ErrorOf(R"({"factsVersion": 1, "hosts": [{"facts": {"near":
                        {"uid": "root"}}}]})"),
            "run.json: hosts[0].facts.near.uid: a whole number is expected");
  EXPECT_EQ(ErrorOf(R"({"factsVersion": 1, "hosts": [{"facts": {"link":
                        {"config": {"unknown": 1}}}}]})"),
            "run.json: hosts[0].facts.link.config.unknown: a string is "
            "expected");
  EXPECT_EQ(ErrorOf(R"({"factsVersion": 1, "hosts": [{"facts": {"link":
                        {"config": {"values": {"user": []}}}}}]})"),
            "run.json: hosts[0].facts.link.config.values.user: an object is "
            "expected");
}

TEST(Recording, SurvivesDeepNesting) {
  EXPECT_NE(ErrorOf(std::string(200000, '[')), "");
}

}  // namespace
}  // namespace agentdoctor
