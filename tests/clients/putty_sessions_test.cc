#include "clients/putty_sessions.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "clients/putty_host_keys.h"
#include "clients/putty_sharing.h"
#include "system/file.h"

namespace agentdoctor {
namespace {

class PuttySessions : public ::testing::Test {
 protected:
  PuttySessions() {
    for (const char* name :
         {"PUTTYDIR", "PUTTYSESSIONS", "PUTTYSSHHOSTKEYS", "XDG_CONFIG_HOME"})
      unsetenv(name);
    setenv("HOME", Home().c_str(), 1);
    std::filesystem::create_directories(Home() + "/.putty/sessions");
  }

  std::string Home() const { return folder_.path() + "/home"; }

  void Save(const std::string& file, const std::string& text) const {
    std::ofstream(FindPuttyPlaces().sessions + "/" + file) << text;
  }

  static PuttyTarget Target(const std::string& destination,
                            std::vector<std::string> options = {}) {
    return ResolvePuttyTarget({.destination = destination,
                               .client = "putty",
                               .ssh_options = std::move(options),
                               .ssh = "plink"},
                              FindPuttyPlaces());
  }

 private:
  TemporaryDirectory folder_;
};

// storage.c, make_filename(): the variable, the XDG folder if it is there, the
// old one.
TEST_F(PuttySessions, LieWherePuttyLooks) {
  EXPECT_EQ(FindPuttyPlaces().sessions, Home() + "/.putty/sessions");
  EXPECT_EQ(FindPuttyPlaces().host_keys, Home() + "/.putty/sshhostkeys");
  std::filesystem::create_directories(Home() + "/.config/putty");
  EXPECT_EQ(FindPuttyPlaces().sessions, Home() + "/.config/putty/sessions");
  setenv("XDG_CONFIG_HOME", (Home() + "/none").c_str(), 1);
  EXPECT_EQ(FindPuttyPlaces().sessions, Home() + "/.putty/sessions");
  setenv("PUTTYDIR", "/elsewhere", 1);
  EXPECT_EQ(FindPuttyPlaces().sessions, "/elsewhere/sessions");
  EXPECT_EQ(FindPuttyPlaces().host_keys, "/elsewhere/sshhostkeys");
  setenv("PUTTYSESSIONS", "/own", 1);
  setenv("PUTTYSSHHOSTKEYS", "/keys", 1);
  EXPECT_EQ(FindPuttyPlaces().sessions, "/own");
  EXPECT_EQ(FindPuttyPlaces().host_keys, "/keys");
}

TEST_F(PuttySessions, HaveNamesWithPercentSigns) {
  EXPECT_EQ(SessionFileName("my session 100%"), "my%20session%20100%25");
  EXPECT_EQ(SessionFileName("a+b-c.d@e_f"), "a+b-c.d@e_f");
  EXPECT_EQ(SessionFileName("\xc3\xa4"), "%C3%A4");
  EXPECT_EQ(SessionFileName(""), "Default%20Settings");
  for (const char* name : {"my session 100%", "a/b", "\xc3\xa4", "%%"})
    EXPECT_EQ(SessionName(SessionFileName(name)), name);
  EXPECT_EQ(SessionName("half%2"), "half%2");
}

TEST_F(PuttySessions, TheFirstLineOfASettingCounts) {
  const PuttySettings settings =
      ParsePuttySettings("s", "AgentFwd=0\nno setting\nAgentFwd=1\nX=a=b\r\n");
  EXPECT_FALSE(settings.Flag("AgentFwd", true));
  EXPECT_EQ(settings.Find("AgentFwd")->line, 1);
  EXPECT_EQ(settings.Text("X", ""), "a=b");
  EXPECT_TRUE(settings.Flag("TryAgent", true)) << "the default";
}

TEST_F(PuttySessions, AreTakenBeforeHostsAndInheritNothing) {
  Save("Default%20Settings", "Protocol=ssh\nAgentFwd=1\nUserName=eve\n");
  Save("web%201", "HostName=web.example\nProtocol=ssh\nPortNumber=2222\n");
  const PuttyTarget target = Target("web 1");
  EXPECT_TRUE(target.saved_session);
  EXPECT_EQ(target.host, "web.example");
  EXPECT_EQ(target.port, 2222);
  EXPECT_EQ(target.user, PuttyUserName());
  EXPECT_FALSE(target.settings.Flag("AgentFwd", false));

  const PuttyTarget host = Target("dave@other.example:22", {"-p", "23"});
  EXPECT_FALSE(host.saved_session);
  EXPECT_EQ(host.host, "other.example");
  EXPECT_EQ(host.user, "dave");
  EXPECT_EQ(host.port, 23);
  EXPECT_TRUE(host.settings.Flag("AgentFwd", false));
  EXPECT_EQ(Target("other.example").user, "eve");
}

TEST_F(PuttySessions, WithoutAHostAreNone) {
  Save("colours", "Protocol=ssh\nHostName=\n");
  const PuttyTarget target = Target("colours");
  EXPECT_FALSE(target.saved_session);
  EXPECT_EQ(target.host, "colours");
}

TEST_F(PuttySessions, TakeAUserInFrontOfTheirName) {
  Save("web", "HostName=frank@web.example\nProtocol=ssh\nUserName=eve\n");
  EXPECT_EQ(Target("web").user, "frank") << "the host's own wins (sessprep.c)";
  Save("web", "HostName=web.example\nProtocol=ssh\nUserName=eve\n");
  EXPECT_EQ(Target("dave@web").user, "dave");
  EXPECT_EQ(Target("dave@web", {"-l", "git"}).user, "git");
}

TEST_F(PuttySessions, HaveTheirPortFromDefaultSettingsWhereTheySayNone) {
  Save("Default%20Settings", "Protocol=ssh\nPortNumber=2022\n");
  Save("web", "HostName=web.example\n");
  EXPECT_EQ(Target("web").port, 2022);
}

TEST_F(PuttySessions, OfAnotherProtocolAreAFault) {
  Save("modem", "HostName=m.example\nProtocol=telnet\n");
  EXPECT_NE(Target("modem").fault.find("telnet"), std::string::npos);
  EXPECT_EQ(Target("host.example").fault, "");
}

TEST_F(PuttySessions, SetOffNothingInOurCopy) {
  const PuttySettings settings = ParsePuttySettings(
      "s", "LogType=4\nPortForwardings=L8080=h:80,\nConnectionSharing=1\n");
  const PuttySettings copy = ParsePuttySettings("s", NeutralSettings(settings));
  EXPECT_EQ(copy.Number("LogType", 9), 0);
  EXPECT_EQ(copy.Text("PortForwardings", "?"), "");
  EXPECT_FALSE(copy.Flag("ConnectionSharingUpstream", true));
  EXPECT_TRUE(copy.Flag("ConnectionSharing", false));
}

TEST_F(PuttySessions, OptionsOfSshAreTranslatedOrRefused) {
  Request request{
      .destination = "h",
      .client = "putty",
      .ssh_options = {"-A", "-p", "2222", "-i", "k.ppk", "-l", "-p"},
      .ssh = "plink"};
  EXPECT_EQ(PuttyRequestFault(request), "");
  EXPECT_EQ(PlinkOptions(request),
            (std::vector<std::string>{"-A", "-P", "2222", "-i", "k.ppk", "-l",
                                      "-p"}));
  for (const char* option : {"-F", "-J", "-o"}) {
    request.ssh_options = {option, "x"};
    EXPECT_NE(PuttyRequestFault(request).find(option), std::string::npos);
  }
  request.ssh_options.clear();
  request.destination = "ssh://h";
  EXPECT_NE(PuttyRequestFault(request), "");
  request.destination = "my session";
  EXPECT_EQ(PuttyRequestFault(request), "");
}

TEST_F(PuttySessions, ShareAConnectionByUserHostAndPort) {
  Save("web", "HostName=Web.example\nProtocol=ssh\nUserName=dave\n");
  EXPECT_EQ(SharingName(Target("web")), "dave@Web.example");
  EXPECT_EQ(SharingName(Target("web", {"-p", "2222"})),
            "dave@Web.example:2222");
  Save("alias",
       "HostName=1.2.3.4\nProtocol=ssh\nUserName=dave\nPortNumber=22\n"
       "LogHost=web:2022\n");
  EXPECT_EQ(SharingName(Target("alias")), "dave@web:2022");
}

// Written by plink 0.78; the fingerprints are ssh-keygen's of the same keys.
TEST(PuttyHostKeys, OfTheCacheBecomeFingerprints) {
  const std::string cache =
      ReadFile(std::string(AGENTDOCTOR_SOURCE_DIR) +
               "/tests/clients/data/putty-0.78-sshhostkeys")
          .value_or("");
  EXPECT_EQ(CachedHostKeys(cache, "gitlab-runner", 2222),
            (std::vector<std::string>{
                "SHA256:cCCcmFKYBDf6MFwdwI4/iOxurQ1kLxX0RaFOush4Lb4",
                "SHA256:HAcAy8sVL8AgRl4/m1DZbVgzMNxQLxFS9qAI/EnfgR4",
                "SHA256:yqOwLnTJH3MGN35kRJ2QlTEqrgvhhuH4/YwIVGuXqyM",
                "SHA256:XnQR2o8p3UNehoWM4ucUecliUvnytkBXvo3kNDQMaQo",
                "SHA256:2A0SFtQwc1LmG1Ke4whnaIbLJJ7nh7sOw0up7fk+/4Y",
            }));
  EXPECT_TRUE(CachedHostKeys(cache, "gitlab-runner", 22).empty());
  EXPECT_TRUE(CachedHostKeys(cache, "gitlab", 2222).empty());
}

TEST(PuttyHostKeys, ThatMakeNoSenseAreLeftOut) {
  EXPECT_TRUE(
      CachedHostKeys("ssh-ed25519@22:h 0x1\n@22:h \nx@22:h 0x1,0x2\n", "h", 22)
          .empty());
}

TEST(PuttyHostKeys, OfASessionAreFingerprintsOrWholeKeys) {
  EXPECT_EQ(
      ManualHostKeys("SHA256:abc,00:11:22:33,"
                     "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                     "AAAAAAAAAAAAAAAA")
          .size(),
      2U);
}

}  // namespace
}  // namespace agentdoctor
