#include "system/text.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace agentdoctor {
namespace {

struct Character {
  std::size_t size = 0;  ///< 0: the first byte begins no valid sequence
  char32_t code = 0;
};

// The first character of \a text, strictly (RFC 3629: no overlong forms, no
// surrogates, nothing above U+10FFFF).
Character Decode(std::string_view text) {
  const auto byte = [&text](std::size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  const unsigned char first = byte(0);
  if (first < 0x80) return {1, first};
  std::size_t size = 0;
  if (first >= 0xc2 && first <= 0xdf) size = 2;
  if (first >= 0xe0 && first <= 0xef) size = 3;
  if (first >= 0xf0 && first <= 0xf4) size = 4;
  if (size == 0 || text.size() < size) return {};
  char32_t code = first & (0xffu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3fu);
  }
  const bool overlong =
      (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (overlong || surrogate || code > 0x10ffff) return {};
  return {size, code};
}

// Reorders or breaks the line it stands in (Unicode TR 36, "Trojan Source").
bool Deceives(char32_t code) {
  return (code >= 0x202a && code <= 0x202e) ||
         (code >= 0x2066 && code <= 0x2069) || code == 0x200e ||
         code == 0x200f || code == 0x061c || code == 0x2028 || code == 0x2029;
}

std::string Hex(char32_t value, int digits) {
  std::string hex;
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4)
    hex += "0123456789abcdef"[(value >> shift) & 0xf];
  return hex;
}

bool IsSpace(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' ||
         c == '\v';
}

bool SafeInShell(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') ||
         std::string_view("@%+=:,./-_").find(c) != std::string_view::npos;
}

}  // namespace

std::string Harmless(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  while (!text.empty()) {
    const Character character = Decode(text);
    const char32_t code = character.code;
    const std::size_t size = std::max<std::size_t>(character.size, 1);
    if (character.size == 0) {
      safe += "\\x" + Hex(static_cast<unsigned char>(text[0]), 2);
    } else if (code == '\n' || code == '\t') {
      safe += ' ';
    } else if (code == '\r' && text.size() > 1 && text[1] == '\n') {
      // half of a line end
    } else if (code < 0x20 || code == 0x7f) {
      safe += "\\x" + Hex(code, 2);
    } else if ((code >= 0x80 && code < 0xa0) || Deceives(code)) {
      safe += "\\u" + Hex(code, 4);
    } else {
      safe += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  return safe;
}

std::string ValidUtf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const Character character = Decode(text);
    const std::size_t size = std::max<std::size_t>(character.size, 1);
    if (character.size == 0)
      valid += "\xef\xbf\xbd";  // U+FFFD
    else
      valid += text.substr(0, size);
    text.remove_prefix(size);
  }
  return valid;
}

std::string Elide(std::string_view text, std::size_t columns) {
  std::vector<std::string_view> characters;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size =
        std::max<std::size_t>(Decode(text.substr(at)).size, 1);
    characters.push_back(text.substr(at, size));
    at += size;
  }
  if (characters.size() <= columns) return std::string(text);
  if (columns == 0) return {};
  const std::size_t head = columns / 2;
  const std::size_t tail = columns - 1 - head;
  std::string elided;
  for (std::size_t i = 0; i < head; ++i) elided += characters[i];
  elided += "\xe2\x80\xa6";  // U+2026, an ellipsis
  for (std::size_t i = characters.size() - tail; i < characters.size(); ++i)
    elided += characters[i];
  return elided;
}

std::string ShellQuote(std::string_view word) {
  // zsh replaces a leading "=" by a path ("=ls").
  if (!word.empty() && word[0] != '=' &&
      std::all_of(word.begin(), word.end(), SafeInShell))
    return std::string(word);
  std::string quoted = "'";
  for (const char c : word) {
    if (c == '\'')
      quoted += "'\\''";
    else
      quoted += c;
  }
  return quoted + "'";
}

std::string ShellQuote(const std::vector<std::string>& argv) {
  std::string line;
  for (const std::string& word : argv) {
    if (!line.empty()) line += ' ';
    line += ShellQuote(word);
  }
  return line;
}

std::vector<std::string> SplitLines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    lines.emplace_back(line);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return lower;
}

std::string Duration(long long seconds) {
  struct Unit {
    long long seconds;
    const char* name;
  };
  constexpr std::array<Unit, 4> kUnits{
      {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}}};
  for (const Unit& unit : kUnits) {
    const long long count = seconds / unit.seconds;
    if (count >= 1)
      return std::to_string(count) + " " + unit.name + (count == 1 ? "" : "s");
  }
  return "0 seconds";
}

bool MatchesPattern(std::string_view text, std::string_view pattern) {
  std::size_t at = 0;
  std::size_t in = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resumed = 0;
  while (at < text.size()) {
    if (in < pattern.size() &&
        (pattern[in] == '?' ||
         (pattern[in] != '*' && pattern[in] == text[at]))) {
      ++at;
      ++in;
    } else if (in < pattern.size() && pattern[in] == '*') {
      star = in++;
      resumed = at;
    } else if (star != std::string_view::npos) {
      in = star + 1;
      at = ++resumed;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', in) == std::string_view::npos;
}

}  // namespace agentdoctor
