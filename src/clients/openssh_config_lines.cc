#include "clients/openssh_config_lines.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <set>
#include <utility>

#include "clients/openssh_messages.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
// log messages print file names with "%.200s".
constexpr std::size_t kLoggedPath = 200;
// READCONF_MAX_DEPTH is 16; the trace cannot lead deeper.
constexpr int kMaxDepth = 16;

// ------------------------------------------------------------------ words --

std::size_t SkipSpace(std::string_view text, std::size_t at) {
  const std::size_t found = text.find_first_not_of(kSpace, at);
  return found == std::string_view::npos ? text.size() : found;
}

/// misc.c:argv_split() with terminate_on_comment.  \a end: where the comment
/// begins.  False: a quote is not closed.
bool SplitArguments(std::string_view text, std::vector<std::string>& arguments,
                    std::size_t& end) {
  std::size_t i = 0;
  for (; i < text.size(); ++i) {
    if (text[i] == ' ' || text[i] == '\t') continue;
    if (text[i] == '#') break;
    std::string word;
    char quote = 0;
    for (; i < text.size(); ++i) {
      const char c = text[i];
      const char next = i + 1 < text.size() ? text[i + 1] : '\0';
      if (c == '\\' && (next == '\'' || next == '"' || next == '\\' ||
                        (quote == 0 && next == ' '))) {
        word += next;
        ++i;
      } else if (quote == 0 && (c == ' ' || c == '\t')) {
        break;
      } else if (quote == 0 && (c == '"' || c == '\'')) {
        quote = c;
      } else if (quote != 0 && c == quote) {
        quote = 0;
      } else {
        word += c;
      }
    }
    if (quote != 0) return false;
    arguments.push_back(std::move(word));
  }
  end = std::min(i, text.size());
  return true;
}

/// Keywords whose argument is the rest of the line, a `#` included.
bool TakesRestOfLine(std::string_view keyword) {
  return keyword == "proxycommand" || keyword == "remotecommand" ||
         keyword == "localcommand" || keyword == "knownhostscommand";
}

bool HasWildcard(std::string_view pattern) {
  return pattern.find_first_of("*?") != std::string_view::npos;
}

/// Whether a pattern says anything about the name: `*` does not.
bool SaysSomething(std::string_view pattern) {
  return pattern.find_first_not_of("*?") != std::string_view::npos;
}

/// Whether a Match line speaks of the destination's name.  `Match user` or
/// `Match exec` would apply to a mistyped name as well.
bool MatchNamesHost(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string criterion = Lower(arguments[i]);
    std::string patterns = i + 1 < arguments.size() ? arguments[i + 1] : "";
    // "host=web1": 10.0.
    if (const auto equals = arguments[i].find('=');
        equals != std::string::npos) {
      patterns = arguments[i].substr(equals + 1);
      criterion.resize(equals);
    }
    if (criterion != "host" && criterion != "originalhost") continue;
    for (std::size_t at = 0; at <= patterns.size();) {
      const std::size_t comma = std::min(patterns.find(',', at),  //
                                         patterns.size());
      const std::string_view pattern =
          std::string_view(patterns).substr(at, comma - at);
      if (!pattern.starts_with('!') && SaysSomething(pattern)) return true;
      at = comma + 1;
    }
  }
  return false;
}

/// A Match line as evidence: the command of `exec` is cut to its shape.
std::string MatchScope(const ConfigWords& words) {
  const auto exec = std::find_if(
      words.arguments.begin(), words.arguments.end(), [](const auto& word) {
        const std::string lower = Lower(word);
        return lower == "exec" || lower == "!exec" ||
               lower.starts_with("exec=") || lower.starts_with("!exec=");
      });
  if (exec == words.arguments.end()) return words.text;
  std::string scope = "Match";
  for (auto word = words.arguments.begin(); word != words.arguments.end();
       ++word) {
    const auto equals = word->find('=');
    const std::string criterion = Lower(word->substr(0, equals));
    if (criterion != "exec" && criterion != "!exec") {
      scope += ' ' + *word;
    } else if (equals != std::string::npos) {
      scope +=
          ' ' + word->substr(0, equals) + ' ' +
          ShellQuote(CommandShape(std::string_view(*word).substr(equals + 1)));
    } else {
      scope += ' ' + *word;
      if (word + 1 != words.arguments.end())
        scope += ' ' + ShellQuote(CommandShape(*++word));
    }
  }
  return scope;
}

