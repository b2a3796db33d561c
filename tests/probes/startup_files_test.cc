#include "probes/startup_files.h"

#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <sstream>

#include "shell.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

// What the probe would send of a file: the lines about agents, and for the
// rest no comments and no plain assignments.
struct Sent {
  std::vector<FileLine> hits;
  std::vector<FileLine> context;
};

void Send(const std::string& file, const std::string& text, Sent& sent) {
  static const std::regex hit(
      "^\\s*([^#\\s].*)?(ssh_auth_sock|ssh-agent|keychain|gpgconf|gpg-"
      "agent|gnome-keyring|enable-ssh-support)",
      std::regex::icase);
  static const std::regex kept_back("^\\s*(#|$|(export\\s+)?\\w+=[^;&|(]*$)");
  int number = 0;
  for (const std::string& line : SplitLines(text)) {
    ++number;
    if (std::regex_search(line, hit)) sent.hits.push_back({file, number, line});
    if (!std::regex_search(line, kept_back))
      sent.context.push_back({file, number, line});
  }
}

std::vector<StartupLine> Parse(const std::string& file, const std::string& text,
                               const std::string& shell = "/bin/bash") {
  Sent sent;
  Send(file, text, sent);
  return ParseStartupFiles(sent.hits, sent.context, {"/home/dave", shell});
}

const std::string kBashrc = "/home/dave/.bashrc";

