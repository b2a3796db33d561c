// Does the client's configuration ask for forwarding, of which agent, and for
// which hosts?
#include <algorithm>
#include <array>

#include "checks.h"
#include "path.h"
#include "putty.h"
#include "tsh.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

constexpr std::array<std::string_view, 11> kCodes = {
    "config-error",
    "forwarding-not-requested",
    "forwarding-disabled-by-config",
    "forward-agent-shadowed",
    "forward-agent-socket-unset",
    "forward-agent-socket-missing",
    "forward-agent-primary-missing",
    "host-alias-mismatch",
    "forward-agent-global",
    "vscode-forwarding-off",
    "teleport-agent-forwarded"};

/// The argument of a ForwardAgent line.
std::string Argument(const ConfigLine& line) {
  const std::size_t end = line.text.find_first_of(" \t=");
  if (end == std::string::npos) return {};
  const std::size_t start = line.text.find_first_not_of(" \t=\"", end);
  if (start == std::string::npos) return {};
  return line.text.substr(start,
                          line.text.find_first_of(" \t\"", start) - start);
}

/// Everything that is no flag is a path, and a path asks for forwarding
/// (readconf.c, oForwardAgent).
bool Asks(const ConfigLine& line) { return !IsNo(Argument(line)); }

/// The user's own alias, without user and port, for a Host line.
std::string HostPattern(const Facts& facts) {
  std::string name = facts.request.destination;
  const bool uri = name.starts_with("ssh://");
  if (uri) name.erase(0, 6);
  if (const std::size_t at = name.rfind('@'); at != std::string::npos)
    name.erase(0, at + 1);
  if (uri && name.starts_with("[")) {
    name = name.substr(1, name.find(']') - 1);
  } else if (uri) {
    name = name.substr(0, name.find_first_of(":/"));
  }
  return name;
}

/// The file that the user would edit: -F's, else their own.
std::string UserFile(const Facts& facts) {
  const auto& options = facts.request.ssh_options;
  const auto file = std::ranges::find(options, "-F");
  if (file != options.end() && file + 1 != options.end() &&
      *(file + 1) != "none")
    return *(file + 1);
  return "~/.ssh/config";
}

std::vector<std::string> WithForwarding(const Facts& facts) {
  std::vector<std::string> argv = SshWith(facts, "ForwardAgent", "");
  argv.insert(argv.begin() + 1, "-A");
  return argv;
}

Fix AskOnce(const Facts& facts) {
  return {.title = "Ask for it just this once",
          .safety = Safety::kManual,
          .commands = {WithForwarding(facts)}};
}

Finding ConfigRejected(const Facts& facts, const ConfigError& error) {
  ConfigLine place{.file = error.file, .line = error.line};
  const bool named = error.message.find(error.file) != std::string::npos;
  Finding finding{.code = "config-error",
                  .summary = "ssh rejects its configuration" +
                             (named ? "" : " at " + Place(place)) + ": " +
                             error.message,
                  .evidence = {{.source = SshSource(facts, "-G"),
                                .text = error.message,
                                .file = error.file,
                                .line = error.line}}};
  if (error.message.find("wner or permissions") != std::string::npos) {
    finding.explanation =
        "ssh reads no configuration file that others could write to.";
    if (!error.file.empty())
      finding.fixes = {{.title = "Let only its owner write to the file",
                        .safety = Safety::kReview,
                        .commands = {{"chmod", "go-w", error.file}}}};
  } else if (error.message.find("nvironment") != std::string::npos) {
    finding.explanation =
        "A variable that is not set ends ssh even where the line stands in a "
        "block for another host.";
    finding.fixes = {
        {.title = "Define the variable, or write the path out in the line",
         .safety = Safety::kManual}};
  } else if (error.message.find("usekeychain") != std::string::npos) {
    finding.explanation =
        "UseKeychain is an option of Apple's ssh alone; every other ssh, on a "
        "Mac too (Homebrew's, Nix's), ends at it, even where its block is for "
        "another host.";
    finding.fixes = {
        {.title = "Let every other ssh pass over it, from the top of the file, "
                  "above its first Host line",
         .safety = Safety::kManual,
         .edits = {{.file = error.file,
                    .line = 1,
                    .text = "IgnoreUnknown UseKeychain"}}}};
  } else {
    finding.explanation =
        "One bad line anywhere ends every ssh, even where its block is for "
        "another host. Another ssh on this machine may know the option.";
    finding.fixes = {
        {.title = "Correct the line, or put `IgnoreUnknown` with the option's "
                  "name above it",
         .safety = Safety::kManual}};
  }
  return finding;
}

