// PuTTY as a client: the user's own plink, asked and run, never imitated.  Its
// saved sessions are read to know where a value comes from, and handed to it in
// a copy in which what they would set off is switched off.
#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>
#include <utility>

#include "agent/client.h"
#include "clients/client.h"
#include "clients/libssh_functions.h"
#include "clients/libssh_login.h"
#include "clients/marked_output.h"
#include "clients/putty_host_keys.h"
#include "clients/putty_sessions.h"
#include "clients/putty_sharing.h"
#include "clients/putty_transcript.h"
#include "clients/session_limits.h"
#include "system/clock.h"
#include "system/file.h"
#include "system/process.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds kVersionLimit{5000};
constexpr int kSshPort = 22;
/// Saved sessions that go through one another.
constexpr int kProxies = 8;

/// A setting that a report may name, and how PuTTY reads it where it is absent.
/// None that may hold a secret or a command.
struct Setting {
  const char* name;
  const char* keyword;  ///< in ClientConfig::values
  const char* otherwise;
};

constexpr std::array kSettings = {
    Setting{"HostName", "hostname", ""},
    Setting{"PortNumber", "port", "22"},
    Setting{"UserName", "user", ""},
    Setting{"AgentFwd", "agentfwd", "0"},
    Setting{"TryAgent", "tryagent", "1"},
    Setting{"PublicKeyFile", "publickeyfile", ""},
    Setting{"ConnectionSharing", "connectionsharing", "0"},
    Setting{"ConnectionSharingUpstream", "connectionsharingupstream", "1"},
    Setting{"ConnectionSharingDownstream", "connectionsharingdownstream", "1"},
    Setting{"SSHManualHostKeys", "sshmanualhostkeys", ""},
    Setting{"ProxyMethod", "proxymethod", "0"},
    Setting{"AddressFamily", "addressfamily", "0"},
    Setting{"LogHost", "loghost", ""},
};

ConfigValue ValueOf(const PuttySettings& settings, const Setting& setting) {
  ConfigValue value{.origin = ConfigOrigin::kDefault,
                    .winner = settings.Line(setting.name)};
  if (value.winner) value.origin = ConfigOrigin::kFile;
  value.values = {ValidUtf8(settings.Text(setting.name, setting.otherwise))};
  return value;
}

/// Values that plink has from elsewhere than a line of the session.
void Replace(ClientConfig& config, const char* keyword, std::string text,
             bool by_option) {
  ConfigValue& value = config.values[keyword];
  if (!by_option && value.values == std::vector<std::string>{text}) return;
  value = {
      .values = {std::move(text)},
      .origin = by_option ? ConfigOrigin::kCommandLine : ConfigOrigin::kDefault,
      .winner = by_option ? std::nullopt : value.winner};
}

/// Saved sessions of the same host that ask for forwarding.
std::vector<OtherAlias> OtherSessions(const PuttyTarget& target,
                                      const PuttyPlaces& places) {
  std::vector<OtherAlias> others;
  for (const PuttySettings& session : ReadPuttySessions(places)) {
    if (session.Text("HostName", "") != target.host ||
        session.Number("PortNumber", kSshPort) != target.port ||
        !session.Flag("AgentFwd", false) ||
        session.file == target.settings.file)
      continue;
    others.push_back({.alias = ValidUtf8(session.name),
                      .line = session.Line("AgentFwd").value()});
  }
  return others;
}

ClientConfig Configuration(const PuttyTarget& target,
                           const PuttyPlaces& places) {
  ClientConfig config;
  const PuttySettings& settings = target.settings;
  if (!settings.file.empty())
    config.files = {{.path = settings.file, .modified = settings.modified}};
  if (!target.fault.empty()) {
    config.error = ConfigError{.message = target.fault};
    if (const auto line = settings.Line("Protocol")) {
      config.error->file = line->file;
      config.error->line = line->line;
    }
    return config;
  }
  config.named = target.saved_session;
  for (const Setting& setting : kSettings)
    config.values[setting.keyword] = ValueOf(settings, setting);
  Replace(config, "hostname", ValidUtf8(target.host), !target.saved_session);
  Replace(config, "port", std::to_string(target.port), target.port_by_option);
  Replace(config, "user", ValidUtf8(target.user), target.user_by_option);
  config.forward_agent =
      target.forwarding_by_option.value_or(settings.Flag("AgentFwd", false));
  const auto line = settings.Line("AgentFwd");
  if (!target.forwarding_by_option)
    config.forward_agent_line = line;
  else if (line)
    config.forward_agent_shadowed = {*line};
  if (!*config.forward_agent)
    config.other_aliases = OtherSessions(target, places);
  return config;
}

