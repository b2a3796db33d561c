// Does a login come about at all?
#include <algorithm>
#include <array>

#include "checks.h"
#include "path.h"
#include "putty.h"
#include "tsh.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

constexpr std::array<std::string_view, 15> kCodes = {
    "name-not-resolved",
    "connection-refused",
    "connection-timeout",
    "network-unreachable",
    "proxy-failed",
    "host-key-unknown",
    "host-key-changed",
    "authentication-failed",
    "interaction-needed",
    "protocol-mismatch",
    "ssh-not-found",
    "connection-lost",
    "host-unreachable-through-jump",
    "forwarding-disabled-by-host-key",
    "hosts-differ"};

/// What a transport fault means: "{}" stands for the destination.
struct Fault {
  std::string_view code;
  std::string_view summary;
  std::string_view explanation;
  std::string_view remedy;
};

constexpr std::array kFaults = {
    Fault{"name-not-resolved", "the name {} can't be resolved",
          "No Host line gives it a HostName either, or that one is wrong.",
          "Check the spelling, the network and the HostName in ~/.ssh/config"},
    Fault{"connection-refused", "{} refuses the connection",
          "The machine answers, but no ssh server listens on that port.",
          "Check the port, and that the server runs"},
    Fault{"connection-timeout", "{} does not answer",
          "A firewall or a machine that is down says nothing.",
          "Check the network, the address and the port"},
    Fault{"network-unreachable", "there is no way to {} from here",
          "This machine's network has no route to that address.",
          "Check the network or the VPN"},
    Fault{"proxy-failed",
          "the ProxyCommand or jump host on the way to {} "
          "failed",
          "ssh got no connection from it.", "See what the proxy says"},
    Fault{"host-key-unknown", "the host key of {} is not known",
          "ssh asks a person before it trusts a new host, and nobody was there "
          "to answer.",
          "Log in once by hand and compare the fingerprint"},
    Fault{"host-key-changed", "the host key of {} has changed",
          "The machine was installed anew, or somebody is in between.",
          "Find out why it changed; only then remove the old key"},
    Fault{"authentication-failed", "{} accepts none of your keys",
          "The server knows none of the keys that were offered for this user.",
          "See which keys are offered, and for which user"},
    Fault{"interaction-needed", "logging in to {} needs a person",
          "A password, a passphrase, a touch or a second factor was asked for, "
          "and nobody was there to answer.",
          "Let ssh ask you"},
    Fault{"protocol-mismatch",
          "what answers at {} does not speak ssh as this "
          "client does",
          "It is no ssh server, or both sides have no algorithm in common.",
          "Check the port, and the algorithms that ssh's message names"},
    Fault{"ssh-not-found", "there is no ssh program to examine {} with", "",
          "Install OpenSSH's client, or name the program with --ssh"},
    Fault{"connection-lost", "the connection to {} broke off", "",
          "See how far ssh gets"},
    Fault{"host-unreachable-through-jump", "the jump host can't reach {}",
          "The login to the jump host worked; from there on the way is closed.",
          "Check the name and the port as seen from the jump host"}};

std::string Fill(std::string_view text, const std::string& destination) {
  std::string filled(text);
  if (const std::size_t at = filled.find("{}"); at != std::string::npos)
    filled.replace(at, 2, destination);
  return filled;
}

/// Of ssh's long warning, the lines that say which key it is about.
bool SaysWhichKey(const std::string& message) {
  return message.find("SHA256:") != std::string::npos ||
         message.starts_with("The fingerprint for") ||
         message.find("Offending") != std::string::npos;
}

/// The lines of the configuration that led to this address, this way.
void AddLines(const Facts& facts, Finding& finding) {
  const ClientConfig* config = facts.link.config.get();
  if (!config) return;
  std::vector<std::string> keywords;
  if (finding.code == "name-not-resolved")
    keywords = {"hostname"};
  else if (finding.code == "connection-refused" ||
           finding.code == "connection-timeout" ||
           finding.code == "network-unreachable")
    keywords = {"hostname", "port"};
  else if (finding.code == "proxy-failed" ||
           finding.code == "host-unreachable-through-jump")
    keywords = {"proxycommand", "proxyjump"};
  for (const std::string& keyword : keywords)
    if (const auto value = config->values.find(keyword);
        value != config->values.end() && value->second.winner)
      finding.evidence.push_back(AsEvidence(*value->second.winner));
}

