// Does the server allow forwarding: its configuration, the key's options, its
// socket?
#include <algorithm>
#include <array>
#include <cctype>

#include "checks.h"
#include "path.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

constexpr std::array<std::string_view, 6> kCodes = {
    "server-denies-forwarding", "key-denies-forwarding",
    "cert-denies-forwarding",   "server-unsupported",
    "server-socket-failed",     "forced-command"};

/// What fresh logins of this run showed.  A session through a master says
/// nothing about the server.
struct Logins {
  const Control* control = nullptr;    ///< logged in
  const Session* session = nullptr;    ///< fresh and authenticated
  const Transcript* speaks = nullptr;  ///< the one to quote
  std::string source = {};
};

Logins FreshLogins(const Facts& facts) {
  Logins logins;
  const Control* control = facts.link.control.get();
  const Session* session = facts.link.session.get();
  if (session && session->transcript.authenticated && !ThroughMaster(facts)) {
    logins.session = session;
    logins.speaks = &session->transcript;
    logins.source = LoginSource(facts, "-v");
  }
  if (control && control->logged_in) {
    logins.control = control;
    if (!logins.session) {
      logins.speaks = &control->transcript;
      logins.source = FreshLogin(facts);
    }
  }
  return logins;
}

/// Key options are ANDed over the sources: a line of authorized_keys, a
/// certificate, a principals file.
const KeyOptions* Denying(const Transcript& transcript) {
  const auto denying = std::ranges::find(transcript.key_options, false,
                                         &KeyOptions::agent_forwarding);
  return denying == transcript.key_options.end() ? nullptr : &*denying;
}

bool FromCertificate(const Transcript& transcript, const KeyOptions& options) {
  return transcript.accepted_certificate || options.source == "cert";
}

/// "FILE:LINE" taken apart; a source that is none has no line.
Evidence Announced(const std::string& source, const KeyOptions& options) {
  Evidence evidence{.source = source,
                    .text = "Remote: " + options.source +
                            ": key options: " + options.options};
  const std::size_t colon = options.source.rfind(':');
  if (options.source.starts_with("/") && colon != std::string::npos &&
      colon + 1 < options.source.size() &&
      std::ranges::all_of(options.source.substr(colon + 1), [](char c) {
        return std::isdigit(static_cast<unsigned char>(c)) != 0;
      })) {
    evidence.file = options.source.substr(0, colon);
    const std::string line = options.source.substr(colon + 1);
    if (line.size() < 9) evidence.line = std::stoi(line);
    evidence.text = "key options: " + options.options;
  }
  return evidence;
}

Finding KeyDenies(const Facts& facts, const Logins& logins,
                  const KeyOptions& options) {
  const Transcript& transcript = *logins.speaks;
  // "ED25519 SHA256:... explicit agent"
  const std::vector<std::string> words = Words(transcript.accepted_key);
  const std::string key = words.size() < 2
                              ? std::string("the key that logged in")
                              : "the key " + words[0] + " " + words[1];
  Finding finding;
  if (FromCertificate(transcript, options)) {
    finding.code = "cert-denies-forwarding";
    finding.summary = "the certificate that logs in to " +
                      facts.request.destination +
                      " lacks permit-agent-forwarding";
    finding.explanation =
        "A certificate lists what it allows, and this one does not allow agent "
        "forwarding; what the server's files allow does not help.";
    finding.fixes = {
        {.title = "Have the certificate issued again with the extension",
         .safety = Safety::kManual,
         .commands = {{"ssh-keygen", "-s", "CA_KEY", "-I", "KEY_ID", "-n",
                       "PRINCIPALS", "-O", "permit-agent-forwarding",
                       "KEY.pub"}}}};
  } else {
    finding.code = "key-denies-forwarding";
    finding.summary = options.source + " on " + facts.request.destination +
                      " does not allow agent forwarding for the key in use";
    finding.explanation =
        "The line has `restrict` or `no-agent-forwarding` in front of " + key +
        ".";
    finding.fixes = {
        {.title = "On the host, remove `no-agent-forwarding` from that line, "
                  "or add `agent-forwarding` behind `restrict`",
         .safety = Safety::kManual},
        {.title = "Log in with another key of yours that is not restricted",
         .safety = Safety::kManual}};
  }
  for (const KeyOptions& announced : transcript.key_options)
    finding.evidence.push_back(Announced(logins.source, announced));
  if (!transcript.accepted_key.empty())
    finding.evidence.push_back(
        {.source = logins.source,
         .text = "Server accepts key: " + transcript.accepted_key});
  return finding;
}

