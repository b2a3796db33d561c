#include "clients/libssh_login.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/canary.h"
#include "agent/client.h"
#include "agent/wire.h"
#include "clients/known_hosts.h"
#include "clients/libssh_functions.h"
#include "clients/login_agent.h"
#include "clients/login_keys.h"
#include "clients/marked_output.h"
#include "clients/session_limits.h"
#include "system/clock.h"
#include "system/file.h"
#include "system/interrupt.h"
#include "system/socket.h"
#include "system/tcp.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMessages = 100;
constexpr std::size_t kMessageLength = 2000;
constexpr std::size_t kKnownHostsLimit = std::size_t{16} << 20;
constexpr std::size_t kKeyFileLimit = 1 << 16;
/// More agent channels at a time are refused.
constexpr std::size_t kMostAgentChannels = 16;
/// Drive() gave up: see Login::gave_up().
constexpr int kGaveUp = INT_MIN;

template <const auto& Free>
struct Freed {
  template <typename T>
  void operator()(T* handle) const {
    Free(handle);
  }
};

using SessionHandle = std::unique_ptr<ssh_session_struct, Freed<ssh_free>>;
using KeyHandle = std::unique_ptr<ssh_key_struct, Freed<ssh_key_free>>;

/// A blob as base64, without the type in front.
std::string KeyText(const LoginKey& key) { return EncodeBase64(key.blob); }

std::string TypeOf(std::string_view blob) {
  try {
    return std::string(WireReader(blob).String());
  } catch (const std::runtime_error&) {
    return {};
  }
}

/// The names of authentication methods, in the order in which sshd lists them.
std::string Methods(unsigned methods) {
  constexpr std::array<std::pair<unsigned, const char*>, 5> kNames = {
      {{SSH_AUTH_METHOD_PUBLICKEY, "publickey"},
       {SSH_AUTH_METHOD_GSSAPI_MIC, "gssapi-with-mic"},
       {SSH_AUTH_METHOD_HOSTBASED, "hostbased"},
       {SSH_AUTH_METHOD_PASSWORD, "password"},
       {SSH_AUTH_METHOD_INTERACTIVE, "keyboard-interactive"}}};
  std::string text;
  for (const auto& [bit, name] : kNames)
    if ((methods & bit) != 0)
      text += (text.empty() ? "" : ",") + std::string(name);
  return text;
}

enum class GaveUp { kNo, kTimedOut, kInterrupted };

/// One connection, from the socket to the session's end.  Every step either
/// goes well or leaves a fault.
class Login {
 public:
  explicit Login(const LibsshLogin& login) : login_(login) {
    transcript_.through_master = false;
  }
  Login(const Login&) = delete;
  Login& operator=(const Login&) = delete;
  ~Login();

  /// Connects, verifies the server's key and logs in.
  bool LogIn();

  /// Opens a session and requests forwarding to the canary.
  bool OpenSession();

  /// Runs \a command on the session until \a output is complete, the command
  /// has ended, or a limit passed.  False: no session came about.
  bool Execute(const std::string& command, MarkedOutput& output);

  /// Serves the canary a little longer, so that a server that asks at once is
  /// heard.
  void Linger(Milliseconds limit);

  const CanaryKey& canary() const { return canary_; }
  Transcript& transcript() { return transcript_; }
  const std::optional<TransportFault>& fault() const { return fault_; }
  GaveUp gave_up() const { return gave_up_; }
  bool cut_off() const { return cut_off_; }
  std::optional<int> exit_status() const { return exit_status_; }
  std::size_t agent_requests() const { return agent_requests_; }

 private:
  struct AgentChannel {
    ssh_channel channel = nullptr;
    std::string received = {};
  };

  bool Connect();
  bool Dial();
  bool RunProxy();
  bool Greet();
  void PreferKnownKeys();
  bool VerifyHostKey();
  bool Authenticate();
  int OfferToAgent(const LoginKey& key);
  int OfferFile(const LoginKey& key);
  bool Denied(unsigned methods);
  bool Blame(std::string code, std::string_view message);
  bool BlameTimeout();
  bool BlameLibssh();
  void Say(std::string_view message);
  std::string Error() const;
  void NoteServerVersion();
  void PeekAtGreeting();
  void ServeAgents();
  bool Wait();

