// Facts of an ordinary working setup, to be broken one fact at a time.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

#include "agentdoctor/check.h"
#include "agentdoctor/facts.h"
#include "diagnose.h"
#include "examine.h"

namespace agentdoctor {

inline constexpr std::int64_t kNow = 1795255200;  // 2026-11-21 10:00:00 UTC
inline constexpr std::int64_t kDay = 86400;
inline const std::string kAgentPath = "/run/user/1000/agent.sock";
inline const std::string kFarSocket = "/tmp/ssh-abcdefghij/agent.4242";

inline Identity Key(const std::string& name) {
  return {.type = "ssh-ed25519",
          .fingerprint = "SHA256:" + name,
          .comment = name + "@laptop"};
}

inline Agent LiveAgent(const std::string& path,
                       const std::vector<std::string>& keys) {
  Agent agent{.path = path,
              .state = AgentState::kAnswered,
              .owner = 1000,
              .mode = 0600,
              .query = ExtensionAnswer::kFailure,
              .session_bind = ExtensionAnswer::kFailure,
              .asked_with = "agent protocol"};
  for (const std::string& key : keys) agent.identities.push_back(Key(key));
  return agent;
}

inline Agent DeadAgent(const std::string& path, AgentState state) {
  Agent agent = LiveAgent(path, {});
  agent.state = state;
  return agent;
}

inline ConfigLine Line(int line, const std::string& text,
                       const std::string& scope = "Host gitlab-runner",
                       const std::string& file = "/home/dave/.ssh/config") {
  return {.file = file,
          .line = line,
          .text = text,
          .scope = scope,
          .scope_line = scope.empty() ? 0 : 1,
          .scope_file = file};
}

inline ConfigValue Value(const std::string& value) {
  return {.values = {value}, .origin = ConfigOrigin::kDefault};
}

inline Facts HealthyFacts() {
  Facts facts;
  facts.request.destination = "gitlab-runner";
  facts.collected = kNow;
  facts.duration_ms = 400;

  Side& near = facts.near;
  near.name = "laptop";
  near.uid = 1000;
  near.boot_id = std::string("near-boot");
  near.shell = std::string("/bin/zsh");
  near.auth_sock = std::optional<std::string>(kAgentPath);
  near.agents = {LiveAgent(kAgentPath, {"work", "home"})};

  Link& link = facts.link;
  link.client = "openssh";
  link.version = "OpenSSH_9.2p1";
  ClientConfig config;
  config.values = {
      {"hostname", Value("10.0.0.5")},
      {"port", Value("22")},
      {"user", Value("dave")},
      {"forwardagent", Value("yes")},
      {"controlmaster", Value("auto")},
      {"addkeystoagent", Value("false")},
      {"controlpath", Value("/home/dave/.ssh/sockets/dave@10.0.0.5:22")}};
  config.files = {{"/home/dave/.ssh/config", kNow - 30 * kDay},
                  {"/etc/ssh/ssh_config", kNow - 300 * kDay}};
  config.named = true;
  config.forward_agent = true;
  config.forward_agent_line = Line(6, "ForwardAgent yes");
  link.config = config;
  const AgentChoice environment{.source = AgentSource::kEnvironment,
                                .text = "SSH_AUTH_SOCK",
                                .path = kAgentPath};
  link.forwarded = environment;
  link.primary = environment;
  link.sharing =
      Sharing{.control_path = "/home/dave/.ssh/sockets/dave@10.0.0.5:22",
              .control_template = "~/.ssh/sockets/%r@%h:%p",
              .control_master = "auto",
              .control_persist = "600",
              .line = Line(20, "ControlPath ~/.ssh/sockets/%r@%h:%p", "Host *"),
              .path_limit = 90,
              .directory = {.path = "/home/dave/.ssh/sockets",
                            .exists = true,
                            .owner = 1000,
                            .mode = 0700},
              .master = {.host = "gitlab-runner",
                         .path = "/home/dave/.ssh/sockets/dave@10.0.0.5:22"}};
  Session session{.end = SessionEnd::kProbed};
  session.transcript.server_version = "OpenSSH_9.2p1 Debian-2";
  session.transcript.through_master = false;
  session.transcript.forwarding_requested = true;
  session.transcript.key_options = {
      {.source = "/home/dave/.ssh/authorized_keys:1",
       .options = "agent-forwarding port-forwarding pty user-rc x11-forwarding",
       .agent_forwarding = true}};
  session.transcript.accepted_key = "ED25519 SHA256:work agent";
  session.transcript.auth_method = "publickey";
  session.transcript.authenticated = true;
  link.session = session;
  link.control = NotNeeded{"the session was a fresh login, its own control"};

  Side& far = facts.far;
  far.name = "runner";
  far.uid = 1000;
  far.boot_id = std::string("far-boot");
  far.shell = std::string("/bin/bash");
  far.auth_sock = std::optional<std::string>(kFarSocket);
  far.initial_auth_sock = std::optional<std::string>(kFarSocket);
  far.ssh_connection = std::string("10.0.0.9 50000 10.0.0.5 22");
  far.connection_sockets = std::vector<std::string>{kFarSocket};
  far.agents = {LiveAgent(kFarSocket, {"work", "home"})};
  far.agents.front().asked_with = "ssh-add";
  far.startup_lines = std::vector<StartupLine>{};
  far.server_config = Unknown{"/etc/ssh/sshd_config can not be read there"};
  far.identity_agent = std::string();
  far.long_lived = LongLived{};

  facts.request.to = {"git@gitlab.example"};
  NextHop hop{.destination = "git@gitlab.example",
              .version = "OpenSSH_9.2p1",
              .agent_keys = 2,
              .server_version = "OpenSSH_9.9",
              .authenticated = true,
              .auth_method = "publickey",
              .user = "git"};
  hop.offered = {{.type = "ED25519",
                  .fingerprint = "SHA256:work",
                  .file = "work",
                  .from_agent = true,
                  .accepted = true}};
  facts.next_hops = std::vector<NextHop>{hop};
  return facts;
}

/// The session goes through a live master, and all is well.
inline Facts SharedFacts() {
  Facts facts = HealthyFacts();
  Master& master = facts.link.sharing.get()->master;
  master.state = MasterState::kAlive;
  master.detail = "Master running (pid=6192)";
  master.pid = 6192;
  master.started = kNow - 3 * kDay;
  master.attached_clients = 1;
  master.forwardings = std::vector<std::string>{};
  master.command_line = Unknown{"it was overwritten by the master's title"};
  master.foreground = false;
  master.socket_owner = 1000;
  Transcript& transcript = facts.link.session.get()->transcript;
  transcript = {};
  transcript.through_master = true;
  transcript.forwarding_requested =
      Unknown{"a session through a master does not say"};
  facts.link.control = NotNeeded{"the session through the master has an agent"};
  return facts;
}

/// A control login that was granted forwarding on the same machine.
inline Control GrantedControl(const Facts& facts) {
  Control control;
  control.logged_in = true;
  control.transcript.server_version = "OpenSSH_9.2p1 Debian-2";
  control.transcript.authenticated = true;
  control.transcript.through_master = false;
  control.granted = true;
  control.canary = "SHA256:canary";
  Side far = facts.far;
  const std::string socket = "/tmp/ssh-canarycana/agent.5000";
  far.auth_sock = std::optional<std::string>(socket);
  far.initial_auth_sock = std::optional<std::string>(socket);
  far.connection_sockets = std::vector<std::string>{socket};
  far.agents = {LiveAgent(socket, {"canary"})};
  control.far = far;
  return control;
}

inline void RemoveFarAgent(Facts& facts) {
  facts.far.auth_sock = std::optional<std::string>();
  facts.far.initial_auth_sock = std::optional<std::string>();
  facts.far.connection_sockets = std::vector<std::string>{};
  facts.far.agents.clear();
}

/// Story 1: the master was made without forwarding, the control is granted it.
inline Facts StaleMasterFacts() {
  Facts facts = SharedFacts();
  RemoveFarAgent(facts);
  facts.link.control = GrantedControl(facts);
  return facts;
}

/// No session came about.
inline Facts FaultFacts(const std::string& code, const std::string& message) {
  Facts facts = HealthyFacts();
  Session session{.end = SessionEnd::kFailed,
                  .fault = TransportFault{code, message}};
  session.transcript.messages = {message};
  facts.link.session = session;
  facts.far = {};
  return facts;
}

inline const Check& CheckNamed(const std::string& id) {
  for (const Check& check : AllChecks())
    if (check.id == id) return check;
  throw std::invalid_argument(id);
}

/// The answer of one check, as Examine() gets it.
inline Answer Ask(const std::string& id, const Facts& facts) {
  const Check check = CheckNamed(id);
  return Examine(facts, {&check, 1}).front().answer;
}

inline std::vector<std::string> Codes(const Answer& answer) {
  std::vector<std::string> codes;
  for (const Finding& finding : answer.findings) codes.push_back(finding.code);
  return codes;
}

inline const Finding* Find(const Answer& answer, const std::string& code) {
  for (const Finding& finding : answer.findings)
    if (finding.code == code) return &finding;
  return nullptr;
}

inline HostReport DiagnoseFacts(const Facts& facts) {
  return Diagnose(facts, Examine(facts, AllChecks()));
}

inline const ReportedFinding* Find(const HostReport& report,
                                   const std::string& code) {
  for (const ReportedFinding& reported : report.findings)
    if (reported.finding.code == code) return &reported;
  return nullptr;
}

inline const CheckResult& ResultOf(const HostReport& report,
                                   const std::string& id) {
  for (const CheckResult& result : report.checks)
    if (result.id == id) return result;
  throw std::invalid_argument(id);
}

/// Everything that a finding says, to look for a path or a pid in.
inline std::string Text(const Finding& finding) {
  std::string text = finding.summary + "\n" + finding.explanation + "\n";
  for (const Evidence& evidence : finding.evidence)
    text += evidence.source + ": " + evidence.text + " " + evidence.file + ":" +
            std::to_string(evidence.line) + "\n";
  return text;
}

inline bool Says(const Finding& finding, const std::string& words) {
  return Text(finding).find(words) != std::string::npos;
}

}  // namespace agentdoctor
