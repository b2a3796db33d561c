#include "forced_command.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "path.h"
#include "server_software.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

/// What was found out about the key, in the words of a sentence.
std::string KeyThatLoggedIn(const Facts& facts, const Session& session) {
  const Transcript* transcript = &session.transcript;
  const Control* control = facts.link.control.get();
  if (transcript->accepted_key.empty() && control && control->logged_in)
    transcript = &control->transcript;
  // "ED25519 SHA256:... explicit agent"
  const std::vector<std::string> words = Words(transcript->accepted_key);
  if (words.size() < 2) return "the login works";
  return "the key " + words[0] + " " + words[1] + " logs in";
}

/// ssh's words where the server takes no command at all (clientloop.c,
/// client_status_confirm).
bool RefusesCommands(const Session& session) {
  return std::ranges::any_of(
      session.transcript.messages, [](const std::string& message) {
        return message.starts_with("exec request failed on channel ");
      });
}

void DescribeForge(const Facts& facts, const Session& session,
                   const Forge& forge, Finding& finding) {
  const std::string& host = facts.request.destination;
  finding.certainty = forge.sure ? Certainty::kProven : Certainty::kLikely;
  finding.summary = host + (forge.sure ? " is" : " is probably") +
                    " a git forge" +
                    (forge.product.empty() ? "" : " (" + forge.product + ")") +
                    ", which gives no shell: no agent is needed there, and " +
                    KeyThatLoggedIn(facts, session);
  finding.explanation =
      "A forge runs git's own commands and nothing else, so nothing there "
      "could use a forwarded agent, whether or not the server would forward "
      "one. What matters is that a key of yours logs in. Whether a forwarded "
      "agent can use the forge from another host, only that host shows.";
  finding.fixes = {
      {.title = "Examine the host from which git is to use the forge, with "
                "its name for HOST",
       .safety = Safety::kManual,
       .commands = {{"agentdoctor", "run", "HOST", "--to", host}}}};
}

void DescribeWindows(const Facts& facts, Finding& finding) {
  finding.certainty = Certainty::kLikely;
  finding.summary =
      facts.request.destination +
      " is a Windows machine, whose shell can't run the probe: the remote side "
      "can't be examined";
  finding.explanation =
      "The probe is a program for a POSIX shell; cmd.exe and PowerShell have "
      "none.";
  finding.fixes = {{.title = "Examine an sshd that runs in WSL there, if that "
                             "is where you work",
                    .safety = Safety::kManual}};
}

void DescribeRefusal(const Facts& facts, Finding& finding) {
  finding.certainty = Certainty::kProven;
  finding.summary = facts.request.destination +
                    " lets you in and runs no commands: the remote side can't "
                    "be examined";
  finding.explanation =
      "The server refuses the request to run a command, as network gear and "
      "single-purpose servers do.";
}

void DescribeAnnounced(const Facts& facts, Finding& finding) {
  finding.certainty = Certainty::kProven;
  finding.summary = facts.request.destination +
                    " runs a command of its own, whatever is asked for: the "
                    "remote side can't be examined";
  finding.explanation =
      "A command= in front of the key answered instead of the probe. Nothing "
      "was fed to it.";
}

void DescribeUnknown(const Facts& facts, Finding& finding) {
  finding.certainty = Certainty::kLikely;
  finding.summary =
      facts.request.destination +
      " probably runs a command of its own, or a start-up file of the login "
      "shell ends or replaces it: the remote side can't be examined";
  finding.explanation =
      "The session ended without running the probe. Either a ForceCommand or a "
      "login shell that is none (a git forge, sftp only, nologin, network "
      "gear) answered, or a start-up file of the login shell ends or replaces "
      "it (exit, exec) before a command is read. Nothing was fed to it.";
  std::vector<std::string> shortest = Ssh(facts);
  shortest.insert(shortest.end(), {"echo", "here"});
  finding.fixes.push_back(
      {.title = "If `here` does not come back and a shell is wanted there, let "
                "the start-up file leave alone what is not interactive, in "
                "front of its exit or exec",
       .safety = Safety::kManual,
       .commands = {std::move(shortest)},
       .shell_lines = {"case $- in *i*) ;; *) return ;; esac"}});
}