/// "PuTTY_Release_0.78" of "plink: Release 0.78", as PuTTY names itself to
/// servers; empty if it is no plink.
std::string VersionIn(const std::string& text) {
  constexpr std::string_view kStart = "plink: ";
  const std::string first = text.substr(0, text.find('\n'));
  if (!first.starts_with(kStart)) return {};
  std::string version = "PuTTY_";
  for (const char c : Trim(std::string_view(first).substr(kStart.size())))
    version += c == ' ' ? '_' : c;
  return ValidUtf8(version);
}

void WriteText(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  file.close();
  if (!file)
    throw std::system_error(std::make_error_code(std::errc::io_error), path);
}

/// "ssh-ed25519 SHA256:... (comment)".
std::string Describe(const Identity& identity, const std::string& where) {
  return ValidUtf8(
      identity.type + " " + identity.fingerprint + " " + where +
      (identity.comment.empty() ? "" : " (" + identity.comment + ")"));
}

const Agent* LoginAgent(const Facts& facts) {
  const AgentChoice* primary = facts.link.primary.get();
  return primary && primary->path ? FindAgent(facts.near, *primary->path)
                                  : nullptr;
}

bool HasUpstream(const Facts& facts) {
  const Sharing* sharing = facts.link.sharing.get();
  return sharing && sharing->master.state == MasterState::kAlive;
}

class Putty final : public Client {
 public:
  explicit Putty(const RunOptions& options)
      : options_(options), places_(FindPuttyPlaces()) {}

  Resolution Resolve(const Request& request) override;
  Fact<Sharing> LookForMasters(const Request& request,
                               const ClientConfig& config) override;
  SessionResult OpenSession(const Facts& facts,
                            const ProbeCommand& probe) override;
  ControlResult MakeControlLogin(const Facts& facts,
                                 const ProbeCommand* probe) override;

  std::optional<Command> ShellCommand(
      const Facts& facts, const std::string& remote_command) override;

  /// An upstream carries sessions, and no channel to a remote socket.
  std::optional<Agent> AskRemoteAgent(const Facts&,
                                      const std::string&) override {
    return std::nullopt;
  }

 private:
  const std::string& Folder(const PuttyTarget& target);
  Command Plink(const Request& request, const PuttyTarget& target,
                std::vector<std::string> flags);
  Command SessionCommand(const Facts& facts, const std::string& remote_command,
                         std::vector<std::string> flags);
  TransportFault FaultOf(const Request& request,
                         const PuttyTranscriptReader& reader, ProcessEnd end,
                         int status) const;

  RunOptions options_;
  PuttyPlaces places_;
  std::optional<TemporaryDirectory> folder_;
};

Resolution Putty::Resolve(const Request& request) {
  Resolution resolution;
  const ProcessResult plink =
      Run({.argv = {request.ssh, "-V"}, .total_limit = kVersionLimit});
  resolution.version = VersionIn(plink.out);
  if (resolution.version.empty()) {
    const std::string silence =
        "ssh-not-found: " +
        (plink.end == ProcessEnd::kNotStarted
             ? plink.error
             : request.ssh + " is no plink: it printed no version");
    resolution.config = Unknown{silence};
    resolution.forwarded = Unknown{silence};
    resolution.primary = Unknown{silence};
    return resolution;
  }
  // From here to a host behind others PuTTY has no way.
  if (const std::string fault = PuttyRequestFault(request); !fault.empty()) {
    resolution.config = Unknown{fault};
    return resolution;
  }
  const PuttyTarget target = ResolvePuttyTarget(request, places_);
  resolution.config = Configuration(target, places_);
  // unix/agent-client.c: whatever the variable says, for both.
  AgentChoice agent{.source = AgentSource::kEnvironment,
                    .text = "SSH_AUTH_SOCK"};
  const auto variable = Here().Variable(agent.text);
  if (variable && !variable->empty()) agent.path = *variable;
  resolution.forwarded = agent;
  if (target.settings.Flag("TryAgent", true))
    resolution.primary = agent;
  else
    resolution.primary = NotNeeded{
        "TryAgent is off: PuTTY asks no agent to "
        "log in"};
  return resolution;
}

