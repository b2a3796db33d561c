// Teleport's tsh as a client: asked and run, in three forms only, none of which
// logs in or asks a person.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <optional>
#include <utility>

#include "clients/client.h"
#include "clients/marked_output.h"
#include "clients/session_limits.h"
#include "clients/tsh_options.h"
#include "clients/tsh_words.h"
#include "system/clock.h"
#include "system/process.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMessages = 40;
/// tsh says nothing until the probe has ended, which takes its time, too.
constexpr Milliseconds kProbeTime{2000};

std::optional<std::string> Variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? std::optional<std::string>(value) : std::nullopt;
}

/// `tsh ssh` keeps the keys of ~/.tsh in the user's agent up to date, unless it
/// is told not to.  Before 13.1 it then did not forward that agent either.
bool ForwardsWithoutAddingKeys(int release) {
  return release == 0 || release >= TshRelease(13, 1);
}

/// tsh's variables that keep it from what a diagnosis must not set off.
Command TshCommand(std::vector<std::string> words, int release,
                   Milliseconds limit) {
  Command command{.argv = std::move(words)};
  command.argv.insert(command.argv.begin(), "tsh");
  command.environment = {
      {"TELEPORT_LOGIN_BROWSER", "none"},  // no browser where a login is due
      {"TELEPORT_REQUEST_MODE", "off"},    // no access request
      {"TELEPORT_TOOLS_VERSION", "off"},   // no update of tsh itself
      {"DISPLAY", std::nullopt}};
  if (ForwardsWithoutAddingKeys(release))
    command.environment.emplace_back("TELEPORT_ADD_KEYS_TO_AGENT", "no");
  command.idle_limit = limit;
  command.total_limit = 4 * limit;
  command.output_limit = kOutputLimit;
  return command;
}

/// Whether tsh asks the server to forward an agent: what its rules say, since
/// it does not tell.
Fact<bool> Requests(const Facts& facts, TshAgent agent, int release) {
  if (agent != TshAgent::kUsers) return agent == TshAgent::kOwn;
  const AgentChoice* choice = facts.link.forwarded.get();
  if (!choice || !choice->path) return false;
  const Agent* users = FindAgent(facts.near, *choice->path);
  if (!users || users->state != AgentState::kAnswered)
    return Unknown{"the agent at " + *choice->path + " does not answer"};
  if (!ForwardsWithoutAddingKeys(release) &&
      (Variable("TELEPORT_ADD_KEYS_TO_AGENT") == "no" ||
       Variable("TELEPORT_USE_LOCAL_SSH_AGENT") == "false"))
    return Unknown{
        "tsh before 13.1 forwards no agent where TELEPORT_ADD_KEYS_TO_AGENT or "
        "TELEPORT_USE_LOCAL_SSH_AGENT keeps it from your agent"};
  return true;
}

ClientConfig ConfigOf(const Request& request, const std::string& mode) {
  ClientConfig config;
  ConfigValue value{.values = {mode}, .origin = ConfigOrigin::kDefault};
  for (const std::string& word : request.ssh_options)
    if (word == "-A" || ForwardAgentMode(word))
      value.origin = ConfigOrigin::kCommandLine;
  config.values["forwardagent"] = std::move(value);
  config.forward_agent = mode != "no";
  return config;
}

AgentChoice ChosenAgent(TshAgent agent) {
  if (agent == TshAgent::kOwn)
    return {.source = AgentSource::kTeleport, .text = "local"};
  AgentChoice choice{.source = AgentSource::kEnvironment,
                     .text = "SSH_AUTH_SOCK",
                     .path = Variable("SSH_AUTH_SOCK")};
  if (choice.path && choice.path->empty()) choice.path.reset();
  return choice;
}

class Tsh final : public Client {
 public:
  explicit Tsh(const RunOptions& options) : options_(options) {}

  Resolution Resolve(const Request& request) override;
  Fact<Sharing> LookForMasters(const Request&, const ClientConfig&) override {
    return Sharing{};  // it knows none
  }
  SessionResult OpenSession(const Facts& facts,
                            const ProbeCommand& probe) override;
  std::optional<Command> ShellCommand(const Facts&,
                                      const std::string&) override {
    return std::nullopt;
  }
  std::optional<Agent> AskRemoteAgent(const Facts&,
                                      const std::string&) override {
    return std::nullopt;
  }
  ControlResult MakeControlLogin(const Facts&, const ProbeCommand*) override;

 private:
  std::optional<TransportFault> LoginFault() const;

  RunOptions options_;
  ProcessResult status_;  ///< of `tsh status`
};

Resolution Tsh::Resolve(const Request& request) {
  // Both may ask Teleport's proxy; neither needs the other.
  auto status = std::async(std::launch::async, [this] {
    return Run(TshCommand({"status"}, 0, options_.step_limit));
  });
  Command command = TshCommand({"version"}, 0, options_.step_limit);
  std::string output;
  command.on_output = [&output](std::string_view piece) {
    output += piece;
    // What follows is the proxy's, and may take its time.
    return output.find('\n') != std::string::npos &&
           !TshVersion(output.substr(0, output.rfind('\n'))).empty();
  };
  const ProcessResult version = Run(command);
  status_ = status.get();

  Resolution resolution{.version = TshVersion(output)};
  std::optional<std::string> silence;
  if (version.end == ProcessEnd::kNotStarted)
    silence = "ssh-not-found: " + version.error;
  else if (version.end == ProcessEnd::kInterrupted)
    silence = "interrupted";
  else if (version.end != ProcessEnd::kTimedOut && resolution.version.empty())
    silence = "ssh-not-found: tsh is not Teleport's: it printed no version";
  if (silence) {
    resolution.config = Unknown{*silence};
    resolution.forwarded = Unknown{*silence};
    resolution.primary = Unknown{*silence};
    return resolution;
  }
  const std::string mode = TshMode(request.ssh_options);
  const TshAgent agent = TshForwards(mode, TshRelease(resolution.version));
  resolution.config = ConfigOf(request, mode);
  resolution.forwarded = ChosenAgent(agent);
  resolution.primary = NotNeeded{"tsh logs in with the keys of ~/.tsh"};
  return resolution;
}

