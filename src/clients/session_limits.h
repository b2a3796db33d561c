// The limits of a session, whichever client opens it.
#pragma once

#include <cstddef>

#include "system/process.h"

namespace agentdoctor {

/// Of what the far side says, in bytes.
constexpr std::size_t kOutputLimit = 1 << 20;
/// So much of it is kept where no probe ran.
constexpr std::size_t kOutputHead = 512;
/// After the end marker: the client has nothing left to do.
constexpr Milliseconds kExitLimit{500};
/// The client's own timeouts come first, so that it can say what it waited for.
constexpr Milliseconds kLastWords{1000};
/// With --interactive a person looks for a token or a telephone.
constexpr Milliseconds kPersonLimit{120000};

}  // namespace agentdoctor
