// What the start-up files of a login shell do to SSH_AUTH_SOCK, read and not
// run.
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "probes/server_config.h"

namespace agentdoctor {

/// Whose files they are.
struct StartupUser {
  std::string home = {};
  std::string shell = {};    ///< path of the login shell
  std::string zdotdir = {};  ///< zsh reads its files there, if it is not empty
  /// gpg-agent.conf says enable-ssh-support; read from the lines themselves.
  bool gpg_agent_serves_ssh = false;
};

/// The lines that set or unset SSH_AUTH_SOCK or start an agent, for files that
/// this shell reads.  \a hits: the lines that grep found.  \a context: the
/// lines of the same files, without comments and assignments; it is used to
/// see what guards a line, and not kept.
std::vector<StartupLine> ParseStartupFiles(const std::vector<FileLine>& hits,
                                           const std::vector<FileLine>& context,
                                           const StartupUser& owner);

}  // namespace agentdoctor
