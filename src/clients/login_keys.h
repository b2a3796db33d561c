// The keys that a login may be made with, in the order in which ssh offers
// them (sshconnect2.c:pubkey_prepare()).
#pragma once

#include <string>
#include <vector>

#include "system/process.h"

namespace agentdoctor {

/// An identity as an agent lists it.
struct AgentKey {
  std::string blob = {};
  std::string comment = {};
};

/// The agent's list; empty if it does not answer within \a limit.
std::vector<AgentKey> ListAgentKeys(const std::string& socket,
                                    Milliseconds limit);

/// One key to be offered.
struct LoginKey {
  std::string blob = {};  ///< public key or certificate
  /// The blob by which the agent knows its private half; empty: it does not.
  std::string agent_blob = {};
  /// The file of the private half; empty: only the agent has it.
  std::string file = {};
  bool has_passphrase = false;  ///< ... which is locked
  std::string comment = {};     ///< what the agent calls it

  /// "ED25519 SHA256:... agent", as ssh -v names it.
  std::string Name() const;
  bool certificate() const;
};

/// Which files there are, and what holds for them.
struct LoginFiles {
  std::vector<std::string> identities = {};
  std::vector<std::string> certificates = {};
  bool identities_only = false;
};

/// Certificates first, then the agent's keys that files name, then its others,
/// then those of the files alone.  What is wrong with a file is said in
/// \a messages.
std::vector<LoginKey> KeysToOffer(const std::vector<AgentKey>& agent,
                                  const LoginFiles& files,
                                  std::vector<std::string>& messages);

/// The public half in a private key's text ("-----BEGIN OPENSSH PRIVATE
/// KEY-----"), which needs no passphrase; empty if there is none.
std::string PublicHalf(const std::string& private_key, bool& has_passphrase);

}  // namespace agentdoctor
