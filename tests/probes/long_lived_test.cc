#include "probes/long_lived.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace agentdoctor {
namespace {

// What the lines say on a side where `alive` answers, and `dead` is missing.
Side Read(const std::string& lines, const ProbeProcess& probe = {}) {
  Side side;
  side.agents = {{.path = "/alive", .state = AgentState::kAnswered},
                 {.path = "/dead", .state = AgentState::kMissing},
                 {.path = "/gone", .state = AgentState::kRefused}};
  ReadLongLived(lines + ".", probe, side);
  return side;
}

std::vector<std::string> Holders(const Side& side) {
  std::vector<std::string> texts;
  for (const Holder& holder : side.long_lived->holders) {
    std::string text = std::string(1, "tTsecp"[static_cast<int>(holder.kind)]);
    text += " " + holder.name + " " + holder.server + " " +
            (holder.auth_sock ? *holder.auth_sock : "-");
    if (holder.pid) text += " " + std::to_string(*holder.pid);
    if (holder.since) text += " @" + std::to_string(*holder.since);
    if (!holder.destination.empty()) text += " > " + holder.destination;
    if (holder.replaced) text += " replaced";
    if (holder.count > 1) text += " x" + std::to_string(holder.count);
    texts.push_back(text);
  }
  return texts;
}

using Texts = std::vector<std::string>;

TEST(LongLived, IsEmptyWhereThereIsNothing) {
  const Side side = Read("=0 0\n");
  EXPECT_EQ(side.long_lived.value(), LongLived{});
}

TEST(LongLived, TellsTmuxsGlobalValueFromASessionsOwn) {
  const Side side = Read(
      "T/tmp/tmux-1000/default\n"
      "t+$2:2000:77:own:/alive\n"
      "t+$0:1000:77:inherits:/dead\n"
      "t+$3:3000:77:removed:\n"
      "tSSH_AUTH_SOCK=/dead\n"
      "t=0\n");
  EXPECT_EQ(Holders(side),
            (Texts{"t  /tmp/tmux-1000/default /dead 77 @1000",
                   "T inherits /tmp/tmux-1000/default /dead 77 @1000",
                   "T own /tmp/tmux-1000/default /alive 77 @2000",
                   "T removed /tmp/tmux-1000/default - 77 @3000"}));
}

TEST(LongLived, ReadsATmuxWithoutAGlobalValue) {
  EXPECT_EQ(Holders(Read("T/t\nt+$0:1:77:none:\nt+$1:2:77:own:/dead\n"
                         "tunknown variable: SSH_AUTH_SOCK\nt=1\n")),
            (Texts{"T own /t /dead 77 @2"}));
  EXPECT_EQ(Holders(Read("T/t\nt+$0:1:77:a:\nt-SSH_AUTH_SOCK\nt=0\n")),
            (Texts{"t  /t - 77 @1"}));
}

TEST(LongLived, KeepsWhatTmuxSaysOfHostileValues) {
  const Side side = Read(
      "T/t\nt+$0:1:7:a\\033[31m b:/x\nt+T/fake\nttail\nt+$1:2:7:\xff:/y:z\n"
      "tSSH_AUTH_SOCK=/g\nt=1x\nt=0\n");
  EXPECT_EQ(Holders(side),
            (Texts{"t  /t /g 7 @1", "T a\\033[31m b /t /x\n+T/fake\ntail 7 @1",
                   "T \xff /t /y:z 7 @2"}));
}

TEST(LongLived, SaysWhichTmuxWasNotSeen) {
  const auto not_seen = [](const std::string& lines) {
    return Read("=0 \nT/t\n" + lines).long_lived->not_seen;
  };
  EXPECT_EQ(not_seen("t=137\n"), Texts{"tmux at /t did not answer within 2 s"});
  EXPECT_EQ(
      not_seen("tprotocol version mismatch (client 8, server 7)\nt=1\n"),
      Texts{"tmux at /t: protocol version mismatch (client 8, server 7)"});
  EXPECT_EQ(not_seen("t-$0:1::a:\ntSSH_AUTH_SOCK=/dead\nt=0\n"),
            Texts{"tmux at /t is older than 2.1: the environments of its "
                  "sessions"});
  // What nobody listens on is no server.
  EXPECT_EQ(not_seen("tno server running on /t\nt=1\n"), Texts{});
  EXPECT_EQ(not_seen("terror connecting to /t (Connection refused)\nt=1\n"),
            Texts{});
}

const std::string kScreens = "S+/run/screen/S-dave/40.pts-0.host\n=0 \nb1000\n";

TEST(LongLived, TakesAScreensOwnValue) {
  EXPECT_EQ(Holders(Read(kScreens + "vSSH_AUTH_SOCK=/dead\np40 41\n"
                                    "i1 500 40 (screen)\ni40 600 41 (vi)\n")),
            (Texts{"s 40.pts-0.host  /dead 40 @1005", "p vi  /dead 41 @1006"}));
}

TEST(LongLived, TakesAScreenForRepairedIfItsYoungestWindowIs) {
  const std::string processes =
      "vSSH_AUTH_SOCK=/dead\np40 42\nvSSH_AUTH_SOCK=/alive\np41\n";
  EXPECT_EQ(
      Holders(Read(kScreens + processes +
                   "i1 500 40 (screen)\ni40 900 41 (sh)\ni40 600 42 (sh)\n"))
          .front(),
      "s 40.pts-0.host  /alive 40 @1005");
  EXPECT_EQ(
      Holders(Read(kScreens + processes +
                   "i1 500 40 (screen)\ni40 600 41 (sh)\ni40 900 42 (sh)\n"))
          .front(),
      "s 40.pts-0.host  /dead 40 @1005");
}

TEST(LongLived, AsksTheWindowsOfAScreenThatMayNotBeRead) {
  const std::string socket = "S-/run/screen/S-dave/40.a b\n=0 \n";
  EXPECT_EQ(Holders(Read(socket + "vSSH_AUTH_SOCK=/dead\np41\n"
                                  "i1 500 40 (screen)\ni40 600 41 (sh)\n"))
                .front(),
            "s 40.a b  /dead 40");
  const Side side = Read(socket + "i1 500 40 (screen)\n");
  EXPECT_TRUE(side.long_lived->holders.empty());
  EXPECT_EQ(side.long_lived->not_seen,
            Texts{"screen 40.a b: its environment can not be read"});
}

TEST(LongLived, LeavesOutADeadScreen) {
  // Its number belongs to another program by now.
  EXPECT_TRUE(Holders(Read(kScreens + "i1 500 40 (cat)\n")).empty());
  EXPECT_TRUE(Holders(Read(kScreens)).empty());
}

TEST(LongLived, GroupsDeadProcessesByProgramAndSocket) {
  const Side side = Read(
      "=0 0\nb1000\nvSSH_AUTH_SOCK=/alive\np1\nvSSH_AUTH_SOCK=/dead\n"
      "p10 11 12 13\nvSSH_AUTH_SOCK=/gone\np14 15\n"
      "i0 1 1 (bash)\ni1 900 10 (bash)\ni1 300 11 (bash)\ni1 600 12 (a) b\1()\n"
      "i1 100 14 (bash)\ni1 100 15 (tmux: server)\n");
  EXPECT_EQ(Holders(side),
            (Texts{"p bash  /gone 14 @1001", "p bash  /dead 11 @1003 x2",
                   "p a) b\n(  /dead 12 @1006"}));
}

TEST(LongLived, LeavesItselfOut) {
  const Side side = Read(
      "=0 0\nvSSH_AUTH_SOCK=/dead\np5 6 7 8 9\n"
      "i1 1 5 (sshd)\ni5 1 6 (bash)\ni6 1 7 (sh)\ni7 1 8 (sh)\ni8 1 9 (grep)\n",
      {.self = "7", .ancestors = "6+bash\n5-sshd\n"});
  EXPECT_TRUE(Holders(side).empty());
  ASSERT_EQ(side.ancestors.size(), 2U);
  EXPECT_EQ(side.ancestors[0].pid, 6);
  EXPECT_EQ(side.ancestors[0].name, "bash");
  EXPECT_EQ(side.ancestors[0].auth_sock.value(), "/dead");
}

TEST(LongLived, SaysWhatIsKnownOfAncestors) {
  const Side side =
      Read("=0 0\n", {.self = "9", .ancestors = "8+tmux: server\n7-sudo\nx\n"});
  ASSERT_EQ(side.ancestors.size(), 2U);
  EXPECT_EQ(side.ancestors[0].name, "tmux: server");
  EXPECT_EQ(side.ancestors[0].auth_sock.value(), std::nullopt);
  EXPECT_FALSE(side.ancestors[1].auth_sock.known());
  for (const std::string search : {"", "-\n"})
    EXPECT_FALSE(Read(search, {.self = "9", .ancestors = "8+sh\n"})
                     .ancestors[0]
                     .auth_sock.known());
}

TEST(LongLived, TellsEditorsByTheirProgram) {
  const Side side = Read(
      "=0 0\nb1000\nvSSH_AUTH_SOCK=/dead\np10 11 12 13 14\n"
      "i1 200 10 (node)\ni10 100 11 (sh)\ni1 300 12 (tail)\ni1 400 13 (java)\n"
      "i1 500 14 (code-1234)\n"
      "10/cmdline:1:/.vscode-server/\n11/cmdline:2:/.vscode-server/\n"
      "12/cmdline:2:/.vscode-server/\n"
      "13/cmdline:9:/.cursor-server/\n13/cmdline:1:/.cache/JetBrains/"
      "RemoteDev-IU/\ne14/cmdline:1:/.unknown-server/\n");
  EXPECT_EQ(Holders(side),
            (Texts{"e sh VS Code /dead 11 @1001 x2",
                   "e java JetBrains /dead 13 @1004", "p tail  /dead 12 @1003",
                   "p code-1234  /dead 14 @1005"}));
}

TEST(LongLived, KnowsTheConnectionOfALivingSocket) {
  const Side side = Read(
      "=0 0\nvSSH_AUTH_SOCK=/alive\np10 11\nvSSH_AUTH_SOCK=/dead\np12\n"
      "vSSH_CONNECTION=10.0.0.1 1 10.0.0.9 22\np11 12\n"
      "vSSH_CONNECTION=10.0.0.2 2 10.0.0.9 22\np10\n"
      "i1 900 10 (bash)\ni1 100 11 (bash)\ni1 100 12 (bash)\n");
  EXPECT_EQ(side.socket_connections,
            (std::map<std::string, std::string>{
                {"/alive", "10.0.0.1 1 10.0.0.9 22"}}));
}

const std::string kContainer =
    "Ddocker\nC\"2026-11-21T10:00:00.5Z\" \"/app\"\n";

TEST(LongLived, LeadsAContainersVariableBack) {
  EXPECT_EQ(
      Holders(Read(kContainer + "E\"SSH_AUTH_SOCK=/home/a/sock\"\n"
                                "M\"bind\" \"/data\" \"/home\"\n"
                                "M\"bind\" \"/dead\" \"/home/a/sock\"\nR\n")),
      (Texts{"c app docker /dead @1795255200 > /home/a/sock replaced"}));
  EXPECT_EQ(Holders(Read(kContainer +
                         "E\"SSH_AUTH_SOCK=/x/\\\"\\n\\u00e9\\xff\\\\\"\n"
                         "M\"bind\" \"/y\" \"/x\"\n")),
            (Texts{"c app docker /y/\"\n\xc3\xa9\xff\\ @1795255200 > "
                   "/x/\"\n\xc3\xa9\xff\\"}));
  EXPECT_EQ(Holders(Read("Dpodman\nC\"2026-11-21T12:00:00+02:00\" \"p\"\n"
                         "M\"bind\" \"/tmp/ssh-ABCDEFGHIJ/agent.7\" \"/a\"\n")),
            (Texts{"c p podman /tmp/ssh-ABCDEFGHIJ/agent.7 @1795255200 > /a"}));
}

TEST(LongLived, LeavesOutAContainersOwnAgent) {
  EXPECT_TRUE(Holders(Read(kContainer + "E\"SSH_AUTH_SOCK=/own\"\n"
                                        "M\"bind\" \"/data\" \"/o\"\n"))
                  .empty());
  EXPECT_TRUE(
      Holders(Read(kContainer + "M\"bind\" \"/data\" \"/data\"\n")).empty());
  // In the virtual machine of Docker Desktop.
  EXPECT_TRUE(Holders(Read(kContainer + "E\"SSH_AUTH_SOCK=/s\"\nM\"bind\" "
                                        "\"/run/host-services/ssh-auth.sock\" "
                                        "\"/s\"\n"))
                  .empty());
}

TEST(LongLived, GivesAReasonForWhatWasNotAsked) {
  const Side side = Read("l/dead\nl/other\nT/t\nt+$0:1:2:a:relative\nt=0\n");
  EXPECT_EQ(side.long_lived->links, (Texts{"/dead", "/other"}));
  EXPECT_FALSE(side.agents_not_asked.contains("/dead"));
  EXPECT_TRUE(side.agents_not_asked.contains("/other"));
  EXPECT_TRUE(side.agents_not_asked.contains("relative"));
}

TEST(LongLived, SaysWhenTheAnswerWasCutOff) {
  Side side;
  ReadLongLived("l/dead\nl/cut of", {}, side);
  EXPECT_EQ(side.long_lived->links, Texts{"/dead"});
  EXPECT_EQ(side.long_lived->not_seen.size(), 1U);
}

TEST(LongLived, SaysHowTheSearchWent) {
  const auto not_seen = [](const std::string& lines) {
    const Texts reasons = Read(lines).long_lived->not_seen;
    return reasons.empty() ? std::string() : reasons.front();
  };
  EXPECT_EQ(not_seen("=1 \n"), "");
  EXPECT_EQ(not_seen("-\n"), "");
  EXPECT_EQ(not_seen("=2 1000\n"), "");
  EXPECT_EQ(not_seen("=2 1234\n"),
            "processes: only 1000 of 1234 were looked at");
  EXPECT_EQ(not_seen("=137 \n"), "processes: /proc did not answer within 2 s");
  EXPECT_NE(not_seen("=odd \n").find("no grep"), std::string::npos);
  EXPECT_NE(not_seen("=127 \n").find("no grep"), std::string::npos);
  EXPECT_NE(not_seen("").find("no /proc"), std::string::npos);
}

TEST(LongLived, SaysHowAnEngineAnswered) {
  const auto not_seen = [](const std::string& lines) {
    return Read("=0 \n" + lines).long_lived->not_seen;
  };
  EXPECT_EQ(not_seen("Ddocker\nx0\nx0\n"), Texts{});
  EXPECT_EQ(not_seen("Ddocker\nx137\n"),
            Texts{"docker ps did not answer within 3 s"});
  EXPECT_EQ(not_seen("Ddocker\nx0\nx137\nDpodman\nx1\n"),
            (Texts{"docker inspect did not answer within 3 s",
                   "podman ps ended with status 1"}));
  EXPECT_EQ(not_seen("Ddocker\nx0\nx125\nDpodman\nx0\nx1\n"),
            (Texts{"docker inspect ended with status 125",
                   "podman inspect ended with status 1"}));
  // One that has ended in between.
  EXPECT_EQ(not_seen("Dpodman\nx0\nx1\nC\"2026-01-01T00:00:00Z\" \"a\"\n"),
            Texts{});
  EXPECT_EQ(not_seen("Ddocker\nx127\n").size(), 1U);
  EXPECT_EQ(not_seen("Dpodman\nx127\n"), Texts{});
}

TEST(LongLived, SurvivesGarbage) {
  const std::string pieces[] = {"T",
                                "t",
                                "t+$",
                                "t+$:::::",
                                "tSSH_AUTH_SOCK=",
                                "S",
                                "S+",
                                "S+/1.",
                                "v",
                                "p 1 2 x",
                                "i",
                                "i1 1 1 (x)",
                                "i1 1",
                                "=",
                                "=0 x",
                                "x",
                                "1/:1",
                                "b",
                                "9",
                                "C",
                                "C\"\"",
                                "C\"2026-99-99T99:99:99Z\" \"",
                                "E",
                                "E\"x\"",
                                "M",
                                "M\"\\x\"",
                                "R",
                                "D",
                                "a",
                                "\xff\1",
                                "i1 9999999999999999999999 1 (screen)",
                                "M\"bind\" \"\" \"\"",
                                "E\"\\U\""};
  unsigned seed = 3;
  for (int round = 0; round < 500; ++round) {
    std::string lines;
    for (int i = 0; i < 20; ++i) {
      seed = seed * 1664525u + 1013904223u;
      lines += pieces[(seed >> 10) % std::size(pieces)] + "\n";
    }
    Read(lines, {.self = "1", .ancestors = lines});
  }
}

}  // namespace
}  // namespace agentdoctor
