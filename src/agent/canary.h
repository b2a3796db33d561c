// The canary: an agent of our own, with one throw-away key, which signs
// nothing.  The control experiment forwards it in place of the user's.
#pragma once

#include <string>
#include <thread>

#include "system/socket.h"

namespace agentdoctor {

class Canary {
 public:
  /// Listens at \a path and answers in a thread until destruction.  Throws
  /// std::system_error.
  explicit Canary(std::string path);
  Canary(const Canary&) = delete;
  Canary& operator=(const Canary&) = delete;
  ~Canary();

  const std::string& path() const { return path_; }
  const std::string& fingerprint() const { return fingerprint_; }

 private:
  void Serve();

  std::string path_;
  std::string blob_;
  std::string fingerprint_;
  Fd listener_;
  Fd stop_read_;
  Fd stop_write_;
  std::thread thread_;
};

}  // namespace agentdoctor