// ------------------------------------------------------------------ trace --

struct Event {
  enum class Kind { kRead, kInclude, kApply, kMatch } kind = Kind::kRead;
  std::string file = {};  ///< kRead: the file; else where the line stands
  int line = 0;           ///< 0 with kMatch: ssh did not say
  std::string what = {};  ///< included file, pattern
  bool holds = false;     ///< kMatch: found
};

/// ssh encodes its messages with vis(VIS_SAFE|VIS_OCTAL): \303\244, and a
/// backslash twice.
std::string Unvis(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto octal = [&](std::size_t at) {
      return at < text.size() && text[at] >= '0' && text[at] <= '7';
    };
    if (text[i] != '\\') {
      plain += text[i];
    } else if (octal(i + 1) && octal(i + 2) && octal(i + 3)) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 +
                                 (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      if (i + 1 < text.size() && text[i + 1] == '\\') ++i;
      plain += '\\';
    }
  }
  return plain;
}

/// "FILE line 12" + \a verb + rest.
bool ReadPlaced(std::string_view message, std::string_view verb, Event& event,
                std::string_view& rest) {
  const std::size_t at = message.find(verb);
  if (at == std::string_view::npos) return false;
  constexpr std::string_view kLine = " line ";
  const std::string_view head = message.substr(0, at);
  const std::size_t line = head.rfind(kLine);
  if (line == std::string_view::npos) return false;
  const char* end = head.data() + head.size();
  int number = 0;
  const auto [stop, error] =
      std::from_chars(head.data() + line + kLine.size(), end, number);
  if (error != std::errc() || stop != end) return false;
  event.file = Unvis(head.substr(0, line));
  event.line = number;
  rest = message.substr(at + verb.size());
  return true;
}

std::vector<Event> ReadEvents(std::string_view trace) {
  std::vector<Event> events;
  std::optional<Event> match;
  bool in_command = false;
  for (const std::string& text : SplitLines(trace)) {
    std::string_view message = text;
    while (message.ends_with('\r')) message.remove_suffix(1);
    // "debug3: ..."
    if (!message.starts_with("debug") || message.substr(6, 2) != ": ") continue;
    message.remove_prefix(8);

    // What a Match exec command writes to standard error is no message of
    // this ssh (it may be another ssh -v).
    if (in_command) {
      in_command = !message.starts_with(trace::kReturned);
      continue;
    }
    if (message.starts_with(trace::kExecuting)) {
      in_command = true;
      continue;
    }

    Event event;
    std::string_view rest;
    if (message.starts_with(trace::kReading)) {
      event.kind = Event::Kind::kRead;
      event.file = Unvis(message.substr(trace::kReading.size()));
      events.push_back(std::move(event));
    } else if (message.starts_with(trace::kChecking)) {
      match.emplace();
      match->kind = Event::Kind::kMatch;
    } else if (message == trace::kFound || message == trace::kNotFound) {
      if (!match) continue;
      match->holds = message == trace::kFound;
      events.push_back(std::move(*match));
      match.reset();
    } else if (match &&
               (ReadPlaced(message, trace::kMatched, event, rest) ||
                ReadPlaced(message, trace::kNotMatched, event, rest))) {
      match->file = std::move(event.file);
      match->line = event.line;
    } else if (ReadPlaced(message, trace::kApplying, event, rest)) {
      event.kind = Event::Kind::kApply;
      event.what = Unvis(rest);
      events.push_back(std::move(event));
    } else if (ReadPlaced(message, trace::kIncluding, event, rest)) {
      // " depth 0 (parse only)"; whether it counts is known from the block
      // that the Include line stands in.
      event.kind = Event::Kind::kInclude;
      event.what = Unvis(rest.substr(0, rest.rfind(trace::kDepth)));
      events.push_back(std::move(event));
    }
  }
  return events;
}

