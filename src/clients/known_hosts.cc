#include "clients/known_hosts.h"

#include <nettle/hmac.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <stdexcept>

#include "agent/client.h"
#include "agent/wire.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

const std::uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const std::uint8_t*>(text.data());
}

/// "|1|SALT|HASH": HMAC-SHA1 with the salt as the key.
bool HashMatches(std::string_view hashed, const std::string& name) {
  constexpr std::string_view kMagic = "|1|";
  const std::size_t bar = hashed.find('|', kMagic.size());
  if (!hashed.starts_with(kMagic) || bar == std::string_view::npos)
    return false;
  const std::string salt =
      DecodeBase64(hashed.substr(kMagic.size(), bar - kMagic.size()));
  const std::string hash = DecodeBase64(hashed.substr(bar + 1));
  if (salt.empty() || hash.size() != SHA1_DIGEST_SIZE) return false;
  hmac_sha1_ctx context;
  hmac_sha1_set_key(&context, salt.size(), Bytes(salt));
  hmac_sha1_update(&context, name.size(), Bytes(name));
  std::array<std::uint8_t, SHA1_DIGEST_SIZE> digest{};
  hmac_sha1_digest(&context, digest.size(), digest.data());
  return std::equal(digest.begin(), digest.end(), Bytes(hash));
}

/// match.c:match_hostname(): one of the patterns, and none with a `!`.
bool NamesHost(std::string_view patterns, const std::string& name) {
  if (patterns.starts_with('|')) return HashMatches(patterns, name);
  bool found = false;
  while (!patterns.empty()) {
    const std::size_t comma = std::min(patterns.find(','), patterns.size());
    std::string_view pattern = patterns.substr(0, comma);
    patterns.remove_prefix(std::min(comma + 1, patterns.size()));
    const bool negated = pattern.starts_with('!');
    if (negated) pattern.remove_prefix(1);
    if (!MatchesPattern(name, Lower(pattern))) continue;
    if (negated) return false;
    found = true;
  }
  return found;
}

std::string_view TakeWord(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  const std::size_t end = std::min(rest.find_first_of(" \t"), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

}  // namespace

std::string KnownHostsName(const std::string& host, int port) {
  constexpr int kDefault = 22;
  const std::string name = Lower(host);
  return port == kDefault ? name : "[" + name + "]:" + std::to_string(port);
}

std::vector<KnownKey> FindKnownKeys(std::string_view text,
                                    const std::string& file,
                                    const std::string& name) {
  std::vector<KnownKey> keys;
  int number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view rest = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (rest.ends_with('\r')) rest.remove_suffix(1);
    KnownKey key{.file = file, .line = number};
    std::string_view patterns = TakeWord(rest);
    if (patterns.empty() || patterns.starts_with('#')) continue;
    if (patterns.starts_with('@')) {
      key.revoked = patterns == "@revoked";
      key.authority = patterns == "@cert-authority";
      if (!key.revoked && !key.authority) continue;
      patterns = TakeWord(rest);
    }
    if (!NamesHost(patterns, name)) continue;
    key.type = TakeWord(rest);
    key.blob = DecodeBase64(TakeWord(rest));
    // What is no key counts for nothing, as with ssh.
    try {
      if (WireReader(key.blob).String() != key.type) continue;
    } catch (const std::runtime_error&) {
      continue;
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

HostKeyState JudgeHostKey(const std::vector<KnownKey>& keys,
                          std::string_view blob) {
  HostKeyState state = HostKeyState::kUnknown;
  for (const KnownKey& key : keys) {
    if (key.authority) continue;
    const bool same = key.blob == blob;
    if (key.revoked && same) return HostKeyState::kRevoked;
    if (key.revoked) continue;
    if (same)
      state = HostKeyState::kKnown;
    else if (state == HostKeyState::kUnknown)
      state = HostKeyState::kChanged;
  }
  return state;
}

}  // namespace agentdoctor
