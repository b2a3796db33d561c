// A login of our own, in this process, through libssh: for `--client libssh`,
// and as the control experiment of clients that have no login of their own to
// lend.
//
// Only the canary is ever forwarded.  libssh does not bind an agent to the
// session (session-bind@openssh.com), so with the user's agent behind it the
// destination constraints of keys would be lifted.  The user's agent is asked
// for its identities and for the signature of the login itself, and for nothing
// else: what a client does that logs in.
//
// Nothing is written (no known_hosts, no .pub file), nobody is asked for
// anything, and no configuration file is read: all that holds is what stands in
// a LibsshLogin.  Every wait has a deadline and ends on Ctrl-C.  Several logins
// may be under way in threads.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "clients/client.h"
#include "probes/remote_side.h"
#include "system/process.h"

namespace agentdoctor {

/// Everything that a login depends on.
struct LibsshLogin {
  std::string host = {};  ///< name or address to connect to
  int port = 22;
  std::string user = {};
  enum class Family { kAny, kInet, kInet6 } family = Family::kAny;
  std::string bind_address = {};  ///< empty: the system's choice
  /// Set: a program whose standard input and output are the connection, instead
  /// of one to host and port (ProxyCommand).
  std::vector<std::string> proxy = {};

  // ---- the server's key
  /// The name to look up; empty: `host`, as "[host]:port" for another port than
  /// 22.  Given (HostKeyAlias) it is looked up as it stands.
  std::string host_key_alias = {};
  /// Files in OpenSSH's format (hashed names, patterns, @revoked).  Those that
  /// can't be read hold no keys.
  std::vector<std::string> known_hosts = {};
  /// Fingerprints ("SHA256:...") of keys that are trusted whatever the files
  /// say.
  std::vector<std::string> trusted_keys = {};
  /// An unknown key is accepted, for this login only.  One that differs from
  /// what the files say, or that is revoked, never is.
  bool accept_unknown_key = false;

  // ---- who we are
  /// The agent that signs; empty: none.  Nothing is taken from SSH_AUTH_SOCK.
  std::string agent_socket = {};
  /// Private keys, in this order, each with FILE-cert.pub if there is one.  A
  /// key of the agent's is preferred to its file; keys with a passphrase are
  /// not unlocked.
  std::vector<std::string> identity_files = {};
  /// Only those keys of the agent's that stand in identity_files.
  bool identities_only = false;
  /// Further certificates (CertificateFile) for keys of the above.
  std::vector<std::string> certificate_files = {};

  // ---- how long
  Milliseconds connect_limit{10000};  ///< until the server's version has come
  Milliseconds step_limit{10000};     ///< afterwards, without progress
  /// Something a person has to know at once ("touch your key ...").
  std::function<void(const std::string& message)> tell = {};
};

/// libssh's name and version: "libssh_0.10.6".
std::string LibsshVersion();

/// Logs in, requests agent forwarding with a canary behind it, and runs the
/// probe.  Session::canary is set.  Faults have the codes of OpenSSH's logins;
/// the evidence is in libssh's words, or in ours where it has none.
SessionResult RunLibsshSession(const LibsshLogin& login,
                               const ProbeCommand& probe);

/// The control experiment.  \a probe is run only if it is not null; without it
/// nothing is run on the server.
///
/// libssh has no way to ask for an answer to auth-agent-req@openssh.com
/// (ssh_channel_request_auth_agent() sends want_reply false), so what the
/// server decided is seen from what it does: Control::granted is true if it
/// opened an agent channel, or if the probe found a socket that it made for
/// this connection; false if the probe found that it handed over none; else
/// unknown.
ControlResult MakeLibsshControlLogin(const LibsshLogin& login,
                                     const ProbeCommand* probe);

}  // namespace agentdoctor
