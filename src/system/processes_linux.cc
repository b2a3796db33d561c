// By proc(5).
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <sstream>
#include <string_view>

#include "system/file.h"
#include "system/processes.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::size_t kLimit = 8 << 20;
constexpr std::size_t kProcesses = 65536;
constexpr const char* kUnixSockets = "/proc/net/unix";
constexpr const char* kBootId = "/proc/sys/kernel/random/boot_id";

std::string Proc(std::int64_t pid, const char* name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

std::int64_t Number(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::int64_t BootTime() {
  std::istringstream lines(ReadFile("/proc/stat").value_or(""));
  constexpr std::string_view kBootTime = "btime ";
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(kBootTime))
      return Number(std::string_view(line).substr(kBootTime.size()));
  return 0;
}

std::vector<std::string> CommandWords(std::int64_t pid) {
  std::vector<std::string> words;
  std::istringstream text(ReadFile(Proc(pid, "cmdline")).value_or(""));
  for (std::string word; std::getline(text, word, '\0');) words.push_back(word);
  while (!words.empty() && words.back().empty()) words.pop_back();
  return words;
}

std::optional<RunningProcess> ReadProcess(std::int64_t pid,
                                          std::int64_t boot_time) {
  const std::string text = ReadFile(Proc(pid, "stat")).value_or("");
  // The program's name stands in parentheses and may contain anything.
  const std::size_t name_begin = text.find('(');
  const std::size_t name_end = text.rfind(')');
  if (name_begin == std::string::npos || name_end == std::string::npos)
    return std::nullopt;
  // From field 3 on.
  std::vector<std::string> fields;
  std::istringstream rest(text.substr(name_end + 1));
  for (std::string word; rest >> word;) fields.push_back(word);
  constexpr std::size_t kParent = 4 - 3;
  constexpr std::size_t kTerminal = 7 - 3;
  constexpr std::size_t kStartTime = 22 - 3;
  const long ticks = sysconf(_SC_CLK_TCK);
  if (fields.size() <= kStartTime || boot_time <= 0 || ticks <= 0)
    return std::nullopt;
  RunningProcess process{
      .pid = pid,
      .parent = Number(fields[kParent]),
      // Its folder belongs to whose privileges it has.
      .owner = LookAt("/proc/" + std::to_string(pid)).owner,
      .name = text.substr(name_begin + 1, name_end - name_begin - 1),
      .started = boot_time + Number(fields[kStartTime]) / ticks,
      .has_terminal = Number(fields[kTerminal]) != 0};
  std::vector<std::string> words = CommandWords(pid);
  for (const std::string& word : words)
    process.command += (process.command.empty() ? "" : " ") + word;
  if (words.empty())
    process.words = Unknown{"the process shows no command line"};
  else
    process.words = std::move(words);
  return process;
}

/// A line of /proc/net/unix.
struct UnixSocket {
  NamedSocket socket = {};
  std::string inode = {};
};

/// Those with a name that listen or are connected.
std::optional<std::vector<UnixSocket>> UnixSockets() {
  const auto text = ReadFile(kUnixSockets, kLimit);
  if (!text) return std::nullopt;
  std::vector<UnixSocket> sockets;
  std::istringstream lines(*text);
  std::string line;
  std::getline(lines, line);  // headings
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string number, references, protocol, flags, type, state, inode, path;
    if (!(words >> number >> references >> protocol >> flags >> type >> state >>
          inode >> std::ws) ||
        !std::getline(words, path))
      continue;
    const bool listens = flags == "00010000";
    const bool connected = state == "03";
    if (listens || connected)
      sockets.push_back(
          {.socket = {.name = path, .listens = listens}, .inode = inode});
  }
  return sockets;
}

