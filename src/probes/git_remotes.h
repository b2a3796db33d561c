// The git work tree one stands in: where its remotes are.
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/facts.h"

namespace agentdoctor {

/// The remotes of the work tree that the current folder belongs to, with the
/// URLs that git really uses (url.*.insteadOf); none outside of one.
std::vector<GitRemote> LookForGitRemotes();

/// The same from what `git config -z --show-origin --get-regexp` printed of
/// remotes, insteadOf and core.sshCommand.
std::vector<GitRemote> ParseGitConfig(const std::string& output);

}  // namespace agentdoctor
