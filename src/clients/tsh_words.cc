#include "clients/tsh_words.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "system/text.h"

namespace agentdoctor {
namespace {

bool Contains(std::string_view text, std::string_view words) {
  return text.find(words) != std::string_view::npos;
}

/// tsh's own last words begin so (lib/utils/cli.go, FatalError).
bool IsError(std::string_view line) {
  return Lower(line.substr(0, 6)) == "error:";
}

struct Meaning {
  std::string_view words;  ///< lower case
  std::string_view code;
};

/// In the order in which they are looked for: what is certain comes first.
constexpr std::array kFaults = {
    Meaning{"not logged in", "interaction-needed"},
    Meaning{"profile expired", "interaction-needed"},
    Meaning{"no active profile", "interaction-needed"},
    Meaning{"no proxy address specified", "interaction-needed"},
    Meaning{"session has expired", "interaction-needed"},
    Meaning{"has expired or is not yet valid", "interaction-needed"},
    Meaning{"not a terminal", "interaction-needed"},
    Meaning{"is not logged in", "interaction-needed"},
    Meaning{"mfa is required", "interaction-needed"},
    Meaning{"mfa device", "interaction-needed"},
    Meaning{"no such host", "name-not-resolved"},
    Meaning{"no matching host", "name-not-resolved"},
    Meaning{"no matching node", "name-not-resolved"},
    Meaning{"offline or does not exist", "name-not-resolved"},
    Meaning{"not found in inventory", "name-not-resolved"},
    Meaning{"connection refused", "connection-refused"},
    Meaning{"i/o timeout", "connection-timeout"},
    Meaning{"deadline exceeded", "connection-timeout"},
    Meaning{"no route to host", "network-unreachable"},
    Meaning{"network is unreachable", "network-unreachable"},
    Meaning{"proxy not available", "proxy-failed"},
    Meaning{"untrusted host", "host-key-unknown"},
    Meaning{"host key", "host-key-unknown"},
    Meaning{"access denied", "authentication-failed"},
    Meaning{"unable to authenticate", "authentication-failed"},
    Meaning{"handshake failed", "authentication-failed"}};

/// What tsh prints where it waits for somebody.
constexpr std::array<std::string_view, 9> kPrompts = {
    "tap any",           "enter an otp",         "enter your otp",
    "enter password",    "enter your pin",       "by clicking on the link",
    "complete headless", "enter request reason", "(yes/no)?"};

std::optional<std::string> CodeOf(std::string_view words) {
  const std::string lowered = Lower(words);
  const auto found = std::ranges::find_if(kFaults, [&](const Meaning& meaning) {
    return Contains(lowered, meaning.words);
  });
  if (found == kFaults.end()) return std::nullopt;
  return std::string(found->code);
}

}  // namespace

std::string TshVersion(std::string_view output) {
  for (const std::string& line : SplitLines(output)) {
    const std::string text = TshLine(line);
    if (!text.starts_with("Teleport ")) continue;
    // In old releases nothing stands between the number and "git:".
    const std::size_t number = text.find(" v") + 2;
    if (number < 2 || number == text.size() ||
        !std::isdigit(static_cast<unsigned char>(text[number])))
      continue;
    return text.substr(
        0, std::min(text.find(' ', number), text.find("git:", number)));
  }
  return {};
}

std::string TshLine(std::string_view line) {
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    // ESC [ ... m
    if (line[i] == '\033' && i + 1 < line.size() && line[i + 1] == '[') {
      const std::size_t end = line.find('m', i);
      if (end == std::string_view::npos) break;
      i = end;
      continue;
    }
    const bool blank = line[i] == ' ' || line[i] == '\t';
    if (blank && text.ends_with(' ')) continue;
    text += blank ? ' ' : line[i];
  }
  return ValidUtf8(Trim(text));
}

std::optional<TransportFault> TshLoginFault(std::string_view output) {
  bool active = false, logged_in = false;
  std::vector<std::string> lines;
  for (const std::string& raw : SplitLines(output)) {
    const std::string line = TshLine(raw);
    if (line.empty()) continue;
    lines.push_back(line);
    // The active profile comes first, marked with a bracket; of others a
    // login does not help.
    if (Contains(line, "Profile URL:")) active = line.starts_with(">");
    if (!active) continue;
    if (line.starts_with("Logged in as:")) logged_in = true;
    if (line.starts_with("Valid until:") && line.ends_with("[EXPIRED]"))
      return TransportFault{"interaction-needed", "tsh status: " + line};
  }
  if (std::optional<TransportFault> fault = TshFault(lines)) {
    fault->message = "tsh status: " + fault->message;
    return fault;
  }
  if (logged_in) return std::nullopt;
  // Old releases say "Not logged in." and no error.
  return TransportFault{
      "interaction-needed",
      "tsh status " + (lines.empty() ? std::string("says of no login")
                                     : "names no login: " + lines.back())};
}

std::string TshAsksPerson(std::string_view line) {
  const std::string lowered = Lower(line);
  const bool asks = std::ranges::any_of(kPrompts, [&](std::string_view prompt) {
    return Contains(lowered, prompt);
  });
  return asks ? TshLine(line) : std::string();
}

bool TshForwardingDenied(const std::vector<std::string>& messages) {
  return std::ranges::any_of(messages, [](const std::string& line) {
    return IsError(line) && Contains(line, "forwarding request denied");
  });
}

std::optional<TransportFault> TshFault(
    const std::vector<std::string>& messages) {
  // What came before its error is the far side's as well; the error itself may
  // go on over several lines.
  constexpr std::size_t kEnough = 400;
  std::string words;
  for (const std::string& line : messages)
    if ((!words.empty() || IsError(line)) && words.size() < kEnough)
      words += (words.empty() ? "" : " ") + line;
  if (words.empty()) return std::nullopt;
  return TransportFault{CodeOf(words).value_or("connection-lost"), words};
}

}  // namespace agentdoctor
