#include "clients/openssh_config.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <iterator>
#include <utility>

#include "agentdoctor/ssh_options.h"
#include "clients/openssh_config_lines.h"
#include "clients/openssh_messages.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

// -vvv prints a few lines for each Match line, whether it applies or not.
constexpr std::size_t kOutputLimit = std::size_t{8} << 20;

// --------------------------------------------------------------- keywords --

enum class Kind {
  kFirst,    ///< the first value wins
  kList,     ///< every line adds one
  kForward,  ///< every line adds one; that there is one is enough
  kJump,     ///< printed in another form than it was written in
  kCommand,  ///< kept as program name and number of words
  kHidden,   ///< that there is one is enough
};

struct Keyword {
  std::string_view name;
  Kind kind = Kind::kFirst;
  /// What -G prints where nothing sets it (readconf.c:fill_default_options);
  /// empty: no such line; "*": differs from system to system.
  std::string_view initial = {};
};

// The allow-list.  Everything else that a configuration says (SetEnv,
// KnownHostsCommand, ...) is none of our business and is not kept.
constexpr Keyword kKeywords[] = {
    {"addkeystoagent", Kind::kFirst, "false"},
    {"addressfamily", Kind::kFirst, "any"},
    {"batchmode", Kind::kFirst, "no"},
    {"canonicalizehostname", Kind::kFirst, "false"},
    {"certificatefile", Kind::kList, ""},
    {"checkhostip", Kind::kFirst, "*"},
    {"clearallforwardings", Kind::kFirst, "no"},
    {"connecttimeout", Kind::kFirst, "none"},
    {"controlmaster", Kind::kFirst, "false"},
    {"controlpath", Kind::kFirst, ""},
    {"controlpersist", Kind::kFirst, "no"},
    {"dynamicforward", Kind::kForward, ""},
    {"exitonforwardfailure", Kind::kFirst, "no"},
    {"forkafterauthentication", Kind::kFirst, "no"},
    {"forwardagent", Kind::kFirst, "no"},
    {"globalknownhostsfile", Kind::kFirst, "*"},
    {"hostkeyalias", Kind::kFirst, ""},
    {"hostname", Kind::kFirst, "*"},
    {"identitiesonly", Kind::kFirst, "no"},
    {"identityagent", Kind::kFirst, ""},
    {"identityfile", Kind::kList, "*"},
    {"ignoreunknown", Kind::kFirst, ""},
    {"localforward", Kind::kForward, ""},
    {"loglevel", Kind::kFirst, "INFO"},
    {"permitlocalcommand", Kind::kFirst, "no"},
    {"port", Kind::kFirst, "22"},
    {"preferredauthentications", Kind::kFirst, ""},
    {"proxycommand", Kind::kCommand, ""},
    {"proxyjump", Kind::kJump, ""},
    {"pubkeyauthentication", Kind::kFirst, "true"},
    {"remotecommand", Kind::kHidden, ""},
    {"remoteforward", Kind::kForward, ""},
    {"requesttty", Kind::kFirst, "auto"},
    {"serveraliveinterval", Kind::kFirst, "0"},
    {"sessiontype", Kind::kFirst, "default"},
    {"stdinnull", Kind::kFirst, "no"},
    {"stricthostkeychecking", Kind::kFirst, "ask"},
    {"user", Kind::kFirst, "*"},
    {"userknownhostsfile", Kind::kFirst, "*"},
};

constexpr const char* kPresent = "set";

const Keyword* FindKeyword(std::string_view name) {
  const auto* found = std::find_if(
      std::begin(kKeywords), std::end(kKeywords),
      [&](const Keyword& keyword) { return keyword.name == name; });
  return found == std::end(kKeywords) ? nullptr : found;
}

// ------------------------------------------------------------ command line --

struct Setting {
  std::string keyword = {};
  std::string argument = {};
  /// -A and -a assign, the last of them wins (ssh.c:main); everything else
  /// gives a value only where there is none.
  bool assigns = false;
};

