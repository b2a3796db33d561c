#include "clients/login_keys.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "agent/client.h"
#include "agent/wire.h"
#include "system/file.h"
#include "system/socket.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kFileLimit = 1 << 16;
constexpr std::size_t kMostKeys = 2048;

std::string TypeOf(std::string_view blob) {
  try {
    return std::string(WireReader(blob).String());
  } catch (const std::runtime_error&) {
    return {};
  }
}

/// Only what is a file: a pipe would wait for a writer.
std::optional<std::string> ReadKeyFile(const std::string& path) {
  if (LookAt(path).kind != PathStatus::Kind::kFile) return std::nullopt;
  return ReadFile(path, kFileLimit);
}

/// "ssh-ed25519 BASE64 comment".
std::string ParsePublicLine(std::string_view text) {
  const std::string_view line = Trim(text.substr(0, text.find('\n')));
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos) return {};
  const std::string_view rest = line.substr(blank + 1);
  std::string blob = DecodeBase64(rest.substr(0, rest.find(' ')));
  return TypeOf(blob) == line.substr(0, blank) ? blob : std::string();
}

std::string ReadPublicFile(const std::string& path) {
  return ParsePublicLine(ReadKeyFile(path).value_or(""));
}

/// What a file of the configuration comes to.
struct KeyFile {
  std::string path = {};
  std::string blob = {};
  bool is_private = false;
  bool has_passphrase = false;
};

KeyFile LookAtKeyFile(const std::string& path,
                      std::vector<std::string>& messages) {
  KeyFile file{.path = path};
  const std::optional<std::string> text = ReadKeyFile(path);
  // ssh offers an agent's key by the public half alone.
  if (!text) {
    file.blob = ReadPublicFile(path + ".pub");
    return file;
  }
  file.blob = ParsePublicLine(*text);
  if (!file.blob.empty()) return file;

  constexpr int kOthers = 077;
  const PathStatus status = LookAt(path);
  // authfile.c:sshkey_perm_ok()
  if (status.owner == static_cast<std::int64_t>(getuid()) &&
      (status.mode & kOthers) != 0) {
    messages.push_back("ignored, because others may read it: " + path);
    file.blob = ReadPublicFile(path + ".pub");
    return file;
  }
  file.is_private = true;
  file.blob = PublicHalf(*text, file.has_passphrase);
  if (file.blob.empty()) file.blob = ReadPublicFile(path + ".pub");
  if (file.blob.empty())
    messages.push_back("no public half is at hand of " + path);
  return file;
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kTypes =
    {{{"sk-ssh-ed25519", "ED25519-SK"},
      {"sk-ecdsa", "ECDSA-SK"},
      {"ssh-ed25519", "ED25519"},
      {"ecdsa-sha2", "ECDSA"},
      {"ssh-rsa", "RSA"}}};

bool IsCertificate(std::string_view type) {
  return type.find("-cert-v0") != std::string_view::npos;
}

}  // namespace

std::vector<AgentKey> ListAgentKeys(const std::string& socket,
                                    Milliseconds limit) {
  std::vector<AgentKey> keys;
  if (socket.empty()) return keys;
  const Connection agent = ConnectUnix(socket, limit);
  if (agent.error != 0) return keys;
  const Clock::time_point deadline = Clock::now() + limit;
  const std::string request =
      WireString(std::string(1, static_cast<char>(kRequestIdentities)));
  std::string bytes;
  if (WriteAll(agent.fd.get(), request, deadline) != IoResult::kOk ||
      ReadExactly(agent.fd.get(), 4, bytes, deadline) != IoResult::kOk)
    return keys;
  const std::uint32_t size = WireReader(bytes).Uint32();
  if (size > kMaxAgentMessage ||
      ReadExactly(agent.fd.get(), size, bytes, deadline) != IoResult::kOk)
    return keys;
  try {
    WireReader reader(bytes);
    if (reader.Byte() != kIdentitiesAnswer) return {};
    const std::uint32_t count = reader.Uint32();
    for (std::uint32_t i = 0; i < count && keys.size() < kMostKeys; ++i) {
      AgentKey key{.blob = std::string(reader.String())};
      key.comment = reader.String();
      if (!TypeOf(key.blob).empty()) keys.push_back(std::move(key));
    }
  } catch (const std::runtime_error&) {
    return {};
  }
  return keys;
}

