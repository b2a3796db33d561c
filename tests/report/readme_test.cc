// What the README shows is what the program says.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

namespace agentdoctor {
namespace {

std::string Text(const std::string& path) {
  std::ifstream file(AGENTDOCTOR_SOURCE_DIR "/" + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Readme, ShowsTheReportOfARecordedRun) {
  const std::string report =
      Text("tests/cases/mux-master-without-forwarding/report.txt");
  EXPECT_NE(
      Text("README.md")
          .find("```\n$ agentdoctor run gitlab-runner\n" + report + "```\n"),
      std::string::npos)
      << "to go between ``` and ```:\n"
      << report;
}

}  // namespace
}  // namespace agentdoctor
