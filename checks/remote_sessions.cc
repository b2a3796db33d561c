// Do the long-lived sessions of a side still name an agent that answers?
#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "checks.h"
#include "live_agents.h"
#include "path.h"
#include "shell.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

constexpr std::array<std::string_view, 8> kCodes = {
    "tmux-stale-env",         "screen-stale-env",  "vscode-stale-env",
    "container-stale-socket", "process-stale-env", "auth-symlink-stale",
    "mosh-drops-agent",       "sudo-drops-agent"};

constexpr std::size_t kNamed = 3;       // in a summary
constexpr std::size_t kLines = 3;       // commands, before a loop says it
constexpr std::size_t kEvidence = 128;  // of one finding

using Holders = std::vector<const Holder*>;

// ------------------------------------------------------- dead or not known --

/// Nobody serves this path any more.  An agent that is silent, denies or hangs
/// up may be busy, or another user's.
bool IsGone(const Agent& agent) {
  switch (agent.state) {
    case AgentState::kMissing:
    case AgentState::kRefused:
    case AgentState::kNotASocket:
    case AgentState::kPathTooLong:
      return true;
    case AgentState::kAnswered:
    case AgentState::kDenied:
    case AgentState::kDropped:
    case AgentState::kSilent:
    case AgentState::kMalformed:
    case AgentState::kListRefused:
      return false;
  }
  return false;
}

/// The agent that \a holder names, if nobody serves it any more; else null.
const Agent* GoneAgent(const Side& side, const Holder& holder) {
  if (!holder.auth_sock || holder.auth_sock->empty()) return nullptr;
  const Agent* agent = FindAgent(side, *holder.auth_sock);
  return agent && IsGone(*agent) ? agent : nullptr;
}

Holders OfKind(const Side& side, HolderKind kind) {
  Holders holders;
  for (const Holder& holder : side.long_lived->holders)
    if (holder.kind == kind) holders.push_back(&holder);
  return holders;
}

Holders StaleOfKind(const Side& side, HolderKind kind) {
  Holders holders = OfKind(side, kind);
  std::erase_if(holders, [&](const Holder* holder) {
    return !GoneAgent(side, *holder) && !holder->replaced;
  });
  return holders;
}

// -------------------------------------------------------------------- links --

