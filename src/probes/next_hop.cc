#include "probes/next_hop.h"

#include <algorithm>

#include "probes/records.h"
#include "probes/server_config.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr char kScript[] =
#include "next_hop.inc"
    ;

/// Lines of `ssh -G`; a keyword may come several times.
std::map<std::string, std::string> ReadConfig(const std::string& text) {
  std::map<std::string, std::string> config;
  for (const std::string& line : SplitLines(ValidUtf8(text))) {
    const std::size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    std::string& value = config[line.substr(0, space)];
    if (!value.empty()) value += ", ";
    value += line.substr(space + 1);
  }
  return config;
}

/// The login's words end with "=STATUS", unless they were cut off.
void ReadLogin(const std::string& text, ProbedNextHop& probed) {
  probed.login = text;
  const std::size_t end = text.rfind("\n=");
  const std::string_view status =
      end == std::string::npos ? "" : std::string_view(text).substr(end + 2);
  if (status.empty() || status.size() > 3 ||
      status.find_first_not_of("0123456789") != std::string_view::npos) {
    probed.cut_off = !text.empty();
    return;
  }
  probed.login.resize(end);
  // timeout(1), or our own KILL.
  probed.timed_out = status == "124" || status == "137";
}

}  // namespace

bool IsPlainDestination(std::string_view destination) {
  return std::ranges::all_of(destination, [](const char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') ||
           std::string_view("@._:/+=,~%[]-").find(c) != std::string_view::npos;
  });
}

std::string NextHopScript(const std::vector<std::string>& to,
                          Milliseconds limit) {
  std::string words;
  for (const std::string& destination : to)
    words += (words.empty() ? "" : " ") + destination;
  const auto seconds = std::chrono::floor<std::chrono::seconds>(
      std::clamp(limit, Milliseconds{1000}, kNextHopLimit));
  return "to=\"" + words + "\"\npatience=" + std::to_string(seconds.count()) +
         "\n" + kScript;
}

Fact<std::vector<ProbedNextHop>> ParseNextHops(const std::string& output) {
  const Fact<std::vector<Record>> records = ReadRecords(output);
  if (!records.known()) return Unknown{records.reason()};
  std::vector<ProbedNextHop> hops;
  for (const auto& [key, value] : *records) {
    if (key == "hop") {
      if (hops.size() == kMaxNextHops) break;
      hops.emplace_back().hop.destination = ValidUtf8(value);
      continue;
    }
    if (hops.empty()) continue;
    ProbedNextHop& probed = hops.back();
    NextHop& hop = probed.hop;
    if (key == "hop_version")
      hop.version = ValidUtf8(value.substr(0, value.find(',')));
    else if (key == "hop_config")
      hop.config = ReadConfig(value);
    else if (key == "hop_lines")
      for (const FileLine& line : ReadFileLines(value))
        hop.lines.push_back({.file = ValidUtf8(line.file),
                             .line = line.line,
                             .text = ValidUtf8(Trim(line.text))});
    else if (key == "hop_master")
      hop.master_alive = value == "alive";
    else if (key == "hop_not_tried")
      hop.not_tried = ValidUtf8(value);
    else if (key == "hop_login")
      ReadLogin(value, probed);
  }
  return hops;
}

}  // namespace agentdoctor
