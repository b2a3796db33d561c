#include "shell.h"

#include <algorithm>

namespace agentdoctor::checks {
namespace {

/// Prints the sockets of this user that sshd made.  A pane of tmux knows none
/// by itself.
std::string FindSockets(std::string_view uid) {
  return "find /tmp ~/.ssh/agent -maxdepth 2 -type s -user " +
         std::string(uid) +
         " \\( -path '/tmp/ssh-\?\?\?\?\?\?\?\?\?\?/agent.*' -o -name "
         "'s.*.sshd.*' \\)";
}

std::string ShLink() {
  return "agent_answers() {\n"
         "  SSH_AUTH_SOCK=$1 timeout 2 ssh-add -l >/dev/null 2>&1\n"
         "  [ $? -lt 2 ]\n"
         "}\n"
         "if [ -t 0 ] && ! agent_answers ~/.ssh/ssh_auth_sock; then\n"
         "  for socket in \"$SSH_AUTH_SOCK\" $(" +
         FindSockets("`id -u`") +
         " 2>/dev/null); do\n"
         "    if [ ! -L \"$socket\" ] && agent_answers \"$socket\"; then\n"
         "      ln -sfn \"$socket\" ~/.ssh/ssh_auth_sock\n"
         "      break\n"
         "    fi\n"
         "  done\n"
         "fi";
}

std::string FishLink() {
  return "function agent_answers\n"
         "    env SSH_AUTH_SOCK=$argv[1] timeout 2 ssh-add -l "
         ">/dev/null 2>&1\n"
         "    test $status -lt 2\n"
         "end\n"
         "if status is-interactive; and not agent_answers "
         "~/.ssh/ssh_auth_sock\n"
         "    for socket in $SSH_AUTH_SOCK (sh -c \"" +
         FindSockets("`id -u`") +
         "\" 2>/dev/null)\n"
         "        if not test -L $socket; and agent_answers $socket\n"
         "            ln -sfn $socket ~/.ssh/ssh_auth_sock\n"
         "            break\n"
         "        end\n"
         "    end\n"
         "end";
}

std::string CshLink() {
  return "if ($?prompt) then\n"
         "  set sockets = `sh -c \"" +
         FindSockets("$uid") +
         " 2>/dev/null\"`\n"
         "  if ($?SSH_AUTH_SOCK) set sockets = ($SSH_AUTH_SOCK $sockets)\n"
         "  foreach socket (~/.ssh/ssh_auth_sock $sockets)\n"
         "    (env SSH_AUTH_SOCK=$socket timeout 2 ssh-add -l) >& /dev/null\n"
         "    if ($status < 2) then\n"
         "      if (! -l $socket) ln -sfn $socket ~/.ssh/ssh_auth_sock\n"
         "      break\n"
         "    endif\n"
         "  end\n"
         "endif";
}

/// What interactive shells of this kind read.
std::string StartupFile(std::string_view shell) {
  const std::string_view name = shell.substr(shell.rfind('/') + 1);
  if (name == "zsh") return "~/.zshrc";
  if (name == "fish") return "~/.config/fish/config.fish";
  if (name == "tcsh" || name == "csh") return "~/.cshrc";
  if (name.ends_with("ksh")) return "~/.kshrc";
  if (name == "bash" || name == "rbash" || name.empty()) return "~/.bashrc";
  return "~/.profile";
}

std::string LoginShell(const Side& side) {
  const std::string* shell = side.shell.get();
  return shell ? *shell : std::string();
}

/// \a text with \a indent before each of its lines.
std::string Indented(std::string_view text, std::string_view indent) {
  std::string result;
  for (bool more = true; more;) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    result += std::string(indent) + std::string(text.substr(0, end));
    more = end < text.size();
    if (more) result += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

}  // namespace

Syntax SyntaxOf(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (name == "fish" || name.ends_with(".fish")) return Syntax::kFish;
  if (name.find("csh") != std::string_view::npos || name == ".login")
    return Syntax::kCsh;
  return Syntax::kSh;
}

Syntax LoginSyntax(const Side& side) { return SyntaxOf(LoginShell(side)); }

bool IsShell(std::string_view name) { return name.ends_with("sh"); }

Syntax SyntaxHere(const Side& side) {
  const auto shell =
      std::ranges::find_if(side.ancestors, IsShell, &Ancestor::name);
  return shell == side.ancestors.end() ? LoginSyntax(side)
                                       : SyntaxOf(shell->name);
}

std::string ShellWord(std::string_view word, Syntax syntax) {
  constexpr std::string_view kSafe =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
      "@%+:,./_-";
  if (!word.empty() && word.find_first_not_of(kSafe) == std::string_view::npos)
    return std::string(word);
  std::string quoted = "'";
  for (const char c : word) {
    if (syntax == Syntax::kFish && (c == '\'' || c == '\\'))
      quoted += '\\';
    else if (syntax != Syntax::kFish && c == '\'')
      quoted += "'\\'";
    else if (syntax == Syntax::kCsh && (c == '!' || c == '\n'))
      // Not even quotes keep csh from its history and from ending the line.
      quoted += '\\';
    quoted += c;
  }
  return quoted + "'";
}

std::string ExportLine(std::string_view value, Syntax syntax) {
  switch (syntax) {
    case Syntax::kFish:
      return "set -gx SSH_AUTH_SOCK " + std::string(value);
    case Syntax::kCsh:
      return "setenv SSH_AUTH_SOCK " + std::string(value);
    case Syntax::kSh:
      break;
  }
  return "export SSH_AUTH_SOCK=" + std::string(value);
}

std::string Guarded(std::string_view line, Syntax syntax) {
  switch (syntax) {
    case Syntax::kFish:
      return "if not set -q SSH_CONNECTION; or not test -S "
             "\"$SSH_AUTH_SOCK\"\n" +
             Indented(line, "    ") + "\nend";
    case Syntax::kCsh:
      return "if (! $?SSH_CONNECTION || ! $?SSH_AUTH_SOCK) then\n" +
             Indented(line, "  ") + "\nendif";
    case Syntax::kSh:
      break;
  }
  return "if [ -z \"$SSH_CONNECTION\" ] || [ ! -S \"$SSH_AUTH_SOCK\" ]; "
         "then\n" +
         Indented(line, "  ") + "\nfi";
}

Edit KeepLink(const Side& side) {
  const std::string shell = LoginShell(side);
  std::string text =
      "# for tmux and screen: a link, renewed when its agent is gone\n";
  switch (SyntaxOf(shell)) {
    case Syntax::kSh:
      text += ShLink();
      break;
    case Syntax::kFish:
      text += FishLink();
      break;
    case Syntax::kCsh:
      text += CshLink();
      break;
  }
  return {.file = StartupFile(shell), .text = text};
}

}  // namespace agentdoctor::checks
