#include "clients/master_process.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <set>
#include <sstream>
#include <string_view>

#include "system/file.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

/// ssh binds to PATH.RANDOM and links that name to PATH, so the kernel knows
/// the socket, and every connection to it, by the former (misc.c,
/// unix_listener(); mux.c, muxserver_listen()).
[[maybe_unused]] bool IsControlSocket(std::string_view bound,
                                      std::string_view control_path) {
  constexpr std::size_t kRandom = 16;
  if (!bound.starts_with(control_path)) return false;
  const std::string_view rest = bound.substr(control_path.size());
  return rest.empty() || (rest.size() == kRandom + 1 && rest[0] == '.' &&
                          rest.find('/') == rest.npos);
}

constexpr std::string_view kTitleStart = "ssh: ";
constexpr std::string_view kTitleEnd = " [mux]";

bool IsTitle(std::string_view word) {
  return word.starts_with(kTitleStart) && word.ends_with(kTitleEnd) &&
         word.size() > kTitleStart.size() + kTitleEnd.size();
}

/// A ControlPersist master writes its title over its arguments.
Fact<std::vector<std::string>> CommandLine(std::vector<std::string> words) {
  if (words.empty()) return Unknown{"the process shows no command line"};
  if (IsTitle(words[0]))
    return Unknown{"the master has replaced it by its title: " + words[0]};
  return words;
}

#ifdef __linux__

constexpr std::size_t kProcLimit = 8 << 20;

std::string Proc(std::int64_t pid, const char* name) {
  return "/proc/" + std::to_string(pid) + "/" + name;
}

/// A line of /proc/net/unix (proc(5)).
struct UnixSocket {
  bool listens = false;
  bool connected = false;
  std::string inode = {};
  std::string path = {};
};

std::vector<UnixSocket> UnixSockets() {
  std::vector<UnixSocket> sockets;
  const auto text = ReadFile("/proc/net/unix", kProcLimit);
  if (!text) return sockets;
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
    sockets.push_back({.listens = flags == "00010000",
                       .connected = state == "03",
                       .inode = inode,
                       .path = path});
  }
  return sockets;
}

