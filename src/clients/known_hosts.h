// The keys that files in OpenSSH's known_hosts format hold for a host
// (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT; hostfile.c).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace agentdoctor {

struct KnownKey {
  std::string file = {};
  int line = 0;
  std::string type = {};  ///< "ssh-ed25519"
  std::string blob = {};
  bool revoked = false;    ///< @revoked
  bool authority = false;  ///< @cert-authority: signs keys, is none
  bool operator==(const KnownKey&) const = default;
};

/// A host as it stands in such a file: "[host]:port", without a port of 22.
std::string KnownHostsName(const std::string& host, int port);

/// The lines of \a text that name \a name: in plain words, by patterns with
/// `!`, or hashed.
std::vector<KnownKey> FindKnownKeys(std::string_view text,
                                    const std::string& file,
                                    const std::string& name);

/// What the files together say of a key.
enum class HostKeyState {
  kKnown,
  kUnknown,
  kChanged,  ///< there are keys for that name, and this is none of them
  kRevoked,
};

HostKeyState JudgeHostKey(const std::vector<KnownKey>& keys,
                          std::string_view blob);

}  // namespace agentdoctor