void ReadOption(char option, const std::string& argument,
                std::vector<Setting>& settings) {
  const auto set = [&](const char* keyword, std::string value) {
    settings.push_back({keyword, std::move(value), false});
  };
  switch (option) {
    case 'A':
    case 'a':
      settings.push_back({"forwardagent", option == 'A' ? "yes" : "no", true});
      break;
    case '4':
      set("addressfamily", "inet");
      break;
    case '6':
      set("addressfamily", "inet6");
      break;
    case 'D':
      set("dynamicforward", argument);
      break;
    case 'f':
      set("forkafterauthentication", "yes");
      set("stdinnull", "yes");
      break;
    case 'i':
      set("identityfile", argument);
      break;
    case 'J':
      set("proxyjump", argument);
      break;
    case 'L':
      set("localforward", argument);
      break;
    case 'l':
      set("user", argument);
      break;
    case 'M':
      set("controlmaster", "yes");
      break;
    case 'N':
      set("sessiontype", "none");
      break;
    case 'n':
      set("stdinnull", "yes");
      break;
    case 'o':
      if (auto words = SplitConfigLine(argument))
        set(words->keyword.c_str(),
            words->arguments.empty() ? "" : words->arguments[0]);
      break;
    case 'p':
      set("port", argument);
      break;
    case 'q':
      set("loglevel", "QUIET");
      break;
    case 'R':
      set("remoteforward", argument);
      break;
    case 'S':
      set("controlpath", argument);
      break;
    case 's':
      set("sessiontype", "subsystem");
      break;
    case 'T':
      set("requesttty", "no");
      break;
    case 't':
      set("requesttty", "yes");
      break;
    case 'v':
      set("loglevel", "DEBUG");
      break;
    case 'W':
      set("sessiontype", "none");
      set("requesttty", "no");
      set("clearallforwardings", "yes");
      set("exitonforwardfailure", "yes");
      break;
    default:
      break;
  }
}

/// The destination's parts: [user@]host or ssh://[user@]host[:port].
struct Destination {
  std::string host = {};
  bool has_user = false;
  bool has_port = false;
};

Destination SplitDestination(std::string text) {
  Destination destination;
  constexpr std::string_view kScheme = "ssh://";
  const bool uri = text.starts_with(kScheme);
  if (uri) {
    text.erase(0, kScheme.size());
    text.resize(std::min(text.find('/'), text.size()));
  }
  if (const auto at = text.rfind('@'); at != std::string::npos) {
    destination.has_user = true;
    text.erase(0, at + 1);
  }
  if (uri) {
    const auto colon = text.rfind(':');
    const auto bracket = text.rfind(']');
    if (colon != std::string::npos &&
        (bracket == std::string::npos || colon > bracket)) {
      destination.has_port = true;
      text.resize(colon);
    }
    if (text.starts_with('[') && text.ends_with(']'))
      text = text.substr(1, text.size() - 2);
  }
  destination.host = std::move(text);
  return destination;
}

std::vector<Setting> ReadCommandLine(const Request& request) {
  std::vector<Setting> settings;
  const auto& words = request.ssh_options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() < 2 || word[0] != '-') continue;
    for (std::size_t at = 1; at < word.size(); ++at) {
      const char option = word[at];
      if (!SshOptionTakesArgument(option)) {
        ReadOption(option, {}, settings);
        continue;
      }
      // "-p2222" or "-p 2222".
      if (at + 1 < word.size())
        ReadOption(option, word.substr(at + 1), settings);
      else if (i + 1 < words.size())
        ReadOption(option, words[++i], settings);
      break;
    }
  }
  const Destination destination = SplitDestination(request.destination);
  if (destination.has_user) settings.push_back({"user", {}, false});
  if (destination.has_port) settings.push_back({"port", {}, false});
  return settings;
}

// ------------------------------------------------------------------ values --

std::string Join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : " ") + word;
  return text;
}

