// Text from outside, made harmless; text for a shell, quoted.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace agentdoctor {

/// Replaces control characters (C0, DEL, C1) and invalid UTF-8 by "?"-like
/// visible forms, and bidirectional overrides too.  Newlines become spaces.
std::string Harmless(std::string_view text);

/// Valid UTF-8: every invalid byte becomes U+FFFD.  Control characters stay.
std::string ValidUtf8(std::string_view text);

/// At most \a columns characters, the middle left out: "/very/lo…/end".
std::string Elide(std::string_view text, std::size_t columns);

/// A word for a POSIX shell: as it is where that is safe, else in quotes.
std::string ShellQuote(std::string_view word);
std::string ShellQuote(const std::vector<std::string>& argv);

std::vector<std::string> SplitLines(std::string_view text);
std::string_view Trim(std::string_view text);
std::string Lower(std::string_view text);

/// A pattern in which `*` stands for any text and `?` for any character, as in
/// the files of OpenSSH (match.c).
bool MatchesPattern(std::string_view text, std::string_view pattern);

/// "3 days", "2 hours", "5 minutes", "12 seconds".
std::string Duration(long long seconds);

}  // namespace agentdoctor
