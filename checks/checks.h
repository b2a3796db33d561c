// The checks by name; their order is in checks.cc.
#pragma once

#include "agentdoctor/check.h"

namespace agentdoctor::checks {

extern const Check kLocalAgent;
extern const Check kForwardAgent;
extern const Check kControlMaster;
extern const Check kConnection;
extern const Check kServerPolicy;
extern const Check kRemoteSocket;
extern const Check kRemoteSessions;
extern const Check kNextHop;

/// Asks one part of a check's question.  If a fact it needs is not known, the
/// rest of that part is left out and the answer says so; what was found before
/// stays.
template <typename Question>
void Ask(Answer& answer, Question question) {
  try {
    question();
  } catch (const FactUnknown& unknown) {
    if (answer.skipped.empty()) answer.skipped = unknown.what();
  }
}

}  // namespace agentdoctor::checks
