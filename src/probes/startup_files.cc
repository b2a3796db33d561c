#include "probes/startup_files.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "system/text.h"

namespace agentdoctor {
namespace {

enum class Dialect { kNone, kSh, kFish, kCsh, kAssignments };

// How a shell reads a file.
struct Reading {
  Dialect dialect = Dialect::kNone;
  StartupScope scope = StartupScope::kEveryShell;
};

constexpr std::size_t kMaxDepth = 64;  // of nested blocks
constexpr std::size_t kMaxCalls = 1024;
constexpr std::size_t kMaxText = 400;

std::string BaseName(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool IsSshrc(const std::string& file, const StartupUser& user) {
  return file == "/etc/ssh/sshrc" || file == user.home + "/.ssh/rc";
}

// When this shell reads that file.  ~/.ssh/rc and sshrc are read by a process
// of their own: nothing they set reaches the session, only the links they make.
Reading HowRead(const std::string& file, const StartupUser& user) {
  using enum StartupScope;
  if (file == "/etc/environment" || file == "/etc/security/pam_env.conf" ||
      file == user.home + "/.pam_environment" ||
      file == user.home + "/.ssh/environment" ||
      Contains(file, "/environment.d/"))
    return {Dialect::kAssignments, kSession};
  if (IsSshrc(file, user)) return {Dialect::kSh, kSession};
  if (Contains(file, "/ssh/") || Contains(file, "/.ssh/")) return {};
  const std::string shell = BaseName(user.shell);
  const std::string name = BaseName(file);
  if (shell == "fish")
    return file.ends_with(".fish") ? Reading{Dialect::kFish, kEveryShell}
                                   : Reading{};
  if (shell == "csh" || shell == "tcsh") {
    if (name == ".login" || name == "csh.login") return {Dialect::kCsh, kLogin};
    if (name == ".cshrc" || name == ".tcshrc" || name == "csh.cshrc" ||
        (file.starts_with("/etc/profile.d/") && name.ends_with(".csh")))
      return {Dialect::kCsh, kEveryShell};
    return {};
  }
  if (shell == "zsh") {
    // It is set in ~/.zshenv.
    if (!user.zdotdir.empty() && user.zdotdir != user.home &&
        file.starts_with(user.home + "/.z") && name != ".zshenv")
      return {};
    if (name.ends_with("zshenv")) return {Dialect::kSh, kEveryShell};
    if (name.ends_with("zprofile") || name.ends_with("zlogin"))
      return {Dialect::kSh, kLogin};
    if (name.ends_with("zshrc")) return {Dialect::kSh, kInteractive};
    return {};
  }
  const bool bash = shell == "bash" || shell == "rbash";
  const bool ksh = shell.ends_with("ksh") || shell == "ksh93";
  if (!bash && !ksh && shell != "sh" && shell != "dash" && shell != "ash")
    return {};
  if (file == "/etc/profile" || name == ".profile" ||
      file.starts_with("/etc/profile.d/") ||
      (bash && (name == ".bash_profile" || name == ".bash_login")))
    return {Dialect::kSh, kLogin};
  // bash reads these for sshd's commands too (SSH_SOURCE_BASHRC, set in the
  // packages of every large distribution); /etc/bashrc is read by ~/.bashrc.
  if (bash && (name == ".bashrc" || name == "bash.bashrc" || name == "bashrc"))
    return {Dialect::kSh, kEveryShell};
  if (ksh && name.ends_with("kshrc")) return {Dialect::kSh, kInteractive};
  return {};
}

// ------------------------------------------------------------------- tokens --

// A word, or an operator: && || ; ;; | & ( )
struct Token {
  std::string text = {};
  bool is_operator = false;
};

// Splits a line of a shell.  Quotes and substitutions stay as they are written
// and hold a word together.
class Tokenizer {
 public:
  Tokenizer(Dialect dialect, std::string_view line)
      : dialect_(dialect), line_(line) {}

  std::vector<Token> Run() {
    while (at_ < line_.size()) {
      const char c = line_[at_];
      if (c == ' ' || c == '\t') {
        Flush();
        ++at_;
      } else if (c == '#' && word_.empty() && !quoted_) {
        break;
      } else if (IsOperator(c)) {
        Operator();
      } else {
        Word();
      }
    }
    Flush();
    return std::move(tokens_);
  }

 private:
  char Next(std::size_t ahead = 1) const {
    return at_ + ahead < line_.size() ? line_[at_ + ahead] : '\0';
  }

  bool IsOperator(char c) const {
    if (c == '&')  // not in 2>&1, &>file
      return Next() != '>' && !word_.ends_with('>') && !word_.ends_with('<');
    if (c == '|') return !word_.ends_with('>');  // not in >|
    if (c == ';') return true;
    if (c != '(' && c != ')') return false;
    if (c == ')') return true;
    // $(...), <(...), a=(...), and fish's own substitution are words.
    return dialect_ != Dialect::kFish &&
           (word_.empty() || std::string_view("$<>=").find(word_.back()) ==
                                 std::string_view::npos);
  }

  void Operator() {
    Flush();
    const char c = line_[at_];
    std::string text(1, c);
    if ((c == '&' || c == '|' || c == ';') && Next() == c) text += c;
    at_ += text.size();
    tokens_.push_back({text, true});
  }

  void Word() {
    const char c = line_[at_];
    if (c == '\\' && Next() != '\0') {
      Take(2);
    } else if (c == '\'' || c == '"' || c == '`') {
      Quoted(c);
    } else if (c == '(') {
      Balanced();
    } else {
      Take(1);
    }
  }

  void Take(std::size_t count) {
    word_ += line_.substr(at_, count);
    at_ += count;
  }

  // To the closing quote, or to the end of the line.
  void Quoted(char quote) {
    quoted_ = true;
    Take(1);
    while (at_ < line_.size() && line_[at_] != quote)
      Take(line_[at_] == '\\' && quote != '\'' ? 2 : 1);
    if (at_ < line_.size()) Take(1);
  }

  void Balanced() {
    int depth = 0;
    while (at_ < line_.size()) {
      const char c = line_[at_];
      if (c == '\'' || c == '"') {
        Quoted(c);
        continue;
      }
      if (c == '(') ++depth;
      if (c == ')') --depth;
      Take(1);
      if (depth == 0) break;
    }
  }

  void Flush() {
    if (!word_.empty()) tokens_.push_back({word_, false});
    word_.clear();
    quoted_ = false;
  }

  Dialect dialect_;
  std::string_view line_;
  std::size_t at_ = 0;
  std::string word_;
  bool quoted_ = false;
  std::vector<Token> tokens_;
};

std::string Unquote(std::string_view word) {
  std::string result;
  for (const char c : word)
    if (c != '"' && c != '\'') result += c;
  return result;
}

// --------------------------------------------------------------- conditions --

// The path with the home for `~` or `$HOME`.
std::string AtHome(std::string path, const StartupUser& user) {
  if (path.starts_with("~/")) path.replace(0, 1, user.home);
  if (path.starts_with("$HOME/")) path.replace(0, 5, user.home);
  return path;
}

// What a condition means for a session with a forwarded agent.
struct Condition {
  bool false_then = false;   ///< it (probably) fails there: guards what follows
  bool true_then = false;    ///< it (probably) holds there
  bool interactive = false;  ///< it asks whether a person types
  std::string text = {};     ///< as written
};

// Judges one condition, without && and ||, by what it names: good enough for
// the guards people write.
Condition JudgeOne(std::string_view text, bool after_ssh_add) {
  constexpr std::array<std::string_view, 6> kSession = {
      "SSH_AUTH_SOCK", "SSH_CONNECTION", "SSH_CLIENT",
      "SSH2_CLIENT",   "SSH_TTY",        "ssh-add"};
  // Set on a desktop, in tmux or screen, but not in a fresh session.
  constexpr std::array<std::string_view, 8> kElsewhere = {
      "TMUX",    "$STY",
      "${STY",   "DISPLAY",
      "DESKTOP", "XDG_SESSION_TYPE",
      "WSL_",    "DBUS_SESSION_BUS_ADDRESS"};
  constexpr std::array<std::string_view, 10> kInteractive = {
      "$-",     "PS1",    "-o interactive", "-t 0",  "-t 1",
      "tty -s", "prompt", "interactive",    "login", "SHLVL"};
  const auto names = [&](const auto& words) {
    return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
      return Contains(text, word);
    });
  };
  Condition result;
  result.text = text;
  result.interactive = names(kInteractive);