/// The socket inodes that a process holds; nothing if it can't be seen.
std::optional<std::set<std::string>> SocketsOf(std::int64_t pid) {
  const std::string folder = Proc(pid, "fd");
  if (access(folder.c_str(), R_OK | X_OK) != 0) return std::nullopt;
  std::set<std::string> inodes;
  for (const std::string& name : ListDirectory(folder)) {
    std::array<char, 64> target{};
    const ssize_t size =
        readlink((folder + "/" + name).c_str(), target.data(), target.size());
    std::string_view link(target.data(),
                          static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
    constexpr std::string_view kPrefix = "socket:[";
    if (!link.starts_with(kPrefix) || !link.ends_with(']')) continue;
    link.remove_prefix(kPrefix.size());
    link.remove_suffix(1);
    inodes.emplace(link);
  }
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

/// A line of /proc/PID/net/tcp or tcp6 (proc(5)).
struct TcpSocket {
  std::string local = {};
  std::string remote = {};
  std::string state = {};
};
constexpr std::string_view kEstablished = "01";
constexpr std::string_view kListen = "0A";

/// Those of a process that holds these \a inodes.
std::vector<TcpSocket> TcpSockets(std::int64_t pid,
                                  const std::set<std::string>& inodes) {
  std::vector<TcpSocket> sockets;
  for (const char* file : {"net/tcp", "net/tcp6"}) {
    std::istringstream lines(
        ReadFile(Proc(pid, file), kProcLimit).value_or(""));
    std::string line;
    while (std::getline(lines, line)) {
      std::istringstream words(line);
      TcpSocket socket;
      std::string number, queues, timer, retries, uid, timeout, inode;
      if (words >> number >> socket.local >> socket.remote >> socket.state >>
              queues >> timer >> retries >> uid >> timeout >> inode &&
          inodes.contains(inode))
        sockets.push_back(std::move(socket));
    }
  }
  return sockets;
}

/// The path of a master's socket, of the name that it was bound to; empty if
/// masters make no such name.
std::string ControlPathOf(std::int64_t pid, const std::string& bound) {
  constexpr std::size_t kSuffix = 1 + 16;
  if (bound.size() <= kSuffix || bound[bound.size() - kSuffix] != '.')
    return {};
  std::string path = bound.substr(0, bound.size() - kSuffix);
  if (!IsControlSocket(bound, path)) return {};
  if (path.starts_with('/')) return path;
  std::array<char, 4096> folder{};
  const ssize_t size =
      readlink(Proc(pid, "cwd").c_str(), folder.data(), folder.size());
  if (size <= 0) return {};
  return std::string(folder.data(), static_cast<std::size_t>(size)) + "/" +
         path;
}

/// Whether \a socket is the one of a master at \a control_path.
bool Serves(std::int64_t pid, const UnixSocket& socket,
            const std::string& control_path) {
  return IsControlSocket(socket.path, control_path) ||
         ControlPathOf(pid, socket.path) == control_path;
}

Fact<std::vector<std::string>> Forwardings(std::int64_t pid,
                                           const std::string& control_path) {
  const auto inodes = SocketsOf(pid);
  if (!inodes)
    return Unknown{"the sockets of process " + std::to_string(pid) +
                   " can't be seen"};
  std::vector<std::string> forwardings;
  for (const TcpSocket& socket : TcpSockets(pid, *inodes))
    if (socket.state == kListen)
      forwardings.push_back(TcpAddress(socket.local));
  for (const UnixSocket& socket : UnixSockets())
    if (socket.listens && inodes->contains(socket.inode) &&
        !Serves(pid, socket, control_path))
      forwardings.push_back(socket.path);
  return forwardings;
}

/// Whether that process is the master, and not one of the same number: a
/// master in another pid namespace (a container) tells the number it has there.
bool ListensOn(std::int64_t pid, const std::string& control_path) {
  const auto inodes = SocketsOf(pid);
  return inodes &&
         std::ranges::any_of(UnixSockets(), [&](const UnixSocket& socket) {
           return socket.listens && inodes->contains(socket.inode) &&
                  Serves(pid, socket, control_path);
         });
}

/// The fields of /proc/PID/stat behind the program's name, which may contain
/// anything; the first one is field 3 of proc(5).
std::vector<std::string> StatFields(std::int64_t pid) {
  const std::string text = ReadFile(Proc(pid, "stat")).value_or("");
  const std::size_t name_end = text.rfind(')');
  std::vector<std::string> fields;
  if (name_end == std::string::npos) return fields;
  std::istringstream words(text.substr(name_end + 1));
  for (std::string word; words >> word;) fields.push_back(word);
  return fields;
}

std::vector<std::string> CommandWords(std::int64_t pid) {
  std::vector<std::string> words;
  std::istringstream text(ReadFile(Proc(pid, "cmdline")).value_or(""));
  for (std::string word; std::getline(text, word, '\0');) words.push_back(word);
  while (!words.empty() && words.back().empty()) words.pop_back();
  return words;
}

std::int64_t Number(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

std::vector<std::int64_t> Processes() {
  constexpr std::size_t kProcesses = 65536;
  std::vector<std::int64_t> pids;
  for (const std::string& name : ListDirectory("/proc", kProcesses))
    if (const std::int64_t pid = Number(name); pid > 0) pids.push_back(pid);
  return pids;
}

std::int64_t BootTime() {
  std::istringstream lines(ReadFile("/proc/stat").value_or(""));
  constexpr std::string_view kBootTime = "btime ";
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(kBootTime))
      return Number(std::string_view(line).substr(kBootTime.size()));
  return 0;
}

#endif

}  // namespace

#ifdef __linux__

MasterProcess LookAtMasterProcess(std::int64_t pid,
                                  const std::string& control_path,
                                  Milliseconds) {
  MasterProcess process;
  if (!ListensOn(pid, control_path)) {
    const Unknown unseen{"process " + std::to_string(pid) +
                         " is not seen to listen on " + control_path};
    process.started = unseen;
    process.foreground = unseen;
    process.forwardings = unseen;
    process.command_line = unseen;
    return process;
  }
  constexpr std::size_t kTerminal = 7 - 3;
  constexpr std::size_t kStartTime = 22 - 3;
  const std::vector<std::string> fields = StatFields(pid);
  const std::int64_t boot = BootTime();
  const long ticks = sysconf(_SC_CLK_TCK);
  if (fields.size() > kStartTime && boot > 0 && ticks > 0) {
    process.started = boot + Number(fields[kStartTime]) / ticks;
    process.foreground = Number(fields[kTerminal]) != 0;
  } else {
    const Unknown unseen{"process " + std::to_string(pid) + " can't be seen"};
    process.started = unseen;
    process.foreground = unseen;
  }
  process.forwardings = Forwardings(pid, control_path);

  process.command_line = CommandLine(CommandWords(pid));
  return process;
}

Fact<int> CountClients(const std::string& control_path) {
  if (access("/proc/net/unix", R_OK) != 0)
    return Unknown{"/proc/net/unix can't be read"};
  return static_cast<int>(
      std::ranges::count_if(UnixSockets(), [&](const UnixSocket& socket) {
        return socket.connected && IsControlSocket(socket.path, control_path);
      }));
}

std::optional<std::int64_t> FindListener(const std::string& control_path) {
  std::string inode;
  for (const UnixSocket& socket : UnixSockets())
    if (socket.listens && IsControlSocket(socket.path, control_path))
      inode = socket.inode;
  if (inode.empty()) return std::nullopt;
  for (const std::int64_t pid : Processes()) {
    const auto inodes = SocketsOf(pid);
    if (inodes && inodes->contains(inode)) return pid;
  }
  return std::nullopt;
}

Fact<std::vector<MasterListener>> FindMasters() {
  if (access("/proc/net/unix", R_OK) != 0)
    return Unknown{"/proc/net/unix can't be read"};
  const std::vector<UnixSocket> sockets = UnixSockets();
  std::vector<MasterListener> masters;
  for (const std::int64_t pid : Processes()) {
    // Its folder belongs to whose privileges it has (proc(5)).
    if (LookAt("/proc/" + std::to_string(pid)).owner !=
            static_cast<std::int64_t>(geteuid()) ||
        !ReadFile(Proc(pid, "comm")).value_or("").starts_with("ssh"))
      continue;
    const std::set<std::string> inodes =
        SocketsOf(pid).value_or(std::set<std::string>{});
    bool listens = false;
    for (const UnixSocket& socket : sockets) {
      if (!socket.listens || !inodes.contains(socket.inode)) continue;
      std::string path = ControlPathOf(pid, socket.path);
      if (path.empty()) continue;
      masters.push_back({.pid = pid,
                         .path = std::move(path),
                         .listens = true,
                         .relative = !socket.path.starts_with('/')});
      listens = true;
    }
    if (listens) continue;
    const std::vector<std::string> words = CommandWords(pid);
    if (words.empty() || !IsTitle(words[0])) continue;
    std::string_view title = words[0];
    title.remove_prefix(kTitleStart.size());
    title.remove_suffix(kTitleEnd.size());
    masters.push_back({.pid = pid, .path = std::string(title)});
  }
  return masters;
}

Fact<std::string> FindPeer(std::int64_t pid) {
  const auto inodes = SocketsOf(pid);
  if (!inodes)
    return Unknown{"the sockets of process " + std::to_string(pid) +
                   " can't be seen"};
  std::vector<std::string> peers;
  for (const TcpSocket& socket : TcpSockets(pid, *inodes))
    if (socket.state == kEstablished)
      peers.push_back(TcpAddress(socket.remote));
  if (peers.empty())
    return Unknown{"it has no connection of its own (ProxyJump, ProxyCommand)"};
  // Forwarded ports have connections, too.
  if (peers.size() > 1) return Unknown{"it has several connections"};
  return peers.front();
}

#else

namespace {

/// One column of ps(1) for a process; empty if there is none.
std::string Ps(std::int64_t pid, const char* column, Milliseconds limit) {
  const ProcessResult result =
      Run({.argv = {"ps", "-o", column, "-p", std::to_string(pid)},
           .total_limit = limit});
  if (result.end != ProcessEnd::kExited || result.status != 0) return {};
  return std::string(Trim(result.out));
}

}  // namespace

MasterProcess LookAtMasterProcess(std::int64_t pid, const std::string&,
                                  Milliseconds limit) {
  MasterProcess process;
  const Unknown unseen{"process " + std::to_string(pid) + " can't be seen"};
  // "Sat Nov 21 11:38:01 2026", local time
  const std::string started = Ps(pid, "lstart=", limit);
  std::tm time = {};
  time.tm_isdst = -1;
  if (!started.empty() &&
      strptime(started.c_str(), "%a %b %d %H:%M:%S %Y", &time) != nullptr)
    process.started = static_cast<std::int64_t>(std::mktime(&time));
  else
    process.started = unseen;
  const std::string terminal = Ps(pid, "tty=", limit);
  if (terminal.empty())
    process.foreground = unseen;
  else
    process.foreground = terminal.find('?') == std::string::npos;
  // Words can't be told apart in ps's output, and it does not list sockets.
  process.command_line = Unknown{"this system does not show its words"};
  process.forwardings = Unknown{"this system does not list its sockets"};
  return process;
}

Fact<int> CountClients(const std::string&) {
  return Unknown{"this system does not list connected sockets"};
}

std::optional<std::int64_t> FindListener(const std::string&) {
  return std::nullopt;
}

Fact<std::vector<MasterListener>> FindMasters() {
  return Unknown{"this system does not list its sockets"};
}

Fact<std::string> FindPeer(std::int64_t) {
  return Unknown{"this system does not list its sockets"};
}

#endif

}  // namespace agentdoctor
