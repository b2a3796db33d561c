// What a login through libssh takes from the configuration: paths with their
// tokens expanded, and, where there is no ssh to ask, what libssh itself reads
// of ssh_config.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "clients/client.h"
#include "clients/libssh_login.h"

namespace agentdoctor {

/// Keywords in lower case and their values, as `ssh -G` prints them.  Holds
/// what is nobody's business, so it stays in this process.
using LibsshValues = std::map<std::string, std::vector<std::string>>;

using Tokens = std::map<char, std::string>;

/// `%h` and so on by \a tokens, `%%` as it is; nothing if another one is there.
std::optional<std::string> ExpandTokens(const std::string& text,
                                        const Tokens& tokens);

/// The tokens of IdentityFile and CertificateFile (ssh_config(5), TOKENS), but
/// for %C, %j and %k.
Tokens IdentityTokens(const Facts& facts, const LibsshLogin& login);

/// "~/x" in the user's home.
std::string ExpandTilde(const std::string& path);

/// What libssh reads of ~/.ssh/config and /etc/ssh/ssh_config (or of -F), and
/// of the options -F, -l, -p, -i, -4 and -6.  It does not know ForwardAgent,
/// IdentityAgent, IdentitiesOnly and StrictHostKeyChecking, tells only the
/// first IdentityFile, and where a value comes from is unknown.
Resolution ResolveByLibssh(const Request& request, LibsshValues& printed);

}  // namespace agentdoctor