std::string LoginKey::Name() const {
  const std::string type = TypeOf(blob);
  std::string name = type;
  for (const auto& [start, word] : kTypes)
    if (type.starts_with(start)) {
      name = word;
      break;
    }
  if (certificate()) name += "-CERT";
  return name + " " + Fingerprint(blob) + (agent_blob.empty() ? "" : " agent");
}

bool LoginKey::certificate() const { return IsCertificate(TypeOf(blob)); }

std::string PublicHalf(const std::string& private_key, bool& has_passphrase) {
  constexpr std::string_view kBegin = "-----BEGIN OPENSSH PRIVATE KEY-----";
  constexpr std::string_view kEnd = "-----END OPENSSH PRIVATE KEY-----";
  constexpr std::string_view kMagic("openssh-key-v1\0", 15);
  has_passphrase = private_key.find("ENCRYPTED") != std::string::npos;
  const std::size_t begin = private_key.find(kBegin);
  const std::size_t end = private_key.find(kEnd);
  if (begin == std::string::npos || end == std::string::npos ||
      end < begin + kBegin.size())
    return {};
  const std::string bytes = DecodeBase64(
      std::string_view(private_key)
          .substr(begin + kBegin.size(), end - begin - kBegin.size()));
  try {
    // PROTOCOL.key
    WireReader reader(bytes);
    if (reader.Bytes(kMagic.size()) != kMagic) return {};
    has_passphrase = reader.String() != "none";
    reader.String();  // how the passphrase becomes a key
    reader.String();
    if (reader.Uint32() == 0) return {};
    return std::string(reader.String());
  } catch (const std::runtime_error&) {
    return {};
  }
}

std::vector<LoginKey> KeysToOffer(const std::vector<AgentKey>& agent,
                                  const LoginFiles& files,
                                  std::vector<std::string>& messages) {
  std::vector<KeyFile> keys;
  for (const std::string& path : files.identities)
    keys.push_back(LookAtKeyFile(path, messages));
  std::erase_if(keys, [](const KeyFile& file) { return file.blob.empty(); });
  std::vector<std::string> certificates;
  for (const std::string& path : files.certificates)
    certificates.push_back(ReadPublicFile(path));
  for (const KeyFile& file : keys)
    certificates.push_back(ReadPublicFile(file.path + "-cert.pub"));
  std::erase_if(certificates, [](const std::string& blob) {
    return !IsCertificate(TypeOf(blob));
  });

  const auto in_agent = [&agent](const std::string& blob) {
    return std::ranges::find(agent, blob, &AgentKey::blob);
  };
  std::vector<LoginKey> offers;
  const auto offer = [&offers](LoginKey key) {
    if (std::ranges::find(offers, key.blob, &LoginKey::blob) == offers.end())
      offers.push_back(std::move(key));
  };
  const auto from_file = [&](const KeyFile& file, const std::string& blob) {
    LoginKey key{.blob = blob};
    if (const auto found = in_agent(file.blob); found != agent.end()) {
      key.agent_blob = found->blob;
      key.comment = found->comment;
    } else if (file.is_private) {
      key.file = file.path;
      key.has_passphrase = file.has_passphrase;
    } else {
      return;  // nobody could sign
    }
    offer(std::move(key));
  };
  // A certificate has the fingerprint of the key it certifies.
  for (const std::string& blob : certificates)
    for (const KeyFile& file : keys)
      if (Fingerprint(file.blob) == Fingerprint(blob)) from_file(file, blob);
  for (const AgentKey& key : agent) {
    const bool named = std::ranges::any_of(
        keys, [&key](const KeyFile& file) { return file.blob == key.blob; });
    if (named)
      offer({.blob = key.blob, .agent_blob = key.blob, .comment = key.comment});
  }
  if (!files.identities_only)
    for (const AgentKey& key : agent)
      offer({.blob = key.blob, .agent_blob = key.blob, .comment = key.comment});
  for (const KeyFile& file : keys) from_file(file, file.blob);
  return offers;
}

}  // namespace agentdoctor
