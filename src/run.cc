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

/// Judges the next host of a run; \a hosts are those before it.
void JudgeNext(const RecordedHost& recorded, const Selection& selection,
               std::vector<HostReport>& hosts) {
  const bool further = !recorded.facts.via.empty() && !hosts.empty();
  HostReport host = Judge(recorded.facts, selection,
                          further ? BreakAt(hosts.back()) : std::nullopt);
  if (recorded.before) {
    const HostReport before = Judge(*recorded.before, selection);
    host.fix_requested = true;
    host.before =
        Before{.verdict = before.verdict, .root_cause = before.root_cause};
    host.repairs = recorded.repairs;
  }
  hosts.push_back(std::move(host));
}

/// Runs \a paths, each with all the hops behind it, and judges them at once:
/// what is said of a host takes much less room than its facts, which are kept
/// only where they are to be recorded.
Report RunPaths(
    const std::string& command, const Selection& selection, std::size_t paths,
    std::size_t jobs,
    const std::function<std::vector<RecordedHost>(std::size_t)>& run,
    Recording* recording) {
  const auto start = std::chrono::steady_clock::now();
  Report report{.command = command, .started = std::time(nullptr)};
  std::vector<std::vector<RecordedHost>> recorded(paths);
  std::vector<std::vector<HostReport>> judged(paths);
  Concurrently(paths, jobs, [&](std::size_t i) {
    std::vector<RecordedHost> hosts = run(i);
    for (const RecordedHost& host : hosts)
      JudgeNext(host, selection, judged[i]);
    if (recording) recorded[i] = std::move(hosts);
  });
  for (std::vector<HostReport>& path : judged)
    std::ranges::move(path, std::back_inserter(report.hosts));
  report.duration_ms = MillisecondsSince(start);
  if (!recording) return report;
  *recording = {.command = report.command,
                .started = report.started,
                .duration_ms = report.duration_ms};
  for (std::vector<RecordedHost>& path : recorded)
    std::ranges::move(path, std::back_inserter(recording->hosts));
  return report;
}

}  // namespace

Report RunAll(const RunPlan& plan,
              const std::function<std::unique_ptr<Client>()>& make_client,
              Recording* recording) {
  // After a repair this side is looked at again.
  NearSide near;
  const bool shared = plan.requests.size() > 1 && !plan.repair;
  return RunPaths(
      "run", plan.selection, plan.requests.size(), plan.jobs,
      [&](std::size_t i) {
        return RunPath(plan.requests[i], plan, shared ? &near : nullptr,
                       make_client);
      },
      recording);
}

Report RunHere(const RunPlan& plan, Recording* recording) {
  return RunPaths(
      "here", plan.selection, 1, 1,
      [&](std::size_t) {
        return std::vector<RecordedHost>{RunOne(plan, CollectHere)};
      },
      recording);
}

Report MakeReport(const Recording& recording, const Selection& selection) {
  Report report;
  report.command = recording.command;
  report.started = recording.started;
  report.duration_ms = recording.duration_ms;
  for (const RecordedHost& host : recording.hosts)
    JudgeNext(host, selection, report.hosts);
  return report;
}

}  // namespace agentdoctor
