// What libssh takes for the user's agent: it lists the one key that is offered
// at the moment, and passes on a signature with that one.  libssh asks an agent
// without any deadline; this one always answers.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "clients/login_keys.h"
#include "system/process.h"
#include "system/socket.h"

namespace agentdoctor {

class LoginAgent {
 public:
  /// Signatures come from the agent at \a socket, within \a limit.  Throws
  /// std::system_error.
  LoginAgent(std::string socket, Milliseconds limit);
  LoginAgent(const LoginAgent&) = delete;
  LoginAgent& operator=(const LoginAgent&) = delete;
  ~LoginAgent();

  /// The end for libssh, which closes it; once.
  int TakeClientEnd() { return client_.Release(); }

  /// From now on this key is the only one.
  void Offer(LoginKey key);

  /// Whether the server wanted a signature by it, and what went wrong then.
  bool asked() const;
  std::string failure() const;

 private:
  void Serve();
  std::string Answer(std::string_view message);
  std::string Sign(std::string_view request);

  std::string socket_;
  Milliseconds limit_;
  Fd client_;
  Fd served_;
  mutable std::mutex mutex_;
  LoginKey key_;
  bool asked_ = false;
  std::string failure_;
  std::thread thread_;
};

}  // namespace agentdoctor
