#include "clients/login_agent.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "agent/wire.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned char kSignRequest = 13;
constexpr unsigned char kSignResponse = 14;

std::string Failure() { return {static_cast<char>(kAgentFailure)}; }

/// One request to the agent and its answer; throws std::runtime_error.
std::string Ask(const std::string& socket, const std::string& request,
                Milliseconds limit) {
  const auto expect = [&socket](IoResult result) {
    if (result == IoResult::kTimedOut)
      throw std::runtime_error("the agent at " + socket +
                               " did not sign in time");
    if (result != IoResult::kOk)
      throw std::runtime_error("the agent at " + socket +
                               " hung up instead of signing");
  };
  const Clock::time_point deadline = Clock::now() + limit;
  const Connection agent = ConnectUnix(socket, limit);
  if (agent.error != 0)
    throw std::runtime_error("the agent at " + socket + ": " +
                             std::generic_category().message(agent.error));
  expect(WriteAll(agent.fd.get(), WireString(request), deadline));
  std::string bytes;
  expect(ReadExactly(agent.fd.get(), 4, bytes, deadline));
  const std::uint32_t size = WireReader(bytes).Uint32();
  if (size > kMaxAgentMessage) expect(IoResult::kClosed);
  expect(ReadExactly(agent.fd.get(), size, bytes, deadline));
  return bytes;
}

}  // namespace

LoginAgent::LoginAgent(std::string socket, Milliseconds limit)
    : socket_(std::move(socket)), limit_(limit) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0)
    throw std::system_error(errno, std::generic_category(), "socketpair");
  for (const int end : ends) fcntl(end, F_SETFD, FD_CLOEXEC);
  client_ = Fd(ends[0]);
  served_ = Fd(ends[1]);
  fcntl(served_.get(), F_SETFL, O_NONBLOCK);
  thread_ = std::thread([this] { Serve(); });
}

LoginAgent::~LoginAgent() {
  shutdown(served_.get(), SHUT_RDWR);
  thread_.join();
}

void LoginAgent::Offer(LoginKey key) {
  const std::lock_guard lock(mutex_);
  key_ = std::move(key);
  asked_ = false;
  failure_.clear();
}

bool LoginAgent::asked() const {
  const std::lock_guard lock(mutex_);
  return asked_;
}

std::string LoginAgent::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void LoginAgent::Serve() {
  // Ended by the other side, or by the destructor.
  constexpr std::chrono::hours kForever{24};
  std::string bytes;
  while (true) {
    const auto read = [&](std::size_t size) {
      return ReadExactly(served_.get(), size, bytes, Clock::now() + kForever) ==
             IoResult::kOk;
    };
    if (!read(4)) break;
    const std::uint32_t size = WireReader(bytes).Uint32();
    if (size > kMaxAgentMessage || !read(size)) break;
    if (WriteAll(served_.get(), WireString(Answer(bytes)),
                 Clock::now() + limit_) != IoResult::kOk)
      break;
  }
  // libssh would wait for ever for an answer that does not come.
  shutdown(served_.get(), SHUT_RDWR);
}

std::string LoginAgent::Answer(std::string_view message) {
  try {
    const unsigned char type = WireReader(message).Byte();
    if (type == kRequestIdentities) {
      const std::lock_guard lock(mutex_);
      return static_cast<char>(kIdentitiesAnswer) + WireUint32(1) +
             WireString(key_.blob) + WireString(key_.comment);
    }
    if (type == kSignRequest) return Sign(message);
  } catch (const std::runtime_error& error) {
    const std::lock_guard lock(mutex_);
    failure_ = error.what();
  }
  return Failure();
}

std::string LoginAgent::Sign(std::string_view request) {
  LoginKey key;
  {
    const std::lock_guard lock(mutex_);
    asked_ = true;
    key = key_;
  }
  WireReader reader(request);
  reader.Byte();
  if (reader.String() != key.blob)
    throw std::runtime_error("a signature by another key was asked for");
  // The agent knows a certificate's key by its own blob.
  std::string answer =
      Ask(socket_,
          static_cast<char>(kSignRequest) + WireString(key.agent_blob) +
              std::string(reader.rest()),
          limit_);
  if (WireReader(answer).Byte() != kSignResponse)
    throw std::runtime_error("agent refused operation: the agent at " +
                             socket_ + " did not sign");
  return answer;
}

}  // namespace agentdoctor
