// An SSH server that is no OpenSSH and has no shell, as network gear is: made
// with libssh's server half, on a free port of 127.0.0.1.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace agentdoctor::lab {

struct LibsshServerOptions {
  /// Its version, behind "SSH-2.0-".
  std::string software = "NetOS_7.4";
  /// The answer to auth-agent-req@openssh.com.
  bool grants_forwarding = true;
  /// Asks the forwarded agent for its list before a command is answered.
  bool uses_agent = false;
  /// Takes any public key; else it wants a password and takes none.
  bool takes_keys = true;
  bool takes_commands = true;  ///< else it refuses the request
  /// What it says to whoever wants a shell, on standard error, as git forges
  /// do; empty: it refuses the request.
  std::string greeting = {};
  /// What any command says, and its exit status.
  std::string answer = "\r\n% Invalid input detected at '^' marker.\r\n";
  int status = 1;
};

class LibsshServer {
 public:
  explicit LibsshServer(LibsshServerOptions options = {});
  LibsshServer(const LibsshServer&) = delete;
  LibsshServer& operator=(const LibsshServer&) = delete;
  ~LibsshServer();  ///< ends every connection

  int port() const;
  /// A line for known_hosts.
  std::string KnownHostsLine() const;

  // What has happened so far.
  int logins() const;  ///< that succeeded
  /// That were to be run; an empty one for a shell.
  std::vector<std::string> commands() const;
  /// Answers of forwarded agents, the message alone: its type, and what
  /// follows.  An empty one: the client opened no channel to an agent.
  std::vector<std::string> agent_answers() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace agentdoctor::lab