/// A folder of ours with the sessions that plink will read, without their side
/// effects.
const std::string& Putty::Folder(const PuttyTarget& target) {
  if (folder_) return folder_->path();
  folder_.emplace();
  const std::string sessions = folder_->path() + "/sessions";
  std::filesystem::create_directory(sessions);
  const auto write = [&](const PuttySettings& settings) {
    WriteText(sessions + "/" + SessionFileName(settings.name),
              NeutralSettings(settings));
  };
  write(ReadPuttySettings(places_, kDefaultSettings)
            .value_or(PuttySettings{.name = std::string(kDefaultSettings)}));
  if (target.saved_session) write(target.settings);
  PuttySettings last = target.settings;
  for (int i = 0; i < kProxies; ++i) {
    const std::string name = ProxySession(last);
    auto proxy = name.empty() ? std::nullopt : ReadPuttySettings(places_, name);
    if (!proxy) break;
    write(*proxy);
    last = std::move(*proxy);
  }
  return folder_->path();
}

/// plink with \a flags, at the user's destination with their options: no
/// terminal, no prompt, and nothing written where PuTTY keeps what it
/// remembers.
Command Putty::Plink(const Request& request, const PuttyTarget& target,
                     std::vector<std::string> flags) {
  const std::string& folder = Folder(target);
  Command command{.argv = {request.ssh}};
  if (!request.interactive) command.argv.emplace_back("-batch");
  const std::vector<std::string> options = PlinkOptions(request);
  command.argv.insert(command.argv.end(), flags.begin(), flags.end());
  command.argv.insert(command.argv.end(), options.begin(), options.end());
  command.argv.push_back(request.destination);
  command.environment = {{"PUTTYSESSIONS", folder + "/sessions"},
                         {"PUTTYRANDOMSEED", folder + "/randomseed"},
                         {"PLINK_PROTOCOL", std::nullopt},
                         {"DISPLAY", std::nullopt}};
  command.interactive = request.interactive;
  return command;
}

Fact<Sharing> Putty::LookForMasters(const Request& request,
                                    const ClientConfig&) {
  Sharing sharing;
  const PuttyTarget target = ResolvePuttyTarget(request, places_);
  const PuttySettings& settings = target.settings;
  if (!settings.Flag("ConnectionSharing", false) ||
      !settings.Flag("ConnectionSharingDownstream", true))
    return sharing;
  sharing.control_path = FindSharingSocket(target);
  if (sharing.control_path.empty()) return sharing;
  sharing.control_master =
      settings.Flag("ConnectionSharingUpstream", true) ? "auto" : "no";
  Command exists = Plink(request, target, {"-shareexists"});
  exists.total_limit = options_.local_limit;
  exists.interactive = false;
  std::vector<ConfigFile> files;
  if (!settings.file.empty())
    files = {{.path = settings.file, .modified = settings.modified}};
  sharing.master = AskUpstream(request.destination, sharing.control_path, files,
                               exists, options_.local_limit);
  return sharing;
}

TransportFault Putty::FaultOf(const Request& request,
                              const PuttyTranscriptReader& reader,
                              ProcessEnd end, int status) const {
  const Transcript& transcript = reader.transcript();
  if (end == ProcessEnd::kTimedOut)
    return {"connection-timeout",
            "no answer within the limit; plink's last words: " +
                ValidUtf8(reader.last_line())};
  if (auto fault = reader.Fault()) return *fault;
  return {"connection-lost", transcript.messages.empty()
                                 ? request.ssh + " ended with status " +
                                       std::to_string(status) +
                                       " and said nothing"
                                 : transcript.messages.back()};
}

