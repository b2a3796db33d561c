// OpenSSH as a client: the user's own ssh, asked and run, never imitated.
#include <algorithm>
#include <array>
#include <chrono>
#include <future>
#include <optional>
#include <system_error>
#include <utility>

#include "agent/canary.h"
#include "agent/client.h"
#include "clients/client.h"
#include "clients/marked_output.h"
#include "clients/mux_proxy.h"
#include "clients/openssh_command.h"
#include "clients/openssh_config.h"
#include "clients/openssh_jumps.h"
#include "clients/openssh_masters.h"
#include "clients/openssh_transcript.h"
#include "clients/session_limits.h"
#include "probes/authorized_keys.h"
#include "system/clock.h"
#include "system/file.h"
#include "system/process.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

/// A program that takes no commands may repeat the whole probe to say so.
std::string WithoutCommand(std::string text, std::string_view command) {
  constexpr std::size_t kBeginning = 20;
  const std::size_t at = text.find(command.substr(0, kBeginning));
  if (at == std::string::npos) return text;
  const std::size_t end = std::min(text.find('\n', at), text.size());
  return text.replace(at, end - at, "sh -c ...");
}

/// ControlPath as it was written, with its tokens.
std::string ControlTemplate(const Request& request, const ConfigValue& value) {
  if (value.winner) {
    const std::string& text = value.winner->text;
    const std::size_t keyword_end = text.find_first_of(" \t=");
    if (keyword_end == std::string::npos) return {};
    std::string_view rest = Trim(std::string_view(text).substr(keyword_end));
    if (rest.starts_with('=')) rest = Trim(rest.substr(1));
    if (rest.size() > 1 && rest.front() == '"' && rest.back() == '"')
      rest = rest.substr(1, rest.size() - 2);
    return std::string(rest);
  }
  constexpr std::string_view kKeyword = "controlpath=";
  for (std::size_t i = 1; i < request.ssh_options.size(); ++i) {
    const std::string& option = request.ssh_options[i - 1];
    const std::string& word = request.ssh_options[i];
    if (option == "-S") return word;
    if (option == "-o" && Lower(word).starts_with(kKeyword))
      return word.substr(kKeyword.size());
  }
  return {};
}

/// A path that is set and not "none".
std::string ControlPathOf(const ClientConfig& config) {
  const std::string path = FirstValue(config, "controlpath");
  return Lower(path) == "none" ? std::string() : path;
}

/// Of a server that refuses forwarding and does not announce the options of
/// the key; where a probe ran, a command may.
std::optional<KeyOptions> AskKeyOptions(MuxProxy& proxy,
                                        const Transcript& transcript) {
  if (!transcript.server_version.starts_with("dropbear")) return std::nullopt;
  proxy.AwaitClose();
  proxy.OpenSession();
  return FindKeyOptions(
      proxy.Execute(AuthorizedKeysCommand(), kOutputLimit, ""),
      transcript.accepted_key);
}

class OpenSsh final : public Client {
 public:
  OpenSsh(const RunOptions& options, Place& place)
      : options_(options), place_(place) {}

  Resolution Resolve(const Request& request) override {
    return ResolveOpenSsh(request, options_.step_limit, place_);
  }

  Fact<Sharing> LookForMasters(const Request& request,
                               const ClientConfig& config) override;
  SessionResult OpenSession(const Facts& facts,
                            const ProbeCommand& probe) override;
  std::optional<Command> ShellCommand(
      const Facts& facts, const std::string& remote_command) override;
  ControlResult MakeControlLogin(const Facts& facts,
                                 const ProbeCommand* probe) override;
  std::optional<Agent> AskRemoteAgent(const Facts& facts,
                                      const std::string& path) override;

 private:
  const std::vector<JumpHost>& Jumps(const Request& request,
                                     const ClientConfig& config);
  Precautions Prepare(const Facts& facts);
  Command LoginCommand(const Facts& facts, const Precautions& precautions,
                       std::vector<std::string> argv, TranscriptReader& reader);
  TransportFault FaultOf(const Facts& facts, const Precautions& precautions,
                         const TranscriptReader& reader, ProcessEnd end,
                         int status) const;

  RunOptions options_;
  Place& place_;
  std::optional<TemporaryDirectory> folder_;  ///< of what logins need
  // The hosts on the way of the request they were resolved for: `ssh -G` is
  // asked once, because it executes Match exec.
  std::optional<std::pair<Request, std::vector<JumpHost>>> jumps_;
};