  template <typename Step>
  int Drive(const Step& step, int again);

  static ssh_channel OpenAgentChannel(ssh_session session, void* self);

  const LibsshLogin& login_;
  CanaryKey canary_;
  Transcript transcript_;
  std::optional<TransportFault> fault_;
  GaveUp gave_up_ = GaveUp::kNo;
  bool cut_off_ = false;
  std::optional<int> exit_status_;

  BackgroundProcess proxy_;
  std::vector<KnownKey> known_keys_;
  std::string greeting_;
  std::unique_ptr<LoginAgent> agent_;
  std::vector<std::string> refused_;  ///< keys that the server does not take
  std::string locked_;                ///< a file it would take
  std::string unsigned_;              ///< why a signature was not made
  bool partial_ = false;

  ssh_callbacks_struct callbacks_ = {};
  SessionHandle session_;
  ssh_channel channel_ = nullptr;  ///< freed with the session, as are these:
  std::list<AgentChannel> agents_;
  std::size_t agent_requests_ = 0;
  Clock::time_point started_ = Clock::now();
  Clock::time_point progress_ = started_;
};

Login::~Login() {
  // Says goodbye; what closes the descriptor is ssh_free().
  session_.reset();
}

bool Login::Blame(std::string code, std::string_view message) {
  if (!fault_) fault_ = {std::move(code), ValidUtf8(message)};
  return false;
}

void Login::Say(std::string_view message) {
  if (transcript_.messages.size() < kMessages && !Trim(message).empty())
    transcript_.messages.push_back(
        ValidUtf8(message.substr(0, kMessageLength)));
}

std::string Login::Error() const {
  const char* const text = ssh_get_error(session_.get());
  return text != nullptr && *text != '\0' ? text : "libssh says nothing";
}

void Login::NoteServerVersion() {
  if (!transcript_.server_version.empty()) return;
  const char* const banner = ssh_get_serverbanner(session_.get());
  if (banner == nullptr) return;
  std::string_view version = banner;
  for (const std::string_view start : {"SSH-2.0-", "SSH-1.99-"})
    if (version.starts_with(start)) version.remove_prefix(start.size());
  transcript_.server_version = ValidUtf8(version);
}

// libssh passes over what is no version without a word about it.
void Login::PeekAtGreeting() {
  if (!greeting_.empty() || !transcript_.server_version.empty()) return;
  std::array<char, 256> bytes;
  const ssize_t got =
      recv(ssh_get_fd(session_.get()), bytes.data(), bytes.size(), MSG_PEEK);
  if (got <= 0) return;
  std::string_view text(bytes.data(), static_cast<std::size_t>(got));
  text = Trim(text.substr(0, text.find('\n')));
  if (!text.starts_with("SSH-")) greeting_ = ValidUtf8(text);
}

/// One wait for the connection; false once a deadline has passed, or on Ctrl-C.
bool Login::Wait() {
  const bool greeted = !transcript_.server_version.empty();
  const Milliseconds limit = greeted ? login_.step_limit : login_.connect_limit;
  // Somebody who sends a byte now and then makes no progress either.
  constexpr int kMostSteps = 4;
  const auto deadline =
      std::min(progress_ + limit,
               started_ + kMostSteps * std::max(login_.step_limit,
                                                login_.connect_limit));
  while (true) {
    if (Interrupted()) {
      gave_up_ = GaveUp::kInterrupted;
      return false;
    }
    const auto left = std::chrono::ceil<Milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) {
      gave_up_ = GaveUp::kTimedOut;
      return false;
    }
    const int flags = ssh_get_poll_flags(session_.get());
    const short events = static_cast<short>(
        POLLIN | ((flags & SSH_WRITE_PENDING) != 0 ? POLLOUT : 0));
    std::array<pollfd, 2> polled{
        {{ssh_get_fd(session_.get()), events, 0}, {InterruptFd(), POLLIN, 0}}};
    if (poll(polled.data(), polled.size(), static_cast<int>(left.count())) <= 0)
      continue;
    if ((polled[0].revents & POLLIN) != 0) {
      progress_ = Clock::now();
      PeekAtGreeting();
    }
    if (polled[0].revents != 0) return true;
  }
}

