// PuTTY's host keys, as fingerprints: its cache (sshhostkeys) and the list that
// a session may have of its own (SSHManualHostKeys).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace agentdoctor {

/// "SHA256:..." of the keys that \a cache, the text of sshhostkeys, holds for a
/// host and port.  Types that libssh does not know either are left out.
std::vector<std::string> CachedHostKeys(std::string_view cache,
                                        std::string_view host, int port);

/// The same of SSHManualHostKeys: fingerprints and whole keys.  MD5
/// fingerprints, which prove little, are left out.
std::vector<std::string> ManualHostKeys(std::string_view list);

/// The public half of a PuTTY private key file (.ppk), as the bytes of an SSH
/// public key; empty if \a text is none.
std::string PublicBlobOfPpk(std::string_view text);

}  // namespace agentdoctor
