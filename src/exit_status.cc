#include <algorithm>

#include "agentdoctor/listings.h"
#include "agentdoctor/report.h"

namespace agentdoctor {

int ExitStatus(const Report& report, bool strict) {
  const auto any = [&report](Verdict verdict) {
    return std::ranges::any_of(report.hosts, [verdict](const HostReport& host) {
      return host.verdict == verdict;
    });
  };
  if (any(Verdict::kBroken)) return 1;
  if (strict && any(Verdict::kDegraded)) return 1;
  // A report about nobody proves nothing.
  if (any(Verdict::kUndetermined) || report.hosts.empty()) return 3;
  return 0;
}

int ExitStatus(const AgentList& list) {
  if (list.interrupted || !list.forwarded.known()) return 3;
  const ListedAgent* forwarded = ForwardedAgent(list);
  const bool useful = forwarded &&
                      forwarded->agent.state == AgentState::kAnswered &&
                      !forwarded->agent.identities.empty();
  return useful ? 0 : 1;
}

int ExitStatus(const MasterList& list, bool strict) {
  const auto any = [&list](Severity severity) {
    return std::ranges::any_of(list.masters, [&](const ListedMaster& listed) {
      return std::ranges::any_of(listed.findings,
                                 [&](const ReportedFinding& reported) {
                                   return reported.finding.severity == severity;
                                 });
    });
  };
  if (any(Severity::kError) || (strict && any(Severity::kWarning))) return 1;
  const auto unclear = [](const ListedMaster& listed) {
    return listed.master.state == MasterState::kDenied ||
           listed.master.state == MasterState::kFailed ||
           (listed.examined && listed.examined->status == Status::kSkip);
  };
  return list.interrupted || std::ranges::any_of(list.masters, unclear) ? 3 : 0;
}

}  // namespace agentdoctor