/// Takes the client's "on the way through HOSTS: " from the front of a message
/// and returns the hosts: what failed is theirs, and not the destination's.
std::string TakeWay(std::string& message) {
  constexpr std::string_view kWay = "on the way through ";
  const std::size_t end = message.find(": ");
  if (!message.starts_with(kWay) || end == std::string::npos) return {};
  std::string hosts = message.substr(kWay.size(), end - kWay.size());
  message.erase(0, end + 2);
  return hosts;
}

/// The server's banner came, and then nothing more.
bool Greeted(const Facts& facts) {
  const Session* session = facts.link.session.get();
  return session && !session->transcript.server_version.empty();
}

Finding FromFault(const Facts& facts, const TransportFault& fault,
                  const std::vector<std::string>& messages) {
  const auto known = std::ranges::find(kFaults, fault.code, &Fault::code);
  const Fault& meaning =
      known != kFaults.end()
          ? *known
          : *std::ranges::find(kFaults, "connection-lost", &Fault::code);
  const std::string& host = facts.request.destination;
  std::string first = fault.message.substr(0, fault.message.find('\n'));
  while (!first.empty() &&
         (first.back() == '.' || first.back() == ' ' || first.back() == '\r'))
    first.pop_back();
  const std::string way = TakeWay(first);
  Finding finding{
      .code = std::string(meaning.code),
      .summary = Fill(meaning.summary,
                      way.empty() ? host : way + ", on the way to " + host),
      .explanation = std::string(meaning.explanation)};
  bool remedy_is_there = way.empty();
  if (meaning.code == "host-unreachable-through-jump" && !way.empty()) {
    // "channel 0: open failed" are the words of an ssh that had logged in
    // there.
    remedy_is_there = first.find("open failed") != std::string::npos;
    if (remedy_is_there) {
      finding.summary = way + " can't reach " + host;
    } else {
      finding.summary = way + ", on the way to " + host + ", can't be reached";
      finding.explanation = "So nothing is known of " + host + " itself.";
    }
  }
  if (meaning.code == "connection-timeout" && Greeted(facts)) {
    finding.summary = host + " greets and then falls silent";
    finding.explanation =
        "The machine may be overloaded, or the network loses large packets.";
  } else if (meaning.code == "connection-timeout" &&
             first.find("banner exchange") != std::string::npos) {
    finding.explanation =
        "Something accepts the connection there, but no ssh server greets: it "
        "is overloaded, or another program listens on that port.";
  }
  const bool no_libssh =
      meaning.code == "ssh-not-found" && facts.link.client == "libssh";
  if (no_libssh) finding.summary = "libssh can't be loaded here";
  const Session* session = facts.link.session.get();
  const bool too_many =
      first.find("Too many authentication failures") != std::string::npos;
  const bool no_session = session && session->transcript.authenticated &&
                          meaning.code == "connection-lost" &&
                          first.find("open failed") != std::string::npos;
  // Some servers end the connection at a command that is too long for them.
  const bool at_command = session && session->transcript.authenticated &&
                          meaning.code == "connection-lost" && !no_session;
  const bool key_refused =
      meaning.code == "authentication-failed" && !too_many &&
      std::ranges::any_of(messages, [](const std::string& message) {
        return message.starts_with("key offered and refused: ");
      });
  const bool agent_refused =
      std::ranges::any_of(messages, [](const std::string& message) {
        return message.find("agent refused operation") != std::string::npos;
      });
  const bool takes_password =
      first.find("password") != std::string::npos ||
      first.find("keyboard-interactive") != std::string::npos;
  if (too_many) {
    finding.summary = host + " hung up before every key was tried";
    finding.explanation =
        "Each key that is offered counts as a failure, and MaxAuthTries in "
        "sshd_config (6, unless set) ends the login. The right key may be "
        "among those that were not offered any more.";
  } else if (no_session) {
    finding.summary = host + " lets you in, and then refuses a session";
    finding.explanation =
        "MaxSessions 0 in sshd_config, or a server that is meant for "
        "connections forwarded through it alone.";
  } else if (at_command) {
    finding.summary = host + " lets you in, and then hangs up";
    finding.explanation =
        "The connection broke off when the probe, a command of some thousand "
        "characters, was sent or ran. A network may do that; and there are "
        "servers that hang up at commands which are too long for them "
        "(dropbear before 2015.68) or that take none.";
    const std::string& version = session->transcript.server_version;
    if (!version.empty())
      finding.evidence.push_back(
          {.source = SshSource(facts, "-v"),
           .text = "remote software version " + version});
  } else if (agent_refused) {
    finding.explanation =
        "The agent did not sign with the key that was to be used: it asks for "
        "a confirmation (ssh-add -c) that nobody gave, or it can't use it.";
  } else if (key_refused) {
    finding.explanation =
        "The server knows none of the keys that were offered for this user, or "
        "does not let the user in.";
    if (takes_password)
      finding.explanation += " It would still take a password.";
  }
  if (!first.empty() && !first.starts_with("no answer within"))
    finding.summary += ": " + first;
  if (!fault.message.empty())
    finding.evidence.push_back(
        {.source = LoginSource(facts), .text = fault.message});
  constexpr std::size_t kEnough = 5;
  for (const std::string& message : messages)
    if (fault.message.find(message) == std::string::npos &&
        !(too_many && message.starts_with("Disconnected from ")) &&
        finding.evidence.size() < kEnough &&
        (meaning.code != "host-key-changed" || SaysWhichKey(message)))
      finding.evidence.push_back(
          {.source = LoginSource(facts), .text = message});
  AddLines(facts, finding);
  // The accepted key of a login that failed is one that could not be used.
  if (meaning.code == "interaction-needed")
    if (session && !session->transcript.accepted_key.empty())
      finding.evidence.push_back(
          {.source = LoginSource(facts, "-v"),
           .text = "Server accepts key: " + session->transcript.accepted_key});
  Fix fix{.title = remedy_is_there ? std::string(meaning.remedy)
                                   : "See how far ssh gets",
          .safety = Safety::kManual};
  std::vector<Fix> more;
  if (meaning.code == "host-key-unknown")
    fix.commands = {Ssh(facts)};
  else if (meaning.code == "host-key-changed" && way.empty()) {
    const ClientConfig* config = facts.link.config.get();
    const std::string name = config ? FirstValue(*config, "hostname") : "";
    const std::string port = config ? FirstValue(*config, "port") : "";
    const std::string machine = name.empty() ? host : name;
    fix.commands = {
        {"ssh-keygen", "-R",
         port.empty() || port == "22" ? machine : "[" + machine + "]:" + port}};
  } else if (meaning.code == "interaction-needed") {
    std::vector<std::string> again = Ssh(facts);
    again.front() = "agentdoctor";
    again.insert(again.begin() + 1, {"run", "--interactive"});
    fix.commands = {std::move(again)};
    if (fault.message.find("publickey") != std::string::npos)
      more.push_back({.title = "Or give the key to the agent beforehand",
                      .safety = Safety::kManual,
                      .commands = {{"ssh-add"}}});
  } else if (too_many && way.empty()) {
    fix = {.title =
               "Offer the right key alone: name it with IdentityFile, and "
               "offer no other",
           .safety = Safety::kManual,
           .commands = {
               Ssh(facts, {"-o", "IdentitiesOnly=yes", "-i", "~/.ssh/KEY"})}};
    more.push_back({.title = "Or keep fewer keys in the agent",
                    .safety = Safety::kManual,
                    .commands = {{"ssh-add", "-l"}}});
  } else if (no_libssh) {
    fix.title = "Install libssh (Debian and Ubuntu: libssh-4)";
  } else if (no_session) {
    fix.title = "Ask the server's administrator for a session";
  } else if (meaning.code != "ssh-not-found") {
    fix.commands = {Ssh(facts, {"-v"})};
  }
  if (key_refused && !agent_refused && way.empty()) {
    more.push_back(
        {.title = takes_password
                      ? "If none is the right one, let the server know yours: "
                        "it asks for the password"
                      : "If none is the right one, have yours added to "
                        "authorized_keys there",
         .safety = Safety::kManual});
    if (takes_password) {
      more.back().commands = {{"ssh-copy-id", host}};
      std::vector<std::string> again = Ssh(facts);
      again.front() = "agentdoctor";
      again.insert(again.begin() + 1, {"run", "--interactive"});
      more.push_back({.title = "Or log in with the password",
                      .safety = Safety::kManual,
                      .commands = {std::move(again)}});
    }
  }
  finding.fixes = {std::move(fix)};
  finding.fixes.insert(finding.fixes.end(), more.begin(), more.end());
  if (IsPutty(facts)) SpeakOfPutty(facts, finding);
  if (IsTsh(facts)) SpeakOfTsh(facts, finding);
  return finding;
}