Finding SocketFailed(const Facts& facts, const Logins& logins,
                     const std::string& message) {
  const bool in_tmp = message.find("mkdtemp") != std::string::npos;
  return {
      .code = "server-socket-failed",
      .summary = "sshd on " + facts.request.destination +
                 " could not make the agent's socket: " + message,
      .explanation =
          in_tmp ? "Up to OpenSSH 10.0 the socket lies in /tmp, which is full, "
                   "read-only or has the wrong mode. sshd tries only once for "
                   "each connection."
                 : "Since OpenSSH 10.1 the socket lies in ~/.ssh/agent: the "
                   "home folder is missing, full, read-only, too long a path, "
                   "or something there is no folder. sshd tries only once for "
                   "each connection.",
      .evidence = {{.source = logins.source, .text = "Remote: " + message}},
      .fixes = {
          {.title = in_tmp ? "On the host, see whether /tmp is full, read-only "
                             "or not of mode 1777"
                           : "On the host, make ~/.ssh/agent a folder "
                             "that you can write to",
           .safety = Safety::kManual,
           .shell_lines = {in_tmp ? "df -h /tmp; df -i /tmp; ls -ld /tmp"
                                  : "df -h ~; mkdir -p -m 700 ~/.ssh/agent; "
                                    "ls -ld ~ ~/.ssh ~/.ssh/agent"}}}};
}

/// sshd_config is only a hint (which Match applies, whether it was loaded), so
/// it adds evidence and never decides.
void AddServerConfig(const Facts& facts, Finding& finding) {
  const auto* lines = facts.far.server_config.get();
  if (!lines) return;
  for (const ServerConfigLine& line : *lines)
    finding.evidence.push_back(
        {.source = "sshd_config",
         .text = line.text +
                 (line.match.empty() ? "" : "  (under \"" + line.match + "\")"),
         .file = line.file,
         .line = line.line});
}

/// Other servers do not announce the options of a key (dropbear), and libssh
/// passes on nothing that a server announces, so theirs may be the refusal.
bool AnnouncesKeyOptions(const Facts& facts, const Logins& logins) {
  return logins.speaks && facts.link.client != "libssh" &&
         (logins.speaks->server_version.empty() ||
          logins.speaks->server_version.starts_with("OpenSSH"));
}

/// The server's decision about a fresh login, in its words if it was asked.
Evidence Granted(const Facts& facts, const Control& control) {
  const std::string shown = control.granted_shown_by;
  if (*control.granted)
    return {.source = FreshLogin(facts),
            .text = "the server grants agent forwarding (" +
                    (shown.empty() ? "auth-agent-req@openssh.com: SUCCESS"
                                   : shown) +
                    ")"};
  return {
      .source = FreshLogin(facts),
      .text = "the server refuses agent forwarding (" +
              (shown.empty() ? "auth-agent-req@openssh.com: FAILURE" : shown) +
              ")"};
}

