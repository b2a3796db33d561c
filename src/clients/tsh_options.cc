#include "clients/tsh_options.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "system/text.h"

namespace agentdoctor {
namespace {

struct Setting {
  std::string_view key = {};
  std::string_view value = {};
};

/// Taken apart at blanks and `=` as tsh does it, which wants two parts.
std::optional<Setting> SplitSetting(std::string_view option) {
  constexpr std::string_view kSeparators = " =";
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t start = option.find_first_not_of(kSeparators);
    if (start == std::string_view::npos) break;
    option.remove_prefix(start);
    parts.push_back(option.substr(0, option.find_first_of(kSeparators)));
    option.remove_prefix(parts.back().size());
  }
  if (parts.size() != 2) return std::nullopt;
  return Setting{parts[0], parts[1]};
}

constexpr std::string_view kForwardAgent = "ForwardAgent";

/// ssh's options that tsh lacks, or means otherwise, and why that matters.
struct Foreign {
  std::string_view option;
  std::string_view why;
};
constexpr std::array kForeign = {
    Foreign{"-4", "tsh reaches hosts through its proxy and knows no -4"},
    Foreign{"-6", "tsh reaches hosts through its proxy and knows no -6"},
    Foreign{"-a", "tsh knows no -a; its word is -o \"ForwardAgent no\""},
    Foreign{"-F", "tsh reads no ssh_config"},
    Foreign{"-i", "to tsh -i names a Teleport identity file, not a key"},
    Foreign{"-J", "to tsh -J names a Teleport proxy, not a jump host"}};

/// Options of tsh's that would change something, or spoil the probe.
constexpr std::array kHarmful = {
    Foreign{"AddKeysToAgent", "it would add keys to your agent"},
    Foreign{"RequestTTY", "the probe's session has no terminal"},
    Foreign{"StrictHostKeyChecking",
            "with it tsh would write an unknown host key down"}};

bool TakesArgument(std::string_view option) {
  return option == "-l" || option == "-o" || option == "-p";
}

std::string OptionFault(const std::string& option) {
  const auto refuse = [&option](std::string_view why) {
    return "-o " + ShellQuote(option) +
           " with --client tsh: " + std::string(why);
  };
  const std::optional<Setting> setting = SplitSetting(option);
  if (!setting) return refuse("tsh takes one keyword and one value");
  if (Lower(setting->key) == Lower(kForwardAgent)) {
    if (setting->key != kForwardAgent)
      return refuse("tsh minds the case; its keyword is ForwardAgent");
    if (!ForwardAgentMode(option))
      return refuse("tsh's ForwardAgent is yes, no or local");
  }
  const auto harmful =
      std::ranges::find(kHarmful, setting->key, &Foreign::option);
  return harmful == kHarmful.end() ? std::string() : refuse(harmful->why);
}

}  // namespace

int TshRelease(std::string_view version) {
  // "Teleport v15.4.2 git:...", "Teleport Enterprise v4.2.1git:..."
  for (std::size_t at = version.find('v'); at != std::string_view::npos;
       at = version.find('v', at + 1)) {
    const char* const end = version.data() + version.size();
    int major = 0, minor = 0;
    const auto first = std::from_chars(version.data() + at + 1, end, major);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.')
      continue;
    if (std::from_chars(first.ptr + 1, end, minor).ec != std::errc()) continue;
    return TshRelease(major, minor);
  }
  return 0;
}

std::optional<std::string> ForwardAgentMode(std::string_view option) {
  const std::optional<Setting> setting = SplitSetting(option);
  if (!setting || setting->key != kForwardAgent) return std::nullopt;
  std::string mode = Lower(setting->value);
  if (mode != "yes" && mode != "no" && mode != "local") return std::nullopt;
  return mode;
}

std::string TshMode(const std::vector<std::string>& options) {
  std::string mode = "no";
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (options[i] == "-A") return "yes";
    if (!TakesArgument(options[i]) || ++i == options.size()) continue;
    if (options[i - 1] != "-o") continue;
    if (const auto set = ForwardAgentMode(options[i])) mode = *set;
  }
  return mode;
}

TshAgent TshForwards(std::string_view mode, int release) {
  if (mode == "local") return TshAgent::kOwn;
  if (mode != "yes") return TshAgent::kNone;
  return release != 0 && release < TshRelease(6, 2) ? TshAgent::kOwn
                                                    : TshAgent::kUsers;
}

std::string TshRequestFault(const Request& request) {
  const std::vector<std::string>& options = request.ssh_options;
  const std::string& destination = request.destination;
  if (request.ssh != "tsh")
    return request.ssh +
           " with --client tsh: the first tsh in PATH is run, and no other "
           "program";
  if (request.interactive)
    return "--interactive with --client tsh: log in with `tsh login` before";
  for (std::size_t i = 0; i < options.size(); ++i) {
    const auto foreign =
        std::ranges::find(kForeign, options[i], &Foreign::option);
    if (foreign != kForeign.end())
      return options[i] + " with --client tsh: " + std::string(foreign->why);
    if (!TakesArgument(options[i]) || ++i == options.size()) continue;
    if (options[i - 1] != "-o") continue;
    if (std::string fault = OptionFault(options[i]); !fault.empty())
      return fault;
  }
  if (destination.empty() || destination.starts_with('-') ||
      destination.starts_with('@'))
    return "\"" + destination + "\" is no destination";
  if (destination.starts_with("ssh://"))
    return destination + " with --client tsh: tsh takes [user@]host";
  if (destination.find('=') != std::string::npos)
    return destination +
           " with --client tsh: labels mean several nodes; name one host";
  return {};
}

}  // namespace agentdoctor