/// A hanging login whose cause is another check's finding.
std::string HangExplained(const Facts& facts) {
  const Agent* primary = PrimaryAgent(facts);
  if (primary && primary->state == AgentState::kSilent)
    return "the login waits for the agent at " + primary->path +
           ", which does not answer";
  if (const Master* frozen = FrozenJumpMaster(facts))
    return "the login waits for the master for " + frozen->host +
           ", which does not answer";
  const Sharing* sharing = facts.link.sharing.get();
  if (sharing && sharing->master.state == MasterState::kUnresponsive)
    return "the login waits for the master at " + sharing->master.path +
           ", which does not answer";
  return {};
}

/// Why a login without any key is another check's finding: PuTTY had only the
/// agent's, and there is none.
std::string KeylessExplained(const Facts& facts, const Session& session) {
  const AgentChoice* primary = facts.link.primary.get();
  const ClientConfig* config = facts.link.config.get();
  if (!IsPutty(facts) || !primary || !config || !session.fault ||
      !session.transcript.accepted_key.empty() ||
      !FirstValue(*config, "publickeyfile").empty() ||
      (session.fault->code != "authentication-failed" &&
       session.fault->code != "interaction-needed"))
    return {};
  if (!primary->path) return "the login needs an agent, and there is none";
  const Agent* agent = PrimaryAgent(facts);
  if (!agent || agent->state == AgentState::kAnswered) return {};
  return "the login needs the agent at " + agent->path +
         ", which does not answer";
}

