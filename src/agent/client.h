// Asking an authentication agent by its protocol (RFC 9987).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/facts.h"
#include "system/process.h"

namespace agentdoctor {

/// Asks the agent at \a path for its identities and, if it answers, for the
/// extensions `query` and a deliberately empty `session-bind@openssh.com`, each
/// on a connection of its own and within \a deadline.  Never throws: everything
/// that can go wrong is a state.  Answers over 256 KiB or 2,048 identities are
/// kMalformed.
Agent AskAgent(const std::string& path, Milliseconds deadline,
               bool with_extensions = true);

/// Only connects: kAnswered means that somebody listens.
AgentState TryAgent(const std::string& path, Milliseconds deadline);

/// What the raw bytes that came in answer to a list request (frame and all)
/// say: sets state, detail and identities.  For agents asked by other means;
/// no bytes at all are kDropped.
void ReadListAnswer(std::string_view bytes, Agent& agent);

/// Parses the body of an SSH_AGENT_IDENTITIES_ANSWER (what follows its type
/// byte); what is wrong with it is returned in \a error (then the list is
/// empty).
std::vector<Identity> ParseIdentities(std::string_view body,
                                      std::string& error);

/// An identity from a public key blob; nothing is wrong with unknown types.
/// Throws std::runtime_error for a blob that is none.
Identity ParsePublicKey(std::string_view blob, std::string comment);

/// "SHA256:..." as ssh-keygen -l prints it: of a certificate's blob, that of
/// the key it certifies.
std::string Fingerprint(std::string_view blob);

/// The 32 bytes of the digest.
std::string Sha256(std::string_view bytes);

/// White space in \a text is skipped; nothing if it is no base64.
std::string DecodeBase64(std::string_view text);
std::string EncodeBase64(std::string_view bytes);

/// Who makes sockets at such a path ("gpg-agent", "forwarded by sshd", ...);
/// empty if nobody known.
std::string SocketProduct(const std::string& path);

/// Ten characters made of a host's name, as OpenSSH 10.1 and later put them
/// into the names of sockets in ~/.ssh/agent.
std::string HostnameHash(std::string_view hostname);

/// Whether such a name is that of a socket made on a host of another name.
bool MadeOnAnotherHost(const std::string& path);

}  // namespace agentdoctor
