#include "run.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <exception>

#include "agentdoctor/check.h"
#include "collect.h"
#include "diagnose.h"
#include "here.h"
#include "hops.h"
#include "system/clock.h"
#include "system/concurrently.h"
#include "system/interrupt.h"

namespace agentdoctor {
namespace {

HostReport Judge(const Facts& facts, const Selection& selection,
                 const std::optional<EarlierBreak>& earlier = {}) {
  return Diagnose(facts, Examine(facts, AllChecks(), selection), earlier);
}

/// What \a before, the hop before another, says about the path up to there.
std::optional<EarlierBreak> BreakAt(const HostReport& before) {
  if (before.earlier) return before.earlier;
  if (before.verdict != Verdict::kBroken || !before.root_cause)
    return std::nullopt;
  return EarlierBreak{.host = before.host, .code = before.root_cause->code};
}

RecordedHost RunOne(const RunPlan& plan,
                    const std::function<Facts()>& collect) {
  RecordedHost host;
  host.facts = collect();
  if (!plan.repair) return host;

  host.before = host.facts;
  if (Interrupted()) return host;
  host.repairs =
      Repair(host.facts, Judge(host.facts, plan.selection), *plan.repair);
  const bool changed =
      std::ranges::any_of(host.repairs, [](const RepairRecord& repair) {
        return repair.status == RepairStatus::kApplied;
      });
  // Facts are never patched: what a repair came to is seen by looking again.
  if (changed && !Interrupted()) {
    host.facts = collect();
    host.facts.duration_ms += host.before->duration_ms;
  }
  return host;
}

/// A destination and the hops behind it.  An examination that fails in a way
/// nobody expected (no more threads, no room in /tmp) takes no others, and not
/// the report, with it.
std::vector<RecordedHost> RunPath(
    const Request& request, const RunPlan& plan, NearSide* near,
    const std::function<std::unique_ptr<Client>()>& make_client) {
  const std::vector<Request> path = PathRequests(request, plan.then);
  std::unique_ptr<Client> client;
  std::vector<RecordedHost> hosts(1);
  try {
    client = make_client();
    hosts[0] = RunOne(plan, [&] {
      return Collect(path[0], *client, plan.options, plan.control, nullptr,
                     near);
    });
  } catch (const std::exception& error) {
    hosts[0].facts = NotExamined(path[0], {}, error.what());
    if (plan.repair) hosts[0].before = hosts[0].facts;
  }
  for (Facts& hop : CollectHops(hosts[0].facts, path, client.get(),
                                plan.options, plan.control))
    hosts.push_back({.facts = std::move(hop)});
  return hosts;
}

}  // namespace

Recording RunAll(const RunPlan& plan,
                 const std::function<std::unique_ptr<Client>()>& make_client) {
  const auto start = std::chrono::steady_clock::now();
  Recording recording;
  recording.started = std::time(nullptr);
  std::vector<std::vector<RecordedHost>> paths(plan.requests.size());

  // After a repair this side is looked at again.
  NearSide near;
  const bool shared = plan.requests.size() > 1 && !plan.repair;
  Concurrently(plan.requests.size(), plan.jobs, [&](std::size_t i) {
    paths[i] =
        RunPath(plan.requests[i], plan, shared ? &near : nullptr, make_client);
  });
  for (std::vector<RecordedHost>& path : paths)
    std::ranges::move(path, std::back_inserter(recording.hosts));
  recording.duration_ms = MillisecondsSince(start);
  return recording;
}

Recording RunHere(const RunPlan& plan) {
  const auto start = std::chrono::steady_clock::now();
  Recording recording;
  recording.command = "here";
  recording.started = std::time(nullptr);
  recording.hosts.push_back(RunOne(plan, CollectHere));
  recording.duration_ms = MillisecondsSince(start);
  return recording;
}

Report MakeReport(const Recording& recording, const Selection& selection) {
  Report report;
  report.command = recording.command;
  report.started = recording.started;
  report.duration_ms = recording.duration_ms;
  for (const RecordedHost& recorded : recording.hosts) {
    const bool further = !recorded.facts.via.empty() && !report.hosts.empty();
    HostReport host =
        Judge(recorded.facts, selection,
              further ? BreakAt(report.hosts.back()) : std::nullopt);
    if (recorded.before) {
      const HostReport before = Judge(*recorded.before, selection);
      host.fix_requested = true;
      host.before =
          Before{.verdict = before.verdict, .root_cause = before.root_cause};
      host.repairs = recorded.repairs;
    }
    report.hosts.push_back(std::move(host));
  }
  return report;
}

}  // namespace agentdoctor
