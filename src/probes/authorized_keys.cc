#include "probes/authorized_keys.h"

#include <stdexcept>
#include <vector>

#include "agent/client.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

/// In front of the folder's name.  An echoed command line does not have it.
constexpr std::string_view kMark = "authorized-keys-in ";
constexpr std::string_view kFile = "/.ssh/authorized_keys";

/// The text up to \a end, but not at one that stands in double quotes; takes it
/// off the front.
std::string_view TakeUntil(std::string_view& text, char end) {
  bool quoted = false;
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '\\' && quoted) {
      ++at;
      continue;
    }
    if (text[at] == '"') quoted = !quoted;
    if (text[at] == end && !quoted) break;
  }
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return taken;
}

bool IsKeyType(std::string_view word) {
  return word.starts_with("ssh-") || word.starts_with("ecdsa-") ||
         word.starts_with("sk-ssh-") || word.starts_with("sk-ecdsa-");
}

bool IsKey(std::string_view base64, std::string_view fingerprint) {
  try {
    return Fingerprint(DecodeBase64(base64)) == fingerprint;
  } catch (const std::runtime_error&) {
    return false;  // no key at all
  }
}

KeyOptions Read(std::string_view options, std::string source) {
  KeyOptions result{.source = std::move(source), .agent_forwarding = true};
  while (!options.empty()) {
    // The command itself is none of our business.
    const std::string_view option = TakeUntil(options, ',');
    const std::string_view name = option.substr(0, option.find('='));
    if (!result.options.empty()) result.options += ',';
    result.options += ValidUtf8(name);
    const std::string word = Lower(name);
    if (word == "no-agent-forwarding" || word == "restrict")
      result.agent_forwarding = false;
    if (word == "command") result.forced_command = true;
  }
  return result;
}

}  // namespace

std::string AuthorizedKeysCommand() {
  return "sh -c 'cd && printf \"%s-in %s\\n\" authorized-keys \"$PWD\" && "
         "cat .ssh/authorized_keys' </dev/null";
}

std::optional<KeyOptions> FindKeyOptions(std::string_view output,
                                         std::string_view accepted_key) {
  const std::size_t print = accepted_key.find("SHA256:");
  if (print == accepted_key.npos) return std::nullopt;
  std::string_view fingerprint = accepted_key.substr(print);
  fingerprint = fingerprint.substr(0, fingerprint.find(' '));

  std::string file;
  int number = 0;
  for (const std::string& whole : SplitLines(output)) {
    if (file.empty()) {
      if (const std::size_t mark = whole.find(kMark); mark != whole.npos)
        file = whole.substr(mark + kMark.size()) + std::string(kFile);
      continue;
    }
    ++number;
    std::string_view line = Trim(whole);
    if (line.empty() || line.front() == '#') continue;
    std::string_view options;
    std::string_view type = TakeUntil(line, ' ');
    if (!IsKeyType(type)) {
      options = type;
      line = Trim(line);
      type = TakeUntil(line, ' ');
    }
    line = Trim(line);
    if (IsKeyType(type) && IsKey(line.substr(0, line.find(' ')), fingerprint))
      return Read(options, ValidUtf8(file) + ":" + std::to_string(number));
  }
  return std::nullopt;
}

}  // namespace agentdoctor
