// Can the forwarded keys log in to the next server?
#include <algorithm>
#include <array>

#include "checks.h"
#include "path.h"
#include "words.h"
#include "work_tree.h"

namespace agentdoctor::checks {
namespace {

constexpr std::array<std::string_view, 6> kCodes = {
    "next-hop-denied",        "next-hop-unreachable",
    "next-hop-too-many-keys", "next-hop-ignores-agent",
    "next-hop-not-ssh",       "next-hop-key-constrained"};

bool Arises(const Facts& facts) {
  return facts.here ? !facts.near.git_remotes.empty()
                    : !facts.request.to.empty();
}

// ----------------------------------------------------------------- phrases --

const std::string& Host(const Facts& facts) {
  return facts.request.destination;
}

/// "ssh git@gitlab.example on gitlab-runner", as the source of an evidence.
std::string Source(const Facts& facts, const NextHop& hop) {
  return "ssh " + hop.destination + " on " + Host(facts);
}

std::string Config(const NextHop& hop, const std::string& keyword) {
  const auto found = hop.config.find(keyword);
  return found == hop.config.end() ? std::string() : found->second;
}

/// The name by which a Host line of the far side's configuration knows it.
std::string HostName(const NextHop& hop) {
  std::string name = hop.destination;
  constexpr std::string_view kScheme = "ssh://";
  if (name.starts_with(kScheme)) {
    name.erase(0, kScheme.size());
    const std::size_t colon = name.rfind(':');
    if (colon != std::string::npos && name.find(']', colon) == name.npos)
      name.resize(colon);
  }
  return name.substr(name.rfind('@') + 1);
}

std::string OfferName(const OfferedKey& key) {
  if (key.fingerprint.empty()) return key.file;
  return key.type + " " + key.fingerprint +
         (key.file.empty() ? "" : " (" + key.file + ")");
}

bool Contains(std::string_view text, std::string_view word) {
  return text.find(word) != std::string_view::npos;
}

// ------------------------------------------------------------------- facts --

/// The agent that the far side's session has; null if it did not answer.
const Agent* SessionAgent(const Facts& facts) {
  const auto* socket = facts.far.auth_sock.get();
  const Agent* agent =
      socket && *socket ? FindAgent(facts.far, **socket) : nullptr;
  return agent && agent->state == AgentState::kAnswered ? agent : nullptr;
}

/// An identity of the session's agent, not of another one that IdentityAgent
/// names nor of a file.
bool IsForwarded(const Facts& facts, const OfferedKey& key) {
  const Agent* agent = SessionAgent(facts);
  // An ssh up to 7.5 does not say the fingerprint of what it offers.
  return key.from_agent && (!agent || key.fingerprint.empty() ||
                            Fingerprints(*agent).contains(key.fingerprint));
}

std::vector<OfferedKey> Forwarded(const Facts& facts, const NextHop& hop) {
  std::vector<OfferedKey> keys = hop.offered;
  std::erase_if(keys, [&facts](const OfferedKey& key) {
    return !IsForwarded(facts, key);
  });
  return keys;
}

/// The last key that the server said it would take; null: none.
const OfferedKey* Accepted(const std::vector<OfferedKey>& keys) {
  const auto found =
      std::find_if(keys.rbegin(), keys.rend(),
                   [](const OfferedKey& key) { return key.accepted; });
  return found == keys.rend() ? nullptr : &*found;
}

/// Identities of the agent here that the far side can't see, which only
/// destination constraints bring about.
std::vector<std::string> Hidden(const Facts& facts) {
  std::vector<std::string> hidden;
  const Agent* near = ForwardedAgent(facts);
  const Agent* far = SessionAgent(facts);
  if (!near || near->state != AgentState::kAnswered || !far ||
      IsForwardedAgent(facts, *far) == false)
    return hidden;
  const auto seen = Fingerprints(*far);
  for (const Identity& identity : near->identities)
    if (!seen.contains(identity.fingerprint))
      hidden.push_back(KeyName(identity));
  return hidden;
}

// ---------------------------------------------------------------- findings --

void AddOffers(const Facts& facts, const NextHop& hop, Finding& finding) {
  for (const OfferedKey& key : hop.offered)
    finding.evidence.push_back(
        {.source = Source(facts, hop),
         .text = (key.accepted ? "offered and accepted: "
                               : "offered and refused: ") +
                 OfferName(key)});
}

void AddFault(const Facts& facts, const NextHop& hop, Finding& finding) {
  if (hop.fault && !hop.fault->message.empty())
    finding.evidence.push_back(
        {.source = Source(facts, hop), .text = hop.fault->message});
}

void AddMaster(const Facts& facts, const NextHop& hop, Finding& finding) {
  if (!hop.master_alive) return;
  finding.evidence.push_back(
      {.source = "ssh -O check on " + Host(facts),
       .text = "a master answers at " + Config(hop, "controlpath")});
  finding.explanation +=
      " A plain ssh there goes through a master that is still open, and so "
      "shows nothing of this until that ends.";
}

/// The lines there that may have set \a keyword; ssh says only the value.
void AddLines(const NextHop& hop, std::string_view keyword, Finding& finding) {
  for (const ConfigLine& line : hop.lines) {
    std::string text = line.text.substr(0, keyword.size());
    std::ranges::transform(text, text.begin(), [](const char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    });
    if (text == keyword) finding.evidence.push_back(AsEvidence(line));
  }
}

/// Offer one key and no other, by a block of the far side's configuration.
Fix OneKeyOnly(const Facts& facts, const NextHop& hop, std::string title) {
  return {.title = "On " + Host(facts) + ", " + std::move(title),
          .safety = Safety::kManual,
          .commands = {{"ssh-add", "-L"}},
          .edits = {{.file = "~/.ssh/config",
                     .text = "Host " + HostName(hop) +
                             "\n  IdentityFile ~/.ssh/KEY.pub\n"
                             "  IdentitiesOnly yes"}}};
}

Finding Denied(const Facts& facts, const NextHop& hop,
               const std::vector<OfferedKey>& forwarded) {
  const std::string hostname = Config(hop, "hostname");
  const bool forge = hop.user == "git";
  Finding finding{
      .code = "next-hop-denied",
      .summary = hop.destination + " refuses every forwarded key (" +
                 Count(forwarded.size(), "key", "keys") + " offered from " +
                 Host(facts) + ")",
      .explanation = forge ? "No account there has any of these keys."
                           : "The server knows none of them for the user " +
                                 hop.user + ", or does not let that user in."};
  if (!hop.signing_failure.empty()) {
    finding.explanation =
        "The agent makes only signatures that the server no longer takes: an "
        "RSA key in an old agent, or in one that is a smart card's.";
    finding.evidence.push_back(
        {.source = Source(facts, hop), .text = hop.signing_failure});
  }
  AddOffers(facts, hop, finding);
  AddFault(facts, hop, finding);
  const std::vector<std::string> hidden = Hidden(facts);
  if (!hidden.empty()) {
    finding.evidence.push_back(
        {.source = "agent protocol",
         .text = "hidden from " + Host(facts) + ": " + List(hidden)});
    finding.explanation +=
        " Further keys of the agent have constraints (ssh-add -h) that hide "
        "them there.";
  }
  AddMaster(facts, hop, finding);
  if (!forge && (hostname.starts_with("git") || Contains(hostname, ".git")))
    finding.fixes.push_back(
        {.title = "A git server knows everybody as git, "
                  "and tells people apart by their keys",
         .safety = Safety::kManual,
         .commands = {{"ssh", "-T", "git@" + HostName(hop)}}});
  finding.fixes.push_back(
      {.title = "Add one of them, as `ssh-add -L` on " + Host(facts) +
                " prints it, to " +
                (forge ? "your account at " + HostName(hop)
                       : "~" + hop.user + "/.ssh/authorized_keys on " +
                             HostName(hop)),
       .safety = Safety::kManual,
       .commands = {{"ssh-add", "-L"}}});
  return finding;
}

/// Why no login came about: "{}" stands for the next hop, "@" for the host.
struct Fault {
  std::string_view code;
  std::string_view summary;
  std::string_view remedy;
};

constexpr std::array kFaults = {
    Fault{"name-not-resolved", "@ can't resolve the name {}",
          "On @, check the name, and what its ssh configuration and its "
          "resolver make of it"},
    Fault{"connection-refused", "{} refuses the connection from @",
          "Check the port, and that the server runs"},
    Fault{"connection-timeout", "{} does not answer @",
          "Check the network and the firewalls between the two"},
    Fault{"network-unreachable", "@ has no way to {}",
          "On @, check the network and the VPN"},
    Fault{"proxy-failed",
          "the ProxyCommand or jump host on the way from @ to "
          "{} failed",
          "On @, see what the proxy says"},
    Fault{"host-unreachable-through-jump",
          "the jump host on the way from @ can't reach {}",
          "Check the name and the port as seen from the jump host"},
    Fault{"host-key-unknown", "@ does not know the host key of {}",
          "On @, log in once by hand and compare the fingerprint"},
    Fault{"host-key-changed", "the host key of {} is another one than @ knows",
          "Find out why it changed; only then, on @, remove the old key"},
    Fault{"protocol-mismatch",
          "what answers at {} does not speak ssh as @ does",
          "Check the port, and the algorithms that ssh's message names"},
    Fault{"", "the connection from @ to {} broke off",
          "On @, see how far ssh gets"},
};

std::string Fill(std::string_view text, const Facts& facts,
                 const NextHop& hop) {
  std::string filled;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '@') {
      filled += Host(facts);
    } else if (text.substr(i).starts_with("{}")) {
      filled += hop.destination;
      ++i;
    } else {
      filled += text[i];
    }
  }
  return filled;
}

