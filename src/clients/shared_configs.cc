#include "clients/shared_configs.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "clients/openssh_config_lines.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

/// More than these differ so much that looking costs more than asking.
constexpr std::size_t kMostAnswers = 16;

/// A name without user, port or anything else that ssh takes apart, in the form
/// in which it stays: lower case, and no other way to write an address.
bool IsPlainName(const std::string& name) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyz0123456789.-_";
  if (name.empty() || name.starts_with('-') ||
      name.find_first_not_of(kPlain) != std::string::npos)
    return false;
  // "127.1" and "0x7f.1" are 127.0.0.1.
  in_addr address = {};
  if (inet_aton(name.c_str(), &address) == 0) return true;
  std::array<char, INET_ADDRSTRLEN> text{};
  return inet_ntop(AF_INET, &address, text.data(), text.size()) != nullptr &&
         name == text.data();
}

/// readconf.c, oHost: one of the patterns, and none with a `!`.
bool HostLineApplies(const std::vector<std::string>& patterns,
                     const std::string& name) {
  bool found = false;
  for (const std::string& pattern : patterns) {
    if (pattern.starts_with('!')) {
      if (MatchesPattern(name, std::string_view(pattern).substr(1)))
        return false;
    } else {
      found = found || MatchesPattern(name, pattern);
    }
  }
  return found;
}

/// A value of -G's output by its keyword.
std::string Printed(const std::string& values, const std::string& keyword) {
  for (const std::string& line : SplitLines(values))
    if (line.starts_with(keyword + " ")) return line.substr(keyword.size() + 1);
  return {};
}

/// HostName's tokens (readconf.c): %h and %%.
std::optional<std::string> ExpandHostName(const std::string& text,
                                          const std::string& name) {
  std::string expanded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      expanded += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    if (text[i] == 'h')
      expanded += name;
    else if (text[i] == '%')
      expanded += '%';
    else
      return std::nullopt;
  }
  return expanded;
}

/// Keywords whose tokens -G leaves as they are, or that are left out here.
bool KeepsTokens(const std::string& keyword) {
  constexpr std::array<std::string_view, 7> kKeywords = {
      "controlpath",   "identityfile", "localcommand", "proxycommand",
      "remotecommand", "proxyjump",    "setenv"};
  return std::ranges::find(kKeywords, keyword) != kKeywords.end();
}

bool IsMatchAll(const std::vector<std::string>& words) {
  return words == std::vector<std::string>{"all"} ||
         words == std::vector<std::string>{"final", "all"} ||
         words == std::vector<std::string>{"canonical", "all"};
}

/// Whether any line of the files tells \a name from \a other.  \a host_names
/// collects the HostName lines.
bool TellsApart(const ConfigAnswer& answer, const std::string& name,
                const std::string& other,
                std::vector<std::string>* host_names) {
  for (const auto& [path, file] : answer.files)
    for (const std::string& text : SplitLines(file.text)) {
      const std::optional<ConfigWords> words = SplitConfigLine(text);
      if (!words) continue;
      if (words->keyword == "host") {
        if (HostLineApplies(words->arguments, name) !=
            HostLineApplies(words->arguments, other))
          return true;
      } else if (words->keyword == "match") {
        if (!IsMatchAll(words->arguments)) return true;
      } else if (words->keyword == "canonicalizehostname") {
        if (words->arguments.empty() || Lower(words->arguments[0]) != "no")
          return true;
      } else if (words->keyword == "hostname") {
        if (host_names && !words->arguments.empty())
          host_names->push_back(words->arguments[0]);
      } else if (text.find('%') != std::string::npos &&
                 !KeepsTokens(words->keyword)) {
        return true;
      }
    }
  return false;
}

}  // namespace

std::optional<ConfigAnswer> AnswerFor(const Request& request,
                                      const Request& asked,
                                      const ConfigAnswer& answer) {
  const std::string& name = request.destination;
  const std::string& other = asked.destination;
  const bool tokens =
      std::ranges::any_of(request.ssh_options, [](const std::string& word) {
        return word.find('%') != std::string::npos ||
               Lower(word).find("canonical") != std::string::npos;
      });
  if (request.ssh != asked.ssh || request.ssh_options != asked.ssh_options ||
      tokens || !IsPlainName(name) || !IsPlainName(other))
    return std::nullopt;

  std::vector<std::string> written;
  if (TellsApart(answer, name, other, &written)) return std::nullopt;
  // What -G printed is the name, or came from a line.
  const std::string printed = Printed(answer.values, "hostname");
  std::optional<std::string> host_name;
  if (printed == other) host_name = name;
  for (const std::string& text : written) {
    if (ExpandHostName(text, other) != printed) continue;
    const std::optional<std::string> here = ExpandHostName(text, name);
    // Two explanations that come to different names are none.
    if (!here || (host_name && *host_name != *here)) return std::nullopt;
    host_name = here;
  }
  if (!host_name) return std::nullopt;
  // A `Match final` line makes ssh read everything once more, for that name.
  if (TellsApart(answer, *host_name, printed, nullptr)) return std::nullopt;

  ConfigAnswer own{.trace = answer.trace, .files = answer.files};
  for (const std::string& line : SplitLines(answer.values)) {
    // Its tokens are expanded, for the other host.
    if (line.starts_with("controlpath ")) continue;
    if (line.starts_with("host "))
      own.values += "host " + name;
    else if (line.starts_with("hostname "))
      own.values += "hostname " + *host_name;
    else
      own.values += line;
    own.values += '\n';
  }
  return own;
}

std::optional<ConfigAnswer> SharedConfigs::Find(const Request& request) {
  std::vector<std::shared_ptr<const Asked>> asked;
  {
    const std::lock_guard lock(mutex_);
    asked = asked_;
  }
  for (const std::shared_ptr<const Asked>& one : asked)
    if (auto answer = AnswerFor(request, one->request, one->answer))
      return answer;
  return std::nullopt;
}

Resolution SharedConfigs::Ask(const Request& request, Milliseconds limit,
                              ConfigAnswer& answer) {
  Resolution resolution = ResolveOpenSsh(request, limit, Here(), &answer);
  const ClientConfig* config = resolution.config.get();
  if (config && !config->error) {
    const std::lock_guard lock(mutex_);
    if (asked_.size() < kMostAnswers)
      asked_.push_back(std::make_shared<const Asked>(Asked{request, answer}));
  }
  return resolution;
}

Resolution SharedConfigs::Resolve(const Request& request, Milliseconds limit,
                                  ConfigAnswer& answer) {
  {
    // Whoever comes first asks; those who come meanwhile wait for what it says.
    const std::lock_guard lock(first_);
    if (!std::exchange(begun_, true)) return Ask(request, limit, answer);
  }
  if (auto found = Find(request)) {
    answer = std::move(*found);
    return ReadAnswer(request, answer);
  }
  return Ask(request, limit, answer);
}

}  // namespace agentdoctor