/// No answer through a live master: whether anybody gets there at all is what
/// the fresh login shows.
void JudgeHangAtMaster(const Facts& facts, Answer& answer) {
  const Control* control = facts.link.control.get();
  if (control && !control->logged_in && control->fault) {
    answer.findings.push_back(
        FromFault(facts, *control->fault, control->transcript.messages));
    return;
  }
  if (!control || !control->logged_in)
    answer.skipped = "the session through the master does not answer";
  else
    answer.summary = "a fresh login works";
}

void JudgeHang(const Facts& facts, const Session& session, Answer& answer) {
  const Transcript& transcript = session.transcript;
  const bool* through = transcript.through_master.get();
  if (ThroughMaster(facts) && !(through && *through)) {
    JudgeHangAtMaster(facts, answer);
    return;
  }
  if (transcript.authenticated || (through && *through)) {
    std::vector<std::string> shortest = Ssh(facts);
    shortest.push_back("true");
    answer.findings.push_back(
        {.code = "connection-timeout",
         .summary = "the login to " + facts.request.destination +
                    " works, but a command there does not end",
         .explanation = "A start-up file of the login shell may wait for "
                        "something, or the machine is overloaded.",
         .evidence = {{.source = LoginSource(facts),
                       .text = "no output within the deadline"}},
         .fixes = {{.title = "See whether the shortest command comes to an end",
                    .safety = Safety::kManual,
                    .commands = {std::move(shortest)}}}});
    return;
  }
  answer.findings.push_back(FromFault(
      facts,
      session.fault.value_or(TransportFault{
          .code = "connection-timeout",
          .message = transcript.server_version.empty()
                         ? "no answer within the deadline"
                         : "no progress within the deadline, after the server "
                           "had said " +
                               transcript.server_version}),
      transcript.messages));
}

/// Whether a fault is only another name for a deadline that passed.
bool IsTimeout(const TransportFault& fault) {
  return fault.code == "connection-timeout";
}

void JudgeEnd(const Facts& facts, const Session& session, Answer& answer) {
  const bool hung = session.end == SessionEnd::kTimedOut ||
                    (session.end == SessionEnd::kFailed && session.fault &&
                     IsTimeout(*session.fault));
  if (hung) {
    if (const std::string why = HangExplained(facts); !why.empty()) {
      answer.skipped = why;
      return;
    }
  }
  if (const std::string why = KeylessExplained(facts, session); !why.empty()) {
    answer.skipped = why;
    return;
  }
  // ssh 9.4 and later gives a frozen master up by itself when a
  // ConnectTimeout is set, and then says that the proxy is dead.
  if (session.end == SessionEnd::kFailed)
    if (const Master* frozen = FrozenJumpMaster(facts)) {
      answer.skipped =
          "the master for " + frozen->host + ", on the way, does not answer";
      return;
    }
  switch (session.end) {
    case SessionEnd::kProbed:
      break;
    case SessionEnd::kNoProbe:
      if (session.transcript.authenticated || ThroughMaster(facts)) break;
      [[fallthrough]];
    case SessionEnd::kFailed: {
      const TransportFault lost{
          .code = "connection-lost",
          .message = session.transcript.messages.empty()
                         ? Program(facts) + " ended without a word"
                         : session.transcript.messages.back()};
      answer.findings.push_back(FromFault(facts, session.fault.value_or(lost),
                                          session.transcript.messages));
      return;
    }
    case SessionEnd::kTimedOut:
      JudgeHang(facts, session, answer);
      return;
    case SessionEnd::kCutOff:
    case SessionEnd::kInterrupted:
      ProbedSession(facts);  // says why not
      return;
  }
  answer.summary = ThroughMaster(facts)
                       ? std::string("a session through the ") +
                             (IsPutty(facts) ? "upstream" : "master")
                   : session.transcript.server_version.empty()
                       ? std::string("logged in")
                       : "logged in to " + session.transcript.server_version;
}

