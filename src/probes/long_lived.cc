#include "probes/long_lived.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "agent/client.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::size_t kMaxHolders = 256;
// What probe.sh looks at.
constexpr std::int64_t kMaxAsked = 1000;
// USER_HZ, in which /proc counts; the same on all but forgotten machines.
constexpr std::int64_t kTicks = 100;
constexpr std::string_view kVariable = "SSH_AUTH_SOCK=";
constexpr std::string_view kConnection = "SSH_CONNECTION=";

std::optional<std::int64_t> ReadNumber(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty())
    return std::nullopt;
  return number;
}

// Cuts the part before \a mark off \a text; all of it if there is none.
std::string_view Cut(std::string_view& text, char mark) {
  const std::size_t at = std::min(text.find(mark), text.size());
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

// Line feeds, as probe.sh wrote them.
std::string Restore(std::string_view text) {
  std::string restored(text);
  std::replace(restored.begin(), restored.end(), '\1', '\n');
  return restored;
}

void AppendUtf8(unsigned code, std::string& text) {
  const auto add = [&text](unsigned byte) { text += static_cast<char>(byte); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xc0 | code >> 6);
    add(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    add(0xe0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3f));
    add(0x80 | (code & 0x3f));
  } else {
    add(0xf0 | (code >> 18 & 0x07));
    add(0x80 | (code >> 12 & 0x3f));
    add(0x80 | (code >> 6 & 0x3f));
    add(0x80 | (code & 0x3f));
  }
}

bool Answers(const Side& side, const std::string& path) {
  const Agent* agent = FindAgent(side, path);
  return agent != nullptr && agent->state == AgentState::kAnswered;
}

// ---------------------------------------------------------------- the lines --

struct TmuxSession {
  std::int64_t created = 0;
  std::int64_t pid = 0;
  std::string name = {};
  std::string value = {};  ///< its own or else the global one; empty: none
};

struct TmuxServer {
  std::string socket = {};
  std::vector<TmuxSession> sessions = {};
  std::optional<std::string> global = {};
  bool global_removed = false;
  bool too_old = false;  ///< does not know variables in formats
  std::string message = {};
  std::int64_t status = -1;
};

struct ScreenSocket {
  std::string path = {};
  bool readable = false;  ///< the environment of its process
};

struct Process {
  std::optional<std::string> auth_sock = {};
  std::string connection = {};
  std::int64_t parent = 0;
  std::optional<std::int64_t> started = {};  ///< ticks since the machine began
  std::string name = {};                     ///< empty: it has ended
  std::string product = {};                  ///< of an editor
};

struct Mount {
  std::string source = {};
  std::string destination = {};
  bool replaced = false;  ///< since the container began
};

struct Container {
  std::string engine = {};
  std::string name = {};
  std::optional<std::int64_t> since = {};
  std::string variable = {};
  std::vector<Mount> mounts = {};
};

struct Seen {
  std::vector<TmuxServer> tmux = {};
  std::vector<Container> containers = {};
  std::vector<ScreenSocket> screens = {};
  std::map<std::int64_t, Process> processes = {};
  std::vector<std::string> links = {};
  std::vector<std::string> not_seen = {};
  std::string engine = {};
  bool engine_listed = false;       ///< its ps has ended
  std::string inspect_failed = {};  ///< so, unless it says something
  bool searched = false;            ///< the processes
  std::int64_t boot = 0;
};

// What `tmux ls ; showenv -g SSH_AUTH_SOCK` says.
void ReadTmuxLine(std::string_view line, TmuxServer& server) {
  if (line.starts_with("+$") || line.starts_with("-$")) {
    std::string_view rest = line;
    Cut(rest, ':');
    const auto created = ReadNumber(Cut(rest, ':'));
    const auto pid = ReadNumber(Cut(rest, ':'));
    if (created && pid) {
      server.too_old = server.too_old || line.front() == '-';
      const std::string_view name = Cut(rest, ':');
      server.sessions.push_back(
          {*created, *pid, std::string(name), Restore(rest)});
      return;
    }
    server.too_old = server.too_old || line.front() == '-';
  }
  if (line.starts_with(kVariable)) {
    server.global = Restore(line.substr(kVariable.size()));
  } else if (line == "-SSH_AUTH_SOCK") {
    server.global_removed = true;
  } else if (line.starts_with('=')) {
    server.status = ReadNumber(line.substr(1)).value_or(-1);
  } else if (line.starts_with("unknown variable")) {
    // Not set.
  } else if (server.global) {
    *server.global += '\n' + std::string(line);
  } else if (!server.sessions.empty()) {
    server.sessions.back().value += '\n' + std::string(line);
  } else if (server.message.empty()) {
    server.message = line;
  }
}

