#include "tsh.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "path.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

/// Teleport's keys have such comments in every agent (lib/client/keyagent.go):
/// "teleport:USER", later "teleport:PROXY:CLUSTER:USER".
bool IsTeleports(const Identity& identity) {
  return identity.comment.starts_with("teleport:");
}

bool HoldsTeleportsAlone(const Agent& agent) {
  return !agent.identities.empty() &&
         std::ranges::all_of(agent.identities, IsTeleports);
}

/// The agent at SSH_AUTH_SOCK on this side, whichever one is forwarded.
const Agent* UsersAgent(const Facts& facts) {
  const auto* path = facts.near.auth_sock.get();
  return path && *path ? FindAgent(facts.near, **path) : nullptr;
}

/// Whether the keys that arrived are not those of the user's agent.
enum class Likeness { kSame, kFewer, kOthers };

Likeness Compare(const Agent& arrived, const Agent* users) {
  if (!users || users->state != AgentState::kAnswered) return Likeness::kOthers;
  const auto there = Fingerprints(arrived);
  const auto here = Fingerprints(*users);
  if (!std::ranges::includes(here, there)) return Likeness::kOthers;
  return here == there ? Likeness::kSame : Likeness::kFewer;
}

std::vector<std::string> Names(const Agent& agent) {
  std::vector<std::string> names;
  for (const Identity& identity : agent.identities)
    names.push_back(KeyName(identity));
  return names;
}

/// The word of the command line that decides, as typed.
std::string Decider(const Facts& facts) {
  const std::vector<std::string>& options = facts.request.ssh_options;
  if (std::ranges::find(options, "-A") != options.end()) return "-A";
  // Of several the last holds.
  std::string option;
  for (std::size_t i = 0; i + 1 < options.size(); ++i)
    if (options[i] == "-o" &&
        options[i + 1].find("ForwardAgent") != std::string::npos)
      option = "-o \"" + options[i + 1] + "\"";
  return option;
}

bool ByRule(const Facts& facts) {
  const AgentChoice* choice = facts.link.forwarded.get();
  return choice && choice->source == AgentSource::kTeleport;
}

/// Both agents, key by key.
void AddAgents(const Facts& facts, Finding& finding) {
  if (const Agent* arrived = ArrivedAgent(facts))
    finding.evidence.push_back(
        {.source = Probe(facts),
         .text = arrived->path + ": " +
                 (arrived->identities.empty() ? "0 identities"
                                              : List(Names(*arrived)))});
  const Agent* users = UsersAgent(facts);
  if (!users)
    finding.evidence.push_back(
        {.source = "environment", .text = "SSH_AUTH_SOCK is not set"});
  else
    finding.evidence.push_back(
        {.source = "agent protocol",
         .text = users->path + ": " +
                 (users->identities.empty() ? StateWords(*users)
                                            : List(Names(*users)))});
}

Finding OwnAgent(const Facts& facts, const std::string& mode) {
  const std::string decider = Decider(facts);
  const Agent* arrived = ArrivedAgent(facts);
  Finding finding{.code = "teleport-agent-forwarded",
                  .severity = Severity::kInfo,
                  .certainty = arrived && HoldsTeleportsAlone(*arrived)
                                   ? Certainty::kProven
                                   : Certainty::kLikely,
                  .summary = "what " + decider +
                             " forwards is the key agent inside of tsh, not "
                             "yours"};
  if (!decider.empty())
    finding.evidence.push_back({.source = "command line", .text = decider});
  if (mode == "local") {
    finding.explanation =
        "`local` is Teleport's word for it. It holds the keys and certificates "
        "of ~/.tsh, and none that you gave to your own agent.";
    finding.fixes = {ForwardUsersAgent(facts)};
  } else if (ByRule(facts)) {
    finding.severity = Severity::kWarning;
    finding.explanation =
        "Up to Teleport 6.1 tsh knew no other agent: -A and ForwardAgent yes "
        "forward the keys and certificates of ~/.tsh, and none of yours.";
    finding.evidence.push_back(
        {.source = "tsh version", .text = facts.link.version});
    finding.fixes = {
        {.title = "Update tsh to 6.2 or later, where -A forwards yours",
         .safety = Safety::kManual}};
  } else {
    finding.severity = Severity::kWarning;
    if (Compare(*arrived, UsersAgent(facts)) != Likeness::kOthers)
      finding.certainty = Certainty::kLikely;
    finding.explanation =
        "By its rules tsh forwards yours. Where Teleport's proxy records the "
        "sessions, it is sent tsh's own all the same: the proxy logs in to the "
        "node with it.";
    finding.fixes = {
        {.title = "Update tsh; and ask whether the cluster has to record at "
                  "the proxy (session_recording: node leaves your agent alone)",
         .safety = Safety::kManual}};
  }
  AddAgents(facts, finding);
  return finding;
}

Finding NotRequested(const Facts& facts) {
  const std::string decider = Decider(facts);
  Finding finding{.code = "forwarding-not-requested",
                  .summary = "nothing asks tsh to forward an agent to " +
                             facts.request.destination,
                  .explanation =
                      "tsh's ForwardAgent is `no` by default, and tsh reads no "
                      "ssh_config.",
                  .evidence = {{.source = "command line",
                                .text = "neither -A nor -o ForwardAgent"}},
                  .fixes = {ForwardUsersAgent(facts)}};
  if (decider.empty()) return finding;
  finding.code = "forwarding-disabled-by-config";
  finding.summary = "forwarding to " + facts.request.destination +
                    " is switched off by the command line";
  finding.explanation =
      "Of several -o ForwardAgent the last one counts to "
      "tsh, and -A before all of them.";
  finding.evidence = {{.source = "command line", .text = decider}};
  return finding;
}