/// Names the keys, of which plink says only the place in the agent's list.
void NameKeys(const Facts& facts, const PuttyTranscriptReader& reader,
              Transcript& transcript) {
  const Agent* agent = LoginAgent(facts);
  const bool same_list =
      agent && reader.agent_keys() == agent->identities.size();
  if (const auto key = reader.agent_key()) {
    if (same_list && *key < agent->identities.size())
      transcript.accepted_key = Describe(agent->identities[*key], "agent");
  } else if (!reader.key_file().empty()) {
    try {
      const std::string blob =
          PublicBlobOfPpk(ReadFile(reader.key_file()).value_or(""));
      transcript.accepted_key =
          Describe(ParsePublicKey(blob, reader.key_file()), "file");
    } catch (const std::runtime_error&) {
      // The comment that plink says has to do.
    }
  }
  if (!same_list || transcript.authenticated) return;
  for (const std::size_t key : reader.refused())
    if (key < agent->identities.size())
      transcript.messages.push_back("key offered and refused: " +
                                    Describe(agent->identities[key], "agent"));
}

/// A session on the user's own path, with its limits.
Command Putty::SessionCommand(const Facts& facts,
                              const std::string& remote_command,
                              std::vector<std::string> flags) {
  const Request& request = facts.request;
  flags.insert(flags.end(), {"-T", "-no-antispoof"});
  // Without an upstream plink would leave a folder behind for one.
  if (!HasUpstream(facts)) flags.emplace_back("-noshare");
  Command command =
      Plink(request, ResolvePuttyTarget(request, places_), std::move(flags));
  command.argv.push_back(remote_command);
  command.idle_limit = options_.step_limit + kLastWords;
  if (request.interactive)
    command.idle_limit = std::max(command.idle_limit, kPersonLimit);
  // Somebody who sends a byte now and then makes no progress either.
  command.total_limit = 4 * command.idle_limit;
  command.output_limit = kOutputLimit;
  return command;
}

std::optional<Command> Putty::ShellCommand(const Facts& facts,
                                           const std::string& remote_command) {
  return SessionCommand(facts, remote_command, {});
}

SessionResult Putty::OpenSession(const Facts& facts,
                                 const ProbeCommand& probe) {
  const Clock::time_point start = Clock::now();
  SessionResult result;
  Session& session = result.session;
  Command command = SessionCommand(facts, probe.command, {"-v"});
  PuttyTranscriptReader reader;
  MarkedOutput output(probe);
  command.on_error_line = [&reader](std::string_view line) {
    reader.Line(line);
  };
  command.on_output = [&output](std::string_view piece) {
    return output.Append(piece);
  };
  command.stop_limit = kExitLimit;
  const ProcessResult plink = Run(command);
  if (plink.end == ProcessEnd::kNotStarted) {
    session.fault = {"ssh-not-found", plink.error};
    return result;
  }
  if ((plink.end == ProcessEnd::kExited || plink.end == ProcessEnd::kStopped) &&
      plink.status >= 0)
    session.exit_status = plink.status;

  session.transcript = reader.transcript();
  NameKeys(facts, reader, session.transcript);
  session.output_bytes = static_cast<std::int64_t>(output.text().size());
  if (!output.complete())
    session.output_head = ValidUtf8(output.text().substr(0, kOutputHead));
  const Transcript& transcript = session.transcript;
  const bool in_session =
      transcript.authenticated || transcript.through_master.value_or(false);
  // An upstream that has stopped, or whose connection is gone, says nothing.
  const bool master_silent = HasUpstream(facts) && !reader.connecting();

  if (output.complete()) {
    session.end = SessionEnd::kProbed;
    result.probe_output = output.between();
  } else if (plink.end == ProcessEnd::kInterrupted) {
    session.end = SessionEnd::kInterrupted;
  } else if (plink.end == ProcessEnd::kOutputLimit) {
    session.end = SessionEnd::kCutOff;
  } else if (plink.end == ProcessEnd::kTimedOut &&
             (in_session || master_silent)) {
    session.end = SessionEnd::kTimedOut;
  } else if (plink.end == ProcessEnd::kExited && in_session) {
    session.end = SessionEnd::kNoProbe;
  } else {
    session.end = SessionEnd::kFailed;
    session.fault = FaultOf(facts.request, reader, plink.end, plink.status);
  }
  session.duration_ms = MillisecondsSince(start);
  return result;
}