struct Product {
  std::string_view folder;
  std::string_view name;
};
constexpr std::array<Product, 7> kProducts = {{
    {"/.vscode-server-oss", "VSCodium"},
    {"/.vscode-server", "VS Code"},
    {"/.vscodium-server", "VSCodium"},
    {"/.cursor-server", "Cursor"},
    {"/.windsurf-server", "Windsurf"},
    {"/.cache/JetBrains/RemoteDev", "JetBrains"},
    {"/remote-dev-server", "JetBrains"},
}};

// "PID/cmdline:WORD:PATH", the path of a program of an editor, or of a script
// that one of these runs; not any program that is given a file of it.
void ReadEditorLine(std::string_view line, Seen& seen) {
  const auto pid = ReadNumber(Cut(line, '/'));
  Cut(line, ':');
  const auto word = ReadNumber(Cut(line, ':'));
  if (!pid || !word) return;
  const auto process = seen.processes.find(*pid);
  if (process == seen.processes.end()) return;
  const std::string_view name = process->second.name;
  const bool runs_scripts = name == "sh" || name == "bash" || name == "dash" ||
                            name == "node" || name == "MainThread" ||
                            name == "java" || name.starts_with("python");
  if (*word != 1 && (*word != 2 || !runs_scripts)) return;
  for (const Product& product : kProducts)
    if (line.find(product.folder) != std::string_view::npos) {
      process->second.product = product.name;
      return;
    }
}

// Cuts a word in double quotes, as Go's %q writes it, off \a text.
std::string CutQuoted(std::string_view& text) {
  std::string word;
  const std::size_t begin = text.find('"');
  if (begin == std::string_view::npos) {
    text = {};
    return word;
  }
  std::size_t at = begin + 1;
  const auto number = [&](std::size_t digits) {
    unsigned code = 0;
    const std::string_view hex = text.substr(std::min(at + 1, text.size()));
    std::from_chars(hex.data(), hex.data() + std::min(digits, hex.size()), code,
                    16);
    at += digits;
    return code;
  };
  for (; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      word += text[at];
      continue;
    }
    switch (text[++at]) {
      case 'a':
        word += '\a';
        break;
      case 'b':
        word += '\b';
        break;
      case 'f':
        word += '\f';
        break;
      case 'n':
        word += '\n';
        break;
      case 'r':
        word += '\r';
        break;
      case 't':
        word += '\t';
        break;
      case 'v':
        word += '\v';
        break;
      case 'x':
        word += static_cast<char>(number(2));
        break;
      case 'u':
        AppendUtf8(number(4), word);
        break;
      case 'U':
        AppendUtf8(number(8), word);
        break;
      default:
        word += text[at];
        break;
    }
  }
  text.remove_prefix(std::min(at + 1, text.size()));
  return word;
}

