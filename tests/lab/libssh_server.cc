#include "lab/libssh_server.h"

#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

#include "lab/fakes.h"

namespace agentdoctor::lab {
namespace {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* handle) const {
    Free(handle);
  }
};

using Key = std::unique_ptr<ssh_key_struct, Freed<ssh_key_free>>;
using Session = std::unique_ptr<ssh_session_struct, Freed<ssh_free>>;
using Bind = std::unique_ptr<ssh_bind_struct, Freed<ssh_bind_free>>;
using Event = std::unique_ptr<ssh_event_struct, Freed<ssh_event_free>>;

constexpr int kSoon = 2000;  // milliseconds

/// One client, from the key exchange to the end.
struct Connection {
  const LibsshServerOptions& options;
  ssh_channel channel = nullptr;  ///< freed with the session
  ssh_channel_callbacks_struct channel_calls = {};
  bool authenticated = false;
  std::optional<std::string> command = {};
};

Connection& Of(void* user_data) { return *static_cast<Connection*>(user_data); }

int AuthenticateKey(ssh_session, const char*, ssh_key, char state, void* self) {
  if (!Of(self).options.takes_keys) return SSH_AUTH_DENIED;
  if (state == SSH_PUBLICKEY_STATE_VALID) Of(self).authenticated = true;
  return state == SSH_PUBLICKEY_STATE_NONE || state == SSH_PUBLICKEY_STATE_VALID
             ? SSH_AUTH_SUCCESS
             : SSH_AUTH_DENIED;
}

ssh_channel OpenSession(ssh_session session, void* self) {
  Connection& connection = Of(self);
  if (!connection.authenticated || connection.channel) return nullptr;
  connection.channel = ssh_channel_new(session);
  ssh_set_channel_callbacks(connection.channel, &connection.channel_calls);
  return connection.channel;
}

// The callback being there is the grant (libssh's channels.c).
void GrantForwarding(ssh_session, ssh_channel, void*) {}

int TakeCommand(ssh_session, ssh_channel, const char* command, void* self) {
  Of(self).command = command;
  return SSH_OK;
}

int TakeShell(ssh_session, ssh_channel, void* self) {
  Of(self).command = "";
  return SSH_OK;
}

/// The list of the agent behind the client.
std::string AskAgent(ssh_session session) {
  std::string answer;
  const ssh_channel agent = ssh_channel_new(session);
  if (ssh_channel_open_auth_agent(agent) == SSH_OK) {
    // SSH_AGENTC_REQUEST_IDENTITIES
    constexpr std::array<char, 5> kRequest = {0, 0, 0, 1, 11};
    ssh_channel_write(agent, kRequest.data(), kRequest.size());
    const auto read = [agent](std::size_t size) {
      std::string bytes(size, '\0');
      std::size_t done = 0;
      while (done < size) {
        const int got = ssh_channel_read_timeout(
            agent, bytes.data() + done, static_cast<std::uint32_t>(size - done),
            0, kSoon);
        if (got <= 0) break;
        done += static_cast<std::size_t>(got);
      }
      bytes.resize(done);
      return bytes;
    };
    std::uint32_t size = 0;
    for (const char c : read(4))
      size = size << 8 | static_cast<unsigned char>(c);
    constexpr std::uint32_t kMost = 1 << 18;
    answer = read(size < kMost ? size : 0);
  }
  ssh_channel_free(agent);
  return answer;
}

}  // namespace

class LibsshServer::Impl {
 public:
  explicit Impl(LibsshServerOptions options)
      : options_(std::move(options)), key_(NewKey()) {
    host_.emplace([this](int connection) { Serve(connection); });
  }

  int port() const { return host_->port(); }

  std::string KnownHostsLine() const {
    char* text = nullptr;
    if (ssh_pki_export_pubkey_base64(key_.get(), &text) != SSH_OK) return {};
    const std::string line =
        "[127.0.0.1]:" + std::to_string(port()) + " ssh-ed25519 " + text + "\n";
    ssh_string_free_char(text);
    return line;
  }

  LibsshServerOptions options_;
  std::atomic<int> logins_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> commands_;
  std::vector<std::string> agent_answers_;

