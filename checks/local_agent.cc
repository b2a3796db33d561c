// Is there an agent to forward, and does it hold keys?
#include <algorithm>
#include <array>
#include <charconv>

#include "checks.h"
#include "inside.h"
#include "live_agents.h"
#include "path.h"
#include "shell.h"
#include "tsh.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

constexpr std::array<std::string_view, 15> kCodes = {
    "agent-not-running",      "agent-socket-missing", "agent-socket-dead",
    "agent-socket-denied",    "agent-not-a-socket",   "agent-unresponsive",
    "agent-protocol-error",   "agent-empty",          "agent-key-missing",
    "agent-many-keys",        "agent-cert-expired",   "agent-locked",
    "agent-drops-extensions", "agent-elsewhere",      "environment-file-stale"};

/// MaxAuthTries is 6 by default (sshd_config(5)); the sixth refusal ends the
/// connection.
constexpr std::size_t kFewKeys = 5;

/// The option of the command line that names the agent, as typed; else empty.
std::string OptionOf(const Facts& facts, const AgentChoice& choice) {
  if (choice.line || choice.source == AgentSource::kEnvironment) return {};
  return CommandLineOption(facts, choice.source == AgentSource::kForwardAgent
                                      ? "forwardagent"
                                      : "identityagent");
}

/// What names the agent: "SSH_AUTH_SOCK", "IdentityAgent (FILE:LINE)".
std::string Chooser(const Facts& facts, const AgentChoice& choice) {
  std::string name;
  switch (choice.source) {
    case AgentSource::kForwardAgent:
      name = "ForwardAgent";
      break;
    case AgentSource::kIdentityAgent:
      name = "IdentityAgent";
      break;
    case AgentSource::kEnvironment:
      return "SSH_AUTH_SOCK";
    case AgentSource::kTeleport:
      return "tsh";
  }
  if (choice.line)
    name += " (" + Place(*choice.line) + ")";
  else if (!OptionOf(facts, choice).empty())
    name += " (on the command line)";
  return name;
}

std::string Located(const Agent& agent) {
  return agent.product.empty() ? agent.path
                               : agent.path + " (" + agent.product + ")";
}

Evidence Asked(const Agent& agent, std::string text) {
  return {
      .source = agent.asked_with.empty() ? "agent protocol" : agent.asked_with,
      .text = agent.path + ": " + std::move(text)};
}

/// How to make \a path the agent that is forwarded.
Fix UseAgent(const Facts& facts, const AgentChoice& choice,
             const Agent& agent) {
  const std::string whose = facts.here ? Whose(facts.near, agent) : "";
  Fix fix{.title = "Use the live agent at " + agent.path +
                   (whose.empty() ? "" : " (" + whose + ")") +
                   ", which holds " +
                   Count(agent.identities.size(), "key", "keys"),
          .safety = Safety::kManual};
  if (facts.here) {
    const Syntax syntax = SyntaxHere(facts.near);
    fix.shell_lines = {ExportLine(ShellWord(agent.path, syntax), syntax)};
    return fix;
  }
  if (choice.source == AgentSource::kEnvironment) {
    fix.commands = {{"export", "SSH_AUTH_SOCK=" + agent.path}};
    return fix;
  }
  const std::string keyword = choice.source == AgentSource::kForwardAgent
                                  ? "ForwardAgent"
                                  : "IdentityAgent";
  const std::string path = ConfigPath(agent.path);
  if (choice.line)
    fix.edits = {{.file = choice.line->file,
                  .line = choice.line->line,
                  .text = keyword + " " + path,
                  .replaces = true}};
  else
    fix.commands = {SshWith(facts, keyword, path)};
  return fix;
}