/// Under which alias of the same machine forwarding is asked for.
void JudgeAliases(const Facts& facts, const ClientConfig& config,
                  Answer& answer) {
  for (const OtherAlias& other : config.other_aliases) {
    std::vector<std::string> argv = Ssh(facts);
    argv.back() = other.alias;
    Edit edit{.file = other.line.scope_file.empty() ? other.line.file
                                                    : other.line.scope_file,
              .line = other.line.scope_line,
              .text = (other.line.scope.empty() ? "Host " + other.alias
                                                : other.line.scope) +
                      " " + HostPattern(facts),
              .replaces = !other.line.scope.empty()};
    answer.findings.push_back(
        {.code = "host-alias-mismatch",
         .severity = Severity::kInfo,
         .summary = "forwarding is asked for under the name \"" + other.alias +
                    "\" of the same host (" + Place(other.line) + "), not \"" +
                    HostPattern(facts) + "\"",
         .explanation = "ssh compares Host lines with the name as typed, "
                        "before HostName is looked at.",
         .evidence = {AsEvidence(other.line)},
         .fixes = {{.title = "Use that name",
                    .safety = Safety::kManual,
                    .commands = {argv}},
                   {.title = "Add this name to its Host line",
                    .safety = Safety::kManual,
                    .edits = {edit}}}});
  }
}

/// The option that says no; -a wins over any -o (ssh.c).
std::string OptionThatSaysNo(const Facts& facts) {
  const std::vector<std::string>& options = facts.request.ssh_options;
  return std::ranges::find(options, "-a") != options.end()
             ? "-a"
             : CommandLineOption(facts, "forwardagent");
}

/// \a setting for this host, so that it comes before \a winner.  An included
/// file is often another hand's: then at the top of the first file that is
/// read.  Lines that stood under no Host or Match go on doing so below "Match
/// all".
Edit LinesToAdd(const Facts& facts, const ConfigLine& winner,
                const std::string& setting = "ForwardAgent yes") {
  Edit edit{.file = winner.scope_file.empty() ? winner.file : winner.scope_file,
            .line = winner.scope_line > 0 ? winner.scope_line : winner.line,
            .text = "Host " + HostPattern(facts) + "\n  " + setting};
  bool scoped = winner.scope_line > 0;
  const std::vector<ConfigFile>& files = facts.link.config->files;
  if (!files.empty() && files.front().path != edit.file) {
    edit.file = files.front().path;
    edit.line = 1;
    scoped = false;
  }
  if (!scoped) edit.text += "\nMatch all";
  return edit;
}

Finding NotRequested(const Facts& facts) {
  return {.code = "forwarding-not-requested",
          .summary = "nothing asks for agent forwarding to " +
                     facts.request.destination,
          .explanation =
              "ForwardAgent is `no` by default, and no line that "
              "applies to this host says otherwise.",
          .evidence = {{.source = SshSource(facts, "-G"),
                        .text = "forwardagent no"}},
          .fixes = {{.title = "Ask for it, at the end of the file: no line "
                              "before it says otherwise",
                     .safety = Safety::kManual,
                     .edits = {{.file = UserFile(facts),
                                .text = "Host " + HostPattern(facts) +
                                        "\n  ForwardAgent yes"}}},
                    AskOnce(facts)}};
}

Finding Shadowed(const Facts& facts, const ConfigLine& winner,
                 const std::vector<const ConfigLine*>& losers) {
  const ConfigLine& loser = *losers.front();
  Finding finding{
      .code = "forward-agent-shadowed",
      .summary = "the line that asks for forwarding, " + PlaceAndScope(loser) +
                 ", comes too late: " + PlaceAndScope(winner) + " says \"" +
                 winner.text + "\"",
      .explanation = "The first value that ssh obtains for an option wins.",
      .evidence = {AsEvidence(winner)},
      .fixes = {{.title = "Ask for it above " + Place(winner) +
                          ", or narrow what that line applies to",
                 .safety = Safety::kManual,
                 .edits = {LinesToAdd(facts, winner)}},
                AskOnce(facts)}};
  for (const ConfigLine* line : losers)
    finding.evidence.push_back(AsEvidence(*line));
  return finding;
}

