#include "putty.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "words.h"

namespace agentdoctor::checks {
namespace {

constexpr std::string_view kForwardingMenu =
    "Connection, SSH, Auth: \"Allow agent forwarding\"";

std::string InMenu(const ClientConfig& config, std::string_view what) {
  return (config.named ? "Load the session in PuTTY, and save it with "
                       : "In PuTTY, save Default Settings (or a session for "
                         "this host) with ") +
         std::string(what);
}

/// The value as it stands, or the default.
Evidence Setting(const ClientConfig& config, const std::string& keyword,
                 std::string_view by_default) {
  const auto value = config.values.find(keyword);
  if (value != config.values.end() && value->second.winner) {
    Evidence evidence = AsEvidence(*value->second.winner);
    evidence.source = "saved session";
    return evidence;
  }
  Evidence evidence{.source = "saved session",
                    .text = std::string(by_default) + " (by default)"};
  if (!config.files.empty()) evidence.file = config.files.front().path;
  return evidence;
}

Fix AllowForwarding(const ClientConfig& config) {
  Fix fix{.title = InMenu(config, kForwardingMenu), .safety = Safety::kManual};
  if (config.forward_agent_line)
    fix.edits = {{.file = config.forward_agent_line->file,
                  .line = config.forward_agent_line->line,
                  .text = "AgentFwd=1",
                  .replaces = true}};
  return fix;
}

Fix AskOnce(const Facts& facts) {
  std::vector<std::string> argv = Ssh(facts);
  argv.insert(argv.begin() + 1, "-A");
  return {.title = "Ask for it just this once",
          .safety = Safety::kManual,
          .commands = {std::move(argv)}};
}

void JudgeOtherSessions(const Facts& facts, const ClientConfig& config,
                        Answer& answer) {
  for (const OtherAlias& other : config.other_aliases) {
    std::vector<std::string> argv = Ssh(facts);
    argv.back() = other.alias;
    Evidence evidence = AsEvidence(other.line);
    evidence.source = "saved session";
    answer.findings.push_back(
        {.code = "host-alias-mismatch",
         .severity = Severity::kInfo,
         .summary = "forwarding is asked for in the saved session \"" +
                    other.alias + "\" of the same host (" + Place(other.line) +
                    "), not for \"" + facts.request.destination + "\"",
         .explanation = "A saved session holds where its name is given, "
                        "whatever host it leads to.",
         .evidence = {std::move(evidence)},
         .fixes = {{.title = "Use that session",
                    .safety = Safety::kManual,
                    .commands = {std::move(argv)}}}});
  }
}

Finding SwitchedOff(const Facts& facts, const ClientConfig& config) {
  Finding finding{
      .code = "forwarding-disabled-by-config",
      .summary = "forwarding to " + facts.request.destination +
                 " is switched off by the command line",
      .explanation = "An option counts whatever the saved session says.",
      .evidence = {{.source = "command line", .text = "-a"}}};
  std::vector<std::string> argv = Ssh(facts);
  Fix fix{.title = "Leave out \"-a\"", .safety = Safety::kManual};
  bool asks = false;
  for (const ConfigLine& line : config.forward_agent_shadowed) {
    finding.evidence.push_back(AsEvidence(line));
    finding.evidence.back().source = "saved session";
    asks = line.text != "AgentFwd=0";
  }
  if (!asks) {
    fix.title = "Ask for it instead";
    argv.insert(argv.begin() + 1, "-A");
  }
  fix.commands = {std::move(argv)};
  finding.fixes = {std::move(fix)};
  return finding;
}

Finding NotRequested(const Facts& facts, const ClientConfig& config) {
  const bool written = config.forward_agent_line.has_value();
  return {.code = "forwarding-not-requested",
          .summary = "PuTTY does not ask for agent forwarding to " +
                     facts.request.destination +
                     (written ? ": AgentFwd is 0 at " +
                                    PlaceAndScope(*config.forward_agent_line)
                              : ""),
          .explanation =
              written ? "PuTTY writes every setting into a session it saves, "
                        "and this one was off."
              : config.named
                  ? "The saved session does not say AgentFwd, and the default "
                    "is 0; a session inherits nothing from Default Settings."
                  : "No saved session of that name exists, so plink takes it "
                    "for a host and uses Default Settings, where AgentFwd is "
                    "not set.",
          .evidence = {Setting(config, "agentfwd", "AgentFwd=0")},
          .fixes = {AllowForwarding(config), AskOnce(facts)}};
}

Finding Everywhere(const ClientConfig& config) {
  const ConfigLine& line = *config.forward_agent_line;
  Evidence evidence = AsEvidence(line);
  evidence.source = "saved session";
  return {
      .code = "forward-agent-global",
      .severity = Severity::kWarning,
      .summary =
          "forwarding is on for every host without a saved session: "
          "AgentFwd is 1 in Default Settings, " +
          Place(line),
      .explanation =
          "Whoever is root on any host you log in to can use "
          "your agent while you are connected.",
      .evidence = {std::move(evidence)},
      .fixes = {{.title = "Keep it to saved sessions of the hosts that need "
                          "it",
                 .safety = Safety::kManual,
                 .edits = {{.file = line.file,
                            .line = line.line,
                            .text = "AgentFwd=0",
                            .replaces = true}}}}};
}

/// What a fault means to PuTTY's user.
struct Fault {
  std::string_view code;
  std::string_view explanation;  ///< empty: as it is
  std::string_view remedy;
  enum class Command { kNone, kConnect, kVerbose, kAsk } command;
};

using Does = Fault::Command;

constexpr std::array kFaults = {
    Fault{"name-not-resolved", "",
          "Check the spelling of the session or host, and the network",
          Does::kNone},
    Fault{"connection-refused", "", "Check the port, and that the server runs",
          Does::kVerbose},
    Fault{"connection-timeout", "",
          "Check the network, the address and the "
          "port",
          Does::kVerbose},
    Fault{"network-unreachable", "", "Check the network or the VPN",
          Does::kVerbose},
    Fault{"proxy-failed",
          "PuTTY got no connection from its proxy "
          "(Connection, Proxy).",
          "See what the proxy says", Does::kVerbose},
    Fault{"host-key-unknown",
          "plink asks a person before it trusts a new host, and nobody was "
          "there to answer.",
          "Log in once by hand and compare the fingerprint", Does::kConnect},
    Fault{"host-key-changed", "",
          "Find out why it changed; only then let PuTTY replace the old key",
          Does::kConnect},
    Fault{"authentication-failed", "",
          "See which keys are offered, and for which user (Connection, Data; "
          "Connection, SSH, Auth, Credentials)",
          Does::kVerbose},
    Fault{"interaction-needed", "", "Let plink ask you", Does::kAsk},
    Fault{"protocol-mismatch", "",
          "Check the port, and the algorithms that plink's message names",
          Does::kVerbose},
    Fault{"ssh-not-found", "",
          "Install PuTTY's tools (putty-tools), or name plink with --ssh",
          Does::kNone},
    Fault{"connection-lost", "", "See how far plink gets", Does::kVerbose},
};

}  // namespace

Answer JudgePuttySettings(const Facts& facts, const ClientConfig& config) {
  Answer answer;
  if (config.error) {
    Finding finding{.code = "config-error",
                    .summary = config.error->message,
                    .explanation = "Agents are forwarded by SSH alone.",
                    .evidence = {{.source = "saved session",
                                  .text = config.error->message,
                                  .file = config.error->file,
                                  .line = config.error->line}},
                    .fixes = {{.title = "Choose SSH in PuTTY's first panel, "
                                        "\"Session\", and save it",
                               .safety = Safety::kManual}}};
    answer.findings.push_back(std::move(finding));
    return answer;
  }
  if (*config.forward_agent) {
    answer.summary = config.forward_agent_line
                         ? "\"" + config.forward_agent_line->text + "\" at " +
                               PlaceAndScope(*config.forward_agent_line)
                         : std::string("asked for on the command line");
    if (config.forward_agent_line && !config.named)
      answer.findings.push_back(Everywhere(config));
    return answer;
  }
  const auto& options = facts.request.ssh_options;
  const bool by_option = std::ranges::find(options, "-a") != options.end();
  answer.findings.push_back(by_option ? SwitchedOff(facts, config)
                                      : NotRequested(facts, config));
  JudgeOtherSessions(facts, config, answer);
  return answer;
}

void SpeakOfPutty(const Facts& facts, Finding& finding) {
  const auto* const fault =
      std::ranges::find(kFaults, finding.code, &Fault::code);
  if (fault == kFaults.end()) return;
  const ClientConfig* config = facts.link.config.get();
  if (!fault->explanation.empty()) finding.explanation = fault->explanation;
  Fix fix{.title = std::string(fault->remedy), .safety = Safety::kManual};
  switch (fault->command) {
    case Does::kNone:
      break;
    case Does::kConnect:
      fix.commands = {Ssh(facts)};
      break;
    case Does::kVerbose:
      fix.commands = {Ssh(facts)};
      fix.commands.front().insert(fix.commands.front().begin() + 1, "-v");
      break;
    case Does::kAsk: {
      std::vector<std::string> again{"agentdoctor", "run", "--client", "putty",
                                     "--interactive"};
      again.insert(again.end(), facts.request.ssh_options.begin(),
                   facts.request.ssh_options.end());
      again.push_back(facts.request.destination);
      fix.commands = {std::move(again)};
      break;
    }
  }
  if (finding.code == "name-not-resolved")
    finding.explanation =
        config && config->named
            ? "That is the host name of the saved session."
            : "No saved session has that name, so plink takes it for a host.";
  const auto keys = config
                        ? config->values.find("sshmanualhostkeys")
                        : std::map<std::string, ConfigValue>::const_iterator{};
  if (finding.code == "host-key-changed" && config &&
      keys != config->values.end() && keys->second.winner &&
      !FirstValue(*config, "sshmanualhostkeys").empty()) {
    finding.explanation =
        "The session trusts only the keys it lists, and the server showed "
        "another one: it was installed anew, or somebody is in between.";
    finding.evidence.push_back(Setting(*config, "sshmanualhostkeys", ""));
    fix = {.title =
               "Find out why it changed; only then replace the key in "
               "Connection, SSH, Host keys",
           .safety = Safety::kManual};
  }
  finding.fixes = {std::move(fix)};
}

Fix CloseUpstream(const Facts& facts, const Master& master) {
  const std::string who =
      master.pid ? " (pid " + std::to_string(*master.pid) + ")" : "";
  const ClientConfig* config = facts.link.config.get();
  const bool asks = config && config->forward_agent.value_or(false);
  return {.title =
              "Finish what runs in the sessions to this host, and close "
              "the window that was opened first" +
              who +
              ": the connection ends with it, and so do the sessions "
              "that share it. Then open a new one" +
              (asks ? ""
                    : ", with " + std::string(kForwardingMenu) +
                          " as it should be"),
          .safety = Safety::kManual};
}

}  // namespace agentdoctor::checks
