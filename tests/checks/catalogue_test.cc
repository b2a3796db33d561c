// The catalogue polices itself.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "healthy.h"

namespace agentdoctor {
namespace {

namespace fs = std::filesystem;

const fs::path kSource = AGENTDOCTOR_SOURCE_DIR;

/// Every code of the stages from the local agent to the remote environment.
const std::map<std::string, std::set<std::string>> kCatalogue = {
    {"local-agent",
     {"agent-not-running", "agent-socket-missing", "agent-socket-dead",
      "agent-socket-denied", "agent-not-a-socket", "agent-unresponsive",
      "agent-protocol-error", "agent-empty", "agent-key-missing",
      "agent-many-keys", "agent-cert-expired", "agent-locked",
      "agent-drops-extensions", "agent-elsewhere", "environment-file-stale"}},
    {"forward-agent",
     {"config-error", "forwarding-not-requested",
      "forwarding-disabled-by-config", "forward-agent-shadowed",
      "forward-agent-socket-unset", "forward-agent-socket-missing",
      "forward-agent-primary-missing", "host-alias-mismatch",
      "forward-agent-global", "vscode-forwarding-off",
      "teleport-agent-forwarded"}},
    {"control-master",
     {"mux-master-without-forwarding", "mux-master-dead-agent",
      "mux-master-other-agent", "mux-master-unresponsive",
      "works-only-through-master", "mux-connection-dead", "mux-session-refused",
      "mux-socket-stale", "mux-path-not-unique", "mux-path-too-long",
      "mux-directory-missing", "mux-leaks-forwarding"}},
    {"connection",
     {"name-not-resolved", "connection-refused", "connection-timeout",
      "network-unreachable", "proxy-failed", "host-key-unknown",
      "host-key-changed", "authentication-failed", "interaction-needed",
      "protocol-mismatch", "ssh-not-found", "connection-lost",
      "host-unreachable-through-jump", "forwarding-disabled-by-host-key",
      "hosts-differ"}},
    {"server-policy",
     {"server-denies-forwarding", "key-denies-forwarding",
      "cert-denies-forwarding", "server-unsupported", "server-socket-failed",
      "forced-command"}},
    {"remote-socket",
     {"remote-env-overridden", "remote-env-cleared", "remote-socket-dead",
      "remote-identity-agent", "remote-keys-differ"}},
    {"remote-sessions",
     {"tmux-stale-env", "screen-stale-env", "vscode-stale-env",
      "container-stale-socket", "process-stale-env", "auth-symlink-stale",
      "mosh-drops-agent", "sudo-drops-agent"}},
    {"next-hop",
     {"next-hop-denied", "next-hop-unreachable", "next-hop-too-many-keys",
      "next-hop-ignores-agent", "next-hop-not-ssh",
      "next-hop-key-constrained"}}};

TEST(Catalogue, HasEveryCodeInExactlyOneCheck) {
  std::set<std::string> seen;
  for (const Check& check : AllChecks()) {
    const std::set<std::string> codes(check.codes.begin(), check.codes.end());
    EXPECT_EQ(codes, kCatalogue.at(std::string(check.id))) << check.id;
    EXPECT_EQ(codes.size(), check.codes.size()) << check.id;
    for (const std::string& code : codes)
      EXPECT_TRUE(seen.insert(code).second) << code;
  }
  EXPECT_EQ(AllChecks().size(), kCatalogue.size());
}

TEST(Catalogue, KeepsTheOrderOfTheChain) {
  const auto checks = AllChecks();
  for (std::size_t i = 1; i < checks.size(); ++i)
    EXPECT_LT(checks[i - 1].stage, checks[i].stage);
}

TEST(Catalogue, NamesEachCheckAfterItsFile) {
  for (const Check& check : AllChecks()) {
    std::string name(check.id);
    std::ranges::replace(name, '-', '_');
    EXPECT_TRUE(fs::exists(kSource / "checks" / (name + ".cc"))) << name;
    EXPECT_FALSE(check.title.empty() || check.title.ends_with('.'));
  }
}

TEST(Catalogue, HasAPageForEveryCode) {
  for (const Check& check : AllChecks())
    for (const std::string_view code : check.codes)
      EXPECT_TRUE(fs::exists(kSource / "docs" / "findings" /
                             (std::string(code) + ".md")))
          << code;
}

TEST(Catalogue, FindsNothingInAHealthySetup) {
  for (const Facts& facts : {HealthyFacts(), SharedFacts()})
    for (const Check& check : AllChecks()) {
      const Answer answer = check.run(facts);
      EXPECT_EQ(Codes(answer), std::vector<std::string>{}) << check.id;
      EXPECT_EQ(answer.skipped, "") << check.id;
      EXPECT_NE(answer.summary, "") << check.id;
      EXPECT_FALSE(answer.summary.ends_with('.')) << check.id;
    }
}

TEST(Catalogue, IsSkippedThroughoutWithoutAnyFact) {
  for (const Examined& examined : Examine(Facts{}, AllChecks())) {
    EXPECT_EQ(Codes(examined.answer), std::vector<std::string>{});
    EXPECT_EQ(examined.answer.skipped, "not collected") << examined.check->id;
  }
}

TEST(Catalogue, SeesNoSystemHeaderInAnyCheck) {
  const std::set<std::string> allowed = {
      "algorithm", "array",       "cctype",  "charconv",
      "chrono",    "cstddef",     "cstdint", "initializer_list",
      "map",       "optional",    "set",     "span",
      "string",    "string_view", "utility", "vector"};
  for (const auto& entry : fs::directory_iterator(kSource / "checks")) {
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      if (!line.starts_with("#include <")) continue;
      const std::string header = line.substr(10, line.find('>') - 10);
      EXPECT_TRUE(allowed.contains(header)) << entry.path() << ": " << line;
    }
  }
}

}  // namespace
}  // namespace agentdoctor
