#include "run.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <exception>

#include "agentdoctor/check.h"
#include "collect.h"
#include "diagnose.h"
#include "here.h"
#include "system/concurrently.h"
#include "system/interrupt.h"

namespace agentdoctor {
namespace {

HostReport Judge(const Facts& facts, const Selection& selection) {
  return Diagnose(facts, Examine(facts, AllChecks(), selection));
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

/// What is known of a host whose examination failed in a way that nobody
/// expected (no more threads, no room in /tmp): why, and nothing else.
RecordedHost Failed(const Request& request, const RunPlan& plan,
                    const std::string& why) {
  RecordedHost host;
  host.facts.request = request;
  host.facts.collected = std::time(nullptr);
  host.facts.link.client = "openssh";
  host.facts.link.config = Unknown{why};
  host.facts.link.sharing = Unknown{why};
  host.facts.link.session = Unknown{why};
  host.facts.link.control = NotNeeded{why};
  if (plan.repair) host.before = host.facts;
  return host;
}

}  // namespace

Recording RunAll(const RunPlan& plan,
                 const std::function<std::unique_ptr<Client>()>& make_client) {
  const auto start = std::chrono::steady_clock::now();
  Recording recording;
  recording.started = std::time(nullptr);
  recording.hosts.resize(plan.requests.size());

  Concurrently(plan.requests.size(), plan.jobs, [&](std::size_t i) {
    // One bad host never takes the others, or the report, with it.
    try {
      const std::unique_ptr<Client> client = make_client();
      recording.hosts[i] = RunOne(plan, [&] {
        return Collect(plan.requests[i], *client, plan.options, plan.control);
      });
    } catch (const std::exception& error) {
      recording.hosts[i] = Failed(plan.requests[i], plan, error.what());
    }
  });
  recording.duration_ms = std::chrono::duration_cast<Milliseconds>(
                              std::chrono::steady_clock::now() - start)
                              .count();
  return recording;
}

Recording RunHere(const RunPlan& plan) {
  const auto start = std::chrono::steady_clock::now();
  Recording recording;
  recording.command = "here";
  recording.started = std::time(nullptr);
  recording.hosts.push_back(RunOne(plan, CollectHere));
  recording.duration_ms = std::chrono::duration_cast<Milliseconds>(
                              std::chrono::steady_clock::now() - start)
                              .count();
  return recording;
}

Report MakeReport(const Recording& recording, const Selection& selection) {
  Report report;
  report.command = recording.command;
  report.started = recording.started;
  report.duration_ms = recording.duration_ms;
  for (const RecordedHost& recorded : recording.hosts) {
    HostReport host = Judge(recorded.facts, selection);
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
