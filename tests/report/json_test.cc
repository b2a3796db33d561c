#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "report/render.h"
#include "report/samples.h"
#include "report/version.h"
#include "schema.h"

namespace agentdoctor {
namespace {

using Json = nlohmann::json;

Json Render(const Report& report) {
  const Json json = Json::parse(RenderJson(report));
  EXPECT_EQ(SchemaFaults(json), "");
  return json;
}

TEST(JsonReport, IsTheDocumentedOne) {
  std::ifstream file(AGENTDOCTOR_SOURCE_DIR
                     "/tests/report/data/stale_master.json");
  std::stringstream expected;
  expected << file.rdbuf();
  EXPECT_EQ(RenderJson(ReportOf({StaleMaster()})), expected.str());
}

TEST(JsonReport, IsValidForEveryVerdict) {
  const Json json =
      Render(ReportOf({HealthyHost(), DegradedHost(), StaleMaster(),
                       UnreachableHost(), RepairedMaster()}));
  EXPECT_EQ(json["summary"], (Json{{"healthy", 2},
                                   {"degraded", 1},
                                   {"broken", 1},
                                   {"undetermined", 1}}));
  EXPECT_EQ(json["hosts"][0]["rootCause"], nullptr);
  EXPECT_EQ(json["hosts"][3]["rootCause"]["code"], "connection-timeout");
  EXPECT_EQ(json["tool"]["version"], kVersion);
}

TEST(JsonReport, IsValidWithoutHosts) {
  EXPECT_EQ(Render(ReportOf({}))["hosts"], Json::array());
}

TEST(JsonReport, HasTheStateBeforeAndTheRepairsOnlyWithFix) {
  Json host = Render(ReportOf({StaleMaster()}))["hosts"][0];
  EXPECT_FALSE(host.contains("before"));
  EXPECT_FALSE(host.contains("repairs"));

  host = Render(ReportOf({RepairedMaster()}))["hosts"][0];
  EXPECT_EQ(host["verdict"], "healthy");
  EXPECT_EQ(host["before"]["verdict"], "broken");
  EXPECT_EQ(host["before"]["rootCause"]["code"],
            "mux-master-without-forwarding");
  EXPECT_EQ(host["repairs"][0]["status"], "applied");
  EXPECT_EQ(host["repairs"][0]["commands"],
            Json::array({"ssh -O stop gitlab-runner"}));
}

TEST(JsonReport, SaysThatNothingHadToBeRepaired) {
  HostReport healthy = HealthyHost();
  healthy.fix_requested = true;
  const Json host = Render(ReportOf({healthy}))["hosts"][0];
  EXPECT_EQ(host["before"]["verdict"], "healthy");
  EXPECT_EQ(host["repairs"], Json::array());
}

TEST(JsonReport, NamesAPlaceOnlyWhereThereIsOne) {
  const Json finding =
      Render(ReportOf({StaleMaster()}))["hosts"][0]["findings"][0];
  EXPECT_FALSE(finding["evidence"][0].contains("file"));
  EXPECT_FALSE(finding["evidence"][0].contains("line"));
  EXPECT_EQ(finding["evidence"][1]["file"], "/home/dave/.ssh/config");
  EXPECT_EQ(finding["evidence"][1]["line"], 6);
  EXPECT_EQ(finding["consequenceOf"], nullptr);
  EXPECT_EQ(finding["docs"], "docs/findings/mux-master-without-forwarding.md");
}

TEST(JsonReport, QuotesCommandsForAShell) {
  HostReport host = StaleMaster();
  Fix& fix = host.findings[0].finding.fixes[0];
  fix.commands = {{"ssh-add", "my key; rm -rf ~"}};
  fix.shell_lines = {"eval \"$(ssh-agent -s)\""};
  fix.edits = {{"/home/dave/.ssh/config", 0, "Host a\n    ForwardAgent yes\n"}};
  const Json json =
      Render(ReportOf({host}))["hosts"][0]["findings"][0]["fixes"][0];
  EXPECT_EQ(json["commands"], Json::array({"ssh-add 'my key; rm -rf ~'",
                                           "eval \"$(ssh-agent -s)\""}));
  EXPECT_EQ(json["edits"][0], (Json{{"file", "/home/dave/.ssh/config"},
                                    {"line", 0},
                                    {"text", "Host a\n    ForwardAgent yes\n"},
                                    {"replaces", false}}));
}

TEST(JsonReport, KeepsHostileTextVerbatim) {
  HostReport host = StaleMaster();
  const std::string hostile("\x1b[2J\r\n\0\"\\", 9);
  host.findings[0].finding.evidence[0].text = hostile;
  const std::string text = RenderJson(ReportOf({host}));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  const Json json = Render(ReportOf({host}));
  EXPECT_EQ(json["hosts"][0]["findings"][0]["evidence"][0]["text"], hostile);
}

TEST(JsonReport, ReplacesInvalidUtf8) {
  HostReport host = StaleMaster();
  host.host =
      "a\xff"
      "b\xc3";
  EXPECT_EQ(Render(ReportOf({host}))["hosts"][0]["host"],
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd");
}

TEST(JsonReport, IsNotTakenForValidWhenItIsNot) {
  Json json = Render(ReportOf({RepairedMaster()}));
  json["hosts"][0]["verdict"] = "fine";
  json["hosts"][0].erase("repairs");
  EXPECT_NE(SchemaFaults(json), "");
  json = Render(ReportOf({StaleMaster()}));
  json["hosts"][0]["findings"][0]["evidence"][1]["line"] = 0;
  EXPECT_NE(SchemaFaults(json), "");
}

TEST(Timestamp, IsUtcInIso8601) {
  EXPECT_EQ(Timestamp(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(Timestamp(1795255200), "2026-11-21T10:00:00Z");
}

}  // namespace
}  // namespace agentdoctor