Finding ServerDenies(const Facts& facts, const Logins& logins, bool refused) {
  const bool announces = AnnouncesKeyOptions(facts, logins);
  const bool proven = refused && announces;
  Finding finding{.code = "server-denies-forwarding",
                  .certainty = proven ? Certainty::kProven : Certainty::kLikely,
                  .summary = "the server at " + facts.request.destination +
                             " does not allow agent forwarding"};
  finding.explanation =
      proven    ? "It refuses the request itself, and what it announced of the "
                  "key's options allows it: AllowAgentForwarding no or "
                  "DisableForwarding yes in its configuration, perhaps under a "
                  "Match line or in a drop-in file."
      : refused ? "It refuses the request itself. This server does not say "
                  "whether its configuration or an option of the key "
                  "(no-agent-forwarding) is why."
      : facts.link.client == "libssh"
          ? "Forwarding was requested, and the server made no socket: "
            "AllowAgentForwarding no or DisableForwarding yes in its "
            "configuration, or restrict or no-agent-forwarding in front of "
            "the key. ssh is told which of them; libssh does not pass it on."
          : "ssh asked for forwarding, the key's options allow it, and no "
            "error was reported, yet sshd made no socket: probably "
            "AllowAgentForwarding no or DisableForwarding yes, perhaps "
            "under a Match line or in a drop-in file.";
  if (refused) finding.evidence.push_back(Granted(facts, *logins.control));
  if (logins.session) {
    finding.evidence.push_back({.source = LoginSource(facts, "-v"),
                                .text = "agent forwarding was requested"});
    if (logins.session->end == SessionEnd::kProbed)
      finding.evidence.push_back(
          {.source = Probe(facts), .text = "sshd handed over no agent socket"});
  }
  if (logins.speaks) {
    for (const KeyOptions& options : logins.speaks->key_options)
      finding.evidence.push_back(Announced(logins.source, options));
    if (!logins.speaks->server_version.empty())
      finding.evidence.push_back(
          {.source = logins.source,
           .text = "remote software version " + logins.speaks->server_version});
  }
  AddServerConfig(facts, finding);

  Fix fix{.title = "Ask the server's administrator to allow it",
          .safety = Safety::kManual,
          .shell_lines = {"sshd -t && systemctl reload ssh"}};
  Edit edit{.file = "/etc/ssh/sshd_config", .text = "AllowAgentForwarding yes"};
  if (const auto* lines = facts.far.server_config.get())
    for (const ServerConfigLine& line : *lines)
      if (IsNo(line.text.substr(line.text.find_last_of(" \t=") + 1)) ||
          line.text.starts_with("Disable")) {
        edit.file = line.file;
        edit.line = line.line;
        edit.replaces = true;
        if (line.text.starts_with("Disable"))
          edit.text = "DisableForwarding no";
        break;
      }
  fix.edits = {edit};
  if (facts.link.client == "libssh") {
    std::vector<std::string> by_ssh = Ssh(facts);
    by_ssh.front() = "agentdoctor";
    by_ssh.insert(by_ssh.begin() + 1, "run");
    finding.fixes.push_back({.title = "See which of them it is, by ssh",
                             .safety = Safety::kManual,
                             .commands = {std::move(by_ssh)}});
  }
  finding.fixes.push_back(std::move(fix));
  finding.fixes.push_back(
      {.title = "Do without it: ProxyJump reaches hosts behind this one, a "
                "deploy key serves git",
       .safety = Safety::kManual});
  return finding;
}

bool IsTinySsh(const std::string& version) {
  std::string lower(version);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return lower.find("tinyssh") != std::string::npos;
}

void JudgeForcedCommand(const Facts& facts, const Session& session,
                        Answer& answer) {
  const Transcript& transcript = session.transcript;
  if (session.end != SessionEnd::kNoProbe ||
      !(transcript.authenticated || ThroughMaster(facts)))
    return;
  const bool announced =
      std::ranges::any_of(transcript.key_options, &KeyOptions::forced_command);
  Finding finding{
      .code = "forced-command",
      .severity = Severity::kWarning,
      .certainty = announced ? Certainty::kProven : Certainty::kLikely,
      .summary =
          announced
              ? facts.request.destination +
                    " runs a command of its own, whatever is asked for: the "
                    "remote side can't be examined"
              : facts.request.destination +
                    " probably runs a command of its own, or a start-up file "
                    "of the login shell ends or replaces it: the remote side "
                    "can't be examined",
      .explanation =
          announced
              ? "A command= in front of the key answered instead of the probe. "
                "Nothing was fed to it."
              : "The session ended without running the probe. Either a "
                "ForceCommand or a login shell that is none (a git forge, sftp "
                "only, nologin, network gear) answered, or a start-up file of "
                "the login shell ends or replaces it (exit, exec) before a "
                "command is read. Nothing was fed to it.",
      .fixes = {{.title = "Examine the host with a login that gets a shell, if "
                          "you have one",
                 .safety = Safety::kManual}}};
  if (!announced) {
    std::vector<std::string> shortest = Ssh(facts);
    shortest.insert(shortest.end(), {"echo", "here"});
    finding.fixes.push_back(
        {.title = "If `here` does not come back and a shell is wanted there, "
                  "let the start-up file leave alone what is not interactive, "
                  "in front of its exit or exec",
         .safety = Safety::kManual,
         .commands = {std::move(shortest)},
         .shell_lines = {"case $- in *i*) ;; *) return ;; esac"}});
  }
  for (const KeyOptions& options : transcript.key_options)
    if (options.forced_command)
      finding.evidence.push_back(Announced(LoginSource(facts, "-v"), options));
  if (!session.output_head.empty())
    finding.evidence.push_back(
        {.source = "output", .text = session.output_head});
  if (finding.evidence.empty())
    finding.evidence.push_back(
        {.source = "output", .text = "the session ended without a word"});
  const Control* control = facts.link.control.get();
  if (control && control->granted.known())
    finding.evidence.push_back(Granted(facts, *control));
  if (session.canary_asked)
    finding.evidence.push_back(
        {.source = LoginSource(facts),
         .text = "the server asked the agent that was forwarded, a canary"});
  answer.findings.push_back(std::move(finding));
}

