// Reading what tsh prints: its version, its login, why a session failed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/facts.h"

namespace agentdoctor {

/// "Teleport v15.4.2" of what `tsh version` prints; empty: it is no tsh.
std::string TshVersion(std::string_view output);

/// A line as tsh means it, without colours and the blanks of its columns.
std::string TshLine(std::string_view line);

/// Why no session can be had with the login that `tsh status` (both streams)
/// speaks of; nothing if one is there and valid.
std::optional<TransportFault> TshLoginFault(std::string_view output);

/// Somebody has to do something, in tsh's words; else empty.
std::string TshAsksPerson(std::string_view line);

/// tsh says that the server refused to forward an agent (golang.org/x/crypto,
/// ssh/agent/forward.go); it then ends without a session.
bool TshForwardingDenied(const std::vector<std::string>& messages);

/// Why no session came about, if its messages say so.
std::optional<TransportFault> TshFault(
    const std::vector<std::string>& messages);

}  // namespace agentdoctor
