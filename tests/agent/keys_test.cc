#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "agent/client.h"
#include "agent/fake_agent.h"

namespace agentdoctor {
namespace {

// Keys made with ssh-keygen; fingerprints as `ssh-keygen -l` prints them.
constexpr std::string_view kEd25519 =
    "AAAAC3NzaC1lZDI1NTE5AAAAIJvJv8UV+hoX88XzRA1Yn3KCeCRCSKMg4TmrgTWJ44oa";
constexpr std::string_view kEd25519Fingerprint =
    "SHA256:7Zm3oSX+XzdidkvKUJi/HGb7EDpUM7mMehpWE2tV3WA";

// A security key's certificate, as ssh-keygen would write it: \a fields are
// those of the public key.
std::string CertificateBlob(const std::string& type,
                            const std::string& fields) {
  const std::string lifetime = std::string(4, '\0') + WireUint32(100) +
                               std::string(4, '\0') + WireUint32(200);
  return WireString(type) + WireString("nonce") + fields +
         std::string(8, '\0') + WireUint32(1) + WireString("key id") +
         WireString("") + lifetime + WireString("") + WireString("") +
         WireString("") + WireString("ca") + WireString("signature");
}

TEST(KeysTest, PrintsAFingerprintLikeSshKeygen) {
  const std::string blob = DecodeBase64(kEd25519);
  EXPECT_EQ(Fingerprint(blob), kEd25519Fingerprint);
  const Identity identity = ParsePublicKey(blob, "comment");
  EXPECT_EQ(identity.type, "ssh-ed25519");
  EXPECT_EQ(identity.fingerprint, kEd25519Fingerprint);
  EXPECT_EQ(identity.comment, "comment");
  EXPECT_FALSE(identity.certificate);
}

TEST(KeysTest, KnowsTheKeyInsideACertificateOfEveryType) {
  const std::string f = WireString("field");
  struct Case {
    std::string certificate;
    std::string plain;
    std::string fields;
  };
  for (const Case& item : {
           Case{"ssh-rsa-cert-v01@openssh.com", "ssh-rsa", f + f},
           Case{"ssh-dss-cert-v01@openssh.com", "ssh-dss", f + f + f + f},
           Case{"ecdsa-sha2-nistp521-cert-v01@openssh.com",
                "ecdsa-sha2-nistp521", f + f},
           Case{"ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519", f},
           Case{"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
                "sk-ecdsa-sha2-nistp256@openssh.com", f + f + f},
           Case{"sk-ssh-ed25519-cert-v01@openssh.com",
                "sk-ssh-ed25519@openssh.com", f + f},
       }) {
    const Identity identity =
        ParsePublicKey(CertificateBlob(item.certificate, item.fields), "");
    EXPECT_EQ(identity.type, item.certificate);
    EXPECT_EQ(identity.fingerprint,
              Fingerprint(WireString(item.plain) + item.fields));
    ASSERT_TRUE(identity.certificate);
    EXPECT_EQ(*identity.certificate, (Certificate{"key id", 100, 200}));
  }
}

TEST(KeysTest, TakesTypesThatItDoesNotKnow) {
  const std::string blob = WireString("ssh-future") + WireString("bits");
  const Identity identity = ParsePublicKey(blob, "");
  EXPECT_EQ(identity.type, "ssh-future");
  EXPECT_TRUE(identity.fingerprint.starts_with("SHA256:"));
  EXPECT_FALSE(ParsePublicKey(WireString("ssh-future-cert-v01@openssh.com"), "")
                   .certificate);
}

TEST(KeysTest, RefusesWhatIsNoKey) {
  EXPECT_THROW(ParsePublicKey("", ""), std::runtime_error);
  EXPECT_THROW(ParsePublicKey("junk", ""), std::runtime_error);
  EXPECT_THROW(ParsePublicKey(WireString(""), ""), std::runtime_error);
  EXPECT_THROW(
      ParsePublicKey(WireString("ssh-ed25519-cert-v01@openssh.com"), ""),
      std::runtime_error);
}

TEST(KeysTest, ParsesAListOrSaysWhatIsWrongWithIt) {
  std::string error;
  const std::string body = WireUint32(2) + WireString(Ed25519Blob('a')) +
                           WireString("one") + WireString(Ed25519Blob('b')) +
                           WireString("two");
  const std::vector<Identity> identities = ParseIdentities(body, error);
  EXPECT_EQ(error, "");
  ASSERT_EQ(identities.size(), 2u);
  EXPECT_EQ(identities[1].comment, "two");
  EXPECT_NE(identities[0].fingerprint, identities[1].fingerprint);
  for (std::size_t size = 0; size < body.size(); ++size) {
    error.clear();
    EXPECT_TRUE(
        ParseIdentities(std::string_view(body).substr(0, size), error).empty());
    EXPECT_NE(error, "");
  }
}

TEST(KeysTest, SpeaksBase64) {
  // RFC 4648, section 10.
  for (const auto& [plain, encoded] :
       std::vector<std::pair<std::string, std::string>>{
           {"", ""},
           {"f", "Zg=="},
           {"fo", "Zm8="},
           {"foo", "Zm9v"},
           {"foob", "Zm9vYg=="},
           {"fooba", "Zm9vYmE="},
           {"foobar", "Zm9vYmFy"}}) {
    EXPECT_EQ(EncodeBase64(plain), encoded);
    EXPECT_EQ(DecodeBase64(encoded), plain);
  }
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  EXPECT_EQ(DecodeBase64(EncodeBase64(all)), all);
  EXPECT_EQ(DecodeBase64("Zm9v\n YmFy"), "foobar");
  EXPECT_EQ(DecodeBase64("Zg"), "f");  // authorized_keys without padding
  for (const char* bad : {"Z", "Zm9v!", "Zg=a", "Zg=", "===="})
    EXPECT_EQ(DecodeBase64(bad), "") << bad;
}

TEST(SocketProductTest, KnowsWhoMakesWhichSocket) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"/tmp/ssh-abcdefghij/agent.123", "forwarded by sshd"},
      {"/tmp/ssh-abcdefghijkl/agent.123", "ssh-agent"},
      {"/home/dave/.ssh/agent/s.Xk3.sshd.9aZ", "forwarded by sshd"},
      {"/home/dave/.ssh/agent/s.Xk3.agent.9aZ", "ssh-agent"},
      {"/tmp/dropbear-01/auth-abc-1", "forwarded by dropbear"},
      {"/private/tmp/com.apple.launchd.x/Listeners", "launchd"},
      {"/var/run/com.apple.launchd.x/Listeners", "launchd"},
      {"/home/dave/.1password/agent.sock", "1Password"},
      {"/Users/dave/Library/Group Containers/2BUA8C4S2C.com.1password/t/"
       "agent.sock",
       "1Password"},
      {"/Users/dave/Library/Containers/com.maxgoedjen.Secretive.SecretAgent/"
       "Data/socket.ssh",
       "Secretive"},
      {"/home/dave/snap/bitwarden/current/.bitwarden-ssh-agent.sock",
       "Bitwarden"},
      {"/run/user/1000/gnupg/S.gpg-agent.ssh", "gpg-agent"},
      {"/run/user/1000/keyring/ssh", "gnome-keyring"},
      {"/run/user/1000/gcr/ssh", "gcr-ssh-agent"},
      {"/tmp/vscode-ssh-auth-abc.sock", "VS Code Dev Containers"},
      {"/tmp/auth-agent123/listener.sock", "forwarded by a Go SSH server"},
      {"/home/dave/my-agent", ""},
  };
  for (const auto& [path, product] : cases)
    EXPECT_EQ(SocketProduct(path), product) << path;
}

// Computed with Python's hashlib, as misc-agent.c of OpenSSH 10.1 does it.
TEST(HostnameHash, IsThatOfOpenSsh) {
  EXPECT_EQ(HostnameHash("gitlab-runner"), "CZKzQhkFqj");
  EXPECT_EQ(HostnameHash("laptop"), "adNUkfuZu2");
}

TEST(HostnameHash, TellsTheSocketsOfOtherHosts) {
  std::array<char, 256> name{};
  ASSERT_EQ(gethostname(name.data(), name.size() - 1), 0);
  const std::string folder = "/home/dave/.ssh/agent/s.";
  EXPECT_FALSE(MadeOnAnotherHost(folder + HostnameHash(name.data()) +
                                 ".sshd.abcdefghij"));
  EXPECT_TRUE(MadeOnAnotherHost(folder + "0000000000.sshd.abcdefghij"));
  EXPECT_FALSE(MadeOnAnotherHost("/tmp/ssh-abcdefghij/agent.1"));
  EXPECT_FALSE(MadeOnAnotherHost("/home/dave/.ssh/agent/s.x"));
}

}  // namespace
}  // namespace agentdoctor
