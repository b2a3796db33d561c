// Every code has a page, every page has the same shape, and what is embedded
// is what lies in docs/findings.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "agentdoctor/check.h"
#include "report/pages.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

const std::filesystem::path kFolder = AGENTDOCTOR_SOURCE_DIR "/docs/findings";

std::vector<std::string> Headings(const Page& page) {
  std::vector<std::string> headings;
  for (const std::string& line : SplitLines(page.text))
    if (line.starts_with("#")) headings.push_back(line);
  return headings;
}

/// The paragraph that begins at line \a at, as one line; \a at moves past it.
std::string Paragraph(const std::vector<std::string>& lines, std::size_t& at) {
  std::string text;
  for (; at < lines.size() && !lines[at].empty(); ++at)
    text += (text.empty() ? "" : " ") + lines[at];
  ++at;
  return text;
}

TEST(Catalogue, HasAPageForEveryCodeThatACheckReports) {
  for (const Check& check : AllChecks())
    for (const std::string_view code : check.codes)
      EXPECT_NE(FindPage(code), nullptr) << check.id << ": " << code;
}

TEST(Catalogue, HasNoPageThatNoCheckReports) {
  std::set<std::string_view> codes;
  for (const Check& check : AllChecks())
    codes.insert(check.codes.begin(), check.codes.end());
  for (const Page& page : AllPages())
    EXPECT_TRUE(codes.contains(page.code)) << page.code;
}

TEST(Catalogue, EmbedsEveryFileAsItIs) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    ++files;
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    const Page* page = FindPage(entry.path().stem().string());
    ASSERT_NE(page, nullptr) << entry.path();
    EXPECT_EQ(page->text, text.str());
  }
  EXPECT_EQ(files, AllPages().size());
}

TEST(Catalogue, FindsAPageByItsCodeOnly) {
  EXPECT_EQ(FindPage("no-such-code"), nullptr);
  EXPECT_EQ(FindPage(""), nullptr);
  EXPECT_EQ(FindPage("zzz"), nullptr);
  ASSERT_NE(FindPage("agent-empty"), nullptr);
  EXPECT_EQ(FindPage("agent-empty")->code, "agent-empty");
}

TEST(Catalogue, PagesAllHaveTheSameSections) {
  for (const Page& page : AllPages())
    EXPECT_EQ(Headings(page),
              (std::vector<std::string>{"# " + std::string(page.code),
                                        "## What it means", "## What proves it",
                                        "## How to fix it", "## See also"}))
        << page.code;
}

TEST(Catalogue, PagesBeginWithOneSentenceAndTheirPlace) {
  for (const Page& page : AllPages()) {
    const std::vector<std::string> lines = SplitLines(page.text);
    ASSERT_GT(lines.size(), 6u) << page.code;
    EXPECT_EQ(lines[1], "") << page.code;
    std::size_t at = 2;
    const std::string meaning = Paragraph(lines, at);
    EXPECT_EQ(FirstSentence(page), meaning);
    EXPECT_TRUE(meaning.ends_with(".")) << page.code;
    EXPECT_EQ(meaning.find(". "), std::string::npos) << page.code;
    const std::string place = Paragraph(lines, at);
    EXPECT_TRUE(place.starts_with("Stage: ")) << page.code;
    EXPECT_NE(place.find(". Severity: "), std::string::npos) << page.code;
    EXPECT_NE(place.find(". Fix: "), std::string::npos) << page.code;
  }
}

TEST(Catalogue, PagesFitATerminal) {
  for (const Page& page : AllPages())
    for (const std::string& line : SplitLines(page.text)) {
      EXPECT_LE(line.size(), 80u) << page.code << ": " << line;
      EXPECT_EQ(Harmless(line), line) << page.code;
    }
}

TEST(Catalogue, PagesNameOnlyCodesThatExist) {
  for (const Page& page : AllPages()) {
    std::string_view rest = page.text;
    while (rest.find('`') != std::string_view::npos) {
      rest.remove_prefix(rest.find('`') + 1);
      const std::string_view word = rest.substr(0, rest.find('`'));
      rest.remove_prefix(std::min(word.size() + 1, rest.size()));
      const bool code = word.starts_with("mux-") ||
                        word.starts_with("remote-") ||
                        word.starts_with("forward-agent-");
      EXPECT_TRUE(!code || FindPage(word) != nullptr)
          << page.code << ": " << word;
    }
  }
}

}  // namespace
}  // namespace agentdoctor