std::string ReadWhole(const std::string& path) {
  std::ifstream stream(path);
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// The one line found, as "scope effect guarded".
std::string Describe(const std::vector<StartupLine>& lines) {
  std::string result;
  for (const StartupLine& line : lines) {
    if (!result.empty()) result += ", ";
    result += std::to_string(line.line);
    constexpr const char* kScopes[] = {" every", " login", " interactive",
                                       " session"};
    constexpr const char* kEffects[] = {" sets", " starts", " unsets",
                                        " links"};
    result += kScopes[static_cast<int>(line.scope)];
    result += kEffects[static_cast<int>(line.effect)];
    if (line.guarded) result += " guarded";
  }
  return result;
}

TEST(StartupFiles, NameThePlainLineThatReplacesTheVariable) {
  const auto lines =
      Parse(kBashrc, "alias ll='ls -l'\n  export SSH_AUTH_SOCK=/tmp/mine\n");
  ASSERT_EQ(Describe(lines), "2 every sets");
  EXPECT_EQ(lines[0].file, kBashrc);
  EXPECT_EQ(lines[0].text, "export SSH_AUTH_SOCK=/tmp/mine");
}

TEST(StartupFiles, TellWhatALineDoes) {
  for (const auto& [text, expected] :
       std::vector<std::pair<std::string, std::string>>{
           {"eval $(ssh-agent)", "1 every starts"},
           {"eval \"$(ssh-agent -s)\" > /dev/null", "1 every starts"},
           {"eval `ssh-agent`", "1 every starts"},
           {"ssh-agent > ~/.agent-env; . ~/.agent-env", "1 every starts"},
           {"(umask 077; ssh-agent > ~/.agent)", "1 every starts"},
           {"exec ssh-agent bash", "1 every starts"},
           {"eval $(keychain --eval id_rsa)", "1 every starts"},
           {". ~/.keychain/$HOSTNAME-sh", "1 every starts"},
           {"eval $(keychain --eval --inherit any id_rsa)",
            "1 every starts guarded"},
           {"export $(gnome-keyring-daemon --start)", "1 every starts"},
           {"SSH_AUTH_SOCK=$(gpgconf --list-dirs agent-ssh-socket)",
            "1 every sets"},
           {"SSH_AUTH_SOCK=/a; export SSH_AUTH_SOCK", "1 every sets"},
           {"declare -x SSH_AUTH_SOCK=/a", "1 every sets"},
           {"eval $(systemctl --user show-environment | grep SSH_AUTH_SOCK)",
            "1 every sets"},
           {"unset SSH_AUTH_SOCK SSH_AGENT_PID", "1 every unsets"},
           {"export SSH_AUTH_SOCK=", "1 every unsets"},
           {"SSH_AUTH_SOCK=\"\"", "1 every unsets"},
           {"export SSH_AUTH_SOCK=${SSH_AUTH_SOCK:-/a}",
            "1 every sets guarded"},
       })
    EXPECT_EQ(Describe(Parse(kBashrc, text)), expected) << text;
}

TEST(StartupFiles, LeaveAloneWhatOnlyUsesTheVariable) {
  for (const std::string text :
       {"# export SSH_AUTH_SOCK=/a", "ssh-add -l", "export SSH_AUTH_SOCK",
        "SSH_AUTH_SOCK=/a ssh-add -l", "echo \"$SSH_AUTH_SOCK\"",
        "ln -sf /etc/hosts ~/.ssh/sock",
        "[ -S \"$SSH_AUTH_SOCK\" ] || echo none", "pgrep ssh-agent > /dev/null",
        "alias agent='eval $(ssh-agent)'", "trap 'ssh-agent -k' EXIT",
        "command -v ssh-agent >/dev/null",
        "export SSH_AUTH_SOCK=\"$SSH_AUTH_SOCK\"",
        "tmux set-environment SSH_AUTH_SOCK \"$SSH_AUTH_SOCK\"",
        "gpgconf --launch gpg-agent", "eval $(ssh-agent -k)",
        "echo starting ssh-agent; true", "(SSH_AUTH_SOCK=/a; ssh-add -l)"})
    EXPECT_EQ(Describe(Parse(kBashrc, text)), "") << text;
}

TEST(StartupFiles, SeeAGuardOnTheSameLine) {
  for (const std::string text :
       {"[ -z \"$SSH_AUTH_SOCK\" ] && eval $(ssh-agent)",
        "[ -n \"$SSH_AUTH_SOCK\" ] || eval $(ssh-agent)",
        "[ -S \"$SSH_AUTH_SOCK\" ] || eval $(ssh-agent)",
        "test -z \"$SSH_CONNECTION\" && export SSH_AUTH_SOCK=/a",
        "[[ -n $SSH_TTY || -n $SSH_CLIENT ]] || export SSH_AUTH_SOCK=/a",
        "[ ! -S \"$SSH_AUTH_SOCK\" ] && eval $(ssh-agent)",
        "if [ -z \"$SSH_AUTH_SOCK\" ]; then eval $(ssh-agent); fi",
        "[ -n \"$SSH_CONNECTION\" ] && [ -S \"$SSH_AUTH_SOCK\" ] || { eval "
        "$(ssh-agent); }",
        "ssh-add -l >/dev/null 2>&1 || eval $(ssh-agent)",
        "[ -n \"$TMUX\" ] && eval $(tmux show-env -s SSH_AUTH_SOCK)",
        "[ \"$SSH_CONNECTION\" = \"\" ] && eval $(ssh-agent)"})
    EXPECT_TRUE(Describe(Parse(kBashrc, text)).ends_with("guarded")) << text;
}

TEST(StartupFiles, SeeThatAnotherConditionIsNoGuard) {
  for (const std::string text :
       {"[ -n \"$SSH_CONNECTION\" ] && export SSH_AUTH_SOCK=/a",
        "if [ -n \"$SSH_TTY\" ]; then export SSH_AUTH_SOCK=/a; fi",
        "pgrep ssh-agent >/dev/null || eval $(ssh-agent)",
        "[ -z \"$SSH_AGENT_PID\" ] && eval $(ssh-agent)",
        "if [ -x /usr/bin/ssh-agent ]; then eval $(ssh-agent); fi"})
    EXPECT_FALSE(Describe(Parse(kBashrc, text)).ends_with("guarded") ||
                 Describe(Parse(kBashrc, text)).empty())
        << text;
}

TEST(StartupFiles, SeeAGuardAroundABlock) {
  EXPECT_EQ(Describe(Parse(kBashrc,
                           "if [ -z \"$SSH_AUTH_SOCK\" ]\n"
                           "then\n"
                           "  if true; then\n"
                           "    eval $(ssh-agent)\n"
                           "  fi\n"
                           "fi\n"
                           "eval $(ssh-agent)\n")),
            "4 every starts guarded, 7 every starts");
  EXPECT_EQ(Describe(Parse(kBashrc,
                           "if [ -n \"$SSH_CONNECTION\" ]; then\n"
                           "  export SSH_AUTH_SOCK=/a\n"
                           "else\n"
                           "  export SSH_AUTH_SOCK=/b\n"
                           "fi\n")),
            "2 every sets, 4 every sets guarded");
  EXPECT_EQ(Describe(Parse(kBashrc,
                           "[ -n \"$SSH_CONNECTION\" ] &&\n"
                           "  [ -S \"$SSH_AUTH_SOCK\" ] || {\n"
                           "  eval $(ssh-agent)\n"
                           "}\n"
                           "eval $(ssh-agent)\n")),
            "3 every starts guarded, 5 every starts");
  EXPECT_EQ(Describe(Parse(kBashrc,
                           "ssh-add -l &>/dev/null\n"
                           "if [ \"$?\" == 2 ]; then\n"
                           "  eval $(ssh-agent)\n"
                           "fi\n")),
            "3 every starts guarded");
  EXPECT_EQ(Describe(Parse(kBashrc,
                           "[ -n \"$SSH_CONNECTION\" ] && return\n"
                           "eval $(ssh-agent)\n")),
            "2 every starts guarded");
}

TEST(StartupFiles, FollowFunctionsToWhereTheyAreCalled) {
  const std::string definition =
      "function start_agent {\n"
      "  /usr/bin/ssh-agent | sed 's/^echo/#echo/' > \"$SSH_ENV\"\n"
      "  . \"$SSH_ENV\" > /dev/null\n"
      "}\n";
  EXPECT_EQ(Describe(Parse(kBashrc, definition)), "");
  EXPECT_EQ(
      Describe(Parse(kBashrc, definition + "if [ -f \"$SSH_ENV\" ]; then\n"
                                           "  . \"$SSH_ENV\"\n"
                                           "else\n"
                                           "  start_agent;\n"
                                           "fi\n")),
      "2 every starts");
  EXPECT_EQ(Describe(Parse(kBashrc,
                           "agent_start() {\n"
                           "  (umask 077; ssh-agent >| \"$env\")\n"
                           "  . \"$env\" >| /dev/null; }\n"
                           "[ ! \"$SSH_AUTH_SOCK\" ] && agent_start\n")),
            "2 every starts guarded");
}

TEST(StartupFiles, TellInteractiveLinesFromTheRest) {
  for (const std::string guard :
       {"case $- in\n    *i*) ;;\n      *) return;;\nesac\n",
        "case $- in *i*) ;; *) return;; esac\n\n\n\n",
        "[ -z \"$PS1\" ] && return\n\n\n\n",
        "[[ $- != *i* ]] && return\n\n\n\n",
        "[[ $- == *i* ]] || return\n\n\n\n", "[ -t 1 ] || return\n\n\n\n",
        "if [ -z \"$PS1\" ]; then\n  return\nfi\n\n",
        "if [[ $- != *i* ]] ; then\n  # nobody types\n  return\nfi\n"})
    EXPECT_EQ(Describe(Parse(kBashrc, "eval $(ssh-agent)\n" + guard +
                                          "eval $(ssh-agent)\n")),
              "1 every starts, 6 interactive starts")
        << guard;
  EXPECT_EQ(Describe(Parse(kBashrc,
                           "if [[ $- == *i* ]]; then\n"
                           "  eval $(ssh-agent)\n"
                           "fi\n"
                           "export SSH_AUTH_SOCK=/a\n")),
            "2 interactive starts, 4 every sets");
}

TEST(StartupFiles, KnowWhoReadsThem) {
  const auto scope = [](const std::string& file, const std::string& shell) {
    return Describe(Parse(file, "export SSH_AUTH_SOCK=/a", shell));
  };
  EXPECT_EQ(scope("/home/dave/.profile", "/bin/bash"), "1 login sets");
  EXPECT_EQ(scope("/home/dave/.bash_profile", "/bin/bash"), "1 login sets");
  EXPECT_EQ(scope("/etc/profile.d/agent.sh", "/bin/dash"), "1 login sets");
  EXPECT_EQ(scope("/home/dave/.bashrc", "/bin/dash"), "");
  EXPECT_EQ(scope("/home/dave/.bashrc", "/usr/bin/zsh"), "");
  EXPECT_EQ(scope("/home/dave/.zshenv", "/usr/bin/zsh"), "1 every sets");
  EXPECT_EQ(scope("/home/dave/.zprofile", "/usr/bin/zsh"), "1 login sets");
  EXPECT_EQ(scope("/home/dave/.zshrc", "/usr/bin/zsh"), "1 interactive sets");
  EXPECT_EQ(scope("/home/dave/.zshrc", "/bin/bash"), "");
  EXPECT_EQ(scope("/home/dave/.kshrc", "/usr/bin/ksh93"), "1 interactive sets");
  EXPECT_EQ(scope("/home/dave/.ssh/environment", "/usr/bin/nu"),
            "1 session sets");
  EXPECT_EQ(scope("/etc/profile.d/agent.csh", "/bin/tcsh"), "1 every sets");
  EXPECT_EQ(scope("/home/dave/.ssh/rc", "/bin/sh"), "");
  EXPECT_EQ(scope("/etc/ssh/ssh_config", "/bin/sh"), "");
}

TEST(StartupFiles, ReadWhatSshdAndPamRead) {
  const auto parse = [](const std::string& file, const std::string& text) {
    return Describe(Parse(file, text));
  };
  EXPECT_EQ(parse("/home/dave/.ssh/environment",
                  "PATH=/bin\nSSH_AUTH_SOCK=/a\nSSH_AGENT_PID=1\n"),
            "2 session sets");
  EXPECT_EQ(parse("/home/dave/.pam_environment",
                  "SSH_AUTH_SOCK DEFAULT=\"${XDG_RUNTIME_DIR}/a\"\n"),
            "1 session sets");
  EXPECT_EQ(
      parse("/etc/security/pam_env.conf", "SSH_AUTH_SOCK DEFAULT=/run/agent\n"),
      "1 session sets");
  EXPECT_EQ(parse("/home/dave/.config/environment.d/10-agent.conf",
                  "SSH_AUTH_SOCK=${XDG_RUNTIME_DIR}/gcr/ssh\n"),
            "1 session sets");
  EXPECT_EQ(parse("/etc/environment", "SSH_AUTH_SOCK=\nSSH_AUTH_SOCKET=/x"),
            "1 session unsets");
}

TEST(StartupFiles, ReadFish) {
  const auto parse = [](const std::string& text) {
    return Describe(
        Parse("/home/dave/.config/fish/config.fish", text, "/usr/bin/fish"));
  };
  EXPECT_EQ(parse("set -gx SSH_AUTH_SOCK /a"), "1 every sets");
  EXPECT_EQ(parse("set -e SSH_AUTH_SOCK"), "1 every unsets");
  EXPECT_EQ(parse("eval (ssh-agent -c)"), "1 every starts");
  EXPECT_EQ(parse("ssh-agent -c | source"), "1 every starts");
  EXPECT_EQ(parse("set -q SSH_AUTH_SOCK; or set -gx SSH_AUTH_SOCK /a"),
            "1 every sets guarded");
  EXPECT_EQ(parse("if not set -q SSH_AUTH_SOCK\n  eval (ssh-agent -c)\nend\n"
                  "eval (ssh-agent -c)"),
            "2 every starts guarded, 4 every starts");
  EXPECT_EQ(parse("if test -z \"$SSH_AUTH_SOCK\"; eval (ssh-agent -c); end"),
            "1 every starts guarded");
  EXPECT_EQ(parse("if status is-interactive\n  eval (ssh-agent -c)\nend\n"
                  "set -x SSH_AUTH_SOCK /a"),
            "2 interactive starts, 4 every sets");
  EXPECT_EQ(parse("status is-interactive; or exit\neval (ssh-agent -c)"),
            "2 interactive starts");
  EXPECT_EQ(parse("function agent\n  eval (ssh-agent -c)\nend"), "");
  EXPECT_EQ(parse("function agent\n  eval (ssh-agent -c)\nend\nagent"),
            "2 every starts");
}

TEST(StartupFiles, ReadCsh) {
  const auto parse = [](const std::string& text) {
    return Describe(Parse("/home/dave/.tcshrc", text, "/usr/bin/tcsh"));
  };
  EXPECT_EQ(parse("setenv SSH_AUTH_SOCK /a"), "1 every sets");
  EXPECT_EQ(parse("unsetenv SSH_AUTH_SOCK"), "1 every unsets");
  EXPECT_EQ(parse("eval `ssh-agent -c`"), "1 every starts");
  EXPECT_EQ(parse("if (! $?SSH_AUTH_SOCK) eval `ssh-agent -c`"),
            "1 every starts guarded");
  EXPECT_EQ(parse("if ( ! $?SSH_AUTH_SOCK ) then\n  eval `ssh-agent -c`\n"
                  "endif\nsetenv SSH_AUTH_SOCK /a"),
            "2 every starts guarded, 4 every sets");
  EXPECT_EQ(parse("if (! $?prompt) exit\neval `ssh-agent -c`"),
            "2 interactive starts");
}

TEST(StartupFiles, KnowTheLinkRecipe) {
  Sent sent;
  Send("/home/dave/.ssh/rc",
       "if test \"$SSH_AUTH_SOCK\"; then\n"
       "  ln -sf $SSH_AUTH_SOCK ~/.ssh/ssh_auth_sock\nfi\n"
       "export SSH_AUTH_SOCK=/tmp/reaches-nobody\n",
       sent);
  Send(kBashrc, "export SSH_AUTH_SOCK=$HOME/.ssh/ssh_auth_sock\n", sent);
  EXPECT_EQ(Describe(ParseStartupFiles(sent.hits, sent.context,
                                       {"/home/dave", "/bin/bash"})),
            "2 session links");
}

TEST(StartupFiles, TellARecipeThatLeavesADeadLinkAlone) {
  const std::string make = "ln -sf \"$SSH_AUTH_SOCK\" ~/.ssh/ssh_auth_sock";
  for (const auto& [text, expected] :
       std::vector<std::pair<std::string, std::string>>{
           {make, "1 every links"},
           {"[ -S \"$SSH_AUTH_SOCK\" ] && " + make, "1 every links"},
           {"[ ! -S ~/.ssh/ssh_auth_sock ] && " + make,
            "1 every links guarded"},
           {"if [ ! -S ~/.ssh/ssh_auth_sock ] && [ -S \"$SSH_AUTH_SOCK\" ]; "
            "then\n  " +
                make + "\nfi",
            "2 every links guarded"},
           {"test -e ~/.ssh/ssh_auth_sock || " + make, "1 every links guarded"},
           {"if [ -t 0 ]; then\n  " + make + "\nfi", "2 interactive links"},
           {"ssh-add -l >/dev/null 2>&1\nif [ $? = 2 ]; then\n  " + make +
                "\nfi",
            "3 every links"},
       })
    EXPECT_EQ(Describe(Parse(kBashrc, text)), expected) << text;
}

TEST(StartupFiles, KnowOhMyZsh) {
  const std::string zshrc = "/home/dave/.zshrc";
  const auto parse = [&](const std::string& text) {
    return Describe(Parse(zshrc, text, "/bin/zsh"));
  };
  EXPECT_EQ(parse("plugins=(git ssh-agent)"), "1 interactive starts");
  EXPECT_EQ(parse("plugins=(git keychain)"), "1 interactive starts");
  EXPECT_EQ(parse("plugins+=(ssh-agent)"), "1 interactive starts");
  EXPECT_EQ(parse("plugins=(\n  git\n  ssh-agent\n)\n"),
            "3 interactive starts");
  EXPECT_EQ(parse("plugins=(git\n  keychain docker)\neval $(ssh-agent)\n"),
            "2 interactive starts, 3 interactive starts");
  EXPECT_EQ(parse("plugins=(git\n  docker)\n"), "");
  EXPECT_EQ(parse("zstyle :omz:plugins:ssh-agent agent-forwarding yes\n"
                  "plugins=(git ssh-agent)"),
            "2 interactive starts guarded");
}

TEST(StartupFiles, TakeThePluginForGpgAgentSeriouslyWhereThatServesSsh) {
  const StartupUser user{"/home/dave", "/bin/zsh"};
  Sent sent;
  Send("/home/dave/.zshrc", "plugins=(\n  gpg-agent git\n)\n", sent);
  EXPECT_EQ(Describe(ParseStartupFiles(sent.hits, sent.context, user)), "");
  Send("/home/dave/.gnupg/gpg-agent.conf", "enable-ssh-support\n", sent);
  EXPECT_EQ(Describe(ParseStartupFiles(sent.hits, sent.context, user)),
            "2 interactive starts");
}

TEST(StartupFiles, KnowTheirOwnRecipe) {
  for (const auto& [shell, file] :
       std::vector<std::pair<std::string, std::string>>{
           {"/bin/bash", kBashrc},
           {"/bin/zsh", "/home/dave/.zshrc"},
           {"/usr/bin/fish", "/home/dave/.config/fish/config.fish"},
           {"/bin/tcsh", "/home/dave/.cshrc"}}) {
    Side side;
    side.shell = shell;
    const auto lines = Parse(file, checks::KeepLink(side).text, shell);
    ASSERT_EQ(lines.size(), 1u) << shell << ": " << Describe(lines);
    EXPECT_EQ(lines[0].effect, StartupEffect::kLinks) << shell;
    EXPECT_EQ(lines[0].scope, StartupScope::kInteractive) << shell;
    EXPECT_FALSE(lines[0].guarded) << shell;
  }
}

TEST(StartupFiles, AreQuietAboutWhatDebianInstalls) {
  for (const char* file :
       {"/etc/skel/.bashrc", "/etc/skel/.profile", "/etc/profile",
        "/etc/bash.bashrc", "/etc/zsh/zshrc"})
    for (const char* shell : {"/bin/bash", "/bin/zsh", "/bin/sh"})
      EXPECT_EQ(Describe(Parse(file, ReadWhole(file), shell)), "") << file;
}

TEST(StartupFiles, SurviveAnything) {
  const std::string pieces[] = {
      "if",   "then",   "fi",        "case",
      "in",   "esac",   "{",         "}",
      "(",    ")",      "&&",        "||",
      ";",    ";;",     "\"",        "'",
      "`",    "$(",     "\\",        "ssh-agent",
      "end",  "else",   "f()",       "function",
      "do",   "done",   "plugins=(", "SSH_AUTH_SOCK=/a",
      "exec", "set -e", "return",    "|",
      "and",  "for"};
  unsigned seed = 1;
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (int i = 0; i < 30; ++i) {
      seed = seed * 1664525u + 1013904223u;
      text += pieces[(seed >> 16) % std::size(pieces)];
      text += (seed >> 12) % 4 == 0 ? "\n" : " ";
    }
    Parse(kBashrc, text);
    Parse("/a/config.fish", text, "/bin/fish");
    Parse("/home/dave/.cshrc", text, "/bin/csh");
  }
}

}  // namespace
}  // namespace agentdoctor