  bool holds = true;  // if what it names is there
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '!') holds = !holds;  // `!` and `!=`
    if (text.substr(i, 2) == "-z" || text.substr(i, 4) == "not ")
      holds = !holds;
  }
  for (const std::string_view empty :
       {"= \"\"", "=\"\"", "= ''", "=''", "== 0"})
    if (Contains(text, empty)) {
      holds = !holds;
      break;
    }
  if (names(kSession)) {
    (holds ? result.true_then : result.false_then) = true;
  } else if (after_ssh_add && Contains(text, "$?")) {
    // `ssh-add -l; if [ $? -eq 2 ]`: asks for the failure.
    result.false_then = true;
  } else if (names(kElsewhere)) {
    (holds ? result.false_then : result.true_then) = true;
  }
  return result;
}

Condition operator|(Condition a, const Condition& b) {
  a.false_then = a.false_then || b.false_then;
  a.true_then = a.true_then || b.true_then;
  a.interactive = a.interactive || b.interactive;
  if (a.text.size() < kMaxText) a.text += b.text;
  return a;
}

// ------------------------------------------------------------------ effects --

struct Effect {
  StartupEffect effect = StartupEffect::kSets;
  bool guarded = false;    ///< by itself: ${SSH_AUTH_SOCK:-...}
  std::string value = {};  ///< what the variable becomes; the link's path
};

