#include "system/text.h"

#include <gtest/gtest.h>

#include "system/process.h"

namespace agentdoctor {
namespace {

TEST(TextTest, LeavesOrdinaryTextAlone) {
  EXPECT_EQ(Harmless("plain text, \xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91"),
            "plain text, \xc3\xa4\xe2\x82\xac\xf0\x9f\x94\x91");
}

TEST(TextTest, ShowsControlCharactersInsteadOfSendingThem) {
  EXPECT_EQ(Harmless("\x1b[31mred\a\x7f"), "\\x1b[31mred\\x07\\x7f");
  EXPECT_EQ(Harmless(std::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(Harmless("one\r\ntwo\tthree\r"), "one two three\\x0d");
  // C1, as a terminal would take it: CSI in UTF-8, and as a bare byte.
  EXPECT_EQ(Harmless("\xc2\x9b"), "\\u009b");
  EXPECT_EQ(Harmless("\x9b"), "\\x9b");
}

TEST(TextTest, ShowsWhatWouldReorderALine) {
  EXPECT_EQ(Harmless("\xe2\x80\xaetxt"), "\\u202etxt");
  EXPECT_EQ(Harmless("\xe2\x81\xa6\xe2\x81\xa9"), "\\u2066\\u2069");
  EXPECT_EQ(Harmless("\xe2\x80\xa8\xe2\x80\xa9"), "\\u2028\\u2029");
}

TEST(TextTest, ShowsWhatIsNoUtf8) {
  EXPECT_EQ(Harmless("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");  // overlong "/"
  EXPECT_EQ(Harmless("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(Harmless("\xe2\x82"), "\\xe2\\x82");           // cut off
  EXPECT_EQ(Harmless("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
}

TEST(TextTest, ReplacesWhatIsNoUtf8ByteByByte) {
  EXPECT_EQ(ValidUtf8("a\xff\x1b"), "a\xef\xbf\xbd\x1b");
  EXPECT_EQ(ValidUtf8("\xe2\x82"), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(ValidUtf8("\xe2\x82\xac"), "\xe2\x82\xac");
}

TEST(TextTest, LeavesTheMiddleOut) {
  EXPECT_EQ(Elide("/very/long/path", 20), "/very/long/path");
  EXPECT_EQ(Elide("0123456789", 5),
            "01\xe2\x80\xa6"
            "89");
  EXPECT_EQ(Elide("\xc3\xa4\xc3\xb6\xc3\xbc", 3), "\xc3\xa4\xc3\xb6\xc3\xbc");
  EXPECT_EQ(Elide("\xc3\xa4\xc3\xb6\xc3\xbc", 2), "\xc3\xa4\xe2\x80\xa6");
  EXPECT_EQ(Elide("abc", 0), "");
}

TEST(TextTest, QuotesForAShellOnlyWhatNeedsIt) {
  EXPECT_EQ(ShellQuote("-oForwardAgent=no"), "-oForwardAgent=no");
  EXPECT_EQ(ShellQuote("dave@host:/a/b-c_d.e,f+g%h"),
            "dave@host:/a/b-c_d.e,f+g%h");
  EXPECT_EQ(ShellQuote(""), "''");
  EXPECT_EQ(ShellQuote("a b"), "'a b'");
  EXPECT_EQ(ShellQuote("it's"), "'it'\\''s'");
  EXPECT_EQ(ShellQuote("~/x"), "'~/x'");
  EXPECT_EQ(ShellQuote("=ls"), "'=ls'");
  EXPECT_EQ(ShellQuote({"ssh", "-S", "/a b/c", "x"}), "ssh -S '/a b/c' x");
}

TEST(TextTest, GivesEveryWordBackThroughARealShell) {
  std::string all;
  for (int c = 1; c < 256; ++c) all += static_cast<char>(c);
  for (const std::string& word :
       {all, std::string("'"), std::string("\\"), std::string("$(id)`id`"),
        std::string("-n"), std::string("!!"), std::string("\n")}) {
    const ProcessResult result = agentdoctor::Run(
        {.argv = {"sh", "-c", "printf %s " + ShellQuote(word)}});
    EXPECT_EQ(result.out, word);
  }
}

TEST(TextTest, SplitsLinesWhateverTheirEnds) {
  EXPECT_EQ(SplitLines("a\nb\r\n\nc"),
            (std::vector<std::string>{"a", "b", "", "c"}));
  EXPECT_EQ(SplitLines("a\n"), std::vector<std::string>{"a"});
  EXPECT_TRUE(SplitLines("").empty());
}

TEST(TextTest, TrimsAndLowers) {
  EXPECT_EQ(Trim(" \t a b \r\n"), "a b");
  EXPECT_EQ(Trim("  "), "");
  EXPECT_EQ(Lower("ForwardAgent"), "forwardagent");
}

TEST(TextTest, SaysDurationsInTheirLargestUnit) {
  EXPECT_EQ(Duration(0), "0 seconds");
  EXPECT_EQ(Duration(-5), "0 seconds");
  EXPECT_EQ(Duration(1), "1 second");
  EXPECT_EQ(Duration(59), "59 seconds");
  EXPECT_EQ(Duration(300), "5 minutes");
  EXPECT_EQ(Duration(3600), "1 hour");
  EXPECT_EQ(Duration(3 * 86400 + 7), "3 days");
}

}  // namespace
}  // namespace agentdoctor
