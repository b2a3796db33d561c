// Reports for the renderers' tests.
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/report.h"

namespace agentdoctor {

/// The stale master of `gitlab-runner`.
inline HostReport StaleMaster() {
  HostReport host;
  host.host = "gitlab-runner";
  host.client = "openssh";
  host.client_version = "OpenSSH_9.2p1";
  host.verdict = Verdict::kBroken;
  host.root_cause = RootCause{
      "mux-master-without-forwarding", "control-master",
      "the running master connection (pid 6192, 3 days old) forwards no agent"};
  host.checks = {
      {"local-agent", Stage::kAgent, "an agent holds keys", Status::kPass,
       "1 identity at /tmp/ssh-vSgJ6k9yqQnI/agent.6031 (SSH_AUTH_SOCK)"},
      {"forward-agent", Stage::kClient, "forwarding is asked for",
       Status::kPass, "ForwardAgent yes (/home/dave/.ssh/config:6)"},
      {"control-master", Stage::kSharing, "the master forwards the agent",
       Status::kFail,
       "the running master connection (pid 6192, 3 days old) forwards no "
       "agent"},
      {"connection", Stage::kConnection, "the host can be reached",
       Status::kPass, "logged in, through the master"},
      {"server-policy", Stage::kServer, "the server allows forwarding",
       Status::kPass, "a fresh login is granted forwarding"},
      {"remote-socket", Stage::kSession, "the agent answers in the session",
       Status::kSkip, "SSH_AUTH_SOCK is not set"}};
  Finding cause;
  cause.code = "mux-master-without-forwarding";
  cause.summary =
      "the running master connection (pid 6192, 3 days old) forwards no agent";
  cause.explanation =
      "It was made before ForwardAgent was asked for, and every session goes "
      "through it. A fresh login to the same machine is granted an agent.";
  cause.evidence = {
      {"ssh -O check gitlab-runner", "Master running (pid=6192)", "", 0},
      {"ssh_config", "ForwardAgent yes", "/home/dave/.ssh/config", 6}};
  Fix stop;
  stop.title =
      "Let the old master go, so that the next connection makes a new one";
  stop.safety = Safety::kSafe;
  stop.commands = {{"ssh", "-O", "stop", "gitlab-runner"}};
  stop.action = Action::kStopMaster;
  stop.target = "/home/dave/.ssh/sockets/dave@gitlab-runner:22";
  cause.fixes = {stop};
  host.findings = {{cause, "control-master", Stage::kSharing, ""}};
  host.duration_ms = 398;
  return host;
}

/// The same host, repaired.
inline HostReport RepairedMaster() {
  HostReport host = StaleMaster();
  host.fix_requested = true;
  host.before = Before{host.verdict, host.root_cause};
  host.repairs = {
      {"mux-master-without-forwarding",
       "Let the old master go, so that the next connection makes a new one",
       {"ssh -O stop gitlab-runner"},
       RepairStatus::kApplied,
       "its open sessions go on; it ends with the last one"}};
  host.verdict = Verdict::kHealthy;
  host.root_cause.reset();
  host.findings.clear();
  host.checks[2].status = Status::kPass;
  host.checks[2].summary = "no master is running";
  host.checks[5].status = Status::kPass;
  host.checks[5].summary = "1 identity behind /tmp/ssh-XXXXg1kZ3n/agent.7012";
  return host;
}

inline HostReport HealthyHost() {
  HostReport host = RepairedMaster();
  host.host = "web01";
  host.fix_requested = false;
  host.before.reset();
  host.repairs.clear();
  return host;
}

/// Works, but only as long as the old master lives.
inline HostReport DegradedHost() {
  HostReport host = HealthyHost();
  host.host = "dave@web-02.example.com";
  host.verdict = Verdict::kDegraded;
  Finding warning;
  warning.code = "works-only-through-master";
  warning.severity = Severity::kWarning;
  warning.summary =
      "forwarding works only as long as the master (pid 812) lives: "
      "forwarding-not-requested for a new connection";
  warning.explanation = "The configuration has changed since it was made.";
  warning.evidence = {{"ssh -G web-02.example.com", "forwardagent no", "", 0}};
  Fix lines;
  lines.title = "Ask for forwarding to this host";
  lines.edits = {{"/home/dave/.ssh/config", 1,
                  "Host web-02.example.com\n    ForwardAgent yes\n"}};
  warning.fixes = {lines};
  Finding other;
  other.code = "agent-elsewhere";
  other.severity = Severity::kInfo;
  other.summary = "another agent with 2 identities at /run/user/1000/gcr/ssh";
  host.checks[1].status = Status::kWarn;
  host.checks[1].summary = "ForwardAgent no, by default";
  host.checks[2].status = Status::kWarn;
  host.checks[2].summary = warning.summary;
  host.root_cause = RootCause{warning.code, "control-master", warning.summary};
  host.findings = {{warning, "control-master", Stage::kSharing, ""},
                   {other, "local-agent", Stage::kAgent, ""}};
  return host;
}

/// A transport fault, with a symptom on the near side.
inline HostReport UnreachableHost() {
  HostReport host = HealthyHost();
  host.host = "db01";
  host.verdict = Verdict::kUndetermined;
  Finding fault;
  fault.code = "connection-timeout";
  fault.summary = "no answer from db01 port 22 within 10 seconds";
  fault.evidence = {{"ssh db01",
                     "ssh: connect to host db01 port 22: Connection timed out",
                     "", 0}};
  host.root_cause = RootCause{fault.code, "connection", fault.summary};
  host.checks[3].status = Status::kFail;
  host.checks[3].summary = fault.summary;
  for (std::size_t i : {4u, 5u}) {
    host.checks[i].status = Status::kSkip;
    host.checks[i].summary = "no session came about";
  }
  host.findings = {{fault, "connection", Stage::kConnection, ""}};
  return host;
}

inline Report ReportOf(std::vector<HostReport> hosts) {
  Report report;
  report.command = "run";
  report.started = 1795255200;  // 2026-11-21T10:00:00Z
  report.duration_ms = 412;
  report.hosts = std::move(hosts);
  return report;
}

}  // namespace agentdoctor
