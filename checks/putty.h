// PuTTY's own words: its settings and menus, where OpenSSH has files and
// options.
#pragma once

#include <string>

#include "agentdoctor/check.h"
#include "agentdoctor/facts.h"
#include "agentdoctor/finding.h"

namespace agentdoctor::checks {

/// What the settings say of forwarding: forward-agent's answer.
Answer JudgePuttySettings(const Facts& facts, const ClientConfig& config);

/// Gives a transport fault the explanation and remedies of PuTTY.
void SpeakOfPutty(const Facts& facts, Finding& finding);

/// The remedy for a stale upstream.  Nothing but its own window ends it without
/// ending the shells in it, so it is left to a person.
Fix CloseUpstream(const Facts& facts, const Master& master);

}  // namespace agentdoctor::checks