void JudgePolicy(const Facts& facts, const Session& session, Answer& answer) {
  const Logins logins = FreshLogins(facts);
  const bool* granted =
      logins.control ? logins.control->granted.get() : nullptr;
  const bool probed = session.end == SessionEnd::kProbed;
  const HandedOver handed = probed ? LookAtHandedOver(facts) : HandedOver{};

  if (granted && *granted) {
    answer.summary = "the server grants forwarding";
    return;
  }
  if (session.canary_asked) {
    answer.summary = "the server asked the agent that was forwarded, a canary";
    return;
  }
  if (!granted && handed.made == true) {
    answer.summary = "sshd made a socket for this connection";
    return;
  }

  // What explains a refusal, nearest to the user's own hands first; one of
  // them is enough.
  const Transcript* speaks = logins.speaks;
  if (speaks && Denying(*speaks)) {
    answer.findings.push_back(KeyDenies(facts, logins, *Denying(*speaks)));
    return;
  }
  if (logins.control && Denying(logins.control->transcript)) {
    Logins fresh = logins;
    fresh.speaks = &logins.control->transcript;
    fresh.source = FreshLogin(facts);
    answer.findings.push_back(KeyDenies(facts, fresh, *Denying(*fresh.speaks)));
    return;
  }
  for (const Transcript* transcript :
       {logins.session ? &logins.session->transcript : nullptr,
        logins.control ? &logins.control->transcript : nullptr})
    if (transcript && !transcript->listener_failure.empty()) {
      answer.findings.push_back(
          SocketFailed(facts, logins, transcript->listener_failure));
      return;
    }
  if (speaks && IsTinySsh(speaks->server_version)) {
    answer.findings.push_back(
        {.code = "server-unsupported",
         .summary = "the server software at " + facts.request.destination +
                    " has no agent forwarding: " + speaks->server_version,
         .explanation = "No setting changes that; another server would.",
         .evidence = {{.source = logins.source,
                       .text = "remote software version " +
                               speaks->server_version}},
         .fixes = {{.title = "Do without forwarding, or install OpenSSH there",
                    .safety = Safety::kManual}}});
    return;
  }
  if (granted) {
    answer.findings.push_back(ServerDenies(facts, logins, true));
    return;
  }
  if (!logins.session) {
    if (!facts.link.control.known())
      throw FactUnknown(facts.link.control.reason());
    if (logins.control) throw FactUnknown(logins.control->granted.reason());
    throw FactUnknown("no fresh login could be had" +
                      (facts.link.control->fault
                           ? ": " + facts.link.control->fault->message
                           : std::string()));
  }
  if (!probed) {
    if (!facts.link.control.known())
      throw FactUnknown(facts.link.control.reason());
    ProbedSession(facts);
  }
  const bool* requested = logins.session->transcript.forwarding_requested.get();
  if (!requested)
    throw FactUnknown(logins.session->transcript.forwarding_requested.reason());
  if (!*requested) throw FactUnknown("forwarding was not requested");
  if (logins.session->transcript.disabled_by_host_key)
    throw FactUnknown("ssh disabled forwarding by itself");
  if (!handed.made)
    throw FactUnknown(
        "whether sshd made a socket for this connection can't "
        "be seen");
  answer.findings.push_back(ServerDenies(facts, logins, false));
}

Answer Run(const Facts& facts) {
  Answer answer;
  const Session& session = *facts.link.session;
  const Control* control = facts.link.control.get();
  const bool opened = session.end == SessionEnd::kProbed ||
                      session.end == SessionEnd::kNoProbe ||
                      session.transcript.authenticated ||
                      (control && control->logged_in);
  if (!opened) ProbedSession(facts);  // says why there is none
  JudgeForcedCommand(facts, session, answer);
  Ask(answer, [&] { JudgePolicy(facts, session, answer); });
  return answer;
}

}  // namespace

constinit const Check kServerPolicy{
    .id = "server-policy",
    .stage = Stage::kServer,
    .title = "The server allows agent forwarding",
    .run = Run,
    .codes = kCodes};

}  // namespace agentdoctor::checks
