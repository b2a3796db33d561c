#include "clients/openssh_messages.h"

#include <algorithm>
#include <array>

namespace agentdoctor {
namespace {

constexpr Releases kAll = {};
constexpr Releases Since(int release) { return {.first = release}; }
constexpr Releases Until(int release) { return {.last = release}; }

// In the order in which they are tried.  `debug1: f: ` is __func__ up to 8.4,
// and what debug_f() makes of it later.
constexpr std::array kMessages = {
    // "OpenSSH_9.2p1 Debian-2, OpenSSL ...": the first line of -v
    Message{At::kStart, Until(909), "OpenSSH_", Says::kOwnVersion},
    Message{At::kStart, Since(1000), "debug1: OpenSSH_", Says::kOwnVersion},

    // ---- the connection ----
    Message{At::kStart, kAll, "debug1: Remote protocol version ",
            Says::kServerVersion},
    Message{At::kStart, Since(800),
            "debug1: kex_exchange_identification: banner line ",
            Says::kGreetingLine},
    Message{At::kStart, Until(709),
            "debug1: ssh_exchange_identification: ", Says::kGreeting},
    Message{At::kStart, kAll, "debug1: Connecting to ", Says::kConnecting},
    Message{At::kStart, kAll,
            "debug1: Executing proxy command: ", Says::kProxy},
    Message{At::kStart, kAll,
            "debug1: Executing proxy dialer command: ", Says::kProxy},

    // ---- keys ----
    // ... with -v -v only: "key: FILE (0x55d0c8), explicit, agent"
    Message{At::kStart, Until(708), "debug2: key: ", Says::kKnowsKey},
    // "TYPE FINGERPRINT FILE" from 7.6 to 7.8; then "FILE TYPE FINGERPRINT",
    // and whose the key is
    Message{At::kStart, Since(706),
            "debug1: Offering public key: ", Says::kOffersKey},
    // "Offering ED25519 public key: FILE"
    Message{At::kStart, Until(705), "debug1: Offering ", Says::kOffersKind},
    // ... of which no public half is known, if it is there at all
    Message{At::kStart, kAll, "debug1: Trying private key: ", Says::kTriesFile},
    // "pkalg ssh-ed25519 blen 51"
    Message{At::kStart, Until(708), "debug1: Server accepts key: pkalg ",
            Says::kAcceptsKind},
    Message{At::kStart, Until(708), "debug2: input_userauth_pk_ok: fp ",
            Says::kAcceptsPrint},
    Message{At::kStart, Since(709),
            "debug1: Server accepts key: ", Says::kAcceptsKey},
    Message{At::kStart, Since(809),
            "debug1: get_agent_identities: agent returned ", Says::kAgentKeys},
    Message{At::kStart, Since(809),
            "debug1: get_agent_identities: ssh_fetch_identitylist: agent "
            "contains no identities",
            Says::kNoAgentKeys},
    Message{At::kStart, kAll, "sign_and_send_pubkey: signing failed",
            Says::kKeyTried},
    Message{At::kStart, Since(708), "sign_and_send_pubkey: no mutual signature",
            Says::kSignsNothing},
    Message{At::kAnywhere, Since(708), " returned incorrect signature type",
            Says::kSignsNothing},

    // ---- logging in ----
    // The method stands here, and not in "Authenticated to".
    Message{At::kStart, Until(806), "debug1: Authentication succeeded (",
            Says::kMethod},
    Message{At::kStart, Until(806), "Authenticated with partial success.",
            Says::kPartial},
    // `Authenticated using "publickey" with partial success.`
    Message{At::kStart, Since(807), "Authenticated using ", Says::kPartial},
    Message{At::kStart, kAll, "Authenticated to ", Says::kAuthenticated},
    Message{At::kStart, kAll,
            "debug1: Authentications that can continue: ", Says::kGoesOn},
    // ... where standard error is a terminal or with -v -v -v
    Message{At::kStart, Since(802), "Confirm user presence for key ",
            Says::kAsksPerson},
    Message{At::kStart, kAll, "debug1: Next authentication method: password",
            Says::kAsksPerson},
    Message{At::kStart, kAll,
            "debug1: Next authentication method: keyboard-interactive",
            Says::kAsksPerson},
    Message{At::kStart, kAll, "debug1: read_passphrase: can't open /dev/tty",
            Says::kAsksPerson},

    // ---- masters ----
    // (From 7.8 to 8.2 nothing says so; see SessionCameAbout().)
    Message{At::kStart, kAll,
            "debug1: mux_client_request_session: master session id: ",
            Says::kMasterSession},
    Message{At::kStart, kAll,
            "mux_client_request_session: session request failed: ",
            Says::kFallback},
    Message{At::kStart, kAll,
            "mux_client_request_session: read from master failed",
            Says::kFallback},
    Message{At::kStart, kAll,
            "Master refused session request: ", Says::kFallback},
    Message{At::kStart, kAll, "Control socket connect(", Says::kFallback},
    Message{At::kAnywhere, kAll, "already exists, disabling multiplexing",
            Says::kFallback},
    // (Before 9.4 only of a master that hangs up: for one that is silent ssh
    // waits for ever.)
    Message{At::kStart, kAll, "muxclient: master hello exchange failed",
            Says::kFallback},
    Message{At::kStart, kAll, "mux_client_hello_exchange: ", Says::kFallback},

    // ---- the session ----
    Message{At::kStart, Until(1002),
            "debug1: Requesting authentication agent forwarding.",
            Says::kRequested},
    // "... 0 via auth-agent-req@openssh.com" or "via agent-req"
    Message{At::kStart, Since(1003),
            "debug1: Requesting agent forwarding on channel ",
            Says::kRequested},
    Message{At::kStart, kAll, "debug1: Sending command: ", Says::kCommandSent},
    Message{At::kStart, kAll, "debug1: Remote: ", Says::kServerDebug},

    // ---- host keys ----
    Message{At::kStart, kAll,
            "Agent forwarding is disabled to avoid man-in-the-middle",
            Says::kDisabledByHostKey},
    Message{At::kAnywhere, kAll,
            "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!",
            Says::kHostKeyChanged},
    Message{At::kAnywhere, kAll, "WARNING: REVOKED HOST KEY DETECTED!",
            Says::kHostKeyChanged},
    Message{At::kAnywhere, kAll, "and you have requested strict checking.",
            Says::kHostKeyRefused},
    Message{At::kStart, kAll, "Host key verification failed.",
            Says::kVerification},

    // ---- why there is no connection ----
    Message{At::kStart, kAll, "ssh: Could not resolve hostname ", Says::kFault,
            "name-not-resolved"},
    Message{At::kStart, kAll, "ssh: connect to host ", Says::kConnectFailed},
    Message{At::kStart, kAll, "Connection timed out during banner exchange",
            Says::kFault, "connection-timeout"},
    // "dave@host: Permission denied (publickey)."
    Message{At::kAnywhere, Since(706), ": Permission denied (", Says::kDenied},
    Message{At::kStart, Until(705), "Permission denied (", Says::kDenied},
    Message{At::kAnywhere, kAll, "Too many authentication failures",
            Says::kFault, "authentication-failed"},
    Message{At::kStart, kAll, "Unable to negotiate with ", Says::kFault,
            "protocol-mismatch"},
    Message{At::kStart, kAll, "Bad remote protocol version identification",
            Says::kFault, "protocol-mismatch"},
    Message{At::kStart, kAll, "Protocol major versions differ", Says::kFault,
            "protocol-mismatch"},
    Message{At::kAnywhere, Since(800),
            "banner line contains invalid characters", Says::kFault,
            "protocol-mismatch"},
    Message{At::kAnywhere, Since(800), "No SSH version received in first ",
            Says::kFault, "protocol-mismatch"},
    Message{At::kStart, kAll, "Received disconnect from ", Says::kFault,
            "connection-lost"},
    Message{At::kStart, kAll, "Timeout, server ", Says::kFault,
            "connection-lost"},

    // ---- the inner ssh of a jump, in front of the outer's last words ----
    Message{At::kStart, kAll, "stdio forwarding failed", Says::kJumpFailed},
    Message{At::kStart, kAll,
            "Stdio forwarding request failed: ", Says::kJumpFailed},
    Message{At::kAnywhere, kAll, ": open failed: ", Says::kJumpFailed},
    Message{At::kStart, Since(803), "jumphost loop via ", Says::kFault,
            "proxy-failed"},

    // ---- the end of a connection ----
    Message{At::kStart, Since(800),
            "kex_exchange_identification: ", Says::kLost},
    Message{At::kStart, Until(709),
            "ssh_exchange_identification: ", Says::kLost},
    Message{At::kStart, Since(800), "banner exchange: ", Says::kLost},
    // ... to a ProxyCommand that has ended
    Message{At::kStart, Until(709), "write: ", Says::kLost},
    Message{At::kStart, kAll, "Connection closed by ", Says::kLost},
    Message{At::kStart, kAll, "Connection reset by ", Says::kLost},
    Message{At::kStart, kAll, "Connection to ", Says::kLost},
    Message{At::kStart, kAll, "Disconnected from ", Says::kLost},
    Message{At::kStart, kAll, "ssh_dispatch_run_fatal: ", Says::kLost},
    // "packet_write_wait: Connection to HOST port N: Broken pipe"
    Message{At::kStart, Until(709), "packet_write_", Says::kLost},
    Message{At::kStart, Since(800),
            "client_loop: send disconnect: ", Says::kLost},
    Message{At::kStart, kAll, "Read from remote host ", Says::kLost},

    // ---- nothing ----
    Message{At::kStart, kAll, "debug", Says::kNoise},
    Message{At::kStart, kAll, "Transferred: sent ", Says::kNoise},
    Message{At::kStart, kAll, "Bytes per second: sent ", Says::kNoise},
    Message{At::kStart, kAll, "Killed by signal 1", Says::kNoise},
    // ... of our own file, which goes with us
    Message{At::kStart, kAll, "Warning: Permanently added ", Says::kNoise},
    // ... without GSSAPI
    Message{At::kStart, kAll, "command-line line 0: Unsupported option",
            Says::kNoise},
    // "** WARNING: connection is not using a post-quantum key exchange ..."
    Message{At::kStart, Since(1001), "** ", Says::kNoise},
};

constexpr std::array kServerMessages = {
    // "FILE:LINE: key options: agent-forwarding pty ..."
    ServerMessage{At::kAnywhere, Since(707),
                  ": key options:", ServerSays::kKeyOptions},
    // Up to 10.0 "mkdtemp() failed: ..."; "couldn't create listener socket"
    ServerMessage{At::kStart, kAll,
                  "Agent forwarding disabled: ", ServerSays::kListenerFailed},
    // OpenSSH on Windows.
    ServerMessage{At::kStart,
                  {707, 709},
                  "Agent forwarding not supported",
                  ServerSays::kListenerFailed},
    // Older ones speak of each option by itself, and only of the unusual.
    ServerMessage{At::kStart, Until(706), "Key is restricted.",
                  ServerSays::kRestricted},
    ServerMessage{At::kStart, Until(706), "Forced command.",
                  ServerSays::kForcedCommand},
    ServerMessage{At::kStart, Until(706), "Agent forwarding disabled.",
                  ServerSays::kForwardingOff},
    ServerMessage{At::kStart, Until(706), "Agent forwarding enabled.",
                  ServerSays::kForwardingOn},
};

template <typename Table>
auto Find(const Table& table, std::string_view line) -> const
    typename Table::value_type* {
  const auto found = std::ranges::find_if(table, [line](const auto& message) {
    return message.at == At::kStart
               ? line.starts_with(message.text)
               : line.find(message.text) != std::string_view::npos;
  });
  return found == table.end() ? nullptr : &*found;
}

}  // namespace

const Message* FindMessage(std::string_view line) {
  return Find(kMessages, line);
}

const ServerMessage* FindServerMessage(std::string_view text) {
  return Find(kServerMessages, text);
}

}  // namespace agentdoctor
