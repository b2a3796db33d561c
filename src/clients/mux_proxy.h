// Speaking the connection protocol through a master's proxy mode
// (PROTOCOL.mux section 9; OpenSSH 7.4+): RFC 4254 messages in the clear,
// framed as uint32 length, one byte of padding length, message.
//
// Channels that the *server* opens (an agent connection above all) stay with
// the master, which serves them from the agent that it forwards.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>

#include "system/process.h"
#include "system/socket.h"

namespace agentdoctor {

/// No answer within the limit.
class MuxSilent : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class MuxProxy {
 public:
  /// Connects and switches to proxy mode.  Throws std::runtime_error.
  MuxProxy(const std::string& control_socket, Milliseconds limit);

  /// Opens a session channel.  Throws std::runtime_error with the server's
  /// words if it refuses.
  void OpenSession();

  /// auth-agent-req@openssh.com with want_reply: the server's answer.
  bool RequestAgentForwarding();

  /// Runs \a command on the session and returns its output, at most \a limit
  /// bytes, until end-of-file or until \a end_marker was seen.
  std::string Execute(const std::string& command, std::size_t limit,
                      const std::string& end_marker);

  /// Reads on until the server has closed the session.  dropbear (2022.83,
  /// check_close) closes a session that has no command yet when the command of
  /// another one ends; so the next one is opened only then.
  void AwaitClose();

  /// Asks for a shell, closes its input at once, and returns what it says,
  /// standard error included, at most \a limit bytes.
  std::string ReadGreeting(std::size_t limit);

  /// Sends \a request to the remote Unix socket at \a path
  /// (direct-streamlocal@openssh.com) and returns the bytes of one agent
  /// answer, frame and all; fewer if the other side hangs up.
  std::string AskRemoteSocket(const std::string& path,
                              const std::string& request);

 private:
  using Deadline = std::chrono::steady_clock::time_point;

  Deadline Soon() const { return std::chrono::steady_clock::now() + limit_; }
  std::string ReadPacket(Deadline deadline);
  std::string ReadMessage();
  void SendPacket(std::string_view packet);
  void SendMessage(std::string_view message);
  void OpenChannel(std::string_view type, std::string_view rest);
  bool ChannelRequest(std::string_view type, std::string_view rest);
  enum class Errors { kSkip, kTake };
  bool ReadData(std::string& data, Errors errors = Errors::kSkip);

  Fd fd_;
  Milliseconds limit_;  ///< between two messages
  Deadline deadline_;   ///< of the whole operation
  unsigned next_channel_ = 0;
  unsigned remote_channel_ = 0;
  unsigned local_channel_ = 0;
  bool closed_ = false;          ///< by the server
  std::size_t window_ = 0;       ///< what the other side may still send
  std::size_t send_window_ = 0;  ///< what we may still send
};

}  // namespace agentdoctor
