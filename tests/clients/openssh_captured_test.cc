// What real programs of several releases said, and what is made of it.
//
// tests/clients/data/openssh-RELEASE.captured holds what that ssh said to the
// sshd of the same release (or of the second one in its name), a section for
// each situation, without the lines that nothing is read from.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>

#include "agentdoctor/openssh_release.h"
#include "clients/openssh_config.h"
#include "clients/openssh_messages.h"
#include "clients/openssh_transcript.h"
#include "system/file.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

const std::string kData =
    std::string(AGENTDOCTOR_SOURCE_DIR) + "/tests/clients/data/openssh-";
constexpr const char* kReleases[] = {"7.4p1", "8.2p1", "9.2p1", "10.5p1"};

std::string ReadData(const std::string& name) {
  std::ifstream file(kData + name);
  if (!file) throw std::runtime_error(name);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::map<std::string, std::string> ReadSections(const std::string& release) {
  std::map<std::string, std::string> sections;
  std::string* section = nullptr;
  for (const std::string& line : SplitLines(ReadData(release + ".captured"))) {
    if (line.starts_with("=== "))
      section = &sections[line.substr(4)];
    else
      *section += line + "\n";
  }
  return sections;
}

TranscriptReader Read(const std::string& text) {
  TranscriptReader reader;
  for (const std::string& line : SplitLines(text)) reader.Line(line);
  return reader;
}

std::string Code(const TranscriptReader& reader) {
  const auto fault = reader.Fault();
  return fault ? fault->code : "";
}

int ReleaseOf(const std::string& name) {
  return OpenSshRelease("OpenSSH_" + name);
}

std::string NameOf(const testing::TestParamInfo<const char*>& release) {
  std::string name = release.param;
  for (char& c : name)
    if (c == '.') c = '_';
  return name;
}

class Captured : public testing::TestWithParam<const char*> {
 protected:
  TranscriptReader Said(const std::string& section) {
    const auto found = sections_.find(section);
    if (found == sections_.end())
      throw std::runtime_error(section + " of " + GetParam());
    return Read(found->second);
  }
  int Ssh() const { return ReleaseOf(GetParam()); }

  const std::map<std::string, std::string> sections_ = ReadSections(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Releases, Captured, testing::ValuesIn(kReleases),
                         NameOf);

TEST_P(Captured, AFreshLoginSaysWhetherForwardingWasRequested) {
  TranscriptReader reader = Said("forwarding");
  reader.SessionCameAbout();
  const Transcript& transcript = reader.transcript();
  EXPECT_TRUE(transcript.authenticated);
  EXPECT_EQ(OpenSshRelease(transcript.server_version), Ssh());
  EXPECT_EQ(transcript.auth_method, "publickey");
  EXPECT_FALSE(transcript.accepted_certificate);
  EXPECT_TRUE(transcript.forwarding_requested.value());
  EXPECT_FALSE(transcript.through_master.value());
  EXPECT_EQ(transcript.fallback, "");
  EXPECT_TRUE(transcript.messages.empty()) << transcript.messages[0];
  EXPECT_EQ(Code(reader), "");
  EXPECT_FALSE(Said("no-forwarding").transcript().forwarding_requested.value());
}

TEST_P(Captured, TheKeyIsNamedAsFarAsSshNamesIt) {
  const TranscriptReader reader = Said("forwarding");
  ASSERT_EQ(reader.offered().size(), 1u);
  const OfferedKey& key = reader.offered()[0];
  EXPECT_EQ(key.type, "ED25519");
  EXPECT_EQ(key.file, ".ssh/id");
  EXPECT_TRUE(key.accepted);
  const std::string& accepted = reader.transcript().accepted_key;
  if (Ssh() < Release(7, 6)) {
    EXPECT_EQ(accepted, "ED25519 .ssh/id");
    EXPECT_EQ(key.fingerprint, "");
  } else {
    EXPECT_TRUE(key.from_agent);
    EXPECT_TRUE(key.fingerprint.starts_with("SHA256:"));
    EXPECT_EQ(accepted, "ED25519 " + key.fingerprint + " explicit agent");
  }
}

TEST_P(Captured, TheOptionsOfTheKeyAreTold) {
  const auto options = [this](const std::string& section) {
    const auto found = Said(section).transcript().key_options;
    EXPECT_EQ(found.size(), 1u) << section;
    return found.empty() ? KeyOptions{} : found[0];
  };
  EXPECT_FALSE(options("restricted-key").agent_forwarding);
  EXPECT_FALSE(options("restricted-key").forced_command);
  EXPECT_TRUE(options("forced-command").agent_forwarding);
  EXPECT_TRUE(options("forced-command").forced_command);
  const auto plain = Said("forwarding").transcript().key_options;
  if (Ssh() < Release(7, 7)) {
    EXPECT_TRUE(plain.empty());
  } else {
    ASSERT_EQ(plain.size(), 1u);
    EXPECT_EQ(plain[0].source, "/home/dave/.ssh/authorized_keys:1");
    EXPECT_EQ(plain[0].options,
              "agent-forwarding port-forwarding pty user-rc x11-forwarding");
  }
}

TEST_P(Captured, TheOptionsOfAKeyThatWasNotUsedDoNotCount) {
  const TranscriptReader reader = Said("unused-restricted-key");
  EXPECT_TRUE(reader.transcript().authenticated);
  for (const KeyOptions& options : reader.transcript().key_options)
    EXPECT_TRUE(options.agent_forwarding) << options.source;
}

TEST_P(Captured, ACertificateHasTheOptionsOfItsLineAndItsOwn) {
  const TranscriptReader reader = Said("certificate");
  EXPECT_TRUE(reader.transcript().accepted_certificate);
  const auto& options = reader.transcript().key_options;
  if (Ssh() < Release(7, 7)) {
    EXPECT_TRUE(options.empty());
    return;
  }
  ASSERT_EQ(options.size(), 2u);
  EXPECT_EQ(options[0].source, options[1].source);
  EXPECT_NE(options[0].agent_forwarding, options[1].agent_forwarding);
}

TEST_P(Captured, WhyNobodyWasLetIn) {
  EXPECT_EQ(Code(Said("key-refused")), "authentication-failed");
  EXPECT_EQ(Said("key-refused").transcript().messages.size(), 2u);
  EXPECT_EQ(Code(Said("too-many-keys")), "authentication-failed");
  EXPECT_EQ(Code(Said("no-key")), "interaction-needed");
  EXPECT_EQ(Code(Said("second-factor")), "interaction-needed");
  // This 7.4 can't read such a key: it was built without OpenSSL.
  if (Ssh() > Release(7, 4)) {
    EXPECT_EQ(Code(Said("passphrase")), "interaction-needed");
  }
}

TEST_P(Captured, HostKeysThatAreUnknownOrChanged) {
  EXPECT_EQ(Code(Said("host-key-unknown")), "host-key-unknown");
  EXPECT_EQ(Code(Said("host-key-changed")), "host-key-changed");
  const TranscriptReader accepted = Said("host-key-changed-accepted");
  EXPECT_EQ(Code(accepted), "");
  EXPECT_TRUE(accepted.transcript().authenticated);
  EXPECT_TRUE(accepted.transcript().disabled_by_host_key);
  EXPECT_FALSE(accepted.transcript().forwarding_requested.value());
}

TEST_P(Captured, FaultsOfTheWay) {
  const struct {
    const char* section;
    const char* code;
    const char* message;  ///< begins with
  } kFaults[] = {
      {"connection-refused", "connection-refused",
       "ssh: connect to host 127.0.0.1 port 9: Connection refused"},
      {"name-not-resolved", "name-not-resolved",
       "ssh: Could not resolve hostname nohost.invalid: "},
      {"kex-mismatch", "protocol-mismatch", "Unable to negotiate with "},
      {"proxy-failed", "proxy-failed", "no way"},
      {"jump-refused", "host-unreachable-through-jump",
       "channel 0: open failed: connect failed: Connection refused"},
      {"web-server", "protocol-mismatch", "HTTP/1.1 400 Bad Request"},
      // The end is seen by whichever comes first, reading or writing.
      {"lost", "connection-lost", ""},
  };
  for (const auto& expected : kFaults) {
    const auto fault = Said(expected.section).Fault();
    ASSERT_TRUE(fault) << expected.section;
    EXPECT_EQ(fault->code, expected.code) << expected.section;
    EXPECT_TRUE(fault->message.starts_with(expected.message)) << fault->message;
  }
}

TEST_P(Captured, ASessionThroughAMasterSaysNothingAboutForwarding) {
  TranscriptReader reader = Said("through-master");
  if (Ssh() >= Release(7, 8) && Ssh() <= Release(8, 2)) {
    // ... and nothing about the master.
    EXPECT_FALSE(reader.transcript().through_master.known());
  }
  reader.SessionCameAbout();
  EXPECT_TRUE(reader.transcript().through_master.value());
  EXPECT_FALSE(reader.transcript().forwarding_requested.known());
  EXPECT_FALSE(reader.transcript().authenticated);
  EXPECT_FALSE(reader.connecting());
  EXPECT_TRUE(sections_.at("check").starts_with(kMasterRunning));
}

TEST_P(Captured, AMasterThatWasNotUsedIsNamed) {
  const struct {
    const char* section;
    const char* fallback;
  } kFallbacks[] = {
      {"refused-session",
       "mux_client_request_session: session request failed: Session open "
       "refused by peer"},
      {"stale-socket", "Control socket connect(stale): Connection refused"},
      {"silent-master", "muxclient: master hello exchange failed"},
  };
  for (const auto& expected : kFallbacks) {
    const TranscriptReader reader = Said(expected.section);
    if (std::string(expected.section) == "silent-master" &&
        Ssh() < Release(9, 4)) {
      // ... waits for ever, without a word.
      EXPECT_FALSE(reader.connecting());
      EXPECT_TRUE(reader.transcript().messages.empty());
      continue;
    }
    EXPECT_EQ(reader.transcript().fallback, expected.fallback);
    EXPECT_FALSE(reader.transcript().through_master.value());
    EXPECT_TRUE(reader.transcript().authenticated);
  }
}

TEST_P(Captured, ARefusedSessionIsNoFaultIfAnotherOneIsHad) {
  EXPECT_EQ(Code(Said("refused-session")), "");
}

TEST(CapturedServers, EachSideHasTheTextsOfItsOwnRelease) {
  for (const auto& [name, requests_to] :
       {std::pair{"10.5p1-to-7.4p1", Release(7, 4)},
        {"7.4p1-to-10.5p1", Release(10, 5)}}) {
    const auto sections = ReadSections(name);
    const auto said = [&](const std::string& section) {
      return Read(sections.at(section));
    };
    const TranscriptReader forwarding = said("forwarding");
    EXPECT_EQ(OpenSshRelease(forwarding.transcript().server_version),
              requests_to);
    EXPECT_TRUE(forwarding.transcript().forwarding_requested.value());
    EXPECT_TRUE(forwarding.transcript().messages.empty());
    const auto restricted = said("restricted-key").transcript().key_options;
    ASSERT_EQ(restricted.size(), 1u) << name;
    EXPECT_FALSE(restricted[0].agent_forwarding);
    const auto forced = said("forced-command").transcript().key_options;
    ASSERT_EQ(forced.size(), 1u) << name;
    EXPECT_TRUE(forced[0].forced_command);
    EXPECT_TRUE(said("certificate").transcript().accepted_certificate);
  }
}

// The ranges in the table are no decoration: no release has said what it is
// not said to say.
TEST_P(Captured, NoTextWasSeenOutsideItsReleases) {
  int texts = 0;
  for (const auto& [section, text] : sections_) {
    for (const std::string& line : SplitLines(text)) {
      const Message* const message = FindMessage(line);
      if (!message) continue;
      ++texts;
      EXPECT_LE(message->releases.first, Ssh()) << line;
      EXPECT_GE(message->releases.last, Ssh()) << line;
      if (message->says != Says::kServerDebug) continue;
      const ServerMessage* const server = FindServerMessage(
          std::string_view(line).substr(message->text.size()));
      if (!server) continue;
      EXPECT_LE(server->releases.first, Ssh()) << line;
      EXPECT_GE(server->releases.last, Ssh()) << line;
    }
  }
  EXPECT_GT(texts, 100);
}

// ----------------------------------------------------------- configuration --

// An ssh that says again what the real one said of a configuration it rejects.
TEST_P(Captured, ARejectedConfigurationIsQuotedWithItsPlace) {
  const struct {
    const char* section;
    const char* message;
    int line;
  } kErrors[] = {
      {"error-bad-option", "Bad configuration option: nosuchthing", 3},
      {"error-bad-match", "Unsupported Match attribute nosuch", 2},
      {"error-bad-value",
       Ssh() < Release(8, 0) ? "Bad number." : "Bad port 'ssssh'.", 2},
      {"error-permissions",
       "Bad owner or permissions on /home/dave/.ssh/config", 0},
  };
  for (const auto& expected : kErrors) {
    const TemporaryDirectory folder;
    const std::string text = folder.path() + "/text";
    const std::string ssh = folder.path() + "/ssh";
    std::ofstream(text) << sections_.at(std::string(expected.section) +
                                        ".trace");
    std::ofstream(ssh) << "#!/bin/sh\ncat '" << text << "' >&2\nexit 255\n";
    chmod(ssh.c_str(), 0700);
    Request request;
    request.destination = "web1";
    request.ssh = ssh;
    const Resolution resolution = ResolveOpenSsh(request, Milliseconds(10000));
    EXPECT_EQ(OpenSshRelease(resolution.version), Ssh());
    ASSERT_TRUE(resolution.config.known()) << resolution.config.reason();
    ASSERT_TRUE(resolution.config->error) << expected.section;
    EXPECT_EQ(resolution.config->error->message, expected.message);
    EXPECT_EQ(resolution.config->error->file, "/home/dave/.ssh/config");
    EXPECT_EQ(resolution.config->error->line, expected.line);
  }
}

class CapturedTrace : public Captured {
 protected:
  ClientConfig Config(const std::string& name, const std::string& trace) {
    Request request;
    request.destination = "web1";
    if (trace == "new-match") request.ssh_options = {"-P", "work"};
    const auto read_file = [&](const std::string& path) -> std::string {
      const std::string folder = "/home/dave/.ssh/";
      if (!path.starts_with(folder)) {
        EXPECT_TRUE(path.starts_with("/etc/ssh/ssh_config")) << path;
        return path == "/etc/ssh/ssh_config" && Ssh() == Release(9, 2)
                   ? std::string(18, '\n') +
                         "Include /etc/ssh/ssh_config.d/*.conf\n\nHost *\n"
                   : std::string();
      }
      std::string file = path.substr(folder.size());
      for (char& c : file)
        if (c == '/') c = '-';
      return ReadData(name + "." + file);
    };
    return ParseConfig(request, sections_.at(trace + ".values"),
                       sections_.at(trace + ".trace"), read_file);
  }

  static ConfigLine Winner(const ClientConfig& config,
                           const std::string& keyword) {
    const ConfigValue& value = config.values.at(keyword);
    EXPECT_TRUE(value.winner) << keyword << ": " << value.unknown_because;
    return value.winner.value_or(ConfigLine{});
  }
};

INSTANTIATE_TEST_SUITE_P(Releases, CapturedTrace, testing::ValuesIn(kReleases),
                         NameOf);

TEST_P(CapturedTrace, OfHostMatchAndIncludeIsFollowed) {
  const ClientConfig config = Config("match", "match");
  EXPECT_EQ(config.forward_agent, Fact<bool>(false));
  EXPECT_EQ(Winner(config, "forwardagent").line, 5);
  EXPECT_EQ(config.forward_agent_shadowed.size(), 1u);
  EXPECT_EQ(Winner(config, "controlpersist").scope,
            "Match host 127.0.0.* user dave");
  EXPECT_EQ(Winner(config, "port").text, "Port=2222");
  EXPECT_EQ(Winner(config, "identitiesonly").file, "/home/dave/.ssh/included");
  EXPECT_EQ(Winner(config, "serveraliveinterval").scope, "Match all");
  EXPECT_EQ(Winner(config, "controlpath").scope, "Host *");
  EXPECT_EQ(FirstValue(config, "controlpath"),
            "/home/dave/.ssh/dave@127.0.0.1:2222");
  EXPECT_EQ(config.values.at("connecttimeout").origin, ConfigOrigin::kDefault);
  ASSERT_EQ(config.other_aliases.size(), 2u);
  EXPECT_EQ(config.other_aliases[0].alias, "other");
}

TEST_P(CapturedTrace, WithTwoPassesIsFollowed) {
  if (Ssh() < Release(8, 0)) GTEST_SKIP() << "Match final came with 8.0";
  const ClientConfig config = Config("final-pass", "final-pass");
  EXPECT_EQ(Winner(config, "forwardagent").text, "ForwardAgent \"/run/a b\"");
  EXPECT_EQ(Winner(config, "forwardagent").scope, "Match user dave host 10.*");
  EXPECT_EQ(config.forward_agent, Fact<bool>(false));
  ASSERT_TRUE(config.forward_agent_line);
  EXPECT_EQ(config.forward_agent_line->line, 3);
  EXPECT_EQ(config.forward_agent_shadowed.size(), 3u);
  EXPECT_EQ(Winner(config, "controlmaster").scope, "Match final all");
  EXPECT_EQ(Winner(config, "connecttimeout").file, "/home/dave/.ssh/nested");
  EXPECT_EQ(Winner(config, "connecttimeout").scope_file,
            "/home/dave/.ssh/config");
  EXPECT_EQ(Winner(config, "controlpersist").scope,
            "Match originalhost web1,web2 !user bob");
  EXPECT_EQ(Winner(config, "port").line, 27);
  EXPECT_EQ(Winner(config, "user").text, "User=dave");
  ASSERT_EQ(config.other_aliases.size(), 1u);
  EXPECT_EQ(config.other_aliases[0].alias, "other");
}

TEST_P(CapturedTrace, WithTheCriteriaOf10IsFollowed) {
  if (Ssh() < Release(10, 0)) GTEST_SKIP() << "they came with 10.0";
  const ClientConfig config = Config("new-match", "new-match");
  EXPECT_EQ(Winner(config, "forwardagent").scope, "Match tagged work");
  EXPECT_EQ(config.forward_agent, Fact<bool>(true));
  EXPECT_EQ(config.forward_agent_shadowed.size(), 1u);
  EXPECT_EQ(Winner(config, "user").scope,
            "Match sessiontype exec command true");
  EXPECT_EQ(Winner(config, "port").scope, "Match version OpenSSH_10.*");
  EXPECT_EQ(Winner(config, "controlmaster").scope, "Match !sessiontype shell");
}

}  // namespace
}  // namespace agentdoctor
