// Leaves a test of what nothing but /proc shows, where the program is built
// without it.
#pragma once

#include <gtest/gtest.h>

namespace agentdoctor {

#ifdef AGENTDOCTOR_PORTABLE
constexpr bool kPortable = true;
#else
constexpr bool kPortable = false;
#endif

}  // namespace agentdoctor

#define NEEDS_PROC() \
  if (agentdoctor::kPortable) GTEST_SKIP() << "needs /proc"
