// Who makes sockets at which path.
#include <fnmatch.h>
#include <nettle/sha2.h>
#include <unistd.h>

#include <array>

#include "agent/client.h"

namespace agentdoctor {
namespace {

struct Pattern {
  const char* path;  ///< fnmatch(3); "*" matches "/" too
  const char* product;
};

// The first that matches counts.  sshd and ssh-agent draw names of different
// length (session.c, ssh-agent.c; since 10.1 misc-agent.c).
// The literals are cut where they would hold a trigraph.
constexpr std::array kPatterns = std::to_array<Pattern>({
    {"/tmp/ssh-??????????"
     "/agent.[0-9]*",
     "forwarded by sshd"},
    {"*/ssh-????????????"
     "/agent.[0-9]*",
     "ssh-agent"},
    {"*/.ssh/agent/s.*.sshd.*", "forwarded by sshd"},
    {"*/.ssh/agent/s.*.agent.*", "ssh-agent"},
    {"/tmp/dropbear-*/auth-*", "forwarded by dropbear"},
    {"*/auth-agent[0-9]*/listener.sock", "forwarded by a Go SSH server"},
    {"*/com.apple.launchd.*/Listeners", "launchd"},
    {"*/2BUA8C4S2C.com.1password/t/agent.sock", "1Password"},
    {"*/.1password/agent.sock", "1Password"},
    {"*/com.maxgoedjen.Secretive.SecretAgent/*socket.ssh", "Secretive"},
    {"*/.bitwarden-ssh-agent.sock", "Bitwarden"},
    {"*/S.gpg-agent.ssh", "gpg-agent"},
    {"*/S.gpg-agent", "gpg-agent, but not its socket for ssh"},
    {"*/keyring/ssh", "gnome-keyring"},
    {"*/keyring/.ssh", "gnome-keyring"},
    {"*/gcr/ssh", "gcr-ssh-agent"},
    {"/run/user/*/openssh_agent", "ssh-agent, started for the session"},
    {"/run/user/*/ssh-agent.socket", "ssh-agent, started for the session"},
    {"*/wezterm/agent.*", "a link made by WezTerm"},
    {"*/vscode-ssh-auth-sock-*", "a link made by VS Code Remote-SSH"},
    {"/tmp/vscode-ssh-auth-*.sock", "VS Code Dev Containers"},
    {"/run/host-services/ssh-auth.sock", "Docker Desktop"},
    {"/run/buildkit/ssh_agent.*", "BuildKit"},
});

}  // namespace

std::string SocketProduct(const std::string& path) {
  for (const Pattern& pattern : kPatterns)
    if (fnmatch(pattern.path, path.c_str(), 0) == 0) return pattern.product;
  return {};
}

// misc-agent.c, hostname_hash().
std::string HostnameHash(std::string_view hostname) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  constexpr std::size_t kLength = 10;
  std::array<std::uint8_t, SHA512_DIGEST_SIZE> digest;
  sha512_ctx context;
  sha512_init(&context);
  sha512_update(&context, hostname.size(),
                reinterpret_cast<const std::uint8_t*>(hostname.data()));
  sha512_digest(&context, digest.size(), digest.data());
  std::string hash;
  for (std::size_t i = 0; i < kLength; ++i)
    hash += kLetters[digest[i] % kLetters.size()];
  return hash;
}

bool MadeOnAnotherHost(const std::string& path) {
  if (fnmatch("*/.ssh/agent/s.??????????"
              ".*.*",
              path.c_str(), 0) != 0)
    return false;
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return false;
  const std::size_t hash = path.rfind("/s.") + 3;
  return path.compare(hash, 10, HostnameHash(name.data())) != 0;
}

}  // namespace agentdoctor