/// Live agents first; a new one only where there is none, since a second agent
/// hides the first.
std::vector<Fix> GetAnAgent(const Facts& facts, const AgentChoice& choice) {
  std::vector<Fix> fixes;
  for (const Agent* agent : LiveAgents(facts, choice.path.value_or("")))
    fixes.push_back(UseAgent(facts, choice, *agent));
  if (facts.here && !fixes.empty() && choice.path && IsVsCodeLink(*choice.path))
    fixes.push_back(
        {.title = "Point VS Code's link at it, for all of its terminals",
         .safety = Safety::kManual,
         .commands = {{"ln", "-sfn",
                       LiveAgents(facts, *choice.path).front()->path,
                       *choice.path}}});
  if (fixes.empty() && facts.here && UnderSudo(facts.near))
    fixes.push_back(
        {.title = "Let sudo keep the variable, or run git and ssh as the user "
                  "who logged in",
         .safety = Safety::kManual,
         .commands = {{"sudo", "--preserve-env=SSH_AUTH_SOCK", "-s"}}});
  else if (fixes.empty() && facts.here && facts.near.ssh_connection.known())
    fixes.push_back(
        {.title = "Connect anew with forwarding (ForwardAgent yes, or ssh -A): "
                  "no agent of yours with keys answers on this machine. If "
                  "forwarding is on already, `agentdoctor run` on the machine "
                  "you come from says what stops it",
         .safety = Safety::kManual});
  else if (fixes.empty())
    fixes.push_back({.title = "Start an agent and give it your key",
                     .safety = Safety::kManual,
                     .shell_lines = {"eval \"$(ssh-agent)\"", "ssh-add"}});
  return fixes;
}

/// Adds what an unset or dead variable has to do with the place one sits in.
void LookAround(const Facts& facts, Finding& finding) {
  if (!facts.here) return;
  if (std::string why = Surroundings(facts.near); !why.empty())
    finding.explanation = std::move(why);
  const std::vector<Evidence> others = OtherValues(facts.near);
  finding.evidence.insert(finding.evidence.end(), others.begin(), others.end());
}

Finding NotRunning(const Facts& facts, const AgentChoice& choice) {
  Finding finding{.code = "agent-not-running",
                  .fixes = GetAnAgent(facts, choice)};
  if (facts.here) {
    finding.summary = "no agent in this shell: SSH_AUTH_SOCK is not set";
    finding.explanation =
        facts.near.ssh_connection.known()
            ? "The connection was made without forwarding, or something has "
              "removed the variable since."
            : "Nothing told this shell of an agent.";
    finding.evidence = {
        {.source = "environment", .text = "SSH_AUTH_SOCK is not set"}};
    LookAround(facts, finding);
    return finding;
  }
  if (choice.source == AgentSource::kEnvironment) {
    finding.summary = "no agent to forward: SSH_AUTH_SOCK is not set here";
    finding.explanation = "Nothing else names an agent, so " + Program(facts) +
                          " silently turns forwarding off.";
    finding.evidence = {
        {.source = "environment", .text = "SSH_AUTH_SOCK is not set"}};
  } else {
    finding.summary = "no agent to forward: " + Chooser(facts, choice) +
                      " says " + (choice.text.empty() ? "none" : choice.text);
    finding.explanation =
        "IdentityAgent replaces SSH_AUTH_SOCK inside ssh, for logging in and "
        "for forwarding alike; where it names no agent, ssh silently turns "
        "forwarding off.";
    const std::string option = OptionOf(facts, choice);
    if (choice.line) {
      finding.evidence = {AsEvidence(*choice.line)};
    } else if (!option.empty()) {
      finding.evidence = {{.source = "command line", .text = option}};
      finding.fixes.insert(finding.fixes.begin(),
                           {.title = "Leave out \"" + option + "\"",
                            .safety = Safety::kManual,
                            .commands = {SshWith(facts, "IdentityAgent", "")}});
    } else {
      finding.evidence = {{.source = SshSource(facts, "-G"),
                           .text = "identityagent " + choice.text}};
    }
  }
  return finding;
}

/// What is wrong with the value itself, where that explains a missing socket.
std::string ValueFault(const std::string& path) {
  if (path.starts_with("~"))
    return "The tilde is part of the value: only a shell would have expanded "
           "it.";
  if (path.find_first_of("\n\r") != std::string::npos || path.ends_with(' '))
    return "The value ends in a space or holds a line break.";
  if (path.find_first_of("'\"") != std::string::npos)
    return "The value holds quotes of its own.";
  if (!path.starts_with("/"))
    return "The value is no absolute path, so it depends on the folder that "
           "ssh is started in.";
  return {};
}

constexpr char kOtherHost[] =
    "It was made on a machine of another name, which shares this home folder: "
    "a socket leads nowhere on any other machine.";

