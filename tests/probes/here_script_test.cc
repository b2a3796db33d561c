#include "probes/here_script.h"

#include <gtest/gtest.h>

#include "system/text.h"

namespace agentdoctor {
namespace {

TEST(HereScript, IsOneCommandThatCanBePasted) {
  const std::string script = HereScript();
  ASSERT_TRUE(script.starts_with("sh -c '"));
  ASSERT_TRUE(script.ends_with("here\n'\n"));
  const std::string inside = script.substr(7, script.size() - 9);
  // Nothing that a shell would take for the end, for its history or, as fish
  // does, for another character.
  EXPECT_EQ(inside.find('\''), std::string::npos);
  EXPECT_EQ(inside.find('!'), std::string::npos);
  EXPECT_EQ(inside.find("\\\\"), std::string::npos);
  // Nor does a comment stay, which zsh takes from files only, nor a line that
  // is longer than a terminal takes.
  for (const std::string& line : SplitLines(inside)) {
    EXPECT_FALSE(Trim(line).starts_with('#')) << line;
    EXPECT_LT(line.size(), 4000u) << line;
  }
  // The markers are those of a probe that somebody waits for.
  EXPECT_EQ(inside.find("agentdoctor-%s"), std::string::npos);
}

}  // namespace
}  // namespace agentdoctor
