// Does the server allow forwarding: its configuration, the key's options, its
// socket?
#include <algorithm>
#include <array>

#include "checks.h"
#include "forced_command.h"
#include "path.h"
#include "server_software.h"
#include "tsh.h"
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

/// The server's answer to a request for forwarding, if one wanted it: the
/// control, or PuTTY's own session.
const bool* Granted(const Logins& logins) {
  if (logins.control)
    if (const bool* granted = logins.control->granted.get()) return granted;
  return logins.session ? logins.session->transcript.forwarding_granted.get()
                        : nullptr;
}

/// The same as evidence; there has to be one.
Evidence Answered(const Facts& facts, const Logins& logins) {
  if (logins.control && logins.control->granted.known())
    return PolicyAnswer(facts, *logins.control);
  return {.source = LoginSource(facts, "-v"),
          .text = *Granted(logins) ? "the server grants agent forwarding "
                                     "(auth-agent-req@openssh.com: SUCCESS)"
                                   : "the server refuses agent forwarding "
                                     "(auth-agent-req@openssh.com: FAILURE)"};
}

/// Key options are ANDed over the sources: a line of authorized_keys, a
/// certificate, a principals file.
const KeyOptions* Denying(const Transcript& transcript) {
  const auto denying = std::ranges::find(transcript.key_options, false,
                                         &KeyOptions::agent_forwarding);
  return denying == transcript.key_options.end() ? nullptr : &*denying;
}

/// What an sshd up to 7.6 says, without a source, is of the line alone.
bool FromCertificate(const Transcript& transcript, const KeyOptions& options) {
  return options.source == "cert" ||
         (transcript.accepted_certificate && !options.source.empty());
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
    const bool placed = !options.source.empty();
    finding.summary = (placed ? options.source : "the line of the key in use") +
                      " on " + facts.request.destination +
                      " does not allow agent forwarding" +
                      (placed ? " for the key in use" : "");
    finding.explanation =
        "The line has `restrict` or `no-agent-forwarding` in front of " + key +
        ".";
    const bool dropbear =
        SoftwareOf(transcript.server_version) == Software::kDropbear;
    // An option that dropbear does not know makes it refuse the key.
    finding.fixes = {
        {.title = dropbear ? "On the host, remove `no-agent-forwarding` from "
                             "that line, or put `no-port-forwarding,"
                             "no-X11-forwarding,no-pty` in place of `restrict` "
                             "(dropbear knows no `agent-forwarding`, and would "
                             "refuse the key)"
                           : "On the host, remove `no-agent-forwarding` from "
                             "that line, or add `agent-forwarding` behind "
                             "`restrict`",
         .safety = Safety::kManual},
        {.title = "Log in with another key of yours that is not restricted",
         .safety = Safety::kManual}};
  }
  for (const KeyOptions& announced : transcript.key_options)
    finding.evidence.push_back(Announced(logins.source, announced));
  if (!AnnouncesKeyOptions(facts) && Granted(logins))
    finding.evidence.push_back(Answered(facts, logins));
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

/// What a server other than OpenSSH's can be told, by whoever runs it.
std::vector<Fix> OtherServersRemedies(Software software, bool key_allows) {
  if (software == Software::kDropbear) {
    Fix look{.title = key_allows ? "On the host, see whether /tmp is full, "
                                   "read-only or not of mode 1777"
                                 : "On the host, see whether an option of your "
                                   "key or /tmp is why",
             .safety = Safety::kManual,
             .shell_lines = {"ls -ld /tmp; df /tmp"}};
    if (!key_allows)
      look.shell_lines.insert(look.shell_lines.begin(),
                              "grep -n -e no-agent-forwarding -e restrict "
                              "~/.ssh/authorized_keys");
    return {std::move(look),
            {.title = "If not, this dropbear was built without agent "
                      "forwarding (DROPBEAR_SVR_AGENTFWD): ask for one that "
                      "has it, or for OpenSSH's sshd",
             .safety = Safety::kManual}};
  }
  return {{.title = "Ask whoever runs the server to allow agent forwarding",
           .safety = Safety::kManual}};
}

Fix SshdsRemedy(const Facts& facts) {
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
  return fix;
}

/// Why a server says no, as far as that can be told; \a refused: it said so;
/// \a key_allows: the key's options were looked up.
std::string WhyDenied(const Facts& facts, Software software, bool refused,
                      bool key_allows) {
  const bool by_libssh = facts.link.client == "libssh";
  if (IsSshd(software) && !refused && by_libssh)
    return "Forwarding was requested, and the server made no socket: "
           "AllowAgentForwarding no or DisableForwarding yes in its "
           "configuration, or restrict or no-agent-forwarding in front of the "
           "key. ssh is told which of them; libssh does not pass it on.";
  if (AnnouncesKeyOptions(facts))
    return refused
               ? "It refuses the request itself, and what it announced of the "
                 "key's options allows it: AllowAgentForwarding no or "
                 "DisableForwarding yes in its configuration, perhaps under a "
                 "Match line or in a drop-in file."
               : Program(facts) +
                     " asked for forwarding, the key's options allow it, and "
                     "no error was reported, yet sshd made no socket: probably "
                     "AllowAgentForwarding no or DisableForwarding yes, "
                     "perhaps under a Match line or in a drop-in file.";
  const std::string how = refused ? "It refuses the request itself. "
                                  : Program(facts) +
                                        " asked for forwarding, and no agent "
                                        "socket was made. ";
  if (software == Software::kDropbear)
    return how +
           (key_allows
                ? "dropbear has no setting for it, and the key's options "
                  "allow it: its folder in /tmp could not be made, or it was "
                  "built without agent forwarding."
                : "dropbear has no setting for it: an option of the key "
                  "forbids it "
                  "(no-agent-forwarding, restrict), which dropbear does not "
                  "announce, or its folder in /tmp could not be made, or it "
                  "was built without agent forwarding.");
  return how +
         "This server does not say whether its configuration or an option of "
         "the key (no-agent-forwarding, a certificate without "
         "permit-agent-forwarding) is why.";
}

