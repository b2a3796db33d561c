#include "clients/openssh_command.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "agentdoctor/openssh_release.h"
#include "system/process.h"

namespace agentdoctor {
namespace {

using Words = std::vector<std::string>;

Facts FactsOf(const Words& options = {},
              const std::map<std::string, std::string>& config = {},
              const std::string& version = "OpenSSH_9.2p1") {
  Facts facts;
  facts.request.destination = "gitlab-runner";
  facts.request.ssh_options = options;
  facts.link.version = version;
  ClientConfig values;
  for (const auto& [keyword, value] : config)
    values.values[keyword] = {.values = {value}};
  facts.link.config = values;
  return facts;
}

JumpHost Jump(const std::string& host,
              const std::map<std::string, std::string>& config = {}) {
  JumpHost jump{.host = host};
  for (const auto& [keyword, value] : config)
    jump.config.values[keyword] = {.values = {value}};
  return jump;
}

bool Has(const Words& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

std::ptrdiff_t Place(const Words& words, const std::string& word) {
  return std::ranges::find(words, word) - words.begin();
}

std::string Starting(const Words& words, const std::string& start) {
  const auto found = std::ranges::find_if(
      words, [&](const std::string& word) { return word.starts_with(start); });
  return found == words.end() ? "" : *found;
}

TEST(OpenSshRelease, IsReadFromTheVersion) {
  EXPECT_EQ(OpenSshRelease("OpenSSH_9.2p1"), Release(9, 2));
  EXPECT_EQ(OpenSshRelease("OpenSSH_10.5p1 Debian-1"), Release(10, 5));
  // Apple's
  EXPECT_EQ(OpenSshRelease("OpenSSH_9.8p1, LibreSSL 3.3.6"), Release(9, 8));
  EXPECT_EQ(OpenSshRelease("OpenSSH_for_Windows_9.5p1"), Release(9, 5));
  EXPECT_EQ(OpenSshRelease("OpenSSH_9.9p2, LibreSSL 3.3.6"), Release(9, 9));
  EXPECT_EQ(OpenSshRelease("OpenSSH_10.0p2 Debian-5"), Release(10, 0));
  EXPECT_EQ(OpenSshRelease("OpenSSH_7.4"), Release(7, 4));
  EXPECT_EQ(OpenSshRelease("OpenSSH_9"), 0);
  EXPECT_EQ(OpenSshRelease("OpenSSH_123.4"), 0);
  EXPECT_EQ(OpenSshRelease("Sun_SSH_2.2"), 0);
  EXPECT_EQ(OpenSshRelease("OpenSSH_"), 0);
  EXPECT_EQ(OpenSshRelease(""), 0);
  EXPECT_LT(Release(9, 8), Release(10, 0));
}

TEST(SessionCommand, NeutralisesBeforeTheUsersOwnOptions) {
  const Words words =
      SessionCommand(FactsOf({"-A", "-p", "2222", "-o", "User=dave"}), "probe",
                     {.step_limit = Milliseconds(10000)});
  EXPECT_EQ(words.front(), "ssh");
  const auto user = Place(words, "-A");
  for (const char* option :
       {"ControlMaster=no", "PermitLocalCommand=no", "ClearAllForwardings=yes",
        "ExitOnForwardFailure=no", "ForwardX11=no",
        "GSSAPIDelegateCredentials=no", "UpdateHostKeys=no",
        "AddKeysToAgent=no", "RemoteCommand=none", "ForkAfterAuthentication=no",
        "StdinNull=no", "SessionType=default", "BatchMode=yes",
        "ConnectTimeout=10"})
    EXPECT_LT(Place(words, option), user) << option;
  EXPECT_EQ(Words(words.begin() + user, words.end()),
            Words({"-A", "-p", "2222", "-o", "User=dave", "-v", "-T", "--",
                   "gitlab-runner", "probe"}));
}

TEST(SessionCommand, GivesNoOptionThatTheReleaseDoesNotKnow) {
  const auto has = [](const std::string& version, const std::string& option) {
    return Has(SessionCommand(FactsOf({}, {}, version), "probe", {}), option);
  };
  for (const char* option :
       {"ForkAfterAuthentication=no", "StdinNull=no", "SessionType=default"}) {
    EXPECT_FALSE(has("OpenSSH_8.6p1", option)) << option;
    EXPECT_TRUE(has("OpenSSH_8.7p1", option)) << option;
  }
  EXPECT_FALSE(has("OpenSSH_8.4p1", "LogVerbose=none"));
  EXPECT_TRUE(has("OpenSSH_8.5p1", "LogVerbose=none"));
  EXPECT_FALSE(has("OpenSSH_7.5p1", "RemoteCommand=none"));
  EXPECT_TRUE(has("OpenSSH_7.6p1", "RemoteCommand=none"));
  EXPECT_EQ(Starting(SessionCommand(FactsOf({}, {}, "OpenSSH_6.6p1"), "", {}),
                     "AddKeys"),
            "");
}

TEST(SessionCommand, LeavesOutWhatIsNoLogin) {
  const Words words = SessionCommand(
      FactsOf({"-t", "-L", "8080:localhost:80", "-N", "-E", "log", "-S", "/s",
               "-i", "key", "-K", "-J", "none"}),
      "probe", {});
  for (const char* word : {"-t", "-L", "-N", "-E", "log", "-S", "/s"})
    EXPECT_FALSE(Has(words, word)) << word;
  EXPECT_TRUE(Has(words, "-i"));
  // -K delegates credentials, -k takes that back.
  EXPECT_EQ(Place(words, "-k"), Place(words, "-K") + 1);
  EXPECT_TRUE(Has(words, "-J"));
}

TEST(SessionCommand, AsksThePersonOnlyIfToldTo) {
  Facts facts = FactsOf();
  EXPECT_TRUE(Has(SessionCommand(facts, "probe", {}), "BatchMode=yes"));
  facts.request.interactive = true;
  EXPECT_EQ(Starting(SessionCommand(facts, "probe", {}), "BatchMode"), "");
}

TEST(SessionCommand, HonoursALargerConnectTimeout) {
  const auto timeout = [](const std::string& user) {
    return Starting(SessionCommand(FactsOf({}, {{"connecttimeout", user}}),
                                   "probe", {.step_limit = Milliseconds(2500)}),
                    "ConnectTimeout=");
  };
  EXPECT_EQ(timeout("none"), "ConnectTimeout=3");
  EXPECT_EQ(timeout("1"), "ConnectTimeout=3");
  EXPECT_EQ(timeout("30"), "ConnectTimeout=30");
}

TEST(SessionCommand, SpellsOutTheControlPath) {
  const Words words = SessionCommand(
      FactsOf({}, {{"controlpath", "/home/dave/.ssh/100%/s"}}), "probe", {});
  EXPECT_TRUE(Has(words, "/home/dave/.ssh/100%%/s"));
  EXPECT_FALSE(Has(SessionCommand(FactsOf(), "probe", {}), "-S"));
  EXPECT_FALSE(
      Has(SessionCommand(FactsOf({}, {{"controlpath", "none"}}), "probe", {}),
          "-S"));
}

TEST(SessionCommand, AcceptsUnknownHostKeysWithoutWritingThemDown) {
  const auto option = [](const std::string& strict) {
    return Starting(
        SessionCommand(FactsOf({}, {{"stricthostkeychecking", strict},
                                    {"userknownhostsfile",
                                     "/home/dave/my files/kh /x%y ~/k"}}),
                       "probe", {.known_hosts = "/tmp/a/known_hosts"}),
        "UserKnownHostsFile");
  };
  for (const char* accepting : {"false", "no", "off", "accept-new"})
    EXPECT_EQ(option(accepting),
              "UserKnownHostsFile=/tmp/a/known_hosts "
              "\"/home/dave/my files/kh\" /x%%y ~/k");
  for (const char* strict : {"true", "yes", "ask"})
    EXPECT_EQ(option(strict), "");
}

TEST(SessionCommand, NotesTheAddressOfAKnownHostInAFileOfOurs) {
  const auto option = [](const char* check) {
    return Starting(
        SessionCommand(FactsOf({}, {{"stricthostkeychecking", "ask"},
                                    {"checkhostip", check},
                                    {"userknownhostsfile", "/home/dave/kh"}}),
                       "probe", {.known_hosts = "/tmp/a/known_hosts"}),
        "UserKnownHostsFile");
  };
  EXPECT_EQ(option("yes"),
            "UserKnownHostsFile=/tmp/a/known_hosts /home/dave/kh");
  EXPECT_EQ(option("no"), "");
}

TEST(SessionCommand, SpellsOutAJumpWithTheSameProtections) {
  const Words words = SessionCommand(
      FactsOf({"-F", "/home/dave/my config", "-J", "jumper@[::1]:2222", "-A"}),
      "probe",
      {.jumps = {Jump("jumper@[::1]:2222", {{"controlpath", "/s/100%"}})}});
  EXPECT_EQ(
      Starting(words, "ProxyCommand="),
      "ProxyCommand=ssh -F '/home/dave/my config' -o ControlMaster=no -o "
      "ForwardAgent=no -o PermitLocalCommand=no -o ClearAllForwardings=yes -o "
      "ExitOnForwardFailure=no -o ForwardX11=no -o "
      "GSSAPIDelegateCredentials=no -o UpdateHostKeys=no -o AddKeysToAgent=no "
      "-o RemoteCommand=none -o LogVerbose=none -o ForkAfterAuthentication=no "
      "-o StdinNull=no -o BatchMode=yes -o ConnectTimeout=10 -S /s/100%%%% "
      "-l jumper -p 2222 -W '[%h]:%p' -- ::1");
  // ssh refuses -J beside a ProxyCommand.
  EXPECT_FALSE(Has(words, "-J"));
  EXPECT_TRUE(Has(words, "ProxyUseFdpass=no"));
  EXPECT_TRUE(Has(words, "-A"));
  // Two connections come before the banner that ssh waits for.
  EXPECT_TRUE(Has(words, "ConnectTimeout=20"));
}

TEST(SessionCommand, NestsSeveralHops) {
  const std::string command = Starting(
      SessionCommand(FactsOf(), "probe", {.jumps = {Jump("a"), Jump("b")}}),
      "ProxyCommand=");
  EXPECT_TRUE(command.ends_with("-W '[%h]:%p' -- b")) << command;
  EXPECT_NE(command.find("'ProxyCommand=ssh "), std::string::npos) << command;
  EXPECT_NE(command.find("'\\''[%%h]:%%p'\\'' -- a'"), std::string::npos)
      << command;
}

TEST(SessionCommand, IsUnderstoodByTheInstalledSsh) {
  // The worst configuration: everything that we neutralise is set.
  const std::string version = agentdoctor::Run({.argv = {"ssh", "-V"}}).err;
  const Facts facts = FactsOf({"-F", "none", "-o", "LogLevel=QUIET"},
                              {{"stricthostkeychecking", "no"}}, version);
  Words words =
      SessionCommand(facts, "probe",
                     {.known_hosts = "/tmp/our hosts",
                      .jumps = {Jump("a"), Jump("b"), Jump("dave@c:2222")}});
  words.insert(words.begin() + 1, "-G");
  for (const char* late :
       {"PermitLocalCommand=yes", "RemoteCommand=false", "ProxyJump=other",
        "StdinNull=yes", "BatchMode=no", "AddKeysToAgent=yes"}) {
    const auto destination = std::ranges::find(words, "--");
    words.insert(words.insert(destination, late), "-o");
  }
  const ProcessResult result = agentdoctor::Run({.argv = words});
  ASSERT_EQ(result.status, 0) << result.err;
  for (const char* line :
       {"\npermitlocalcommand no\n", "\nbatchmode yes\n",
        "\naddkeystoagent false\n", "\ncontrolmaster false\n",
        "\nclearallforwardings yes\n", "\nuserknownhostsfile /tmp/our hosts\n",
        "\nloglevel DEBUG"})
    EXPECT_NE(("\n" + result.out).find(line), std::string::npos)
        << line << result.out;
  EXPECT_EQ(result.out.find("\nproxyjump"), std::string::npos);
  EXPECT_EQ(result.out.find("\nremotecommand false"), std::string::npos);
}

TEST(ControlCommand, ForwardsTheCanaryAndNothingElse) {
  const Words words = ControlCommand(
      FactsOf({"-A", "-p", "2222", "-a"}, {{"controlpath", "/home/dave/s"}}),
      "/tmp/x/master", "/tmp/100% x/canary", {});
  EXPECT_TRUE(Has(words, "ForwardAgent=\"/tmp/100%% x/canary\""));
  EXPECT_TRUE(Has(words, "ControlPersist=no"));
  EXPECT_FALSE(Has(words, "-A"));
  EXPECT_FALSE(Has(words, "-a"));
  EXPECT_FALSE(Has(words, "/home/dave/s"));
  EXPECT_TRUE(Has(words, "2222"));
  EXPECT_TRUE(Has(words, "-M"));
  EXPECT_EQ(
      Words(words.end() - 7, words.end()),
      Words({"-S", "/tmp/x/master", "-v", "-T", "-N", "--", "gitlab-runner"}));
  // -N is a session type.
  EXPECT_EQ(Starting(words, "SessionType"), "");
}

TEST(ControlCommand, ForwardsNothingWithAnSshThatTakesNoPath) {
  const Words words =
      ControlCommand(FactsOf({}, {}, "OpenSSH_8.1p1"), "/s", "/canary", {});
  EXPECT_TRUE(Has(words, "ForwardAgent=no"));
}

TEST(MasterCommand, CanNeverOpenAConnection) {
  EXPECT_EQ(MasterCommand("/usr/bin/ssh", "/s/100%", "check"),
            Words({"/usr/bin/ssh", "-F", "none", "-S", "/s/100%%", "-o",
                   "ControlMaster=no", "-o", "BatchMode=yes", "-o",
                   "ProxyCommand=false", "-O", "check", "x"}));
}

TEST(ProxyJump, IsTakenApart) {
  EXPECT_EQ(SplitProxyJump("a@b:33,c@[::1]:44,d"),
            Words({"a@b:33", "c@[::1]:44", "d"}));
  EXPECT_TRUE(SplitProxyJump("none").empty());
  EXPECT_TRUE(SplitProxyJump("").empty());
  const auto parts = [](const std::string& text) {
    const JumpName name = ParseJumpHost(text);
    return Words({name.user, name.host, name.port});
  };
  EXPECT_EQ(parts("b"), Words({"", "b", ""}));
  EXPECT_EQ(parts("a@x@b:33"), Words({"a@x", "b", "33"}));
  EXPECT_EQ(parts("c@[::1]:44"), Words({"c", "::1", "44"}));
  EXPECT_EQ(parts("::1"), Words({"", "::1", ""}));
  EXPECT_EQ(parts("ssh://u@h:7"), Words({"u", "h", "7"}));
  EXPECT_EQ(parts("[broken"), Words({"", "broken", ""}));
}

}  // namespace
}  // namespace agentdoctor