void JudgeHostKey(const Facts& facts, const Session& session, Answer& answer) {
  if (!session.transcript.disabled_by_host_key) return;
  Finding finding{
      .code = "forwarding-disabled-by-host-key",
      .summary = "ssh disabled agent forwarding: the host key of " +
                 facts.request.destination + " has changed",
      .explanation =
          "With StrictHostKeyChecking no, ssh logs in all the same, but lends "
          "no agent to a machine that may not be the one it claims to be.",
      .fixes = {{.title = "Find out why the key changed; only then remove the "
                          "old one",
                 .safety = Safety::kManual}}};
  for (const std::string& message : session.transcript.messages)
    if (SaysWhichKey(message) || message.starts_with("Agent forwarding"))
      finding.evidence.push_back(
          {.source = LoginSource(facts), .text = message});
  if (finding.evidence.empty())
    finding.evidence.push_back(
        {.source = LoginSource(facts),
         .text = "Agent forwarding is disabled to avoid man-in-the-middle "
                 "attacks."});
  const Fix removal =
      FromFault(facts, {.code = "host-key-changed"}, {}).fixes.front();
  finding.fixes.front().commands = removal.commands;
  answer.findings.push_back(std::move(finding));
}

/// "boot id 0b1e... runner, user id 1000", as far as it is known.
std::string MachineWords(const Side& side) {
  std::string words;
  if (const std::string* boot = side.boot_id.get()) words = "boot id " + *boot;
  if (!side.name.empty()) words += (words.empty() ? "" : " ") + side.name;
  if (const std::int64_t* uid = side.uid.get())
    words += (words.empty() ? "user id " : ", user id ") + std::to_string(*uid);
  return words;
}

void JudgeMachines(const Facts& facts, Answer& answer) {
  // What a path without the host in it explains is its own finding.
  if (SameMachine(facts) != false || ControlPathLacksHost(facts) ||
      !LeadsElsewhere(facts).empty())
    return;
  const Side& fresh = *facts.link.control->far;
  const std::string* boot = facts.far.boot_id.get();
  const std::string* other = fresh.boot_id.get();
  const bool containers = boot && other && *boot == *other;
  const bool users = containers && fresh.name == facts.far.name;
  answer.findings.push_back(
      {.code = "hosts-differ",
       .summary = std::string("the session and a fresh login reached ") +
                  (users        ? "different users"
                   : containers ? "different containers of one machine"
                                : "different machines") +
                  " under the name " + facts.request.destination,
       .explanation = "The name stands for several machines (or was given to "
                      "another one), so what works on one says nothing about "
                      "the other.",
       .evidence = {{.source = Probe(facts), .text = MachineWords(facts.far)},
                    {.source = FreshLogin(facts), .text = MachineWords(fresh)}},
       .fixes = {{.title = "Name the machine itself instead of the name that "
                           "several share",
                  .safety = Safety::kManual}}});
}

/// Without an ssh program nothing was asked; its absence is then the reason
/// that nothing else is known.
bool JudgeProgram(const Facts& facts, Answer& answer) {
  constexpr std::string_view kMark = "ssh-not-found: ";
  if (facts.link.config.known()) return false;
  const std::string reason = facts.link.config.reason();
  if (!reason.starts_with(kMark)) return false;
  answer.findings.push_back(FromFault(
      facts, {.code = "ssh-not-found", .message = reason.substr(kMark.size())},
      {}));
  return true;
}

Answer Run(const Facts& facts) {
  Answer answer;
  if (JudgeProgram(facts, answer)) return answer;
  const Session& session = *facts.link.session;
  Ask(answer, [&] { JudgeEnd(facts, session, answer); });
  JudgeHostKey(facts, session, answer);
  JudgeMachines(facts, answer);
  return answer;
}

}  // namespace

constinit const Check kConnection{
    .id = "connection",
    .stage = Stage::kConnection,
    .title = "The host can be reached and logged in to",
    .run = Run,
    .codes = kCodes};

}  // namespace agentdoctor::checks