Finding Unreachable(const Facts& facts, const NextHop& hop) {
  const TransportFault fault = hop.fault.value_or(TransportFault{});
  const Fault& meaning = *std::ranges::find_if(kFaults, [&](const Fault& each) {
    return each.code.empty() || each.code == fault.code;
  });
  Finding finding{.code = "next-hop-unreachable",
                  .summary = Fill(meaning.summary, facts, hop)};
  AddFault(facts, hop, finding);
  constexpr std::size_t kEnough = 5;
  for (const std::string& message : hop.messages)
    if (finding.evidence.size() < kEnough && !Contains(fault.message, message))
      finding.evidence.push_back(
          {.source = Source(facts, hop), .text = message});
  if (meaning.code == "host-key-unknown")
    finding.explanation =
        "Where nobody can be asked, as in a CI job, ssh says \"Host key "
        "verification failed\" before any key is offered; that is no fault of "
        "the agent's. agentdoctor accepts no host key there, whatever the "
        "configuration says.";
  else if (meaning.code == "connection-timeout" && !hop.server_version.empty())
    finding.explanation =
        "The server greets (" + hop.server_version + ") and then falls silent.";
  AddMaster(facts, hop, finding);
  Fix fix{.title = Fill(meaning.remedy, facts, hop),
          .safety = Safety::kManual,
          .commands = {{"ssh", "-v", hop.destination}}};
  if (meaning.code == "host-key-unknown") {
    fix.commands = {{"ssh", hop.destination}};
  } else if (meaning.code == "host-key-changed") {
    const std::string name = Config(hop, "hostname").empty()
                                 ? HostName(hop)
                                 : Config(hop, "hostname");
    const std::string port = Config(hop, "port");
    fix.commands = {
        {"ssh-keygen", "-R",
         port.empty() || port == "22" ? name : "[" + name + "]:" + port}};
  }
  finding.fixes = {std::move(fix)};
  return finding;
}