 private:
  static Key NewKey() {
    ssh_key key = nullptr;
    if (ssh_pki_generate(SSH_KEYTYPE_ED25519, 0, &key) != SSH_OK)
      throw std::runtime_error("no host key");
    return Key(key);
  }

  void Serve(int descriptor);
  void Answer(ssh_session session, Connection& connection);

  Key key_;
  std::optional<FakeHost> host_;  ///< its threads use the rest: goes first
};

void LibsshServer::Impl::Serve(int descriptor) {
  Connection connection{.options = options_};  // for the session's callbacks
  const Bind bind(ssh_bind_new());
  const Session session(ssh_new());
  const bool no_config = false;
  ssh_bind_options_set(bind.get(), SSH_BIND_OPTIONS_PROCESS_CONFIG, &no_config);
  ssh_bind_options_set(bind.get(), SSH_BIND_OPTIONS_IMPORT_KEY,
                       ssh_key_dup(key_.get()));
  ssh_bind_options_set(bind.get(), SSH_BIND_OPTIONS_BANNER,
                       options_.software.c_str());
  if (ssh_bind_accept_fd(bind.get(), session.get(), dup(descriptor)) != SSH_OK)
    return;

  ssh_channel_callbacks_struct& channel_calls = connection.channel_calls;
  channel_calls.userdata = &connection;
  if (options_.takes_commands)
    channel_calls.channel_exec_request_function = TakeCommand;
  if (!options_.greeting.empty())
    channel_calls.channel_shell_request_function = TakeShell;
  if (options_.grants_forwarding)
    channel_calls.channel_auth_agent_req_function = GrantForwarding;
  ssh_callbacks_init(&channel_calls);
  ssh_server_callbacks_struct calls = {};
  calls.userdata = &connection;
  calls.auth_pubkey_function = AuthenticateKey;
  calls.channel_open_request_session_function = OpenSession;
  ssh_callbacks_init(&calls);
  ssh_set_server_callbacks(session.get(), &calls);
  ssh_set_auth_methods(session.get(), options_.takes_keys
                                          ? SSH_AUTH_METHOD_PUBLICKEY
                                          : SSH_AUTH_METHOD_PASSWORD);
  if (ssh_handle_key_exchange(session.get()) != SSH_OK) return;

  const Event event(ssh_event_new());
  ssh_event_add_session(event.get(), session.get());
  bool counted = false;
  while (ssh_event_dopoll(event.get(), kSoon) != SSH_ERROR) {
    if (connection.authenticated &&
        !std::exchange(counted, connection.authenticated))
      ++logins_;
    if (connection.command) Answer(session.get(), connection);
    if (!ssh_is_connected(session.get())) break;
  }
  ssh_event_remove_session(event.get(), session.get());
  ssh_disconnect(session.get());
}

void LibsshServer::Impl::Answer(ssh_session session, Connection& connection) {
  {
    const std::lock_guard lock(mutex_);
    commands_.push_back(*connection.command);
  }
  const bool shell = connection.command->empty();
  connection.command.reset();
  if (options_.uses_agent) {
    std::string answer = AskAgent(session);
    const std::lock_guard lock(mutex_);
    agent_answers_.push_back(std::move(answer));
  }
  if (shell)
    ssh_channel_write_stderr(
        connection.channel, options_.greeting.data(),
        static_cast<std::uint32_t>(options_.greeting.size()));
  else
    ssh_channel_write(connection.channel, options_.answer.data(),
                      static_cast<std::uint32_t>(options_.answer.size()));
  ssh_channel_request_send_exit_status(connection.channel, options_.status);
  ssh_channel_send_eof(connection.channel);
  ssh_channel_close(connection.channel);
}

LibsshServer::LibsshServer(LibsshServerOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
LibsshServer::~LibsshServer() = default;
int LibsshServer::port() const { return impl_->port(); }
std::string LibsshServer::KnownHostsLine() const {
  return impl_->KnownHostsLine();
}
int LibsshServer::logins() const { return impl_->logins_; }
std::vector<std::string> LibsshServer::commands() const {
  const std::lock_guard lock(impl_->mutex_);
  return impl_->commands_;
}
std::vector<std::string> LibsshServer::agent_answers() const {
  const std::lock_guard lock(impl_->mutex_);
  return impl_->agent_answers_;
}

}  // namespace agentdoctor::lab