// ------------------------------------------------------------------- walk --

/// Reads the files again in step with the events.
class Walk {
 public:
  Walk(std::vector<Event> events,
       const std::function<std::string(const std::string&)>& read_file)
      : events_(std::move(events)), read_file_(read_file) {}

  AppliedLines Run() {
    for (const Event& event : events_)
      if (event.kind == Event::Kind::kApply && SaysSomething(event.what))
        found_.named = true;
    while (found_.trouble.empty() && next_ < events_.size()) {
      const Event& event = events_[next_];
      if (event.kind != Event::Kind::kRead) {
        Mismatch(event.file, event.line);
        break;
      }
      ++next_;
      ReadConfigFile(event.file, {}, true, false, 0);
    }
    return std::move(found_);
  }

 private:
  struct Scope {
    std::string text = {};
    int line = 0;
    std::string file = {};
  };

  static bool SamePath(const std::string& logged, const std::string& path) {
    return logged == path || (logged.size() == kLoggedPath &&
                              path.compare(0, kLoggedPath, logged) == 0);
  }

  const Event* Next(Event::Kind kind) const {
    return next_ < events_.size() && events_[next_].kind == kind
               ? &events_[next_]
               : nullptr;
  }

  /// The next event, if it is of this kind and about this line.
  const Event* NextAt(Event::Kind kind, const std::string& path,
                      int line) const {
    const Event* event = Next(kind);
    return event && event->line == line && SamePath(event->file, path)
               ? event
               : nullptr;
  }

  void Mismatch(const std::string& path, int line) {
    found_.trouble = path + (line ? ":" + std::to_string(line) : "") +
                     " does not fit what ssh said about it (has it just been "
                     "changed?)";
  }

  /// \a parse_only: included in a block that does not apply
  /// (SSHCONF_NEVERMATCH).
  void ReadConfigFile(const std::string& path, Scope scope, bool active,
                      bool parse_only, int depth) {
    if (depth > kMaxDepth) return Mismatch(path, 0);
    const bool first_time = std::find(found_.files.begin(), found_.files.end(),
                                      path) == found_.files.end();
    if (first_time) found_.files.push_back(path);
    const std::string text = read_file_(path);
    std::optional<OtherBlock> other;
    const auto end_block = [&] {
      if (other && first_time && !other->aliases.empty())
        found_.other_blocks.push_back(std::move(*other));
      other.reset();
    };
    int number = 0;
    for (const std::string& line : SplitLines(text)) {
      ++number;
      const auto words = SplitConfigLine(line);
      if (!words) continue;
      if (words->keyword == "host") {
        end_block();
        scope = {words->text, number, path};
        active = NextAt(Event::Kind::kApply, path, number) != nullptr;
        if (active) {
          ++next_;
        } else if (!parse_only) {
          other.emplace();
          for (const std::string& alias : words->arguments)
            if (!alias.starts_with('!') && !HasWildcard(alias))
              other->aliases.push_back(alias);
        }
      } else if (words->keyword == "match") {
        end_block();
        scope = {MatchScope(*words), number, path};
        const Event* match = Next(Event::Kind::kMatch);
        if (!match || (match->line != 0 &&
                       (match->line != number || !SamePath(match->file, path))))
          return Mismatch(path, number);
        active = match->holds && !parse_only;
        if (active && MatchNamesHost(words->arguments)) found_.named = true;
        ++next_;
      } else if (words->keyword == "include") {
        while (const Event* include =
                   NextAt(Event::Kind::kInclude, path, number)) {
          ++next_;
          // A file that has vanished since the pattern was expanded is not
          // read.
          const Event* read = Next(Event::Kind::kRead);
          if (!read || !SamePath(read->file, include->what)) continue;
          ++next_;
          ReadConfigFile(include->what, scope, active, parse_only || !active,
                         depth + 1);
          if (!found_.trouble.empty()) return;
        }
      } else if (active) {
        Apply(*words, path, number, scope);
      } else if (other) {
        Note(*words, path, number, scope, *other);
      }
    }
    end_block();
  }

