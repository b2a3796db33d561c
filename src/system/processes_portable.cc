// By ps(1), lsof(8) and sysctl(8), where they are.
#include <algorithm>
#include <charconv>
#include <ctime>
#include <initializer_list>
#include <optional>
#include <set>
#include <string_view>

#include "system/processes.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::size_t kLimit = 8 << 20;
/// Not in everybody's PATH.
constexpr const char* kSbin = "/usr/sbin/";

/// What a program says; unknown if it is missing, hangs or does not know how.
Fact<std::string> Ask(std::vector<std::string> argv, bool may_fail,
                      Milliseconds limit) {
  const std::string name = argv[0];
  if (FindProgram(name).empty()) {
    argv[0] = kSbin + name;
    if (FindProgram(argv[0]).empty())
      return Unknown{"there is no /proc and no " + name};
  }
  const ProcessResult result = Run(
      {.argv = std::move(argv), .total_limit = limit, .output_limit = kLimit});
  if (result.end == ProcessEnd::kTimedOut)
    return Unknown{name + " did not answer"};
  if (result.end != ProcessEnd::kExited || (result.status != 0 && !may_fail))
    return Unknown{"this system's " + name + " does not tell"};
  return result.out;
}

/// Cuts the next word off \a text.
std::string_view NextWord(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::string_view word = text.substr(0, text.find(' '));
  text.remove_prefix(word.size());
  return word;
}

std::optional<std::int64_t> Number(std::string_view text) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// What all of ps's kinds have: procps, macOS, the BSDs.  (Behind a "=" some
/// take the rest for a heading, so each has an option of its own.)
std::vector<std::string> PsCommand(std::initializer_list<std::string> which) {
  std::vector<std::string> argv = {"ps"};
  argv.insert(argv.end(), which);
  for (const char* column :
       {"pid=", "ppid=", "uid=", "lstart=", "tty=", "command="})
    argv.insert(argv.end(), {"-o", column});
  return argv;
}

/// "/usr/bin/ssh -M host" is "ssh", a login shell's "-bash" is "bash".
std::string ProgramOf(std::string_view command) {
  std::string_view name = command.substr(0, command.find(' '));
  name.remove_prefix(name.rfind('/') + 1);
  if (name.starts_with('-')) name.remove_prefix(1);
  return std::string(name);
}

/// "6192 1 1000 Thu Nov 26 23:20:09 2026 ? ssh -M host", in local time.
std::optional<RunningProcess> ParsePsLine(std::string_view line) {
  const auto pid = Number(NextWord(line));
  const auto parent = Number(NextWord(line));
  const auto owner = Number(NextWord(line));
  std::string started;
  for (int i = 0; i < 5; ++i) {
    if (i > 0) started += ' ';
    started += NextWord(line);
  }
  std::tm time = {};
  time.tm_isdst = -1;
  if (!pid || !parent || !owner ||
      strptime(started.c_str(), "%a %b %d %H:%M:%S %Y", &time) == nullptr)
    return std::nullopt;
  const std::string_view terminal = NextWord(line);  // "?", "??" or "-": none
  const std::string command(Trim(line));
  return RunningProcess{
      .pid = *pid,
      .parent = *parent,
      .owner = *owner,
      .name = ProgramOf(command),
      .started = static_cast<std::int64_t>(std::mktime(&time)),
      .has_terminal = !terminal.starts_with('?') && terminal != "-",
      .command = command,
      .words = Unknown{"ps does not show where a word ends"}};
}

/// Reads lsof's fields, one a line: p before a process, f before a file of it.
/// Where it does not say which socket listens (macOS), the first one of a name
/// does, and the others are its connections: they have its name.
struct LsofReader {
  std::map<std::int64_t, HeldSockets> processes = {};

  void Line(char field, std::string_view value) {
    switch (field) {
      case 'p':
        EndFile();
        pid_ = Number(value);
        break;
      case 'f':
        EndFile();
        file_ = {.descriptor = std::string(value)};
        break;
      case 't':
        file_.type = value;
        break;
      case 'n':
        file_.name = value;
        break;
      case 'T':
        if (value.starts_with("ST=")) file_.state = value.substr(3);
        break;
      default:
        break;
    }
  }