// The link that `ln -s ... "$SSH_AUTH_SOCK" LINK` makes; empty if it is none
// for an agent.
std::string LinkMade(const std::vector<std::string>& arguments) {
  bool of_socket = false;
  std::string target;
  for (const std::string& argument : arguments) {
    const std::string word = Unquote(argument);
    if (word.starts_with('-') || Contains(word, ">")) continue;
    of_socket = of_socket || Contains(word, "SSH_AUTH_SOCK");
    if (!Contains(word, "$SSH_AUTH_SOCK") && !Contains(word, "{SSH_AUTH_SOCK"))
      target = word;
  }
  // The loop over sockets of the recipe has another name for the first one.
  return of_socket || Contains(target, "ssh_auth_sock") ? target
                                                        : std::string();
}

// Whether a condition asks if something lies at the path of \a link.
bool AsksForFile(std::string_view condition, const std::string& link) {
  const std::string bare = Unquote(condition);
  for (const std::string test : {"-S ", "-e ", "-L ", "-h ", "-f ", "-r "})
    if (!link.empty() && Contains(bare, test + link)) return true;
  return false;
}

bool StartsAgent(std::string_view text) {
  return (Contains(text, "ssh-agent") && !Contains(text, "ssh-agent -k")) ||
         Contains(text, "keychain") || Contains(text, "gnome-keyring-daemon");
}

// A plugin of oh-my-zsh that starts an agent, or takes gpg-agent for one where
// that serves ssh.
bool IsAgentPlugin(std::string_view plugin, const StartupUser& user) {
  return plugin == "ssh-agent" || plugin == "keychain" ||
         (plugin == "gpg-agent" && user.gpg_agent_serves_ssh);
}

// keychain's options to keep a forwarded agent.
bool KeepsForwarded(std::string_view text) {
  return Contains(text, "--inherit any") || Contains(text, "--inherit=any") ||
         Contains(text, "--ssh-allow-forwarded");
}

std::optional<Effect> Assigns(const std::string& value) {
  const std::string bare = Unquote(value);
  if (bare.empty()) return Effect{StartupEffect::kUnsets};
  if (bare == "$SSH_AUTH_SOCK" || bare == "${SSH_AUTH_SOCK}")
    return std::nullopt;
  return Effect{StartupEffect::kSets, Contains(bare, "SSH_AUTH_SOCK"), bare};
}