Finding Missing(const Facts& facts, const AgentChoice& choice,
                const Agent& agent) {
  Finding finding{.code = "agent-socket-missing",
                  .fixes = GetAnAgent(facts, choice)};
  if (agent.state == AgentState::kPathTooLong) {
    finding.summary = Chooser(facts, choice) + " names a path of " +
                      std::to_string(agent.path.size()) +
                      " bytes, too long for a socket: " + agent.path;
    finding.explanation =
        "ssh cuts the path off without a word and then finds nothing there. A "
        "short symbolic link to the socket helps.";
  } else if (!agent.link_target.empty()) {
    finding.summary = Chooser(facts, choice) + " names " + agent.path +
                      ", a dangling link to " + agent.link_target;
    finding.explanation = "The agent that the link led to has ended.";
  } else {
    finding.summary = Chooser(facts, choice) + " names " + Located(agent) +
                      ", which does not exist";
    finding.explanation = ValueFault(agent.path);
    if (finding.explanation.empty())
      finding.explanation =
          "The agent that made this socket has ended, or the terminal, "
          "session or connection it belonged to has.";
    if (agent.other_host) finding.explanation = kOtherHost;
  }
  finding.evidence = {Asked(agent, agent.detail.empty()
                                       ? "No such file or directory"
                                       : agent.detail)};
  if (choice.line) finding.evidence.push_back(AsEvidence(*choice.line));
  return finding;
}

Finding Denied(const Facts& facts, const AgentChoice& choice,
               const Agent& agent) {
  Finding finding{.code = "agent-socket-denied",
                  .fixes = GetAnAgent(facts, choice)};
  std::string whose;
  if (agent.owner) whose = "owner " + std::to_string(*agent.owner);
  if (agent.mode) {
    whose += (whose.empty() ? "mode " : ", mode ") + Octal(*agent.mode);
  }
  if (agent.state == AgentState::kDenied) {
    finding.summary = "access to " + Located(agent) + ", which " +
                      Chooser(facts, choice) + " names, is denied";
    finding.explanation =
        agent.denied_by.empty()
            ? "The socket belongs to somebody else, or its mode keeps you out."
            : "What keeps you out: " + agent.denied_by + ".";
  } else {
    const std::int64_t* uid = facts.near.uid.get();
    const bool foreign = uid && agent.owner && *agent.owner != *uid;
    finding.certainty = foreign ? Certainty::kProven : Certainty::kLikely;
    finding.summary = "the agent at " + Located(agent) + ", which " +
                      Chooser(facts, choice) +
                      " names, hangs up without an answer";
    finding.explanation =
        foreign ? "It belongs to another user: an agent answers its owner and "
                  "root only, whatever the socket's mode."
                : "An agent does this to other users; a socket that sshd "
                  "forwarded does it when the agent at its other end is gone.";
  }
  finding.evidence = {Asked(agent, agent.state == AgentState::kDropped
                                       ? "closed without an answer"
                                   : agent.detail.empty() ? "Permission denied"
                                                          : agent.detail)};
  if (!whose.empty())
    finding.evidence.push_back(
        {.source = "stat", .text = agent.path + ": " + whose});
  if (!agent.denied_by.empty())
    finding.evidence.push_back({.source = "stat", .text = agent.denied_by});
  return finding;
}