/// An explicit `no`: a line's, or with a null \a winner the command line's.
Finding Disabled(const Facts& facts, const ConfigLine* winner,
                 const std::vector<const ConfigLine*>& losers) {
  Finding finding{.code = "forwarding-disabled-by-config",
                  .summary = "forwarding to " + facts.request.destination +
                             " is switched off " +
                             (winner ? "at " + PlaceAndScope(*winner)
                                     : std::string("by the command line"))};
  if (!winner) {
    finding.explanation = "The command line comes before every file.";
    const std::string option = OptionThatSaysNo(facts);
    finding.evidence = {
        {.source = "command line", .text = "ForwardAgent no (" + option + ")"}};
    for (const ConfigLine* line : losers)
      finding.evidence.push_back(AsEvidence(*line));
    // Without the option the first of the lines decides.
    const bool lines_ask =
        !losers.empty() &&
        losers.front() == &facts.link.config->forward_agent_shadowed.front();
    finding.fixes = {lines_ask
                         ? Fix{.title = "Leave out \"" + option + "\"",
                               .safety = Safety::kManual,
                               .commands = {SshWith(facts, "ForwardAgent", "")}}
                         : AskOnce(facts)};
    return finding;
  }
  finding.explanation =
      "An explicit `no` came first, and no later line asks for forwarding.";
  finding.evidence = {AsEvidence(*winner)};
  // A line for this host alone can be changed; one for many is better left.
  finding.fixes = {NamesOneHost(winner->scope)
                       ? Fix{.title = "Change that line",
                             .safety = Safety::kManual,
                             .edits = {{.file = winner->file,
                                        .line = winner->line,
                                        .text = "ForwardAgent yes",
                                        .replaces = true}}}
                       : Fix{.title = "Ask for it, above that line",
                             .safety = Safety::kManual,
                             .edits = {LinesToAdd(facts, *winner)}},
                   AskOnce(facts)};
  return finding;
}

/// `ssh -G` prints a path whatever the flag; only the session showed the flag.
Finding HiddenNo(const Facts& facts, const ClientConfig& config) {
  return {.code = "forwarding-disabled-by-config",
          .summary = "ssh does not ask for forwarding to " +
                     facts.request.destination +
                     ", although ForwardAgent names " +
                     config.forward_agent_path,
          .explanation =
              "A `no` that came first keeps the path from having an "
              "effect, while `ssh -G` prints the path all the same.",
          .evidence = {{.source = SshSource(facts, "-G"),
                        .text = "forwardagent " + config.forward_agent_path},
                       {.source = SshSource(facts, "-v"),
                        .text = "agent forwarding was not requested"}},
          .fixes = {AskOnce(facts)}};
}

void JudgeNotRequested(const Facts& facts, const ClientConfig& config,
                       Answer& answer) {
  const ConfigLine* winner =
      config.forward_agent_line ? &*config.forward_agent_line : nullptr;
  std::vector<const ConfigLine*> losers;
  for (const ConfigLine& line : config.forward_agent_shadowed)
    if (Asks(line)) losers.push_back(&line);

  if (!config.forward_agent.known())
    answer.findings.push_back(HiddenNo(facts, config));
  else if (winner && !losers.empty())
    answer.findings.push_back(Shadowed(facts, *winner, losers));
  else if (winner || !OptionThatSaysNo(facts).empty())
    answer.findings.push_back(Disabled(facts, winner, losers));
  else
    answer.findings.push_back(NotRequested(facts));
  JudgeAliases(facts, config, answer);
}

/// How to log in with the agent at \a path, which a ForwardAgent \a line names.
std::vector<Fix> LogInWith(const Facts& facts, const std::string& path,
                           const std::optional<ConfigLine>& line) {
  const AgentChoice& primary = *facts.link.primary;
  const std::string setting = "IdentityAgent " + ConfigPath(path);
  const bool by_option = primary.source == AgentSource::kIdentityAgent;
  // What decides now has to give way: the first value of an option wins.
  const std::optional<ConfigLine>& decides = by_option ? primary.line : line;
  Fix fix{.title = "Log in with the same agent", .safety = Safety::kManual};
  if (!decides)
    fix.commands = {SshWith(facts, "IdentityAgent", ConfigPath(path))};
  else if (by_option && !NamesOneHost(decides->scope))
    fix.edits = {LinesToAdd(facts, *decides, setting)};
  else
    fix.edits = {{.file = decides->file,
                  .line = decides->line,
                  .text = setting,
                  .replaces = by_option}};
  std::vector<Fix> fixes{std::move(fix)};
  // Any other IdentityAgent keeps ssh from looking at the variable.
  if (!by_option || primary.text == "SSH_AUTH_SOCK")
    fixes.push_back({.title = "Let SSH_AUTH_SOCK name a live agent",
                     .safety = Safety::kManual,
                     .commands = {{"export", "SSH_AUTH_SOCK=" + path}}});
  return fixes;
}