// A simple command's effect on SSH_AUTH_SOCK.
std::optional<Effect> EffectOf(const std::vector<std::string>& words,
                               Dialect dialect) {
  constexpr std::string_view kName = "SSH_AUTH_SOCK";
  const std::string assignment = std::string(kName) + "=";
  std::size_t at = 0;
  std::optional<Effect> assigned;
  for (; at < words.size(); ++at) {
    const std::size_t equal = words[at].find('=');
    const bool is_assignment = equal != std::string::npos && equal > 0 &&
                               words[at].find_first_of("\"'$`(/") >= equal &&
                               dialect != Dialect::kCsh;
    if (!is_assignment) break;
    if (words[at].starts_with(assignment))
      assigned = Assigns(words[at].substr(assignment.size()));
    else if (Contains(words[at], "$(ssh-agent") ||
             Contains(words[at], "`ssh-agent"))
      assigned = Effect{StartupEffect::kStartsAgent};
  }
  if (at == words.size()) return assigned;  // else it holds for one command

  for (; at < words.size(); ++at) {
    if (words[at] != "exec" && words[at] != "command" &&
        words[at] != "builtin" && words[at] != "nohup")
      break;
  }
  if (at == words.size()) return std::nullopt;

  const std::string command = BaseName(Unquote(words[at]));
  const std::vector<std::string> arguments(
      words.begin() + static_cast<std::ptrdiff_t>(at) + 1, words.end());
  std::string rest;
  for (const std::string& word : arguments) rest += word + " ";
  const auto has = [&](std::string_view word) {
    return std::find(arguments.begin(), arguments.end(), word) !=
           arguments.end();
  };

  if (command == "export" || command == "declare" || command == "typeset" ||
      command == "readonly") {
    for (const std::string& word : arguments)
      if (word.starts_with(assignment))
        return Assigns(word.substr(assignment.size()));
    if (StartsAgent(rest) && Contains(rest, "$("))
      return Effect{StartupEffect::kStartsAgent};
    return std::nullopt;
  }
  if (command == "setenv" && !arguments.empty() && arguments[0] == kName)
    return Assigns(rest.substr(std::min(rest.size(), kName.size() + 1)));
  if ((command == "unset" || command == "unsetenv") && has(kName))
    return Effect{StartupEffect::kUnsets};
  if (command == "set" && dialect == Dialect::kFish && has(kName)) {
    std::string flags;
    std::size_t name = 0;
    while (arguments[name] != kName) flags += arguments[name++];
    // -q asks, -l is local.
    if (Contains(flags, "q") || Contains(flags, "--query")) return std::nullopt;
    if (Contains(flags, "-l") && !Contains(flags, "x")) return std::nullopt;
    if (Contains(flags, "e")) return Effect{StartupEffect::kUnsets};
    return Assigns(name + 1 < arguments.size() ? arguments[name + 1] : "");
  }
  if (command == "eval" || command == "source" || command == ".") {
    if (StartsAgent(rest))
      return Effect{StartupEffect::kStartsAgent, KeepsForwarded(rest)};
    if (command == "eval" && Contains(rest, kName) && !Contains(rest, "unset"))
      return Effect{StartupEffect::kSets, Contains(rest, "${SSH_AUTH_SOCK:")};
    return std::nullopt;
  }
  if (command == "ssh-agent" && !has("-k"))
    return Effect{StartupEffect::kStartsAgent};
  if (command == "ln" && Contains(rest, "-"))
    if (std::string link = LinkMade(arguments); !link.empty())
      return Effect{StartupEffect::kLinks, false, std::move(link)};
  return std::nullopt;
}

// -------------------------------------------------------------------- files --

// Walks one file and keeps what guards each line.
class FileReader {
 public:
  FileReader(const std::string& file, Reading reading,
             const std::set<std::string>& links, const StartupUser& user)
      : file_(file), reading_(reading), links_(links), user_(user) {}

  void Line(int number, const std::string& text) {
    number_ = number;
    text_ = text;
    if (ContinuesArray()) return;
    if (Contains(text, "ssh-add")) ssh_add_line_ = number;
    if (Contains(text, ":omz:plugins:ssh-agent") &&
        Contains(text, "agent-forwarding") &&
        (Contains(text, "yes") || Contains(text, "on ")))
      plugin_forwards_ = true;
    if (!continued_) EndList();
    continued_ = false;
    std::vector<Token> tokens = Tokenizer(reading_.dialect, text).Run();
    if (!tokens.empty() && !tokens.back().is_operator &&
        tokens.back().text == "\\") {
      tokens.pop_back();
      continued_ = true;
    }
    if (reading_.dialect == Dialect::kCsh)
      Csh(tokens);
    else
      Commands(tokens, 0);
    if (!tokens.empty() && tokens.back().is_operator &&
        (tokens.back().text == "&&" || tokens.back().text == "||" ||
         tokens.back().text == "|"))
      continued_ = true;
  }

  // The lines found; those in functions only if something calls them.
  std::vector<StartupLine> Take() {
    for (const Call& call : calls_)
      if (call.caller.empty()) Enter(call, 0);
    if (plugin_forwards_)
      for (StartupLine& line : found_)
        if (Contains(line.text, "plugins") && Contains(line.text, "ssh-agent"))
          line.guarded = true;
    return std::move(found_);
  }

 private:
  enum class Kind { kIf, kCase, kLoop, kBraces, kSubshell, kFunction };