/// Calls \a step until it says something else than \a again.
template <typename Step>
int Login::Drive(const Step& step, int again) {
  while (true) {
    const int said = step();
    NoteServerVersion();
    ServeAgents();
    if (said != again) return said;
    if (!Wait()) return kGaveUp;
  }
}

// ------------------------------------------------------------ the connection
// --

bool Login::BlameTimeout() {
  if (gave_up_ == GaveUp::kInterrupted) return false;
  return Blame("connection-timeout",
               transcript_.server_version.empty()
                   ? "no answer within the limit"
                   : "no answer within the limit, after the server had said " +
                         transcript_.server_version);
}

/// What libssh's words mean.
bool Login::BlameLibssh() {
  const std::string error = Error();
  const auto says = [&error](std::string_view words) {
    return error.find(words) != std::string::npos;
  };
  if (says("Too many authentication failures"))
    return Blame("authentication-failed", error);
  if (transcript_.server_version.empty()) {
    constexpr std::array<std::string_view, 2> kSshdsGreetings = {
        "Exceeded MaxStartups", "Not allowed at this time"};
    if (!greeting_.empty())
      return Blame(std::ranges::any_of(kSshdsGreetings,
                                       [this](std::string_view start) {
                                         return greeting_.starts_with(start);
                                       })
                       ? "connection-lost"
                       : "protocol-mismatch",
                   greeting_);
    if (!login_.proxy.empty()) {
      // It says why on its standard error, and then ends.
      constexpr Milliseconds kProxysLastWords{500};
      const auto deadline = Clock::now() + kProxysLastWords;
      proxy_.WaitUntil([deadline] { return Clock::now() >= deadline; });
      const std::vector<std::string> lines = SplitLines(proxy_.err());
      return Blame("proxy-failed", lines.empty() ? error : lines.back());
    }
    if (says("banner")) return Blame("protocol-mismatch", error);
    return Blame("connection-lost", error);
  }
  for (const std::string_view words :
       {"No version of SSH protocol", "no match for method", "kex error",
        "banner"})
    if (says(words)) return Blame("protocol-mismatch", error);
  return Blame("connection-lost", error);
}

bool Login::Dial() {
  TcpTarget target{
      .host = login_.host,
      .port = login_.port,
      .family = login_.family == LibsshLogin::Family::kInet    ? AF_INET
                : login_.family == LibsshLogin::Family::kInet6 ? AF_INET6
                                                               : AF_UNSPEC,
      .bind_address = login_.bind_address};
  TcpConnection tcp = ConnectTcp(target, login_.connect_limit);
  const std::string words = "connect to host " + login_.host + " port " +
                            std::to_string(login_.port) + ": " + tcp.message;
  switch (tcp.end) {
    case TcpConnection::End::kConnected:
      break;
    case TcpConnection::End::kNotResolved:
      return Blame("name-not-resolved", "Could not resolve hostname " +
                                            login_.host + ": " + tcp.message);
    case TcpConnection::End::kTimedOut:
      return Blame("connection-timeout", words);
    case TcpConnection::End::kInterrupted:
      gave_up_ = GaveUp::kInterrupted;
      return false;
    case TcpConnection::End::kFailed:
      return Blame(tcp.error == ECONNREFUSED ? "connection-refused"
                   : tcp.error == ETIMEDOUT  ? "connection-timeout"
                                             : "network-unreachable",
                   words);
  }
  const socket_t fd = tcp.fd.Release();  // closed by ssh_free()
  return ssh_options_set(session_.get(), SSH_OPTIONS_FD, &fd) == SSH_OK;
}

