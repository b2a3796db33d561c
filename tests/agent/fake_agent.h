// Agents for tests: a real ssh-agent, and misbehaving ones in this process.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "agent/client.h"
#include "agent/wire.h"
#include "system/file.h"
#include "system/process.h"
#include "system/socket.h"

namespace agentdoctor {

inline constexpr Milliseconds kPlenty{20'000};

/// Serves one connection after the other: \a answer gets each message's body
/// and returns the raw bytes to send, or nothing to hang up.
class FakeAgent {
 public:
  /// What it does with a message: bytes to send, and whether to hang up.
  struct Reaction {
    std::string bytes = {};
    bool hang_up = false;
  };
  using Answer = std::function<Reaction(const std::string& body)>;

  explicit FakeAgent(Answer answer)
      : path_(folder_.path() + "/agent"),
        answer_(std::move(answer)),
        listener_(ListenUnix(path_)) {
    Pipe stop = MakePipe();
    stop_ = std::move(stop.write);
    stopped_ = std::move(stop.read);
    thread_ = std::thread([this] { Serve(); });
  }
  FakeAgent(const FakeAgent&) = delete;
  FakeAgent& operator=(const FakeAgent&) = delete;
  ~FakeAgent() {
    EXPECT_EQ(write(stop_.get(), "", 1), 1);
    thread_.join();
  }
  const std::string& path() const { return path_; }

 private:
  // False once the agent has to stop.
  bool Readable(int fd) const {
    pollfd polled[2] = {{stopped_.get(), POLLIN, 0}, {fd, POLLIN, 0}};
    poll(polled, 2, -1);
    return polled[0].revents == 0;
  }

  bool Read(int fd, std::size_t size, std::string& data) const {
    data.clear();
    while (data.size() < size) {
      if (!Readable(fd)) return false;
      char byte;
      if (read(fd, &byte, 1) != 1) return false;
      data += byte;
    }
    return true;
  }

  void Serve() const {
    while (Readable(listener_.get())) {
      const Fd fd(accept(listener_.get(), nullptr, nullptr));
      if (!fd) continue;
      fcntl(fd.get(), F_SETFD, FD_CLOEXEC);
      fcntl(fd.get(), F_SETFL, O_NONBLOCK);
      std::string head;
      std::string body;
      while (Read(fd.get(), 4, head) &&
             Read(fd.get(), WireReader(head).Uint32(), body)) {
        const Reaction reaction = answer_(body);
        const auto deadline = std::chrono::steady_clock::now() + kPlenty;
        if (WriteAll(fd.get(), reaction.bytes, deadline) != IoResult::kOk ||
            reaction.hang_up)
          break;
      }
    }
  }

  TemporaryDirectory folder_;
  std::string path_;
  Answer answer_;
  Fd listener_;
  Fd stop_;
  Fd stopped_;
  std::thread thread_;
};

/// An answer to a list request, frame and all.
inline std::string ListAnswer(
    const std::vector<std::pair<std::string, std::string>>& keys) {
  std::string body(1, static_cast<char>(kIdentitiesAnswer));
  body += WireUint32(static_cast<std::uint32_t>(keys.size()));
  for (const auto& [blob, comment] : keys)
    body += WireString(blob) + WireString(comment);
  return WireString(body);
}

inline std::string Ed25519Blob(char fill = 'k') {
  return WireString("ssh-ed25519") + WireString(std::string(32, fill));
}

/// OpenSSH's own agent, in a folder of its own.
class RealAgent {
 public:
  RealAgent()
      : path_(folder_.path() + "/agent"),
        process_({.argv = {"ssh-agent", "-D", "-a", path_}}) {
    const auto deadline = std::chrono::steady_clock::now() + kPlenty;
    process_.WaitUntil([&] {
      return TryAgent(path_, Milliseconds(1000)) == AgentState::kAnswered ||
             std::chrono::steady_clock::now() > deadline;
    });
  }
  const std::string& path() const { return path_; }
  const std::string& folder() const { return folder_.path(); }
  pid_t pid() const { return process_.pid(); }

  /// Runs a command that finds the agent in its environment.
  std::string Do(std::vector<std::string> argv) const {
    const ProcessResult result =
        agentdoctor::Run({.argv = std::move(argv),
                          .environment = {{"SSH_AUTH_SOCK", path_}},
                          .total_limit = kPlenty});
    EXPECT_EQ(result.status, 0) << result.err;
    return result.out;
  }

  /// Makes a key and adds it; returns its file.
  std::string AddKey(const std::string& name,
                     const std::string& type = "ed25519") const {
    std::string file = folder() + "/" + name;
    Do({"ssh-keygen", "-q", "-t", type, "-N", "", "-C", name, "-f", file});
    Do({"ssh-add", "-q", file});
    return file;
  }

 private:
  TemporaryDirectory folder_;
  std::string path_;
  BackgroundProcess process_;
};

}  // namespace agentdoctor