Finding TooManyKeys(const Facts& facts, const NextHop& hop) {
  const int* held = hop.agent_keys.get();
  Finding finding{
      .code = "next-hop-too-many-keys",
      .summary =
          hop.destination + " hung up after " +
          Count(hop.offered.size(), "key", "keys") +
          (held ? " of the agent's " + std::to_string(*held) : std::string()),
      .explanation =
          "A forwarded agent brings all its keys, each that is offered counts "
          "as a failure, and MaxAuthTries in sshd_config (6, unless set) ends "
          "the login. The right key may be among those that were not offered "
          "any more."};
  AddOffers(facts, hop, finding);
  AddFault(facts, hop, finding);
  AddMaster(facts, hop, finding);
  finding.fixes = {
      OneKeyOnly(facts, hop,
                 "offer the right key alone: save its line of `ssh-add -L` as "
                 "~/.ssh/KEY.pub"),
      {.title = "Or keep fewer keys in the agent",
       .safety = Safety::kManual,
       .commands = {{"ssh-add", "-l"}}}};
  return finding;
}

/// The option there that keeps the forwarded keys back; empty: none is seen.
std::string KeepsBack(const Facts& facts, const NextHop& hop) {
  if (ReplacesForwardedAgent(facts, Config(hop, "identityagent")))
    return "IdentityAgent";
  if (IsYes(Config(hop, "identitiesonly"))) return "IdentitiesOnly";
  if (IsNo(Config(hop, "pubkeyauthentication"))) return "PubkeyAuthentication";
  return {};
}

