#include "probes/shrink.h"

#include <gtest/gtest.h>

#include <set>

#include "probes/records.h"
#include "system/process.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::string_view kProbe =
#include "probe.inc"
    ;
constexpr std::string_view kNextHop =
#include "next_hop.inc"
    ;

TEST(Shrink, RenamesWhatIsOurs) {
  EXPECT_EQ(Shrink("# Why.\n"
                   "first() {\n"
                   "  value=$1 rest=\n"
                   "  for file in \"$HOME\"/first; do\n"
                   "    second \"$value ${value#*=} ${#file} $other\"\n"
                   "  done\n"
                   "}\n"
                   "\n"
                   "second() {\n"
                   "  printf \"first value=%s\" \"$1\" >&2\n"
                   "}\n"
                   "first \"\\$value\" -o value=1\n"),
            "b(){ a=$1 c=;for b in \"$HOME\"/first;do a \"$a ${a#*=} ${#b} "
            "$other\";done;};a(){ printf \"first value=%s\" \"$1\">&2;};"
            "b \"\\$value\" -o value=1");
}

TEST(Shrink, KnowsWhereACommandEnds) {
  EXPECT_EQ(Shrink("case $1 in\n"
                   "  a|b) one ;;\n"
                   "  c)\n"
                   "    two\n"
                   "    three ;;\n"
                   "  *) ;;\n"
                   "esac\n"
                   "if a; then b; else\n"
                   "  c\n"
                   "fi\n"
                   "while read -r line rest; do\n"
                   "  echo $line 2 >x\n"
                   "done </dev/null &\n"
                   "(d) | {\n"
                   "  e\n"
                   "} && f ||\n"
                   "  g\n"),
            "case $1 in a|b)one;;c)two;three;;*);;esac;if a;then b;else c;fi;"
            "while read -r a b;do echo $a 2 >x;done</dev/null&(d)|{ e;}&&f||g");
}

TEST(Shrink, LooksIntoSubstitutions) {
  EXPECT_EQ(Shrink("ask() {\n"
                   "  answer=$(ask \"$1\" 2>&1; printf \"%s\" $?)\n"
                   "  eval \"answer=\\$$answer\"\n"
                   "  echo $(($answer + 1)) \"$(ask $answer)\" $(ask x) y\n"
                   "  IFS=, read -r first <&5\n"
                   "}\n"),
            "a(){ a=$(a \"$1\" 2>&1;printf \"%s\" $?);eval \"a=\\$$a\";echo "
            "$(($a + 1)) \"$(a $a)\" $(a x) y;IFS=, read -r b<&5;}");
}

TEST(Shrink, UsesEveryNameOnce) {
  std::string script;
  for (int i = 0; i < 120; ++i)
    script += "name" + std::to_string(i) + "=" + std::to_string(i) + "\n";
  std::set<std::string> names;
  const std::string shrunk = Shrink(script + "b=$r\n");
  for (std::size_t at = 0; at < shrunk.size();) {
    const std::size_t equals = shrunk.find('=', at);
    names.insert(shrunk.substr(at, equals - at));
    at = std::min(shrunk.find(';', equals), shrunk.size() - 1) + 1;
  }
  EXPECT_EQ(names.size(), 121U);
  // Not the one that somebody else sets.
  EXPECT_FALSE(names.contains("r"));
}

/// What a shell does with a script, with these variables set before.
std::string Answer(const std::string& script, const std::string& shell,
                   bool crowded) {
  Command command{.argv = {shell, "-c", "r=x\n" + script},
                  .environment = {{"SSH_AUTH_SOCK", "/nowhere/at all"},
                                  {"SSH_CONNECTION", "10.0.0.1 5 10.0.0.2 22"},
                                  {"DOCKER_HOST", "none"}},
                  .total_limit = Milliseconds(60'000)};
  // An environment that has the very names.
  for (char c = 'a'; crowded && c <= 'z'; ++c) {
    const auto upper = static_cast<char>(c - 'a' + 'A');
    for (const std::string end : {"", "0", "1"}) {
      if (c != 'r' || !end.empty())
        command.environment.emplace_back(c + end, "/junk");
      command.environment.emplace_back(upper + end, "/junk");
    }
  }
  const ProcessResult result = Run(command);
  EXPECT_EQ(result.end, ProcessEnd::kExited) << result.error;
  const std::string begin = "\nagentdoctor-x-begin\n";
  const std::string end = "\nagentdoctor-x-end\n";
  if (!result.out.starts_with(begin) || !result.out.ends_with(end))
    return "no markers: " + result.out;
  // What is different each time: processes.
  std::string text;
  const auto records = ReadRecords(result.out.substr(
      begin.size(), result.out.size() - begin.size() - end.size()));
  if (!records.known()) return records.reason();
  for (const auto& [key, value] : *records) {
    if (key != "self" && key != "ancestors" && key != "agent" && key != "kind")
      text += key + "=" + value + "\n";
    // Behind it stand the agents of whatever else runs.
    if (key == "context") break;
  }
  return text;
}

// The scripts themselves: shrunk or not, they say the same.
TEST(Shrink, DoesNotChangeTheProbe) {
  for (const std::string name : {"sh", "bash", "ksh", "mksh"}) {
    const std::string shell = FindProgram(name);
    if (shell.empty()) continue;
    const std::string plain = Answer(std::string(kProbe), shell, false);
    EXPECT_NE(plain.find("SSH_AUTH_SOCK=+/nowhere/at all\n"), std::string::npos)
        << plain;
    EXPECT_EQ(Answer(Shrink(kProbe), shell, false), plain) << name;
    EXPECT_EQ(Answer(Shrink(kProbe), shell, true), plain) << name;
  }
}

TEST(Shrink, LeavesNoLongNameBehind) {
  for (const std::string& script :
       {Shrink(kProbe), Shrink(std::string(kProbe) + std::string(kNextHop))}) {
    for (const std::string_view name :
         {"connection_sockets", "screen_pids", "everything", "at_once",
          "look_at", "startup_lines", "put_answer"})
      EXPECT_EQ(script.find(name), std::string::npos) << name;
    EXPECT_EQ(script.find('\n'), std::string::npos);
  }
}

}  // namespace
}  // namespace agentdoctor
