// PuTTY's connection sharing: where an upstream listens, and whether it does
// (0.78: ssh/sharing.c, unix/sharing.c).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/facts.h"
#include "clients/putty_sessions.h"
#include "system/process.h"

namespace agentdoctor {

/// What two sessions have in common that share a connection:
/// "dave@host.example:2222".
std::string SharingName(const PuttyTarget& target);

/// The socket of an upstream with that name, in the folder \a parent whose
/// `salt` is given.
std::string SharingSocket(const std::string& parent, std::string_view salt,
                          const std::string& name);

/// The socket where an upstream for this target would listen.  Empty where none
/// of this user's can be: without a salt no PuTTY has ever shared a connection.
std::string FindSharingSocket(const PuttyTarget& target);

/// Looks whether an upstream listens at \a socket and greets.  \a exists: asks
/// plink itself (`plink -shareexists`); called only where somebody listens,
/// because plink leaves a folder behind where nobody does.
Master AskUpstream(const std::string& host, const std::string& socket,
                   const std::vector<ConfigFile>& config_files,
                   const Command& exists, Milliseconds limit);

}  // namespace agentdoctor