Finding IgnoresAgent(const Facts& facts, const NextHop& hop,
                     const std::string& option) {
  std::string keyword = option;
  for (char& c : keyword)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  const std::string value = Config(hop, keyword);
  Finding finding{.code = "next-hop-ignores-agent",
                  .summary = "ssh on " + Host(facts) +
                             " offers no forwarded key to " + hop.destination +
                             ": its configuration says " + option + " " +
                             value};
  finding.evidence.push_back(
      {.source = "ssh -G " + hop.destination + " on " + Host(facts),
       .text = keyword + " " + value});
  AddLines(hop, keyword, finding);
  if (const int* held = hop.agent_keys.get())
    finding.evidence.push_back(
        {.source = Source(facts, hop),
         .text = "agent returned " +
                 Count(static_cast<std::size_t>(*held), "key", "keys")});
  AddOffers(facts, hop, finding);
  AddFault(facts, hop, finding);
  Fix fix{.safety = Safety::kManual};
  const std::string block = "Host " + HostName(hop) + "\n  ";
  if (option == "IdentityAgent") {
    finding.explanation =
        "IdentityAgent replaces SSH_AUTH_SOCK inside ssh, while `ssh-add -l` "
        "there shows the forwarded agent. Often the line came along with "
        "synchronised dotfiles.";
    fix.title = "On " + Host(facts) +
                ", above that line, let this destination use the forwarded "
                "agent";
    fix.edits = {{.file = "~/.ssh/config",
                  .text = block + "IdentityAgent SSH_AUTH_SOCK"}};
  } else if (option == "IdentitiesOnly") {
    finding.explanation =
        "Of the agent's keys only those are offered that an IdentityFile names "
        "too, and there none of them is. A public key file is enough for "
        "that, where the private half is in the agent.";
    fix = OneKeyOnly(facts, hop,
                     "name the key: save its line of `ssh-add -L` as "
                     "~/.ssh/KEY.pub");
  } else {
    finding.explanation = "No key is tried at all.";
    fix.title = "On " + Host(facts) + ", above that line, allow keys";
    fix.edits = {{.file = "~/.ssh/config", .text = block + option + " yes"}};
  }
  AddMaster(facts, hop, finding);
  finding.fixes = {std::move(fix)};
  return finding;
}