Finding ServerDenies(const Facts& facts, const Logins& logins, bool refused) {
  const Software software = SoftwareOf(ServerVersion(facts));
  const bool announces = AnnouncesKeyOptions(facts);
  // Looked up by the control login, where the server announces none.
  const std::vector<KeyOptions> looked_up =
      !announces && logins.control ? logins.control->transcript.key_options
                                   : std::vector<KeyOptions>();
  Finding finding{
      .code = "server-denies-forwarding",
      .certainty =
          refused && announces ? Certainty::kProven : Certainty::kLikely,
      .summary = "the server at " + facts.request.destination +
                 " does not allow agent forwarding",
      .explanation = WhyDenied(facts, software, refused, !looked_up.empty())};
  if (refused) finding.evidence.push_back(Answered(facts, logins));
  if (logins.session) {
    finding.evidence.push_back(
        {.source = IsTsh(facts) ? "tsh's rules" : LoginSource(facts, "-v"),
         .text = "agent forwarding was requested"});
    if (logins.session->end == SessionEnd::kProbed)
      finding.evidence.push_back({.source = Probe(facts),
                                  .text = std::string(DaemonName(software)) +
                                          " handed over no agent socket"});
  }
  for (const KeyOptions& options : looked_up)
    finding.evidence.push_back(Announced(FreshLogin(facts), options));
  if (logins.speaks) {
    for (const KeyOptions& options : logins.speaks->key_options)
      if (looked_up.empty())
        finding.evidence.push_back(Announced(logins.source, options));
    if (!logins.speaks->server_version.empty())
      finding.evidence.push_back(
          {.source = logins.source,
           .text = "remote software version " + logins.speaks->server_version});
  }
  if (IsTsh(facts)) {
    AddServerConfig(facts, finding);
    finding.fixes = {SpeakOfRoles(finding, SshdsRemedy(facts), refused)};
    return finding;
  }
  if (IsSshd(software)) {
    AddServerConfig(facts, finding);
    if (facts.link.client == "libssh") {
      std::vector<std::string> by_ssh = Ssh(facts);
      by_ssh.front() = "agentdoctor";
      by_ssh.insert(by_ssh.begin() + 1, "run");
      finding.fixes.push_back({.title = "See which of them it is, by ssh",
                               .safety = Safety::kManual,
                               .commands = {std::move(by_ssh)}});
    }
    finding.fixes.push_back(SshdsRemedy(facts));
  } else {
    finding.fixes = OtherServersRemedies(software, !looked_up.empty());
  }
  finding.fixes.push_back({.title = "Do without it: ProxyJump reaches hosts "
                                    "behind this one, a deploy key serves git",
                           .safety = Safety::kManual});
  return finding;
}

/// \a refused: the server said so; \a no_socket: a session showed it.
Finding Unsupported(const Facts& facts, const Logins& logins, bool refused,
                    bool no_socket) {
  const std::string version = ServerVersion(facts);
  const Software software = SoftwareOf(version);
  Finding finding{
      .code = "server-unsupported",
      .certainty =
          refused || no_socket ? Certainty::kProven : Certainty::kLikely,
      .summary = "the server software at " + facts.request.destination +
                 " has no agent forwarding: " + version,
      .explanation = software == Software::kWindows
                         ? "OpenSSH's server on Windows refuses it: there is "
                           "no socket that it could make for an agent. No "
                           "setting changes that; its client can forward to "
                           "other machines all the same."
                         : "No setting changes that; another server would.",
      .evidence = {{.source = logins.source,
                    .text = "remote software version " + version}}};
  if (refused)
    finding.evidence.push_back(Answered(facts, logins));
  else if (no_socket)
    finding.evidence.push_back(
        {.source = Probe(facts),
         .text = "no agent socket was handed over, though one was asked for"});
  if (software == Software::kWindows) {
    for (const Transcript* transcript :
         {logins.session ? &logins.session->transcript : nullptr,
          logins.control ? &logins.control->transcript : nullptr})
      if (transcript && !transcript->listener_failure.empty()) {
        finding.evidence.push_back(
            {.source = logins.source,
             .text = "Remote: " + transcript->listener_failure});
        break;
      }
    finding.fixes = {
        {.title = "Do without forwarding, or log in to an sshd that runs in "
                  "WSL there",
         .safety = Safety::kManual}};
  } else {
    finding.fixes = {{.title = "Do without forwarding, or install OpenSSH "
                               "there",
                      .safety = Safety::kManual}};
  }
  return finding;
}

void JudgePolicy(const Facts& facts, const Session& session, Answer& answer) {
  const Logins logins = FreshLogins(facts);
  const bool* granted = Granted(logins);
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
    answer.summary = std::string(DaemonName(SoftwareOf(ServerVersion(facts)))) +
                     " made a socket for this connection";
    return;
  }

  if (FindForge(facts)) {
    answer.summary = granted ? "the server refuses forwarding, as git forges do"
                             : "a git forge needs no forwarded agent";
    return;
  }
  const bool* requested =
      logins.session ? logins.session->transcript.forwarding_requested.get()
                     : nullptr;
  if (LacksForwarding(SoftwareOf(ServerVersion(facts)))) {
    answer.findings.push_back(
        Unsupported(facts, logins, granted != nullptr,
                    requested && *requested && handed.made == false));
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
