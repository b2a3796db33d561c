// The list of masters: text and JSON, to the letter.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "agentdoctor/listings.h"
#include "report/render.h"
#include "schema.h"

namespace agentdoctor {
namespace {

constexpr std::int64_t kNow = 1795255200;  // 2026-11-21 10:00 UTC

ListedMaster Alive() {
  ListedMaster listed;
  listed.master = {.host = "gitlab-runner",
                   .path = "/home/dave/.ssh/cm-a",
                   .state = MasterState::kAlive,
                   .pid = 6192,
                   .started = kNow - 3 * 86400,
                   .attached_clients = 1,
                   .forwardings = std::vector<std::string>{"127.0.0.1:8080"},
                   .foreground = false,
                   .newer_config = {{"/etc/ssh/ssh_config", kNow - 60}}};
  listed.peer = std::string("10.0.0.5:22");
  return listed;
}

ListedMaster Frozen() {
  ListedMaster listed;
  listed.master = {.path = "/home/dave/.ssh/cm-b",
                   .state = MasterState::kUnresponsive,
                   .pid = 17,
                   .started = Unknown{"why"},
                   .foreground = true};
  listed.host_unknown = "no Host line leads there";
  listed.peer = std::string("10.0.0.6:22");
  listed.findings = {
      {.finding = {.code = "mux-master-unresponsive",
                   .summary = "the master does not answer",
                   .explanation = "It is stuck.",
                   .evidence = {{.source = "ssh -O check", .text = "nothing"}},
                   .fixes = {{.title = "End it by hand",
                              .commands = {{"kill", "17"}}}}},
       .check = "control-master",
       .stage = Stage::kSharing}};
  return listed;
}

ListedMaster DeadSocket() {
  ListedMaster listed;
  listed.master = {.path = "/home/dave/.ssh/cm-c",
                   .state = MasterState::kStaleSocket};
  listed.host_unknown = "no Host line leads there";
  listed.peer = Unknown{"there is no process"};
  listed.findings = {
      {.finding = {.code = "mux-socket-stale",
                   .severity = Severity::kWarning,
                   .summary = "nobody listens",
                   .fixes = {{.title = "Remove it",
                              .safety = Safety::kSafe,
                              .commands = {{"rm", "/home/dave/.ssh/cm-c"}},
                              .action = Action::kRemoveSocket}}},
       .check = "control-master",
       .stage = Stage::kSharing}};
  return listed;
}

MasterList Example() {
  return {.started = kNow,
          .duration_ms = 5,
          .masters = {Alive(), Frozen(), DeadSocket()}};
}

MasterList Repaired() {
  MasterList list = Example();
  list.fix_requested = true;
  list.masters[0].examined = CheckResult{.id = "control-master",
                                         .stage = Stage::kSharing,
                                         .title = "No master in the way",
                                         .status = Status::kPass};
  list.masters[1].not_examined = "it does not answer";
  list.masters.pop_back();
  list.repairs = {{.path = "/home/dave/.ssh/cm-c",
                   .record = {.code = "mux-socket-stale",
                              .title = "Remove it",
                              .commands = {"rm /home/dave/.ssh/cm-c"},
                              .status = RepairStatus::kApplied,
                              .detail = "removed /home/dave/.ssh/cm-c"}}};
  return list;
}

nlohmann::json Parsed(const MasterList& list) {
  const auto json = nlohmann::json::parse(RenderMastersJson(list));
  EXPECT_EQ(SchemaFaults(json), "");
  return json;
}

TEST(MastersText, HasABlockForEachAndOneLineForADeadSocket) {
  EXPECT_EQ(RenderMastersText(Example(), {}),
            R"(✗ 2 multiplexing masters, 1 not answering, 1 dead control socket

  ✓ gitlab-runner: pid 6192, 3 days old, 1 session attached
      /home/dave/.ssh/cm-a
      port forwardings listen at 127.0.0.1:8080
      older than the last change of /etc/ssh/ssh_config
  ✗ unknown host at 10.0.0.6:22: does not answer; pid 17, in the foreground
      /home/dave/.ssh/cm-b
      the master does not answer (mux-master-unresponsive, proven)
      remedy: End it by hand
          kill 17
  ! /home/dave/.ssh/cm-c: nobody listens on it

  `agentdoctor masters --fix` removes the dead socket, tries the masters and
  lets stale ones go; with --dry-run it says what it would do.
)");
}

TEST(MastersText, SaysWhatWasDone) {
  EXPECT_EQ(RenderMastersText(Repaired(), {}),
            R"(✗ 2 multiplexing masters, 1 not answering

  ✓ gitlab-runner: pid 6192, 3 days old, 1 session attached
      /home/dave/.ssh/cm-a
      port forwardings listen at 127.0.0.1:8080
      examined, and not stale
  ✗ unknown host at 10.0.0.6:22: does not answer; pid 17, in the foreground
      /home/dave/.ssh/cm-b
      the master does not answer (mux-master-unresponsive, proven)
      remedy: End it by hand
          kill 17

  What was done
    ✓ done: Remove it (mux-socket-stale)
          rm /home/dave/.ssh/cm-c
      removed /home/dave/.ssh/cm-c
)");
}

TEST(MastersText, IsOneLineEachWhereThatIsAskedFor) {
  EXPECT_EQ(RenderMastersText(Example(), {.quiet = true, .ascii = true}),
            R"(x 2 multiplexing masters, 1 not answering, 1 dead control socket
+ gitlab-runner: /home/dave/.ssh/cm-a: pid 6192, 3 days old, 1 session attached
x unknown host at 10.0.0.6:22: /home/dave/.ssh/cm-b: does not answer; pid 17, in the foreground
! /home/dave/.ssh/cm-c: nobody listens on it
)");
}

TEST(MastersText, IsQuietWhereThereIsNone) {
  EXPECT_EQ(RenderMastersText({}, {}), "✓ no multiplexing master is running\n");
}

TEST(MastersText, IsHarmlessWhateverAPathHolds) {
  const std::string hostile = "\x1b]0;x\x07\nroot\xff";
  MasterList list = Repaired();
  for (ListedMaster& listed : list.masters) {
    listed.master.path += hostile;
    if (!listed.master.host.empty()) listed.master.host += hostile;
    listed.master.detail = hostile;
    listed.host_unknown += hostile;
    listed.peer = hostile;
    listed.master.forwardings = std::vector<std::string>{hostile};
    listed.not_examined += hostile;
    for (ReportedFinding& reported : listed.findings)
      reported.finding.summary = hostile;
  }
  list.repairs[0].record.detail = hostile;
  for (const bool verbose : {false, true}) {
    const std::string text = RenderMastersText(list, {.verbose = verbose});
    for (const char* bad : {"\x1b", "\x07", "\xff", "\nroot"})
      EXPECT_EQ(text.find(bad), std::string::npos) << text;
  }
  EXPECT_EQ(Parsed(list)["masters"][0]["detail"],
            "\x1b]0;x\x07\nroot\xef\xbf\xbd");
}

TEST(MastersJson, HoldsEverythingAndFitsTheSchema) {
  const auto json = Parsed(Example());
  EXPECT_EQ(json["command"], "masters");
  const auto& alive = json["masters"][0];
  EXPECT_EQ(alive["host"], "gitlab-runner");
  EXPECT_EQ(alive["peer"], "10.0.0.5:22");
  EXPECT_EQ(alive["state"], "alive");
  EXPECT_EQ(alive["pid"], 6192);
  EXPECT_EQ(alive["started"], "2026-11-18T10:00:00Z");
  EXPECT_EQ(alive["ageSeconds"], 3 * 86400);
  EXPECT_EQ(alive["sessions"], 1);
  EXPECT_EQ(alive["forwardings"][0], "127.0.0.1:8080");
  EXPECT_EQ(alive["newerConfig"][0]["path"], "/etc/ssh/ssh_config");
  EXPECT_FALSE(alive.contains("examined"));
  const auto& frozen = json["masters"][1];
  EXPECT_EQ(frozen["host"], nullptr);
  EXPECT_EQ(frozen["hostUnknown"], "no Host line leads there");
  EXPECT_EQ(frozen["started"], nullptr);
  EXPECT_EQ(frozen["findings"][0]["code"], "mux-master-unresponsive");
  EXPECT_FALSE(json.contains("repairs"));
}

TEST(MastersJson, HoldsTheRepairsOnlyWithFix) {
  const auto json = Parsed(Repaired());
  EXPECT_EQ(json["repairs"][0]["path"], "/home/dave/.ssh/cm-c");
  EXPECT_EQ(json["repairs"][0]["status"], "applied");
  EXPECT_EQ(json["masters"][0]["examined"]["status"], "pass");
  EXPECT_EQ(json["masters"][1]["examined"], nullptr);
  EXPECT_EQ(json["masters"][1]["notExamined"], "it does not answer");
}

TEST(MastersJson, IsNotTakenForValidWhenItIsNot) {
  auto json = Parsed(Repaired());
  json["repairs"][0].erase("path");
  EXPECT_NE(SchemaFaults(json), "");
  json = Parsed(Example());
  json["masters"][0]["state"] = "fine";
  EXPECT_NE(SchemaFaults(json), "");
}

TEST(MastersExitStatus, FollowsWhatIsWrong) {
  MasterList list = Example();
  EXPECT_EQ(ExitStatus(list, false), 1);
  list.masters = {Alive(), DeadSocket()};
  EXPECT_EQ(ExitStatus(list, false), 0);
  EXPECT_EQ(ExitStatus(list, true), 1);
  list.masters = {Alive()};
  EXPECT_EQ(ExitStatus(list, true), 0);
  list.masters[0].master.state = MasterState::kFailed;
  EXPECT_EQ(ExitStatus(list, true), 3);
  list.masters = {Alive()};
  list.masters[0].examined = CheckResult{.status = Status::kSkip};
  EXPECT_EQ(ExitStatus(list, false), 3);
  EXPECT_EQ(ExitStatus({.interrupted = true}, false), 3);
  EXPECT_EQ(ExitStatus(MasterList{}, true), 0);
}

}  // namespace
}  // namespace agentdoctor