/// The agent that ForwardAgent itself names, by variable or path.
void JudgeNamedAgent(const Facts& facts, const ClientConfig& config,
                     Answer& answer) {
  if (config.forward_agent_path.empty()) return;
  const AgentChoice& choice = *facts.link.forwarded;
  if (choice.source != AgentSource::kForwardAgent) return;
  const std::string& text = config.forward_agent_path;
  const std::optional<ConfigLine>& line =
      choice.line ? choice.line : config.forward_agent_line;
  const std::string option =
      line ? "" : CommandLineOption(facts, "forwardagent");
  const std::string at = line              ? " (" + Place(*line) + ")"
                         : !option.empty() ? " (on the command line)"
                                           : "";
  std::vector<Evidence> evidence;
  if (line) evidence.push_back(AsEvidence(*line));
  if (!option.empty())
    evidence.push_back({.source = "command line", .text = option});
  const auto forward_usual = [&](std::string title) {
    Fix fix{.title = std::move(title), .safety = Safety::kManual};
    // A `yes` above it would not take the path away: readconf.c keeps flag and
    // path apart, and the first of each wins.
    if (line)
      fix.edits = {{.file = line->file,
                    .line = line->line,
                    .text = "ForwardAgent yes",
                    .replaces = true}};
    else if (!option.empty())
      fix.commands = {SshWith(facts, "ForwardAgent", "yes")};
    return fix;
  };

  if (!choice.path) {
    evidence.push_back({.source = "environment", .text = text + " is not set"});
    answer.findings.push_back(
        {.code = "forward-agent-socket-unset",
         .summary = "ForwardAgent" + at + " names " + text +
                    ", a variable that is not set",
         .explanation = "ssh then turns forwarding off without saying so.",
         .evidence = std::move(evidence),
         .fixes = {{.title = "Set the variable to your agent's socket",
                    .safety = Safety::kManual},
                   forward_usual("Forward the usual agent instead")}});
    return;
  }

  const Agent* agent = FindAgent(facts.near, *choice.path);
  if (!agent)
    throw FactUnknown("the agent at " + *choice.path + " was not asked");
  if (agent->state == AgentState::kMissing ||
      agent->state == AgentState::kPathTooLong) {
    evidence.push_back(
        {.source =
             agent->asked_with.empty() ? "agent protocol" : agent->asked_with,
         .text = *choice.path + ": " +
                 (agent->detail.empty() ? "No such file or directory"
                                        : agent->detail)});
    Finding finding{.code = "forward-agent-socket-missing",
                    .evidence = std::move(evidence),
                    .fixes = {forward_usual("Forward the usual agent")}};
    if (text == "local") {
      finding.summary = "ForwardAgent" + at +
                        " says \"local\", which OpenSSH takes for a file name";
      finding.explanation =
          "`local` is Teleport's word for tsh's own key agent; OpenSSH knows "
          "`yes`, `no`, a path or a variable.";
    } else if (agent->state == AgentState::kPathTooLong) {
      finding.summary = "ForwardAgent" + at + " names a path of " +
                        std::to_string(choice.path->size()) +
                        " bytes, too long for a socket: " + *choice.path;
      finding.explanation = "ssh cuts the path off without a word.";
    } else {
      finding.summary = "ForwardAgent" + at + " names " + *choice.path +
                        (agent->link_target.empty()
                             ? ", which does not exist"
                             : ", a dangling link to " + agent->link_target);
      finding.explanation =
          "ssh only warns: the host gets a socket with no agent behind it.";
    }
    answer.findings.push_back(std::move(finding));
    return;
  }

  const AgentChoice& primary = *facts.link.primary;
  if (agent->state != AgentState::kAnswered || primary.path == choice.path)
    return;
  const Agent* login =
      primary.path ? FindAgent(facts.near, *primary.path) : nullptr;
  if (primary.path && !login)
    throw FactUnknown("the agent at " + *primary.path + " was not asked");
  if (CanConnect(login)) return;
  const bool by_option = primary.source == AgentSource::kIdentityAgent;
  const std::string who =
      by_option ? "IdentityAgent" +
                      (primary.line ? " (" + Place(*primary.line) + ")" : "")
                : "SSH_AUTH_SOCK";
  const std::string what =
      primary.path ? who + " names " + *primary.path + ", where none answers"
      : by_option  ? who + " says " + primary.text
                   : who + " is not set";
  if (const std::string word = CommandLineOption(facts, "identityagent");
      by_option && !primary.line && !word.empty())
    evidence.push_back({.source = "command line", .text = word});
  else
    evidence.push_back({.source = by_option ? "ssh_config" : "environment",
                        .text = what,
                        .file = primary.line ? primary.line->file : "",
                        .line = primary.line ? primary.line->line : 0});
  answer.findings.push_back(
      {.code = "forward-agent-primary-missing",
       .summary = "the agent at " + *choice.path + " is not forwarded: " + what,
       .explanation =
           "Before it forwards any agent, ssh looks whether the one it logs in "
           "with can be reached, and silently turns forwarding off if not, "
           "even where ForwardAgent names another one.",
       .evidence = std::move(evidence),
       .fixes = LogInWith(facts, *choice.path, line)});
}

