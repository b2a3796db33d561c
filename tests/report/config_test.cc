#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "clients/openssh_config.h"
#include "report/render.h"
#include "report/version.h"

namespace agentdoctor {
namespace {

ConfigLine Line(int line, const std::string& text, const std::string& scope,
                int scope_line) {
  return {"/etc/x/config", line,       text,
          scope,           scope_line, scope.empty() ? "" : "/etc/x/config"};
}

Facts Example() {
  ClientConfig config;
  config.values["hostname"] = {
      .values = {"10.0.0.5"},
      .origin = ConfigOrigin::kFile,
      .winner = Line(2, "HostName 10.0.0.5", "Host runner", 1)};
  config.values["user"] = {.values = {"dave"},
                           .origin = ConfigOrigin::kDefault};
  config.values["port"] = {.values = {"2222"},
                           .origin = ConfigOrigin::kCommandLine};
  config.values["forwardagent"] = {
      .values = {"no"},
      .origin = ConfigOrigin::kFile,
      .winner = Line(3, "ForwardAgent no", "Host runner", 1),
      .shadowed = {Line(9, "ForwardAgent yes", "Host *", 8)}};
  config.forward_agent = false;
  config.values["controlpath"] = {
      .values = {"/home/dave/.ssh/cm-0123"},
      .origin = ConfigOrigin::kFile,
      .winner = ConfigLine{"/etc/x/inc", 1, "ControlPath ~/.ssh/cm-%C",
                           "Host *", 8, "/etc/x/config"}};
  config.values["identityfile"] = {.values = {"~/a", "~/b"},
                                   .origin = ConfigOrigin::kUnknown,
                                   .unknown_because = "why \x1b[31m"};
  config.values["requesttty"] = {.values = {"auto"},
                                 .origin = ConfigOrigin::kDefault};
  config.files = {{"/etc/x/config", 0}, {"/etc/x/inc", 60}};
  Facts facts;
  facts.request.destination = "runner";
  facts.link.version = "OpenSSH_9.2p1";
  facts.link.config = config;
  return facts;
}

TEST(ConfigText, AlignsValuesPlacesAndTheLinesThatLost) {
  EXPECT_EQ(
      RenderConfigText(Example(), {}),
      R"(HostName        10.0.0.5                 /etc/x/config:2  Host runner
User            dave                     default
Port            2222                     command line
ForwardAgent    no                       /etc/x/config:3  Host runner
  lost          ForwardAgent yes         /etc/x/config:9  Host *
IdentityAgent   -                        not set
IdentityFile    ~/a                      origin unknown: why \x1b[31m
                ~/b
IdentitiesOnly  -                        not set
ControlMaster   -                        not set
ControlPath     /home/dave/.ssh/cm-0123  /etc/x/inc:1     Host * (/etc/x/config:8)
  written       ControlPath ~/.ssh/cm-%C
ControlPersist  -                        not set
ProxyJump       -                        not set
ProxyCommand    -                        not set

Files, in the order in which ssh read them:
  /etc/x/config
  /etc/x/inc
)");
}

TEST(ConfigText, ShowsOnlyTheKeywordsAskedFor) {
  EXPECT_EQ(RenderConfigText(Example(), {"requesttty", "setenv"}),
            "RequestTTY  auto  default\n"
            "setenv      -     agentdoctor does not read it (see ssh -G)\n");
}

TEST(ConfigText, SaysWhetherAPathIsForwardedAtAll) {
  Facts facts = Example();
  ClientConfig& config = *facts.link.config.get();
  config.values["forwardagent"] = {.values = {"/p"},
                                   .origin = ConfigOrigin::kFile,
                                   .winner = Line(4, "ForwardAgent /p", "", 0)};
  config.forward_agent_path = "/p";
  config.forward_agent_line = Line(3, "ForwardAgent no", "", 0);
  EXPECT_EQ(RenderConfigText(facts, {"forwardagent"}),
            "ForwardAgent  /p  /etc/x/config:4\n"
            "  asked for   no  /etc/x/config:3\n");
  config.forward_agent = Unknown{"nobody knows"};
  EXPECT_EQ(RenderConfigText(facts, {"forwardagent"}),
            "ForwardAgent  /p       /etc/x/config:4\n"
            "  asked for   unknown  nobody knows\n");
}

TEST(ConfigText, SaysWhyThereIsNothing) {
  Facts facts = Example();
  facts.link.config.get()->error =
      ConfigError{"Bad configuration option: x\x07", "/etc/x/config", 9};
  const std::string rejected = RenderConfigText(facts, {});
  EXPECT_TRUE(rejected.starts_with(
      "runner: ssh rejects the configuration: /etc/x/config:9: Bad "
      "configuration option: x"))
      << rejected;
  EXPECT_EQ(rejected.find('\x07'), std::string::npos);
  facts.link.config = Unknown{"ssh-not-found: no ssh"};
  EXPECT_EQ(RenderConfigText(facts, {}),
            "runner: the configuration is unknown: ssh-not-found: no ssh\n");
}

TEST(ConfigJson, HoldsValuesPlacesAndFiles) {
  const auto json = nlohmann::json::parse(RenderConfigJson(Example(), {}));
  EXPECT_EQ(json["schemaVersion"], 1);
  EXPECT_EQ(json["tool"]["version"], kVersion);
  EXPECT_EQ(json["command"], "config");
  EXPECT_EQ(json["destination"], "runner");
  const auto& forward = json["values"][3];
  EXPECT_EQ(forward["keyword"], "ForwardAgent");
  EXPECT_EQ(forward["values"], (std::vector<std::string>{"no"}));
  EXPECT_EQ(forward["origin"], "file");
  EXPECT_EQ(forward["file"], "/etc/x/config");
  EXPECT_EQ(forward["line"], 3);
  EXPECT_EQ(forward["scope"], "Host runner");
  EXPECT_EQ(forward["requested"], false);
  EXPECT_EQ(forward["shadowed"][0]["line"], 9);
  EXPECT_EQ(json["values"][5]["unknownBecause"], "why \x1b[31m");
  EXPECT_EQ(json["files"][1]["path"], "/etc/x/inc");
  EXPECT_EQ(json["files"][1]["modified"], "1970-01-01T00:01:00Z");
  EXPECT_FALSE(json.contains("error"));
}

TEST(ConfigJson, IsValidWhereThereIsNothing) {
  Facts facts = Example();
  facts.link.config.get()->error = ConfigError{"bad \xff", "/c", 9};
  auto json = nlohmann::json::parse(RenderConfigJson(facts, {}));
  EXPECT_EQ(json["error"]["line"], 9);
  EXPECT_TRUE(json["values"].empty());
  facts.link.config = Unknown{"why"};
  json = nlohmann::json::parse(RenderConfigJson(facts, {}));
  EXPECT_EQ(json["error"]["message"], "why");
}

TEST(ConfigText, SpellsEveryKeywordThatIsKept) {
  Request request;
  request.destination = "web1";
  const ClientConfig config =
      ParseConfig(request, "", "debug1: Reading configuration data /c\n",
                  [](const std::string&) {
                    std::string text;
                    for (const char* keyword : {"AddKeysToAgent",
                                                "AddressFamily",
                                                "BatchMode",
                                                "CanonicalizeHostname",
                                                "CertificateFile",
                                                "ClearAllForwardings",
                                                "ConnectTimeout",
                                                "ControlMaster",
                                                "ControlPath",
                                                "ControlPersist",
                                                "DynamicForward",
                                                "ExitOnForwardFailure",
                                                "ForkAfterAuthentication",
                                                "ForwardAgent",
                                                "GlobalKnownHostsFile",
                                                "HostKeyAlias",
                                                "HostName",
                                                "IdentitiesOnly",
                                                "IdentityAgent",
                                                "IdentityFile",
                                                "IgnoreUnknown",
                                                "LocalForward",
                                                "LogLevel",
                                                "PermitLocalCommand",
                                                "Port",
                                                "PreferredAuthentications",
                                                "ProxyCommand",
                                                "ProxyJump",
                                                "PubkeyAuthentication",
                                                "RemoteCommand",
                                                "RemoteForward",
                                                "RequestTTY",
                                                "ServerAliveInterval",
                                                "SessionType",
                                                "StdinNull",
                                                "StrictHostKeyChecking",
                                                "User",
                                                "UserKnownHostsFile"})
                      text += std::string(keyword) + " x\n";
                    return text;
                  });
  Facts facts;
  facts.link.config = config;
  EXPECT_EQ(config.values.size(), 38u);
  for (const auto& [keyword, value] : config.values)
    EXPECT_EQ(RenderConfigText(facts, {keyword}).find("does not read"),
              std::string::npos)
        << keyword;
}

}  // namespace
}  // namespace agentdoctor