bool Login::RunProxy() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0)
    return Blame("proxy-failed", std::generic_category().message(errno));
  for (const int end : ends) fcntl(end, F_SETFD, FD_CLOEXEC);
  Fd ours(ends[0]);
  Fd theirs(ends[1]);
  fcntl(ours.get(), F_SETFL, O_NONBLOCK);
  try {
    proxy_ = BackgroundProcess(
        Command{.argv = login_.proxy,
                .environment = {{"SSH_ASKPASS_REQUIRE", "never"},
                                {"DISPLAY", std::nullopt}},
                .stream = theirs.get()});
  } catch (const std::system_error& error) {
    return Blame("proxy-failed", error.what());
  }
  const socket_t fd = ours.Release();
  return ssh_options_set(session_.get(), SSH_OPTIONS_FD, &fd) == SSH_OK;
}

/// Types that the files know come first, so that the server shows one of those
/// keys (sshconnect2.c:order_hostkeyalgs()).
void Login::PreferKnownKeys() {
  constexpr std::array<std::string_view, 8> kAlgorithms = {
      "ssh-ed25519",
      "ecdsa-sha2-nistp256",
      "ecdsa-sha2-nistp384",
      "ecdsa-sha2-nistp521",
      "sk-ssh-ed25519@openssh.com",
      "sk-ecdsa-sha2-nistp256@openssh.com",
      "rsa-sha2-512",
      "rsa-sha2-256"};
  const auto known = [this](std::string_view algorithm) {
    const std::string_view type =
        algorithm.starts_with("rsa-sha2") ? "ssh-rsa" : algorithm;
    return std::ranges::any_of(known_keys_, [type](const KnownKey& key) {
      return !key.revoked && !key.authority && key.type == type;
    });
  };
  std::string list;
  for (const bool first : {true, false})
    for (const std::string_view algorithm : kAlgorithms)
      if (known(algorithm) == first)
        list += (list.empty() ? "" : ",") + std::string(algorithm);
  ssh_options_set(session_.get(), SSH_OPTIONS_HOSTKEYS, list.c_str());
}

