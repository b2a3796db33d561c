// Does the session's SSH_AUTH_SOCK lead to the forwarded agent?
#include <algorithm>
#include <array>

#include "checks.h"
#include "path.h"
#include "shell.h"
#include "tsh.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

constexpr std::array<std::string_view, 5> kCodes = {
    "remote-env-overridden", "remote-env-cleared", "remote-socket-dead",
    "remote-identity-agent", "remote-keys-differ"};

/// SSH_AUTH_SOCK of the session; nothing if unset or empty, which is the same
/// to ssh since 8.0.
std::optional<std::string> SessionSocket(const Facts& facts) {
  const std::optional<std::string>& value = *JudgedSide(facts).auth_sock;
  return value && !value->empty() ? value : std::nullopt;
}

std::string_view BaseName(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

Evidence AsEvidence(const StartupLine& line) {
  return {.source = "start-up file",
          .text = line.text,
          .file = line.file,
          .line = line.line};
}

std::vector<const StartupLine*> Lines(const Facts& facts) {
  std::vector<const StartupLine*> lines;
  if (const auto* known = JudgedSide(facts).startup_lines.get())
    for (const StartupLine& line : *known)
      if (line.effect != StartupEffect::kLinks) lines.push_back(&line);
  return lines;
}

/// The lines that act in `ssh HOST COMMAND`, or in the shell one sits in: those
/// whose effect the probe saw.
std::vector<const StartupLine*> ActingLines(const Facts& facts) {
  std::vector<const StartupLine*> lines = Lines(facts);
  // The shell one sits in has read the others, too.
  std::erase_if(lines, [&facts](const StartupLine* line) {
    return line->guarded ||
           (HasLink(facts) && (line->scope == StartupScope::kLogin ||
                               line->scope == StartupScope::kInteractive));
  });
  return lines;
}

/// A plugin in the list of oh-my-zsh, perhaps one of several lines.
bool IsPlugin(const StartupLine& line) {
  return line.text.find("plugins") != std::string::npos &&
         line.text.find("=(") != std::string::npos;
}

Fix GuardPlugin(const StartupLine& line) {
  Fix fix{.title =
              "On the host, keep a forwarded agent: let the plugin step "
              "back where one is forwarded",
          .safety = Safety::kManual};
  Edit edit{.file = line.file};
  if (line.text.find("ssh-agent") != std::string::npos) {
    // The list itself may have begun some lines before.
    if (line.text.find("(... ") == std::string::npos) edit.line = line.line;
    edit.text = "zstyle :omz:plugins:ssh-agent agent-forwarding yes";
    fix.title += "; the line stands before oh-my-zsh.sh is sourced";
  } else {
    const bool gpg = line.text.find("gpg-agent") != std::string::npos;
    edit.text = "[[ -n $SSH_CONNECTION && -S $SSH_AUTH_SOCK ]] || plugins+=(" +
                std::string(gpg ? "gpg-agent" : "keychain") + ")";
    fix.title += ": take it out of the list, and put this behind the list";
  }
  fix.edits = {std::move(edit)};
  return fix;
}

/// A line that can't be put into a block by itself: a part of a longer command.
bool IsPartOfMore(std::string_view text) {
  for (const std::string_view end :
       {"\\", "&&", "||", "|", "{", "(", "then", "do", "else"})
    if (text.ends_with(end)) return true;
  const std::string_view first = text.substr(0, text.find_first_of(" \t;"));
  for (const std::string_view word :
       {"fi", "}", "else", "elif", "done", "esac", "end", "endif", "&&", "||"})
    if (first == word) return true;
  return (first == "if" || first == "for" || first == "while" ||
          first == "case") &&
         text.find("; fi") == std::string_view::npos &&
         text.find("; done") == std::string_view::npos &&
         text.find("esac") == std::string_view::npos &&
         text.find("; end") == std::string_view::npos;
}

/// Whose output names the file and line that sets the variable.
std::string TraceLine(const Side& side) {
  const std::string* shell = side.shell.get();
  const std::string_view name =
      shell ? BaseName(*shell) : std::string_view("bash");
  if (name == "zsh")
    return "PS4='+%x:%I: ' zsh -xlic : 2>&1 | grep -a SSH_AUTH_SOCK";
  if (name == "fish") return "fish -lic 'set --show SSH_AUTH_SOCK'";
  if (name == "tcsh" || name == "csh")
    return std::string(name) + " -Xc : |& grep -a SSH_AUTH_SOCK";
  if (name == "bash" || name == "rbash")
    // Of root's environment bash takes no PS4.
    return "bash -ic 'PS4=\"+\\$BASH_SOURCE:\\$LINENO: \"; set -x; for f in "
           "/etc/profile ~/.bash_profile ~/.profile ~/.bashrc; do [ -r $f ] && "
           ". $f; done' 2>&1 | grep -a SSH_AUTH_SOCK";
  return std::string(name) + " -xlic : 2>&1 | grep -a SSH_AUTH_SOCK";
}

/// Where the probe looked for lines.
std::string LookedAt(const Side& side, bool by_sshd) {
  if (!side.startup_lines.known())
    return "The start-up files there could not be read: " +
           side.startup_lines.reason() + ".";
  const std::string* shell = side.shell.get();
  const std::string_view name =
      shell ? BaseName(*shell) : std::string_view("sh");
  std::string files;
  if (name == "zsh")
    files = ".zshenv, .zprofile, .zshrc, .zlogin and their namesakes in /etc";
  else if (name == "fish")
    files = "config.fish, conf.d, and their namesakes in /etc/fish";
  else if (name == "tcsh" || name == "csh")
    files =
        ".tcshrc or .cshrc, .login, /etc/csh.cshrc, /etc/csh.login, "
        "/etc/profile.d";
  else
    files =
        "/etc/profile, /etc/profile.d, /etc/bash.bashrc, .bash_profile, "
        ".bash_login, .profile, .bashrc";
  const std::string sshds =
      "~/.ssh/environment, ~/.pam_environment, ~/.config/environment.d, "
      "/etc/environment or /etc/security/pam_env.conf";
  if (by_sshd) return "No line that does it was found in " + sshds + ".";
  return "No line that does it was found in the start-up files of " +
         std::string(name) + " (" + files + "), nor in " + sshds +
         ". It may stand in a file that one of them reads.";
}

Fix Guard(const Side& side, const StartupLine* line) {
  if (!line)
    return {.title =
                "On the host, find the start-up file that does it, and let it "
                "keep a forwarded agent; this runs them and shows each step",
            .safety = Safety::kManual,
            .shell_lines = {TraceLine(side)}};
  if (line->scope == StartupScope::kSession ||
      line->effect == StartupEffect::kUnsets)
    return {.title = "On the host, remove the setting at " + line->file + ":" +
                     std::to_string(line->line),
            .safety = Safety::kManual};
  if (IsPlugin(*line)) return GuardPlugin(*line);
  Fix fix{
      .title = "On the host, keep a forwarded agent: guard what replaces it",
      .safety = Safety::kManual};
  Edit edit{.file = line->file, .line = line->line, .replaces = true};
  const Syntax syntax = SyntaxOf(line->file);
  if (IsPartOfMore(line->text)) {
    fix.title +=
        "; the line is part of a longer command, which belongs "
        "between these";
    edit.text =
        Guarded("# from line " + std::to_string(line->line) + ": " + line->text,
                syntax);
    edit.replaces = false;
  } else {
    edit.text = Guarded(line->text, syntax);
  }
  fix.edits = {std::move(edit)};
  return fix;
}

/// sshd itself began the session with \a value: no file of a shell did.
bool CameFromSshd(const Facts& facts, const std::string& value) {
  const auto* initial = JudgedSide(facts).initial_auth_sock.get();
  return initial && *initial && **initial == value;
}

/// The lines that can have put the session's value there: of the files that
/// sshd reads where it handed the value over, else all.
std::vector<const StartupLine*> Culprits(const Facts& facts) {
  std::vector<const StartupLine*> lines = ActingLines(facts);
  const std::optional<std::string> socket = SessionSocket(facts);
  const auto names_it = [&](const StartupLine* line) {
    return socket && line->text.find(*socket) != std::string::npos;
  };
  if (socket && CameFromSshd(facts, *socket))
    std::erase_if(lines, [](const StartupLine* line) {
      return line->scope != StartupScope::kSession;
    });
  // Of systemd's user manager; only a session that it starts reads them.
  std::erase_if(lines, [&](const StartupLine* line) {
    return line->file.find("/environment.d/") != std::string::npos &&
           !names_it(line);
  });
  // Not that of std::ranges, which clang 14 does not take.
  std::stable_partition(lines.begin(), lines.end(), names_it);
  return lines;
}

/// Adds what sshd handed over and which lines replaced it.
void AddCulprits(const Facts& facts, const HandedOver& handed,
                 Finding& finding) {
  if (const auto* initial = JudgedSide(facts).initial_auth_sock.get();
      initial && *initial)
    finding.evidence.push_back(
        {.source = Probe(facts),
         .text = "handed over: SSH_AUTH_SOCK=" + **initial});
  for (const std::string& socket : handed.sockets) {
    const Agent* agent = FindAgent(JudgedSide(facts), socket);
    finding.evidence.push_back(
        {.source = Probe(facts),
         .text = "sshd's socket: " + socket +
                 (agent ? ": " + StateWords(*agent) : std::string())});
  }
  const auto lines = Culprits(facts);
  for (const StartupLine* line : lines)
    finding.evidence.push_back(AsEvidence(*line));
  const std::optional<std::string> socket = SessionSocket(facts);
  const bool by_sshd = socket && CameFromSshd(facts, *socket);
  if (lines.empty() && by_sshd)
    finding.fixes.push_back(
        {.title = "On the host, remove it where sshd takes it from: SetEnv in "
                  "sshd_config, ~/.ssh/environment or PAM (pam_env, "
                  "/etc/environment)",
         .safety = Safety::kManual});
  else
    finding.fixes.push_back(
        Guard(facts.far, lines.empty() ? nullptr : lines.front()));
  if (lines.empty()) finding.explanation += " " + LookedAt(facts.far, by_sshd);
}

std::string Culprit(const Facts& facts) {
  const auto lines = Culprits(facts);
  if (lines.empty()) return {};
  return " (" + lines.front()->file + ":" +
         std::to_string(lines.front()->line) + ")";
}

void JudgeCleared(const Facts& facts, const HandedOver& handed,
                  Answer& answer) {
  const auto* initial = JudgedSide(facts).initial_auth_sock.get();
  const bool seen = initial && *initial && !(*initial)->empty();
  Finding finding{
      .code = "remote-env-cleared",
      .certainty = seen ? Certainty::kProven : Certainty::kLikely,
      .summary = "sshd made an agent socket, but a start-up file on " +
                 facts.request.destination + " unsets SSH_AUTH_SOCK" +
                 Culprit(facts),
      .explanation =
          "The forwarded agent is there; programs only are not told "
          "where.",
      .evidence = {
          {.source = Probe(facts), .text = "SSH_AUTH_SOCK is not set"}}};
  AddCulprits(facts, handed, finding);
  answer.findings.push_back(std::move(finding));
}

void JudgeOverridden(const Facts& facts, const HandedOver& handed,
                     const Agent& agent, Answer& answer) {
  const bool dead = agent.state != AgentState::kAnswered;
  Finding finding{
      .code = "remote-env-overridden",
      .summary = "SSH_AUTH_SOCK on " + facts.request.destination +
                 " was replaced" + Culprit(facts) + ": it names " + agent.path +
                 (dead ? ", where no agent answers"
                       : ", another agent than the forwarded one"),
      .explanation =
          CameFromSshd(facts, agent.path)
              ? "sshd made a socket for the forwarded agent, but began the "
                "session with another one: SetEnv in sshd_config, "
                "~/.ssh/environment or PAM say so. No start-up file of the "
                "shell did."
              : "sshd made a socket for the forwarded agent, but something put "
                "another one into its place: a start-up file of the shell, "
                "~/.ssh/environment, PAM, or SetEnv in sshd_config.",
      .evidence = {
          {.source = Probe(facts),
           .text = "SSH_AUTH_SOCK=" + agent.path + ": " + StateWords(agent)}}};
  AddCulprits(facts, handed, finding);
  answer.findings.push_back(std::move(finding));
}

/// sshd's socket for this connection, where its name does not tell (since 10.1)
/// and the session got another one: it came into being with it, and leads to
/// the agent that was forwarded.  Another connection's may do so, too.
const Agent* LikelySocket(const Facts& facts) {
  if (AsksForForwarding(facts) == false) return nullptr;
  const Side& side = JudgedSide(facts);
  for (const std::string& path : side.younger_sockets) {
    const Agent* agent = FindAgent(side, path);
    if (agent && agent->state == AgentState::kAnswered &&
        HoldsForwardedKeys(facts, *agent))
      return agent;
  }
  return nullptr;
}

/// As JudgeOverridden(), if there is such a socket.
bool JudgeLikelyOverridden(const Facts& facts, const Agent& agent,
                           Answer& answer) {
  const Agent* forwarded = LikelySocket(facts);
  if (!forwarded) return false;
  JudgeOverridden(facts, {.made = true, .sockets = {forwarded->path}}, agent,
                  answer);
  Finding& finding = answer.findings.back();
  finding.certainty = Certainty::kLikely;
  finding.explanation +=
      " Whose socket " + forwarded->path +
      " is does not show; it is taken for this session's because it is as "
      "young and leads to the same agent.";
  return true;
}

void JudgeDead(const Facts& facts, const Agent& agent, Answer& answer) {
  const auto* here = facts.near.auth_sock.get();
  const bool leaked = here && *here && **here == agent.path &&
                      LookAtHandedOver(facts).made == false;
  Finding finding{
      .code = "remote-socket-dead",
      .summary = "SSH_AUTH_SOCK on " + facts.request.destination + " names " +
                 agent.path + ", where no agent answers: " + StateWords(agent),
      .evidence = {
          {.source = Probe(facts),
           .text = "SSH_AUTH_SOCK=" + agent.path + ": " + StateWords(agent)}}};
  if (leaked)
    finding.explanation =
        "It is this machine's own value, passed on by SendEnv and AcceptEnv; "
        "sshd would have replaced it if it had granted forwarding.";
  else if (agent.state == AgentState::kDropped)
    finding.explanation =
        "The socket is sshd's, but at this end of the connection no agent took "
        "the request.";
  else if (agent.state == AgentState::kMissing &&
           LookAtHandedOver(facts).made == true)
    finding.explanation =
        "sshd made the socket, and something has removed it since (a cleaner "
        "of /tmp): only a new connection brings it back.";
  else if (agent.state == AgentState::kMissing ||
           agent.state == AgentState::kRefused)
    finding.explanation =
        "The connection or the agent that made this socket "
        "is gone.";
  else
    finding.explanation =
        "Something is there, but it does not serve as an agent.";
  for (const StartupLine* line : ActingLines(facts))
    finding.evidence.push_back(AsEvidence(*line));
  finding.fixes = {{.title = "Connect anew, once the cause is removed",
                    .safety = Safety::kManual,
                    .commands = {Ssh(facts)}}};
  answer.findings.push_back(std::move(finding));
}

/// What answered there in place of the user's agent, and what they have.
std::string CanarySummary(const Facts& facts, const std::string& socket) {
  const Agent* near = ForwardedAgent(facts);
  return "a canary answered at " + socket +
         (near && near->state == AgentState::kAnswered
              ? "; your agent holds " +
                    Count(near->identities.size(), "identity", "identities")
              : "");
}

/// Keys that appear on the host against those of the agent forwarded.
void JudgeKeys(const Facts& facts, const Agent& agent, Answer& answer) {
  const Agent* near = ForwardedAgent(facts);
  if (!near || ForwardsCanary(facts) || near->state != AgentState::kAnswered)
    return;
  const auto here = Fingerprints(*near);
  const auto there = Fingerprints(agent);
  std::vector<std::string> foreign, hidden;
  for (const Identity& identity : agent.identities)
    if (!here.contains(identity.fingerprint))
      foreign.push_back(KeyName(identity));
  for (const Identity& identity : near->identities)
    if (!there.contains(identity.fingerprint))
      hidden.push_back(KeyName(identity));
  if (!foreign.empty()) {
    // Through a master this is mux-master-other-agent or mux-leaks-forwarding,
    // from tsh teleport-agent-forwarded.
    if (ThroughMaster(facts) || OwnAgentArrived(facts)) return;
    answer.findings.push_back(
        {.code = "remote-keys-differ",
         .severity = Severity::kWarning,
         .summary = Count(foreign.size(), "key", "keys") + " on " +
                    facts.request.destination + " that the agent at " +
                    near->path + " does not hold",
         .explanation = "Another agent answers there than the one you have "
                        "here, or its keys changed in between.",
         .evidence = {{.source = Probe(facts), .text = List(foreign)},
                      {.source = "agent protocol",
                       .text = near->path + ": " +
                               Count(here.size(), "identity", "identities")}},
         .fixes = {{.title = "Find out which agent it is, before a server "
                             "takes you for somebody else",
                    .safety = Safety::kManual}}});
  } else if (!hidden.empty()) {
    answer.findings.push_back(
        {.code = "remote-keys-differ",
         .severity = Severity::kInfo,
         .summary = Count(hidden.size(), "key", "keys") +
                    " of the agent can't be seen on " +
                    facts.request.destination,
         .explanation = "Keys added with `ssh-add -h` are hidden where their "
                        "constraints do not let them be used.",
         .evidence = {{.source = "agent protocol", .text = List(hidden)}}});
  }
}

void JudgeSocket(const Facts& facts, Answer& answer) {
  const std::optional<std::string> socket = SessionSocket(facts);
  const HandedOver handed = LookAtHandedOver(facts);
  if (!socket) {
    if (handed.made == true) {
      JudgeCleared(facts, handed, answer);
      return;
    }
    throw FactUnknown(
        "no agent was forwarded into the session: SSH_AUTH_SOCK is not set");
  }
  const Agent* agent = FindAgent(JudgedSide(facts), *socket);
  if (!agent) throw FactUnknown(WhyNotAsked(facts, *socket));
  const bool sshds =
      std::ranges::find(handed.sockets, *socket) != handed.sockets.end() ||
      std::ranges::find(handed.sockets, agent->link_target) !=
          handed.sockets.end();
  if (agent->state != AgentState::kAnswered) {
    if (handed.made == true && !sshds)
      JudgeOverridden(facts, handed, *agent, answer);
    else if (handed.made || !JudgeLikelyOverridden(facts, *agent, answer))
      JudgeDead(facts, *agent, answer);
    return;
  }
  if (handed.made == false)
    throw FactUnknown(
        "no agent was forwarded into the session: SSH_AUTH_SOCK "
        "names an agent of the host's own, " +
        *socket);
  const std::optional<bool> ours = IsForwardedAgent(facts, *agent);
  if (ours == false && !handed.made) {
    if (JudgeLikelyOverridden(facts, *agent, answer)) return;
    throw FactUnknown(
        "whether sshd made a socket for this connection can't be seen");
  }
  if (ours == false) {
    JudgeOverridden(facts, handed, *agent, answer);
    return;
  }
  answer.summary = ForwardsCanary(facts) ? CanarySummary(facts, *socket)
                                         : Count(agent->identities.size(),
                                                 "identity", "identities") +
                                               " at " + *socket;
  if (ours == true) JudgeKeys(facts, *agent, answer);
}

/// Whoever begins a shell for another user begins it anew.
bool ForAnotherUser(const Side& side) {
  if (side.session_variables.contains("SUDO_USER")) return true;
  return std::ranges::any_of(side.ancestors, [](const Ancestor& ancestor) {
    return ancestor.name == "sudo" || ancestor.name == "su" ||
           ancestor.name == "doas" || ancestor.name == "runuser";
  });
}

/// The same as JudgeSocket from inside: local-agent says whether the variable
/// is any good, this whether something took sshd's socket out of it.
void JudgeSocketHere(const Facts& facts, Answer& answer) {
  const Side& side = facts.near;
  if (ForAnotherUser(side))
    throw FactUnknown("this shell was begun for another user than sshd's");
  const std::vector<std::string>& sockets = *side.connection_sockets;
  const Agent* forwarded = HandedOverAgent(facts);
  if (sockets.empty() || !forwarded)
    throw FactUnknown(
        "the sshd above this shell made no socket that is still there");
  const HandedOver handed = LookAtHandedOver(facts);
  const std::optional<std::string> socket = SessionSocket(facts);
  if (!socket) {
    JudgeCleared(facts, handed, answer);
    // A person may have done it by hand.
    if (ActingLines(facts).empty())
      answer.findings.back().certainty = Certainty::kLikely;
    return;
  }
  const Agent* agent = FindAgent(side, *socket);
  if (!agent) throw FactUnknown(WhyNotAsked(facts, *socket));
  answer.summary = "SSH_AUTH_SOCK=" + *socket;
  if (IsForwardedAgent(facts, *agent) == true) return;
  const bool alive = agent->state == AgentState::kAnswered;
  // Another connection's socket was put there on purpose; and one that has no
  // keys is nothing to be missed.
  if (alive && (NamedBySshd(agent->path) || NamedBySshd(agent->link_target) ||
                forwarded->identities.empty()))
    return;
  JudgeOverridden(facts, handed, *agent, answer);
  Finding& finding = answer.findings.back();
  if (alive) finding.severity = Severity::kWarning;
  const Syntax syntax = SyntaxHere(side);
  finding.fixes.insert(finding.fixes.begin(),
                       {.title = "Let this shell use the forwarded agent",
                        .safety = Safety::kManual,
                        .shell_lines = {ExportLine(
                            ShellWord(forwarded->path, syntax), syntax)}});
}

/// A link that is renewed at each login (~/.ssh/ssh_auth_sock), or a socket
/// that leads to the forwarded agent all the same.
bool KeepsTheAgent(const Facts& facts, const StartupLine& line) {
  if (line.effect != StartupEffect::kSets) return false;
  if (line.text.find("ssh_auth_sock") != std::string::npos) return true;
  return std::ranges::any_of(JudgedSide(facts).agents, [&](const Agent& agent) {
    return agent.state == AgentState::kAnswered &&
           line.text.find(BaseName(agent.path)) != std::string::npos &&
           IsForwardedAgent(facts, agent) == true;
  });
}

/// `ssh HOST COMMAND` works, and `ssh HOST` would not.
void JudgeOtherShells(const Facts& facts, Answer& answer) {
  const bool overridden =
      std::ranges::any_of(answer.findings, [](const Finding& finding) {
        return finding.code == "remote-env-overridden" ||
               finding.code == "remote-env-cleared";
      });
  if (overridden) return;
  const StartupLine* first = nullptr;
  Finding finding{.code = "remote-env-overridden",
                  .severity = Severity::kWarning,
                  .certainty = Certainty::kLikely};
  for (const StartupLine* line : Lines(facts)) {
    const bool other = line->scope == StartupScope::kLogin ||
                       line->scope == StartupScope::kInteractive;
    if (!other || line->guarded || KeepsTheAgent(facts, *line)) continue;
    if (!first) first = line;
    finding.evidence.push_back(AsEvidence(*line));
  }
  if (!first) return;
  finding.summary =
      first->file + ":" + std::to_string(first->line) + " on " +
      facts.request.destination +
      (first->effect == StartupEffect::kStartsAgent
           ? " starts an agent of its own"
       : first->effect == StartupEffect::kUnsets ? " unsets SSH_AUTH_SOCK"
                                                 : " replaces SSH_AUTH_SOCK") +
      (first->scope == StartupScope::kLogin ? " in login shells"
                                            : " in interactive shells");
  finding.explanation =
      "Commands run by ssh see the forwarded agent; a shell "
      "that you open on the host probably does not.";
  finding.fixes = {Guard(facts.far, first)};
  answer.findings.push_back(std::move(finding));
}

void JudgeIdentityAgent(const Facts& facts, Answer& answer) {
  const std::string& option = *JudgedSide(facts).identity_agent;
  if (!ReplacesForwardedAgent(facts, option)) return;
  answer.findings.push_back(
      {.code = "remote-identity-agent",
       .severity = Severity::kWarning,
       .summary = "ssh on " + facts.request.destination +
                  " ignores the forwarded agent: its configuration says "
                  "IdentityAgent " +
                  option,
       .explanation = "IdentityAgent replaces SSH_AUTH_SOCK inside ssh, while "
                      "`ssh-add -l` there shows the forwarded agent. Often "
                      "the line came along with synchronised dotfiles.",
       .evidence = {{.source = "ssh -G on " + facts.request.destination,
                     .text = "identityagent " + option}},
       .fixes = {{.title = "On the host, let it hold only where no agent is "
                           "forwarded",
                  .safety = Safety::kManual,
                  .edits = {{.file = "~/.ssh/config",
                             .text = "Match exec \"test -z "
                                     "\\\"$SSH_CONNECTION\\\"\"\n"
                                     "  IdentityAgent " +
                                     option}}}}});
}

bool Always(const Facts&) { return true; }

Answer RunHere(const Facts& facts) {
  Answer answer;
  Ask(answer, [&] { JudgeSocketHere(facts, answer); });
  const bool forwarded = answer.findings.empty() && answer.skipped.empty();
  if (forwarded && facts.near.identity_agent.known())
    JudgeIdentityAgent(facts, answer);
  return answer;
}

Answer Run(const Facts& facts) {
  if (facts.here) return RunHere(facts);
  Answer answer;
  ProbedSession(facts);
  Ask(answer, [&] { JudgeSocket(facts, answer); });
  JudgeOtherShells(facts, answer);
  if (JudgedSide(facts).identity_agent.known())
    JudgeIdentityAgent(facts, answer);
  return answer;
}

}  // namespace

constinit const Check kRemoteSocket{
    .id = "remote-socket",
    .stage = Stage::kSession,
    .title = "SSH_AUTH_SOCK on the host leads to the forwarded agent",
    .run = Run,
    .codes = kCodes,
    .applies = Always};

}  // namespace agentdoctor::checks
