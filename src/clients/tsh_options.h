// What tsh's own words on a command line mean: which agent it forwards.
//
// The rules are those of Teleport's design RFD 22 and of tool/tsh/common
// (options.go, tsh.go): ForwardAgent is `no` unless set, `yes` is the user's
// agent, `local` is tsh's own; the last of several -o holds, and -A comes
// before all of them.  Before Teleport 6.2 `yes` and -A were tsh's own agent,
// and there was no other.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/facts.h"

namespace agentdoctor {

/// What tsh forwards.
enum class TshAgent {
  kNone,
  kUsers,  ///< the agent at SSH_AUTH_SOCK, if one is there; else none
  kOwn,    ///< the key agent inside of tsh, with the keys of ~/.tsh
};

/// 602 for "Teleport v6.2.0 git:...", 0 if it can't be read; compare with
/// TshRelease(6, 2).
int TshRelease(std::string_view version);
constexpr int TshRelease(int major, int minor) { return major * 100 + minor; }

/// "yes", "no" or "local"; no value: the option says something else.
/// "ForwardAgent=Yes" and "ForwardAgent yes" are the same to tsh.
std::optional<std::string> ForwardAgentMode(std::string_view option);

/// What the words ask for: "yes", "no" or "local".
std::string TshMode(const std::vector<std::string>& options);

TshAgent TshForwards(std::string_view mode, int release);

/// Why `tsh ssh` can't be run for this request, in a word for who typed it;
/// empty if it can.
std::string TshRequestFault(const Request& request);

}  // namespace agentdoctor