  void EndFile() {
    const File file = std::move(file_);
    file_ = {};
    if (!pid_ || file.descriptor.empty()) return;
    if (file.descriptor == "cwd") {
      if (file.type == "DIR") processes[*pid_].folder = file.name;
    } else if (file.type == "unix") {
      EndUnixSocket(file);
    } else if (file.type == "IPv4" || file.type == "IPv6") {
      HeldSockets& held = processes[*pid_];
      const std::size_t arrow = file.name.find("->");
      if (file.state == "LISTEN")
        held.tcp_listeners.push_back(file.name);
      else if (file.state == "ESTABLISHED" && arrow != std::string::npos)
        held.tcp_peers.push_back(file.name.substr(arrow + 2));
    }
  }

 private:
  struct File {
    std::string descriptor = {};
    std::string type = {};
    std::string name = {};
    std::string state = {};
  };

  void EndUnixSocket(const File& file) {
    // Linux: "/run/x type=STREAM"; macOS: "/run/x", without one "->0x1234".
    const std::string name = file.name.substr(0, file.name.find(" type="));
    HeldSockets& held = processes[*pid_];
    if (name.empty() || name.starts_with("type=") || name.starts_with("->"))
      return;
    // How it shows a character that is not ASCII: not the name itself.
    if (name.find('\\') != std::string::npos) return;
    const bool listens = file.state.empty() ? seen_.insert({*pid_, name}).second
                                            : file.state == "LISTEN";
    if (listens || file.state.empty() || file.state == "CONNECTED")
      held.named.push_back({.name = name, .listens = listens});
  }

  std::optional<std::int64_t> pid_ = {};
  File file_ = {};
  std::set<std::pair<std::int64_t, std::string>> seen_ = {};
};

Fact<std::map<std::int64_t, HeldSockets>> AskLsof(
    const std::vector<std::string>& which, Milliseconds limit) {
  // -b: no system call that a dead file server would block.
  std::vector<std::string> argv = {"lsof", "-b", "-w",   "-n",
                                   "-P",   "-F", "pftnT"};
  argv.insert(argv.end(), which.begin(), which.end());
  // Its status is 1 as well when one of several processes is gone.
  const Fact<std::string> answer = Ask(std::move(argv), true, limit);
  if (!answer.known()) return Unknown{answer.reason()};
  LsofReader reader;
  for (const std::string& line : SplitLines(*answer))
    if (!line.empty()) reader.Line(line[0], std::string_view(line).substr(1));
  reader.EndFile();
  return std::move(reader.processes);
}

}  // namespace

Fact<std::vector<RunningProcess>> RunningProcesses(Milliseconds limit) {
  const Fact<std::string> answer = Ask(PsCommand({"-axww"}), false, limit);
  if (!answer.known()) return Unknown{answer.reason()};
  std::vector<RunningProcess> processes;
  for (const std::string& line : SplitLines(*answer))
    if (auto process = ParsePsLine(line))
      processes.push_back(std::move(*process));
  if (processes.empty()) return Unknown{"this system's ps does not tell"};
  return processes;
}

Fact<RunningProcess> LookAtProcess(std::int64_t pid, Milliseconds limit) {
  const Fact<std::string> answer =
      Ask(PsCommand({"-ww", "-p", std::to_string(pid)}), false, limit);
  if (answer.known())
    if (auto process = ParsePsLine(*answer)) return *process;
  return Unknown{"process " + std::to_string(pid) + " can't be seen" +
                 (answer.known() ? "" : ": " + answer.reason())};
}

Fact<std::vector<NamedSocket>> NamedSockets(Milliseconds limit) {
  const auto processes = AskLsof({"-U"}, limit);
  if (!processes.known()) return Unknown{processes.reason()};
  std::vector<NamedSocket> named;
  for (const auto& [pid, held] : *processes)
    named.insert(named.end(), held.named.begin(), held.named.end());
  return named;
}

Fact<std::map<std::int64_t, HeldSockets>> SocketsOf(
    const std::vector<std::int64_t>& pids, Milliseconds limit) {
  std::string list;
  for (const std::int64_t pid : pids)
    list += (list.empty() ? "" : ",") + std::to_string(pid);
  if (list.empty()) return std::map<std::int64_t, HeldSockets>();
  return AskLsof({"-p", list}, limit);
}

// macOS and FreeBSD have one, under different names.
Fact<std::string> BootId() {
  const Fact<std::string> answer =
      Ask({"sysctl", "-n", "kern.bootsessionuuid", "kern.boot_id"}, true,
          Milliseconds(1000));
  const std::string_view id = answer.known() ? Trim(*answer) : "";
  if (id.empty()) return Unknown{"there is no /proc, and sysctl names no boot"};
  return std::string(id.substr(0, id.find('\n')));
}

}  // namespace agentdoctor