std::string LinkTarget(const std::string& path) {
  std::array<char, 4096> target{};
  const ssize_t size = readlink(path.c_str(), target.data(), target.size());
  return {target.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
}

/// The inodes of the sockets that a process holds; nothing if it can't be seen.
std::optional<std::vector<std::string>> SocketInodes(std::int64_t pid) {
  const std::string folder = Proc(pid, "fd");
  if (access(folder.c_str(), R_OK | X_OK) != 0) return std::nullopt;
  std::vector<std::string> inodes;
  for (const std::string& name : ListDirectory(folder)) {
    const std::string target = LinkTarget(folder + "/" + name);
    std::string_view link = target;
    constexpr std::string_view kPrefix = "socket:[";
    if (!link.starts_with(kPrefix) || !link.ends_with(']')) continue;
    link.remove_prefix(kPrefix.size());
    link.remove_suffix(1);
    inodes.emplace_back(link);
  }
  std::ranges::sort(inodes);
  return inodes;
}

unsigned FromHex(std::string_view text) {
  unsigned value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

/// "0100007F:1F90" of /proc/net/tcp as "127.0.0.1:8080": the address is the
/// memory's words in hexadecimal, the port its value.
std::string TcpAddress(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos || colon % 8 != 0) return text;
  std::vector<unsigned> bytes;
  for (std::size_t word = 0; word < colon; word += 8) {
    const unsigned value = FromHex(std::string_view(text).substr(word, 8));
    std::array<unsigned char, 4> memory{};
    static_assert(sizeof(value) == sizeof(memory));
    std::copy_n(reinterpret_cast<const unsigned char*>(&value), memory.size(),
                memory.begin());
    bytes.insert(bytes.end(), memory.begin(), memory.end());
  }
  const std::string port =
      ":" + std::to_string(FromHex(std::string_view(text).substr(colon + 1)));
  if (std::ranges::all_of(bytes, [](unsigned byte) { return byte == 0; }))
    return "*" + port;
  std::ostringstream address;
  if (bytes.size() == 4) {
    for (std::size_t i = 0; i < 4; ++i) address << (i ? "." : "") << bytes[i];
    return address.str() + port;
  }
  if (std::ranges::all_of(bytes.begin(), bytes.end() - 1,
                          [](unsigned byte) { return byte == 0; }) &&
      bytes.back() == 1)
    return "[::1]" + port;
  address << std::hex;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2)
    address << (i ? ":" : "") << (bytes[i] << 8 | bytes[i + 1]);
  return "[" + address.str() + "]" + port;
}

/// The TCP sockets of a process that holds these \a inodes.
void AddTcpSockets(std::int64_t pid, const std::vector<std::string>& inodes,
                   HeldSockets& held) {
  constexpr std::string_view kEstablished = "01";
  constexpr std::string_view kListen = "0A";
  for (const char* file : {"net/tcp", "net/tcp6"}) {
    std::istringstream lines(ReadFile(Proc(pid, file), kLimit).value_or(""));
    std::string line;
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      std::string number, local, remote, state, queues, timer, retries, uid,
          timeout, inode;
      if (!(words >> number >> local >> remote >> state >> queues >> timer >>
            retries >> uid >> timeout >> inode) ||
          !std::ranges::binary_search(inodes, inode))
        continue;
      if (state == kListen) held.tcp_listeners.push_back(TcpAddress(local));
      if (state == kEstablished) held.tcp_peers.push_back(TcpAddress(remote));
    }
  }
}

}  // namespace

Fact<std::vector<RunningProcess>> RunningProcesses(Milliseconds /*limit*/) {
  const std::int64_t boot_time = BootTime();
  if (boot_time <= 0) return Unknown{"/proc/stat can't be read"};
  std::vector<RunningProcess> processes;
  for (const std::string& name : ListDirectory("/proc", kProcesses))
    if (const std::int64_t pid = Number(name); pid > 0)
      if (auto process = ReadProcess(pid, boot_time))
        processes.push_back(std::move(*process));
  std::ranges::sort(processes, {}, &RunningProcess::pid);
  return processes;
}

Fact<RunningProcess> LookAtProcess(std::int64_t pid, Milliseconds /*limit*/) {
  if (auto process = ReadProcess(pid, BootTime())) return *process;
  return Unknown{"process " + std::to_string(pid) + " can't be seen"};
}

Fact<std::vector<NamedSocket>> NamedSockets(Milliseconds /*limit*/) {
  const auto sockets = UnixSockets();
  if (!sockets) return Unknown{std::string(kUnixSockets) + " can't be read"};
  std::vector<NamedSocket> named;
  for (const UnixSocket& socket : *sockets) named.push_back(socket.socket);
  return named;
}

Fact<std::map<std::int64_t, HeldSockets>> SocketsOf(
    const std::vector<std::int64_t>& pids, Milliseconds /*limit*/) {
  const auto sockets = UnixSockets();
  if (!sockets) return Unknown{std::string(kUnixSockets) + " can't be read"};
  std::map<std::int64_t, HeldSockets> all;
  for (const std::int64_t pid : pids) {
    const auto inodes = SocketInodes(pid);
    if (!inodes) continue;
    HeldSockets& held = all[pid];
    held.folder = LinkTarget(Proc(pid, "cwd"));
    for (const UnixSocket& socket : *sockets)
      if (std::ranges::binary_search(*inodes, socket.inode))
        held.named.push_back(socket.socket);
    if (inodes->size() > held.named.size()) AddTcpSockets(pid, *inodes, held);
  }
  return all;
}

Fact<std::string> BootId() {
  const std::string id = ReadFile(kBootId, 64).value_or("");
  if (Trim(id).empty()) return Unknown{std::string(kBootId) + " can't be read"};
  return std::string(Trim(id));
}

}  // namespace agentdoctor