  static ConfigLine Place(const ConfigWords& words, const std::string& path,
                          int line, const Scope& scope) {
    return {path, line, words.text, scope.text, scope.line, scope.file};
  }

  void Apply(const ConfigWords& words, const std::string& path, int line,
             const Scope& scope) {
    // The second pass (Match final, CanonicalizeHostname) meets most lines
    // again; what they set is set already.
    if (!applied_.emplace(path, line).second) return;
    found_.lines.push_back({Place(words, path, line, scope), words.keyword,
                            words.arguments, words.rest});
  }

  static void Note(const ConfigWords& words, const std::string& path, int line,
                   const Scope& scope, OtherBlock& other) {
    if (words.arguments.empty()) return;
    if (words.keyword == "hostname" && other.host_name.empty())
      other.host_name = words.arguments[0];
    if (words.keyword == "forwardagent" && !other.forward_agent &&
        ForwardAgentFlag(words.arguments[0]).value_or(true))
      other.forward_agent = Place(words, path, line, scope);
  }

  std::vector<Event> events_;
  const std::function<std::string(const std::string&)>& read_file_;
  std::size_t next_ = 0;
  std::set<std::pair<std::string, int>> applied_;
  AppliedLines found_;
};

}  // namespace

std::optional<ConfigWords> SplitConfigLine(std::string_view line) {
  const std::string_view text = Trim(line);
  if (text.empty() || text[0] == '#') return std::nullopt;
  // misc.c:strdelim(): the keyword ends at a blank or one `=`, and may stand
  // in double quotes.
  const bool quoted = text[0] == '"';
  const std::size_t end =
      quoted ? text.find('"', 1) : text.find_first_of(" \t\r\n\"=");
  if (end == std::string_view::npos) return std::nullopt;
  ConfigWords words;
  words.keyword = Lower(quoted ? text.substr(1, end - 1) : text.substr(0, end));
  std::size_t at = SkipSpace(text, text[end] == '=' || quoted ? end + 1 : end);
  if (!quoted && text[end] != '=' && at < text.size() && text[at] == '=')
    at = SkipSpace(text, at + 1);
  words.rest = text.substr(at);
  std::size_t comment = 0;
  if (!SplitArguments(text.substr(at), words.arguments, comment))
    return std::nullopt;
  if (TakesRestOfLine(words.keyword)) comment = words.rest.size();
  words.text = Trim(text.substr(0, at + comment));
  return words;
}

std::vector<std::string> FilesInTrace(std::string_view trace) {
  std::vector<std::string> files;
  for (const Event& event : ReadEvents(trace)) {
    const bool names =
        event.kind == Event::Kind::kRead || event.kind == Event::Kind::kInclude;
    const std::string& file =
        event.kind == Event::Kind::kInclude ? event.what : event.file;
    if (names && std::ranges::find(files, file) == files.end())
      files.push_back(file);
  }
  return files;
}

AppliedLines FollowTrace(
    std::string_view trace,
    const std::function<std::string(const std::string&)>& read_file) {
  return Walk(ReadEvents(trace), read_file).Run();
}

std::optional<bool> ForwardAgentFlag(std::string_view argument) {
  const std::string word = Lower(argument);
  if (word == "yes" || word == "true") return true;
  if (word == "no" || word == "false") return false;
  return std::nullopt;
}

std::string CommandShape(std::string_view command) {
  std::string program;
  std::size_t count = 0;
  for (std::size_t at = SkipSpace(command, 0); at < command.size();) {
    const std::size_t end =
        std::min(command.find_first_of(kSpace, at), command.size());
    const std::string_view word = command.substr(at, end - at);
    // `TOKEN=secret exec aws ...`: neither the assignment nor exec is it.
    if (program.empty() && word != "exec" &&
        word.find('=') == std::string_view::npos)
      program = word.substr(word.rfind('/') + 1);
    ++count;
    at = SkipSpace(command, end);
  }
  if (count == 1) return program;
  return program + (program.empty() ? "… (" : " … (") + std::to_string(count) +
         " words)";
}

}  // namespace agentdoctor
