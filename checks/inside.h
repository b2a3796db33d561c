// The shell one sits in, and what is around it: for `agentdoctor here`.
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "agentdoctor/finding.h"

namespace agentdoctor::checks {

/// This shell was begun by sudo or doas.
bool UnderSudo(const Side& side);

/// What keeps an environment or begins with a clean one, where this shell runs
/// in such a thing: tmux, screen, sudo, a container ...; in a sentence or two,
/// else empty.
std::string Surroundings(const Side& side);

/// SSH_AUTH_SOCK of the processes above this shell, and of the tmux server and
/// the screen session it runs in, where it is another value.
std::vector<Evidence> OtherValues(const Side& side);

/// The link that VS Code gives its terminals.
bool IsVsCodeLink(const std::string& path);

}  // namespace agentdoctor::checks