  struct Block {
    Kind kind = Kind::kBraces;
    std::string function = {};
    bool in_condition = false;  ///< between if and then
    Condition condition = {};   ///< of this branch
    Condition earlier = {};     ///< of the branches before
    bool guarded = false;
    bool interactive = false;
    bool forwarded_only = false;  ///< run where an agent is forwarded
    bool pattern = false;         ///< case: a pattern comes next
  };

  // What holds at a place in the file.
  struct State {
    bool guarded = false;
    bool interactive = false;
    bool forwarded_only = false;
    bool subshell = false;
    std::string function = {};
    std::string conditions = {};  ///< around it, as written
  };

  struct Call {
    std::string caller = {};
    std::string callee = {};
    bool guarded = false;
    bool interactive = false;
  };

  State Now() const {
    State state{rest_guarded_ || list_guarded_,
                rest_interactive_ || list_interactive_,
                list_forwarded_,
                false,
                {},
                list_.text};
    for (const Block& block : blocks_) {
      if (block.kind == Kind::kFunction) {
        // What stands around a definition does not matter to its body.
        state = {list_guarded_, list_interactive_, list_forwarded_,
                 false,         block.function,    list_.text};
        continue;
      }
      state.conditions += block.condition.text;
      state.guarded = state.guarded || block.guarded;
      state.interactive = state.interactive || block.interactive;
      state.forwarded_only = state.forwarded_only || block.forwarded_only;
      state.subshell = state.subshell || block.kind == Kind::kSubshell;
    }
    return state;
  }

  void Push(Block block) {
    if (blocks_.size() < kMaxDepth) blocks_.push_back(std::move(block));
  }

  // A block that the list before it decides about: `[ ... ] || {`.
  void PushGuarded(Kind kind) {
    Block block;
    block.kind = kind;
    block.guarded = list_guarded_;
    block.interactive = list_interactive_;
    block.forwarded_only = list_forwarded_;
    Push(std::move(block));
  }

  void Pop() {
    if (!blocks_.empty()) blocks_.pop_back();
    EndList();
  }

  void EndList() {
    list_ = {};
    list_guarded_ = list_interactive_ = list_forwarded_ = false;
  }

  // What follows `&&` runs if the list so far holds, what follows `||` if not.
  void Connect(bool if_true) {
    list_guarded_ = if_true ? list_.false_then : list_.true_then;
    list_forwarded_ = if_true ? list_.true_then : list_.false_then;
    list_interactive_ = list_.interactive;
  }

  Condition Judge(const std::vector<std::string>& words) const {
    std::string text;
    for (const std::string& word : words) text += word + " ";
    return JudgeOne(text, number_ - ssh_add_line_ <= 3 && ssh_add_line_ > 0);
  }

  void OpenIf() {
    Block block;
    block.kind = Kind::kIf;
    block.guarded = list_guarded_;
    block.in_condition = true;
    Push(std::move(block));
  }

  // Enters the branch that the condition of the innermost `if` opens.
  void Then() {
    if (blocks_.empty()) return;
    Block& block = blocks_.back();
    block.in_condition = false;
    block.guarded = block.condition.false_then || block.earlier.true_then;
    block.forwarded_only = !block.guarded && (block.condition.true_then ||
                                              block.earlier.false_then);
    block.interactive = block.condition.interactive;
    EndList();
  }

  void Else(bool with_condition) {
    if (blocks_.empty()) return;
    Block& block = blocks_.back();
    block.earlier = block.earlier | block.condition;
    block.condition = {};
    block.in_condition = with_condition;
    if (!with_condition) {
      Then();
      block.interactive = block.earlier.interactive;
    }
    EndList();
  }

  bool InCondition() const {
    return !blocks_.empty() && blocks_.back().in_condition;
  }

  // sh and fish.
  void Commands(const std::vector<Token>& tokens, std::size_t at) {
    std::vector<std::string> words;
    for (; at < tokens.size(); ++at) {
      const Token& token = tokens[at];
      if (!token.is_operator) {
        if (!blocks_.empty() && blocks_.back().pattern) {
          if (token.text == "esac") Pop();
          continue;  // a pattern of case
        }
        if (words.empty() && Keyword(tokens, at)) continue;
        words.push_back(token.text);
        continue;
      }
      if (!blocks_.empty() && blocks_.back().pattern) {
        if (token.text == ")") blocks_.back().pattern = false;
        continue;
      }
      if (token.text == "(" && words.size() == 1 && at + 1 < tokens.size() &&
          tokens[at + 1].text == ")") {
        pending_function_ = words[0];
        words.clear();
        ++at;
        continue;
      }
      Simple(words);
      words.clear();
      if (token.text == "&&" || token.text == "||") {
        Connect(token.text == "&&");
      } else if (token.text == "(") {
        PushGuarded(Kind::kSubshell);
      } else if (token.text == ")") {
        if (!blocks_.empty() && blocks_.back().kind == Kind::kSubshell) Pop();
      } else if (token.text == ";;") {
        if (!blocks_.empty() && blocks_.back().kind == Kind::kCase)
          blocks_.back().pattern = true;
        EndList();
      } else if (token.text != "|") {
        EndStatement(tokens, at);
      }
    }
    Simple(words);
    if (!continued_ && (tokens.empty() || !tokens.back().is_operator))
      EndStatement(tokens, tokens.size());
  }