/// misc.c:convtime(): "1h30m" is 5400.
std::optional<long long> Seconds(std::string_view text) {
  if (text.empty()) return std::nullopt;
  long long total = 0;
  while (!text.empty()) {
    long long number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    // Decades are no time that ssh takes; and nothing may overflow.
    if (error != std::errc() || number < 0 || number > 1'000'000'000)
      return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
    if (!text.empty()) {
      switch (text[0]) {
        case 's':
        case 'S':
          break;
        case 'm':
        case 'M':
          number *= 60;
          break;
        case 'h':
        case 'H':
          number *= 3600;
          break;
        case 'd':
        case 'D':
          number *= 86400;
          break;
        case 'w':
        case 'W':
          number *= 604800;
          break;
        default:
          return std::nullopt;
      }
      text.remove_prefix(1);
    }
    total += number;
  }
  return total;
}

/// A value in the one form in which -G prints some options and the file
/// writes others.
std::string Normal(std::string_view text) {
  std::string normal;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    std::string word = Lower(text.substr(at, end - at));
    if (word == "yes")
      word = "true";
    else if (word == "no" || word == "off")
      word = "false";
    else if (const auto seconds = Seconds(word))
      word = std::to_string(*seconds);
    normal += (normal.empty() ? "" : " ") + word;
    at = end + 1;
  }
  return normal;
}

/// Whether -G can have printed \a value because of \a written.  An argument
/// that ssh expands can't be compared.
bool Agrees(std::string_view keyword, const std::string& written,
            const std::vector<std::string>& values) {
  if (written.find_first_of("%~$") != std::string::npos) return true;
  if (values.empty()) return Lower(written) == "none";
  const std::string normal = Normal(written);
  if (normal == Normal(values[0])) return true;
  // ControlPersist 0: for ever.
  if (keyword == "controlpersist" && normal == "0") return values[0] == "yes";
  // A service name; -G prints its number.
  if (keyword == "port") return !Seconds(written).has_value();
  return false;
}

/// -G's standard output: "keyword value", lower case but for one letter.
std::map<std::string, std::vector<std::string>> ReadValues(
    std::string_view text) {
  std::map<std::string, std::vector<std::string>> values;
  for (const std::string& line : SplitLines(text)) {
    const std::size_t blank = line.find(' ');
    const std::string keyword = Lower(line.substr(0, blank));
    if (keyword == "host" || FindKeyword(keyword))
      values[keyword].push_back(
          blank == std::string::npos ? "" : line.substr(blank + 1));
  }
  return values;
}

/// The evidence for a line, without what is nobody's business.
ConfigLine Shown(const AppliedLine& line, Kind kind) {
  ConfigLine place = line.place;
  if (kind == Kind::kCommand || kind == Kind::kHidden ||
      kind == Kind::kForward) {
    // The keyword as the user spells it.
    place.text.resize(
        std::min(place.text.find_first_of(" \t=\""), place.text.size()));
    place.text += ' ';
    place.text += kind == Kind::kCommand ? CommandShape(line.rest) : "…";
  }
  return place;
}

/// What sets a keyword, in the order in which ssh reads it.
struct Sources {
  std::vector<Setting> settings = {};
  std::vector<const AppliedLine*> lines = {};
};

std::string Quoted(const std::string& text) { return "\"" + text + "\""; }

ConfigValue TraceValue(const Keyword& keyword, std::vector<std::string> printed,
                       const Sources& sources, const std::string& trouble) {
  ConfigValue value;
  value.values = std::move(printed);
  if (!sources.settings.empty()) {
    value.origin = ConfigOrigin::kCommandLine;
  } else if (!trouble.empty()) {
    value.unknown_because = trouble;
    return value;
  } else if (sources.lines.empty()) {
    if (keyword.initial == "*" ||
        (value.values.empty() ? keyword.initial.empty()
                              : value.values[0] == keyword.initial))
      value.origin = ConfigOrigin::kDefault;
    else
      value.unknown_because = "no line that ssh read sets it";
    return value;
  } else {
    value.origin = ConfigOrigin::kFile;
  }

  // Every line of a list counts, so none of them loses.
  const bool list =
      keyword.kind == Kind::kList || keyword.kind == Kind::kForward;
  const bool from_file = value.origin == ConfigOrigin::kFile;
  if (from_file) {
    const AppliedLine& first = *sources.lines.front();
    value.winner = Shown(first, keyword.kind);
    if (keyword.kind == Kind::kFirst &&
        !Agrees(keyword.name, Join(first.arguments), value.values)) {
      value.origin = ConfigOrigin::kUnknown;
      value.unknown_because = first.place.file + ":" +
                              std::to_string(first.place.line) + " says " +
                              Quoted(first.place.text);
      value.winner.reset();
      return value;
    }
  }
  if (!list && trouble.empty())
    for (std::size_t i = from_file ? 1 : 0; i < sources.lines.size(); ++i)
      value.shadowed.push_back(Shown(*sources.lines[i], keyword.kind));
  return value;
}