std::string_view BaseName(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

/// VS Code makes such a link for every window and leaves it behind.
bool IsEditorsLink(std::string_view path) {
  return path.find("vscode-ssh-auth") != std::string_view::npos;
}

/// The line of a start-up file that points the link at \a path at an agent.
const StartupLine* LinkingLine(const Side& side, std::string_view path) {
  const auto* lines = side.startup_lines.get();
  if (!lines) return nullptr;
  const auto found = std::ranges::find_if(*lines, [&](const StartupLine& line) {
    return line.effect == StartupEffect::kLinks &&
           line.text.find(BaseName(path)) != std::string::npos;
  });
  return found == lines->end() ? nullptr : &*found;
}

/// The next login of a person renews the link at \a path: it dangles only
/// because nobody is there.  What runs for `ssh HOST COMMAND`, too, has just
/// run, and in vain.
bool IsRenewedAtLogin(const Facts& facts, std::string_view path) {
  const StartupLine* line = LinkingLine(JudgedSide(facts), path);
  if (!line || line->guarded) return false;
  return facts.here || line->scope == StartupScope::kLogin ||
         line->scope == StartupScope::kInteractive;
}

Severity SeverityFor(const Facts& facts, const Holders& stale) {
  const bool renewed = std::ranges::all_of(stale, [&](const Holder* holder) {
    return holder->auth_sock && IsRenewedAtLogin(facts, *holder->auth_sock);
  });
  return renewed ? Severity::kInfo : Severity::kWarning;
}

// ----------------------------------------------------------------- in words --

std::string Since(const Holder& holder) {
  std::string text;
  if (holder.pid) text += "pid " + std::to_string(*holder.pid);
  if (holder.since)
    text += (text.empty() ? "since " : ", since ") + Moment(*holder.since);
  return text.empty() ? text : " (" + text + ")";
}

std::string Value(const Side& side, const Holder& holder) {
  const Agent* agent = FindAgent(side, *holder.auth_sock);
  return "SSH_AUTH_SOCK=" + *holder.auth_sock +
         (agent ? ": " + StateWords(*agent) : std::string());
}

/// "screen on gitlab-runner"
std::string Source(const Facts& facts, std::string_view what) {
  return std::string(what) + " " + OnHost(facts);
}

/// Adds \a evidence, unless there is more than anybody reads.
void Show(Finding& finding, Evidence evidence) {
  if (finding.evidence.size() < kEvidence)
    finding.evidence.push_back(std::move(evidence));
}

std::vector<std::string> Names(const Holders& holders) {
  std::vector<std::string> names;
  for (const Holder* holder : holders) names.push_back(holder->name);
  return names;
}

/// "tmux session work", "tmux sessions a, b, c and 17 more".
std::string Named(std::string_view what, const Holders& holders) {
  return std::string(what) + (holders.size() == 1 ? " " : "s ") +
         Some(Names(holders), kNamed);
}

/// "names an agent that is gone: /tmp/...", for one path or for several.
std::string NameGone(const Holders& holders) {
  std::set<std::string> paths;
  for (const Holder* holder : holders) paths.insert(*holder->auth_sock);
  std::string text = holders.size() == 1 ? "names" : "name";
  text += paths.size() == 1
              ? " an agent that is gone: " + Short(*paths.begin(), 120)
              : " agents that are gone";
  return text;
}

/// What makes the value last, for whatever reads the variable at its start.
Fix ForGood(const Facts& facts, std::vector<Edit> edits,
            std::vector<std::string> shell_lines = {}) {
  edits.insert(edits.begin(), KeepLink(JudgedSide(facts)));
  return {.title =
              "Let it name a link, for good: every login renews it, but "
              "only when the agent behind it is gone, so that a second "
              "connection that ends takes nothing along",
          .safety = Safety::kManual,
          .shell_lines = std::move(shell_lines),
          .edits = std::move(edits)};
}

// --------------------------------------------------------------------- tmux --

/// A tmux server and its sessions.
struct TmuxServer {
  const Holder* global = nullptr;
  Holders sessions = {};
};

std::map<std::string, TmuxServer> TmuxServers(const Side& side) {
  std::map<std::string, TmuxServer> servers;
  for (const Holder* holder : OfKind(side, HolderKind::kTmuxServer))
    servers[holder->server].global = holder;
  for (const Holder* holder : OfKind(side, HolderKind::kTmuxSession))
    servers[holder->server].sessions.push_back(holder);
  return servers;
}

std::string Tmux(const Holder& holder) {
  return "tmux -S " + ShellWord(holder.server) + " ";
}

std::string Target(const Holder& session) {
  return "-t " + ShellWord("=" + session.name);
}

/// "1234.work", as `screen -S` wants it where names are not unique.
std::string ScreenName(const Holder& holder) {
  const std::string pid =
      holder.pid ? std::to_string(*holder.pid) + "." : std::string();
  const std::size_t owner = holder.name.find('/');
  const std::string_view name =
      owner == std::string::npos
          ? std::string_view(holder.name)
          : std::string_view(holder.name).substr(owner + 1);
  return name.starts_with(pid) ? holder.name : pid + holder.name;
}

/// From inside it can be done at once; from outside every socket that could be
/// named is that of a connection of ours, which ends.
void AddSetting(const Facts& facts, std::string_view title,
                const std::vector<std::vector<std::string>>& commands,
                Finding& finding) {
  const Agent* agent = facts.here ? LastingAgent(facts) : nullptr;
  if (!agent || commands.empty()) return;
  Fix fix{.title = std::string(title) + " the agent at " + agent->path,
          .safety = Safety::kSafe,
          .commands = commands,
          .action = Action::kSetEnvironment,
          .target = agent->path};
  for (std::vector<std::string>& command : fix.commands) {
    command.emplace_back("SSH_AUTH_SOCK");
    command.push_back(agent->path);
  }
  finding.fixes.push_back(std::move(fix));
}

void SetInTmux(const Facts& facts, const Holders& globals,
               const Holders& sessions, Finding& finding) {
  std::vector<std::vector<std::string>> commands;
  for (const Holder* session : sessions)
    commands.push_back({"tmux", "-S", session->server, "set-environment", "-t",
                        "=" + session->name});
  for (const Holder* global : globals)
    commands.push_back({"tmux", "-S", global->server, "set-environment", "-g"});
  AddSetting(facts, "Give new panes", commands, finding);
}

void SetInScreen(const Facts& facts, const Holders& screens, Finding& finding) {
  std::vector<std::vector<std::string>> commands;
  for (const Holder* screen : screens)
    commands.push_back({"screen", "-S", ScreenName(*screen), "-X", "setenv"});
  AddSetting(facts, "Give new windows", commands, finding);
}

void AddTmuxFixes(const Facts& facts, const Holders& globals,
                  const Holders& sessions, Finding& finding) {
  SetInTmux(facts, globals, sessions, finding);
  const std::string set = "SSH_AUTH_SOCK \"$SSH_AUTH_SOCK\"";
  Fix panes{.title =
                "Hand tmux the agent of a login that has one, for new panes "
                "(attaching from there does the same)",
            .safety = Safety::kManual};
  std::vector<std::string> forget, reload;
  std::map<std::string, Holders> by_server;
  for (const Holder* session : sessions)
    by_server[session->server].push_back(session);
  for (const auto& [server, members] : by_server) {
    const std::string tmux = Tmux(*members.front());
    if (members.size() > kLines) {
      const std::string each =
          tmux +
          "list-sessions -F '#{session_name}' | while IFS= read -r s; do " +
          tmux + "set-environment -t \"=$s\" ";
      panes.shell_lines.push_back(each + set + "; done");
      forget.push_back(each + "-u SSH_AUTH_SOCK; done");
      continue;
    }
    for (const Holder* session : members) {
      panes.shell_lines.push_back(tmux + "set-environment " + Target(*session) +
                                  " " + set);
      forget.push_back(tmux + "set-environment " + Target(*session) +
                       " -u SSH_AUTH_SOCK");
    }
  }
  std::set<std::string> servers;
  for (const Holders* holders : {&globals, &sessions})
    for (const Holder* holder : *holders)
      if (servers.insert(holder->server).second) {
        panes.shell_lines.push_back(Tmux(*holder) + "set-environment -g " +
                                    set);
        reload.push_back(Tmux(*holder) + "source-file ~/.tmux.conf");
      }
  reload.insert(reload.end(), forget.begin(), forget.end());
  if (finding.fixes.empty()) finding.fixes.push_back(std::move(panes));

  Fix shell{.title =
                "Let a shell that is open in tmux take over what tmux has by "
                "then",
            .safety = Safety::kManual};
  switch (LoginSyntax(JudgedSide(facts))) {
    case Syntax::kSh:
      shell.shell_lines = {
          "eval \"$(tmux show-environment -s SSH_AUTH_SOCK)\""};
      break;
    case Syntax::kFish:
      shell.shell_lines = {
          "set -gx SSH_AUTH_SOCK (tmux show-environment SSH_AUTH_SOCK | "
          "string replace SSH_AUTH_SOCK= '')"};
      break;
    case Syntax::kCsh:
      shell.shell_lines = {
          "setenv SSH_AUTH_SOCK `tmux show-environment SSH_AUTH_SOCK | "
          "cut -d= -f2-`"};
      break;
  }
  finding.fixes.push_back(std::move(shell));

  // Not `set -g update-environment SSH_AUTH_SOCK`: it is among the defaults,
  // and a plain set drops the others.
  finding.fixes.push_back(
      ForGood(facts,
              {{.file = "~/.tmux.conf",
                .text = "set-environment -g SSH_AUTH_SOCK "
                        "\"$HOME/.ssh/ssh_auth_sock\"\n"
                        "set-option -g update-environment \"DISPLAY KRB5CCNAME "
                        "SSH_ASKPASS SSH_AGENT_PID SSH_CONNECTION WINDOWID "
                        "XAUTHORITY\""}},
              std::move(reload)));
}

/// tmux keeps two environments: the server's, which new sessions begin with,
/// and each session's, which attaching brings up to date and new panes begin
/// with.  `-SSH_AUTH_SOCK` in it hides the server's value.
void JudgeTmux(const Facts& facts, Answer& answer) {
  const Side& side = JudgedSide(facts);
  Holders globals, sessions, hidden;
  bool matters = false;
  for (const auto& [path, server] : TmuxServers(side)) {
    const bool dead = server.global && GoneAgent(side, *server.global);
    bool served = !server.sessions.empty();
    for (const Holder* session : server.sessions) {
      if (!session->auth_sock) {
        // Alone it says that the last attach had no agent, as most have not.
        if (dead) hidden.push_back(session);
        served = false;
      } else if (GoneAgent(side, *session)) {
        sessions.push_back(session);
        served = false;
      }
    }
    if (!dead) continue;
    globals.push_back(server.global);
    matters = matters || !served;
  }
  if (globals.empty() && sessions.empty()) return;

  Finding finding{.code = "tmux-stale-env"};
  Holders all = sessions;
  all.insert(all.end(), globals.begin(), globals.end());
  finding.severity =
      matters || !sessions.empty() ? SeverityFor(facts, all) : Severity::kInfo;
  if (!sessions.empty())
    finding.summary = Named("tmux session", sessions) + " " + OnHost(facts) +
                      " " + NameGone(sessions);
  else if (!hidden.empty())
    finding.summary = Named("tmux session", hidden) + " " + OnHost(facts) +
                      (hidden.size() == 1 ? " has" : " have") +
                      " no agent any more, and the server's own is gone: " +
                      Short(*globals.front()->auth_sock, 120);
  else
    finding.summary = "tmux " + OnHost(facts) +
                      " begins new sessions with an agent that is gone: " +
                      Short(*globals.front()->auth_sock, 120);
  finding.explanation =
      "The connection that made the socket has ended. tmux hands new panes "
      "what it noted at the last attach, and panes that are open keep what "
      "they began with.";
  if (sessions.empty() && !matters)
    finding.explanation =
        "Only the server's own value is of a connection that has ended. Every "
        "session has a living one of its own, which its new panes get; what is "
        "left is a session that is made without a client's environment.";
  for (const Holder* session : sessions)
    Show(finding,
         {.source = Source(facts, "tmux"),
          .text = "session " + session->name + " of " + session->server +
                  Since(*session) + ": " + Value(side, *session)});
  for (const Holder* session : hidden)
    Show(finding, {.source = Source(facts, "tmux"),
                   .text = "session " + session->name + " of " +
                           session->server + Since(*session) +
                           ": -SSH_AUTH_SOCK (the last attach had no agent)"});
  for (const Holder* global : globals)
    Show(finding, {.source = Source(facts, "tmux"),
                   .text = "server " + global->server + Since(*global) + ": " +
                           Value(side, *global)});
  sessions.insert(sessions.end(), hidden.begin(), hidden.end());
  AddTmuxFixes(facts, globals, sessions, finding);
  answer.findings.push_back(std::move(finding));
}

// ------------------------------------------------------------------- screen --

void JudgeScreen(const Facts& facts, Answer& answer) {
  const Side& side = JudgedSide(facts);
  const Holders stale = StaleOfKind(side, HolderKind::kScreen);
  if (stale.empty()) return;
  Finding finding{
      .code = "screen-stale-env",
      .severity = SeverityFor(facts, stale),
      .summary = Named("screen session", stale) + " " + OnHost(facts) + " " +
                 NameGone(stale),
      .explanation =
          "The connection that made the socket has ended. screen gives every "
          "new window the environment that it was started with, and attaching "
          "does not renew it."};
  Fix windows{.title =
                  "Hand screen the agent of a login that has one, for new "
                  "windows",
              .safety = Safety::kManual};
  for (const Holder* holder : stale) {
    Show(finding, {.source = Source(facts, "screen"),
                   .text = "session " + holder->name + Since(*holder) + ": " +
                           Value(side, *holder)});
    windows.shell_lines.push_back("screen -S " +
                                  ShellWord(ScreenName(*holder)) +
                                  " -X setenv SSH_AUTH_SOCK "
                                  "\"$SSH_AUTH_SOCK\"");
  }
  SetInScreen(facts, stale, finding);
  if (finding.fixes.empty()) finding.fixes.push_back(std::move(windows));
  finding.fixes.push_back(ForGood(
      facts, {{.file = "~/.screenrc",
               .text = "setenv SSH_AUTH_SOCK $HOME/.ssh/ssh_auth_sock"}}));
  finding.fixes.push_back(
      {.title = "Name the link in a shell that is open in screen",
       .safety = Safety::kManual,
       .shell_lines = {ExportLine(std::string(kLink), LoginSyntax(side))}});
  answer.findings.push_back(std::move(finding));
}

// ------------------------------------------------------------------ editors --

void JudgeEditors(const Facts& facts, Answer& answer) {
  const Side& side = JudgedSide(facts);
  const Holders stale = StaleOfKind(side, HolderKind::kEditor);
  if (stale.empty()) return;
  std::set<std::string> products, links;
  Fix kill{.title =
               "End the server by hand, when nothing runs in its "
               "terminals; the next window starts a new one",
           .safety = Safety::kManual};
  Finding finding{.code = "vscode-stale-env", .severity = Severity::kWarning};
  for (const Holder* holder : stale) {
    products.insert(holder->server.empty() ? "VS Code" : holder->server);
    const Agent* agent = GoneAgent(side, *holder);
    Show(finding,
         {.source = Source(facts, *products.begin()),
          .text = holder->name + Since(*holder) + ": " + Value(side, *holder)});
    finding.evidence.back().source =
        Source(facts, holder->server.empty() ? "VS Code" : holder->server);
    if (holder->pid && kill.commands.size() < kLines)
      kill.commands.push_back({"kill", std::to_string(*holder->pid)});
    if (agent && IsEditorsLink(agent->path) && !agent->link_target.empty())
      links.insert(agent->path);
  }
  const std::vector<std::string> names(products.begin(), products.end());
  finding.summary =
      "the server of " + List(names) + " " + OnHost(facts) + " " +
      (stale.size() == 1 ? NameGone(stale)
                         : "names an agent that is gone, in " +
                               Count(stale.size(), "process", "processes"));
  finding.explanation =
      "The editor's server outlives the connection that started it and keeps "
      "that one's socket; its terminals and its git inherit it.";
  const bool code = !products.contains("JetBrains");
  finding.fixes.push_back(
      {.title = code ? "In the editor run the command \"Remote-SSH: Kill VS "
                       "Code Server on Host...\" (in " +
                           List(names) + "'s own words), then connect again"
                     : "Close the remote project together with its backend, "
                       "then connect again",
       .safety = Safety::kManual});
  if (!kill.commands.empty()) finding.fixes.push_back(std::move(kill));
  if (!links.empty()) {
    Fix link{.title =
                 "Point its link at the agent of a login that has one, "
                 "for as long as that login lasts",
             .safety = Safety::kManual};
    for (const std::string& path : links)
      link.shell_lines.push_back("ln -sfn \"$SSH_AUTH_SOCK\" " +
                                 ShellWord(path));
    finding.fixes.push_back(std::move(link));
  }
  answer.findings.push_back(std::move(finding));
}

// --------------------------------------------------------------- containers --

std::string ContainerWords(const Side& side, const Holder& holder) {
  const Agent* agent = GoneAgent(side, holder);
  std::string words =
      *holder.auth_sock + " is mounted at " + holder.destination + ": ";
  if (!agent)
    return words +
           "it was replaced after the container had begun, which "
           "still has the old one";
  words += StateWords(*agent);
  if (!agent->detail.empty() && agent->state == AgentState::kNotASocket)
    words += ", " + agent->detail;
  return words;
}

bool IsFolder(const Agent* agent) {
  return agent && agent->state == AgentState::kNotASocket &&
         agent->detail.find("folder") != std::string::npos;
}

void JudgeContainers(const Facts& facts, Answer& answer) {
  const Side& side = JudgedSide(facts);
  const Holders stale = StaleOfKind(side, HolderKind::kContainer);
  if (stale.empty()) return;
  Finding finding{.code = "container-stale-socket",
                  .severity = Severity::kWarning,
                  .certainty = Certainty::kLikely};
  bool folder = false, replaced = false;
  Fix remove{.title = "Stop the container, and remove the folder that " +
                      stale.front()->server +
                      " made in the place of the missing socket",
             .safety = Safety::kManual};
  for (const Holder* holder : stale) {
    const Agent* agent = GoneAgent(side, *holder);
    if (agent) finding.certainty = Certainty::kProven;
    if (!agent) replaced = true;
    if (IsFolder(agent)) {
      folder = true;
      std::vector<std::string> argv{"sudo", "rmdir", agent->path};
      if (std::ranges::find(remove.commands, argv) == remove.commands.end())
        remove.commands.push_back(std::move(argv));
    }
    Show(finding, {.source = Source(facts, holder->server),
                   .text = "container " + holder->name + Since(*holder) + ": " +
                           ContainerWords(side, *holder)});
  }
  finding.summary =
      Named(stale.front()->server + " container", stale) + " " + OnHost(facts) +
      (stale.size() == 1 ? " mounts an agent's socket that is gone: " +
                               Short(*stale.front()->auth_sock, 120)
                         : " mount agents' sockets that are gone");
  finding.explanation =
      "The mount holds on to the one file that was there when the container "
      "was made. A later connection makes a new socket, which the container "
      "never sees.";
  if (replaced)
    finding.explanation +=
        " A socket that was replaced has the same path and is another file.";
  if (folder)
    finding.explanation +=
        " Where the source was missing, -v made a folder of it, which is in "
        "the way of every later socket.";
  const Holder& first = *stale.front();
  const std::string engine = first.server.empty() ? "docker" : first.server;
  const std::string target =
      first.destination.empty() ? "/ssh-agent" : first.destination;
  if (folder) finding.fixes.push_back(std::move(remove));
  finding.fixes.push_back(
      {.title = "Make the container anew from a login that has the agent; "
                "--mount fails where -v would make a folder",
       .safety = Safety::kManual,
       .shell_lines = {engine +
                       " run --mount type=bind,source=\"$SSH_AUTH_SOCK\""
                       ",target=" +
                       ShellWord(target) + " --env SSH_AUTH_SOCK=" +
                       ShellWord(target) + " IMAGE"}});
  finding.fixes.push_back(
      {.title = "Mount a folder of yours, for good, in which a relay listens, "
                "and let the relay ask whichever agent there is (the link "
                "alone would lead out of the container)",
       .safety = Safety::kManual,
       .shell_lines =
           {"mkdir -p -m 700 ~/.ssh/relay",
            "socat UNIX-LISTEN:\"$HOME\"/.ssh/relay/agent.sock,fork,"
            "unlink-early,mode=600 UNIX-CONNECT:\"$HOME\"/.ssh/ssh_auth_sock &",
            engine +
                " run --mount type=bind,source=\"$HOME\"/.ssh/relay,target="
                "/run/agent --env SSH_AUTH_SOCK=/run/agent/agent.sock IMAGE"},
       .edits = {KeepLink(side)}});
  answer.findings.push_back(std::move(finding));
}

// ---------------------------------------------------------------- processes --

void JudgeProcesses(const Facts& facts, Answer& answer) {
  const Side& side = JudgedSide(facts);
  Holders stale = StaleOfKind(side, HolderKind::kProcess);
  if (stale.empty()) return;
  // The oldest first; one that does not say stands last.
  std::ranges::stable_sort(stale, [](const Holder* a, const Holder* b) {
    return a->since.value_or(INT64_MAX) < b->since.value_or(INT64_MAX);
  });
  std::map<std::string, int> programs;
  int total = 0;
  Finding finding{.code = "process-stale-env", .severity = Severity::kInfo};
  for (const Holder* holder : stale) {
    programs[holder->name] += holder->count;
    total += holder->count;
    Show(finding,
         {.source = Source(facts, "/proc"),
          .text = holder->name +
                  (holder->count > 1
                       ? ", " + std::to_string(holder->count) + " of them"
                       : std::string()) +
                  Since(*holder) + ": " + Value(side, *holder)});
  }
  std::vector<std::pair<std::string, int>> by_count(programs.begin(),
                                                    programs.end());
  std::ranges::stable_sort(by_count, [](const auto& a, const auto& b) {
    return a.second > b.second;
  });
  std::vector<std::string> counted;
  for (const auto& [name, count] : by_count)
    counted.push_back(std::to_string(count) + " " + Short(name, 60));
  finding.summary =
      Count(static_cast<std::size_t>(total), "process", "processes") + " " +
      OnHost(facts) + (total == 1 ? " names" : " name") +
      " an agent that is gone: " + Some(counted, kNamed) + "; the oldest is " +
      Short(stale.front()->name, 60) + Since(*stale.front());
  finding.explanation =
      "They were started in a connection that has ended. Nothing changes the "
      "environment of a process that runs.";
  finding.fixes = {{.title = "Start anew what needs the agent, from a login "
                             "that has one",
                    .safety = Safety::kManual}};
  answer.findings.push_back(std::move(finding));
}

// ------------------------------------------------------- well-known symlinks
// --

std::string LinkWords(const Agent& agent) {
  if (agent.detail.starts_with("Too many levels") ||
      agent.link_target == agent.path)
    return "leads to itself";
  if (agent.state == AgentState::kMissing) return "dangles";
  return "leads to a socket that is dead";
}

void JudgeLinks(const Facts& facts, Answer& answer) {
  const Side& side = JudgedSide(facts);
  std::vector<const Agent*> stale;
  for (const std::string& path : side.long_lived->links) {
    const Agent* agent = FindAgent(side, path);
    // Editors leave theirs behind; those that matter have a process.
    if (agent && IsGone(*agent) && !IsEditorsLink(path)) stale.push_back(agent);
  }
  if (stale.empty()) return;
  const bool renewed = std::ranges::all_of(stale, [&](const Agent* agent) {
    return IsRenewedAtLogin(facts, agent->path);
  });
  Finding finding{.code = "auth-symlink-stale",
                  .severity = renewed ? Severity::kInfo : Severity::kWarning};
  std::vector<std::string> names;
  Fix renew{.title = "Point it at the agent of a login that has one",
            .safety = Safety::kManual};
  const StartupLine* naive = nullptr;
  const StartupLine* vain = nullptr;
  for (const Agent* agent : stale) {
    names.push_back(agent->path);
    Show(finding,
         {.source = Probe(facts),
          .text = agent->path +
                  (agent->link_target.empty() ? std::string()
                                              : " -> " + agent->link_target) +
                  ": " + StateWords(*agent)});
    renew.shell_lines.push_back("ln -sfn \"$SSH_AUTH_SOCK\" " +
                                ShellWord(agent->path));
    if (const StartupLine* line = LinkingLine(side, agent->path)) {
      Show(finding, {.source = "start-up file",
                     .text = line->text,
                     .file = line->file,
                     .line = line->line});
      (line->guarded ? naive : vain) = line;
    }
  }
  finding.summary =
      stale.size() == 1
          ? Short(names.front(), 120) + " " + OnHost(facts) + " " +
                LinkWords(*stale.front()) +
                (stale.front()->link_target.empty()
                     ? std::string()
                     : ": " + Short(stale.front()->link_target, 120))
          : "links " + Some(names, kNamed) + " " + OnHost(facts) +
                " lead to no agent any more";
  if (naive)
    finding.explanation =
        naive->file + ":" + std::to_string(naive->line) +
        " makes it only where nothing lies there yet, so that a dead one "
        "stays: it has to ask whether the agent answers.";
  else if (renewed)
    finding.explanation =
        "Nobody is logged in whose agent it could lead to. The next login "
        "renews it.";
  else if (vain)
    finding.explanation =
        vain->file + ":" + std::to_string(vain->line) +
        " should have renewed it, and has not: it had no agent to point at.";
  else
    finding.explanation =
        "The connection whose agent it led to has ended. A link that each "
        "login takes over is dead as soon as the last one ends, even where an "
        "earlier connection still lives.";
  finding.fixes = {std::move(renew),
                   {.title = "Renew it at each login, for good, but only when "
                             "the agent behind it is gone, and never from the "
                             "link itself",
                    .safety = Safety::kManual,
                    .edits = {KeepLink(side)}}};
  if (naive) {
    finding.fixes.back().title += " (in place of " + naive->file + ":" +
                                  std::to_string(naive->line) + ")";
  }
  answer.findings.push_back(std::move(finding));
}

// ------------------------------------------------------------ seen from here
// --

/// This process has an agent that answers, wherever it got it from.
bool HasAgent(const Side& side) {
  const auto* socket = side.auth_sock.get();
  if (!socket || !*socket || (*socket)->empty()) return false;
  const Agent* agent = FindAgent(side, **socket);
  return !agent || !IsGone(*agent);
}

std::string Ancestry(const Ancestor& ancestor) {
  std::string text =
      ancestor.name + " (pid " + std::to_string(ancestor.pid) + ")";
  if (const auto* socket = ancestor.auth_sock.get())
    text +=
        *socket ? ": SSH_AUTH_SOCK=" + **socket : ": SSH_AUTH_SOCK is not set";
  return text;
}

void JudgeMosh(const Facts& facts, Answer& answer) {
  const Side& side = facts.near;
  if (HasAgent(side)) return;
  for (const Ancestor& ancestor : side.ancestors) {
    // An ssh in between is a connection of its own.
    if (ancestor.name.starts_with("sshd")) return;
    if (!ancestor.name.starts_with("mosh-server")) continue;
    const std::string destination = side.name.empty() ? "this host" : side.name;
    answer.findings.push_back(
        {.code = "mosh-drops-agent",
         .severity = Severity::kWarning,
         .summary = "this shell runs under mosh-server (pid " +
                    std::to_string(ancestor.pid) +
                    "), and mosh forwards no agent",
         .explanation = "mosh uses ssh to start its server and ends that "
                        "connection; from then on nothing leads to the agent "
                        "of the machine one sits at.",
         .evidence = {{.source = "/proc " + OnHost(facts),
                       .text = Ancestry(ancestor)}},
         .fixes = {{.title = "Keep a plain ssh to " + destination +
                             " open beside it, and let this shell use its "
                             "agent through a link",
                    .safety = Safety::kManual,
                    .shell_lines = {ExportLine(std::string(kLink),
                                               LoginSyntax(side))},
                    .edits = {KeepLink(side)}}}});
    return;
  }
}

void JudgeSudo(const Facts& facts, Answer& answer) {
  const Side& side = facts.near;
  const auto& own = *side.auth_sock;
  if (own && !own->empty()) return;
  const auto sudo =
      std::ranges::find_if(side.ancestors, [](const Ancestor& ancestor) {
        return ancestor.name == "sudo" || ancestor.name == "su" ||
               ancestor.name == "doas";
      });
  const bool seen = sudo != side.ancestors.end();
  const auto user = side.session_variables.find("SUDO_USER");
  if (!seen && user == side.session_variables.end()) return;
  // Whoever called it: with an agent, without one, or not to be seen.
  const Ancestor* had = nullptr;
  bool known = false;
  for (auto above = sudo; above != side.ancestors.end(); ++above) {
    const auto* socket = above->auth_sock.get();
    if (!socket) continue;
    known = true;
    if (*socket && !(*socket)->empty() && !had) had = &*above;
  }
  if (known && !had) return;
  const std::string program = seen ? sudo->name : "sudo";
  Finding finding{.code = "sudo-drops-agent",
                  .severity = Severity::kWarning,
                  .certainty = had ? Certainty::kProven : Certainty::kLikely,
                  .summary = "this shell runs under " + program +
                             (user == side.session_variables.end()
                                  ? std::string()
                                  : " of " + Short(user->second, 60)) +
                             ", which drops SSH_AUTH_SOCK",
                  .explanation =
                      "A command run as somebody else begins with a clean "
                      "environment. Whoever keeps the variable lets it use "
                      "every key of the agent, so prefer to run git and ssh as "
                      "the user who logged in."};
  if (user != side.session_variables.end())
    finding.evidence.push_back(
        {.source = "environment", .text = "SUDO_USER=" + user->second});
  if (seen)
    finding.evidence.push_back(
        {.source = "/proc " + OnHost(facts),
         .text = sudo->name + " (pid " + std::to_string(sudo->pid) + ")"});
  if (had)
    finding.evidence.push_back(
        {.source = "/proc " + OnHost(facts), .text = Ancestry(*had)});
  if (program == "su") {
    finding.fixes = {{.title = "Let su keep the variable",
                      .safety = Safety::kManual,
                      .shell_lines = {"su -w SSH_AUTH_SOCK -"}}};
  } else {
    finding.fixes = {
        {.title = "Let sudo keep the variable, for this once",
         .safety = Safety::kManual,
         .shell_lines = {"sudo --preserve-env=SSH_AUTH_SOCK COMMAND"}},
        {.title = "Let sudo keep it for good (visudo -f)",
         .safety = Safety::kManual,
         .edits = {{.file = "/etc/sudoers.d/ssh-agent",
                    .text = "Defaults env_keep += \"SSH_AUTH_SOCK\""}}}};
  }
  answer.findings.push_back(std::move(finding));
}

// ------------------------------------------------------------------ together
// --

/// Sockets that long-lived sessions name and that nobody could ask, or that
/// gave no answer: neither alive nor gone.
std::vector<std::string> NotKnown(const Side& side) {
  std::vector<std::string> reasons = side.long_lived->not_seen;
  std::set<std::string> paths;
  for (const Holder& holder : side.long_lived->holders)
    if (holder.auth_sock && !holder.auth_sock->empty())
      paths.insert(*holder.auth_sock);
  for (const std::string& link : side.long_lived->links) paths.insert(link);
  for (const std::string& path : paths) {
    const Agent* agent = FindAgent(side, path);
    if (!agent) {
      const auto why = side.agents_not_asked.find(path);
      reasons.push_back(
          "the agent at " + Short(path, 120) + " could not be asked" +
          (why == side.agents_not_asked.end() ? std::string()
                                              : ": " + why->second));
    } else if (agent->state != AgentState::kAnswered && !IsGone(*agent)) {
      reasons.push_back(Short(path, 120) + ": " + StateWords(*agent));
    }
  }
  return reasons;
}

std::string Summary(const Side& side) {
  const std::size_t tmux = OfKind(side, HolderKind::kTmuxSession).size();
  const std::size_t screen = OfKind(side, HolderKind::kScreen).size();
  const std::size_t containers = OfKind(side, HolderKind::kContainer).size();
  std::vector<std::string> parts;
  if (tmux > 0) parts.push_back(Count(tmux, "tmux session", "tmux sessions"));
  if (screen > 0)
    parts.push_back(Count(screen, "screen session", "screen sessions"));
  if (containers > 0)
    parts.push_back(Count(containers, "container", "containers"));
  return "no long-lived session names a dead agent" +
         (parts.empty() ? std::string() : " (" + List(parts) + " looked at)");
}

bool Always(const Facts&) { return true; }

Answer Run(const Facts& facts) {
  Answer answer;
  const Side& side = ProbedSide(facts);
  if (facts.here) {
    Ask(answer, [&] { JudgeMosh(facts, answer); });
    Ask(answer, [&] { JudgeSudo(facts, answer); });
  }
  Ask(answer, [&] {
    side.long_lived.value();
    JudgeTmux(facts, answer);
    JudgeScreen(facts, answer);
    JudgeEditors(facts, answer);
    JudgeContainers(facts, answer);
    JudgeLinks(facts, answer);
    JudgeProcesses(facts, answer);
    if (const auto reasons = NotKnown(side); !reasons.empty())
      answer.skipped = "not all could be seen: " + Some(reasons, kNamed);
    answer.summary = Summary(side);
  });
  return answer;
}

}  // namespace

constinit const Check kRemoteSessions{
    .id = "remote-sessions",
    .stage = Stage::kLongLived,
    .title = "Long-lived sessions name an agent that answers",
    .run = Run,
    .codes = kCodes,
    .applies = Always};

}  // namespace agentdoctor::checks