  // After `;`, `&` or a line: in fish, `and` and `or` still belong to it.
  void EndStatement(const std::vector<Token>& tokens, std::size_t at) {
    if (reading_.dialect != Dialect::kFish) {
      EndList();
      return;
    }
    if (at + 1 < tokens.size() &&
        (tokens[at + 1].text == "and" || tokens[at + 1].text == "or"))
      return;
    if (InCondition() && at + 1 < tokens.size()) Then();
    if (at < tokens.size()) EndList();
  }

  // Handles a word at the place of a command; false if it is a plain one.
  bool Keyword(const std::vector<Token>& tokens, std::size_t& at) {
    const std::string& word = tokens[at].text;
    const bool fish = reading_.dialect == Dialect::kFish;
    if (word == "and" || word == "or") {
      if (!fish) return false;
      Connect(word == "and");
      return true;
    }
    // A new line of fish that does not begin with these ends the condition.
    if (fish && InCondition() && at == 0) Then();
    if (fish && at == 0) EndList();
    if (word == "if") {
      OpenIf();
    } else if (word == "elif") {
      Else(true);
    } else if (word == "else") {
      if (fish && at + 1 < tokens.size() && tokens[at + 1].text == "if") {
        ++at;
        Else(true);
      } else {
        Else(false);
      }
    } else if (word == "then" && !fish) {
      Then();
    } else if ((word == "fi" || word == "done" || word == "esac" ||
                word == "}") &&
               !fish) {
      Pop();
    } else if (word == "end" && fish) {
      Pop();
    } else if (word == "{" || (word == "begin" && fish)) {
      if (pending_function_.empty()) {
        PushGuarded(Kind::kBraces);
      } else {
        PushFunction();
      }
    } else if (word == "while" || word == "until" || word == "for" ||
               word == "select") {
      PushGuarded(Kind::kLoop);
      if (word == "for" || word == "select")
        while (at + 1 < tokens.size() && !tokens[at + 1].is_operator) ++at;
    } else if (word == "do") {
      return true;
    } else if (word == "function") {
      if (at + 1 >= tokens.size()) return true;
      pending_function_ = tokens[++at].text;
      if (fish) {
        PushFunction();
        at = tokens.size() - 1;
      } else if (at + 2 < tokens.size() && tokens[at + 1].text == "(") {
        at += 2;
      }
    } else if (word == "case" && !fish) {
      PushGuarded(Kind::kCase);
      std::vector<std::string> words;
      while (at + 1 < tokens.size() && tokens[at + 1].text != "in")
        words.push_back(tokens[++at].text);
      if (at + 1 < tokens.size()) ++at;
      const Condition condition = Judge(words);
      Block& block = blocks_.back();
      block.pattern = true;
      block.interactive = block.interactive || condition.interactive;
      block.guarded =
          block.guarded || condition.true_then || condition.false_then;
    } else if (word == "switch" && fish) {
      PushGuarded(Kind::kLoop);
    } else {
      return false;
    }
    return true;
  }

  void PushFunction() {
    Block block;
    block.kind = Kind::kFunction;
    block.function = pending_function_;
    pending_function_.clear();
    functions_.insert(block.function);
    Push(std::move(block));
    EndList();
  }

