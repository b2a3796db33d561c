// ssh's own words on our command line: destinations and pasted commands.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agentdoctor/facts.h"

namespace agentdoctor {

/// What is wrong with a destination (ssh(1): host, user@host,
/// ssh://user@host:port); empty if nothing.
std::string DestinationFault(const std::string& destination);

/// A pasted command line, `ssh -A -p 2222 host cmd`: the destination and the
/// options that matter to the way there.  Throws std::invalid_argument naming
/// the word that is wrong.
Request ParseSshCommand(const std::vector<std::string>& words);

/// What is wrong with words after "--" that are no ssh command line: they may
/// be destinations, but not the command line of another program.  Empty if
/// nothing is.
std::string OtherCommandFault(const std::vector<std::string>& words);

/// Whether a word names an ssh program ("ssh", "/usr/bin/ssh").
bool NamesSsh(const std::string& word);

}  // namespace agentdoctor
