// The options of the key that logged in, of servers that do not announce them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agentdoctor/facts.h"

namespace agentdoctor {

/// Prints the account's ~/.ssh/authorized_keys on the far side; for any login
/// shell.
std::string AuthorizedKeysCommand();

/// Finds in the output of that command the options of the key whose
/// fingerprint ("SHA256:...") stands in \a accepted_key, which are words of the
/// client.  As dropbear does (svr-authpubkey.c), it takes the first line with
/// the key, and forwarding is allowed unless an option forbids it.  Nothing if
/// the key is not found.
std::optional<KeyOptions> FindKeyOptions(std::string_view output,
                                         std::string_view accepted_key);

}  // namespace agentdoctor