/// Not an answer, in whichever way.  Null code: nothing wrong so far.
Finding Unusable(const Facts& facts, const AgentChoice& choice,
                 const Agent& agent) {
  Finding finding{.fixes = GetAnAgent(facts, choice)};
  const std::string named =
      Located(agent) + ", which " + Chooser(facts, choice) + " names";
  switch (agent.state) {
    case AgentState::kAnswered:
      return {};
    case AgentState::kMissing:
    case AgentState::kPathTooLong:
      return Missing(facts, choice, agent);
    case AgentState::kDenied:
    case AgentState::kDropped:
      return Denied(facts, choice, agent);
    case AgentState::kRefused:
      finding.code = "agent-socket-dead";
      finding.summary = "nobody listens on " + named;
      finding.explanation =
          agent.other_host
              ? kOtherHost
              : "The agent that made this socket has ended and left it behind.";
      finding.evidence = {Asked(
          agent, agent.detail.empty() ? "Connection refused" : agent.detail)};
      break;
    case AgentState::kNotASocket:
      finding.code = "agent-not-a-socket";
      finding.summary = named + ", is not a socket" +
                        (agent.detail.empty() ? "" : ": " + agent.detail);
      finding.explanation =
          agent.detail.find("folder") == std::string::npos
              ? "Something else has taken the path of an agent's socket."
              : "A folder at such a path is often Docker's work: it makes one "
                "where the source of a bind mount is missing.";
      finding.evidence = {
          Asked(agent, agent.detail.empty() ? "not a socket" : agent.detail)};
      break;
    case AgentState::kSilent:
      finding.code = "agent-unresponsive";
      finding.summary =
          "the agent at " + named + ", accepts connections but does not answer";
      finding.explanation =
          "It may be stopped, or wait for a touch or for a dialog on another "
          "screen: OpenSSH's agent answers nobody meanwhile. " +
          Program(facts) + " waits for it without a limit.";
      finding.evidence = {Asked(agent, agent.detail.empty()
                                           ? "no answer within the deadline"
                                           : agent.detail)};
      finding.fixes.insert(
          finding.fixes.begin(),
          {.title = "Answer the agent's dialog or touch the key; else restart "
                    "the agent",
           .safety = Safety::kManual});
      break;
    case AgentState::kMalformed:
      finding.code = "agent-protocol-error";
      finding.summary =
          "what listens on " + named + ", does not speak the agent protocol";
      finding.explanation =
          agent.path.find("S.gpg-agent") != std::string::npos &&
                  !agent.path.ends_with(".ssh")
              ? "This is gpg-agent's own socket; the one for ssh is named "
                "S.gpg-agent.ssh."
              : "Its answer is no valid agent message.";
      finding.evidence = {Asked(agent, agent.detail)};
      break;
    case AgentState::kListRefused:
      finding.code = "agent-locked";
      finding.certainty = Certainty::kLikely;
      finding.summary = "the agent at " + named + ", refuses to list its keys";
      finding.explanation =
          "Agents of password managers and desktops do this while they are "
          "locked, or when they do not trust the program that asks.";
      finding.evidence = {Asked(agent, "SSH_AGENT_FAILURE to a list request")};
      finding.fixes.insert(finding.fixes.begin(),
                           {.title = "Unlock the agent's application",
                            .safety = Safety::kManual});
      break;
  }
  return finding;
}

bool SshFillsTheAgent(const Facts& facts) {
  const ClientConfig* config = facts.link.config.get();
  if (!config) return false;
  const std::string value = FirstValue(*config, "addkeystoagent");
  return !value.empty() && !IsNo(value);
}

void JudgeEmpty(const Facts& facts, const AgentChoice& choice,
                const Agent& agent, Answer& answer) {
  const std::string named = "the agent at " + Located(agent) + ", which " +
                            Chooser(facts, choice) + " names";
  // OpenSSH 10.3 and later refuse `query` while locked, but not session-bind.
  if (agent.query == ExtensionAnswer::kFailure &&
      agent.session_bind == ExtensionAnswer::kExtensionFailure) {
    answer.findings.push_back(
        {.code = "agent-locked",
         .summary = named + ", is locked",
         .explanation = "A locked agent lists no keys, here and on every host "
                        "it is forwarded to.",
         .evidence = {Asked(agent,
                            "no identities; refuses `query`, answers "
                            "session-bind@openssh.com")},
         .fixes = {{.title = "Unlock the agent with its password",
                    .safety = Safety::kManual,
                    .commands = {{"ssh-add", "-X"}}}}});
    return;
  }
  const bool surely_empty = agent.query == ExtensionAnswer::kSuccess;
  Finding finding{
      .code = "agent-empty",
      .summary = named + (surely_empty ? ", holds no keys" : ", lists no keys"),
      .evidence = {Asked(agent, "0 identities")}};
  if (!surely_empty)
    finding.explanation =
        "A locked OpenSSH agent before 10.3 looks the same: if you locked it "
        "(`ssh-add -x`), its keys come back with `ssh-add -X`. ";
  if (SshFillsTheAgent(facts)) {
    finding.severity = Severity::kInfo;
    finding.explanation +=
        "AddKeysToAgent is on, so ssh adds the key it logs in with.";
  } else {
    finding.explanation +=
        IsTsh(facts)
            ? "tsh logs in with the keys of ~/.tsh, whatever this agent holds."
            : "Logging in with a key file (IdentityFile, -i) does not put the "
              "key into the agent.";
  }
  for (const Agent* other : LiveAgents(facts, agent.path))
    finding.fixes.push_back(UseAgent(facts, choice, *other));
  if (agent.product == "launchd") {
    finding.explanation +=
        " The agent of macOS is empty after every start of the machine; what "
        "the keychain keeps are passphrases.";
    finding.fixes.push_back(
        {.title = "Load the keys whose passphrases are in the keychain (with "
                  "Apple's ssh-add; -A before macOS 12)",
         .safety = Safety::kManual,
         .commands = {{"/usr/bin/ssh-add", "--apple-load-keychain"}}});
  }
  finding.fixes.push_back({.title = "Add your key to the agent",
                           .safety = Safety::kManual,
                           .commands = {{"ssh-add"}}});
  if (!surely_empty)
    finding.fixes.push_back({.title = "Unlock the agent, if you locked it",
                             .safety = Safety::kManual,
                             .commands = {{"ssh-add", "-X"}}});
  answer.findings.push_back(std::move(finding));
}