  // csh knows `if (...) command`, `if (...) then`, `else if`, `endif`.
  void Csh(const std::vector<Token>& tokens) {
    std::size_t at = 0;
    const auto is = [&](std::string_view word) {
      return at < tokens.size() && tokens[at].text == word;
    };
    if (is("endif") || is("end") || is("endsw")) {
      Pop();
      return;
    }
    if (is("foreach") || is("switch") || is("while")) {
      PushGuarded(Kind::kLoop);
      return;
    }
    const bool other = is("else");
    if (other) ++at;
    if (is("if")) {
      std::vector<std::string> words;
      int depth = 0;
      for (++at; at < tokens.size(); ++at) {
        depth += is("(") ? 1 : is(")") ? -1 : 0;
        words.push_back(tokens[at].text);
        if (depth == 0) break;
      }
      ++at;
      const Condition condition = Judge(words);
      if (is("then")) {
        if (other)
          Else(true);
        else
          OpenIf();
        if (!blocks_.empty()) blocks_.back().condition = condition;
        Then();
        return;
      }
      list_ = condition;
      Connect(true);
    } else if (other) {
      Else(false);
      return;
    }
    Commands(tokens, at);
  }

  void Simple(const std::vector<std::string>& words) {
    if (words.empty()) return;
    const Condition condition = Judge(words);
    if (InCondition()) {
      blocks_.back().condition = blocks_.back().condition | condition;
      list_ = list_ | condition;
      return;
    }
    const State now = Now();
    const std::string command = Unquote(words[0]);
    if (words.size() == 1 && Contains(command, "=(")) {
      const std::size_t open = command.find("=(");
      const std::string name = command.substr(0, open);
      std::string inside = command.substr(open + 2);
      if (inside.ends_with(')'))
        inside.pop_back();
      else
        array_ = name;
      ReadPlugins(name, Tokenizer(reading_.dialect, inside).Run());
    }
    if ((command == "return" || command == "exit") && now.function.empty()) {
      if (now.interactive) rest_interactive_ = true;
      if (now.forwarded_only) rest_guarded_ = true;
    } else if (const auto effect = EffectOf(words, reading_.dialect)) {
      Found(*effect, now);
    } else {
      if (calls_.size() < kMaxCalls)
        calls_.push_back({now.function, command, now.guarded, now.interactive});
    }
    list_ = list_ | condition;
  }

  void Found(const Effect& effect, const State& now) {
    const bool makes_link = effect.effect == StartupEffect::kLinks;
    if (!makes_link) {
      if (IsSshrc(file_, user_)) return;
      // A subshell can start an agent, but not change our variable.
      if (now.subshell && effect.effect != StartupEffect::kStartsAgent) return;
      // The link is pointed at the forwarded socket: the usual recipe.
      if (links_.contains(AtHome(effect.value, user_))) return;
    }
    StartupLine line;
    line.file = file_;
    line.line = number_;
    line.text = Trim(text_).substr(0, kMaxText);
    line.scope = Scope(now.interactive);
    line.effect = effect.effect;
    line.guarded = makes_link ? AsksForFile(now.conditions, effect.value)
                              : effect.guarded || now.guarded;
    if (now.function.empty())
      Add(std::move(line));
    else
      in_functions_[now.function].push_back(std::move(line));
  }

  StartupScope Scope(bool interactive) const {
    return interactive && reading_.scope == StartupScope::kEveryShell
               ? StartupScope::kInteractive
               : reading_.scope;
  }

  // One for a line, the least guarded.
  void Add(StartupLine line) {
    for (StartupLine& other : found_) {
      if (other.line != line.line) continue;
      if (other.guarded && !line.guarded) other = std::move(line);
      return;
    }
    found_.push_back(std::move(line));
  }

  void Enter(const Call& call, std::size_t depth) {
    if (!functions_.contains(call.callee) || depth > 8) return;
    if (!entered_.insert({call.callee, call.guarded, call.interactive}).second)
      return;
    for (StartupLine line : in_functions_[call.callee]) {
      line.guarded = line.guarded || call.guarded;
      if (call.interactive) line.scope = Scope(true);
      Add(std::move(line));
    }
    for (const Call& inner : calls_)
      if (inner.caller == call.callee)
        Enter({inner.caller, inner.callee, inner.guarded || call.guarded,
               inner.interactive || call.interactive},
              depth + 1);
  }

  // The words of plugins=( of oh-my-zsh, over several lines as well.
  void ReadPlugins(const std::string& array, const std::vector<Token>& tokens) {
    if (array != "plugins" && array != "plugins+") return;
    for (const Token& token : tokens)
      if (IsAgentPlugin(Unquote(token.text), user_))
        Found({StartupEffect::kStartsAgent}, Now());
  }

