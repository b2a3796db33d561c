#include "system/socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "system/interrupt.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

#ifdef MSG_NOSIGNAL
constexpr int kNoSignal = MSG_NOSIGNAL;
#else
constexpr int kNoSignal = 0;  // the socket itself was told (SO_NOSIGPIPE)
#endif

enum class Ready { kYes, kTimedOut, kInterrupted };

// Waits until \a fd (-1: only time and Ctrl-C count) is ready.
Ready Await(int fd, short events, Clock::time_point deadline) {
  while (true) {
    const auto left = std::chrono::ceil<Milliseconds>(deadline - Clock::now());
    std::array<pollfd, 2> polled{{{fd, events, 0}, {InterruptFd(), POLLIN, 0}}};
    const int timeout =
        static_cast<int>(std::clamp<long long>(left.count(), 0, 60'000));
    const int count = poll(polled.data(), polled.size(), timeout);
    if (count < 0 && errno != EINTR) return Ready::kTimedOut;
    if (count > 0 && polled[1].revents != 0) return Ready::kInterrupted;
    if (count > 0 && polled[0].revents != 0) return Ready::kYes;
    if (Clock::now() >= deadline) return Ready::kTimedOut;
  }
}

IoResult Failure(Ready ready) {
  if (ready == Ready::kTimedOut) return IoResult::kTimedOut;
  errno = EINTR;
  return IoResult::kError;
}

// False if \a path does not fit, with room for the final NUL (ssh insists).
bool FillAddress(const std::string& path, sockaddr_un& address) {
  if (path.size() >= sizeof(address.sun_path)) return false;
  address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return true;
}

}  // namespace

std::size_t SunPathSize() { return sizeof(sockaddr_un::sun_path); }

Connection ConnectUnix(const std::string& path, Milliseconds limit) {
  Connection connection;
  sockaddr_un address;
  // Empty, or with a NUL in it, it would name something else than a file.
  if (path.empty() || path.find('\0') != std::string::npos) {
    connection.error = ENOENT;
    return connection;
  }
  if (!FillAddress(path, address)) {
    connection.error = ENAMETOOLONG;
    return connection;
  }
  const auto deadline = Clock::now() + limit;
  Fd fd = MakeStreamSocket(AF_UNIX);
  if (!fd) {
    connection.error = errno;
    return connection;
  }
  while (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof address) != 0) {
    Ready ready = Ready::kYes;
    switch (errno) {
      case EISCONN:
        break;
      case EINTR:
        continue;
      case EAGAIN:
        // Linux: the listener's queue is full, which poll() can't wait for.
        ready =
            Await(-1, 0, std::min(deadline, Clock::now() + Milliseconds(5)));
        if (ready == Ready::kTimedOut && Clock::now() < deadline) continue;
        break;
      case EINPROGRESS:
      case EALREADY:
        ready = Await(fd.get(), POLLOUT, deadline);
        if (ready == Ready::kYes) {
          int error = 0;
          socklen_t size = sizeof error;
          getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
          connection.error = error;
        }
        break;
      default:
        connection.error = errno;
        return connection;
    }
    if (ready == Ready::kTimedOut) connection.error = ETIMEDOUT;
    if (ready == Ready::kInterrupted) connection.error = EINTR;
    break;
  }
  if (connection.error == 0) connection.fd = std::move(fd);
  return connection;
}

IoResult WriteAll(int fd, std::string_view data, Clock::time_point deadline) {
  while (!data.empty()) {
    const ssize_t sent = send(fd, data.data(), data.size(), kNoSignal);
    if (sent >= 0) {
      data.remove_prefix(static_cast<std::size_t>(sent));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET) return IoResult::kClosed;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return IoResult::kError;
    const Ready ready = Await(fd, POLLOUT, deadline);
    if (ready != Ready::kYes) return Failure(ready);
  }
  return IoResult::kOk;
}

IoResult ReadExactly(int fd, std::size_t size, std::string& data,
                     Clock::time_point deadline) {
  data.clear();
  std::array<char, 16384> piece;
  while (data.size() < size) {
    // Memory follows what came, not what was announced.
    const ssize_t got =
        read(fd, piece.data(), std::min(piece.size(), size - data.size()));
    if (got > 0) {
      data.append(piece.data(), static_cast<std::size_t>(got));
      continue;
    }
    if (got == 0 || errno == ECONNRESET) return IoResult::kClosed;
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return IoResult::kError;
    const Ready ready = Await(fd, POLLIN, deadline);
    if (ready != Ready::kYes) return Failure(ready);
  }
  return IoResult::kOk;
}

Fd ListenUnix(const std::string& path) {
  const auto fail = [&path](int error) {
    throw std::system_error(error, std::generic_category(), path);
  };
  sockaddr_un address;
  if (path.empty() || !FillAddress(path, address)) fail(ENAMETOOLONG);
  Fd fd = MakeStreamSocket(AF_UNIX);
  if (!fd) fail(errno);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof address) != 0)
    fail(errno);
  // Nobody can connect before listen(), so the mode is never too wide.
  if (chmod(path.c_str(), 0600) != 0 || listen(fd.get(), 16) != 0) {
    const int error = errno;
    unlink(path.c_str());
    fail(error);
  }
  return fd;
}

}  // namespace agentdoctor