void JudgeKey(const Facts& facts, const AgentChoice& choice, const Agent& agent,
              Answer& answer) {
  const std::string& key = facts.request.key;
  if (key.empty()) return;
  const std::string fingerprint =
      facts.request.key_fingerprint.empty() && key.starts_with("SHA256:")
          ? key
          : facts.request.key_fingerprint;
  if (fingerprint.empty())
    throw FactUnknown("the fingerprint of " + key + " could not be read");
  if (Fingerprints(agent).contains(fingerprint)) return;
  const bool file = !key.starts_with("SHA256:");
  Finding finding{
      .code = "agent-key-missing",
      .summary = "the agent at " + Located(agent) + " does not hold " +
                 (file ? key + " (" + fingerprint + ")" : fingerprint),
      .explanation = "Only keys in the agent that " + Chooser(facts, choice) +
                     " names can be used beyond the host."};
  for (const Identity& identity : agent.identities)
    finding.evidence.push_back(Asked(agent, KeyName(identity)));
  if (agent.identities.empty())
    finding.evidence.push_back(Asked(agent, "0 identities"));
  for (const Agent* other : LiveAgents(facts, agent.path))
    if (Fingerprints(*other).contains(fingerprint))
      finding.fixes.push_back(UseAgent(facts, choice, *other));
  finding.fixes.push_back(
      {.title = "Add the key to the agent",
       .safety = Safety::kManual,
       .commands = {
           file ? std::vector<std::string>{"ssh-add",
                                           key.ends_with(".pub")
                                               ? key.substr(0, key.size() - 4)
                                               : key}
                : std::vector<std::string>{"ssh-add"}}});
  answer.findings.push_back(std::move(finding));
}

/// tsh's own key agent is seen at the far end alone.
void JudgeOwnAgent(const Facts& facts, Answer& answer) {
  const Agent* agent = ArrivedAgent(facts);
  if (!agent) {
    answer.skipped = "tsh forwards its own key agent, which lives inside of it";
    return;
  }
  answer.summary = Count(agent->identities.size(), "identity", "identities") +
                   " in the key agent inside of tsh";
  const std::string& key = facts.request.key_fingerprint;
  if (key.empty() || Fingerprints(*agent).contains(key)) return;
  Finding finding{
      .code = "agent-key-missing",
      .summary =
          "tsh's own key agent, which it forwards, does not hold " +
          (facts.request.key == key ? key
                                    : facts.request.key + " (" + key + ")"),
      .explanation =
          "Only keys in the agent that is forwarded can be used "
          "beyond the host."};
  for (const Identity& identity : agent->identities)
    finding.evidence.push_back(Asked(*agent, KeyName(identity)));
  if (agent->identities.empty())
    finding.evidence.push_back(Asked(*agent, "0 identities"));
  finding.fixes = {ForwardUsersAgent(facts)};
  answer.findings.push_back(std::move(finding));
}