/// The key's constraint lets it be used to \a host, and from there to the next.
Fix AllowTheWay(const Facts& facts, const std::string& next) {
  return {.title =
              "Here, let the key's constraint go as far as that (or add "
              "it without one)",
          .safety = Safety::kManual,
          .commands = {{"ssh-add", "-h", Host(facts), "-h",
                        Host(facts) + ">" + next, "~/.ssh/KEY"}}};
}

/// The keys have constraints that hide them: on the host already, or once ssh
/// there has told the agent where the login goes.
Finding HiddenKeys(const Facts& facts, const NextHop& hop,
                   const std::vector<std::string>& hidden) {
  const Agent* far = SessionAgent(facts);
  const bool on_host = far && far->identities.empty();
  Finding finding{
      .code = "next-hop-key-constrained",
      .certainty = far && IsForwardedAgent(facts, *far) == true
                       ? Certainty::kProven
                       : Certainty::kLikely,
      .summary = on_host
                     ? "no key of the agent may be used from " + Host(facts) +
                           " on, and so none to log in to " + hop.destination
                     : "no key of the agent may be used from " + Host(facts) +
                           " to log in to " + hop.destination,
      .explanation =
          "Keys added with `ssh-add -h` are hidden where their constraints do "
          "not let them be used."};
  if (!hidden.empty())
    finding.evidence.push_back(
        {.source = "agent protocol",
         .text = "hidden from " + Host(facts) + ": " + List(hidden)});
  if (far)
    finding.evidence.push_back(
        {.source = Probe(facts),
         .text = far->path + ": " +
                 Count(far->identities.size(), "identity", "identities")});
  if (const int* held = hop.agent_keys.get())
    finding.evidence.push_back(
        {.source = Source(facts, hop),
         .text = "agent returned " +
                 Count(static_cast<std::size_t>(*held), "key", "keys")});
  AddFault(facts, hop, finding);
  AddMaster(facts, hop, finding);
  finding.fixes = {AllowTheWay(facts, HostName(hop))};
  return finding;
}

/// The server would take the key, but the agent at home made no signature.
Finding NoSignature(const Facts& facts, const NextHop& hop,
                    const OfferedKey& key) {
  const bool waits = hop.signing_failure.empty();
  Finding finding{
      .code = "next-hop-key-constrained",
      .certainty = Certainty::kLikely,
      .summary = hop.destination + " would accept " + OfferName(key) +
                 ", but the agent " +
                 (waits ? "did not sign in time" : "refuses to sign with it"),
      .explanation =
          waits
              ? "A dialog, an unlock or a touch may wait at home for somebody "
                "to answer."
              : "The key may ask for a confirmation (ssh-add -c) that the "
                "agent could not show to anybody, or may not be used from " +
                    Host(facts) +
                    " (ssh-add -h), which an ssh older than 8.9 on the way "
                    "can't tell the agent. An agent that has to be unlocked "
                    "(1Password, a smart card) refuses in the same words."};
  finding.evidence.push_back({.source = Source(facts, hop),
                              .text = "Server accepts key: " + OfferName(key)});
  if (!waits)
    finding.evidence.push_back(
        {.source = Source(facts, hop), .text = hop.signing_failure});
  finding.evidence.push_back(
      {.source = "ssh -V on " + Host(facts), .text = hop.version});
  AddFault(facts, hop, finding);
  AddMaster(facts, hop, finding);
  finding.fixes = {
      {.title = waits ? "Look for a dialog or a blinking token at home, and "
                        "answer it"
                      : "Here, add the key without -c, or start the agent "
                        "where its askpass can open a window",
       .safety = Safety::kManual}};
  if (!waits) finding.fixes.push_back(AllowTheWay(facts, HostName(hop)));
  return finding;
}

// ---------------------------------------------------------------- judgement --

