// How long something took.
#pragma once

#include <chrono>
#include <cstdint>

namespace agentdoctor {

inline std::int64_t MillisecondsSince(
    std::chrono::steady_clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now() - start)
      .count();
}

}  // namespace agentdoctor
