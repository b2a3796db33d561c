#include <algorithm>

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

}  // namespace agentdoctor
