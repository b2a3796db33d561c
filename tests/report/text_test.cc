#include "system/text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "report/render.h"
#include "report/samples.h"

namespace agentdoctor {
namespace {

std::string Expected(const std::string& name) {
  std::ifstream file(AGENTDOCTOR_SOURCE_DIR "/tests/report/data/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Every text an attacker may choose, hostile.
HostReport Hostile(const std::string& text) {
  HostReport host = StaleMaster();
  host.host = host.client_version = text;
  host.via = {text};
  host.root_cause->summary = text;
  for (CheckResult& check : host.checks) check.summary = text;
  Finding& finding = host.findings[0].finding;
  finding.summary = finding.explanation = text;
  finding.evidence = {{text, text, "", 0}, {text, text, text, 1}};
  finding.fixes[0].title = text;
  finding.fixes[0].commands = {{"ssh", text}};
  finding.fixes[0].shell_lines = {text};
  finding.fixes[0].edits = {{text, 3, text}};
  ReportedFinding other = host.findings[0];
  other.finding.code = "agent-elsewhere";
  other.consequence_of = text;
  host.findings.push_back(other);
  host.fix_requested = true;
  host.before = Before{host.verdict, host.root_cause};
  host.repairs = {
      {"code", text, {"ssh " + text}, RepairStatus::kApplied, text}};
  return host;
}

TEST(TextReport, SaysWhatIsBrokenAndWhatToDo) {
  EXPECT_EQ(RenderText(ReportOf({StaleMaster()}), {}),
            Expected("stale_master.txt"));
}

TEST(TextReport, ShowsARepairWithTheStateBeforeAndAfter) {
  EXPECT_EQ(RenderText(ReportOf({RepairedMaster()}), {}),
            Expected("repaired.txt"));
}

TEST(TextReport, SaysWhatADryRunWouldDo) {
  HostReport host = StaleMaster();
  host.fix_requested = true;
  host.before = Before{host.verdict, host.root_cause};
  host.repairs = RepairedMaster().repairs;
  host.repairs[0].status = RepairStatus::kPlanned;
  host.repairs[0].detail.clear();
  EXPECT_EQ(RenderText(ReportOf({host}), {}), Expected("dry_run.txt"));
}

TEST(TextReport, BeginsWithALineForEachOfSeveralHosts) {
  EXPECT_EQ(RenderText(ReportOf({HealthyHost(), StaleMaster(), DegradedHost(),
                                 UnreachableHost()}),
                       {}),
            Expected("several.txt"));
}

TEST(TextReport, ShowsEverythingWhenAskedTo) {
  EXPECT_EQ(RenderText(ReportOf({DegradedHost()}), {.verbose = true}),
            Expected("verbose.txt"));
}

TEST(TextReport, IsOneLineForEachHostWhenQuiet) {
  EXPECT_EQ(
      RenderText(ReportOf({HealthyHost(), StaleMaster()}), {.quiet = true}),
      "✓ web01: works\n"
      "✗ gitlab-runner: does not work: the running master connection "
      "(pid 6192, 3 days old) forwards no agent "
      "(mux-master-without-forwarding)\n");
}

TEST(TextReport, DoesWithoutUtf8InAnotherLocale) {
  const std::string text =
      RenderText(ReportOf({HealthyHost(), StaleMaster(), DegradedHost(),
                           UnreachableHost(), RepairedMaster()}),
                 {.verbose = true, .ascii = true});
  EXPECT_TRUE(std::ranges::all_of(text, [](char c) { return (c & 0x80) == 0; }))
      << text;
  EXPECT_NE(text.find("x agent forwarding to gitlab-runner"),
            std::string::npos);
  EXPECT_NE(text.find("  > x FAIL  sharing"), std::string::npos) << text;
}

TEST(TextReport, IsTheSameTextInColour) {
  const Report report = ReportOf({StaleMaster(), DegradedHost()});
  std::string text = RenderText(report, {.colour = true});
  EXPECT_NE(text.find("\x1b["), std::string::npos);
  for (std::size_t at = 0; (at = text.find("\x1b[")) != std::string::npos;)
    text.erase(at, text.find('m', at) + 1 - at);
  EXPECT_EQ(text, RenderText(report, {}));
}

TEST(TextReport, HasNoEscapeSequenceWithoutColour) {
  EXPECT_EQ(RenderText(ReportOf({StaleMaster()}), {}).find('\x1b'),
            std::string::npos);
}

TEST(TextReport, LetsNoControlCharacterThrough) {
  for (const std::string hostile :
       {"\x1b[2J\x1b]0;owned\x07", "a\r\nb\nc", "back\b\b\bspace",
        "\xc2\x9b"
        "31m",
        "\xe2\x80\xae"
        "gnp",
        "\xff\xfe\x80", "\x7f"}) {
    for (const bool verbose : {false, true}) {
      const std::string text = RenderText(
          ReportOf({Hostile(hostile), Hostile(hostile)}), {.verbose = verbose});
      for (const std::string& line : SplitLines(text))
        EXPECT_EQ(Harmless(line), line);
    }
    const std::string quiet =
        RenderText(ReportOf({Hostile(hostile)}), {.quiet = true});
    EXPECT_EQ(SplitLines(quiet).size(), 1u);
  }
}

TEST(TextReport, KeepsProseWithinTheColumns) {
  for (const std::size_t columns : {60u, 80u, 120u}) {
    const std::string text = RenderText(
        ReportOf({StaleMaster(), DegradedHost()}), {.columns = columns});
    for (const std::string& line : SplitLines(text)) {
      const auto width = std::ranges::count_if(
          line, [](char c) { return (c & 0xC0) != 0x80; });
      EXPECT_LE(static_cast<std::size_t>(width), columns) << line;
    }
  }
}

TEST(TextReport, NeverBreaksACommand) {
  HostReport host = StaleMaster();
  const std::string path = "/home/dave/" + std::string(90, 'x');
  host.findings[0].finding.fixes[0].commands = {
      {"ssh", "-F", path, "-o", "ControlMaster=no", "-O", "stop", "a host"}};
  const std::string text = RenderText(ReportOf({host}), {.columns = 60});
  EXPECT_NE(text.find("        ssh -F " + path +
                      " -o ControlMaster=no -O stop 'a host'\n"),
            std::string::npos)
      << text;
}

TEST(TextReport, BoundsTheEvidenceItShows) {
  HostReport host = StaleMaster();
  auto& evidence = host.findings[0].finding.evidence;
  evidence.assign(50, {"ssh -v", std::string(5000, 'x'), "", 0});
  EXPECT_LT(RenderText(ReportOf({host}), {}).size(), 10000u);
  EXPECT_GT(RenderText(ReportOf({host}), {.verbose = true}).size(), 250000u);
}

TEST(TextReport, NamesTheHostsOnTheWay) {
  HostReport host = HealthyHost();
  host.via = {"a", "b"};
  EXPECT_EQ(SplitLines(RenderText(ReportOf({host}), {}))[0],
            "✓ agent forwarding to web01 through a, b works");
}

}  // namespace
}  // namespace agentdoctor
