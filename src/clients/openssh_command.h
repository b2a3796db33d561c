// The argv of every ssh that OpenSSH is asked to run, as a pure function of
// the facts: which options neutralise what the configuration would set off.
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "clients/client.h"

namespace agentdoctor {

/// The files of a value of `ssh -G`, which prints several on one line, with
/// blanks inside unquoted: a word that can't begin a path continues the one
/// before it.
std::vector<std::string> SplitPaths(const std::vector<std::string>& values);

/// A host on the way, with its own configuration.
struct JumpHost {
  std::string host = {};  ///< as ProxyJump names it: [user@]host[:port]
  ClientConfig config = {};
};

/// The hosts a ProxyJump value names, from here to the destination.
std::vector<std::string> SplitProxyJump(const std::string& value);

/// "dave@[::1]:2222" in its parts.
struct JumpName {
  std::string user = {};
  std::string host = {};
  std::string port = {};
};
JumpName ParseJumpHost(const std::string& host);

/// What a login needs to know beside the facts.
struct Precautions {
  /// A file of ours, in front of the user's: takes the host keys that the
  /// user's StrictHostKeyChecking would accept and write down.  Empty: none.
  std::string known_hosts = {};
  std::vector<JumpHost> jumps = {};  ///< from here to the destination
  Milliseconds step_limit{10000};
  /// On somebody else's machine: no key of an unknown host is accepted, and
  /// nothing is written down, whatever the configuration there allows.
  bool strict = false;
};

/// Whether a login may write to the first of the known_hosts files without
/// asking: an unknown host's key, or the address of a known one.
bool WritesKnownHosts(const ClientConfig& config);

/// ConnectTimeout for one connection: the user's where it is larger.
Milliseconds ConnectLimit(const ClientConfig& config, Milliseconds step_limit);

/// One session on the user's own path.
std::vector<std::string> SessionCommand(const Facts& facts,
                                        const std::string& remote_command,
                                        const Precautions& precautions);

/// A session likewise which says nothing but what goes wrong: for a place to
/// run commands at.
std::vector<std::string> QuietSessionCommand(const Facts& facts,
                                             const std::string& remote_command,
                                             const Precautions& precautions);

/// The way through the jump hosts (there are some) as a ProxyCommand, with
/// ssh's tokens %h and %p in it.
std::string JumpProxyCommand(const Facts& facts,
                             const Precautions& precautions);

/// A private master that forwards \a canary: -M -N -S \a control_socket.
std::vector<std::string> ControlCommand(const Facts& facts,
                                        const std::string& control_socket,
                                        const std::string& canary,
                                        const Precautions& precautions);

/// The form of `ssh -O COMMAND` that can never open a connection.
std::vector<std::string> MasterCommand(const std::string& ssh,
                                       const std::string& socket,
                                       const std::string& command);

}  // namespace agentdoctor