void AddEvidence(const Facts& facts, const Session& session, Finding& finding) {
  for (const KeyOptions& options : session.transcript.key_options)
    if (options.forced_command)
      finding.evidence.push_back(Announced(LoginSource(facts, "-v"), options));
  if (!session.output_head.empty())
    finding.evidence.push_back(
        {.source = "output", .text = session.output_head});
  if (finding.evidence.empty())
    finding.evidence.push_back(
        {.source = "output", .text = "the session ended without a word"});
  // sshd is what an account without a shell mostly stands behind.
  if (const std::string version = ServerVersion(facts);
      !version.empty() && SoftwareOf(version) != Software::kOpenSsh)
    finding.evidence.push_back({.source = LoginSource(facts, "-v"),
                                .text = "remote software version " + version});
  if (session.canary_asked)
    finding.evidence.push_back(
        {.source = LoginSource(facts),
         .text = "the server asked the agent that was forwarded, a canary"});
  const Control* control = facts.link.control.get();
  if (!control) return;
  if (!control->greeting.empty())
    finding.evidence.push_back(
        {.source = FreshLogin(facts), .text = control->greeting});
  if (control->granted.known())
    finding.evidence.push_back(PolicyAnswer(facts, *control));
}

}  // namespace

// "FILE:LINE" taken apart; a source that is none has no line.
Evidence Announced(const std::string& source, const KeyOptions& options) {
  // Up to 7.6 sshd speaks of each option in words, and not of where it stands.
  if (options.source.empty())
    return {.source = source, .text = "Remote: " + options.options};
  const std::string words =
      "key options: " + (options.options.empty() ? "none" : options.options);
  Evidence evidence{.source = source,
                    .text = "Remote: " + options.source + ": " + words};
  const std::size_t colon = options.source.rfind(':');
  if (options.source.starts_with("/") && colon != std::string::npos &&
      colon + 1 < options.source.size() &&
      std::ranges::all_of(options.source.substr(colon + 1), [](char c) {
        return std::isdigit(static_cast<unsigned char>(c)) != 0;
      })) {
    evidence.file = options.source.substr(0, colon);
    const std::string line = options.source.substr(colon + 1);
    if (line.size() < 9) evidence.line = std::stoi(line);
    evidence.text = words;
  }
  return evidence;
}

void JudgeForcedCommand(const Facts& facts, const Session& session,
                        Answer& answer) {
  const Transcript& transcript = session.transcript;
  // tsh gives a session up where the server refuses to forward an agent.
  if (IsTsh(facts) && session.transcript.forwarding_granted.known()) return;
  if (session.end != SessionEnd::kNoProbe ||
      !(transcript.authenticated || ThroughMaster(facts)))
    return;
  Finding finding{
      .code = "forced-command",
      .severity = Severity::kWarning,
      .fixes = {{.title = "Examine the host with a login that gets a shell, if "
                          "you have one",
                 .safety = Safety::kManual}}};
  if (const std::optional<Forge> forge = FindForge(facts))
    DescribeForge(facts, session, *forge, finding);
  else if (std::ranges::any_of(transcript.key_options,
                               &KeyOptions::forced_command))
    DescribeAnnounced(facts, finding);
  else if (SoftwareOf(ServerVersion(facts)) == Software::kWindows)
    DescribeWindows(facts, finding);
  else if (RefusesCommands(session))
    DescribeRefusal(facts, finding);
  else
    DescribeUnknown(facts, finding);
  AddEvidence(facts, session, finding);
  answer.findings.push_back(std::move(finding));
}

}  // namespace agentdoctor::checks
