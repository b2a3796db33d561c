// What the software at the far end is, and what follows from that.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "agentdoctor/facts.h"
#include "agentdoctor/finding.h"

namespace agentdoctor::checks {

enum class Software {
  kOpenSsh,
  kWindows,  ///< OpenSSH on Windows
  kDropbear,
  kTinySsh,
  kOther,
  kUnknown,  ///< no server said its version
};

/// By the version string of the server ("OpenSSH_9.2p1 Debian-2").
Software SoftwareOf(std::string_view version);

/// The version of the server that a fresh login of this run spoke to; a master
/// does not tell it.
std::string ServerVersion(const Facts& facts);

/// The software has no agent forwarding, whatever is configured.
bool LacksForwarding(Software software);

/// OpenSSH's sshd with its own configuration; what no server said counts as it.
bool IsSshd(Software software);

/// The options of the key that logged in were announced ("Remote: ... key
/// options:") and heard.  Servers other than OpenSSH's announce none, sshd up
/// to 7.6 not those of a certificate, and neither libssh nor tsh passes any on;
/// then they may be why the server refuses.
bool AnnouncesKeyOptions(const Facts& facts);

/// Its daemon's name, for sentences: "sshd", "dropbear", "the server".
std::string_view DaemonName(Software software);

/// The server's decision about a fresh login, which is known; in its words if
/// it was asked.
Evidence PolicyAnswer(const Facts& facts, const Control& control);

/// A server that knows git's commands and no others, and gives no shell.
struct Forge {
  std::string product = {};  ///< "GitHub"; empty if it is not known
  /// It says so itself, by its version or its words; else the user name `git`
  /// and the lack of a shell speak for it.
  bool sure = false;
};

/// The forge that answered instead of the probe, if it was one.
std::optional<Forge> FindForge(const Facts& facts);

}  // namespace agentdoctor::checks
