#include "probes/shrink.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "system/text.h"

namespace agentdoctor {
namespace {

enum class Kind {
  kText,
  kSpace,
  kNewline,
  kPatternEnd,  // the parenthesis behind the pattern of a case
  kClosing,     // that of $(...): a word may end there
  kWord,        // a function, if there is one of that name
  kVariable,    // the same of variables
};

struct Token {
  Kind kind = Kind::kText;
  std::string text = {};
};

bool IsOneOf(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}

bool IsNameChar(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

// Only these are ours; the others come from the environment, or go there.
bool IsOurs(std::string_view name) {
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// Words behind which a command begins.
const std::set<std::string_view> kBefore = {"if",    "then",  "elif", "else",
                                            "while", "until", "do"};

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {
    while (at_ < text_.size()) Code();
  }

  std::vector<Token> tokens = {};
  std::set<std::string> functions = {};
  std::set<std::string> variables = {};

 private:
  char Peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  // The next characters, as part of a word.
  void Take(std::size_t count) {
    tokens.push_back({Kind::kText, std::string(text_.substr(at_, count))});
    at_ += count;
  }

  std::string Name() {
    const std::size_t begin = at_;
    while (IsNameChar(Peek())) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  void Define(const std::string& name) {
    if (IsOurs(name)) variables.insert(name);
  }

  // One token outside of quotes.
  void Code() {
    const char c = Peek();
    const char before = at_ == 0 ? '\n' : text_[at_ - 1];
    if (c == ' ' || c == '\n') {
      if (assigning_ || c == '\n') command_ = true;
      if (c == '\n') defining_ = false;
      assigning_ = false;
      tokens.push_back({c == ' ' ? Kind::kSpace : Kind::kNewline, ""});
      ++at_;
    } else if (IsOneOf(c, ";|&()<>")) {
      Operator(c, before);
    } else if (IsNameChar(c) && IsOneOf(before, " \n;|&(){}")) {
      Word(Name());
    } else {
      if (c == '\\')
        Take(2);
      else if (c == '"')
        String(false);
      else if (c == '$')
        Dollar();
      else
        Take(1);
      command_ = c == '{' && command_;
    }
  }

  void Operator(char c, char before) {
    const bool redirects =
        c == '<' || c == '>' || (c == '&' && IsOneOf(before, "<>"));
    if (!redirects) command_ = true;
    defining_ = false;
    assigning_ = false;
    Take(1);
    if (c == '(') ++depth_;
    if (c != ')') return;
    if (depth_ > 0)
      --depth_;
    else
      tokens.back().kind = Kind::kPatternEnd;
  }

  void Word(const std::string& word) {
    const char next = Peek();
    const bool ends = next == '\0' || IsOneOf(next, " \n;|&()}<>");
    if (word == "in") defining_ = false;  // for NAME in ...
    if (defining_ && ends) {
      Define(word);
      tokens.push_back({Kind::kVariable, word});
      return;
    }
    if (command_ && next == '=') {
      Define(word);
      tokens.push_back({Kind::kVariable, word});
      assigning_ = true;
      command_ = false;
      return;
    }
    tokens.push_back({ends ? Kind::kWord : Kind::kText, word});
    if (command_ && next == '(' && Peek(1) == ')') functions.insert(word);
    if (command_ && (word == "for" || word == "read")) defining_ = true;
    if (word == "eval" && Peek(1) == '"') {
      Take(1);
      String(true);
    }
    command_ = command_ && kBefore.contains(word);
  }

  void String(bool evaluated) {
    Take(1);
    if (evaluated && IsNameChar(Peek())) {
      const std::string name = Name();
      const bool assigned = Peek() == '=';
      if (assigned) Define(name);
      tokens.push_back({assigned ? Kind::kVariable : Kind::kWord, name});
    }
    while (at_ < text_.size() && Peek() != '"') {
      if (Peek() == '\\')
        Take(2);
      else if (Peek() == '$')
        Dollar();
      else
        Take(1);
    }
    Take(1);
  }

  // $name, ${...}, $(...) and the rest.
  void Dollar() {
    const char next = Peek(1);
    if (next == '(') {
      Take(2);
      const int outer = std::exchange(depth_, 0);
      const bool command = std::exchange(command_, true);
      while (at_ < text_.size() && (Peek() != ')' || depth_ > 0)) Code();
      Take(1);
      tokens.back().kind = Kind::kClosing;
      depth_ = outer;
      command_ = command;
      assigning_ = false;
    } else if (next == '{') {
      Take(Peek(2) == '#' && IsNameChar(Peek(3)) ? 3 : 2);
      if (IsNameChar(Peek())) tokens.push_back({Kind::kVariable, Name()});
      while (at_ < text_.size() && Peek() != '}') {
        if (Peek() == '\\')
          Take(2);
        else if (Peek() == '"')
          String(false);
        else if (Peek() == '$')
          Dollar();
        else
          Take(1);
      }
      Take(1);
    } else if (IsNameChar(next) &&
               std::isdigit(static_cast<unsigned char>(next)) == 0) {
      Take(1);
      tokens.push_back({Kind::kVariable, Name()});
    } else {
      Take(2);
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;           // of parentheses
  bool command_ = true;     // a command may begin here
  bool assigning_ = false;  // a command may follow this word
  bool defining_ = false;   // the words behind for and read
};

// Short names, the shortest for what is used most.
std::map<std::string, std::string> Rename(const std::vector<Token>& tokens,
                                          const std::set<std::string>& names,
                                          Kind kind) {
  // r is an alias of ksh.
  std::set<std::string> taken = {"r"};
  std::map<std::string, int> uses;
  for (const Token& token : tokens) {
    if (token.kind != kind) continue;
    if (names.contains(token.text))
      ++uses[token.text];
    else
      taken.insert(token.text);
  }
  std::vector<std::pair<std::string, int>> order(uses.begin(), uses.end());
  std::ranges::stable_sort(order, std::greater(), [](const auto& use) {
    return use.second * static_cast<int>(use.first.size());
  });
  std::ranges::stable_sort(order, std::greater(),
                           [](const auto& use) { return use.second; });
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::map<std::string, std::string> renamed;
  std::size_t next = 0;
  for (const auto& [name, count] : order) {
    std::string short_name;
    do {
      short_name = kLetters[next % kLetters.size()];
      if (next >= kLetters.size())
        short_name += std::to_string(next / kLetters.size() - 1);
      ++next;
    } while (taken.contains(short_name));
    renamed[name] = short_name;
  }
  return renamed;
}

// The tokens on one line, with as few characters between them as sh allows.
std::string Join(const std::vector<Token>& tokens) {
  std::string result;
  std::string_view word;  // the last one, if nothing came behind it
  bool space = false;
  bool newline = false;
  Kind last = Kind::kText;
  for (const Token& token : tokens) {
    if (token.kind == Kind::kSpace || token.kind == Kind::kNewline) {
      space = space || token.kind == Kind::kSpace;
      newline = newline || token.kind == Kind::kNewline;
      continue;
    }
    const char before = result.empty() ? ';' : result.back();
    const char next = token.text.front();
    if ((newline || space) && token.text == "esac" && result.ends_with(";;") &&
        !result.ends_with(");;")) {
      result.pop_back();
    } else if (newline) {
      if (word == "then" || word == "else" || word == "do" || word == "in" ||
          before == '{')
        result += ' ';
      else if (!IsOneOf(before, ";|&(") && last != Kind::kPatternEnd)
        result += ';';
    } else if (space) {
      const bool apart =
          IsOneOf(before, ";|&(<>") || last == Kind::kPatternEnd ||
          (before == ')' && last == Kind::kText) || IsOneOf(next, ";|&)") ||
          (IsOneOf(next, "<>") &&
           std::isdigit(static_cast<unsigned char>(before)) == 0);
      if (!apart) result += ' ';
    }
    space = false;
    newline = false;
    result += token.text;
    last = token.kind;
    word = token.kind == Kind::kWord ? std::string_view(token.text)
                                     : std::string_view();
  }
  return result;
}

}  // namespace

std::string Shrink(std::string_view script) {
  std::string code;
  for (const std::string& raw : SplitLines(script)) {
    const std::string_view line = Trim(raw);
    if (line.empty() || line.front() == '#') continue;
    code += line;
    code += '\n';
  }
  Scanner scanner(code);
  const auto variables =
      Rename(scanner.tokens, scanner.variables, Kind::kVariable);
  const auto functions = Rename(scanner.tokens, scanner.functions, Kind::kWord);
  for (Token& token : scanner.tokens) {
    const auto& names = token.kind == Kind::kVariable ? variables : functions;
    if (token.kind != Kind::kVariable && token.kind != Kind::kWord) continue;
    if (const auto found = names.find(token.text); found != names.end())
      token.text = found->second;
  }
  return Join(scanner.tokens);
}

}  // namespace agentdoctor