/// The words for what worked: "git@x: accepted ED25519 SHA256:... as dave".
std::string Success(const NextHop& hop, const OfferedKey& key) {
  const std::string name =
      key.fingerprint.empty() ? key.file : key.type + " " + key.fingerprint;
  return hop.destination + ": accepted " + name + " as " + hop.user;
}

/// Logged in, but not with a forwarded key: fine, and worth knowing.
Finding OtherKey(const Facts& facts, const NextHop& hop, const OfferedKey& key,
                 const std::vector<OfferedKey>& forwarded) {
  const std::string option = KeepsBack(facts, hop);
  Finding finding = forwarded.empty() && !option.empty()
                        ? IgnoresAgent(facts, hop, option)
                        : Denied(facts, hop, forwarded);
  finding.severity = Severity::kInfo;
  finding.summary =
      hop.destination + " lets in " + OfferName(key) +
      (key.from_agent ? ", of another agent than the forwarded one"
                      : ", a key of " + Host(facts) + "'s own") +
      (forwarded.empty() ? "; no forwarded key was offered"
                         : "; it refuses every forwarded one");
  return finding;
}

/// Another key than the one that --key names: who one is there may differ.
Finding WrongKey(const Facts& facts, const NextHop& hop,
                 const OfferedKey& accepted) {
  const bool refused =
      std::ranges::any_of(hop.offered, [&](const OfferedKey& key) {
        return key.fingerprint == facts.request.key_fingerprint;
      });
  Finding finding{
      .code = "next-hop-denied",
      .severity = Severity::kWarning,
      .summary = hop.destination +
                 (refused ? " refuses " + facts.request.key + ", and takes "
                          : " takes another key before " + facts.request.key +
                                " is offered: ") +
                 OfferName(accepted) + ", as " + hop.user,
      .explanation =
          "The first key that is known there decides who one is: perhaps "
          "another account, which may not see the same things."};
  AddOffers(facts, hop, finding);
  if (!hop.greeting.empty())
    finding.evidence.push_back(
        {.source = Source(facts, hop), .text = hop.greeting});
  finding.fixes = {OneKeyOnly(facts, hop,
                              "offer the right key alone: save its line of "
                              "`ssh-add -L` as ~/.ssh/KEY.pub")};
  return finding;
}

/// A master of the far side's own: a plain ssh there asks no agent.
Finding OwnMaster(const Facts& facts, const NextHop& hop) {
  return {.code = "next-hop-ignores-agent",
          .severity = Severity::kInfo,
          .summary = "ssh on " + Host(facts) + " goes to " + hop.destination +
                     " through a master of its own, without asking the agent",
          .explanation =
              "Who one is there was decided when the master logged in. A login "
              "without it, with the forwarded keys, works, too.",
          .evidence = {{.source = "ssh -O check on " + Host(facts),
                        .text = "a master answers at " +
                                Config(hop, "controlpath")}},
          .fixes = {{.title = "If it is the wrong account, on " + Host(facts) +
                              ", let that master go",
                     .safety = Safety::kManual,
                     .commands = {{"ssh", "-o", "ControlMaster=no", "-O",
                                   "stop", hop.destination}}}}};
}

void AddSummary(Answer& answer, const std::string& words) {
  answer.summary += (answer.summary.empty() ? "" : "; ") + words;
}

void JudgeLogin(const Facts& facts, const NextHop& hop,
                const std::vector<OfferedKey>& forwarded, Answer& answer) {
  const OfferedKey* key = Accepted(hop.offered);
  if (hop.auth_method != "publickey" || !key) {
    AddSummary(answer, hop.destination + ": logged in as " + hop.user +
                           " without a key (" + hop.auth_method + ")");
    return;
  }
  AddSummary(answer, Success(hop, *key));
  if (!IsForwarded(facts, *key)) {
    answer.findings.push_back(OtherKey(facts, hop, *key, forwarded));
    return;
  }
  const std::string& wanted = facts.request.key_fingerprint;
  if (!wanted.empty() && key->fingerprint != wanted)
    answer.findings.push_back(WrongKey(facts, hop, *key));
  if (hop.master_alive) answer.findings.push_back(OwnMaster(facts, hop));
}

