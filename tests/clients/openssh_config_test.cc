#include "clients/openssh_config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "clients/openssh_config_lines.h"
#include "system/file.h"

namespace agentdoctor {
namespace {

using Words = std::vector<std::string>;

constexpr Milliseconds kLimit{10000};

/// The real ssh on configuration files in a folder of their own.
class OpenSshConfig : public testing::Test {
 protected:
  std::string Path(const std::string& name) const {
    return directory_.path() + "/" + name;
  }

  std::string Write(const std::string& name, const std::string& text,
                    mode_t mode = 0600) const {
    const std::string path = Path(name);
    std::filesystem::create_directories(
        std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << text;
    chmod(path.c_str(), mode);
    return path;
  }

  Resolution Resolve(const std::string& text, Words options = {},
                     const std::string& destination = "web1") const {
    const std::string path = Write("config", text);
    options.insert(options.begin(), {"-F", path});
    Request request;
    request.destination = destination;
    request.ssh_options = options;
    return ResolveOpenSsh(request, kLimit);
  }

  ClientConfig Config(const std::string& text, Words options = {},
                      const std::string& destination = "web1") const {
    const Resolution resolution =
        Resolve(text, std::move(options), destination);
    EXPECT_TRUE(resolution.config.known()) << resolution.config.reason();
    if (!resolution.config.known()) return {};
    EXPECT_FALSE(resolution.config->error) << resolution.config->error->message;
    return *resolution.config;
  }

  ConfigError Error(const std::string& text, Words options = {}) const {
    const Resolution resolution = Resolve(text, std::move(options));
    EXPECT_TRUE(resolution.config.known()) << resolution.config.reason();
    if (!resolution.config.known()) return {};
    EXPECT_TRUE(resolution.config->error);
    EXPECT_FALSE(resolution.forwarded.known());
    return resolution.config->error.value_or(ConfigError{});
  }

  /// "config:3 [Host web1]", relative to the folder.
  std::string Show(const ConfigLine& line) const {
    const auto relative = [&](const std::string& path) {
      return path.starts_with(directory_.path())
                 ? path.substr(directory_.path().size() + 1)
                 : path;
    };
    std::string text = relative(line.file) + ":" + std::to_string(line.line);
    if (!line.scope.empty()) text += " [" + line.scope + "]";
    if (!line.scope.empty() && line.scope_file != line.file)
      text += " in " + relative(line.scope_file);
    return text;
  }

  /// "value <- where", losers behind it.
  std::string Show(const ClientConfig& config,
                   const std::string& keyword) const {
    const auto found = config.values.find(keyword);
    if (found == config.values.end()) return "absent";
    const ConfigValue& value = found->second;
    std::string text;
    for (const std::string& part : value.values)
      text += (text.empty() ? "" : ",") + part;
    text += " <- ";
    switch (value.origin) {
      case ConfigOrigin::kDefault:
        text += "default";
        break;
      case ConfigOrigin::kCommandLine:
        text += "command line";
        break;
      case ConfigOrigin::kUnknown:
        text += "unknown";
        break;
      case ConfigOrigin::kFile:
        text += value.winner ? Show(*value.winner) : "no line";
    }
    for (const ConfigLine& line : value.shadowed) text += " > " + Show(line);
    return text;
  }

  const TemporaryDirectory directory_{};
};

// ------------------------------------------------------- value and place --

TEST_F(OpenSshConfig, TheFirstValueWinsAndTheLaterLinesAreNamed) {
  const ClientConfig config = Config(
      "Host web*\n"
      "  ForwardAgent no\n"
      "Host web1\n"
      "  ForwardAgent yes\n"
      "  User dave\n"
      "Host *\n"
      "  User root\n"
      "  ForwardAgent yes\n");
  EXPECT_EQ(Show(config, "forwardagent"),
            "no <- config:2 [Host web*] > config:4 [Host web1] > config:8 "
            "[Host *]");
  EXPECT_EQ(Show(config, "user"),
            "dave <- config:5 [Host web1] > config:7 [Host *]");
  EXPECT_EQ(Show(config, "port"), "22 <- default");
  EXPECT_EQ(config.forward_agent, Fact<bool>(false));
  EXPECT_EQ(config.forward_agent_shadowed.size(), 2u);
  EXPECT_TRUE(config.named);
  ASSERT_TRUE(config.forward_agent_line);
  EXPECT_EQ(config.forward_agent_line->text, "ForwardAgent no");
}

TEST_F(OpenSshConfig, ANegatedPatternTakesTheBlockOut) {
  const std::string text =
      "Host web* !web1\n  ForwardAgent yes\nHost *\n  Port 2222\n";
  EXPECT_EQ(Show(Config(text), "forwardagent"), "no <- default");
  EXPECT_EQ(Show(Config(text, {}, "web2"), "forwardagent"),
            "yes <- config:2 [Host web* !web1]");
}

TEST_F(OpenSshConfig, HostPatternsAreComparedWithTheNameAsTyped) {
  const std::string text =
      "Host web1\n  HostName 127.0.0.9\n  User dave\nHost 127.0.0.9\n"
      "  ForwardAgent yes\n";
  const ClientConfig config = Config(text);
  EXPECT_EQ(Show(config, "forwardagent"), "no <- default");
  EXPECT_EQ(Show(config, "hostname"), "127.0.0.9 <- config:2 [Host web1]");
  EXPECT_EQ(Show(Config("Host WEB1\n  ForwardAgent yes\n"), "forwardagent"),
            "no <- default");
}

TEST_F(OpenSshConfig, EveryWayToWriteALineIsUnderstood) {
  const ClientConfig config = Config(
      "# comment\r\n"
      "\r\n"
      "\tFORWARDAGENT=yes # trailing\r\n"
      "Port = 2222\r\n"
      "User\t\"dave\"\r\n"
      "  IdentityFile \"/a key\" # why\r\n"
      "ConnectTimeout= 1m30\r\n"
      "\"HostKeyAlias\" 'x'\r\n"
      "ControlPath /tmp/a\\ b\r\n");
  EXPECT_EQ(Show(config, "forwardagent"), "yes <- config:3");
  EXPECT_EQ(config.values.at("forwardagent").winner->text, "FORWARDAGENT=yes");
  EXPECT_EQ(Show(config, "port"), "2222 <- config:4");
  EXPECT_EQ(Show(config, "user"), "dave <- config:5");
  EXPECT_EQ(Show(config, "identityfile"), "/a key <- config:6");
  EXPECT_EQ(config.values.at("identityfile").winner->text,
            "IdentityFile \"/a key\"");
  EXPECT_EQ(Show(config, "connecttimeout"), "90 <- config:7");
  EXPECT_EQ(Show(config, "hostkeyalias"), "x <- config:8");
  EXPECT_EQ(Show(config, "controlpath"), "/tmp/a b <- config:9");
  EXPECT_FALSE(config.named);
}

TEST_F(OpenSshConfig, MatchBlocksCountWhereSshSaysTheyMatch) {
  const ClientConfig config = Config(
      "Host web1\n  HostName 127.0.0.9\n"
      "Match user nobody-else\n  ForwardAgent /a\n"
      "Match exec \"false\"\n  ForwardAgent /b\n"
      "Match exec \"true --password secret\"\n  Port 2222\n"
      "Match host 127.* originalhost web*\n  ForwardAgent yes\n"
      "Match originalhost !web1,*\n  ForwardAgent /c\n"
      "Match all\n  User dave\n");
  EXPECT_EQ(Show(config, "forwardagent"),
            "yes <- config:10 [Match host 127.* originalhost web*]");
  EXPECT_EQ(Show(config, "port"),
            "2222 <- config:8 [Match exec 'true … (3 words)']");
  EXPECT_EQ(Show(config, "user"), "dave <- config:14 [Match all]");
}

TEST_F(OpenSshConfig, WhatAMatchCommandPrintsIsNoTrace) {
  const std::string noise =
      Write("noise",
            "#!/bin/sh\n"
            "echo 'debug1: /config line 99: Applying options for web1' >&2\n"
            "echo 'debug2: match found' >&2\n",
            0700);
  const ClientConfig config = Config("Match exec \"" + noise +
                                     "\"\n  ForwardAgent yes\n"
                                     "Match user x\n  ForwardAgent no\n");
  EXPECT_TRUE(config.forward_agent.value());
  EXPECT_EQ(config.values.at("forwardagent").winner->line, 2);
  EXPECT_FALSE(config.named);
}

TEST_F(OpenSshConfig, MatchFinalMakesASecondPassThatAddsOnly) {
  const ClientConfig config = Config(
      "Match final\n  ForwardAgent yes\n  User late\n"
      "Match !final user *\n  Port 2222\n"
      "Match canonical\n  ControlPersist 10\n"
      "Host web1\n  User dave\n  HostName 127.0.0.9\n"
      "Host 127.0.0.9\n  ControlMaster auto\n");
  EXPECT_EQ(Show(config, "forwardagent"), "yes <- config:2 [Match final]");
  EXPECT_EQ(Show(config, "user"),
            "dave <- config:9 [Host web1] > config:3 [Match final]");
  EXPECT_EQ(Show(config, "port"), "2222 <- config:5 [Match !final user *]");
  EXPECT_EQ(Show(config, "controlpersist"), "10 <- config:7 [Match canonical]");
  EXPECT_EQ(Show(config, "controlmaster"),
            "auto <- config:12 [Host 127.0.0.9]");
}

TEST_F(OpenSshConfig, CanonicalizeHostnameReadsEverythingAgain) {
  const ClientConfig config = Config(
      "CanonicalizeHostname yes\n"
      "Host web1\n  HostName 127.0.0.9\n"
      "Host 127.0.0.9\n  ForwardAgent yes\n");
  EXPECT_EQ(Show(config, "forwardagent"), "yes <- config:5 [Host 127.0.0.9]");
  EXPECT_TRUE(config.other_aliases.empty())
      << "the second pass applied that block";
}

TEST_F(OpenSshConfig, IncludedLinesBelongToTheBlockTheyAreIncludedIn) {
  Write("b.conf", "Port 2222\nHost other\n  User x\nHost *\n  User dave\n");
  Write("d/2.conf", "ForwardAgent yes\n");
  Write("d/1.conf", "ForwardAgent no\nInclude \"" + Path("deep") + "\"\n");
  Write("deep", "ControlPersist 5\n");
  const ClientConfig config =
      Config("Host web1\n  Include " + Path("b.conf") + " " + Path("d/*.conf") +
             " " + Path("none*") +
             "\n  ConnectTimeout 7\n"
             "Host x\n  Include " +
             Path("b.conf") +
             "\n"
             "Host *\n  Port 22\n");
  EXPECT_EQ(Show(config, "port"),
            "2222 <- b.conf:1 [Host web1] in config > config:7 [Host *]");
  EXPECT_EQ(Show(config, "user"), "dave <- b.conf:5 [Host *]");
  EXPECT_EQ(Show(config, "forwardagent"),
            "no <- d/1.conf:1 [Host web1] in config > d/2.conf:1 [Host web1] "
            "in config");
  EXPECT_EQ(Show(config, "controlpersist"),
            "5 <- deep:1 [Host web1] in config");
  EXPECT_EQ(Show(config, "connecttimeout"), "7 <- config:3 [Host web1]");
  Words files;
  for (const ConfigFile& file : config.files) {
    files.push_back(file.path.substr(directory_.path().size() + 1));
    EXPECT_GT(file.modified, 0);
  }
  EXPECT_EQ(files, (Words{"config", "b.conf", "d/1.conf", "deep", "d/2.conf"}));
}

TEST_F(OpenSshConfig, AnIncludeInABlockThatDoesNotApplyIsParsedOnly) {
  Write("a", "ForwardAgent yes\nHost *\n  Port 2222\nMatch all\n  User x\n");
  const ClientConfig config =
      Config("Host other\n  Include " + Path("a") + "\nHost *\n  User dave\n");
  EXPECT_EQ(Show(config, "forwardagent"), "no <- default");
  EXPECT_EQ(Show(config, "port"), "22 <- default");
  EXPECT_EQ(Show(config, "user"), "dave <- config:4 [Host *]");
  EXPECT_FALSE(config.named);
}

TEST_F(OpenSshConfig, FileNamesMayHaveBlanksAndUmlauts) {
  Write("jürgen's files/line 3: x", "ForwardAgent yes\n");
  const ClientConfig config =
      Config("Include \"" + Path("jürgen's files/line 3: x") +
             "\"\nHost web1\n  Port 2222\n");
  EXPECT_EQ(Show(config, "forwardagent"), "yes <- jürgen's files/line 3: x:1");
  EXPECT_EQ(Show(config, "port"), "2222 <- config:3 [Host web1]");
}

TEST_F(OpenSshConfig, PathsThatSshCutsOffInItsMessagesAreFollowed) {
  const std::string deep =
      std::string(100, 'a') + "/" + std::string(150, 'b') + "/c";
  Write(deep, "Host web1\n  ForwardAgent yes\n");
  const ClientConfig config = Config("Include " + Path(deep) + "\n");
  EXPECT_EQ(Show(config, "forwardagent"), "yes <- " + deep + ":2 [Host web1]");
}

TEST_F(OpenSshConfig, IdentityFilesAddUp) {
  const ClientConfig config = Config(
      "Host web1\n  IdentityFile ~/.ssh/a\nIdentityFile ~/.ssh/b\n"
      "CertificateFile /c\n");
  EXPECT_EQ(Show(config, "identityfile"),
            "~/.ssh/a,~/.ssh/b <- config:2 [Host web1]");
  EXPECT_EQ(Show(config, "certificatefile"), "/c <- config:4 [Host web1]");
}

TEST_F(OpenSshConfig, ControlPathIsExpandedAndItsTemplateKept) {
  const ClientConfig config =
      Config("User dave\nControlPath /tmp/cm-%r@%h:%p\n");
  EXPECT_EQ(FirstValue(config, "controlpath"), "/tmp/cm-dave@web1:22");
  EXPECT_EQ(config.values.at("controlpath").winner->text,
            "ControlPath /tmp/cm-%r@%h:%p");
  const ClientConfig none = Config("ControlPath none\n");
  EXPECT_EQ(Show(none, "controlpath"), " <- config:1");
  EXPECT_EQ(FirstValue(none, "controlpath"), "");
}

TEST_F(OpenSshConfig, ValuesThatSshPrintsInAnotherFormAreStillPlaced) {
  const ClientConfig config = Config(
      "StrictHostKeyChecking off\nControlPersist 0\nAddKeysToAgent confirm "
      "10m\nRequestTTY yes\nPubkeyAuthentication no\nControlMaster yes\n"
      "Port ssh\nServerAliveInterval 1m\nUserKnownHostsFile \"/a b\" /c\n"
      "CanonicalizeHostname always\nIdentitiesOnly TRUE\n");
  EXPECT_EQ(Show(config, "canonicalizehostname"), "always <- config:10");
  EXPECT_EQ(Show(config, "stricthostkeychecking"), "false <- config:1");
  EXPECT_EQ(Show(config, "controlpersist"), "yes <- config:2");
  EXPECT_EQ(Show(config, "addkeystoagent"), "confirm 600 <- config:3");
  EXPECT_EQ(Show(config, "requesttty"), "true <- config:4");
  EXPECT_EQ(Show(config, "pubkeyauthentication"), "false <- config:5");
  EXPECT_EQ(Show(config, "controlmaster"), "true <- config:6");
  EXPECT_EQ(Show(config, "port"), "22 <- config:7");
  EXPECT_EQ(Show(config, "serveraliveinterval"), "60 <- config:8");
  EXPECT_EQ(Show(config, "userknownhostsfile"), "/a b /c <- config:9");
  EXPECT_EQ(Show(config, "identitiesonly"), "yes <- config:11");
}

TEST_F(OpenSshConfig, ProxyJumpAndProxyCommandBeatEachOther) {
  const ClientConfig jump =
      Config("ProxyJump dave@b1,b2:22\nProxyCommand aws ssm\n");
  EXPECT_EQ(Show(jump, "proxyjump"), "dave@b1,b2:22 <- config:1");
  EXPECT_EQ(Show(jump, "proxycommand"), " <- config:1 > config:2");
  const ClientConfig command =
      Config("ProxyJump none\nProxyCommand nc -x p 1\n");
  EXPECT_EQ(FirstValue(command, "proxycommand"), "nc … (4 words)");
  EXPECT_EQ(FirstValue(command, "proxyjump"), "");
  EXPECT_EQ(Show(Config("ProxyCommand nc x\n", {"-J", "b"}), "proxycommand"),
            " <- command line > config:1");
}

TEST_F(OpenSshConfig, OurOwnVerbosityDoesNotPassForTheUsers) {
  EXPECT_EQ(Show(Config(""), "loglevel"), "INFO <- default");
  EXPECT_EQ(Show(Config("LogLevel quiet\n"), "loglevel"), "QUIET <- config:1");
  EXPECT_EQ(Show(Config("ForwardAgent yes\n", {"-q"}), "forwardagent"),
            "yes <- config:1");
}

TEST_F(OpenSshConfig, ForkAfterAuthenticationDoesNotPassForAnError) {
  // ssh -G refuses it where there is no remote command.
  EXPECT_EQ(
      Show(Config("ForkAfterAuthentication yes\n"), "forkafterauthentication"),
      "yes <- config:1");
}

TEST_F(OpenSshConfig, AValueThatNoLineSetsHasNoPlace) {
  // Debian's ssh derives ServerAliveInterval from BatchMode.
  Request request;
  request.destination = "web1";
  const ClientConfig config = ParseConfig(
      request, "batchmode yes\nserveraliveinterval 300\n",
      "debug1: Reading configuration data /c\r\n",
      [](const std::string&) { return std::string("BatchMode yes\n"); });
  EXPECT_EQ(Show(config, "batchmode"), "yes <- /c:1");
  EXPECT_EQ(Show(config, "serveraliveinterval"), "300 <- unknown");
}

// ----------------------------------------------------------- command line --

TEST_F(OpenSshConfig, TheCommandLineBeatsTheFile) {
  const ClientConfig config = Config(
      "User dave\nPort 1\nForwardAgent no\nControlPath /a\nIdentityFile /b\n",
      {"-Ap", "2222", "-l", "root", "-oControlPath=/x/y", "-i", "/dev/null"});
  EXPECT_EQ(Show(config, "user"), "root <- command line > config:1");
  EXPECT_EQ(Show(config, "port"), "2222 <- command line > config:2");
  EXPECT_EQ(Show(config, "forwardagent"), "yes <- command line > config:3");
  EXPECT_EQ(Show(config, "controlpath"), "/x/y <- command line > config:4");
  EXPECT_EQ(Show(config, "identityfile"), "/dev/null,/b <- command line");
  EXPECT_FALSE(config.forward_agent_line);
  EXPECT_EQ(config.forward_agent_shadowed.size(), 1u);
}

TEST_F(OpenSshConfig, TheDestinationSetsUserAndPort) {
  const std::string text = "User dave\nPort 1\nHost web1\n  ForwardAgent yes\n";
  const ClientConfig uri = Config(text, {}, "ssh://root@web1:2222");
  EXPECT_EQ(Show(uri, "user"), "root <- command line > config:1");
  EXPECT_EQ(Show(uri, "port"), "2222 <- command line > config:2");
  EXPECT_EQ(Show(uri, "forwardagent"), "yes <- config:4 [Host web1]");
  EXPECT_EQ(Show(uri, "hostname"), "web1 <- default");
  const ClientConfig plain = Config(text, {}, "root@web1");
  EXPECT_EQ(Show(plain, "user"), "root <- command line > config:1");
  EXPECT_EQ(Show(plain, "port"), "1 <- config:2");
  EXPECT_EQ(Show(Config(text, {}, "::1"), "hostname"), "::1 <- default");
}

// --------------------------------------------- ForwardAgent's two slots --

struct SlotCase {
  const char* name;
  const char* config;
  Words options;
  bool flag;
  const char* path;
  const char* show;  ///< of the value
  int flag_line;     ///< 0: none
  std::vector<int> shadowed;
};

void PrintTo(const SlotCase& slot, std::ostream* out) { *out << slot.name; }

class ForwardAgentSlots : public OpenSshConfig,
                          public testing::WithParamInterface<SlotCase> {};

TEST_P(ForwardAgentSlots, AreReadAsSshReadsThem) {
  setenv("AGENTDOCTOR_TEST_SOCKET", "/p", 1);
  const SlotCase& expected = GetParam();
  const ClientConfig config = Config(expected.config, expected.options);
  EXPECT_EQ(config.forward_agent, Fact<bool>(expected.flag));
  EXPECT_EQ(config.forward_agent_path, expected.path);
  EXPECT_EQ(Show(config, "forwardagent"), expected.show);
  EXPECT_EQ(config.forward_agent_line ? config.forward_agent_line->line : 0,
            expected.flag_line);
  std::vector<int> shadowed;
  for (const ConfigLine& line : config.forward_agent_shadowed)
    shadowed.push_back(line.line);
  EXPECT_EQ(shadowed, expected.shadowed);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ForwardAgentSlots,
    testing::Values(
        SlotCase{"Nothing", "", {}, false, "", "no <- default", 0, {}},
        SlotCase{"YesThenPath",
                 "ForwardAgent yes\nForwardAgent /p\n",
                 {},
                 true,
                 "/p",
                 "/p <- config:2",
                 1,
                 {}},
        SlotCase{"PathThenNo",
                 "ForwardAgent /p\nForwardAgent no\n",
                 {},
                 true,
                 "/p",
                 "/p <- config:1 > config:2",
                 1,
                 {2}},
        SlotCase{"NoThenPath",
                 "ForwardAgent no\nForwardAgent /p\n",
                 {},
                 false,
                 "/p",
                 "/p <- config:2",
                 1,
                 {2}},
        SlotCase{"SmallAAndPath",
                 "ForwardAgent /p\n",
                 {"-a"},
                 false,
                 "/p",
                 "/p <- config:1",
                 0,
                 {1}},
        SlotCase{"BigAAndPath",
                 "ForwardAgent /p\n",
                 {"-A"},
                 true,
                 "/p",
                 "/p <- config:1",
                 0,
                 {}},
        SlotCase{"OptionNoThenBigA",
                 "",
                 {"-o", "ForwardAgent=no", "-A"},
                 true,
                 "",
                 "yes <- command line",
                 0,
                 {}},
        SlotCase{"BigAThenSmallA",
                 "",
                 {"-A", "-a"},
                 false,
                 "",
                 "no <- command line",
                 0,
                 {}},
        SlotCase{"SmallAThenOptionYes",
                 "",
                 {"-a", "-oForwardAgent=yes"},
                 false,
                 "",
                 "no <- command line",
                 0,
                 {}},
        SlotCase{"OptionPathAndFileNo",
                 "ForwardAgent no\n",
                 {"-o", "ForwardAgent /q"},
                 true,
                 "/q",
                 "/q <- command line > config:1",
                 0,
                 {1}},
        SlotCase{"Typo",
                 "ForwardAgent ask\n",
                 {},
                 true,
                 "ask",
                 "ask <- config:1",
                 1,
                 {}},
        SlotCase{"TeleportsLocal",
                 "ForwardAgent local\n",
                 {},
                 true,
                 "local",
                 "local <- config:1",
                 1,
                 {}},
        SlotCase{"LateVariable",
                 "ForwardAgent $AGENTDOCTOR_TEST_SOCKET\n",
                 {},
                 true,
                 "$AGENTDOCTOR_TEST_SOCKET",
                 "$AGENTDOCTOR_TEST_SOCKET <- config:1",
                 1,
                 {}},
        SlotCase{"EarlyVariable",
                 "ForwardAgent ${AGENTDOCTOR_TEST_SOCKET}\n",
                 {},
                 true,
                 "/p",
                 "/p <- config:1",
                 1,
                 {}},
        SlotCase{"TwoPaths",
                 "ForwardAgent /p\nForwardAgent /q\n",
                 {},
                 true,
                 "/p",
                 "/p <- config:1 > config:2",
                 1,
                 {2}},
        SlotCase{"TwiceYes",
                 "Host web1\nForwardAgent yes\nHost *\nForwardAgent True\n",
                 {},
                 true,
                 "",
                 "yes <- config:2 [Host web1] > config:4 [Host *]",
                 2,
                 {4}},
        SlotCase{"NoInPassOneYesInPassTwo",
                 "Match final\nForwardAgent yes\nMatch all\nForwardAgent no\n",
                 {},
                 false,
                 "",
                 "no <- config:4 [Match all] > config:2 [Match final]",
                 4,
                 {2}}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(OpenSshConfig, AMissingForwardAgentPathIsNoConfigurationError) {
  // ssh -G itself exits with 255 here.
  const ClientConfig config = Config(
      "Host web1\n  ForwardAgent /no/such\n  ExitOnForwardFailure yes\n");
  EXPECT_EQ(config.forward_agent_path, "/no/such");
  EXPECT_EQ(config.forward_agent, Fact<bool>(true));
  EXPECT_EQ(Show(config, "exitonforwardfailure"),
            "yes <- config:3 [Host web1]");
}

// ------------------------------------------------------------------ agents --

std::optional<std::string> NoEnvironment(const std::string&) {
  return std::nullopt;
}

TEST_F(OpenSshConfig, TheAgentToForwardIsChosenInSshsOrder) {
  const auto environment =
      [](const std::string& name) -> std::optional<std::string> {
    if (name == "SSH_AUTH_SOCK") return "/env";
    if (name == "AGENT") return "/agent";
    if (name == "EMPTY") return "";
    return std::nullopt;
  };
  const auto forwarded = [&](const std::string& text) {
    const AgentChoice choice = ForwardedAgent(Config(text), environment);
    return choice.text + " " + choice.path.value_or("-") +
           (choice.line ? " " + Show(*choice.line) : "");
  };
  EXPECT_EQ(forwarded("ForwardAgent yes\n"), "SSH_AUTH_SOCK /env");
  EXPECT_EQ(forwarded("ForwardAgent yes\nIdentityAgent /i\n"),
            "/i /i config:2");
  EXPECT_EQ(forwarded("ForwardAgent /f\nIdentityAgent /i\n"), "/f /f config:1");
  EXPECT_EQ(forwarded("ForwardAgent $AGENT\n"), "$AGENT /agent config:1");
  EXPECT_EQ(forwarded("ForwardAgent $NONE\n"), "$NONE - config:1");
  EXPECT_EQ(forwarded("ForwardAgent $EMPTY\n"), "$EMPTY - config:1");
  EXPECT_EQ(forwarded("ForwardAgent yes\nIdentityAgent none\n"),
            "none - config:2");
  EXPECT_EQ(forwarded("IdentityAgent SSH_AUTH_SOCK\n"),
            "SSH_AUTH_SOCK /env config:1");
  EXPECT_EQ(forwarded("IdentityAgent $AGENT\n"), "$AGENT /agent config:1");
  EXPECT_EQ(forwarded("IdentityAgent \"/a b\"\n"), "/a b /a b config:1");

  const ClientConfig both = Config("ForwardAgent /f\nIdentityAgent /i\n");
  EXPECT_EQ(ForwardedAgent(both, environment).source,
            AgentSource::kForwardAgent);
  EXPECT_EQ(PrimaryAgent(both, environment).path, "/i");
  EXPECT_EQ(PrimaryAgent(both, environment).source,
            AgentSource::kIdentityAgent);
  EXPECT_EQ(PrimaryAgent(Config(""), NoEnvironment).path, std::nullopt);
  EXPECT_EQ(PrimaryAgent(Config(""),
                         [](const std::string&) {
                           return std::optional<std::string>("");
                         })
                .path,
            std::nullopt)
      << "an empty SSH_AUTH_SOCK counts as unset";
}

// ----------------------------------------------------------------- aliases --

TEST_F(OpenSshConfig, OtherAliasesOfTheSameMachineAreFound) {
  const ClientConfig config = Config(
      "Host gitlab web-*\n  HostName 127.0.0.9\n  ForwardAgent yes\n"
      "Host no\n  HostName 127.0.0.9\n  ForwardAgent no\n"
      "Host elsewhere\n  HostName 127.0.0.8\n  ForwardAgent yes\n"
      "Host 127.0.0.9\n  ForwardAgent /p\n"
      "Host web1\n  HostName 127.0.0.9\n");
  ASSERT_EQ(config.other_aliases.size(), 2u);
  EXPECT_EQ(config.other_aliases[0].alias, "gitlab");
  EXPECT_EQ(Show(config.other_aliases[0].line), "config:3 [Host gitlab web-*]");
  EXPECT_EQ(config.other_aliases[1].alias, "127.0.0.9");
  const ClientConfig fqdn =
      Config("Host a b\n  HostName %h.example.com\n  ForwardAgent yes\n", {},
             "B.example.com");
  ASSERT_EQ(fqdn.other_aliases.size(), 1u);
  EXPECT_EQ(fqdn.other_aliases[0].alias, "b");
}

TEST_F(OpenSshConfig, OnlyALineWithTheNameInItNamesTheDestination) {
  EXPECT_TRUE(Config("Host w*\n Port 1\n").named);
  EXPECT_FALSE(Config("Host *\n Port 1\n").named);
  EXPECT_FALSE(Config("Host other\n Port 1\n").named);
  EXPECT_FALSE(Config("Match user *\n Port 1\n").named);
  EXPECT_FALSE(Config("Match exec true\n Port 1\n").named);
  EXPECT_FALSE(Config("Match host *\n Port 1\n").named);
  EXPECT_FALSE(Config("Match !host x\n Port 1\n").named);
  EXPECT_TRUE(Config("Match user * host web1\n Port 1\n").named);
  EXPECT_TRUE(Config("Match originalhost x,web*\n Port 1\n").named);
}

// ----------------------------------------------------------------- privacy --

TEST_F(OpenSshConfig, NothingButTheAllowListIsKept) {
  const ClientConfig config = Config(
      "SetEnv TOKEN=secret\n"
      "ProxyCommand TOKEN=secret /usr/bin/aws ssm --token secret # secret\n"
      "RemoteCommand echo secret\n"
      "LocalCommand echo secret\n"
      "LocalForward 127.0.0.1:1 secret:2\n"
      "KnownHostsCommand /bin/secret\n"
      "ForwardAgent yes # secret\n"
      "Host web1\n"
      "  ProxyCommand secret secret\n");
  EXPECT_EQ(Show(config, "proxycommand"),
            "aws … (7 words) <- config:2 > config:9 [Host web1]");
  EXPECT_EQ(config.values.at("proxycommand").winner->text,
            "ProxyCommand aws … (7 words)");
  EXPECT_EQ(Show(config, "remotecommand"), "set <- config:3");
  EXPECT_EQ(Show(config, "localforward"), "set <- config:5");
  EXPECT_EQ(Show(config, "setenv"), "absent");
  EXPECT_EQ(Show(config, "localcommand"), "absent");
  for (const auto& [keyword, value] : config.values) {
    for (const std::string& text : value.values)
      EXPECT_EQ(text.find("secret:"), std::string::npos) << keyword;
    if (value.winner) {
      EXPECT_EQ(value.winner->text.find("secret"), std::string::npos)
          << keyword;
    }
  }
  EXPECT_EQ(CommandShape("exec A=b ssh -W %h:%p x"), "ssh … (6 words)");
  EXPECT_EQ(CommandShape("/usr/bin/nc"), "nc");
}

// ------------------------------------------------------------------ errors --

TEST_F(OpenSshConfig, SshsComplaintsKeepTheirPlace) {
  const auto expect = [&](const std::string& text, const std::string& message,
                          int line) {
    const ConfigError error = Error(text);
    EXPECT_EQ(error.message, message) << text;
    EXPECT_EQ(error.file, Path("config")) << text;
    EXPECT_EQ(error.line, line) << text;
  };
  expect("\nBogus yes\nBogus2 no\n", "Bad configuration option: bogus", 2);
  expect("Host x\n  UseKeychain yes\n", "Bad configuration option: usekeychain",
         2);
  expect("Port abc\n", "Bad port 'abc'.", 1);
  expect("Host other\n  ForwardAgent ${NO_SUCH_X}\n",
         "Invalid environment expansion ${NO_SUCH_X}.", 2);
  expect("ForwardAgent yes no\n",
         "keyword forwardagent extra arguments at end of line", 1);
  expect("StrictHostKeyChecking maybe\n", "unsupported option \"maybe\".", 1);
  expect("ForwardAgent\n", "no argument after keyword \"forwardagent\"", 1);
  expect("User \"dave\nPort 1\n", "invalid quotes", 1);
  expect("Match bogus x\n", "Unsupported Match attribute bogus", 1);
  expect("\n\nControlPath ${NO_SUCH_X}/a\n",
         "vdollar_percent_expand: env var ${NO_SUCH_X} has no value", 3);
}

TEST_F(OpenSshConfig, AnErrorInAnIncludedFileNamesThatFile) {
  Write("a b", "Host z\n\n  Bogus yes\n");
  const ConfigError error = Error("Include \"" + Path("a b") + "\"\n");
  EXPECT_EQ(error.file, Path("a b"));
  EXPECT_EQ(error.line, 3);
}

TEST_F(OpenSshConfig, AFileThatOthersMayWriteIsAnError) {
  const std::string path = Write("open", "ForwardAgent yes\n", 0666);
  const ConfigError error = Error("Include " + path + "\n");
  EXPECT_EQ(error.message, "Bad owner or permissions on " + path);
  EXPECT_EQ(error.file, path);
  EXPECT_EQ(error.line, 0);
}

TEST_F(OpenSshConfig, AMissingFileIsAnError) {
  Request request;
  request.destination = "web1";
  request.ssh_options = {"-F", Path("no such: file")};
  const Resolution resolution = ResolveOpenSsh(request, kLimit);
  ASSERT_TRUE(resolution.config->error);
  EXPECT_EQ(resolution.config->error->file, Path("no such: file"));
  EXPECT_EQ(resolution.config->error->message,
            "Can't open user config file " + Path("no such: file") +
                ": No such file or directory");
}

TEST_F(OpenSshConfig, AWrongCommandLineIsAnErrorWithoutAPlace) {
  EXPECT_EQ(Error("", {"-o", "Bogus=yes"}).message,
            "command-line: Bad configuration option: bogus");
  EXPECT_EQ(Error("", {"-p", "abc"}).message, "Bad port 'abc'");
  EXPECT_EQ(Error("", {"-J", "a:b:c"}).message, "Invalid -J argument");
  EXPECT_EQ(Error("", {"-o", "Bogus=yes"}).line, 0);
  EXPECT_EQ(Error("", {"-o", "Bogus=yes"}).file, "");
  EXPECT_NE(Error("", {"-Z"}).message.find("-- Z"), std::string::npos);
}

TEST_F(OpenSshConfig, IgnoredUnknownOptionsAreNoError) {
  const ClientConfig config =
      Config("IgnoreUnknown UseKeychain\nUseKeychain yes\nForwardAgent yes\n");
  EXPECT_EQ(Show(config, "ignoreunknown"), "UseKeychain <- config:1");
  EXPECT_EQ(Show(config, "forwardagent"), "yes <- config:3");
}

// -------------------------------------------------------- nothing to read --

TEST_F(OpenSshConfig, WithoutSshTheConfigurationIsUnknown) {
  Request request;
  request.destination = "web1";
  request.ssh = Path("no-ssh");
  const Resolution resolution = ResolveOpenSsh(request, kLimit);
  EXPECT_FALSE(resolution.config.known());
  EXPECT_TRUE(resolution.config.reason().starts_with("ssh-not-found: "))
      << resolution.config.reason();
}

TEST_F(OpenSshConfig, AProgramThatIsNoSshRejectsNoConfiguration) {
  Request request;
  request.destination = "web1";
  for (const char* program : {"false", "true", "cat"}) {
    request.ssh = program;
    const Resolution resolution = ResolveOpenSsh(request, kLimit);
    EXPECT_FALSE(resolution.config.known()) << program;
    EXPECT_EQ(resolution.config.reason(),
              std::string("ssh-not-found: ") + program +
                  " is no OpenSSH client: it printed no version");
  }
}

TEST_F(OpenSshConfig, AMatchCommandThatHangsIsGivenUp) {
  const std::string path =
      Write("config", "Match exec \"sleep 1000\"\n  ForwardAgent yes\n");
  Request request;
  request.destination = "web1";
  request.ssh_options = {"-F", path};
  const Resolution resolution = ResolveOpenSsh(request, Milliseconds(300));
  EXPECT_EQ(resolution.config.reason(),
            "ssh -G did not end in time; it waits for the command of a `Match "
            "exec` line: sleep … (2 words)");
  EXPECT_FALSE(resolution.forwarded.known());
  EXPECT_TRUE(resolution.version.starts_with("OpenSSH_"));
}

TEST_F(OpenSshConfig, TheVersionComesWithTheTrace) {
  const Resolution resolution = Resolve("");
  EXPECT_TRUE(resolution.version.starts_with("OpenSSH_"));
  EXPECT_EQ(resolution.version.find_first_of(", "), std::string::npos);
}

TEST_F(OpenSshConfig, AFileThatChangedMeanwhileMakesPlacesUnknown) {
  Request request;
  request.destination = "web1";
  const std::string trace =
      "debug1: Reading configuration data /c\r\n"
      "debug1: /c line 3: Applying options for web1\r\n";
  const auto parse = [&](const std::string& text, const std::string& value) {
    return ParseConfig(request, "forwardagent " + value + "\nport 22\n", trace,
                       [&](const std::string&) { return text; });
  };
  const ClientConfig good =
      parse("\n\nHost web1\nForwardAgent yes\nForwardAgent /p\n", "/p");
  EXPECT_EQ(good.forward_agent, Fact<bool>(true));

  const ClientConfig moved =
      parse("\nHost web1\nForwardAgent yes\nForwardAgent /p\n", "/p");
  EXPECT_FALSE(moved.forward_agent.known());
  EXPECT_EQ(moved.values.at("forwardagent").origin, ConfigOrigin::kUnknown);
  EXPECT_NE(moved.values.at("port").unknown_because, "");
  EXPECT_TRUE(moved.named);

  const ClientConfig edited = parse("\n\nHost web1\nForwardAgent no\n", "yes");
  EXPECT_EQ(edited.forward_agent, Fact<bool>(true)) << "-G's flag is exact";
  EXPECT_EQ(edited.values.at("forwardagent").origin, ConfigOrigin::kUnknown);
  EXPECT_FALSE(edited.forward_agent_line);

  const ClientConfig gone = parse("", "yes");
  EXPECT_EQ(gone.values.at("forwardagent").origin, ConfigOrigin::kUnknown);
}

// ------------------------------------------------- the user's own files --

/// ssh takes the home from the password file: nss_wrapper gives it another.
class HomeConfig : public OpenSshConfig {
 protected:
  void SetUp() override {
    for (const auto& entry : std::filesystem::directory_iterator("/usr/lib")) {
      const auto library = entry.path() / "libnss_wrapper.so";
      if (std::filesystem::exists(library)) wrapper_ = library;
    }
    if (wrapper_.empty()) GTEST_SKIP() << "needs nss_wrapper";
    const std::string ids =
        std::to_string(getuid()) + ":" + std::to_string(getgid());
    setenv("NSS_WRAPPER_PASSWD",
           Write("passwd", "dave:x:" + ids + "::" + Path("home") + ":/bin/sh\n")
               .c_str(),
           1);
    setenv("NSS_WRAPPER_GROUP",
           Write("group", "dave:x:" + std::to_string(getgid()) + ":\n").c_str(),
           1);
    setenv("HOME", Path("home").c_str(), 1);
    setenv("LD_PRELOAD", wrapper_.c_str(), 1);
  }

  void TearDown() override {
    unsetenv("LD_PRELOAD");
    unsetenv("NSS_WRAPPER_PASSWD");
    unsetenv("NSS_WRAPPER_GROUP");
  }

  Resolution ResolveAtHome() const {
    Request request;
    request.destination = "web1";
    return ResolveOpenSsh(request, kLimit);
  }

  std::string wrapper_;
};

TEST_F(HomeConfig, UserAndSystemFilesAreReadInOrder) {
  Write("home/.ssh/conf.d/1.conf", "Host web1\n  ForwardAgent yes\n");
  Write("home/.ssh/config",
        "Include conf.d/*.conf\nHost *\n  ControlPath ~/.ssh/cm-%C\n");
  const Resolution resolution = ResolveAtHome();
  ASSERT_TRUE(resolution.config.known()) << resolution.config.reason();
  const ClientConfig& config = *resolution.config;
  EXPECT_EQ(Show(config, "forwardagent"),
            "yes <- home/.ssh/conf.d/1.conf:2 [Host web1]");
  EXPECT_EQ(Show(config, "user"), "dave <- default");
  EXPECT_TRUE(
      FirstValue(config, "controlpath").starts_with(Path("home/.ssh/cm-")));
  EXPECT_EQ(config.values.at("controlpath").winner->text,
            "ControlPath ~/.ssh/cm-%C");
  ASSERT_GE(config.files.size(), 2u);
  EXPECT_EQ(config.files[0].path, Path("home/.ssh/config"));
  if (std::filesystem::exists("/etc/ssh/ssh_config")) {
    EXPECT_EQ(config.files[2].path, "/etc/ssh/ssh_config");
  }
}

TEST_F(HomeConfig, AUserFileThatOthersMayWriteIsAnError) {
  const std::string path = Write("home/.ssh/config", "Port 1\n", 0622);
  const Resolution resolution = ResolveAtHome();
  ASSERT_TRUE(resolution.config.known());
  ASSERT_TRUE(resolution.config->error);
  EXPECT_EQ(resolution.config->error->file, path);
}

TEST_F(HomeConfig, APathWithTildeIsTheOneThatSshExpands) {
  Write("home/.ssh/config", "ForwardAgent ~/agent\nIdentityAgent ~/other\n");
  const Resolution resolution = ResolveAtHome();
  ASSERT_TRUE(resolution.forwarded.known());
  EXPECT_EQ(resolution.forwarded->path, Path("home/agent"));
  EXPECT_EQ(resolution.primary->path, Path("home/other"));
}

}  // namespace
}  // namespace agentdoctor