/// Without a login `tsh ssh` would start one.
std::optional<TransportFault> Tsh::LoginFault() const {
  switch (status_.end) {
    case ProcessEnd::kExited:
      return TshLoginFault(status_.out + "\n" + status_.err);
    case ProcessEnd::kTimedOut:
      return TransportFault{"connection-timeout",
                            "tsh status: no answer within the limit"};
    case ProcessEnd::kNotStarted:
      return TransportFault{"ssh-not-found", status_.error};
    default:
      return TransportFault{"connection-lost", "tsh status did not end"};
  }
}

SessionResult Tsh::OpenSession(const Facts& facts, const ProbeCommand& probe) {
  const Clock::time_point start = Clock::now();
  SessionResult result;
  Session& session = result.session;
  Transcript& transcript = session.transcript;
  if (status_.end == ProcessEnd::kInterrupted) {
    session.end = SessionEnd::kInterrupted;
    return result;
  }
  session.fault = LoginFault();
  if (session.fault) return result;

  const Request& request = facts.request;
  const int release = TshRelease(facts.link.version);
  std::vector<std::string> words = {"ssh"};
  words.insert(words.end(), request.ssh_options.begin(),
               request.ssh_options.end());
  words.insert(words.end(), {request.destination, probe.command});
  Command command =
      TshCommand(std::move(words), release, options_.step_limit + kProbeTime);
  command.stop_limit = kExitLimit;
  const auto hear = [&](std::string_view line) {
    if (transcript.messages.size() < kMessages)
      if (std::string text = TshLine(line); !text.empty())
        transcript.messages.push_back(std::move(text));
    if (!transcript.asked_person.empty()) return;
    transcript.asked_person = TshAsksPerson(line);
    if (Lower(transcript.asked_person).starts_with("tap ") && options_.tell)
      options_.tell(request.destination, transcript.asked_person);
  };
  command.on_error_line = hear;
  MarkedOutput output(probe);
  command.on_output = [&output](std::string_view piece) {
    return output.Append(piece);
  };
  const ProcessResult tsh = Run(command);

  if (tsh.end == ProcessEnd::kExited || tsh.end == ProcessEnd::kStopped)
    if (tsh.status >= 0) session.exit_status = tsh.status;
  session.output_bytes = static_cast<std::int64_t>(output.text().size());
  transcript.through_master = false;
  if (!output.complete()) {
    session.output_head = ValidUtf8(output.text().substr(0, kOutputHead));
    // Some of its questions go to standard output.
    if (transcript.asked_person.empty())
      for (const std::string& line : SplitLines(session.output_head))
        if (transcript.asked_person.empty())
          transcript.asked_person = TshAsksPerson(line);
  }
  const std::optional<TransportFault> fault = TshFault(transcript.messages);
  // A far side's own status comes back as one of its errors.
  constexpr std::string_view kRemoteStatus = "exited with status";
  const bool remote_ended =
      fault && fault->message.find(kRemoteStatus) != std::string::npos;

  if (output.complete()) {
    session.end = SessionEnd::kProbed;
    result.probe_output = output.between();
    // Its messages were the far side's, or are of no interest any more.
    transcript.asked_person.clear();
  } else if (tsh.end == ProcessEnd::kInterrupted) {
    session.end = SessionEnd::kInterrupted;
  } else if (tsh.end == ProcessEnd::kOutputLimit) {
    session.end = SessionEnd::kCutOff;
  } else if (TshForwardingDenied(transcript.messages)) {
    session.end = SessionEnd::kNoProbe;
    transcript.forwarding_granted = false;
  } else if (tsh.end == ProcessEnd::kExited && (!fault || remote_ended)) {
    session.end = SessionEnd::kNoProbe;
  } else {
    session.end = SessionEnd::kFailed;
    session.fault =
        !transcript.asked_person.empty()
            ? TransportFault{"interaction-needed", transcript.asked_person}
        : tsh.end == ProcessEnd::kTimedOut
            ? TransportFault{"connection-timeout",
                             "no answer from tsh within the limit"}
            : fault.value_or(TransportFault{"connection-lost",
                                            "tsh ended without a word"});
  }
  transcript.authenticated =
      session.end == SessionEnd::kProbed || session.end == SessionEnd::kNoProbe;
  transcript.forwarding_requested = Requests(
      facts, TshForwards(TshMode(request.ssh_options), release), release);
  session.duration_ms = MillisecondsSince(start);
  return result;
}

ControlResult Tsh::MakeControlLogin(const Facts&, const ProbeCommand*) {
  ControlResult result;
  result.control.granted = Unknown{"tsh makes no control login"};
  return result;
}

}  // namespace

std::unique_ptr<Client> MakeTsh(const RunOptions& options) {
  return std::make_unique<Tsh>(options);
}

}  // namespace agentdoctor
