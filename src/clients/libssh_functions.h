// libssh, loaded when it is first called.  Only --client libssh and the control
// login of --client putty need it, and to load it, with the crypto and Kerberos
// libraries behind it, takes as long as all else that a run does by itself.
#pragma once

#include <libssh/callbacks.h>
#include <libssh/libssh.h>

#include <atomic>
#include <string>

namespace agentdoctor {

/// Why libssh can't be loaded, in dlopen(3)'s words; empty if it can.
std::string LibsshFault();

/// The function of that name; throws std::runtime_error if there is none.
void* FindInLibssh(const char* name);

template <typename Signature>
class LibsshFunction;

/// Called like the function itself.  Throws as FindInLibssh() does.
template <typename Result, typename... Arguments>
class LibsshFunction<Result(Arguments...)> {
 public:
  constexpr explicit LibsshFunction(const char* name) : name_(name) {}

  Result operator()(Arguments... arguments) const {
    void* found = found_.load(std::memory_order_acquire);
    if (found == nullptr) {
      found = FindInLibssh(name_);
      found_.store(found, std::memory_order_release);
    }
    return reinterpret_cast<Result (*)(Arguments...)>(found)(arguments...);
  }

 private:
  const char* name_;
  mutable std::atomic<void*> found_{nullptr};
};

// In this namespace they stand before libssh's own.
#define LIBSSH_FUNCTION(name) \
  inline constinit const LibsshFunction<decltype(::name)> name(#name)
LIBSSH_FUNCTION(ssh_channel_close);
LIBSSH_FUNCTION(ssh_channel_get_exit_status);
LIBSSH_FUNCTION(ssh_channel_is_closed);
LIBSSH_FUNCTION(ssh_channel_is_eof);
LIBSSH_FUNCTION(ssh_channel_new);
LIBSSH_FUNCTION(ssh_channel_open_session);
LIBSSH_FUNCTION(ssh_channel_poll);
LIBSSH_FUNCTION(ssh_channel_read_nonblocking);
LIBSSH_FUNCTION(ssh_channel_request_auth_agent);
LIBSSH_FUNCTION(ssh_channel_request_exec);
LIBSSH_FUNCTION(ssh_channel_send_eof);
LIBSSH_FUNCTION(ssh_channel_write);
LIBSSH_FUNCTION(ssh_connect);
LIBSSH_FUNCTION(ssh_free);
LIBSSH_FUNCTION(ssh_get_error);
LIBSSH_FUNCTION(ssh_get_fd);
LIBSSH_FUNCTION(ssh_get_poll_flags);
LIBSSH_FUNCTION(ssh_get_server_publickey);
LIBSSH_FUNCTION(ssh_get_serverbanner);
LIBSSH_FUNCTION(ssh_is_connected);
LIBSSH_FUNCTION(ssh_key_free);
LIBSSH_FUNCTION(ssh_key_type_from_name);
LIBSSH_FUNCTION(ssh_new);
LIBSSH_FUNCTION(ssh_options_get);
LIBSSH_FUNCTION(ssh_options_get_port);
LIBSSH_FUNCTION(ssh_options_parse_config);
LIBSSH_FUNCTION(ssh_options_set);
LIBSSH_FUNCTION(ssh_pki_copy_cert_to_privkey);
LIBSSH_FUNCTION(ssh_pki_export_pubkey_base64);
LIBSSH_FUNCTION(ssh_pki_import_cert_base64);
LIBSSH_FUNCTION(ssh_pki_import_privkey_base64);
LIBSSH_FUNCTION(ssh_pki_import_pubkey_base64);
LIBSSH_FUNCTION(ssh_set_agent_socket);
LIBSSH_FUNCTION(ssh_set_blocking);
LIBSSH_FUNCTION(ssh_set_callbacks);
LIBSSH_FUNCTION(ssh_string_free_char);
LIBSSH_FUNCTION(ssh_userauth_agent);
LIBSSH_FUNCTION(ssh_userauth_list);
LIBSSH_FUNCTION(ssh_userauth_none);
LIBSSH_FUNCTION(ssh_userauth_publickey);
LIBSSH_FUNCTION(ssh_userauth_try_publickey);
LIBSSH_FUNCTION(ssh_version);
#undef LIBSSH_FUNCTION

}  // namespace agentdoctor
