#include "lab/fakes.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>
#include <utility>

namespace agentdoctor::lab {
namespace {

constexpr int kExtension = 27;  // SSH_AGENTC_EXTENSION, RFC 9987

[[noreturn]] void Fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

sockaddr_un Address(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    Fail(path.c_str());
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

int Bind(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = Address(path);
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&address),
                     sizeof address) != 0)
    Fail(path.c_str());
  return fd;
}

int ListenAt(const std::string& path) {
  const int fd = Bind(path);
  if (listen(fd, 16) != 0) Fail(path.c_str());
  return fd;
}

int ListenAnywhere() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) !=
          0 ||
      listen(fd, 16) != 0)
    Fail("listening on 127.0.0.1");
  return fd;
}

int PortOf(int listener) {
  sockaddr_in address = {};
  socklen_t size = sizeof address;
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    Fail("getsockname");
  return ntohs(address.sin_port);
}

bool Send(int fd, const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t size =
        send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (size <= 0) return false;
    done += static_cast<std::size_t>(size);
  }
  return true;
}

std::optional<std::string> Receive(int fd, std::size_t size) {
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = recv(fd, bytes.data() + done, size - done, 0);
    if (got <= 0) return std::nullopt;
    done += static_cast<std::size_t>(got);
  }
  return bytes;
}

/// A message of the agent protocol, its length included.
std::optional<std::string> ReceiveMessage(int fd) {
  const std::optional<std::string> head = Receive(fd, 4);
  if (!head) return std::nullopt;
  std::uint32_t size = 0;
  std::memcpy(&size, head->data(), 4);
  const std::optional<std::string> body = Receive(fd, ntohl(size));
  if (!body) return std::nullopt;
  return *head + *body;
}

/// Relays requests to the real agent as long as \a pass says so.
FakeServer::Serve Relay(std::string path, std::function<bool(int)> pass) {
  return [path = std::move(path), pass = std::move(pass)](int connection) {
    const int agent = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_un address = Address(path);
    if (connect(agent, reinterpret_cast<const sockaddr*>(&address),
                sizeof address) == 0)
      while (const auto request = ReceiveMessage(connection)) {
        if (request->size() < 5 ||
            !pass(static_cast<unsigned char>((*request)[4])))
          break;
        if (!Send(agent, *request)) break;
        const auto answer = ReceiveMessage(agent);
        if (!answer || !Send(connection, *answer)) break;
      }
    close(agent);
  };
}

}  // namespace

FakeServer::FakeServer(int listener, Serve serve)
    : listener_(listener),
      serve_(std::move(serve)),
      acceptor_([this] { Accept(); }) {}

FakeServer::~FakeServer() {
  stopping_ = true;
  shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  for (const int fd : open_) shutdown(fd, SHUT_RDWR);
  for (std::thread& thread : threads_) thread.join();
  for (const int fd : open_) close(fd);
  close(listener_);
}

void FakeServer::Accept() {
  while (!stopping_) {
    pollfd waiting = {listener_, POLLIN, 0};
    if (poll(&waiting, 1, 50) <= 0) continue;
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    ++connections_;
    open_.push_back(fd);
    threads_.emplace_back([this, fd] {
      serve_(fd);
      shutdown(fd, SHUT_RDWR);
    });
  }
}

FakeAgent::FakeAgent(const std::string& path, Serve serve)
    : FakeServer(ListenAt(path), std::move(serve)) {}

FakeHost::FakeHost(Serve serve)
    : FakeHost(ListenAnywhere(), std::move(serve)) {}

FakeHost::FakeHost(int listener, Serve serve)
    : FakeServer(listener, std::move(serve)), port_(PortOf(listener)) {}

namespace fake {

FakeServer::Serve Silent() {
  return [](int connection) {
    pollfd waiting = {connection, POLLRDHUP, 0};
    poll(&waiting, 1, -1);
  };
}

FakeServer::Serve Says(std::string bytes) {
  return [bytes = std::move(bytes)](int connection) {
    Send(connection, bytes);
    Silent()(connection);
  };
}

FakeServer::Serve Answers(std::string bytes) {
  return [bytes = std::move(bytes)](int connection) {
    if (Receive(connection, 5)) Send(connection, bytes);
  };
}

FakeServer::Serve HangsUp() {
  return [](int) {};
}

FakeServer::Serve DropsExtensions(std::string path) {
  return Relay(std::move(path), [](int type) { return type != kExtension; });
}

FakeServer::Serve Overhears(std::string path,
                            std::function<void(int message_type)> keep) {
  return Relay(std::move(path), [keep = std::move(keep)](int type) {
    keep(type);
    return true;
  });
}

}  // namespace fake

void LeaveDeadSocket(const std::string& path) { close(Bind(path)); }

}  // namespace agentdoctor::lab