/// ProxyCommand and ProxyJump exclude each other: whichever ssh took first is
/// printed, and beats the lines of the other.
void JoinProxies(std::map<std::string, ConfigValue>& values) {
  const auto command = values.find("proxycommand");
  const auto jump = values.find("proxyjump");
  if (command == values.end() || jump == values.end()) return;
  const bool jumps = !jump->second.values.empty();
  if (!jumps && command->second.values.empty()) return;
  ConfigValue& winner = jumps ? jump->second : command->second;
  ConfigValue& loser = jumps ? command->second : jump->second;
  if (!loser.values.empty() || winner.origin == ConfigOrigin::kUnknown) return;
  if (loser.winner)
    loser.shadowed.insert(loser.shadowed.begin(), *loser.winner);
  loser.origin = winner.origin;
  loser.winner = winner.winner;
}

// ------------------------------------------------------------ ForwardAgent --

/// The two slots of readconf.c:oForwardAgent.  A flag fills the first.  A path
/// fills the first with yes and the second with itself, each only where it is
/// still empty.  -A and -a assign the first.
struct ForwardAgentSlots {
  std::optional<bool> flag = {};
  const AppliedLine* flag_line = nullptr;
  bool has_path = false;
  const AppliedLine* path_line = nullptr;
  std::vector<ConfigLine> shadowed = {};
};

ForwardAgentSlots FillSlots(const Sources& sources) {
  ForwardAgentSlots slots;
  const auto fill = [&](const std::string& argument, const AppliedLine* line) {
    const std::optional<bool> flag = ForwardAgentFlag(argument);
    const bool asks = flag.value_or(true);
    bool used = false;
    if (!slots.flag) {
      slots.flag = asks;
      slots.flag_line = line;
      used = true;
    }
    if (!flag && !slots.has_path) {
      slots.has_path = true;
      slots.path_line = line;
      used = true;
    }
    if (line && (!used || asks != *slots.flag))
      slots.shadowed.push_back(line->place);
  };
  for (const Setting& setting : sources.settings)
    if (!setting.assigns) fill(setting.argument, nullptr);
  for (const Setting& setting : sources.settings)
    if (setting.assigns) slots.flag = setting.argument == "yes";
  for (const AppliedLine* line : sources.lines)
    if (!line->arguments.empty()) fill(line->arguments[0], line);
  return slots;
}

void JudgeForwardAgent(const Sources& sources, const std::string& trouble,
                       ClientConfig& config) {
  ConfigValue& value = config.values["forwardagent"];
  const std::string printed = value.values.empty() ? "" : value.values[0];
  const std::optional<bool> exact = ForwardAgentFlag(printed);
  const ForwardAgentSlots slots = FillSlots(sources);
  value = {.values = value.values};

  if (exact)
    config.forward_agent = *exact;
  else
    config.forward_agent_path = printed;

  const bool by_command_line = !sources.settings.empty();
  std::string why = trouble;
  if (why.empty() && exact &&
      (slots.has_path || slots.flag.value_or(false) != *exact))
    why = "the lines that ssh applied do not explain " + Quoted(printed);
  if (why.empty() && !exact && !slots.has_path)
    why = "no line that ssh read sets the path";
  if (why.empty() && slots.path_line &&
      !Agrees("forwardagent", slots.path_line->arguments[0], value.values))
    why = slots.path_line->place.file + ":" +
          std::to_string(slots.path_line->place.line) + " names another path";
  if (!why.empty()) {
    // -A and -a are known whatever the files say; a later line can only add
    // the path.
    const auto assigned =
        std::find_if(sources.settings.rbegin(), sources.settings.rend(),
                     [](const Setting& setting) { return setting.assigns; });
    if (!exact && assigned != sources.settings.rend())
      config.forward_agent = assigned->argument == "yes";
    else if (!exact)
      config.forward_agent = Unknown{
          "ssh -G prints a path, which hides whether forwarding is "
          "asked for, and " +
          why};
    value.unknown_because = why;
    if (exact && by_command_line) value.origin = ConfigOrigin::kCommandLine;
    return;
  }

  if (!exact) config.forward_agent = *slots.flag;
  if (slots.flag_line) config.forward_agent_line = slots.flag_line->place;
  config.forward_agent_shadowed = slots.shadowed;

  const AppliedLine* winner = exact ? slots.flag_line : slots.path_line;
  if (winner) {
    value.origin = ConfigOrigin::kFile;
    value.winner = winner->place;
  } else {
    value.origin =
        by_command_line ? ConfigOrigin::kCommandLine : ConfigOrigin::kDefault;
  }
  for (const ConfigLine& line : slots.shadowed)
    if (!winner || line != winner->place) value.shadowed.push_back(line);
}

