// Recorded runs and what comes of them: tests/cases/NAME holds the facts of a
// run (facts.json, as `--record` writes them), and the reports of those facts
// (report.txt, report.json).  With AGENTDOCTOR_UPDATE_CASES=1 in the
// environment the reports are written anew; read the difference.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "agentdoctor/check.h"
#include "facts_json.h"
#include "report/render.h"
#include "run.h"
#include "schema.h"

namespace agentdoctor {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

std::string Text(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string Folder(const std::string& name) {
  return AGENTDOCTOR_SOURCE_DIR "/tests/cases/" + name;
}

Report ReportOf(const std::string& name) {
  const std::string file = Folder(name) + "/facts.json";
  return MakeReport(ReadRecording(Text(file), file), {});
}

std::vector<std::string> Names() {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(Folder("")))
    names.insert(entry.path().filename());
  return {names.begin(), names.end()};
}

/// Compares with what the file holds, or writes the file.
void Expect(const std::string& file, const std::string& text) {
  const char* update = std::getenv("AGENTDOCTOR_UPDATE_CASES");
  if (update && std::string(update) == "1") std::ofstream(file) << text;
  EXPECT_EQ(Text(file), text)
      << file << " is not what the program says; if the program is right, run "
      << "the tests once with AGENTDOCTOR_UPDATE_CASES=1";
}

class Case : public testing::TestWithParam<std::string> {};

TEST_P(Case, HasTheRecordedReport) {
  const Report report = ReportOf(GetParam());
  Expect(Folder(GetParam()) + "/report.txt", RenderText(report, {}));
  const std::string json = RenderJson(report);
  Expect(Folder(GetParam()) + "/report.json", json);
  EXPECT_EQ(SchemaFaults(Json::parse(json)), "");
}

INSTANTIATE_TEST_SUITE_P(Recorded, Case, testing::ValuesIn(Names()),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           for (char& c : name)
                             if (c == '-') c = '_';
                           return name;
                         });

TEST(Cases, ThatAreCalledHealthyAreQuiet) {
  for (const std::string& name : Names()) {
    if (!name.starts_with("healthy")) continue;
    for (const HostReport& host : ReportOf(name).hosts) {
      EXPECT_EQ(host.verdict, Verdict::kHealthy) << name;
      for (const ReportedFinding& reported : host.findings)
        EXPECT_EQ(reported.finding.severity, Severity::kInfo)
            << name << ": " << reported.finding.code;
      for (const CheckResult& check : host.checks)
        EXPECT_EQ(check.status, Status::kPass) << name << ": " << check.id;
    }
  }
}

TEST(Cases, HoldNothingThatARecordingDoesNot) {
  for (const std::string& name : Names()) {
    const std::string file = Folder(name) + "/facts.json";
    const std::string text = Text(file);
    EXPECT_EQ(Json::parse(text),
              Json::parse(WriteRecording(ReadRecording(text, file))))
        << name;
  }
}

TEST(Cases, AreNamedAfterWhatTheyShow) {
  for (const std::string& name : Names()) {
    std::set<std::string> codes;
    for (const HostReport& host : ReportOf(name).hosts) {
      for (const ReportedFinding& reported : host.findings)
        codes.insert(reported.finding.code);
      if (host.before && host.before->root_cause)
        codes.insert(host.before->root_cause->code);
    }
    std::string named;  // the longest code that the name begins with
    for (const Check& check : AllChecks())
      for (const std::string_view code : check.codes)
        if ((name + "-").starts_with(std::string(code) + "-") &&
            code.size() > named.size())
          named = code;
    if (named.empty()) continue;
    EXPECT_TRUE(codes.contains(named)) << name;
  }
}

TEST(Cases, ThatAreHealthyInThePlainWayHaveNoFinding) {
  for (const char* name : {"healthy", "healthy-through-master",
                           "healthy-jump-host", "healthy-mac-configuration"})
    for (const HostReport& host : ReportOf(name).hosts)
      EXPECT_TRUE(host.findings.empty()) << name;
}

TEST(Cases, ShowEveryCode) {
  std::set<std::string> shown;
  for (const std::string& name : Names())
    for (const HostReport& host : ReportOf(name).hosts)
      for (const ReportedFinding& reported : host.findings)
        shown.insert(reported.finding.code);
  for (const Check& check : AllChecks())
    for (const std::string_view code : check.codes)
      EXPECT_TRUE(shown.contains(std::string(code))) << code;
}

}  // namespace
}  // namespace agentdoctor
