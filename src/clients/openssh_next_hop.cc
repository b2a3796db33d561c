#include "clients/openssh_next_hop.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "clients/openssh_command.h"
#include "clients/openssh_transcript.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

// How git forges say who one is: GitHub, Gitea and Forgejo, sourcehut, Gerrit;
// GitLab; Bitbucket.
struct Salutation {
  std::string_view before;
  std::string_view after;
};
constexpr std::array<Salutation, 4> kSalutations = {
    {{"Hi there, ", "!"},
     {"Hi ", "!,"},
     {"Welcome to GitLab, @", "!"},
     {"logged in as ", ".\n"}}};

std::string Account(const std::string& greeting) {
  constexpr std::size_t kLongest = 100;
  for (const auto& [before, after] : kSalutations) {
    const std::size_t at = greeting.find(before);
    if (at == std::string::npos) continue;
    const std::size_t begin = at + before.size();
    const std::size_t end = greeting.find_first_of(after, begin);
    if (end == std::string::npos || end == begin || end - begin > kLongest)
      continue;
    return greeting.substr(begin, end - begin);
  }
  return {};
}

}  // namespace

NextHop ReadNextHop(const ProbedNextHop& probed) {
  NextHop hop = probed.hop;
  if (const auto user = hop.config.find("user"); user != hop.config.end())
    hop.user = user->second;
  else
    hop.user = ParseJumpHost(hop.destination).user;
  if (!hop.not_tried.empty()) return hop;

  TranscriptReader reader;
  for (const std::string& line : SplitLines(probed.login)) reader.Line(line);
  const Transcript& transcript = reader.transcript();
  hop.server_version = transcript.server_version;
  hop.authenticated = transcript.authenticated;
  hop.auth_method = transcript.auth_method;
  hop.offered = reader.offered();
  hop.signing_failure = reader.signing_failure();
  hop.messages = transcript.messages;
  if (const std::optional<int> keys = reader.agent_keys())
    hop.agent_keys = *keys;
  else
    hop.agent_keys = Unknown{"the ssh there did not say"};

  if (hop.authenticated) {
    hop.greeting = reader.AfterLogin();
    if (std::string account = Account(hop.greeting); !account.empty())
      hop.user = std::move(account);
    return hop;
  }
  hop.fault = reader.Fault();
  if (hop.fault) return hop;
  if (probed.timed_out)
    hop.fault = {"connection-timeout",
                 "no answer within the limit; ssh's last words: " +
                     ValidUtf8(reader.last_line())};
  else if (probed.cut_off)
    hop.fault = {"connection-lost", "it said more than the probe carries"};
  else
    hop.fault = {"connection-lost", transcript.messages.empty()
                                        ? "ssh ended without a word"
                                        : transcript.messages.back()};
  return hop;
}

}  // namespace agentdoctor
