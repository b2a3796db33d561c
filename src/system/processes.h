// What the system shows of the processes there are.  Linux says it in /proc
// (processes_linux.cc); elsewhere ps(1) and lsof(8) say some of it
// (processes_portable.cc), or nobody does: then it is unknown, and why.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "agentdoctor/fact.h"
#include "system/process.h"

namespace agentdoctor {

struct RunningProcess {
  std::int64_t pid = 0;
  std::int64_t parent = 0;
  std::int64_t owner = -1;  ///< effective uid
  std::string name = {};    ///< the program's, perhaps cut off: "ssh"
  std::int64_t started = 0;
  bool has_terminal = false;
  std::string command = {};  ///< the words it was started with, as one text
  /// The words themselves; ps does not say where one ends.
  Fact<std::vector<std::string>> words = {};
};

/// All that can be seen, by their numbers.
Fact<std::vector<RunningProcess>> RunningProcesses(Milliseconds limit);

Fact<RunningProcess> LookAtProcess(std::int64_t pid, Milliseconds limit);

/// A Unix-domain socket, by the name that its listener was bound to.  (A
/// connection has the name at its listener's end.)
struct NamedSocket {
  std::string name = {};
  bool listens = false;
  bool operator==(const NamedSocket&) const = default;
};

/// Those of every process that can be seen.
Fact<std::vector<NamedSocket>> NamedSockets(Milliseconds limit);

/// The sockets that one process holds.
struct HeldSockets {
  std::vector<NamedSocket> named = {};
  std::string folder = {};  ///< its working one, where relative names begin
  std::vector<std::string> tcp_listeners = {};  ///< "127.0.0.1:8080", "*:80"
  std::vector<std::string> tcp_peers = {};      ///< "10.0.0.5:22"
};

/// Of those processes whose sockets can be seen.
Fact<std::map<std::int64_t, HeldSockets>> SocketsOf(
    const std::vector<std::int64_t>& pids, Milliseconds limit);

/// What tells one start of this machine from another, and from other machines.
Fact<std::string> BootId();

}  // namespace agentdoctor
