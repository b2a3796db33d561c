#include "diagnose.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>

#include "live_agents.h"
#include "path.h"
#include "server_software.h"
#include "shell.h"
#include "words.h"

namespace agentdoctor {
namespace {

using Findings = std::vector<ReportedFinding>;

bool IsError(const ReportedFinding& reported) {
  return reported.finding.severity == Severity::kError;
}

/// What other faults bring about; everything else is a cause by itself.
bool IsSymptom(std::string_view code) {
  // An https URL is nobody's fault.
  return code == "remote-socket-dead" || code == "remote-keys-differ" ||
         (code.starts_with("next-hop-") && code != "next-hop-not-ssh");
}

/// No session came about (or two that can't be compared), so nothing is known
/// about forwarding itself.
bool IsTransportFault(const ReportedFinding& reported) {
  return reported.stage == Stage::kConnection && IsError(reported) &&
         reported.finding.code != "forwarding-disabled-by-host-key";
}

bool Contains(std::initializer_list<std::string_view> codes,
              std::string_view code) {
  return std::ranges::find(codes, code) != codes.end();
}

const ReportedFinding* Find(const Findings& findings, std::string_view code) {
  const auto found =
      std::ranges::find_if(findings, [code](const ReportedFinding& reported) {
        return reported.finding.code == code;
      });
  return found == findings.end() ? nullptr : &*found;
}

/// The agent that the session really has; null if none answers.
const Agent* WorkingAgent(const Facts& facts) {
  const Session* session = facts.link.session.get();
  if (!session || session->end != SessionEnd::kProbed) return nullptr;
  const Agent* agent = checks::HandedOverAgent(facts);
  return agent && agent->state == AgentState::kAnswered ? agent : nullptr;
}

/// Whether a session with \a agent shows that what the finding says of new
/// connections does not hold in it.  A missing key only does if it is there.
bool Disproved(const Facts& facts, const ReportedFinding& reported,
               const Agent& agent) {
  if (reported.stage != Stage::kAgent && reported.stage != Stage::kClient)
    return false;
  if (!IsError(reported)) return false;
  const std::string& code = reported.finding.code;
  if (Contains({"agent-empty", "agent-locked"}, code))
    return !agent.identities.empty();
  if (code == "agent-key-missing") {
    const std::string& key = facts.request.key_fingerprint.empty()
                                 ? facts.request.key
                                 : facts.request.key_fingerprint;
    return std::ranges::any_of(agent.identities, [&](const Identity& identity) {
      return identity.fingerprint == key;
    });
  }
  return true;
}

/// What is left of a check whose findings were taken over by another's.
struct Relief {
  Status status = Status::kPass;
  std::string summary = {};
};
using Reliefs = std::map<std::string, Relief>;

/// It reports works-only-through-master.
constexpr std::string_view kSharingCheck = "control-master";

/// What works is not broken.  Through a live master the findings about a new
/// connection become one warning; in a fresh session they were seen not to
/// hold (an agent that was only busy when it was asked).
void RespectWhatWorks(const Facts& facts, const std::vector<Examined>& examined,
                      Findings& findings, Reliefs& reliefs) {
  const Agent* agent = WorkingAgent(facts);
  // What answered a canary's call says nothing of the user's own agent.
  if (!agent || checks::ForwardsCanary(facts)) return;
  const auto disproved = [&](const ReportedFinding& reported) {
    return Disproved(facts, reported, *agent);
  };
  if (!checks::ThroughMaster(facts)) {
    // Our deliberately malformed session-bind is no proof against a real one
    // that was seen to work.
    std::erase_if(findings, [&](const ReportedFinding& reported) {
      return disproved(reported) &&
             reported.finding.code == "agent-drops-extensions";
    });
    for (ReportedFinding& reported : findings)
      if (disproved(reported)) {
        reported.finding.severity = Severity::kInfo;
        reported.finding.certainty = Certainty::kLikely;
        reported.finding.explanation +=
            " The session has the agent all the same.";
      }
    return;
  }

  Finding warning{.code = "works-only-through-master",
                  .severity = Severity::kWarning};
  std::string codes, summaries;
  for (const ReportedFinding& reported : findings) {
    if (!disproved(reported)) continue;
    const Finding& finding = reported.finding;
    codes += (codes.empty() ? "" : ", ") + finding.code;
    summaries += (summaries.empty() ? "" : "; ") + finding.summary;
    if (finding.certainty == Certainty::kLikely)
      warning.certainty = Certainty::kLikely;
    warning.evidence.insert(warning.evidence.end(), finding.evidence.begin(),
                            finding.evidence.end());
    warning.fixes.insert(warning.fixes.end(), finding.fixes.begin(),
                         finding.fixes.end());
    reliefs[reported.check] = {Status::kWarn, finding.summary};
  }
  if (codes.empty()) return;
  warning.summary =
      "forwarding works only through the master that is running; a new "
      "connection would have no agent (" +
      codes + "): " + summaries;
  warning.explanation =
      "The master was made when things were different. When it ends, "
      "forwarding ends with it.";
  warning.evidence.push_back({.source = "probe through the master",
                              .text = agent->path + ": " +
                                      checks::Count(agent->identities.size(),
                                                    "identity", "identities")});
  std::erase_if(findings, disproved);
  const bool wanted = std::ranges::any_of(examined, [&](const Examined& each) {
    return each.check->id == kSharingCheck &&
           std::ranges::find(each.left_out, warning.code) ==
               each.left_out.end();
  });
  if (!wanted) return;
  const auto later =
      std::ranges::find_if(findings, [](const ReportedFinding& reported) {
        return reported.stage > Stage::kSharing;
      });
  findings.insert(later, {.finding = std::move(warning),
                          .check = std::string(kSharingCheck),
                          .stage = Stage::kSharing});
}

/// A name that resolves nowhere and that no Host or Match line knows is a
/// misspelt name, not a host for which forwarding was forgotten.
void RespectMisspelling(const Facts& facts, Findings& findings,
                        Reliefs& reliefs) {
  const ClientConfig* config = facts.link.config.get();
  if (!config || config->named || !Find(findings, "name-not-resolved")) return;
  const auto about_the_name = [](const ReportedFinding& reported) {
    return Contains(
        {"forwarding-not-requested", "forwarding-disabled-by-config",
         "forward-agent-shadowed", "host-alias-mismatch"},
        reported.finding.code);
  };
  for (const ReportedFinding& reported : findings)
    if (about_the_name(reported))
      reliefs[reported.check] = {
          Status::kSkip,
          "no Host or Match line knows the name " + facts.request.destination};
  std::erase_if(findings, about_the_name);
}

/// A git forge that let us in: nothing there could use an agent, so that what
/// would be wrong on the way of one is no fault.
void RespectForges(const Facts& facts, Findings& findings, Reliefs& reliefs) {
  if (!checks::FindForge(facts)) return;
  const auto about_forwarding = [](const ReportedFinding& reported) {
    return reported.stage == Stage::kClient &&
           (IsError(reported) ||
            reported.finding.code == "host-alias-mismatch");
  };
  for (ReportedFinding& reported : findings) {
    if (about_forwarding(reported))
      reliefs[reported.check] = {Status::kPass,
                                 "a git forge needs no forwarded agent"};
    // An identity that was asked for by --key is another matter.
    if (reported.stage == Stage::kAgent && IsError(reported) &&
        reported.finding.code != "agent-key-missing") {
      reported.finding.severity = Severity::kInfo;
      reported.finding.explanation += " This login did without it.";
    }
  }
  std::erase_if(findings, about_forwarding);
}

void TieConsequences(Findings& findings) {
  for (ReportedFinding& symptom : findings) {
    if (!IsSymptom(symptom.finding.code)) continue;
    for (const ReportedFinding& cause : findings) {
      if (&cause == &symptom) break;  // only what comes earlier explains it
      if (!IsError(cause) || IsSymptom(cause.finding.code)) continue;
      symptom.consequence_of = cause.finding.code;
      break;
    }
  }
}

// ------------------------------------------------------------ further hops --

/// What is wrong with this hop because no agent arrives where it begins.
void TieToEarlierHop(const Facts& facts, const EarlierBreak& earlier,
                     Findings& findings) {
  const Agent* near = checks::PrimaryAgent(facts);
  if (near && near->state == AgentState::kAnswered && !near->identities.empty())
    return;
  for (ReportedFinding& reported : findings) {
    const bool lacks_agent =
        reported.stage == Stage::kAgent ||
        Contains({"forward-agent-primary-missing", "authentication-failed",
                  "interaction-needed"},
                 reported.finding.code);
    if (!lacks_agent || !IsError(reported)) continue;
    reported.consequence_of = earlier.code;
    reported.consequence_host = earlier.host;
  }
}

/// "here" is the host where the hop begins.
void SayWhere(const std::string& host, std::string& text) {
  constexpr std::string_view kHere = " here";
  for (std::size_t at = text.find(kHere); at != std::string::npos;
       at = text.find(kHere, at + 1)) {
    const std::size_t end = at + kHere.size();
    if (end == text.size() || text.find_first_of(" ,.;:)", end) == end)
      text.replace(at, kHere.size(), " on " + host);
  }
}

Evidence PlaceEvidence(const Facts& facts, Stage stage, Evidence evidence) {
  const auto from = [&evidence](std::string_view start) {
    return evidence.source.starts_with(start);
  };
  // These name a place themselves.
  if (from("probe") || from("session through")) return evidence;
  if (from("fresh login")) {
    evidence.source += ", made from here";
    return evidence;
  }
  const bool far = stage >= Stage::kServer && !evidence.file.empty();
  if (far)
    evidence.host = facts.request.destination;
  else if (stage < Stage::kServer || from("ssh "))
    evidence.host = facts.via.back();
  return evidence;
}

/// Nothing is repaired on another machine: every remedy is for a person, and
/// says where.
Fix PlaceFix(const Facts& facts, Stage stage, Fix fix) {
  constexpr std::string_view kOnTheHost = "On the host, ";
  fix.action = Action::kNone;
  fix.target.clear();
  if (fix.safety == Safety::kSafe) fix.safety = Safety::kReview;
  for (std::vector<std::string>& command : fix.commands)
    // That one is to be told of a prompt; over there ssh itself will do.
    if (command.size() > 3 && command[0] == "agentdoctor") {
      command.erase(command.begin() + 1, command.begin() + 3);
      command[0] = facts.request.ssh;
    }
  if (fix.title.starts_with(kOnTheHost)) {
    fix.title.erase(0, kOnTheHost.size());
    fix.host = facts.request.destination;
  } else if (stage < Stage::kServer || !fix.commands.empty()) {
    fix.host = facts.via.back();
  }
  return fix;
}

void PlaceFindings(const Facts& facts, Findings& findings) {
  for (ReportedFinding& reported : findings) {
    Finding& finding = reported.finding;
    SayWhere(facts.via.back(), finding.summary);
    SayWhere(facts.via.back(), finding.explanation);
    for (Evidence& evidence : finding.evidence)
      evidence = PlaceEvidence(facts, reported.stage, std::move(evidence));
    for (Fix& fix : finding.fixes)
      fix = PlaceFix(facts, reported.stage, std::move(fix));
  }
}

bool IsCause(const ReportedFinding& reported) {
  return reported.consequence_of.empty();
}

/// No probe ran, but the control login was granted forwarding, or the server
/// asked the canary; only what comes of it can't be seen.
bool GrantedUnseen(const Facts& facts) {
  const Session* session = facts.link.session.get();
  const Control* control = facts.link.control.get();
  return session && session->end == SessionEnd::kNoProbe &&
         ((session->canary_asked && checks::WouldForward(facts)) ||
          (control && control->granted.value_or(false)));
}

Verdict Judge(const Facts& facts, const Findings& findings) {
  if (facts.interrupted) return Verdict::kUndetermined;
  const auto broken = [](const ReportedFinding& reported) {
    return IsCause(reported) && IsError(reported) &&
           !IsTransportFault(reported);
  };
  if (std::ranges::any_of(findings, broken)) return Verdict::kBroken;
  if (std::ranges::any_of(findings, IsTransportFault))
    return Verdict::kUndetermined;
  // To a git forge nothing could be forwarded.
  if (GrantedUnseen(facts) || checks::FindForge(facts))
    return Verdict::kDegraded;
  if (!checks::ForwardingWorks(facts)) return Verdict::kUndetermined;
  if (checks::ForwardsCanary(facts) && !checks::WouldForward(facts))
    return Verdict::kUndetermined;
  const auto warns = [](const ReportedFinding& reported) {
    return reported.finding.severity == Severity::kWarning;
  };
  return std::ranges::any_of(findings, warns) ? Verdict::kDegraded
                                              : Verdict::kHealthy;
}

std::optional<RootCause> FindRootCause(const Findings& findings,
                                       Verdict verdict) {
  const auto root = [](const ReportedFinding& reported) {
    return RootCause{.code = reported.finding.code,
                     .check = reported.check,
                     .summary = reported.finding.summary};
  };
  if (verdict == Verdict::kHealthy) return std::nullopt;
  for (const ReportedFinding& reported : findings)
    if (IsCause(reported) && IsError(reported)) return root(reported);
  if (verdict == Verdict::kDegraded) {
    for (const ReportedFinding& reported : findings)
      if (IsCause(reported) && reported.finding.severity == Severity::kWarning)
        return root(reported);
    return std::nullopt;
  }
  // What kept the remote side from being examined.
  const ReportedFinding* forced = Find(findings, "forced-command");
  return forced ? std::optional(root(*forced)) : std::nullopt;
}

CheckResult Result(const Examined& examined, const Findings& findings,
                   const Reliefs& reliefs) {
  const Check& check = *examined.check;
  CheckResult result{.id = std::string(check.id),
                     .stage = check.stage,
                     .title = std::string(check.title)};
  const Finding* worst = nullptr;
  for (const ReportedFinding& reported : findings)
    if (reported.check == check.id &&
        (!worst || reported.finding.severity < worst->severity))
      worst = &reported.finding;
  const auto relief = reliefs.find(result.id);
  if (worst && worst->severity == Severity::kError) {
    result.status = Status::kFail;
    result.summary = worst->summary;
  } else if (worst && worst->severity == Severity::kWarning) {
    result.status = Status::kWarn;
    result.summary = worst->summary;
  } else if (relief != reliefs.end()) {
    result.status = relief->second.status;
    result.summary = relief->second.summary;
  } else if (!examined.answer.skipped.empty()) {
    result.status = Status::kSkip;
    result.summary = examined.answer.skipped;
  } else {
    result.status = Status::kPass;
    result.summary = examined.answer.summary.empty() && worst
                         ? worst->summary
                         : examined.answer.summary;
  }
  return result;
}

}  // namespace

HostReport Diagnose(const Facts& facts, const std::vector<Examined>& examined,
                    const std::optional<EarlierBreak>& earlier) {
  Findings findings;
  for (const Examined& each : examined)
    for (const Finding& finding : each.answer.findings)
      findings.push_back({.finding = finding,
                          .check = std::string(each.check->id),
                          .stage = each.check->stage});
  Reliefs reliefs;
  RespectMisspelling(facts, findings, reliefs);
  RespectWhatWorks(facts, examined, findings, reliefs);
  RespectForges(facts, findings, reliefs);
  TieConsequences(findings);
  if (earlier) TieToEarlierHop(facts, *earlier, findings);
  if (!facts.via.empty()) PlaceFindings(facts, findings);

  HostReport report;
  report.earlier = earlier;
  report.host = facts.request.destination;
  report.via = facts.via;
  report.client = facts.link.client;
  report.client_version = facts.link.version;
  report.duration_ms = facts.duration_ms;
  report.verdict = Judge(facts, findings);
  report.root_cause = FindRootCause(findings, report.verdict);
  report.granted_unseen = GrantedUnseen(facts);
  for (const Examined& each : examined)
    report.checks.push_back(Result(each, findings, reliefs));
  if (!facts.via.empty())
    for (CheckResult& check : report.checks)
      if (check.stage < Stage::kServer)
        SayWhere(facts.via.back(), check.summary);
  report.findings = std::move(findings);
  if (facts.here && !checks::ForwardingWorks(facts)) {
    const auto agents =
        checks::LiveAgents(facts, checks::OwnSocket(facts.near));
    const checks::Syntax syntax = checks::SyntaxHere(facts.near);
    if (!agents.empty())
      report.this_shell = checks::ExportLine(
          checks::ShellWord(agents.front()->path, syntax), syntax);
  }
  return report;
}

}  // namespace agentdoctor
