#include "words.h"

#include <algorithm>
#include <cctype>
#include <chrono>

#include "agentdoctor/ssh_options.h"

namespace agentdoctor::checks {
namespace {

std::string Lowered(std::string_view text) {
  std::string lowered(text);
  std::ranges::transform(lowered, lowered.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return lowered;
}

/// "identityagent" for "IdentityAgent=none" and "IdentityAgent none".
std::string KeywordOf(std::string_view option) {
  option.remove_prefix(
      std::min(option.find_first_not_of(" \t"), option.size()));
  return Lowered(option.substr(0, option.find_first_of(" \t=")));
}

/// Whether the word at \a at and the next one set \a keyword.
bool Sets(const std::vector<std::string>& options, std::size_t at,
          std::string_view keyword) {
  if (at + 1 == options.size()) return false;
  return (options[at] == "-o" && KeywordOf(options[at + 1]) == keyword) ||
         (options[at] == "-S" && keyword == "controlpath");
}

/// Whether the word after \a option is its argument (ssh(1)).
bool TakesArgument(std::string_view option) {
  return option.size() == 2 && option[0] == '-' &&
         SshOptionTakesArgument(option[1]);
}

/// Where a character of \a text begins, at or before \a at.
std::size_t CharacterAt(std::string_view text, std::size_t at) {
  while (at > 0 && at < text.size() && (text[at] & 0xC0) == 0x80) --at;
  return at;
}

std::string TwoDigits(unsigned number) {
  return (number < 10 ? "0" : "") + std::to_string(number);
}

}  // namespace

std::string Count(std::size_t number, std::string_view one,
                  std::string_view many) {
  return std::to_string(number) + " " + std::string(number == 1 ? one : many);
}

std::string Age(std::int64_t seconds) {
  const auto n = static_cast<std::size_t>(std::max<std::int64_t>(seconds, 0));
  if (n >= 2 * 86400) return Count(n / 86400, "day", "days");
  if (n >= 2 * 3600) return Count(n / 3600, "hour", "hours");
  if (n >= 2 * 60) return Count(n / 60, "minute", "minutes");
  return Count(n, "second", "seconds");
}

std::string Moment(std::int64_t seconds) {
  using namespace std::chrono;
  const sys_seconds time{std::chrono::seconds{seconds}};
  const year_month_day date{floor<days>(time)};
  const hh_mm_ss clock{time - floor<days>(time)};
  return std::to_string(static_cast<int>(date.year())) + "-" +
         TwoDigits(static_cast<unsigned>(date.month())) + "-" +
         TwoDigits(static_cast<unsigned>(date.day())) + " " +
         TwoDigits(static_cast<unsigned>(clock.hours().count())) + ":" +
         TwoDigits(static_cast<unsigned>(clock.minutes().count())) + " UTC";
}

std::string Place(const ConfigLine& line) {
  if (line.file.empty()) return "the configuration";
  return line.line > 0 ? line.file + ":" + std::to_string(line.line)
                       : line.file;
}

std::string PlaceAndScope(const ConfigLine& line) {
  if (line.scope.empty()) return Place(line);
  return Place(line) + " (under \"" + line.scope + "\")";
}

Evidence AsEvidence(const ConfigLine& line) {
  Evidence evidence{.source = "ssh_config",
                    .text = line.text,
                    .file = line.file,
                    .line = line.line};
  if (!line.scope.empty()) {
    evidence.text += "  (under \"" + line.scope + "\"";
    if (line.scope_line > 0) {
      const bool elsewhere =
          !line.scope_file.empty() && line.scope_file != line.file;
      evidence.text += elsewhere ? ", " + line.scope_file + ":" : ", line ";
      evidence.text += std::to_string(line.scope_line);
    }
    evidence.text += ")";
  }
  return evidence;
}

std::vector<std::string> Ssh(const Facts& facts,
                             std::initializer_list<std::string> words) {
  std::vector<std::string> argv{facts.request.ssh};
  if (IsTsh(facts)) argv.emplace_back("ssh");
  for (const std::string& option : facts.request.ssh_options)
    if (option != "-A" && option != "-a")
      argv.push_back(option == "-p" && IsPutty(facts) ? "-P" : option);
  argv.insert(argv.end(), words);
  argv.push_back(facts.request.destination);
  return argv;
}

std::string CommandLineOption(const Facts& facts, std::string_view keyword) {
  const std::vector<std::string>& options = facts.request.ssh_options;
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (Sets(options, i, keyword)) return options[i] + " " + options[i + 1];
    if (TakesArgument(options[i])) ++i;
  }
  return {};
}

std::vector<std::string> SshWith(const Facts& facts, std::string_view keyword,
                                 std::string_view value) {
  const std::vector<std::string>& options = facts.request.ssh_options;
  const std::string lowered = Lowered(keyword);
  std::vector<std::string> argv{facts.request.ssh};
  if (IsTsh(facts)) argv.emplace_back("ssh");
  for (std::size_t i = 0; i < options.size(); ++i) {
    const bool flag = options[i] == "-a" || options[i] == "-A";
    const bool dropped =
        Sets(options, i, lowered) || (flag && lowered == "forwardagent");
    if (!dropped) argv.push_back(options[i]);
    if (!TakesArgument(options[i]) || i + 1 == options.size()) continue;
    ++i;
    if (!dropped) argv.push_back(options[i]);
  }
  if (!value.empty()) {
    argv.emplace_back("-o");
    argv.push_back(std::string(keyword) + "=" + std::string(value));
  }
  argv.push_back(facts.request.destination);
  return argv;
}

std::string ConfigPath(std::string_view path) {
  std::string text;
  for (const char c : path) {
    // Within quotes a backslash keeps its next character (misc.c, argv_split).
    if (c == '"' || c == '\\') text += '\\';
    text += c;
    if (c == '%') text += c;
  }
  return path.find_first_of(" \t\"'\\#") == std::string_view::npos
             ? text
             : "\"" + text + "\"";
}

bool IsPutty(const Facts& facts) { return facts.link.client == "putty"; }

bool IsTsh(const Facts& facts) { return facts.link.client == "tsh"; }

std::string Program(const Facts& facts) {
  return IsPutty(facts) ? "plink" : IsTsh(facts) ? "tsh ssh" : "ssh";
}

std::string SshSource(const Facts& facts, std::string_view words) {
  // tsh has neither ssh's -v nor its -G.
  return Program(facts) + " " + (IsTsh(facts) ? "" : std::string(words) + " ") +
         facts.request.destination;
}

std::string LoginSource(const Facts& facts, std::string_view words) {
  if (facts.link.client == "libssh")
    return "libssh " + facts.request.destination;
  return words.empty() ? Program(facts) + " " + facts.request.destination
                       : SshSource(facts, words);
}

std::string Probe(const Facts& facts) {
  return "probe on " + facts.request.destination;
}

std::string FreshLogin(const Facts& facts) {
  return "fresh login to " + facts.request.destination;
}

std::string FirstValue(const ClientConfig& config, const std::string& keyword) {
  const auto found = config.values.find(keyword);
  if (found == config.values.end() || found->second.values.empty()) return {};
  return found->second.values.front();
}

bool IsYes(std::string_view text) {
  const std::string word = Lowered(text);
  return word == "yes" || word == "true";
}

bool IsNo(std::string_view text) {
  const std::string word = Lowered(text);
  return word == "no" || word == "false";
}

std::set<std::string> Fingerprints(const Agent& agent) {
  std::set<std::string> fingerprints;
  for (const Identity& identity : agent.identities)
    fingerprints.insert(identity.fingerprint);
  return fingerprints;
}

std::string KeyName(const Identity& identity) {
  return identity.comment.empty()
             ? identity.fingerprint
             : identity.fingerprint + " (" + identity.comment + ")";
}

bool NamesOneHost(const std::string& scope) {
  if (scope.find_first_of("*?!,") != std::string::npos) return false;
  const std::vector<std::string> words = Words(scope);
  // ssh_config(5): keywords are case-insensitive.
  if (words.size() == 2) return Lowered(words[0]) == "host";
  return words.size() == 3 && Lowered(words[0]) == "match" &&
         (words[1] == "host" || words[1] == "originalhost");
}

std::string Octal(int mode) {
  std::string text;
  for (int shift = 9; shift >= 0; shift -= 3)
    text += static_cast<char>('0' + ((mode >> shift) & 7));
  return text;
}

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  while (true) {
    const std::size_t start = text.find_first_not_of(" \t");
    if (start == std::string_view::npos) return words;
    text.remove_prefix(start);
    const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
    words.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

std::string List(const std::vector<std::string>& items) {
  std::string text;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += i + 1 == items.size() ? " and " : ", ";
    text += items[i];
  }
  return text;
}

std::string Some(const std::vector<std::string>& items, std::size_t shown) {
  std::vector<std::string> named;
  for (const std::string& item : items) {
    if (named.size() == shown) break;
    named.push_back(Short(item, 60));
  }
  if (items.size() > shown)
    named.push_back(std::to_string(items.size() - shown) + " more");
  return List(named);
}

std::string Short(std::string_view text, std::size_t columns) {
  std::string line(text);
  if (text.size() > columns) {
    const std::size_t half = columns / 2;
    line = std::string(text.substr(0, CharacterAt(text, half))) + "..." +
           std::string(text.substr(CharacterAt(text, text.size() - half)));
  }
  std::ranges::replace_if(
      line, [](unsigned char c) { return c < ' '; }, '?');
  return line;
}

std::string StateWords(const Agent& agent) {
  switch (agent.state) {
    case AgentState::kAnswered:
      return Count(agent.identities.size(), "identity", "identities");
    case AgentState::kMissing:
      return agent.link_target.empty()
                 ? "No such file or directory"
                 : "dangling link to " + agent.link_target;
    case AgentState::kRefused:
      return "Connection refused";
    case AgentState::kDenied:
      return "Permission denied";
    case AgentState::kDropped:
      return "closed without an answer";
    case AgentState::kNotASocket:
      return "not a socket";
    case AgentState::kPathTooLong:
      return "path too long for a socket";
    case AgentState::kSilent:
      return "no answer within the deadline";
    case AgentState::kMalformed:
      return "no valid agent message";
    case AgentState::kListRefused:
      return "refuses to list its keys";
  }
  return {};
}

std::string OnHost(const Facts& facts) {
  return facts.here ? "on this machine" : "on " + facts.request.destination;
}

}  // namespace agentdoctor::checks