  bool ContinuesArray() {
    if (array_.empty()) return false;
    std::vector<Token> tokens = Tokenizer(reading_.dialect, text_).Run();
    const auto end =
        std::find_if(tokens.begin(), tokens.end(),
                     [](const Token& token) { return token.text == ")"; });
    const bool closed = end != tokens.end();
    tokens.erase(end, tokens.end());
    text_ = array_ + "=(... " + std::string(Trim(text_)) + " ...)";
    ReadPlugins(array_, tokens);
    if (closed) array_.clear();
    return true;
  }

  const std::string& file_;
  Reading reading_;
  const std::set<std::string>& links_;
  const StartupUser& user_;
  int number_ = 0;
  std::string text_;
  bool continued_ = false;
  int ssh_add_line_ = 0;
  bool plugin_forwards_ = false;
  std::string array_;
  std::vector<Block> blocks_;
  std::string pending_function_;
  Condition list_;
  bool list_guarded_ = false;
  bool list_interactive_ = false;
  bool list_forwarded_ = false;
  bool rest_guarded_ = false;      ///< after `[ -n "$SSH_TTY" ] && return`
  bool rest_interactive_ = false;  ///< after `[ -z "$PS1" ] && return`
  std::set<std::string> functions_;
  std::map<std::string, std::vector<StartupLine>> in_functions_;
  std::vector<Call> calls_;
  std::set<std::tuple<std::string, bool, bool>> entered_;
  std::vector<StartupLine> found_;
};

// ~/.ssh/environment (sshd(8)), /etc/environment and pam_env.conf(5).
std::optional<StartupLine> ReadAssignment(const FileLine& line) {
  std::string_view text = Trim(line.text);
  if (text.starts_with("export ")) text = Trim(text.substr(7));
  if (!text.starts_with("SSH_AUTH_SOCK")) return std::nullopt;
  text.remove_prefix(std::string_view("SSH_AUTH_SOCK").size());
  if (text.empty() ||
      (text.front() != '=' && text.front() != ' ' && text.front() != '\t'))
    return std::nullopt;
  const bool empty = Trim(text) == "=" || Trim(text).empty();
  return StartupLine{line.file,
                     line.line,
                     std::string(Trim(line.text).substr(0, kMaxText)),
                     StartupScope::kSession,
                     empty ? StartupEffect::kUnsets : StartupEffect::kSets,
                     false};
}

// The links that any of the files points at a socket.
std::set<std::string> Links(const std::vector<FileLine>& lines,
                            const StartupUser& user) {
  std::set<std::string> links;
  for (const FileLine& line : lines) {
    const std::vector<Token> tokens = Tokenizer(Dialect::kSh, line.text).Run();
    for (std::size_t i = 0; i + 2 < tokens.size(); ++i) {
      if (tokens[i].is_operator || BaseName(tokens[i].text) != "ln") continue;
      std::vector<std::string> arguments;
      for (++i; i < tokens.size() && !tokens[i].is_operator; ++i)
        arguments.push_back(tokens[i].text);
      if (const std::string link = LinkMade(arguments); !link.empty())
        links.insert(AtHome(link, user));
    }
  }
  return links;
}

}  // namespace

std::vector<StartupLine> ParseStartupFiles(const std::vector<FileLine>& hits,
                                           const std::vector<FileLine>& context,
                                           const StartupUser& owner) {
  std::vector<std::string> files;
  std::map<std::string, std::map<int, std::string>> texts;
  for (const FileLine& line : hits) {
    if (texts.find(line.file) == texts.end()) files.push_back(line.file);
    texts[line.file][line.line] = line.text;
  }
  for (const FileLine& line : context)
    if (const auto found = texts.find(line.file); found != texts.end())
      found->second.emplace(line.line, line.text);

  StartupUser user = owner;
  user.gpg_agent_serves_ssh =
      std::any_of(hits.begin(), hits.end(), [](const FileLine& line) {
        return line.file.ends_with("/gpg-agent.conf") &&
               Trim(line.text).starts_with("enable-ssh-support");
      });
  const std::set<std::string> links = Links(hits, user);
  std::vector<StartupLine> result;
  for (const std::string& file : files) {
    const Reading reading = HowRead(file, user);
    if (reading.dialect == Dialect::kNone) continue;
    if (reading.dialect == Dialect::kAssignments) {
      for (const auto& [number, text] : texts[file])
        if (auto line = ReadAssignment({file, number, text}))
          result.push_back(std::move(*line));
      continue;
    }
    FileReader reader(file, reading, links, user);
    for (const auto& [number, text] : texts[file]) reader.Line(number, text);
    for (StartupLine& line : reader.Take()) result.push_back(std::move(line));
  }
  return result;
}

}  // namespace agentdoctor
