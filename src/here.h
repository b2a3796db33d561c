// `agentdoctor here`: the place one sits on, as this very process sees it.
#pragma once

#include <optional>
#include <string>

#include "agentdoctor/facts.h"
#include "shell.h"

namespace agentdoctor {

/// Everything about this side: the same probe that a far side gets, run here,
/// and every agent asked directly.  Never throws, opens no connection.
Facts CollectHere();

/// SSH_AUTH_SOCK for this shell: its own value if an agent with keys answers
/// there, else the best one that can be found; nothing if there is none.
std::optional<std::string> ChooseAgent();

/// Of the shell that started this process, else of $SHELL.
checks::Syntax ParentSyntax();

}  // namespace agentdoctor
