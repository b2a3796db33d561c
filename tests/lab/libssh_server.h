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
  int logins() const;                         ///< that succeeded
  std::vector<std::string> commands() const;  ///< that were to be run
  /// Answers of forwarded agents, the message alone: its type, and what
  /// follows.  An empty one: the client opened no channel to an agent.
  std::vector<std::string> agent_answers() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace agentdoctor::lab