/// What a fault means to tsh's user.
struct Fault {
  std::string_view code;
  std::string_view explanation;  ///< empty: as it is
  std::string_view remedy;
  std::array<std::string_view, 2> command;  ///< empty: `tsh ssh`
};

constexpr std::array kFaults = {
    Fault{"interaction-needed",
          "tsh would ask for a login, or for a second factor, and nobody was "
          "there to answer. Without a valid login no session is opened.",
          "Log in to Teleport",
          {"tsh", "login"}},
    Fault{"authentication-failed",
          "Teleport lets in whom a role allows this login on this node.",
          "See which logins your roles allow (\"Logins\"), and name one with "
          "-l",
          {"tsh", "status"}},
    Fault{"name-not-resolved",
          "The Teleport cluster knows no node of that name.",
          "See which nodes there are",
          {"tsh", "ls"}},
    Fault{"connection-refused",
          "",
          "Check that the node and Teleport's proxy run",
          {"tsh", "ls"}},
    Fault{"connection-timeout",
          "Teleport's proxy or the node says nothing; tsh does not tell which.",
          "See how far it gets",
          {}},
    Fault{"network-unreachable", "", "Check the network or the VPN", {}},
    Fault{"proxy-failed",
          "Every session of tsh's leads through Teleport's proxy.",
          "Check the proxy's address and the network",
          {"tsh", "status"}},
    Fault{"host-key-unknown",
          "The node's key is not signed by an authority of the cluster that "
          "you are logged in to.",
          "Log in once by hand and compare the key",
          {}},
    Fault{"ssh-not-found",
          "",
          "Install Teleport's client, or put it in PATH",
          {}},
    Fault{"connection-lost", "", "See how far it gets", {}}};

}  // namespace

const Agent* ArrivedAgent(const Facts& facts) {
  const Session* session = facts.link.session.get();
  if (!session || session->end != SessionEnd::kProbed) return nullptr;
  const Agent* agent = HandedOverAgent(facts);
  return agent && agent->state == AgentState::kAnswered ? agent : nullptr;
}

bool OwnAgentArrived(const Facts& facts) {
  const Agent* arrived = IsTsh(facts) ? ArrivedAgent(facts) : nullptr;
  return arrived && HoldsTeleportsAlone(*arrived) && !ByRule(facts) &&
         Compare(*arrived, UsersAgent(facts)) != Likeness::kSame;
}

Fix ForwardUsersAgent(const Facts& facts) {
  // -A is what people type, and it comes before every -o.
  std::vector<std::string> argv = SshWith(facts, "ForwardAgent", "");
  argv.insert(argv.begin() + 2, "-A");
  return {.title =
              "Forward your own agent (the same as -o \"ForwardAgent "
              "yes\")",
          .safety = Safety::kManual,
          .commands = {std::move(argv)}};
}

Answer JudgeTshOptions(const Facts& facts, const ClientConfig& config) {
  Answer answer;
  if (!*config.forward_agent) {
    answer.findings.push_back(NotRequested(facts));
    return answer;
  }
  const Agent* arrived = ArrivedAgent(facts);
  const bool own = ByRule(facts) ? !arrived || arrived->identities.empty() ||
                                       HoldsTeleportsAlone(*arrived)
                                 : OwnAgentArrived(facts);
  answer.summary = Decider(facts) + ": tsh forwards " +
                   (own ? "its own key agent" : "your own agent");
  if (own)
    answer.findings.push_back(
        OwnAgent(facts, FirstValue(config, "forwardagent")));
  return answer;
}

void SpeakOfTsh(const Facts& facts, Finding& finding) {
  const auto* const fault =
      std::ranges::find(kFaults, finding.code, &Fault::code);
  if (fault == kFaults.end()) return;
  if (!fault->explanation.empty()) finding.explanation = fault->explanation;
  Fix fix{.title = std::string(fault->remedy), .safety = Safety::kManual};
  if (!fault->command[0].empty())
    fix.commands = {
        {std::string(fault->command[0]), std::string(fault->command[1])}};
  else if (finding.code != "ssh-not-found")
    fix.commands = {Ssh(facts)};
  if (finding.code == "ssh-not-found")
    finding.summary =
        "there is no tsh program to examine " + facts.request.destination +
        " with" +
        (finding.evidence.empty() ? "" : ": " + finding.evidence.front().text);
  finding.fixes = {std::move(fix)};
}

Fix SpeakOfRoles(Finding& finding, Fix fix, bool refused) {
  finding.explanation =
      refused ? "tsh then gives the session up. The server does not say "
                "whether its configuration or an option of the key is why."
              : "tsh asked for forwarding, and the server made no socket. A "
                "Teleport node forwards an agent only for roles that allow it "
                "(forward_agent), and says nothing otherwise; an sshd in the "
                "cluster obeys AllowAgentForwarding and DisableForwarding.";
  if (refused) return fix;
  return {.title = "Ask Teleport's administrator for a role that allows it",
          .safety = Safety::kManual,
          .edits = {{.file = "the role (tctl edit role/NAME)",
                     .text = "spec:\n  options:\n    forward_agent: true"}}};
}

}  // namespace agentdoctor::checks
