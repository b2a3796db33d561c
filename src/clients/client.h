// What a client is: it resolves a destination, opens the session, knows about
// sharing, and makes the control login.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "probes/remote_side.h"
#include "system/place.h"
#include "system/process.h"

namespace agentdoctor {

class SharedConfigs;

/// How to go about a run; the same for every host of it.
struct RunOptions {
  Milliseconds step_limit{10000};  ///< a network step without progress
  Milliseconds local_limit{2000};  ///< a local socket
  /// Something a person has to know at once ("touch your key"), by host.
  std::function<void(const std::string& host, const std::string& message)>
      tell = {};
  /// What `ssh -G` said, for the clients that take it for several hosts of a
  /// run; null: they ask for each.
  std::shared_ptr<SharedConfigs> configs = {};
};

/// What a client found out about a destination before any connection.
struct Resolution {
  std::string version = {};  ///< "OpenSSH_9.2p1"
  Fact<ClientConfig> config = {};
  Fact<AgentChoice> forwarded = {};
  Fact<AgentChoice> primary = {};
};

/// The remote command's output between the probe's markers.
struct SessionResult {
  Session session = {};
  std::string probe_output = {};  ///< empty unless session.end is kProbed
};

struct ControlResult {
  Control control = {};
  std::string probe_output = {};
};

class Client {
 public:
  virtual ~Client() = default;

  /// Reads the configuration; opens no connection.
  virtual Resolution Resolve(const Request& request) = 0;

  /// Looks for masters: the destination's and those of the hosts on the way.
  virtual Fact<Sharing> LookForMasters(const Request& request,
                                       const ClientConfig& config) = 0;

  /// One session on the user's own path, carrying the probe.  \a facts holds
  /// what is known so far (configuration, sharing).
  virtual SessionResult OpenSession(const Facts& facts,
                                    const ProbeCommand& probe) = 0;

  /// One more session like that, without a word as long as all goes well, for
  /// a RemoteShell; nothing if this client is no program that could be one.
  /// What it needs lives as long as this client.
  virtual std::optional<Command> ShellCommand(
      const Facts& facts, const std::string& remote_command) = 0;

  /// The agent at a remote \a path, asked through the user's live master
  /// (direct-streamlocal@openssh.com), where nothing on the remote can ask;
  /// nothing if there is no such way.
  virtual std::optional<Agent> AskRemoteAgent(const Facts& facts,
                                              const std::string& path) = 0;

  /// One fresh private login which forwards a canary.  \a probe is run only if
  /// it is not null and the key that logged in has no forced command.
  virtual ControlResult MakeControlLogin(const Facts& facts,
                                         const ProbeCommand* probe) = 0;
};

/// The client of that name, one of ClientNames(), at this machine.
std::unique_ptr<Client> MakeClient(const std::string& name,
                                   const RunOptions& options);
const std::vector<std::string>& ClientNames();

/// The program that the client of that name runs unless told otherwise:
/// "ssh", "plink", "tsh".
std::string ClientProgram(const std::string& name);

/// What is wrong with a request for its client (a destination or an option that
/// its program does not know); empty if nothing is.
std::string RequestFault(const Request& request);

/// libssh, in this process.
std::unique_ptr<Client> MakeLibssh(const RunOptions& options);

/// OpenSSH's ssh, by program name or path, at \a place.
std::unique_ptr<Client> MakeOpenSsh(const RunOptions& options,
                                    Place& place = Here());

/// PuTTY's plink.
std::unique_ptr<Client> MakePutty(const RunOptions& options);

/// Teleport's tsh, the first in PATH.
std::unique_ptr<Client> MakeTsh(const RunOptions& options);

}  // namespace agentdoctor
