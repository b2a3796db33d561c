// The canary: an agent of our own, with one throw-away key, which signs
// nothing.  The control experiment forwards it in place of the user's.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "system/socket.h"

namespace agentdoctor {

/// The canary itself: its key, and what it answers.
class CanaryKey {
 public:
  CanaryKey();  ///< a new one

  const std::string& fingerprint() const { return fingerprint_; }

  /// Takes every whole message off the front of \a received and returns the
  /// answers, frames and all; nothing: hang up.
  std::optional<std::string> Answer(std::string& received) const;

 private:
  std::string AnswerTo(std::string_view message) const;

  std::string blob_;
  std::string fingerprint_;
};

/// One that listens at a socket.
class Canary {
 public:
  /// Listens at \a path and answers in a thread until destruction.  Throws
  /// std::system_error.
  explicit Canary(std::string path);
  Canary(const Canary&) = delete;
  Canary& operator=(const Canary&) = delete;
  ~Canary();

  const std::string& path() const { return path_; }
  const std::string& fingerprint() const { return key_.fingerprint(); }

 private:
  void Serve();

  std::string path_;
  CanaryKey key_;
  Fd listener_;
  Fd stop_read_;
  Fd stop_write_;
  std::thread thread_;
};

}  // namespace agentdoctor