const std::vector<JumpHost>& OpenSsh::Jumps(const Request& request,
                                            const ClientConfig& config) {
  if (!jumps_ || jumps_->first != request)
    jumps_ = {request,
              ResolveJumps(request, config, options_.step_limit, place_)};
  return jumps_->second;
}

Fact<Sharing> OpenSsh::LookForMasters(const Request& request,
                                      const ClientConfig& config) {
  Sharing sharing;
  sharing.control_path = ControlPathOf(config);
  sharing.control_master = FirstValue(config, "controlmaster");
  sharing.control_persist = FirstValue(config, "controlpersist");
  sharing.path_limit = ControlPathLimit();
  const auto ask = [&](const std::string& host, const ClientConfig& of) {
    return std::async(std::launch::async, [this, &request, host, &of] {
      return AskMaster(request.ssh, host, ControlPathOf(of), of.files,
                       options_.local_limit, place_);
    });
  };
  std::optional<std::future<Master>> master;
  if (!sharing.control_path.empty()) {
    sharing.directory = LookAtControlDirectory(sharing.control_path, place_);
    if (const auto value = config.values.find("controlpath");
        value != config.values.end()) {
      sharing.control_template = ControlTemplate(request, value->second);
      sharing.line = value->second.winner;
    }
    master = ask(request.destination, config);
  }
  std::vector<std::future<Master>> jump_masters;
  for (const JumpHost& jump : Jumps(request, config))
    if (!ControlPathOf(jump.config).empty())
      jump_masters.push_back(ask(jump.host, jump.config));
  if (master) sharing.master = master->get();
  for (std::future<Master>& jump : jump_masters)
    sharing.jump_masters.push_back(jump.get());
  return sharing;
}

/// Everything but the argv: no terminal and no askpass, unless a person is to
/// be asked; messages are read as they come.
Command OpenSsh::LoginCommand(const Facts& facts,
                              const Precautions& precautions,
                              std::vector<std::string> argv,
                              TranscriptReader& reader) {
  const Request& request = facts.request;
  const ClientConfig config = facts.link.config.value_or(ClientConfig{});
  const auto hops =
      static_cast<Milliseconds::rep>(precautions.jumps.size()) + 1;
  Command command{.argv = std::move(argv)};
  command.idle_limit =
      hops * ConnectLimit(config, options_.step_limit) + kLastWords;
  if (request.interactive) {
    command.interactive = true;
    command.idle_limit = std::max(command.idle_limit, kPersonLimit);
  } else {
    command.environment = {{"SSH_ASKPASS_REQUIRE", "never"},
                           {"DISPLAY", std::nullopt}};
  }
  // Somebody who sends a byte now and then makes no progress either.
  command.total_limit = 4 * command.idle_limit;
  command.output_limit = kOutputLimit;
  command.on_error_line = [this, &reader,
                           &request](const std::string_view line) {
    const bool asked = !reader.transcript().asked_person.empty();
    reader.Line(line);
    const std::string& words = reader.transcript().asked_person;
    // What ssh itself asks on the terminal needs no second voice.
    if (!asked && words.starts_with("touch ") && options_.tell)
      options_.tell(request.destination, words);
  };
  return command;
}

/// Why no session came about.
TransportFault OpenSsh::FaultOf(const Facts& facts,
                                const Precautions& precautions,
                                const TranscriptReader& reader, ProcessEnd end,
                                int status) const {
  const Transcript& transcript = reader.transcript();
  if (end == ProcessEnd::kTimedOut) {
    if (!transcript.asked_person.empty())
      return {"interaction-needed", transcript.asked_person};
    return {"connection-timeout",
            "no answer within the limit; ssh's last words: " +
                ValidUtf8(reader.last_line())};
  }
  std::optional<TransportFault> fault = reader.Fault();
  if (!fault) {
    const std::string words = transcript.messages.empty()
                                  ? facts.request.ssh + " ended with status " +
                                        std::to_string(status) +
                                        " and said nothing"
                                  : transcript.messages.back();
    fault = TransportFault{"connection-lost", words};
  }
  // Before the destination's banner all faults are those of the way, and ssh
  // does not always say of which host it speaks.
  if (!precautions.jumps.empty() && transcript.server_version.empty()) {
    constexpr std::array<std::string_view, 4> kUnreachable = {
        "name-not-resolved", "connection-refused", "connection-timeout",
        "network-unreachable"};
    if (std::ranges::find(kUnreachable, fault->code) != kUnreachable.end())
      fault->code = "host-unreachable-through-jump";
    std::string names;
    for (const JumpHost& jump : precautions.jumps)
      names += (names.empty() ? "" : ", ") + jump.host;
    fault->message = "on the way through " + names + ": " + fault->message;
  }
  return *fault;
}