// ------------------------------------------------------------------- rest --

/// Our own -vvv is what -G prints; the user's level is what was set first.
void RestoreLogLevel(const Sources& sources, ConfigValue& value) {
  std::string level = "INFO";
  if (!sources.settings.empty())
    level = sources.settings.front().argument;
  else if (!sources.lines.empty() && !sources.lines.front()->arguments.empty())
    level = sources.lines.front()->arguments[0];
  std::transform(level.begin(), level.end(), level.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  value.values = {level};
}

std::vector<OtherAlias> FindOtherAliases(const AppliedLines& applied,
                                         const std::string& host_name) {
  std::vector<OtherAlias> aliases;
  if (host_name.empty()) return aliases;
  for (const OtherBlock& block : applied.other_blocks) {
    if (!block.forward_agent) continue;
    // The second pass may have applied it after all.
    const bool applies =
        std::any_of(applied.lines.begin(), applied.lines.end(),
                    [&](const AppliedLine& line) {
                      return line.place == *block.forward_agent;
                    });
    if (applies) continue;
    for (const std::string& alias : block.aliases) {
      std::string name = block.host_name.empty() ? alias : block.host_name;
      if (const auto token = name.find("%h"); token != std::string::npos)
        name.replace(token, 2, alias);
      if (Lower(name) == Lower(host_name))
        aliases.push_back({alias, *block.forward_agent});
    }
  }
  return aliases;
}

/// "OpenSSH_9.2p1" as ssh says it in its first line.
std::string VersionOf(std::string_view trace) {
  for (const std::string& line : SplitLines(trace.substr(0, 4096))) {
    const Message* const message = FindMessage(line);
    if (!message || message->says != Says::kOwnVersion) continue;
    const std::string version = line.substr(line.find("OpenSSH_"));
    return version.substr(0, version.find_first_of(", "));
  }
  return {};
}

// ----------------------------------------------------------------- errors --

bool IsNoise(std::string_view line) {
  return line.empty() || line.starts_with("debug") ||
         line.starts_with("OpenSSH_") || line.starts_with("Warning: ") ||
         line.starts_with("Pseudo-terminal will not") ||
         line.starts_with("usage: ") || line.starts_with(' ');
}

/// "FILE line 9: MESSAGE" and "FILE: line 9: MESSAGE".
std::optional<ConfigError> ReadPlacedError(std::string_view line) {
  constexpr std::string_view kLine = " line ";
  for (std::size_t at = line.find(kLine); at != std::string_view::npos;
       at = line.find(kLine, at + 1)) {
    const char* begin = line.data() + at + kLine.size();
    const char* end = line.data() + line.size();
    ConfigError error;
    const auto [stop, failed] = std::from_chars(begin, end, error.line);
    if (failed != std::errc() || end - stop < 3 || stop[0] != ':') continue;
    std::string_view file = line.substr(0, at);
    if (file.ends_with(':')) file.remove_suffix(1);
    error.message = std::string(Trim(std::string_view(stop + 1, end)));
    if (file == "command-line") {
      error.message = "command-line: " + error.message;
      error.line = 0;
    } else {
      error.file = file;
    }
    return error;
  }
  return std::nullopt;
}

/// A complaint without a place about `${NAME}` or `%X`, found out only when
/// ssh used the value: the line that has it.
void FindPlace(const AppliedLines& applied, ConfigError& error) {
  for (const std::string_view sign : {"${", "%"}) {
    const std::size_t begin = error.message.find(sign);
    if (begin == std::string::npos) continue;
    const std::string token =
        sign == "%" ? error.message.substr(begin, 2)
                    : error.message.substr(
                          begin, error.message.find('}', begin) + 1 - begin);
    for (const AppliedLine& line : applied.lines) {
      const Keyword* keyword = FindKeyword(line.keyword);
      if (!keyword || keyword->kind != Kind::kFirst ||
          Join(line.arguments).find(token) == std::string::npos)
        continue;
      error.file = line.place.file;
      error.line = line.place.line;
      return;
    }
  }
}

ConfigError ReadError(
    const std::string& trace,
    const std::function<std::string(const std::string&)>& read_file) {
  std::string before;
  std::string first;
  for (const std::string& line : SplitLines(trace)) {
    const std::string_view text = Trim(line);
    if (IsNoise(line)) continue;
    if (auto error = ReadPlacedError(text)) {
      // What is bad about it stands in the line before.
      if (error->message == refusal::kBadCondition && !before.empty())
        error->message = before;
      return *error;
    }
    for (const std::string_view start :
         {refusal::kBadOwner, refusal::kCannotOpen}) {
      if (!text.starts_with(start)) continue;
      ConfigError error{std::string(text), {}, 0};
      error.file = text.substr(start.size());
      if (start == refusal::kCannotOpen)
        error.file.resize(std::min(error.file.rfind(": "), error.file.size()));
      return error;
    }
    before = text;
    if (first.empty()) first = before;
  }
  ConfigError error{first, {}, 0};
  FindPlace(FollowTrace(trace, read_file), error);
  return error;
}

// ------------------------------------------------------------------ agents --

using Environment =
    std::function<std::optional<std::string>(const std::string&)>;

/// An empty SSH_AUTH_SOCK counts as unset (8.0, authfd.c).
std::optional<std::string> NonEmpty(std::optional<std::string> value) {
  if (value && value->empty()) return std::nullopt;
  return value;
}

std::optional<std::string> SocketOf(const std::string& text,
                                    const Environment& environment,
                                    const std::string& home) {
  if (text.starts_with('$')) return NonEmpty(environment(text.substr(1)));
  // Before 8.3 -G prints it as it is written.
  if (text.starts_with("~/")) return home + text.substr(1);
  return NonEmpty(text);
}

std::optional<ConfigLine> WinnerOf(const ClientConfig& config,
                                   const std::string& keyword) {
  const auto found = config.values.find(keyword);
  return found == config.values.end() ? std::nullopt : found->second.winner;
}

/// The words around the user's own that ssh -G needs to get to its answer.
struct Aid {
  std::vector<std::string> options = {};  ///< in front: they win
  std::vector<std::string> remote_command = {};
};

ProcessResult RunDashG(Place& place, const Request& request, Milliseconds limit,
                       const Aid& aid) {
  Command command;
  command.argv = {request.ssh};
  const auto add = [&](const std::vector<std::string>& words) {
    command.argv.insert(command.argv.end(), words.begin(), words.end());
  };
  add(aid.options);
  add(request.ssh_options);
  // -vvv behind the user's options: a -q among them would silence it.
  add({"-G", "-vvv", "--", request.destination});
  add(aid.remote_command);
  command.total_limit = limit;
  command.output_limit = kOutputLimit;
  return place.Run(command);
}

/// ssh.c:main() makes two checks before it prints the answer to -G that have
/// nothing to do with the configuration's being right.  True: \a aid now keeps
/// ssh from failing for the reason for which it has just failed.
bool Help(const ProcessResult& result, Aid& aid) {
  if (result.end != ProcessEnd::kExited || result.status != 255) return false;
  const auto says = [&](std::string_view message) {
    return result.err.find(message) != std::string::npos;
  };
  // ExitOnForwardFailure yes, and ForwardAgent names a path that does not exist
  // (8.5): a fault of that path.
  if (aid.options.empty() && says(refusal::kCannotForward)) {
    aid.options = {"-o", "ExitOnForwardFailure=no"};
    return true;
  }
  // ForkAfterAuthentication yes: with a remote command, as in the session, it
  // is in order.  Only then: beside RemoteCommand one is an error.
  if (aid.remote_command.empty() && says(refusal::kCannotFork)) {
    aid.remote_command = {"true"};
    return true;
  }
  return false;
}

/// Why there is no answer, or nothing if ssh ended by itself.
std::optional<std::string> WhyNoAnswer(const ProcessResult& result) {
  switch (result.end) {
    case ProcessEnd::kExited:
      return std::nullopt;
    case ProcessEnd::kNotStarted:
      return "ssh-not-found: " + result.error;
    case ProcessEnd::kLost:
      return result.error;
    case ProcessEnd::kTimedOut: {
      const std::size_t at = result.err.rfind(trace::kExecuting);
      if (at == std::string::npos ||
          result.err.find(trace::kReturned, at) != std::string::npos)
        return "ssh -G did not end in time";
      const std::string_view command =
          std::string_view(result.err).substr(at + trace::kExecuting.size());
      return "ssh -G did not end in time; it waits for the command of a "
             "`Match exec` line: " +
             CommandShape(command.substr(
                 0, command.find_last_of('\'', command.find('\n'))));
    }
    case ProcessEnd::kOutputLimit:
      return "ssh -G printed too much";
    case ProcessEnd::kInterrupted:
      return "interrupted";
    case ProcessEnd::kSignalled:
      return "ssh -G was ended by signal " + std::to_string(result.status);
    case ProcessEnd::kStopped:
      break;
  }
  return "ssh -G was stopped";
}

/// With -vvv ssh names its version before all else, except where it refuses its
/// command line; then it ends with 255 (ssh.c:main(), fatal()).
bool IsOpenSsh(const ProcessResult& result) {
  return !VersionOf(result.err).empty() || result.status == 255;
}

}  // namespace