// "2026-11-21T10:00:00.123456789Z", or with +01:00 at the end.
std::optional<std::int64_t> ReadTime(std::string_view text) {
  if (text.size() < 20) return std::nullopt;
  const auto number = [&](std::size_t at, std::size_t size) {
    return static_cast<int>(ReadNumber(text.substr(at, size)).value_or(-1));
  };
  const std::chrono::year_month_day day{
      std::chrono::year(number(0, 4)),
      std::chrono::month(static_cast<unsigned>(number(5, 2))),
      std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  if (!day.ok()) return std::nullopt;
  std::int64_t seconds =
      std::int64_t{std::chrono::sys_days(day).time_since_epoch().count()} *
          86400 +
      number(11, 2) * 3600 + number(14, 2) * 60 + number(17, 2);
  const std::size_t zone = text.find_last_of("+-");
  if (zone != std::string_view::npos && zone >= 19 && text.size() >= zone + 6) {
    const int offset = number(zone + 1, 2) * 3600 + number(zone + 4, 2) * 60;
    seconds -= text[zone] == '+' ? offset : -offset;
  }
  return seconds;
}

// One of several containers may have ended in between; that all did is less
// likely than a failure.
void EndEngine(Seen& seen) {
  if (!seen.inspect_failed.empty())
    seen.not_seen.push_back(std::exchange(seen.inspect_failed, {}));
}

void ReadContainerLine(char kind, std::string_view line, Seen& seen) {
  if (kind == 'D') {
    EndEngine(seen);
    seen.engine = line;
    seen.engine_listed = false;
    return;
  }
  if (kind == 'C') {
    seen.inspect_failed.clear();
    Container container{.engine = seen.engine};
    container.since = ReadTime(CutQuoted(line));
    container.name = CutQuoted(line);
    if (container.name.starts_with('/')) container.name.erase(0, 1);
    seen.containers.push_back(std::move(container));
    return;
  }
  if (seen.containers.empty()) return;
  Container& container = seen.containers.back();
  if (kind == 'E') {
    const std::string variable = CutQuoted(line);
    if (variable.starts_with(kVariable))
      container.variable = variable.substr(kVariable.size());
  } else if (kind == 'M') {
    CutQuoted(line);
    Mount mount;
    mount.source = CutQuoted(line);
    mount.destination = CutQuoted(line);
    container.mounts.push_back(std::move(mount));
  } else if (!container.mounts.empty()) {
    container.mounts.back().replaced = true;
  }
}

// "STATUS NUMBER" of the search of all environments; of so many processes more
// was to be asked.
void ReadSearch(std::string_view line, Seen& seen) {
  const std::string_view status = Cut(line, ' ');
  if (status == "137" || status == "124") {
    seen.not_seen.emplace_back("processes: /proc did not answer within 2 s");
  } else if (status.size() != 1 || status > "2") {
    seen.not_seen.emplace_back(
        "processes: no grep that can search /proc/PID/environ");
  } else {
    seen.searched = true;
  }
  if (ReadNumber(line).value_or(0) > kMaxAsked)
    seen.not_seen.push_back("processes: only " + std::to_string(kMaxAsked) +
                            " of " + std::string(line) + " were looked at");
}

// "PARENT START PID (NAME)", of /proc/PID/stat.
void ReadProcessLine(std::string_view line, Seen& seen) {
  const auto parent = ReadNumber(Cut(line, ' '));
  const auto started = ReadNumber(Cut(line, ' '));
  const auto pid = ReadNumber(Cut(line, ' '));
  if (!pid || line.size() < 2) return;
  Process& process = seen.processes[*pid];
  process.parent = parent.value_or(0);
  process.started = started;
  process.name = Restore(line.substr(1, line.size() - 2));
}

// The status of the engine's `ps`, and then of its `inspect`.
void ReadEngineStatus(std::string_view status, Seen& seen) {
  const bool first = !std::exchange(seen.engine_listed, true);
  if (status == "0") return;
  if (status == "127" && first) {
    // Of podman only a monitor was seen, which other engines have, too.
    if (seen.engine == "docker")
      seen.not_seen.emplace_back(
          "docker: there is its socket, but no docker program");
    return;
  }
  const std::string command = seen.engine + (first ? " ps" : " inspect");
  if (status == "137" || status == "124")
    seen.not_seen.push_back(command + " did not answer within 3 s");
  else
    (first ? seen.not_seen.emplace_back() : seen.inspect_failed) =
        command + " ended with status " + std::string(status);
}

Seen ReadLines(const std::string& text) {
  Seen seen;
  std::vector<std::string> lines = SplitLines(text);
  if (lines.empty() || lines.back() != ".") {
    seen.not_seen.emplace_back("more than the probe's answer can hold");
  }
  if (!lines.empty()) lines.pop_back();
  bool searched = false;
  std::string value;
  for (const std::string& line : lines) {
    if (line.empty()) continue;
    std::string_view rest = std::string_view(line).substr(1);
    switch (line.front()) {
      case '=':
        ReadSearch(rest, seen);
        searched = true;
        break;
      case '-':  // nothing besides this session
        searched = true;
        break;
      case 'l':
        if (std::string link = Restore(rest);
            std::ranges::find(seen.links, link) == seen.links.end())
          seen.links.push_back(std::move(link));
        break;
      case 'b':
        seen.boot = ReadNumber(rest).value_or(0);
        break;
      case 'v':
        value = Restore(rest);
        break;
      case 'T':
        seen.tmux.push_back({.socket = Restore(rest)});
        break;
      case 't':
        if (!seen.tmux.empty()) ReadTmuxLine(rest, seen.tmux.back());
        break;
      case 'S':
        seen.screens.push_back(
            {Restore(rest.substr(std::min<std::size_t>(1, rest.size()))),
             rest.starts_with('+')});
        break;
      case 'p':
        while (!rest.empty()) {
          const auto pid = ReadNumber(Cut(rest, ' '));
          if (!pid) continue;
          Process& process = seen.processes[*pid];
          if (value.starts_with(kVariable) && !process.auth_sock)
            process.auth_sock = value.substr(kVariable.size());
          else if (value.starts_with(kConnection))
            process.connection = value.substr(kConnection.size());
        }
        break;
      case 'i':
        ReadProcessLine(rest, seen);
        break;
      case 'x':
        ReadEngineStatus(rest, seen);
        break;
      case 'D':
      case 'C':
      case 'E':
      case 'M':
      case 'R':
        ReadContainerLine(line.front(), rest, seen);
        break;
      default:
        ReadEditorLine(line, seen);
        break;
    }
  }
  EndEngine(seen);
  if (!searched && seen.not_seen.empty())
    seen.not_seen.emplace_back("processes: there is no /proc, tr or awk");
  return seen;
}

// ------------------------------------------------------------- the holders --

void AddTmux(const TmuxServer& server, LongLived& result) {
  const std::string at = "tmux at " + server.socket;
  if (server.sessions.empty() && !server.global && !server.global_removed) {
    const std::string& message = server.message;
    if (server.status == 137 || server.status == 124)
      result.not_seen.push_back(at + " did not answer within 2 s");
    else if (!message.empty() &&
             message.find("no server running") == std::string::npos &&
             message.find("No such file") == std::string::npos &&
             message.find("refused") == std::string::npos)
      result.not_seen.push_back(at + ": " + message);
    return;
  }
  std::optional<std::int64_t> pid;
  std::optional<std::int64_t> since;
  for (const TmuxSession& session : server.sessions) {
    pid = session.pid;
    since = std::min(since.value_or(session.created), session.created);
  }
  const bool global = server.global && !server.global->empty();
  if (global || server.global_removed)
    result.holders.push_back(
        {.kind = HolderKind::kTmuxServer,
         .server = server.socket,
         .pid = pid,
         .since = since,
         .auth_sock = global ? server.global : std::nullopt});
  if (server.too_old) {
    result.not_seen.push_back(
        at + " is older than 2.1: the environments of its sessions");
    return;
  }
  std::vector<TmuxSession> sessions = server.sessions;
  std::ranges::stable_sort(sessions, {}, &TmuxSession::created);
  for (const TmuxSession& session : sessions) {
    // What its next pane gets: a value of its own, or else the global one,
    // which is seen through; none although there is a global one: marked as
    // removed.
    if (session.value.empty() && !global) continue;
    result.holders.push_back({.kind = HolderKind::kTmuxSession,
                              .name = session.name,
                              .server = server.socket,
                              .pid = session.pid,
                              .since = session.created,
                              .auth_sock = session.value.empty()
                                               ? std::nullopt
                                               : std::optional(session.value)});
  }
}

std::optional<std::int64_t> Since(const Seen& seen, const Process& process) {
  if (seen.boot == 0 || !process.started) return std::nullopt;
  return seen.boot + *process.started / kTicks;
}

// What a screen hands to its next window.  Its own environment stays what it
// was, whatever `screen -X setenv` says; the youngest window shows that.
void AddScreen(const ScreenSocket& screen, const Seen& seen, const Side& side,
               LongLived& result) {
  const std::string name = screen.path.substr(screen.path.rfind('/') + 1);
  const auto pid = ReadNumber(name.substr(0, name.find('.')));
  if (!pid) return;
  if (!seen.searched) {
    result.not_seen.push_back("screen " + name +
                              ": the processes were not searched");
    return;
  }
  const auto found = seen.processes.find(*pid);
  if (found == seen.processes.end()) return;
  const Process& server = found->second;
  if (server.name != "screen" && server.name != "SCREEN") return;

  const Process* youngest = nullptr;
  for (const auto& [number, process] : seen.processes)
    if (process.parent == *pid && process.auth_sock &&
        (youngest == nullptr || process.started > youngest->started))
      youngest = &process;
  std::optional<std::string> value = server.auth_sock;
  if (youngest != nullptr &&
      (!value || !Answers(side, *value) || Answers(side, *youngest->auth_sock)))
    value = youngest->auth_sock;
  if (value)
    result.holders.push_back({.kind = HolderKind::kScreen,
                              .name = name,
                              .pid = pid,
                              .since = Since(seen, server),
                              .auth_sock = value});
  else if (!screen.readable)
    result.not_seen.push_back("screen " + name +
                              ": its environment can not be read");
}

// The processes of the probe: what it runs in, itself, and what it started.
struct Ours {
  std::int64_t self = -1;
  std::vector<std::pair<std::int64_t, Ancestor>> ancestors = {};

  bool Has(std::int64_t pid, const Seen& seen) const {
    for (const auto& [number, ancestor] : ancestors)
      if (number == pid) return true;
    for (int depth = 0; depth < 64 && pid > 1; ++depth) {
      if (pid == self) return true;
      const auto found = seen.processes.find(pid);
      if (found == seen.processes.end()) return false;
      pid = found->second.parent;
    }
    return false;
  }
};

Ours ReadOurs(const ProbeProcess& probe, const Seen& seen, const Side& side) {
  Ours ours;
  ours.self = ReadNumber(probe.self).value_or(-1);
  for (const std::string& line : SplitLines(probe.ancestors)) {
    const std::size_t mark = line.find_first_of("+-");
    const auto pid = ReadNumber(line.substr(0, std::min(mark, line.size())));
    if (!pid || mark == std::string::npos) continue;
    Ancestor ancestor{.pid = *pid, .name = line.substr(mark + 1)};
    const auto found = seen.processes.find(*pid);
    if (ours.ancestors.empty() && side.initial_auth_sock.known())
      ancestor.auth_sock = side.initial_auth_sock.value();
    else if (found != seen.processes.end() && found->second.auth_sock)
      ancestor.auth_sock = found->second.auth_sock;
    else if (line[mark] != '+')
      ancestor.auth_sock = Unknown{"its environment can not be read"};
    else if (!seen.searched)
      ancestor.auth_sock = Unknown{"the processes were not searched"};
    else
      ancestor.auth_sock = std::optional<std::string>();
    ours.ancestors.emplace_back(*pid, std::move(ancestor));
  }
  return ours;
}

// Editors whatever they name, other processes if it is dead; those of one
// program and one socket are one holder, and the oldest stands for them.
void AddProcesses(const Seen& seen, const Ours& ours, const Side& side,
                  LongLived& result) {
  std::map<std::tuple<HolderKind, std::string, std::string>, Holder> groups;
  for (const auto& [pid, process] : seen.processes) {
    if (process.name.empty() || !process.auth_sock) continue;
    const std::string& path = *process.auth_sock;
    // tmux and screen were asked what they hand on.
    if (process.name.starts_with("tmux") || process.name == "screen" ||
        process.name == "SCREEN" || ours.Has(pid, seen))
      continue;
    const bool editor = !process.product.empty();
    const Agent* agent = FindAgent(side, path);
    if (!editor && (agent == nullptr || agent->state == AgentState::kAnswered))
      continue;
    const HolderKind kind = editor ? HolderKind::kEditor : HolderKind::kProcess;
    const std::optional<std::int64_t> since = Since(seen, process);
    const auto [at, is_new] = groups.try_emplace(
        {kind, editor ? process.product : process.name, path},
        Holder{.kind = kind,
               .name = process.name,
               .server = process.product,
               .pid = pid,
               .since = since,
               .auth_sock = path});
    if (is_new) continue;
    Holder& holder = at->second;
    ++holder.count;
    if (since < holder.since) {
      holder.name = process.name;
      holder.pid = pid;
      holder.since = since;
    }
  }
  std::vector<Holder> holders;
  for (auto& [key, holder] : groups) holders.push_back(std::move(holder));
  std::ranges::stable_sort(holders, {}, [](const Holder& holder) {
    return std::pair(holder.kind, holder.since);
  });
  for (Holder& holder : holders) result.holders.push_back(std::move(holder));
}

// Of the processes that name a living socket the oldest is the shell that sshd
// started; younger ones may have borrowed it.
void AddConnections(const Seen& seen, Side& side) {
  std::map<std::string, std::int64_t> oldest;
  for (const auto& [pid, process] : seen.processes) {
    if (!process.auth_sock || process.connection.empty()) continue;
    const std::string& path = *process.auth_sock;
    if (!Answers(side, path)) continue;
    const std::int64_t started =
        process.started.value_or(std::numeric_limits<std::int64_t>::max());
    const auto [at, is_new] = oldest.try_emplace(path, started);
    if (!is_new && at->second <= started) continue;
    at->second = started;
    side.socket_connections[path] = process.connection;
  }
}

// The mount that covers what the container's variable names leads back to a
// path of ours; without a variable one that looks like an agent's socket.
void AddContainer(const Container& container, LongLived& result) {
  const std::string& variable = container.variable;
  const Mount* covers = nullptr;
  for (const Mount& mount : container.mounts)
    if ((variable == mount.destination ||
         variable.starts_with(mount.destination + "/")) &&
        (covers == nullptr ||
         covers->destination.size() < mount.destination.size()))
      covers = &mount;
  std::string path;
  std::string destination = variable;
  if (covers != nullptr) {
    path = covers->source + variable.substr(covers->destination.size());
  } else if (variable.empty()) {
    for (const Mount& mount : container.mounts)
      if (covers == nullptr && !SocketProduct(mount.source).empty())
        covers = &mount;
    if (covers == nullptr) return;
    path = covers->source;
    destination = covers->destination;
  }
  // Docker Desktop's own, inside its virtual machine.
  if (covers == nullptr || path.starts_with("/run/host-services/")) return;
  result.holders.push_back({.kind = HolderKind::kContainer,
                            .name = container.name,
                            .server = container.engine,
                            .since = container.since,
                            .auth_sock = path,
                            .destination = destination,
                            .replaced = covers->replaced});
}

// Whatever is named and was not asked has a reason.
void AddNotAsked(const LongLived& result, Side& side) {
  const auto add = [&side](const std::string& path) {
    if (path.empty() || FindAgent(side, path) != nullptr) return;
    side.agents_not_asked.try_emplace(
        path, path.starts_with('/')
                  ? "there are too many sockets to ask them all"
                  : "the path does not begin at the root");
  };
  for (const Holder& holder : result.holders)
    if (holder.auth_sock) add(*holder.auth_sock);
  for (const std::string& link : result.links) add(link);
}

}  // namespace

void ReadLongLived(const std::string& lines, const ProbeProcess& probe,
                   Side& side) {
  Seen seen = ReadLines(lines);
  const Ours ours = ReadOurs(probe, seen, side);
  for (const auto& [pid, ancestor] : ours.ancestors)
    side.ancestors.push_back(ancestor);
  AddConnections(seen, side);

  LongLived result;
  for (const TmuxServer& server : seen.tmux) AddTmux(server, result);
  for (const ScreenSocket& screen : seen.screens)
    AddScreen(screen, seen, side, result);
  for (const Container& container : seen.containers)
    AddContainer(container, result);
  AddProcesses(seen, ours, side, result);
  if (result.holders.size() > kMaxHolders) result.holders.resize(kMaxHolders);
  result.links = std::move(seen.links);
  for (std::string& reason : seen.not_seen)
    result.not_seen.push_back(std::move(reason));
  AddNotAsked(result, side);
  side.long_lived = std::move(result);
}

}  // namespace agentdoctor