/// For a session on the user's own path: nothing is written to their files, or
/// to anybody's at another place.
Precautions OpenSsh::Prepare(const Facts& facts) {
  const ClientConfig config = facts.link.config.value_or(ClientConfig{});
  Precautions precautions{.jumps = Jumps(facts.request, config),
                          .step_limit = options_.step_limit,
                          .strict = !place_.IsHere()};
  const bool writes =
      facts.request.interactive || WritesKnownHosts(config) ||
      std::ranges::any_of(precautions.jumps, [](const JumpHost& jump) {
        return WritesKnownHosts(jump.config);
      });
  if (writes && !precautions.strict) {
    if (!folder_) folder_.emplace();
    precautions.known_hosts = folder_->path() + "/known_hosts";
  }
  return precautions;
}

std::optional<Command> OpenSsh::ShellCommand(
    const Facts& facts, const std::string& remote_command) {
  const Precautions precautions = Prepare(facts);
  TranscriptReader nobody;
  Command command = LoginCommand(
      facts, precautions,
      QuietSessionCommand(facts, remote_command, precautions), nobody);
  command.on_error_line = nullptr;
  return command;
}

SessionResult OpenSsh::OpenSession(const Facts& facts,
                                   const ProbeCommand& probe) {
  const Clock::time_point start = Clock::now();
  SessionResult result;
  Session& session = result.session;
  const Precautions precautions = Prepare(facts);

  TranscriptReader reader;
  MarkedOutput output(probe);
  Command command =
      LoginCommand(facts, precautions,
                   SessionCommand(facts, probe.command, precautions), reader);
  command.on_output = [&output](std::string_view piece) {
    return output.Append(piece);
  };
  command.stop_limit = kExitLimit;
  const ProcessResult ssh = place_.Run(command);
  if (ssh.end == ProcessEnd::kNotStarted) {
    session.fault = {"ssh-not-found", ssh.error};
    return result;
  }
  if (ssh.end == ProcessEnd::kLost) {
    session.fault = {"connection-lost",
                     "the session on the host before it: " + ssh.error};
    return result;
  }
  if (ssh.end == ProcessEnd::kExited || ssh.end == ProcessEnd::kStopped)
    if (ssh.status >= 0) session.exit_status = ssh.status;

  // ssh's own failures end with 255; so may a remote command, but it can't
  // make a fault out of it unless it wants to be one.
  constexpr int kSshFailed = 255;
  const Sharing* sharing = facts.link.sharing.get();
  const bool master_alive =
      sharing && sharing->master.state == MasterState::kAlive;
  if (output.complete() || (master_alive && ssh.end == ProcessEnd::kExited &&
                            ssh.status != kSshFailed))
    reader.SessionCameAbout();
  session.transcript = reader.transcript();
  session.output_bytes = static_cast<std::int64_t>(output.text().size());
  if (!output.complete())
    session.output_head = ValidUtf8(WithoutCommand(Trim(output.text()).empty()
                                                       ? reader.AfterLogin()
                                                       : output.text(),
                                                   probe.command)
                                        .substr(0, kOutputHead));
  const Transcript& transcript = session.transcript;
  const bool in_session =
      transcript.authenticated || transcript.through_master.value_or(false);
  // A master that has stopped says nothing, not even that it was tried.
  const bool master_silent =
      !reader.connecting() && sharing &&
      (master_alive || sharing->master.state == MasterState::kUnresponsive);

  if (output.complete()) {
    session.end = SessionEnd::kProbed;
    result.probe_output = output.between();
  } else if (ssh.end == ProcessEnd::kInterrupted) {
    session.end = SessionEnd::kInterrupted;
  } else if (ssh.end == ProcessEnd::kOutputLimit) {
    session.end = SessionEnd::kCutOff;
  } else if (ssh.end == ProcessEnd::kTimedOut &&
             (in_session || master_silent)) {
    session.end = SessionEnd::kTimedOut;
  } else if (ssh.end == ProcessEnd::kExited && in_session &&
             !(ssh.status == kSshFailed && reader.Fault())) {
    session.end = SessionEnd::kNoProbe;
  } else {
    session.end = SessionEnd::kFailed;
    session.fault = FaultOf(facts, precautions, reader, ssh.end, ssh.status);
  }
  session.duration_ms = MillisecondsSince(start);
  return result;
}