/// With which key a fresh login of PuTTY's would come about, as far as libssh
/// can do the same.  Returns why not; empty if it can.
std::string LogInAlike(const Facts& facts, const PuttyTarget& target,
                       const std::string& folder, LibsshLogin& login) {
  const Agent* agent = LoginAgent(facts);
  if (!agent || agent->state != AgentState::kAnswered)
    return "PuTTY has no agent to log in with, and its key files are not read";
  login.agent_socket = agent->path;
  if (target.key_file.empty()) return {};
  // With a key file PuTTY tries that key alone, by the agent if it is there.
  const std::string blob =
      PublicBlobOfPpk(ReadFile(target.key_file).value_or(""));
  // What can't be read is left out (userauth2-client.c).
  if (blob.empty()) return {};
  const std::string fingerprint = Fingerprint(blob);
  if (std::ranges::find(agent->identities, fingerprint,
                        &Identity::fingerprint) == agent->identities.end())
    return "the key of " + target.key_file +
           ", which PuTTY logs in with, is not in the agent";
  login.identities_only = true;
  login.identity_files = {folder + "/key"};
  WriteText(folder + "/key.pub",
            ParsePublicKey(blob, "").type + " " + EncodeBase64(blob) + "\n");
  return {};
}

// PuTTY has no way to ask over a connection of its own what its server would
// grant a canary, so the login is made through libssh: to the same place, with
// the same host keys, as the same user, with the same key.
ControlResult Putty::MakeControlLogin(const Facts& facts,
                                      const ProbeCommand* probe) {
  const PuttyTarget target = ResolvePuttyTarget(facts.request, places_);
  const PuttySettings& settings = target.settings;
  LibsshLogin login{.host = target.host,
                    .port = target.port,
                    .user = target.user,
                    .connect_limit = options_.step_limit,
                    .step_limit = options_.step_limit};
  constexpr int kInet = 1;  // ADDRTYPE_IPV4
  constexpr int kInet6 = 2;
  int family = settings.Number("AddressFamily", 0);
  for (const std::string& option : facts.request.ssh_options)
    if (option == "-4" || option == "-6")
      family = option == "-4" ? kInet : kInet6;
  if (family == kInet) login.family = LibsshLogin::Family::kInet;
  if (family == kInet6) login.family = LibsshLogin::Family::kInet6;

  const std::string list = settings.Text("SSHManualHostKeys", "");
  login.trusted_keys =
      list.empty() ? CachedHostKeys(ReadFile(places_.host_keys).value_or(""),
                                    target.key_host, target.key_port)
                   : ManualHostKeys(list);
  std::string why = LibsshFault();
  if (!why.empty())
    why = "libssh can't be loaded: " + why;
  else if (settings.Number("ProxyMethod", 0) != 0)
    why = "the way leads through PuTTY's proxy";
  else if (login.trusted_keys.empty())
    why = "PuTTY knows no key of " + target.key_host +
          " that a login without it could trust";
  else
    why = LogInAlike(facts, target, Folder(target), login);
  if (!why.empty()) {
    ControlResult result;
    result.control.granted = Unknown{why};
    return result;
  }
  login.tell = [this, &facts](const std::string& message) {
    if (options_.tell) options_.tell(facts.request.destination, message);
  };
  return MakeLibsshControlLogin(login, probe);
}

}  // namespace

std::unique_ptr<Client> MakePutty(const RunOptions& options) {
  return std::make_unique<Putty>(options);
}

}  // namespace agentdoctor