void JudgeIdentities(const Facts& facts, const Agent& agent, Answer& answer) {
  if (agent.identities.size() > kFewKeys)
    answer.findings.push_back(
        {.code = "agent-many-keys",
         .severity = Severity::kInfo,
         .summary = "the agent holds " +
                    Count(agent.identities.size(), "key", "keys") +
                    ": a server may hang up before the right one is tried",
         .explanation = "ssh offers every key of the agent, and sshd's "
                        "MaxAuthTries is 6 unless set otherwise. The next hop "
                        "is offered all of them, too.",
         .evidence = {Asked(
             agent, Count(agent.identities.size(), "identity", "identities"))},
         .fixes = {
             IsTsh(facts)
                 ? Fix{.title = "Keep fewer keys in the agent",
                       .safety = Safety::kManual,
                       .commands = {{"ssh-add", "-l"}}}
                 : Fix{.title = "Name the key for each host (a public key file "
                                "is enough)",
                       .safety = Safety::kManual,
                       .edits = {{.file = "~/.ssh/config",
                                  .text = "IdentityFile ~/.ssh/KEY.pub\n"
                                          "IdentitiesOnly yes"}}}}});

  for (const Identity& identity : agent.identities) {
    if (!identity.certificate || facts.collected <= 0) continue;
    const auto now = static_cast<std::uint64_t>(facts.collected);
    const Certificate& certificate = *identity.certificate;
    const bool early = now < certificate.valid_after;
    if (!early && now < certificate.valid_before) continue;
    const std::uint64_t limit =
        early ? certificate.valid_after : certificate.valid_before;
    const std::string moment = Moment(static_cast<std::int64_t>(limit));
    answer.findings.push_back(
        {.code = "agent-cert-expired",
         .severity = Severity::kWarning,
         .summary = "the certificate \"" + certificate.key_id +
                    "\" in the agent " +
                    (early ? "is not valid before " : "expired on ") + moment,
         .explanation = "Servers that trust its authority refuse it, from here "
                        "and from the host alike.",
         .evidence = {Asked(agent, identity.type + " " + KeyName(identity))},
         .fixes = {{.title = "Get a new certificate and add it to the agent",
                    .safety = Safety::kManual}}});
  }
}

/// Since 8.9 ssh opens every agent connection with session-bind@openssh.com.
bool SendsSessionBind(const std::string& version) {
  const std::size_t underscore = version.find('_');
  if (underscore == std::string::npos) return true;
  int major = 0, minor = 0;
  const char* end = version.data() + version.size();
  const auto first =
      std::from_chars(version.data() + underscore + 1, end, major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.' ||
      std::from_chars(first.ptr + 1, end, minor).ec != std::errc())
    return true;
  return major > 8 || (major == 8 && minor >= 9);
}

void JudgeForwarded(const Facts& facts, const AgentChoice& choice,
                    Answer& answer) {
  if (choice.source == AgentSource::kTeleport) {
    JudgeOwnAgent(facts, answer);
    return;
  }
  if (!choice.path) {
    // A ForwardAgent variable that is unset is forward-agent-socket-unset.
    if (choice.source != AgentSource::kForwardAgent)
      answer.findings.push_back(NotRunning(facts, choice));
    return;
  }
  const Agent* agent = FindAgent(facts.near, *choice.path);
  if (!agent)
    throw FactUnknown("the agent at " + *choice.path + " was not asked");
  if (choice.source == AgentSource::kForwardAgent &&
      (agent->state == AgentState::kMissing ||
       agent->state == AgentState::kPathTooLong))
    return;  // forward-agent-socket-missing
  if (agent->state != AgentState::kAnswered) {
    Finding finding = Unusable(facts, choice, *agent);
    if (agent->other_host)
      finding.evidence.insert(finding.evidence.begin(),
                              {.source = "host name",
                               .text = "not that of this machine in the name "
                                       "of the socket"});
    else if (agent->state == AgentState::kMissing ||
             agent->state == AgentState::kRefused)
      LookAround(facts, finding);
    answer.findings.push_back(std::move(finding));
    return;
  }
  answer.summary = Count(agent->identities.size(), "identity", "identities") +
                   " at " + Located(*agent);
  if (agent->session_bind == ExtensionAnswer::kClosed && !IsPutty(facts) &&
      !IsTsh(facts) && SendsSessionBind(facts.link.version))
    answer.findings.push_back(
        {.code = "agent-drops-extensions",
         .summary = "the agent at " + Located(*agent) + ", which " +
                    Chooser(facts, choice) +
                    " names, hangs up on session-bind@openssh.com",
         .explanation = "Since OpenSSH 8.9 ssh sends this message first on "
                        "every agent connection, so the forwarded agent never "
                        "answers, although `ssh-add -l` works here.",
         .evidence = {Asked(*agent, "lists its identities"),
                      Asked(*agent,
                            "closes the connection on "
                            "session-bind@openssh.com")},
         .fixes = {{.title = "Update the agent or the relay in front of it, or "
                             "use another one",
                    .safety = Safety::kManual}}});
  if (agent->identities.empty()) JudgeEmpty(facts, choice, *agent, answer);
  JudgeIdentities(facts, *agent, answer);
  const bool explained =
      std::ranges::any_of(answer.findings, [](const Finding& finding) {
        return finding.code == "agent-empty" || finding.code == "agent-locked";
      });
  if (!explained) JudgeKey(facts, choice, *agent, answer);
}