bool Login::Connect() {
  session_.reset(ssh_new());
  if (!session_) return Blame("connection-lost", "no memory for a session");
  const auto set = [this](ssh_options_e option, const std::string& value) {
    if (!value.empty()) ssh_options_set(session_.get(), option, value.c_str());
  };
  const bool no = false;
  ssh_options_set(session_.get(), SSH_OPTIONS_PROCESS_CONFIG, &no);
  set(SSH_OPTIONS_HOST, login_.host);
  set(SSH_OPTIONS_USER, login_.user);
  // Read by libssh in vain; ours are read by ourselves.
  set(SSH_OPTIONS_SSH_DIR, "/dev/null");
  set(SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
  set(SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
  ssh_set_blocking(session_.get(), 0);
  callbacks_.userdata = this;
  callbacks_.channel_open_request_auth_agent_function = OpenAgentChannel;
  ssh_callbacks_init(&callbacks_);
  ssh_set_callbacks(session_.get(), &callbacks_);

  std::vector<std::string> names;
  if (!login_.host_key_alias.empty()) {
    names = {login_.host_key_alias};
  } else {
    names = {KnownHostsName(login_.host, login_.port)};
    // sshconnect.c:check_host_key(), "checking without port identifier"
    if (login_.port != 22) names.push_back(KnownHostsName(login_.host, 22));
  }
  for (const std::string& name : names) {
    for (const std::string& file : login_.known_hosts)
      if (const auto text = ReadFile(file, kKnownHostsLimit))
        std::ranges::move(FindKnownKeys(*text, file, name),
                          std::back_inserter(known_keys_));
    if (!known_keys_.empty()) break;
  }
  PreferKnownKeys();
  return login_.proxy.empty() ? Dial() : RunProxy();
}

bool Login::Greet() {
  progress_ = Clock::now();
  const int said =
      Drive([this] { return ssh_connect(session_.get()); }, SSH_AGAIN);
  if (said == kGaveUp) return BlameTimeout();
  return said == SSH_OK || BlameLibssh();
}

// -------------------------------------------------------------- the host key
// --

bool Login::VerifyHostKey() {
  ssh_key raw = nullptr;
  if (ssh_get_server_publickey(session_.get(), &raw) != SSH_OK)
    return BlameLibssh();
  const KeyHandle key(raw);
  char* text = nullptr;
  if (ssh_pki_export_pubkey_base64(key.get(), &text) != SSH_OK)
    return BlameLibssh();
  const std::string blob = DecodeBase64(text);
  ssh_string_free_char(text);
  const std::string shown = TypeOf(blob) + " " + Fingerprint(blob);

  switch (JudgeHostKey(known_keys_, blob)) {
    case HostKeyState::kKnown:
      return true;
    case HostKeyState::kRevoked:
      return Blame("host-key-changed", "the host key " + shown +
                                           " is marked as revoked in " +
                                           known_keys_.front().file);
    case HostKeyState::kChanged:
      if (std::ranges::find(login_.trusted_keys, Fingerprint(blob)) !=
          login_.trusted_keys.end())
        return true;
      for (const KnownKey& known : known_keys_)
        if (!known.authority && !known.revoked)
          Say("Offending " + known.type + " key in " + known.file + ":" +
              std::to_string(known.line));
      return Blame("host-key-changed", "the host key " + shown +
                                           " is none of those that are known");
    case HostKeyState::kUnknown:
      break;
  }
  if (login_.accept_unknown_key ||
      std::ranges::find(login_.trusted_keys, Fingerprint(blob)) !=
          login_.trusted_keys.end())
    return true;
  const bool signed_keys =
      std::ranges::any_of(known_keys_, &KnownKey::authority);
  return Blame("host-key-unknown",
               "no known_hosts file has the host key " + shown +
                   (signed_keys ? "; the files name a certificate authority "
                                  "for that host, and libssh takes no host "
                                  "certificates"
                                : ""));
}

// ------------------------------------------------------------ authentication
// --

bool Login::Denied(unsigned methods) {
  const std::string names = Methods(methods);
  const bool asks =
      (methods & (SSH_AUTH_METHOD_PASSWORD | SSH_AUTH_METHOD_INTERACTIVE)) != 0;
  const bool person = (asks && (refused_.empty() || partial_)) ||
                      !transcript_.asked_person.empty() || !locked_.empty();
  for (const std::string& key : refused_)
    Say("key offered and refused: " + key);
  if (!unsigned_.empty()) Say(unsigned_);
  if (!locked_.empty()) Say("a passphrase is needed: " + locked_);
  const std::string words =
      login_.user + "@" + login_.host + ": Permission denied (" + names + ").";
  Say(words);
  return Blame(person ? "interaction-needed" : "authentication-failed", words);
}

int Login::OfferToAgent(const LoginKey& key) {
  if (!agent_) {
    agent_ =
        std::make_unique<LoginAgent>(login_.agent_socket, login_.step_limit);
    ssh_set_agent_socket(session_.get(), agent_->TakeClientEnd());
  }
  agent_->Offer(key);
  const std::string name = key.Name();
  if (name.find("-SK") != std::string::npos && login_.tell)
    login_.tell("touch your security key: " + name);
  const int said =
      Drive([this] { return ssh_userauth_agent(session_.get(), nullptr); },
            SSH_AUTH_AGAIN);
  if (agent_->asked()) {
    transcript_.accepted_key = name;
    transcript_.accepted_certificate = key.certificate();
    progress_ = Clock::now();  // it was the agent that was waited for
    if (const std::string failure = agent_->failure(); !failure.empty()) {
      unsigned_ = failure;
      if (name.find("-SK") != std::string::npos)
        transcript_.asked_person = "touch your security key: " + name;
    }
  } else if (said == SSH_AUTH_DENIED) {
    refused_.push_back(name);
  }
  return said;
}

int Login::OfferFile(const LoginKey& key) {
  ssh_key raw = nullptr;
  const std::string type = TypeOf(key.blob);
  const ssh_keytypes_e kind = ssh_key_type_from_name(type.c_str());
  const int imported =
      key.certificate()
          ? ssh_pki_import_cert_base64(KeyText(key).c_str(), kind, &raw)
          : ssh_pki_import_pubkey_base64(KeyText(key).c_str(), kind, &raw);
  if (imported != SSH_OK) return SSH_AUTH_DENIED;
  const KeyHandle public_half(raw);
  int said = Drive(
      [this, &public_half] {
        return ssh_userauth_try_publickey(session_.get(), nullptr,
                                          public_half.get());
      },
      SSH_AUTH_AGAIN);
  if (said == SSH_AUTH_DENIED) refused_.push_back(key.Name());
  if (said != SSH_AUTH_SUCCESS) return said;

  transcript_.accepted_key = key.Name();
  transcript_.accepted_certificate = key.certificate();
  if (key.has_passphrase) {
    locked_ = key.file;
    return SSH_AUTH_DENIED;
  }
  const auto text = ReadFile(key.file, kKeyFileLimit);
  // Without this OpenSSL would ask for a passphrase on the terminal.
  const auto ask_nobody = [](const char*, char*, std::size_t, int, int, void*) {
    return -1;
  };
  raw = nullptr;
  if (!text || ssh_pki_import_privkey_base64(text->c_str(), nullptr, ask_nobody,
                                             nullptr, &raw) != SSH_OK) {
    locked_ = key.file;
    return SSH_AUTH_DENIED;
  }
  const KeyHandle private_half(raw);
  if (key.certificate() && ssh_pki_copy_cert_to_privkey(
                               public_half.get(), private_half.get()) != SSH_OK)
    return SSH_AUTH_DENIED;
  return Drive(
      [this, &private_half] {
        return ssh_userauth_publickey(session_.get(), nullptr,
                                      private_half.get());
      },
      SSH_AUTH_AGAIN);
}

bool Login::Authenticate() {
  const auto authenticated = [this](const char* method) {
    transcript_.authenticated = true;
    transcript_.auth_method = method;
    return true;
  };
  int said =
      Drive([this] { return ssh_userauth_none(session_.get(), nullptr); },
            SSH_AUTH_AGAIN);
  if (said == kGaveUp) return BlameTimeout();
  if (said == SSH_AUTH_SUCCESS) return authenticated("none");
  if (said == SSH_AUTH_ERROR) return BlameLibssh();
  const auto left = [this] {
    return static_cast<unsigned>(ssh_userauth_list(session_.get(), nullptr));
  };
  unsigned methods = left();
  if ((methods & SSH_AUTH_METHOD_PUBLICKEY) == 0) return Denied(methods);

  const std::vector<LoginKey> keys =
      KeysToOffer(ListAgentKeys(login_.agent_socket, login_.step_limit),
                  {.identities = login_.identity_files,
                   .certificates = login_.certificate_files,
                   .identities_only = login_.identities_only},
                  transcript_.messages);
  for (const LoginKey& key : keys) {
    said = key.agent_blob.empty() ? OfferFile(key) : OfferToAgent(key);
    if (said == kGaveUp) return BlameTimeout();
    if (said == SSH_AUTH_SUCCESS) return authenticated("publickey");
    if (!ssh_is_connected(session_.get())) {
      for (const std::string& refused : refused_)
        Say("key offered and refused: " + refused);
      return BlameLibssh();
    }
    if (said == SSH_AUTH_PARTIAL) {
      partial_ = true;
      refused_.clear();
    }
    methods = left();
    if ((methods & SSH_AUTH_METHOD_PUBLICKEY) == 0) break;
  }
  return Denied(methods);
}

bool Login::LogIn() {
  return Connect() && Greet() && VerifyHostKey() && Authenticate();
}

// --------------------------------------------------------------- the session
// --

ssh_channel Login::OpenAgentChannel(ssh_session session, void* self) {
  auto& connection = *static_cast<Login*>(self);
  if (connection.agents_.size() >= kMostAgentChannels) return nullptr;
  const ssh_channel channel = ssh_channel_new(session);
  if (channel != nullptr) connection.agents_.push_back({.channel = channel});
  return channel;
}

/// What came on the channels that the server opened to the canary.  Reading may
/// bring one more of them.
void Login::ServeAgents() {
  for (auto agent = agents_.begin(); agent != agents_.end();) {
    std::array<char, 4096> piece;
    int got = 0;
    while ((got = ssh_channel_read_nonblocking(agent->channel, piece.data(),
                                               piece.size(), 0)) > 0)
      agent->received.append(piece.data(), static_cast<std::size_t>(got));
    const std::optional<std::string> answer = canary_.Answer(agent->received);
    if (answer && !answer->empty()) {
      ++agent_requests_;
      ssh_channel_write(agent->channel, answer->data(),
                        static_cast<std::uint32_t>(answer->size()));
    }
    const bool ended = got == SSH_EOF || got == SSH_ERROR ||
                       ssh_channel_is_closed(agent->channel) != 0;
    if (ended || !answer || agent->received.size() > kMaxAgentMessage + 4) {
      ssh_channel_close(agent->channel);
      agent = agents_.erase(agent);
    } else {
      ++agent;
    }
  }
}

bool Login::OpenSession() {
  channel_ = ssh_channel_new(session_.get());
  if (channel_ == nullptr) return BlameLibssh();
  const int opened =
      Drive([this] { return ssh_channel_open_session(channel_); }, SSH_AGAIN);
  if (opened == kGaveUp) return BlameTimeout();
  if (opened != SSH_OK) return BlameLibssh();
  const int requested = Drive(
      [this] { return ssh_channel_request_auth_agent(channel_); }, SSH_AGAIN);
  if (requested == kGaveUp) return BlameTimeout();
  transcript_.forwarding_requested = requested == SSH_OK;
  return true;
}

bool Login::Execute(const std::string& command, MarkedOutput& output) {
  const int started =
      Drive([&] { return ssh_channel_request_exec(channel_, command.c_str()); },
            SSH_AGAIN);
  if (started == kGaveUp) return true;
  // A server that runs no commands at all.
  if (started != SSH_OK) {
    if (!ssh_is_connected(session_.get())) return BlameLibssh();
    Say(Error());
    return true;
  }
  ssh_channel_send_eof(channel_);
  std::string errors;
  std::array<char, 16384> piece;
  const auto read = [&](int is_stderr) {
    return ssh_channel_read_nonblocking(channel_, piece.data(), piece.size(),
                                        is_stderr);
  };
  const auto step = [&] {
    int got = 0;
    while ((got = read(1)) > 0)
      if (errors.size() < kOutputLimit)
        errors.append(piece.data(), static_cast<std::size_t>(got));
    while ((got = read(0)) > 0) {
      if (output.Append({piece.data(), static_cast<std::size_t>(got)}))
        return SSH_OK;
      if (output.text().size() >= kOutputLimit) {
        cut_off_ = true;
        return SSH_OK;
      }
    }
    if (got == SSH_ERROR) return SSH_ERROR;
    return ssh_channel_is_eof(channel_) != 0 ||
                   ssh_channel_is_closed(channel_) != 0
               ? SSH_OK
               : SSH_AGAIN;
  };
  const int ended = Drive(step, SSH_AGAIN);
  for (const std::string& line : SplitLines(errors)) Say(line);
  if (ended == SSH_ERROR && !output.complete()) return BlameLibssh();
  // The status comes between end-of-file and the channel's end.
  if (ended == SSH_OK && !output.complete() && !cut_off_) {
    Drive(
        [this] {
          const int status = ssh_channel_get_exit_status(channel_);
          if (status >= 0) exit_status_ = status;
          return status >= 0 || ssh_channel_is_closed(channel_) != 0
                     ? SSH_OK
                     : SSH_AGAIN;
        },
        SSH_AGAIN);
    gave_up_ = GaveUp::kNo;
  }
  return true;
}

void Login::Linger(Milliseconds limit) {
  const auto end = Clock::now() + limit;
  while (Clock::now() < end && !Interrupted() && agent_requests_ == 0) {
    pollfd polled{ssh_get_fd(session_.get()), POLLIN, 0};
    const auto left = std::chrono::ceil<Milliseconds>(end - Clock::now());
    if (poll(&polled, 1, static_cast<int>(left.count())) <= 0) continue;
    if (ssh_channel_poll(channel_, 0) == SSH_ERROR) return;
    ServeAgents();
  }
}

}  // namespace

std::string LibsshVersion() {
  // "0.10.6/openssl/zlib"
  const std::string version = ssh_version(0);
  return "libssh_" + version.substr(0, version.find('/'));
}

SessionResult RunLibsshSession(const LibsshLogin& login,
                               const ProbeCommand& probe) {
  const Clock::time_point start = Clock::now();
  SessionResult result;
  Session& session = result.session;
  Login connection(login);
  MarkedOutput output(probe);
  session.canary = connection.canary().fingerprint();
  const bool ran = connection.LogIn() && connection.OpenSession() &&
                   connection.Execute(probe.command, output);
  session.transcript = connection.transcript();
  session.exit_status = connection.exit_status();
  session.canary_asked = connection.agent_requests() > 0;
  session.output_bytes = static_cast<std::int64_t>(output.text().size());
  if (output.complete()) {
    session.end = SessionEnd::kProbed;
    result.probe_output = output.between();
  } else if (connection.gave_up() == GaveUp::kInterrupted) {
    session.end = SessionEnd::kInterrupted;
  } else if (!ran) {
    session.end = SessionEnd::kFailed;
    session.fault = connection.fault();
  } else if (connection.cut_off()) {
    session.end = SessionEnd::kCutOff;
  } else if (connection.gave_up() == GaveUp::kTimedOut) {
    session.end = SessionEnd::kTimedOut;
  } else {
    session.end = SessionEnd::kNoProbe;
  }
  if (!output.complete())
    session.output_head = ValidUtf8(output.text().substr(0, kOutputHead));
  session.duration_ms = MillisecondsSince(start);
  return result;
}

namespace {

/// What the server decided, from what it did.
void JudgeGrant(Control& control, bool asked_the_canary) {
  if (asked_the_canary) {
    control.granted = true;
    control.granted_shown_by = "the server asked the agent that was forwarded";
    return;
  }
  control.granted = Unknown{
      "libssh can't ask for an answer to its request, and the server opened no "
      "channel to the agent"};
  const Side* far = control.far.get();
  const auto* sockets = far ? far->connection_sockets.get() : nullptr;
  if (!sockets) return;
  const auto* initial = far->initial_auth_sock.get();
  if (!sockets->empty()) {
    control.granted = true;
    control.granted_shown_by = "the server made a socket: " + sockets->front();
  } else if (initial && (!*initial || (*initial)->empty())) {
    // sshd makes it before it answers, and answers FAILURE where it can't.
    control.granted = false;
    control.granted_shown_by =
        "forwarding was requested, and the server handed over no agent socket";
  }
}

}  // namespace

ControlResult MakeLibsshControlLogin(const LibsshLogin& login,
                                     const ProbeCommand* probe) {
  const Clock::time_point start = Clock::now();
  ControlResult result;
  Control& control = result.control;
  Login connection(login);
  control.canary = connection.canary().fingerprint();
  const bool opened = connection.LogIn() && connection.OpenSession();
  std::optional<MarkedOutput> output;
  if (opened && probe) {
    output.emplace(*probe);
    connection.Execute(probe->command, *output);
    if (output->complete()) control.far = ParseProbe(output->between());
  } else if (opened) {
    // Nothing is run, so nobody over there has a reason to ask; but some do.
    constexpr Milliseconds kAWhile{100};
    connection.Linger(kAWhile);
  }
  control.transcript = connection.transcript();
  control.logged_in = control.transcript.authenticated;
  if (!opened) {
    control.fault = connection.fault();
    control.granted =
        Unknown{control.fault ? control.fault->message : "interrupted"};
  } else {
    JudgeGrant(control, connection.agent_requests() > 0);
  }
  control.duration_ms = MillisecondsSince(start);
  return result;
}

}  // namespace agentdoctor