std::string FirstValue(const ClientConfig& config, const std::string& keyword) {
  const auto found = config.values.find(keyword);
  if (found == config.values.end() || found->second.values.empty()) return {};
  return found->second.values.front();
}

ClientConfig ParseConfig(
    const Request& request, const std::string& values, const std::string& trace,
    const std::function<std::string(const std::string&)>& read_file) {
  const AppliedLines applied = FollowTrace(trace, read_file);
  auto printed = ReadValues(values);

  std::map<std::string, Sources> sources;
  for (Setting& setting : ReadCommandLine(request)) {
    const std::string keyword = setting.keyword;
    if (FindKeyword(keyword))
      sources[keyword].settings.push_back(std::move(setting));
  }
  for (const AppliedLine& line : applied.lines)
    if (FindKeyword(line.keyword)) sources[line.keyword].lines.push_back(&line);

  ClientConfig config;
  config.named = applied.named;
  for (const std::string& path : applied.files)
    config.files.push_back({path, 0});

  for (const Keyword& keyword : kKeywords) {
    const std::string name(keyword.name);
    const Sources& from = sources[name];
    std::vector<std::string>& found = printed[name];
    if (keyword.kind == Kind::kCommand)
      for (std::string& value : found) value = CommandShape(value);
    if (keyword.kind == Kind::kForward || keyword.kind == Kind::kHidden)
      for (std::string& value : found) value = kPresent;
    if (found.empty() && from.settings.empty() && from.lines.empty()) continue;
    ConfigValue value;
    if (name == "loglevel") {
      RestoreLogLevel(from, value);
      found = value.values;
    }
    config.values[name] =
        TraceValue(keyword, std::move(found), from, applied.trouble);
  }
  JoinProxies(config.values);
  JudgeForwardAgent(sources["forwardagent"], applied.trouble, config);

  // Nothing sets HostName: the name as typed, unless ssh made another of it.
  const Destination destination = SplitDestination(request.destination);
  ConfigValue& host_name = config.values["hostname"];
  if (host_name.origin == ConfigOrigin::kDefault && !host_name.values.empty() &&
      Lower(host_name.values[0]) != Lower(destination.host)) {
    host_name.origin = ConfigOrigin::kUnknown;
    host_name.unknown_because = "no line sets it; ssh made the name canonical";
  }
  if (auto& host = printed["host"]; !host.empty())
    config.values["host"] = {.values = std::move(host),
                             .origin = ConfigOrigin::kCommandLine};
  config.other_aliases =
      FindOtherAliases(applied, FirstValue(config, "hostname"));
  return config;
}

