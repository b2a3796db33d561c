#include "agent/canary.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <random>
#include <utility>
#include <vector>

#include "agent/client.h"
#include "agent/wire.h"

namespace agentdoctor {
namespace {

/// More clients at a time wait in the listener's queue.
constexpr std::size_t kMaxClients = 16;

struct Client {
  Fd fd;
  std::string received;
};

std::string RandomKey() {
  std::random_device random;
  std::string key;
  while (key.size() < 32) key += static_cast<char>(random() & 0xff);
  return key;
}

// Reads what there is and answers every whole message; false: hang up.
bool Talk(Client& client, const CanaryKey& key) {
  std::array<char, 16384> piece;
  const ssize_t got = read(client.fd.get(), piece.data(), piece.size());
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  client.received.append(piece.data(), static_cast<std::size_t>(got));
  const std::optional<std::string> answer = key.Answer(client.received);
  // Whoever lets answers pile up is no ssh.
  return answer && WriteAll(client.fd.get(), *answer, {}) == IoResult::kOk;
}

}  // namespace

CanaryKey::CanaryKey()
    : blob_(WireString("ssh-ed25519") + WireString(RandomKey())),
      fingerprint_(Fingerprint(blob_)) {}

std::string CanaryKey::AnswerTo(std::string_view message) const {
  try {
    WireReader reader(message);
    const unsigned char type = reader.Byte();
    if (type == kRequestIdentities)
      return static_cast<char>(kIdentitiesAnswer) + WireUint32(1) +
             WireString(blob_) + WireString("agentdoctor canary");
    // Since 8.9 ssh binds every forwarded connection, and gives up if it can't.
    if (type == kExtension && reader.String() == kSessionBind)
      return {static_cast<char>(kAgentSuccess)};
  } catch (const std::runtime_error&) {
  }
  return {static_cast<char>(kAgentFailure)};
}

std::optional<std::string> CanaryKey::Answer(std::string& received) const {
  std::string answers;
  while (received.size() >= 4) {
    const std::uint32_t size = WireReader(received).Uint32();
    if (size > kMaxAgentMessage) return std::nullopt;
    if (received.size() - 4 < size) break;
    answers += WireString(AnswerTo(std::string_view(received).substr(4, size)));
    received.erase(0, 4 + std::size_t{size});
  }
  return answers;
}

Canary::Canary(std::string path) : path_(std::move(path)) {
  Pipe stop = MakePipe();
  stop_read_ = std::move(stop.read);
  stop_write_ = std::move(stop.write);
  listener_ = ListenUnix(path_);
  thread_ = std::thread([this] { Serve(); });
}

Canary::~Canary() {
  // Not close(): another thread's child may hold the pipe too.
  const char byte = 0;
  [[maybe_unused]] const ssize_t written = write(stop_write_.get(), &byte, 1);
  thread_.join();
  unlink(path_.c_str());
}

void Canary::Serve() {
  std::vector<Client> clients;
  while (true) {
    std::vector<pollfd> polled{{stop_read_.get(), POLLIN, 0}};
    for (const Client& client : clients)
      polled.push_back({client.fd.get(), POLLIN, 0});
    if (clients.size() < kMaxClients)
      polled.push_back({listener_.get(), POLLIN, 0});
    if (poll(polled.data(), static_cast<nfds_t>(polled.size()), -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (polled[0].revents != 0) return;
    const bool waiting =
        clients.size() < kMaxClients && polled.back().revents != 0;
    for (std::size_t i = clients.size(); i-- > 0;) {
      if (polled[i + 1].revents != 0 && !Talk(clients[i], key_))
        clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (!waiting) continue;
    if (Fd fd = Accept(listener_)) clients.push_back({std::move(fd), {}});
  }
}

}  // namespace agentdoctor
