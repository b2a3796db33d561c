// Everything the probes found out about one hop of a forwarding path.
//
// Facts alternate between sides and links.  A side is a place (a machine as
// one user sees it): its environment, sockets and agents.  A link joins two
// sides: configuration, sharing, session and control.  `run A` is near side,
// link, far side; a further hop begins where the one before it ended.
//
// Plain data.  Times are seconds since 1970-01-01 UTC.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agentdoctor/fact.h"

namespace agentdoctor {

// ---------------------------------------------------------------- agents --

/// What happened when an agent was asked for its identities.
enum class AgentState {
  kAnswered,     ///< a valid list, perhaps empty
  kMissing,      ///< nothing at that path (`link_target` set: dangling link)
  kRefused,      ///< a socket nobody listens on (ECONNREFUSED)
  kDenied,       ///< EACCES on the socket or on a folder above it
  kDropped,      ///< accepted, then closed without an answer
  kNotASocket,   ///< a file, a folder, ...
  kPathTooLong,  ///< longer than sun_path: ssh would cut it off silently
  kSilent,       ///< accepted, no answer within the deadline
  kMalformed,    ///< the answer is no valid agent message
  kListRefused,  ///< SSH_AGENT_FAILURE in answer to the list request
};

/// What an agent answered to an extension request (RFC 9987, section 3.8).
enum class ExtensionAnswer {
  kNotAsked,
  kSuccess,           ///< SSH_AGENT_SUCCESS or SSH_AGENT_EXTENSION_RESPONSE
  kFailure,           ///< SSH_AGENT_FAILURE
  kExtensionFailure,  ///< SSH_AGENT_EXTENSION_FAILURE
  kClosed,            ///< hung up
  kSilent,            ///< no answer within the deadline
  kMalformed,
};

/// The part of an OpenSSH certificate that decides whether it is valid now
/// (PROTOCOL.certkeys).
struct Certificate {
  std::string key_id = {};
  std::uint64_t valid_after = 0;
  std::uint64_t valid_before = ~std::uint64_t{0};
  bool operator==(const Certificate&) const = default;
};

/// An identity an agent lists.
struct Identity {
  std::string type = {};         ///< "ssh-ed25519"
  std::string fingerprint = {};  ///< "SHA256:..."; of the whole blob's key
  std::string comment = {};      ///< as the agent says it; not trusted
  std::optional<Certificate> certificate = {};
  bool operator==(const Identity&) const = default;
};

/// An agent, found by the path of its socket.
struct Agent {
  std::string path = {};
  std::string link_target = {};  ///< where a symbolic link leads, else empty
  AgentState state = AgentState::kMissing;
  std::string detail = {};  ///< the system's words, or what was malformed
  std::optional<std::int64_t> owner = {};  ///< uid
  std::optional<int> mode = {};            ///< permission bits
  /// With kDenied: the path element that denies, with owner and mode.
  std::string denied_by = {};
  /// Who makes sockets at such a path: "gpg-agent", "forwarded by sshd", ...
  std::string product = {};
  /// Its name says that it was made on a host of another name (OpenSSH 10.1):
  /// a home folder that machines share, a container.
  bool other_host = false;
  std::vector<Identity> identities = {};
  ExtensionAnswer query = ExtensionAnswer::kNotAsked;
  ExtensionAnswer session_bind = ExtensionAnswer::kNotAsked;
  /// "agent protocol", "ssh-add", "perl", "direct-streamlocal", ...
  std::string asked_with = {};
  bool operator==(const Agent&) const = default;
};

/// A line of ~/.ssh/environment or a keychain file that names an agent.
struct EnvironmentFileLine {
  std::string file = {};
  int line = 0;
  std::string path = {};  ///< the socket it names
  AgentState state = AgentState::kMissing;
  bool operator==(const EnvironmentFileLine&) const = default;
};

// ----------------------------------------------------------------- sides --

/// When a start-up file is read.
enum class StartupScope {
  kEveryShell,   ///< by `ssh HOST COMMAND` too (.zshenv, Debian's .bashrc)
  kLogin,        ///< by login shells only
  kInteractive,  ///< by interactive shells only
  kSession,      ///< by sshd: ~/.ssh/rc, ~/.ssh/environment, PAM
};

/// What a line does to SSH_AUTH_SOCK.
enum class StartupEffect {
  kSets,
  kStartsAgent,
  kUnsets,
  kLinks,  ///< not to it: points a well-known link at an agent's socket
};

/// A line of a start-up file that touches SSH_AUTH_SOCK.
struct StartupLine {
  std::string file = {};
  int line = 0;
  std::string text = {};
  StartupScope scope = StartupScope::kEveryShell;
  StartupEffect effect = StartupEffect::kSets;
  /// A condition on SSH_AUTH_SOCK, SSH_CONNECTION, ... protects it.  With
  /// kLinks: it is left out where something lies at the link's path.
  bool guarded = false;
  bool operator==(const StartupLine&) const = default;
};

/// A line of sshd_config that speaks of agent forwarding.
struct ServerConfigLine {
  std::string file = {};
  int line = 0;
  std::string text = {};
  std::string match = {};  ///< the Match line it stands under, else empty
  bool operator==(const ServerConfigLine&) const = default;
};

// ------------------------------------------------- long-lived sessions --

/// What keeps an environment for longer than one connection lasts.
enum class HolderKind {
  kTmuxServer,   ///< tmux's global environment: for new sessions
  kTmuxSession,  ///< a session's own, or else the server's: for new panes
  kScreen,
  kEditor,     ///< the server of VS Code, Cursor, a JetBrains IDE
  kContainer,  ///< by a mount and a variable
  kProcess,    ///< any other process
};

/// Something long-lived of this user's that names an agent.
struct Holder {
  HolderKind kind = HolderKind::kProcess;
  /// The session, container or program; of a tmux server empty.
  std::string name = {};
  /// tmux: the server's socket.  Containers: "docker" or "podman".  Editors:
  /// the product, "VS Code".
  std::string server = {};
  std::optional<std::int64_t> pid = {};    ///< of several the oldest
  std::optional<std::int64_t> since = {};  ///< when it began
  /// The socket it names; of a container the mount's source on this side.  No
  /// value: tmux marks the variable as removed (`-SSH_AUTH_SOCK`).
  std::optional<std::string> auth_sock = {};
  std::string destination = {};  ///< containers: where it is mounted
  /// Containers: what was mounted has been replaced since the container began.
  bool replaced = false;
  int count = 1;  ///< processes of this program that name this socket
  bool operator==(const Holder&) const = default;
};

/// The sessions of one side that outlive a connection.
struct LongLived {
  std::vector<Holder> holders = {};
  /// Well-known links to agents (~/.ssh/ssh_auth_sock), whatever they lead to;
  /// what answers behind them stands in Side::agents.
  std::vector<std::string> links = {};
  /// What could not be looked at, and why: "tmux at /tmp/tmux-1000/default did
  /// not answer within 2 s".
  std::vector<std::string> not_seen = {};
  bool operator==(const LongLived&) const = default;
};

/// A process above the one that looked.
struct Ancestor {
  std::int64_t pid = 0;
  std::string name = {};  ///< "sshd", "tmux: server", "sudo"
  /// SSH_AUTH_SOCK as the process was started with it; no value: unset.
  Fact<std::optional<std::string>> auth_sock = {};
  bool operator==(const Ancestor&) const = default;
};

/// A remote of the git work tree one stands in.
struct GitRemote {
  std::string name = {};
  std::string url = {};   ///< without user information
  std::string file = {};  ///< the configuration it stands in
  /// What git runs instead of ssh: core.sshCommand, GIT_SSH_COMMAND or GIT_SSH.
  std::string ssh_command = {};
  bool operator==(const GitRemote&) const = default;
};

/// A place, as one user sees it.
struct Side {
  std::string name = {};  ///< host name; empty if not known
  Fact<std::int64_t> uid = {};
  Fact<std::string> boot_id = {};  ///< tells machines apart
  Fact<std::string> shell = {};    ///< login shell
  /// SSH_AUTH_SOCK of the process that looked; no value: unset.
  Fact<std::optional<std::string>> auth_sock = {};
  /// SSH_AUTH_SOCK as sshd handed it over, before any start-up file.
  Fact<std::optional<std::string>> initial_auth_sock = {};
  Fact<std::string> ssh_connection = {};
  /// The sockets that sshd made for this very connection.
  Fact<std::vector<std::string>> connection_sockets = {};
  /// Where that can't be told: this user's sockets of any sshd or dropbear that
  /// are younger than the connection.
  std::vector<std::string> younger_sockets = {};
  /// Every agent that was asked, once per path.
  std::vector<Agent> agents = {};
  /// Paths that should have been asked and could not be, and why: no program
  /// there can speak to a socket.
  std::map<std::string, std::string> agents_not_asked = {};
  std::vector<EnvironmentFileLine> environment_files = {};
  Fact<std::vector<StartupLine>> startup_lines = {};
  Fact<std::vector<ServerConfigLine>> server_config = {};
  /// IdentityAgent of this side's own ssh for a neutral name; empty: not set.
  Fact<std::string> identity_agent = {};
  /// VS Code's remote.SSH.enableAgentForwarding is false there.
  std::optional<EnvironmentFileLine> vscode_forwarding_off = {};
  Fact<LongLived> long_lived = {};
  /// From the process that looked upwards, as far as they can be seen.
  std::vector<Ancestor> ancestors = {};
  /// Variables that say what kind of session this is: TMUX, STY, SUDO_USER,
  /// TERM_PROGRAM, VSCODE_IPC_HOOK_CLI, container; those that are set.
  std::map<std::string, std::string> session_variables = {};
  /// SSH_CONNECTION of the processes that name a socket, by the socket.
  std::map<std::string, std::string> socket_connections = {};
  std::vector<GitRemote> git_remotes = {};
  bool operator==(const Side&) const = default;
};

/// The agent at \a path, or null if it was not asked.
inline const Agent* FindAgent(const Side& side, const std::string& path) {
  for (const Agent& agent : side.agents)
    if (agent.path == path) return &agent;
  return nullptr;
}

// ---------------------------------------------------------- configuration --

/// A line of a client configuration file.
struct ConfigLine {
  std::string file = {};
  int line = 0;
  std::string text = {};
  std::string scope = {};  ///< "Host web*", "Match user dave"; empty: none
  int scope_line = 0;
  std::string scope_file = {};  ///< differs from `file` below an Include
  bool operator==(const ConfigLine&) const = default;
};

/// Where an effective value comes from.
enum class ConfigOrigin { kDefault, kCommandLine, kFile, kUnknown };

/// The effective value of a keyword, as `ssh -G` prints it.
struct ConfigValue {
  std::vector<std::string> values = {};  ///< several for IdentityFile, ...
  ConfigOrigin origin = ConfigOrigin::kUnknown;
  std::optional<ConfigLine> winner = {};  ///< with kFile
  std::vector<ConfigLine> shadowed = {};  ///< applied, but came too late
  std::string unknown_because = {};       ///< with kUnknown
  bool operator==(const ConfigValue&) const = default;
};

struct ConfigFile {
  std::string path = {};
  std::int64_t modified = 0;
  bool operator==(const ConfigFile&) const = default;
};

/// ssh's own words about a configuration it rejects.
struct ConfigError {
  std::string message = {};
  std::string file = {};
  int line = 0;
  bool operator==(const ConfigError&) const = default;
};

/// Another Host block that asks for forwarding to the same HostName.
struct OtherAlias {
  std::string alias = {};
  ConfigLine line = {};  ///< its ForwardAgent line
  bool operator==(const OtherAlias&) const = default;
};

/// The client configuration for one destination (ssh_config(5)).
struct ClientConfig {
  /// Set: ssh rejects the configuration and nothing below is known.
  std::optional<ConfigError> error = {};
  /// Keywords in lower case; an allow-list (privacy), see openssh_config.cc.
  std::map<std::string, ConfigValue> values = {};
  std::vector<ConfigFile> files = {};  ///< read by ssh, in order
  /// A Host or Match line that names this destination (not `*`) applied.
  bool named = false;
  std::vector<OtherAlias> other_aliases = {};
  /// ForwardAgent's two slots (readconf.c): the flag ...
  Fact<bool> forward_agent = {};
  /// ... and the path or $VARIABLE; empty if none.
  std::string forward_agent_path = {};
  /// The line that decided the flag; none: default or command line.
  std::optional<ConfigLine> forward_agent_line = {};
  /// Lines that apply and set ForwardAgent, but came too late.
  std::vector<ConfigLine> forward_agent_shadowed = {};
  bool operator==(const ClientConfig&) const = default;
};

/// Which option names an agent.
enum class AgentSource {
  kForwardAgent,
  kIdentityAgent,
  kEnvironment,
  kTeleport,  ///< none does: tsh's own key agent, which lives inside of tsh
};

/// The agent a client would use, and why that one.
struct AgentChoice {
  AgentSource source = AgentSource::kEnvironment;
  std::string text = {};  ///< the option's value; "SSH_AUTH_SOCK"
  /// The socket; no value: the variable is unset or the option is none.
  std::optional<std::string> path = {};
  std::optional<ConfigLine> line = {};
  bool operator==(const AgentChoice&) const = default;
};

// ---------------------------------------------------------------- sharing --

enum class MasterState {
  kNone,          ///< no socket file at ControlPath
  kAlive,         ///< answered `-O check`
  kStaleSocket,   ///< a socket file nobody listens on (ECONNREFUSED)
  kUnresponsive,  ///< accepts, does not answer within the deadline
  kDenied,        ///< EACCES
  kNotASocket,
  kFailed,  ///< `-O check` failed in another way; see detail
};

/// A multiplexing master, or the place where one would be.
struct Master {
  std::string host = {};  ///< destination or jump host, as named
  std::string path = {};  ///< expanded ControlPath
  MasterState state = MasterState::kNone;
  std::string detail = {};
  std::optional<std::int64_t> pid = {};
  Fact<std::int64_t> started = {};
  Fact<int> attached_clients = {};
  /// Port or socket forwardings of its own: what listens, as printed by ss.
  Fact<std::vector<std::string>> forwardings = {};
  /// Its command line, if it can still be read (a ControlPersist master has
  /// overwritten it).
  Fact<std::vector<std::string>> command_line = {};
  /// The same as one text, where that does not show where a word ends (ps).
  std::string command_text = {};
  /// Has a controlling terminal: a shell of the user's may run in it.
  Fact<bool> foreground = {};
  std::optional<std::int64_t> socket_owner = {};
  std::optional<std::int64_t> socket_modified = {};
  std::vector<ConfigFile> newer_config = {};  ///< changed after it started
  bool operator==(const Master&) const = default;
};

/// The folder of ControlPath.
struct ControlDirectory {
  std::string path = {};
  bool exists = true;
  std::optional<std::int64_t> owner = {};
  std::optional<int> mode = {};
  bool operator==(const ControlDirectory&) const = default;
};

struct Sharing {
  std::string control_path = {};      ///< expanded; empty: no sharing
  std::string control_template = {};  ///< as written in the file
  std::string control_master = {};    ///< false, true, ask, auto, autoask
  std::string control_persist = {};
  std::optional<ConfigLine> line = {};  ///< where ControlPath stands
  /// Longest expanded path with which ssh can become a master here.
  int path_limit = 0;
  ControlDirectory directory = {};
  Master master = {};
  std::vector<Master> jump_masters = {};  ///< of the hosts on the way
  bool operator==(const Sharing&) const = default;
};

// ----------------------------------------------------- session and control --

/// How a session ended, seen from its output and not from its exit status.
enum class SessionEnd {
  kProbed,    ///< the probe's end marker came
  kNoProbe,   ///< ended by itself without the probe's markers
  kCutOff,    ///< a limit of ours (size) ended it
  kTimedOut,  ///< no progress within the deadline
  kFailed,    ///< no session came about; see fault
  kInterrupted,
};

/// Why no session came about: a code of the stage `connection`.
struct TransportFault {
  std::string code = {};     ///< "connection-refused"
  std::string message = {};  ///< ssh's own words
  bool operator==(const TransportFault&) const = default;
};

/// Options that sshd announced for a key: "Remote: FILE:LINE: key options:".
struct KeyOptions {
  std::string source = {};  ///< "/home/u/.ssh/authorized_keys:3", "cert"
  std::string options = {};
  bool agent_forwarding = false;
  bool forced_command = false;
  bool operator==(const KeyOptions&) const = default;
};

/// What the client's messages (ssh -v) say about a connection.
struct Transcript {
  std::string server_version = {};  ///< "OpenSSH_9.2p1 Debian-2"
  /// Went through a master: `master session id` was seen.
  Fact<bool> through_master = {};
  /// Why ssh did not use the live master, in its words; else empty.
  std::string fallback = {};
  /// The client asked for agent forwarding.
  Fact<bool> forwarding_requested = {};
  /// The server's answer, where the client wants one (PuTTY) and no master
  /// stands between.
  Fact<bool> forwarding_granted = {};
  /// The last group before the session: options of the key that logged in.
  std::vector<KeyOptions> key_options = {};
  std::string accepted_key = {};  ///< "ED25519 SHA256:... agent"
  bool accepted_certificate = false;
  std::string auth_method = {};  ///< "publickey"
  /// "Agent forwarding disabled: ..." as sshd says it.
  std::string listener_failure = {};
  bool disabled_by_host_key = false;
  bool authenticated = false;
  /// A touch, a code or a passphrase was asked for, in ssh's words.
  std::string asked_person = {};
  /// Lines that are no debug messages: what the user would see.
  std::vector<std::string> messages = {};
  bool operator==(const Transcript&) const = default;
};

/// One session on the user's own path.
struct Session {
  SessionEnd end = SessionEnd::kFailed;
  std::optional<TransportFault> fault = {};
  Transcript transcript = {};
  std::optional<int> exit_status = {};
  std::int64_t duration_ms = 0;
  std::int64_t output_bytes = 0;
  /// Where no probe ran: the first bytes of what came instead, of standard
  /// error if there was no output.
  std::string output_head = {};
  /// Set: the session forwarded a canary of ours and not the user's agent (the
  /// fingerprint of its one key), so it shows the way and not the agent.
  std::string canary = {};
  /// The server opened a channel to that canary and asked it something.
  bool canary_asked = false;
  bool operator==(const Session&) const = default;
};

/// The control experiment: a fresh private login that forwards a canary.
struct Control {
  bool logged_in = false;
  std::optional<TransportFault> fault = {};
  Transcript transcript = {};
  /// The server's answer to auth-agent-req@openssh.com with want_reply.
  Fact<bool> granted = {};
  /// What showed it, where the server was not asked for an answer.
  std::string granted_shown_by = {};
  std::string canary = {};  ///< fingerprint of the canary's one key
  /// What a git forge says to whoever logs in as git.
  std::string greeting = {};
  /// What the same probe saw with the canary behind it.
  Fact<Side> far = {};
  std::int64_t duration_ms = 0;
  bool operator==(const Control&) const = default;
};

// --------------------------------------------------------------- next hop --

/// A key that a client offered to a server, or would have.
struct OfferedKey {
  std::string type = {};         ///< "ED25519", as ssh says it
  std::string fingerprint = {};  ///< "SHA256:..."
  std::string file = {};         ///< as ssh names it: a file or a comment
  bool from_agent = false;
  bool accepted = false;  ///< "Server accepts key"
  bool operator==(const OfferedKey&) const = default;
};

/// A login from the far side to a further server, with the far side's own ssh
/// and configuration (--to).
struct NextHop {
  std::string destination = {};  ///< as typed
  /// Set: why no login was tried.
  std::string not_tried = {};
  /// What ssh -G says there: user, hostname, port, identitiesonly,
  /// identityagent, identityfile (several with a comma between), controlpath,
  /// proxyjump, pubkeyauthentication, stricthostkeychecking.
  std::map<std::string, std::string> config = {};
  /// Lines of the usual files there that may keep the agent's keys back
  /// (IdentitiesOnly, IdentityAgent, PubkeyAuthentication), whether or not they
  /// hold for this destination.
  std::vector<ConfigLine> lines = {};
  std::string version = {};  ///< of that ssh
  /// Set: no login came about; a code of the stage `connection`.
  std::optional<TransportFault> fault = {};
  /// Identities that ssh got from the agent; unknown: it did not say.
  Fact<int> agent_keys = {};
  std::vector<OfferedKey> offered = {};
  std::string server_version = {};
  bool authenticated = false;
  std::string auth_method = {};
  std::string user = {};      ///< as whom
  std::string greeting = {};  ///< what a git forge says: "Hi dave! ..."
  /// The agent did not sign, in ssh's words.
  std::string signing_failure = {};
  /// A master of the far side's own answers at its ControlPath.
  bool master_alive = false;
  std::vector<std::string> messages = {};  ///< what the user would see
  bool operator==(const NextHop&) const = default;
};

/// What joins two sides.
struct Link {
  std::string client = {};   ///< "openssh"
  std::string version = {};  ///< "OpenSSH_9.2p1"
  Fact<ClientConfig> config = {};
  Fact<AgentChoice> forwarded = {};  ///< the agent that would be forwarded
  Fact<AgentChoice> primary = {};    ///< the agent used to log in
  Fact<Sharing> sharing = {};
  Fact<Session> session = {};
  Fact<Control> control = {};
  bool operator==(const Link&) const = default;
};

/// What was asked, as typed.
struct Request {
  std::string destination = {};
  /// --client: "openssh", ... (see clients/client.h)
  std::string client = "openssh";
  std::vector<std::string> ssh_options = {};  ///< argv words: "-p", "2222"
  std::string ssh = "ssh";                    ///< the program
  std::string key = {};                       ///< --key, as typed
  /// "SHA256:..." of `key`; empty if there is none or it could not be read.
  std::string key_fingerprint = {};
  bool interactive = false;
  std::vector<std::string> to = {};  ///< --to, as typed
  bool operator==(const Request&) const = default;
};

/// One hop: two places and what joins them.
struct Facts {
  Request request = {};
  std::vector<std::string> via = {};  ///< hosts before this hop
  std::int64_t collected = 0;         ///< when; checks have no clock
  std::int64_t duration_ms = 0;
  bool interrupted = false;
  /// `agentdoctor here`: one side only, `near`; there is no link.
  bool here = false;
  Side near = {};
  Link link = {};
  Side far = {};
  /// One for each of request.to; unknown where no session came about.
  Fact<std::vector<NextHop>> next_hops = {};
  bool operator==(const Facts&) const = default;
};

}  // namespace agentdoctor
