// Agents and servers that misbehave in ways no real one does on demand.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace agentdoctor::lab {

/// Accepts connections and treats each as \a serve says, in a thread each,
/// until destruction.
class FakeServer {
 public:
  /// \a serve owns the connection's descriptor only while it runs.
  using Serve = std::function<void(int connection)>;

  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;
  ~FakeServer();

  int connections() const { return connections_; }

 protected:
  FakeServer(int listener, Serve serve);

 private:
  void Accept();

  int listener_;
  Serve serve_;
  std::atomic<int> connections_ = 0;
  std::atomic<bool> stopping_ = false;
  std::vector<int> open_ = {};
  std::vector<std::thread> threads_ = {};
  std::thread acceptor_;
};

/// At a Unix socket.
class FakeAgent : public FakeServer {
 public:
  FakeAgent(const std::string& path, Serve serve);
};

/// At a free TCP port of 127.0.0.1.
class FakeHost : public FakeServer {
 public:
  explicit FakeHost(Serve serve);
  int port() const { return port_; }

 private:
  FakeHost(int listener, Serve serve);
  int port_;
};

/// Ways to serve.
namespace fake {

/// Says nothing, reads nothing, until the other side or the test ends.
FakeServer::Serve Silent();
/// Sends \a bytes as soon as somebody connects, then is silent.
FakeServer::Serve Says(std::string bytes);
/// Waits for a request, answers \a bytes whatever it was, hangs up.
FakeServer::Serve Answers(std::string bytes);
/// Hangs up at once.
FakeServer::Serve HangsUp();
/// Passes everything to the agent at \a path, but hangs up on extensions, as
/// agents and relays of the time before OpenSSH 8.9 do.
FakeServer::Serve DropsExtensions(std::string path);
/// Passes everything to the agent at \a path and writes to \a keep each
/// message type that came.
FakeServer::Serve Overhears(std::string path,
                            std::function<void(int message_type)> keep);

}  // namespace fake

/// A socket file that nobody listens on.
void LeaveDeadSocket(const std::string& path);

}  // namespace agentdoctor::lab
