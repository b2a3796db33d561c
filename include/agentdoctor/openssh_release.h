// Which OpenSSH a program is, from what it says of itself.
#pragma once

#include <string_view>

namespace agentdoctor {

/// OpenSSH 9.2 is 902.
constexpr int Release(int major, int minor) { return major * 100 + minor; }

/// 902 for "OpenSSH_9.2p1 Debian-2", 905 for "OpenSSH_for_Windows_9.5"; 0 if it
/// is another program, or can't be read.
constexpr int OpenSshRelease(std::string_view version) {
  constexpr std::string_view kDigits = "0123456789";
  if (!version.starts_with("OpenSSH_")) return 0;
  int numbers[2] = {};
  std::size_t at = version.find_first_of(kDigits);
  for (int& number : numbers) {
    if (at >= version.size()) return 0;
    const std::size_t begin = at;
    for (; at < version.size() && kDigits.find(version[at]) != kDigits.npos;
         ++at) {
      if (at - begin == 2) return 0;
      number = number * 10 + (version[at] - '0');
    }
    if (at == begin) return 0;
    if (&number == numbers && (at == version.size() || version[at++] != '.'))
      return 0;
  }
  return Release(numbers[0], numbers[1]);
}

}  // namespace agentdoctor
