#include "clients/master_process.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <string_view>

#include "system/processes.h"

namespace agentdoctor {
namespace {

/// ssh binds to PATH.RANDOM and links that name to PATH, so the system knows
/// the socket, and every connection to it, by the former (misc.c,
/// unix_listener(); mux.c, muxserver_listen()).
constexpr std::size_t kRandom = 16;

bool IsControlSocket(std::string_view bound, std::string_view control_path) {
  if (!bound.starts_with(control_path)) return false;
  const std::string_view rest = bound.substr(control_path.size());
  return rest.empty() || (rest.size() == kRandom + 1 && rest[0] == '.' &&
                          rest.find('/') == rest.npos);
}

/// A ControlPersist master writes its title over its arguments:
/// "ssh: PATH [mux]".
constexpr std::string_view kTitleStart = "ssh: ";
constexpr std::string_view kTitleEnd = " [mux]";

bool IsTitle(std::string_view command) {
  return command.starts_with(kTitleStart) && command.ends_with(kTitleEnd) &&
         command.size() > kTitleStart.size() + kTitleEnd.size();
}

std::string PathInTitle(std::string_view title) {
  title.remove_prefix(kTitleStart.size());
  title.remove_suffix(kTitleEnd.size());
  return std::string(title);
}

/// The path of a master's socket, of the name that it was bound to; empty if
/// masters make no such name.
std::string ControlPathOf(const std::string& bound, const std::string& folder) {
  constexpr std::size_t kSuffix = 1 + kRandom;
  if (bound.size() <= kSuffix || bound[bound.size() - kSuffix] != '.')
    return {};
  std::string path = bound.substr(0, bound.size() - kSuffix);
  if (!IsControlSocket(bound, path)) return {};
  if (path.starts_with('/')) return path;
  return folder.empty() ? std::string() : folder + "/" + path;
}

/// Whether \a socket is the one of a master at \a control_path.
bool Serves(const NamedSocket& socket, const std::string& folder,
            const std::string& control_path) {
  return socket.listens && (IsControlSocket(socket.name, control_path) ||
                            ControlPathOf(socket.name, folder) == control_path);
}

bool ListensOn(const HeldSockets& held, const std::string& control_path) {
  return std::ranges::any_of(held.named, [&](const NamedSocket& socket) {
    return Serves(socket, held.folder, control_path);
  });
}

std::vector<std::string> Forwardings(const HeldSockets& held,
                                     const std::string& control_path) {
  std::vector<std::string> forwardings = held.tcp_listeners;
  for (const NamedSocket& socket : held.named)
    if (socket.listens && !Serves(socket, held.folder, control_path))
      forwardings.push_back(socket.name);
  return forwardings;
}

/// The sockets of one process.
Fact<HeldSockets> SocketsOfOne(std::int64_t pid, Milliseconds limit) {
  auto all = SocketsOf({pid}, limit);
  if (!all.known()) return Unknown{all.reason()};
  const auto held = all->find(pid);
  if (held == all->end())
    return Unknown{"the sockets of process " + std::to_string(pid) +
                   " can't be seen"};
  return held->second;
}

}  // namespace

void LookAtMasterProcess(Master& master, Milliseconds limit) {
  const std::string pid = std::to_string(*master.pid);
  const Fact<HeldSockets> held = SocketsOfOne(*master.pid, limit);
  Fact<RunningProcess> process = LookAtProcess(*master.pid, limit);
  // A master in another pid namespace (a container) tells the number that it
  // has there: here it may be another process's.
  if (held.known() && !ListensOn(*held, master.path))
    process =
        Unknown{"process " + pid + " is not seen to listen on " + master.path};
  else if (!held.known() && process.known() &&
           !process->name.starts_with("ssh"))
    process = Unknown{"process " + pid + " is no ssh"};

  if (!process.known()) {
    const Unknown unseen{process.reason()};
    master.started = unseen;
    master.foreground = unseen;
    master.forwardings = unseen;
    master.command_line = unseen;
    return;
  }
  master.started = process->started;
  master.foreground = process->has_terminal;
  if (held.known())
    master.forwardings = Forwardings(*held, master.path);
  else
    master.forwardings = Unknown{held.reason()};
  master.command_line = process->words;
  if (IsTitle(process->command))
    master.command_line =
        Unknown{"the master has replaced it by its title: " + process->command};
  else if (!process->words.known())
    master.command_text = process->command;
}

Fact<int> CountClients(const std::string& control_path, Milliseconds limit) {
  const auto sockets = NamedSockets(limit);
  if (!sockets.known()) return Unknown{sockets.reason()};
  int clients = 0;
  bool seen = false;
  for (const NamedSocket& socket : *sockets) {
    if (!IsControlSocket(socket.name, control_path)) continue;
    if (socket.listens)
      seen = true;
    else
      ++clients;
  }
  if (!seen) return Unknown{"nobody is seen to listen on " + control_path};
  return clients;
}

std::optional<std::int64_t> FindListener(const std::string& control_path,
                                         Milliseconds limit) {
  std::vector<std::int64_t> pids;
  for (const RunningProcess& process : RunningProcesses(limit).value_or({}))
    pids.push_back(process.pid);
  for (const auto& [pid, held] : SocketsOf(pids, limit).value_or({}))
    if (std::ranges::any_of(held.named, [&](const NamedSocket& socket) {
          return socket.listens && IsControlSocket(socket.name, control_path);
        }))
      return pid;
  return std::nullopt;
}

Fact<std::vector<MasterListener>> FindMasters(Milliseconds limit) {
  const auto running = RunningProcesses(limit);
  if (!running.known()) return Unknown{running.reason()};
  std::vector<const RunningProcess*> candidates;
  std::vector<std::int64_t> pids;
  for (const RunningProcess& process : *running) {
    if (process.owner != static_cast<std::int64_t>(geteuid()) ||
        !process.name.starts_with("ssh"))
      continue;
    candidates.push_back(&process);
    pids.push_back(process.pid);
  }
  const auto sockets = SocketsOf(pids, limit);
  if (!sockets.known()) return Unknown{sockets.reason()};
  std::vector<MasterListener> masters;
  for (const RunningProcess* process : candidates) {
    const auto found = sockets->find(process->pid);
    bool listens = false;
    if (found != sockets->end())
      for (const NamedSocket& socket : found->second.named) {
        if (!socket.listens) continue;
        std::string path = ControlPathOf(socket.name, found->second.folder);
        if (path.empty()) continue;
        masters.push_back({.pid = process->pid,
                           .path = std::move(path),
                           .listens = true,
                           .relative = !socket.name.starts_with('/')});
        listens = true;
      }
    if (!listens && IsTitle(process->command))
      masters.push_back(
          {.pid = process->pid, .path = PathInTitle(process->command)});
  }
  return masters;
}

Fact<std::string> FindPeer(std::int64_t pid, Milliseconds limit) {
  const Fact<HeldSockets> held = SocketsOfOne(pid, limit);
  if (!held.known()) return Unknown{held.reason()};
  if (held->tcp_peers.empty())
    return Unknown{"it has no connection of its own (ProxyJump, ProxyCommand)"};
  // Forwarded ports have connections, too.
  if (held->tcp_peers.size() > 1) return Unknown{"it has several connections"};
  return held->tcp_peers.front();
}

}  // namespace agentdoctor
