// The options of ssh(1), by what they take and what they are about (ssh.c's
// getopt string).
#pragma once

#include <string_view>

namespace agentdoctor {

/// How to reach the host and who to be there.
inline constexpr std::string_view kSshLoginFlags = "46AaCKk";
inline constexpr std::string_view kSshLoginWithArgument = "BFIJPbcilmop";
/// What to do once connected, or how much to talk.
inline constexpr std::string_view kSshOtherFlags = "MNTXYfgnqstvxy";
inline constexpr std::string_view kSshOtherWithArgument = "DELRSWew";
/// What is no login at all (-Z: 10.5); of them -O and -Q take an argument.
inline constexpr std::string_view kSshNoLogin = "GVQOZ";

constexpr bool HasOption(std::string_view letters, char option) {
  return letters.find(option) != std::string_view::npos;
}

/// Whether the rest of the word, or the next one, is its argument.
constexpr bool SshOptionTakesArgument(char option) {
  return HasOption(kSshLoginWithArgument, option) ||
         HasOption(kSshOtherWithArgument, option) || option == 'O' ||
         option == 'Q';
}

}  // namespace agentdoctor
