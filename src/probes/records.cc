#include "probes/records.h"

#include "system/text.h"

namespace agentdoctor {

std::optional<std::string> DecodeHex(std::string_view text) {
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  std::string bytes;
  bytes.reserve(text.size() / 2);
  int high = -1;
  for (const char c : text) {
    // od's lines; \r where a terminal came between.
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    const int value = digit(c);
    if (value < 0) return std::nullopt;
    if (high < 0) {
      high = value;
    } else {
      bytes += static_cast<char>(high * 16 + value);
      high = -1;
    }
  }
  if (high >= 0) return std::nullopt;
  return bytes;
}

Fact<std::vector<Record>> ReadRecords(const std::string& output) {
  if (Trim(output) == "none")
    return Unknown{"nothing there can write bytes as text (no od or hexdump)"};
  const std::optional<std::string> decoded = DecodeHex(output);
  if (!decoded) return Unknown{"something else wrote into the probe's answer"};
  const std::string& bytes = *decoded;
  const Unknown incomplete{"the probe's answer is not complete"};
  std::vector<Record> records;
  std::size_t at = 0;
  const auto next = [&]() -> std::optional<std::string> {
    const std::size_t end = bytes.find('\0', at);
    if (end == std::string::npos) return std::nullopt;
    std::string text = bytes.substr(at, end - at);
    at = end + 1;
    return text;
  };
  while (at < bytes.size()) {
    std::optional<std::string> key = next();
    std::optional<std::string> value = key ? next() : std::nullopt;
    if (!value) return incomplete;
    records.emplace_back(std::move(*key), std::move(*value));
  }
  if (records.empty() || records.back().first != "end") return incomplete;
  return records;
}

}  // namespace agentdoctor