/// Whether a Host or Match line lets every host in.
bool EveryHost(const std::string& scope) {
  const std::vector<std::string> words = Words(scope);
  if (words.empty()) return true;
  const bool match = words.front() == "Match" || words.front() == "match";
  bool everything = false;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (match && word != "all" && word != "final" && word != "canonical")
      return false;
    if (match || word == "*") everything = true;
  }
  return everything;
}

void JudgeGlobal(const Facts& facts, const ClientConfig& config,
                 Answer& answer) {
  if (!config.forward_agent_line) return;
  const ConfigLine& line = *config.forward_agent_line;
  if (!EveryHost(line.scope)) return;
  const bool system = line.file.starts_with("/etc/");
  answer.findings.push_back(
      {.code = "forward-agent-global",
       .severity = Severity::kWarning,
       .summary = "forwarding is on for every host: " + PlaceAndScope(line) +
                  (system ? ", in the system's file" : ""),
       .explanation = "Whoever is root on any host you log in to can use your "
                      "agent while you are connected.",
       .evidence = {AsEvidence(line)},
       .fixes = {{.title = "Keep it to the hosts that need it; to pass through "
                           "one, ProxyJump needs no forwarding",
                  .safety = Safety::kManual,
                  // From the bottom up: the numbers stay right.
                  .edits = {{.file = line.file,
                             .line = line.line,
                             .text = "ForwardAgent no",
                             .replaces = true},
                            LinesToAdd(facts, line)}}}});
}

void JudgeVsCode(const Facts& facts, Answer& answer) {
  if (!facts.near.vscode_forwarding_off) return;
  const EnvironmentFileLine& setting = *facts.near.vscode_forwarding_off;
  answer.findings.push_back(
      {.code = "vscode-forwarding-off",
       .severity = Severity::kWarning,
       .summary = "VS Code forwards no agent: remote.SSH.enableAgentForwarding "
                  "is false in " +
                  setting.file + ":" + std::to_string(setting.line),
       .explanation = "Terminals of VS Code on the host have no agent, though "
                      "plain ssh has.",
       .evidence = {{.source = "VS Code settings",
                     .text = "\"remote.SSH.enableAgentForwarding\": false",
                     .file = setting.file,
                     .line = setting.line}},
       .fixes = {{.title = "Remove the setting, or set it to true",
                  .safety = Safety::kManual,
                  .edits = {{.file = setting.file,
                             .line = setting.line,
                             .text = "\"remote.SSH.enableAgentForwarding\": "
                                     "true,",
                             .replaces = true}}}}});
}

Answer Run(const Facts& facts) {
  Answer answer;
  const ClientConfig& config = *facts.link.config;
  if (IsPutty(facts)) return JudgePuttySettings(facts, config);
  if (IsTsh(facts)) return JudgeTshOptions(facts, config);
  if (config.error) {
    answer.findings.push_back(ConfigRejected(facts, *config.error));
    return answer;
  }
  const std::optional<bool> asks = AsksForForwarding(facts);
  if (!asks) {
    // A path hides the flag from `ssh -G`; what it names can still be judged.
    Ask(answer, [&] { JudgeNamedAgent(facts, config, answer); });
    if (answer.findings.empty()) answer.skipped = config.forward_agent.reason();
    return answer;
  }
  if (!*asks) {
    JudgeNotRequested(facts, config, answer);
    return answer;
  }
  answer.summary = config.forward_agent_line
                       ? "\"" + config.forward_agent_line->text + "\" at " +
                             PlaceAndScope(*config.forward_agent_line)
                       : std::string("asked for on the command line");
  Ask(answer, [&] { JudgeNamedAgent(facts, config, answer); });
  JudgeGlobal(facts, config, answer);
  JudgeVsCode(facts, answer);
  return answer;
}

}  // namespace

constinit const Check kForwardAgent{
    .id = "forward-agent",
    .stage = Stage::kClient,
    .title = "The configuration asks for forwarding",
    .run = Run,
    .codes = kCodes};

}  // namespace agentdoctor::checks
