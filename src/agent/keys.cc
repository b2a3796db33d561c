// Public keys as agents list them: types, fingerprints, certificates.
#include <nettle/sha2.h>

#include <array>
#include <cctype>

#include "agent/client.h"
#include "agent/wire.h"

namespace agentdoctor {
namespace {

constexpr std::string_view kCertificateSuffix = "-cert-v01@openssh.com";
constexpr std::uint32_t kMaxIdentities = 2048;  // authfd.c

/// A certified type, and how many strings or mpints its public key is made of
/// (PROTOCOL.certkeys, PROTOCOL.u2f).
struct KeyShape {
  std::string_view plain_type;
  int fields;
};

constexpr std::array<KeyShape, 8> kShapes{{
    {"ssh-rsa", 2},
    {"ssh-dss", 4},
    {"ecdsa-sha2-nistp256", 2},
    {"ecdsa-sha2-nistp384", 2},
    {"ecdsa-sha2-nistp521", 2},
    {"ssh-ed25519", 1},
    {"sk-ecdsa-sha2-nistp256@openssh.com", 3},
    {"sk-ssh-ed25519@openssh.com", 2},
}};

/// A certificate's blob, taken apart.
struct Certified {
  std::string plain_blob;  ///< of the public key in it
  Certificate certificate;
};

// Nothing if \a blob is no certificate of a known type; throws where it is
// one, but cut off.
std::optional<Certified> ReadCertificate(std::string_view blob) {
  WireReader reader(blob);
  std::string type(reader.String());
  if (!type.ends_with(kCertificateSuffix)) return std::nullopt;
  type.resize(type.size() - kCertificateSuffix.size());
  for (const KeyShape& shape : kShapes) {
    // "sk-ssh-ed25519-cert-v01@openssh.com" certifies
    // "sk-ssh-ed25519@openssh.com".
    if (shape.plain_type.substr(0, shape.plain_type.find('@')) != type)
      continue;
    Certified certified;
    certified.plain_blob = WireString(shape.plain_type);
    reader.String();  // nonce
    for (int i = 0; i < shape.fields; ++i)
      certified.plain_blob += WireString(reader.String());
    reader.Uint64();  // serial
    reader.Uint32();  // user or host
    certified.certificate.key_id = reader.String();
    reader.String();  // principals
    certified.certificate.valid_after = reader.Uint64();
    certified.certificate.valid_before = reader.Uint64();
    return certified;
  }
  return std::nullopt;
}

std::string PrintOf(std::string_view bytes) {
  std::string text = EncodeBase64(Sha256(bytes));
  while (text.ends_with('=')) text.pop_back();
  return "SHA256:" + text;
}

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string Sha256(std::string_view bytes) {
  std::string digest(SHA256_DIGEST_SIZE, '\0');
  sha256_ctx hash;
  sha256_init(&hash);
  sha256_update(&hash, bytes.size(),
                reinterpret_cast<const std::uint8_t*>(bytes.data()));
  sha256_digest(&hash, digest.size(),
                reinterpret_cast<std::uint8_t*>(digest.data()));
  return digest;
}

std::string EncodeBase64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::string_view group = bytes.substr(at, 3);
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < 3; ++i)
      bits = (bits << 8) |
             (i < group.size() ? static_cast<unsigned char>(group[i]) : 0u);
    for (std::size_t i = 0; i < 4; ++i)
      text += i <= group.size() ? kBase64[(bits >> (18 - 6 * i)) & 63] : '=';
  }
  return text;
}

std::string DecodeBase64(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  int count = 0;  // of the bits that wait for a full byte
  std::size_t digits = 0;
  std::size_t padding = 0;
  for (const char c : text) {
    if (std::isspace(static_cast<unsigned char>(c)) != 0) continue;
    if (c == '=') {
      ++padding;
      continue;
    }
    const std::size_t digit = kBase64.find(c);
    if (digit == std::string_view::npos || padding > 0) return {};
    ++digits;
    bits = (bits << 6) | static_cast<std::uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      bytes += static_cast<char>((bits >> count) & 0xff);
    }
  }
  if (digits % 4 == 1 || (padding > 0 && (digits + padding) % 4 != 0))
    return {};
  return bytes;
}

std::string Fingerprint(std::string_view blob) {
  try {
    if (const auto certified = ReadCertificate(blob))
      return PrintOf(certified->plain_blob);
  } catch (const std::runtime_error&) {
    // No key at all; its bytes still have a fingerprint.
  }
  return PrintOf(blob);
}

Identity ParsePublicKey(std::string_view blob, std::string comment) {
  Identity identity;
  identity.type = WireReader(blob).String();
  if (identity.type.empty()) throw std::runtime_error("a key without type");
  identity.fingerprint = Fingerprint(blob);
  identity.comment = std::move(comment);
  if (auto certified = ReadCertificate(blob))
    identity.certificate = std::move(certified->certificate);
  return identity;
}

std::vector<Identity> ParseIdentities(std::string_view body,
                                      std::string& error) {
  std::vector<Identity> identities;
  try {
    WireReader reader(body);
    const std::uint32_t count = reader.Uint32();
    if (count > kMaxIdentities)
      throw std::runtime_error("claims " + std::to_string(count) +
                               " identities");
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::string_view blob = reader.String();
      identities.push_back(ParsePublicKey(blob, std::string(reader.String())));
    }
  } catch (const std::runtime_error& problem) {
    error = std::string("no valid list of identities: ") + problem.what();
    identities.clear();
  }
  return identities;
}

}  // namespace agentdoctor
