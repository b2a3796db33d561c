#include "clients/putty_host_keys.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "agent/client.h"
#include "agent/wire.h"
#include "clients/putty_sessions.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

/// The bytes of "0x1f...", most significant first; empty if it is none.
std::string Number(std::string_view text) {
  if (!text.starts_with("0x")) return {};
  text.remove_prefix(2);
  std::string bytes;
  int high = text.size() % 2 == 0 ? -1 : 0;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return {};
    if (high < 0) {
      high = digit;
    } else {
      bytes += static_cast<char>(high * 16 + digit);
      high = -1;
    }
  }
  return bytes;
}

std::string Padded(const std::string& bytes, std::size_t size) {
  return bytes.size() >= size ? bytes
                              : std::string(size - bytes.size(), '\0') + bytes;
}

/// RFC 4251: no leading zero but the one that keeps it positive.
std::string Mpint(std::string bytes) {
  bytes.erase(0, std::min(bytes.find_first_not_of('\0'), bytes.size()));
  if (!bytes.empty() && (static_cast<unsigned char>(bytes.front()) & 0x80) != 0)
    bytes.insert(bytes.begin(), '\0');
  return WireString(bytes);
}

std::vector<std::string_view> Split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == text.npos) return parts;
    text.remove_prefix(comma + 1);
  }
}

struct Curve {
  std::string_view type;
  std::string_view name;
  std::size_t bytes;  ///< of a coordinate
};

constexpr std::array kCurves = {
    Curve{"ecdsa-sha2-nistp256", "nistp256", 32},
    Curve{"ecdsa-sha2-nistp384", "nistp384", 48},
    Curve{"ecdsa-sha2-nistp521", "nistp521", 66},
};

/// A cached key (ssh_key's cache_str) as an SSH public key; empty if it can't
/// be made one.
std::string PublicBlob(std::string_view type, std::string_view key) {
  const std::vector<std::string_view> parts = Split(key);
  if (type == "rsa2" && parts.size() == 2)
    return WireString("ssh-rsa") + Mpint(Number(parts[0])) +
           Mpint(Number(parts[1]));
  if (type == "ssh-ed25519" && parts.size() == 2) {
    // RFC 8032: y, little-endian, with the parity of x in its highest bit.
    constexpr std::size_t kSize = 32;
    const std::string x = Number(parts[0]);
    std::string y = Padded(Number(parts[1]), kSize);
    if (x.empty() || y.size() != kSize) return {};
    std::ranges::reverse(y);
    if ((x.back() & 1) != 0)
      y.back() = static_cast<char>(static_cast<unsigned char>(y.back()) | 0x80);
    return WireString("ssh-ed25519") + WireString(y);
  }
  const auto* const curve = std::ranges::find(kCurves, type, &Curve::type);
  if (curve != kCurves.end() && parts.size() == 3) {
    const std::string x = Padded(Number(parts[1]), curve->bytes);
    const std::string y = Padded(Number(parts[2]), curve->bytes);
    if (x.size() != curve->bytes || y.size() != curve->bytes) return {};
    return WireString(curve->type) + WireString(curve->name) +
           WireString("\x04" + x + y);
  }
  return {};
}

}  // namespace

// storage.c, check_stored_host_key(): "type@port:hostname keydata".
std::vector<std::string> CachedHostKeys(std::string_view cache,
                                        std::string_view host, int port) {
  const std::string place =
      "@" + std::to_string(port) + ":" + std::string(host) + " ";
  std::vector<std::string> keys;
  for (const std::string& line : SplitLines(cache)) {
    const std::size_t at = line.find('@');
    if (at == line.npos || line.compare(at, place.size(), place) != 0) continue;
    const std::string_view text(line);
    const std::string blob =
        PublicBlob(text.substr(0, at), text.substr(at + place.size()));
    if (!blob.empty()) keys.push_back(Fingerprint(blob));
  }
  return keys;
}

std::vector<std::string> ManualHostKeys(std::string_view list) {
  std::vector<std::string> keys;
  for (std::string& key : PuttyNames(list)) {
    if (key.starts_with("SHA256:"))
      keys.push_back(std::move(key));
    else if (key.find(':') == key.npos)
      if (const std::string blob = DecodeBase64(key); !blob.empty())
        keys.push_back(Fingerprint(blob));
  }
  return keys;
}

std::string PublicBlobOfPpk(std::string_view text) {
  constexpr std::string_view kCount = "Public-Lines: ";
  const std::vector<std::string> lines = SplitLines(text);
  if (lines.empty() || !lines[0].starts_with("PuTTY-User-Key-File-")) return {};
  std::string base64;
  bool inside = false;
  for (const std::string& line : lines) {
    if (line.starts_with(kCount)) {
      inside = true;
    } else if (inside) {
      if (line.find(':') != line.npos) break;
      base64 += line;
    }
  }
  return DecodeBase64(base64);
}

}  // namespace agentdoctor