/// ssh asks the agent it logs in with before anything else, without a limit.
void JudgePrimary(const Facts& facts, Answer& answer) {
  const AgentChoice* primary = facts.link.primary.get();
  const AgentChoice* forwarded = facts.link.forwarded.get();
  if (!primary || !primary->path ||
      (forwarded && forwarded->path == primary->path))
    return;
  const Agent* agent = FindAgent(facts.near, *primary->path);
  if (agent && agent->state == AgentState::kSilent)
    answer.findings.push_back(Unusable(facts, *primary, *agent));
}

void JudgeOthers(const Facts& facts, const AgentChoice& choice,
                 Answer& answer) {
  if (choice.source == AgentSource::kTeleport) return;
  // There the others are the way out, and stand in that finding.
  if (facts.here && !ForwardingWorks(facts)) return;
  const Agent* forwarded =
      choice.path ? FindAgent(facts.near, *choice.path) : nullptr;
  std::set<std::string> known;
  if (forwarded) known = Fingerprints(*forwarded);
  std::vector<const Agent*> others;
  for (const Agent* agent : LiveAgents(facts, choice.path.value_or("")))
    if (!std::ranges::includes(known, Fingerprints(*agent)))
      others.push_back(agent);
  if (others.empty()) return;
  Finding finding{
      .code = "agent-elsewhere",
      .severity = Severity::kInfo,
      .summary = "another agent of yours, with " +
                 Count(others.front()->identities.size(), "key", "keys") +
                 ", lives at " + Located(*others.front())};
  finding.explanation =
      choice.source == AgentSource::kEnvironment
          ? "It is not the one that SSH_AUTH_SOCK names, so it is not "
            "forwarded."
          : "ssh forwards the agent that " + Chooser(facts, choice) +
                " names; `ssh-add -l` shows the one of SSH_AUTH_SOCK.";
  for (const Agent* agent : others) {
    std::vector<std::string> keys;
    for (const Identity& identity : agent->identities)
      keys.push_back(KeyName(identity));
    finding.evidence.push_back(Asked(*agent, List(keys)));
    finding.fixes.push_back(UseAgent(facts, choice, *agent));
  }
  answer.findings.push_back(std::move(finding));
}

void JudgeEnvironmentFiles(const Facts& facts, Answer& answer) {
  for (const EnvironmentFileLine& line : facts.near.environment_files) {
    if (line.state != AgentState::kMissing &&
        line.state != AgentState::kRefused)
      continue;
    answer.findings.push_back(
        {.code = "environment-file-stale",
         .severity = Severity::kInfo,
         .summary = line.file + ":" + std::to_string(line.line) +
                    " names an agent that is gone: " + line.path,
         .explanation = "Shells and jobs that read this file get a dead "
                        "SSH_AUTH_SOCK.",
         .evidence = {{.source = line.file,
                       .text = line.path,
                       .file = line.file,
                       .line = line.line}},
         .fixes = {{.title = "Remove the line, or start the agent that keeps "
                             "the file up to date",
                    .safety = Safety::kManual}}});
  }
}

bool Always(const Facts&) { return true; }

Answer Run(const Facts& facts) {
  Answer answer;
  Ask(answer, [&] { JudgeForwarded(facts, *facts.link.forwarded, answer); });
  JudgePrimary(facts, answer);
  Ask(answer, [&] { JudgeOthers(facts, *facts.link.forwarded, answer); });
  JudgeEnvironmentFiles(facts, answer);
  return answer;
}

}  // namespace

constinit const Check kLocalAgent{
    .id = "local-agent",
    .stage = Stage::kAgent,
    .title = "The agent to forward answers and holds keys",
    .run = Run,
    .codes = kCodes,
    .applies = Always};

}  // namespace agentdoctor::checks
