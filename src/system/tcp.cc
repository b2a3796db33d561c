#include "system/tcp.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <future>
#include <memory>
#include <system_error>
#include <thread>

#include "system/descriptors.h"
#include "system/interrupt.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;
using Addresses = std::unique_ptr<addrinfo, void (*)(addrinfo*)>;

/// More are nobody's, and each may cost a whole limit.
constexpr int kMostAddresses = 8;

struct Resolved {
  int error = EAI_AGAIN;
  Addresses addresses{nullptr, freeaddrinfo};
};

Resolved Resolve(const TcpTarget& target, int flags) {
  addrinfo hints = {};
  hints.ai_family = target.family;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  Resolved resolved;
  addrinfo* found = nullptr;
  resolved.error = getaddrinfo(
      target.host.c_str(), std::to_string(target.port).c_str(), &hints, &found);
  if (resolved.error == 0) resolved.addresses.reset(found);
  return resolved;
}

// getaddrinfo() knows no deadline and can't be ended, so it has a thread of its
// own, which is left behind if need be.
TcpConnection::End ResolveName(const TcpTarget& target,
                               Clock::time_point deadline, Resolved& resolved) {
  std::promise<Resolved> promise;
  std::future<Resolved> future = promise.get_future();
  std::thread([target, answer = std::move(promise)]() mutable {
    answer.set_value(Resolve(target, 0));
  }).detach();
  constexpr Milliseconds kLook{50};  // for Ctrl-C
  while (future.wait_until(std::min(deadline, Clock::now() + kLook)) !=
         std::future_status::ready) {
    if (Interrupted()) return TcpConnection::End::kInterrupted;
    if (Clock::now() >= deadline) return TcpConnection::End::kTimedOut;
  }
  resolved = future.get();
  return resolved.error == 0 ? TcpConnection::End::kConnected
                             : TcpConnection::End::kNotResolved;
}

std::string Words(int error) { return std::generic_category().message(error); }

bool Bind(const Fd& fd, const addrinfo& remote, const std::string& local) {
  const Resolved own = Resolve({.host = local, .family = remote.ai_family},
                               AI_NUMERICHOST | AI_PASSIVE);
  if (own.error != 0) {
    errno = EADDRNOTAVAIL;
    return false;
  }
  return bind(fd.get(), own.addresses->ai_addr, own.addresses->ai_addrlen) == 0;
}

TcpConnection Fail(int error) {
  return {.end = TcpConnection::End::kFailed,
          .error = error,
          .message = Words(error)};
}

TcpConnection Connect(const addrinfo& address, const std::string& local,
                      Clock::time_point deadline) {
  TcpConnection connection;
  Fd fd = MakeStreamSocket(address.ai_family);
  if (!fd || (!local.empty() && !Bind(fd, address, local))) return Fail(errno);
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd.get(), address.ai_addr, address.ai_addrlen) != 0 &&
      errno != EINPROGRESS && errno != EINTR)
    return Fail(errno);
  while (true) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - Clock::now());
    std::array<pollfd, 2> polled{
        {{fd.get(), POLLOUT, 0}, {InterruptFd(), POLLIN, 0}}};
    const int ready =
        poll(polled.data(), polled.size(),
             static_cast<int>(std::max<Milliseconds::rep>(left.count(), 0)));
    if (Interrupted()) {
      connection.end = TcpConnection::End::kInterrupted;
      connection.message = "interrupted";
      return connection;
    }
    if (polled[0].revents != 0) break;
    if (ready < 0 && errno == EINTR) continue;
    if (left.count() <= 0) {
      connection.end = TcpConnection::End::kTimedOut;
      connection.message = Words(ETIMEDOUT);
      return connection;
    }
  }
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return Fail(error);
  connection.fd = std::move(fd);
  connection.end = TcpConnection::End::kConnected;
  return connection;
}

}  // namespace

TcpConnection ConnectTcp(const TcpTarget& target, Milliseconds limit) {
  TcpConnection connection;
  Resolved resolved = Resolve(target, AI_NUMERICHOST);
  if (resolved.error != 0) {
    const auto end = ResolveName(target, Clock::now() + limit, resolved);
    if (end != TcpConnection::End::kConnected) {
      connection.end = end;
      connection.message = end == TcpConnection::End::kNotResolved
                               ? gai_strerror(resolved.error)
                           : end == TcpConnection::End::kTimedOut
                               ? "the resolver does not answer"
                               : "interrupted";
      return connection;
    }
  }
  int tried = 0;
  for (const addrinfo* address = resolved.addresses.get();
       address != nullptr && tried < kMostAddresses;
       address = address->ai_next, ++tried) {
    connection = Connect(*address, target.bind_address, Clock::now() + limit);
    if (connection.end == TcpConnection::End::kConnected ||
        connection.end == TcpConnection::End::kInterrupted)
      break;
  }
  return connection;
}

}  // namespace agentdoctor
