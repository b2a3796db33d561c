#include "clients/mux_proxy.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "agent/wire.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

// PROTOCOL.mux section 11.
constexpr std::uint32_t kMuxHello = 0x00000001;
constexpr std::uint32_t kMuxProxyRequest = 0x1000000f;
constexpr std::uint32_t kMuxProxyReply = 0x8000000f;
constexpr std::uint32_t kMuxPermissionDenied = 0x80000002;
constexpr std::uint32_t kMuxFailure = 0x80000003;
constexpr std::uint32_t kMuxVersion = 4;

// RFC 4254, section 9.
enum Message : unsigned char {
  kGlobalRequest = 80,
  kRequestFailure = 82,
  kChannelOpen = 90,
  kOpenConfirmation = 91,
  kOpenFailure = 92,
  kWindowAdjust = 93,
  kData = 94,
  kExtendedData = 95,
  kEof = 96,
  kClose = 97,
  kChannelRequest = 98,
  kChannelSuccess = 99,
  kChannelFailure = 100,
};

constexpr std::size_t kPacketLimit = 256 * 1024;
constexpr std::uint32_t kWindow = 256 * 1024;
constexpr std::uint32_t kMaxPacket = 32 * 1024;
// Messages without any progress that another side may send between two that
// we wait for.
constexpr int kPatience = 4096;

std::string Byte(unsigned char value) {
  return std::string(1, static_cast<char>(value));
}

[[noreturn]] void Fail(IoResult result) {
  if (result == IoResult::kTimedOut)
    throw MuxSilent("no answer through the master within the limit");
  throw std::runtime_error("the master closed the connection");
}

}  // namespace

MuxProxy::MuxProxy(const std::string& control_socket, Milliseconds limit)
    : limit_(limit) {
  Connection connection = ConnectUnix(control_socket, limit);
  if (!connection.fd)
    throw std::runtime_error("control socket: " +
                             std::string(std::strerror(connection.error)));
  fd_ = std::move(connection.fd);

  SendPacket(WireUint32(kMuxHello) + WireUint32(kMuxVersion));
  const Deadline deadline = Soon();
  const std::string hello = ReadPacket(deadline);
  WireReader greeting(hello);
  if (greeting.Uint32() != kMuxHello || greeting.Uint32() != kMuxVersion)
    throw std::runtime_error("the master speaks another protocol version");

  constexpr std::uint32_t kRequestId = 1;
  SendPacket(WireUint32(kMuxProxyRequest) + WireUint32(kRequestId));
  const std::string answer = ReadPacket(deadline);
  WireReader reply(answer);
  const std::uint32_t type = reply.Uint32();
  if (type == kMuxProxyReply) return;
  std::string words = "the master has no proxy mode";
  if ((type == kMuxFailure || type == kMuxPermissionDenied) &&
      reply.Uint32() == kRequestId)
    words += ": " + ValidUtf8(reply.String());
  throw std::runtime_error(words);
}

void MuxProxy::SendPacket(std::string_view packet) {
  const IoResult result = WriteAll(fd_.get(), WireString(packet), Soon());
  if (result != IoResult::kOk) Fail(result);
}

std::string MuxProxy::ReadPacket(Deadline deadline) {
  std::string length;
  IoResult result = ReadExactly(fd_.get(), 4, length, deadline);
  if (result != IoResult::kOk) Fail(result);
  const std::uint32_t size = WireReader(length).Uint32();
  if (size == 0 || size > kPacketLimit)
    throw std::runtime_error("a message of the master has a wrong length");
  std::string packet;
  result = ReadExactly(fd_.get(), size, packet, deadline);
  if (result != IoResult::kOk) Fail(result);
  return packet;
}

// In proxy mode a packet is that of the transport without its encryption: one
// byte of padding length, always 0, and the message.
void MuxProxy::SendMessage(std::string_view message) {
  SendPacket(Byte(0) + std::string(message));
}

/// The next message about our channel; what else the server says is answered.
std::string MuxProxy::ReadMessage() {
  const Deadline deadline = std::min(Soon(), deadline_);
  for (int i = 0; i < kPatience; ++i) {
    const std::string packet = ReadPacket(deadline);
    const std::string message = packet.substr(1);
    WireReader reader(message);
    const unsigned char type = reader.Byte();
    if (type == kGlobalRequest) {
      // hostkeys-00@openssh.com and the like
      reader.String();
      if (reader.Byte() != 0) SendMessage(Byte(kRequestFailure));
      continue;
    }
    if (type < kOpenConfirmation || type > kChannelFailure) continue;
    if (reader.Uint32() != local_channel_) continue;
    if (type == kClose) closed_ = true;
    if (type == kWindowAdjust) {
      send_window_ += reader.Uint32();
      continue;
    }
    if (type == kChannelRequest) {
      // exit-status, eow@openssh.com
      reader.String();
      if (reader.Byte() != 0)
        SendMessage(Byte(kChannelFailure) + WireUint32(remote_channel_));
      continue;
    }
    return message;
  }
  throw std::runtime_error("the server talks without end");
}