AgentChoice PrimaryAgent(const ClientConfig& config,
                         const Environment& environment,
                         const std::string& home) {
  const std::string text = FirstValue(config, "identityagent");
  if (text.empty())
    return {AgentSource::kEnvironment, "SSH_AUTH_SOCK",
            NonEmpty(environment("SSH_AUTH_SOCK")), std::nullopt};
  AgentChoice choice{AgentSource::kIdentityAgent, text, std::nullopt,
                     WinnerOf(config, "identityagent")};
  // ssh.c:main() compares these two words exactly.
  if (text == "SSH_AUTH_SOCK")
    choice.path = NonEmpty(environment(text));
  else if (text != "none")
    choice.path = SocketOf(text, environment, home);
  return choice;
}

AgentChoice ForwardedAgent(const ClientConfig& config,
                           const Environment& environment,
                           const std::string& home) {
  const std::string& text = config.forward_agent_path;
  if (text.empty()) return PrimaryAgent(config, environment, home);
  return {AgentSource::kForwardAgent, text, SocketOf(text, environment, home),
          WinnerOf(config, "forwardagent")};
}

Request AboutNoHost(Request request) {
  request.destination = "agentdoctor.invalid";
  request.ssh_options.insert(request.ssh_options.begin(),
                             {"-o", "CanonicalizeHostname=no"});
  return request;
}