ControlResult OpenSsh::MakeControlLogin(const Facts& facts,
                                        const ProbeCommand* probe) {
  const Clock::time_point start = Clock::now();
  ControlResult result;
  Control& control = result.control;
  const ClientConfig config = facts.link.config.value_or(ClientConfig{});
  TranscriptReader reader;
  std::optional<KeyOptions> key_options;
  try {
    const TemporaryDirectory folder;
    const Canary canary(folder.path() + "/canary");
    const std::string socket = folder.path() + "/master";
    control.canary = canary.fingerprint();
    const Precautions precautions{.known_hosts = folder.path() + "/known_hosts",
                                  .jumps = Jumps(facts.request, config),
                                  .step_limit = options_.step_limit};
    BackgroundProcess ssh(LoginCommand(
        facts, precautions,
        ControlCommand(facts, socket, canary.path(), precautions), reader));
    const ProcessEnd end = ssh.WaitUntil([&reader, &socket] {
      return reader.transcript().authenticated &&
             LookAt(socket).kind == PathStatus::Kind::kSocket;
    });
    control.logged_in = reader.transcript().authenticated;
    if (end != ProcessEnd::kStopped) {
      if (end != ProcessEnd::kInterrupted)
        control.fault = FaultOf(facts, precautions, reader, end, ssh.status());
      control.granted =
          Unknown{control.fault ? control.fault->message : "interrupted"};
    } else {
      MuxProxy proxy(socket, options_.step_limit);
      proxy.OpenSession();
      control.granted = proxy.RequestAgentForwarding();
      // What sshd announced about the key lies in ssh's messages by now.
      std::string last;
      ssh.WaitUntil([&reader, &last, rounds = 0]() mutable {
        return std::exchange(last, reader.last_line()) == reader.last_line() &&
               rounds++ > 0;
      });
      const bool forced = std::ranges::any_of(reader.transcript().key_options,
                                              &KeyOptions::forced_command);
      if (probe && !forced) {
        MarkedOutput output(*probe);
        output.Append(
            proxy.Execute(probe->command, kOutputLimit, probe->end_marker));
        result.probe_output = output.between();
      }
      if (!probe && FirstValue(config, "user") == "git")
        control.greeting = ValidUtf8(proxy.ReadGreeting(kOutputHead));
      if (probe && !forced && !*control.granted)
        key_options = AskKeyOptions(proxy, reader.transcript());
    }
  } catch (const std::system_error& error) {
    control.granted = Unknown{error.what()};
  } catch (const std::runtime_error& error) {
    // The server refused a session, or this ssh is older than proxy mode.
    if (!control.granted.known()) control.granted = Unknown{error.what()};
  }
  control.transcript = reader.transcript();
  if (key_options) control.transcript.key_options = {*key_options};
  if (control.granted.known()) control.transcript.forwarding_requested = true;
  control.duration_ms = MillisecondsSince(start);
  return result;
}

std::optional<Agent> OpenSsh::AskRemoteAgent(const Facts& facts,
                                             const std::string& path) {
  const Sharing* sharing = facts.link.sharing.get();
  const Session* session = facts.link.session.get();
  // A master that did not carry the session may lead to another machine.
  if (!place_.IsHere() || !sharing ||
      sharing->master.state != MasterState::kAlive || !session ||
      !session->transcript.through_master.value_or(false))
    return std::nullopt;
  Agent agent{.path = path, .asked_with = "direct-streamlocal"};
  // SSH_AGENTC_REQUEST_IDENTITIES
  const std::string request("\0\0\0\1\x0b", 5);
  try {
    MuxProxy proxy(sharing->master.path, options_.step_limit);
    ReadListAnswer(proxy.AskRemoteSocket(path, request), agent);
  } catch (const MuxSilent& silent) {
    agent.state = AgentState::kSilent;
    agent.detail = silent.what();
  } catch (const std::runtime_error&) {
    return std::nullopt;
  }
  return agent;
}

}  // namespace

std::unique_ptr<Client> MakeOpenSsh(const RunOptions& options, Place& place) {
  return std::make_unique<OpenSsh>(options, place);
}

}  // namespace agentdoctor
