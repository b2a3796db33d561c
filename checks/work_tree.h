// Does git ask an agent in the work tree one stands in?
#pragma once

#include "agentdoctor/check.h"

namespace agentdoctor::checks {

/// next-hop-not-ssh: a remote that is reached without ssh.
void JudgeWorkTree(const Facts& facts, Answer& answer);

}  // namespace agentdoctor::checks
