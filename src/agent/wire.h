// SSH's data types (RFC 4251, section 5), read with bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace agentdoctor {

/// Messages longer than this are nobody's (authfd.c: MAX_AGENT_REPLY_LEN).
inline constexpr std::size_t kMaxAgentMessage = 256 * 1024;

/// Message numbers of the agent protocol (RFC 9987, section 5.1; 30 and 102
/// are the failures of older agents, authfd.c: agent_failed).
inline constexpr unsigned char kAgentFailure = 5;
inline constexpr unsigned char kAgentSuccess = 6;
inline constexpr unsigned char kRequestIdentities = 11;
inline constexpr unsigned char kIdentitiesAnswer = 12;
inline constexpr unsigned char kExtension = 27;
inline constexpr unsigned char kExtensionFailure = 28;
inline constexpr unsigned char kExtensionResponse = 29;
inline constexpr unsigned char kSsh2AgentFailure = 30;
inline constexpr unsigned char kSshComAgentFailure = 102;

inline constexpr std::string_view kSessionBind = "session-bind@openssh.com";

/// Takes values off the front; throws std::runtime_error where there are
/// too few bytes.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  std::string_view Bytes(std::size_t size) {
    if (size > rest_.size()) throw std::runtime_error("a message is too short");
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  unsigned char Byte() { return static_cast<unsigned char>(Bytes(1)[0]); }
  std::uint32_t Uint32() { return static_cast<std::uint32_t>(Number(4)); }
  std::uint64_t Uint64() { return Number(8); }
  std::string_view String() { return Bytes(Uint32()); }
  std::string_view rest() const { return rest_; }

 private:
  std::uint64_t Number(std::size_t size) {
    std::uint64_t value = 0;
    for (const char c : Bytes(size))
      value = (value << 8) | static_cast<unsigned char>(c);
    return value;
  }

  std::string_view rest_;
};

inline std::string WireUint32(std::uint32_t value) {
  std::string bytes;
  for (const unsigned shift : {24u, 16u, 8u, 0u})
    bytes += static_cast<char>((value >> shift) & 0xff);
  return bytes;
}

inline std::string WireString(std::string_view text) {
  return WireUint32(static_cast<std::uint32_t>(text.size())) +
         std::string(text);
}

}  // namespace agentdoctor
