// A password file of our own, for programs under test: libnss_wrapper.
#pragma once

#include <string>

#include "system/file.h"

namespace agentdoctor {

/// The library to preload; empty if it is not installed.
inline std::string NssWrapper() {
  for (const std::string& folder : ListDirectory("/usr/lib")) {
    const std::string path = "/usr/lib/" + folder + "/libnss_wrapper.so";
    if (LookAt(path).kind == PathStatus::Kind::kFile) return path;
  }
  return {};
}

}  // namespace agentdoctor