Finding JudgeFailure(const Facts& facts, const NextHop& hop,
                     const std::vector<OfferedKey>& forwarded) {
  const TransportFault fault = hop.fault.value_or(TransportFault{});
  const OfferedKey* key = Accepted(forwarded);
  const bool no_algorithm = Contains(hop.signing_failure, "mutual signature") ||
                            Contains(hop.signing_failure, "signature type");
  if (key && !no_algorithm &&
      (!hop.signing_failure.empty() || fault.code == "connection-timeout"))
    return NoSignature(facts, hop, *key);
  if (Contains(fault.message, "Too many authentication failures"))
    return TooManyKeys(facts, hop);
  if (fault.code != "authentication-failed" &&
      fault.code != "interaction-needed")
    return Unreachable(facts, hop);
  if (!forwarded.empty()) return Denied(facts, hop, forwarded);
  if (const std::string option = KeepsBack(facts, hop); !option.empty())
    return IgnoresAgent(facts, hop, option);
  const Agent* agent = SessionAgent(facts);
  const int* held = hop.agent_keys.get();
  if (agent && held &&
      static_cast<std::size_t>(*held) < agent->identities.size())
    return HiddenKeys(facts, hop, Hidden(facts));
  Finding finding = Denied(facts, hop, forwarded);
  finding.certainty = Certainty::kLikely;
  finding.summary = hop.destination + " lets nobody in with a forwarded key: " +
                    "none was offered from " + Host(facts);
  finding.explanation =
      Contains(fault.message, "publickey")
          ? "The ssh there may not know this kind of key, or is not allowed to "
            "use it (PubkeyAcceptedAlgorithms)."
          : "The server takes no keys at all.";
  return finding;
}

void Judge(const Facts& facts, const NextHop& hop, Answer& answer) {
  if (!hop.not_tried.empty()) {
    const Agent* agent = SessionAgent(facts);
    const std::vector<std::string> hidden = Hidden(facts);
    if (agent && agent->identities.empty() && !hidden.empty())
      answer.findings.push_back(HiddenKeys(facts, hop, hidden));
    else if (answer.skipped.empty())
      answer.skipped =
          "no login to " + hop.destination + " was tried: " + hop.not_tried;
    return;
  }
  const std::vector<OfferedKey> forwarded = Forwarded(facts, hop);
  if (hop.authenticated) {
    JudgeLogin(facts, hop, forwarded, answer);
    return;
  }
  const OfferedKey* key = Accepted(forwarded);
  if (key && hop.signing_failure.empty() && hop.fault &&
      hop.fault->code == "interaction-needed") {
    AddSummary(answer, Success(hop, *key) + ", and asks for more");
    return;
  }
  answer.findings.push_back(JudgeFailure(facts, hop, forwarded));
}

Answer Run(const Facts& facts) {
  Answer answer;
  if (facts.here) {
    JudgeWorkTree(facts, answer);
    return answer;
  }
  ProbedSession(facts);
  for (const NextHop& hop : *facts.next_hops) Judge(facts, hop, answer);
  // What does work is told, too, where the summary is a finding's.
  if (!answer.summary.empty())
    for (Finding& finding : answer.findings)
      if (finding.severity == Severity::kError)
        finding.evidence.push_back(
            {.source = "ssh on " + Host(facts), .text = answer.summary});
  return answer;
}

}  // namespace

constinit const Check kNextHop{
    .id = "next-hop",
    .stage = Stage::kNextHop,
    .title = "The forwarded keys log in to the next server",
    .run = Run,
    .codes = kCodes,
    .applies = Arises};

}  // namespace agentdoctor::checks