Resolution ResolveOpenSsh(const Request& request, Milliseconds limit,
                          Place& place, ConfigAnswer* answer) {
  Resolution resolution;
  Aid aid;
  ProcessResult result = RunDashG(place, request, limit, aid);
  while (Help(result, aid)) result = RunDashG(place, request, limit, aid);
  resolution.version = VersionOf(result.err);

  std::optional<std::string> silence = WhyNoAnswer(result);
  if (!silence && !IsOpenSsh(result))
    silence = "ssh-not-found: " + request.ssh +
              " is no OpenSSH client: it printed no version";
  if (silence) {
    resolution.config = Unknown{*silence};
    resolution.forwarded = Unknown{*silence};
    resolution.primary = Unknown{*silence};
    return resolution;
  }
  std::map<std::string, FileText> files =
      place.ReadFiles(FilesInTrace(result.err));
  const auto read_file = [&files](const std::string& path) {
    const auto found = files.find(path);
    return found == files.end() ? std::string() : found->second.text;
  };
  if (result.status != 0) {
    ClientConfig config;
    config.error = ReadError(result.err, read_file);
    if (config.error->message.empty())
      config.error->message =
          result.err.find("usage: ssh") != std::string::npos
              ? "ssh does not take this command line: it prints its usage"
              : "ssh -G ended with status " + std::to_string(result.status);
    resolution.config = std::move(config);
    const Unknown why{"ssh rejects the configuration"};
    resolution.forwarded = why;
    resolution.primary = why;
    return resolution;
  }

  if (!aid.options.empty()) {
    constexpr std::string_view kOurs = "\nexitonforwardfailure no\n";
    if (const auto at = result.out.find(kOurs); at != std::string::npos)
      result.out.replace(at, kOurs.size(), "\nexitonforwardfailure yes\n");
  }
  ConfigAnswer said{.values = std::move(result.out),
                    .trace = std::move(result.err),
                    .files = std::move(files)};
  resolution = ReadAnswer(request, said, place);
  if (answer) *answer = std::move(said);
  return resolution;
}

Resolution ReadAnswer(const Request& request, const ConfigAnswer& answer,
                      Place& place) {
  Resolution resolution{.version = VersionOf(answer.trace)};
  const auto read_file = [&answer](const std::string& path) {
    const auto found = answer.files.find(path);
    return found == answer.files.end() ? std::string() : found->second.text;
  };
  ClientConfig config =
      ParseConfig(request, answer.values, answer.trace, read_file);
  for (ConfigFile& file : config.files)
    if (const auto found = answer.files.find(file.path);
        found != answer.files.end())
      file.modified = found->second.modified;

  const Environment environment = [&place](const std::string& name) {
    return place.Variable(name);
  };
  const std::string home = place.Home();
  resolution.forwarded = ForwardedAgent(config, environment, home);
  resolution.primary = PrimaryAgent(config, environment, home);
  resolution.config = std::move(config);
  return resolution;
}

}  // namespace agentdoctor