void MuxProxy::OpenChannel(std::string_view type, std::string_view rest) {
  local_channel_ = next_channel_++;
  window_ = kWindow;
  closed_ = false;
  SendMessage(Byte(kChannelOpen) + WireString(type) +
              WireUint32(local_channel_) + WireUint32(kWindow) +
              WireUint32(kMaxPacket) + std::string(rest));
  const std::string message = ReadMessage();
  WireReader reader(message);
  const unsigned char answer = reader.Byte();
  reader.Uint32();
  if (answer == kOpenConfirmation) {
    remote_channel_ = reader.Uint32();
    send_window_ = reader.Uint32();
    return;
  }
  if (answer != kOpenFailure)
    throw std::runtime_error("unexpected answer to a channel request");
  // sshd says SSH_OPEN_CONNECT_FAILED of what it forbids, too.
  reader.Uint32();
  throw std::runtime_error(ValidUtf8(reader.String()));
}

bool MuxProxy::ChannelRequest(std::string_view type, std::string_view rest) {
  SendMessage(Byte(kChannelRequest) + WireUint32(remote_channel_) +
              WireString(type) + Byte(1) + std::string(rest));
  const std::string message = ReadMessage();
  switch (static_cast<unsigned char>(message[0])) {
    case kChannelSuccess:
      return true;
    case kChannelFailure:
      return false;
    default:
      throw std::runtime_error("the server closed the session");
  }
}

void MuxProxy::OpenSession() {
  deadline_ = Soon();
  OpenChannel("session", "");
}

bool MuxProxy::RequestAgentForwarding() {
  deadline_ = Soon();
  return ChannelRequest("auth-agent-req@openssh.com", "");
}

/// Appends what the channel says next; false at its end.
bool MuxProxy::ReadData(std::string& data, Errors errors) {
  while (true) {
    const std::string message = ReadMessage();
    WireReader reader(message);
    const unsigned char type = reader.Byte();
    reader.Uint32();
    if (type == kEof || type == kClose) return false;
    if (type != kData && type != kExtendedData) continue;
    if (type == kExtendedData) reader.Uint32();
    const std::string_view piece = reader.String();
    if (piece.size() > window_)
      throw std::runtime_error("the server sends more than it may");
    window_ -= piece.size();
    if (window_ < kWindow / 2) {
      const auto more = static_cast<std::uint32_t>(kWindow - window_);
      SendMessage(Byte(kWindowAdjust) + WireUint32(remote_channel_) +
                  WireUint32(more));
      window_ += more;
    }
    // Else standard error is read for its window's sake only.
    if (type == kExtendedData && errors == Errors::kSkip) continue;
    data += piece;
    return true;
  }
}

std::string MuxProxy::Execute(const std::string& command, std::size_t limit,
                              const std::string& end_marker) {
  // A trickle is no progress.
  deadline_ = std::chrono::steady_clock::now() + 3 * limit_;
  std::string output;
  if (!ChannelRequest("exec", WireString(command))) return output;
  std::size_t seen = 0;
  while (output.size() < limit && ReadData(output)) {
    if (end_marker.empty()) continue;
    if (output.find(end_marker, seen) != output.npos) break;
    if (output.size() >= end_marker.size())
      seen = output.size() - end_marker.size() + 1;
  }
  if (output.size() > limit) output.resize(limit);
  return output;
}

void MuxProxy::AwaitClose() {
  deadline_ = Soon();
  while (!closed_) ReadMessage();
}

std::string MuxProxy::ReadGreeting(std::size_t limit) {
  deadline_ = Soon();
  std::string text;
  if (!ChannelRequest("shell", "")) return text;
  SendMessage(Byte(kEof) + WireUint32(remote_channel_));
  try {
    while (text.size() < limit && ReadData(text, Errors::kTake)) continue;
  } catch (const MuxSilent&) {
    // What it said until then is a greeting, too.
  }
  if (text.size() > limit) text.resize(limit);
  return text;
}

std::string MuxProxy::AskRemoteSocket(const std::string& path,
                                      const std::string& request) {
  deadline_ = Soon();
  // PROTOCOL section 2.4: path, reserved string, reserved uint32.
  OpenChannel("direct-streamlocal@openssh.com",
              WireString(path) + WireString("") + WireUint32(0));
  if (request.size() > send_window_)
    throw std::runtime_error("the server's window is too small");
  SendMessage(Byte(kData) + WireUint32(remote_channel_) + WireString(request));
  std::string answer;
  while (answer.size() < kMaxAgentMessage) {
    if (answer.size() >= 4 &&
        answer.size() - 4 >= std::size_t{WireReader(answer).Uint32()})
      break;
    if (!ReadData(answer)) break;
  }
  SendMessage(Byte(kClose) + WireUint32(remote_channel_));
  return answer;
}

}  // namespace agentdoctor
