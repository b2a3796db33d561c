// The version that reports carry.
#pragma once

namespace agentdoctor {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace agentdoctor
