#include "clients/openssh_transcript.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>

#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::size_t kMessages = 100;
constexpr std::size_t kLineLength = 2000;
constexpr std::size_t kAnnounced = 64;
constexpr std::size_t kOffers = 100;
constexpr std::string_view kOfferRefused = "key offered and refused: ";

/// What a line of ssh means.
enum class Says {
  kNoise,          ///< of -v, or about what only our own options cause
  kConnecting,     ///< a connection of its own begins
  kProxy,          ///< ... through a ProxyCommand
  kGreeting,       ///< a line in front of the server's version
  kServerVersion,  ///< rest: the server's software
  kAcceptsKey,     ///< rest: the key
  kAuthenticated,  ///< the rest may name the method
  kMethod,         ///< rest: the method, and ")."
  kKeyTried,       ///< the accepted key's private half was at hand
  kOffersKey,      ///< rest: the key
  kTriesFile,      ///< rest: a file that may be a key
  kAgentKeys,      ///< rest: how many the agent has for this server
  kNoAgentKeys,    ///< none
  kSignsNothing,   ///< why no signature was made
  kPartial,        ///< one method of several worked
  kGoesOn,         ///< what was tried did not, or not alone, let us in
  kAsksPerson,
  kMasterSession,  ///< the session goes through a master
  kFallback,       ///< the live master was not used
  kRequested,      ///< agent forwarding was requested
  kCommandSent,    ///< the session begins
  kServerDebug,    ///< rest: a message of sshd's
  kDisabledByHostKey,
  kHostKeyChanged,
  kHostKeyRefused,  ///< the line says for which host
  kVerification,    ///< the last word about a host key
  kDenied,
  kConnectFailed,  ///< "ssh: connect to host H port P: <errno text>"
  kJumpFailed,     ///< the jump host could not reach the next one
  kLost,           ///< the connection ended; something else may say why
  kFault,          ///< `code` says which
};

enum class At { kStart, kAnywhere };

struct Text {
  At at;
  std::string_view text;
  Says says;
  std::string_view code = {};
};

// Every text of ssh that is read, in the order in which they are tried.  The
// releases are those whose source has the text; no number: all since 7.4.
constexpr std::array kTexts = {
    // log.c, ssh.c; "Authenticated" is no debug message since 4.x
    Text{At::kStart, "debug1: Remote protocol version ", Says::kServerVersion},
    // kex.c; before 8.0 by sshconnect.c, without "banner line N"
    Text{At::kStart, "debug1: kex_exchange_identification: banner line ",
         Says::kGreeting},
    Text{At::kStart, "debug1: ssh_exchange_identification: ", Says::kGreeting},
    Text{At::kStart, "debug1: Connecting to ", Says::kConnecting},
    Text{At::kStart, "debug1: Executing proxy command: ", Says::kProxy},
    Text{At::kStart, "debug1: Executing proxy dialer command: ", Says::kProxy},

    // sshconnect2.c.  Since 8.0 the identity as in "Offering public key",
    // before: "pkalg ssh-ed25519 blen 51".
    Text{At::kStart, "debug1: Server accepts key: ", Says::kAcceptsKey},
    Text{At::kStart, "debug1: Offering public key: ", Says::kOffersKey},
    // ... of which no public half is known, if it is there at all
    Text{At::kStart, "debug1: Trying private key: ", Says::kTriesFile},
    // 8.9+
    Text{At::kStart, "debug1: get_agent_identities: agent returned ",
         Says::kAgentKeys},
    Text{At::kStart,
         "debug1: get_agent_identities: ssh_fetch_identitylist: agent contains "
         "no identities",
         Says::kNoAgentKeys},
    // <= 8.5: the method stands here, and not in "Authenticated to"
    Text{At::kStart, "debug1: Authentication succeeded (", Says::kMethod},
    // <= 8.5; then: `Authenticated using "publickey" with partial success.`
    Text{At::kStart, "Authenticated with partial success.", Says::kPartial},
    Text{At::kStart, "Authenticated using ", Says::kPartial},
    Text{At::kStart, "Authenticated to ", Says::kAuthenticated},
    Text{At::kStart, "sign_and_send_pubkey: signing failed", Says::kKeyTried},
    // 7.7+
    Text{At::kStart, "sign_and_send_pubkey: no mutual signature",
         Says::kSignsNothing},
    Text{At::kAnywhere, " returned incorrect signature type",
         Says::kSignsNothing},
    Text{At::kStart,
         "debug1: Authentications that can continue: ", Says::kGoesOn},
    // 8.2+, where standard error is a terminal or with -v -v -v
    Text{At::kStart, "Confirm user presence for key ", Says::kAsksPerson},
    Text{At::kStart, "debug1: Next authentication method: password",
         Says::kAsksPerson},
    Text{At::kStart, "debug1: Next authentication method: keyboard-interactive",
         Says::kAsksPerson},
    Text{At::kStart, "debug1: read_passphrase: can't open /dev/tty",
         Says::kAsksPerson},

    // mux.c; function names in front, by __func__ (<= 8.4) and debug_f()
    Text{At::kStart, "debug1: mux_client_request_session: master session id: ",
         Says::kMasterSession},
    Text{At::kStart, "mux_client_request_session: session request failed: ",
         Says::kFallback},
    Text{At::kStart, "mux_client_request_session: read from master failed",
         Says::kFallback},
    Text{At::kStart, "Master refused session request: ", Says::kFallback},
    Text{At::kStart, "Control socket connect(", Says::kFallback},
    Text{At::kAnywhere, "already exists, disabling multiplexing",
         Says::kFallback},
    // 9.4+ (before, ssh waits for ever)
    Text{At::kStart, "muxclient: master hello exchange failed",
         Says::kFallback},
    Text{At::kStart, "mux_client_hello_exchange: ", Says::kFallback},

    // clientloop.c: <= 10.2, then 10.3+
    Text{At::kStart, "debug1: Requesting authentication agent forwarding.",
         Says::kRequested},
    Text{At::kStart, "debug1: Requesting agent forwarding on channel ",
         Says::kRequested},
    Text{At::kStart, "debug1: Sending command: ", Says::kCommandSent},
    Text{At::kStart, "debug1: Remote: ", Says::kServerDebug},

    // sshconnect.c: host keys
    Text{At::kStart, "Agent forwarding is disabled to avoid man-in-the-middle",
         Says::kDisabledByHostKey},
    Text{At::kAnywhere, "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!",
         Says::kHostKeyChanged},
    Text{At::kAnywhere, "WARNING: REVOKED HOST KEY DETECTED!",
         Says::kHostKeyChanged},
    Text{At::kAnywhere, "and you have requested strict checking.",
         Says::kHostKeyRefused},
    Text{At::kStart, "Host key verification failed.", Says::kVerification},

    // ssh.c, sshconnect.c, packet.c: why there is no connection
    Text{At::kStart, "ssh: Could not resolve hostname ", Says::kFault,
         "name-not-resolved"},
    Text{At::kStart, "ssh: connect to host ", Says::kConnectFailed},
    Text{At::kStart, "Connection timed out during banner exchange",
         Says::kFault, "connection-timeout"},
    Text{At::kAnywhere, ": Permission denied (", Says::kDenied},
    // <= 7.6
    Text{At::kStart, "Permission denied (", Says::kDenied},
    Text{At::kAnywhere, "Too many authentication failures", Says::kFault,
         "authentication-failed"},
    Text{At::kStart, "Unable to negotiate with ", Says::kFault,
         "protocol-mismatch"},
    Text{At::kStart, "Bad remote protocol version identification", Says::kFault,
         "protocol-mismatch"},
    Text{At::kStart, "Protocol major versions differ", Says::kFault,
         "protocol-mismatch"},
    Text{At::kAnywhere, "banner line contains invalid characters", Says::kFault,
         "protocol-mismatch"},
    Text{At::kAnywhere, "No SSH version received in first ", Says::kFault,
         "protocol-mismatch"},
    Text{At::kStart, "Received disconnect from ", Says::kFault,
         "connection-lost"},
    Text{At::kStart, "Timeout, server ", Says::kFault, "connection-lost"},

    // The inner ssh of a jump, in front of the outer's own last words.
    Text{At::kStart, "stdio forwarding failed", Says::kJumpFailed},
    Text{At::kStart, "Stdio forwarding request failed: ", Says::kJumpFailed},
    Text{At::kAnywhere, ": open failed: ", Says::kJumpFailed},
    Text{At::kStart, "jumphost loop via ", Says::kFault, "proxy-failed"},

    // 7.x: ssh_exchange_identification
    Text{At::kStart, "kex_exchange_identification: ", Says::kLost},
    Text{At::kStart, "ssh_exchange_identification: ", Says::kLost},
    Text{At::kStart, "banner exchange: ", Says::kLost},
    Text{At::kStart, "Connection closed by ", Says::kLost},
    Text{At::kStart, "Connection reset by ", Says::kLost},
    Text{At::kStart, "Connection to ", Says::kLost},
    Text{At::kStart, "Disconnected from ", Says::kLost},
    Text{At::kStart, "ssh_dispatch_run_fatal: ", Says::kLost},
    Text{At::kStart, "client_loop: send disconnect: ", Says::kLost},
    Text{At::kStart, "Read from remote host ", Says::kLost},

    Text{At::kStart, "debug", Says::kNoise},
    Text{At::kStart, "OpenSSH_", Says::kNoise},
    Text{At::kStart, "Transferred: sent ", Says::kNoise},
    Text{At::kStart, "Bytes per second: sent ", Says::kNoise},
    Text{At::kStart, "Killed by signal 1", Says::kNoise},
    // ... of our own file, which goes with us
    Text{At::kStart, "Warning: Permanently added ", Says::kNoise},
    // ... without GSSAPI
    Text{At::kStart, "command-line line 0: Unsupported option", Says::kNoise},
};

// What strerror() says after "ssh: connect to host H port P: ".
constexpr std::array<std::pair<std::string_view, std::string_view>, 3>
    kConnectErrors = {{{"refused", "connection-refused"},
                       {"timed out", "connection-timeout"},
                       {"", "network-unreachable"}}};

const Text* Find(std::string_view line) {
  const auto found = std::ranges::find_if(kTexts, [line](const Text& text) {
    return text.at == At::kStart ? line.starts_with(text.text)
                                 : line.find(text.text) != line.npos;
  });
  return found == kTexts.end() ? nullptr : &*found;
}

/// What sshd says in place of its version to those it has no time for (sshd.c:
/// MaxStartups, since 9.8 PerSourcePenalties).
bool IsSshdsGreeting(std::string_view greeting) {
  return greeting.starts_with("Exceeded MaxStartups") ||
         greeting.starts_with("Not allowed at this time");
}

std::string_view After(std::string_view line, std::string_view text) {
  const std::size_t at = line.find(text);
  return at == line.npos ? std::string_view() : line.substr(at + text.size());
}

/// "/home/u/.ssh/id ED25519 SHA256:... explicit agent" without the file name or
/// the comment in front, which may contain anything.
std::string_view KeyOf(std::string_view identity) {
  std::size_t print = identity.rfind(" SHA256:");
  if (print == identity.npos) print = identity.rfind(" MD5:");
  if (print != identity.npos && print > 0) {
    const std::size_t type = identity.rfind(' ', print - 1);
    if (type != identity.npos) identity.remove_prefix(type + 1);
  }
  return identity;
}

bool HasWord(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != text.npos;
       at = text.find(word, at + 1))
    if (at == 0 || text[at - 1] == ' ') return true;
  return false;
}

}  // namespace

void TranscriptReader::Line(std::string_view line) {
  line = line.substr(0, kLineLength);
  if (line.ends_with('\r')) line.remove_suffix(1);
  last_line_ = line;
  const Text* text = Find(line);
  const Says says = text ? text->says : Says::kNoise;
  const bool message =
      !text || !(says == Says::kNoise || line.starts_with("debug") ||
                 line.starts_with("Authenticated "));
  if (message && !line.empty() && transcript_.messages.size() < kMessages)
    transcript_.messages.push_back(ValidUtf8(line));

  // From here on the remote program writes to standard error, too: only what
  // the server could say by itself anyway is still believed.
  if (in_session_ && says != Says::kServerDebug && says != Says::kFault &&
      says != Says::kLost)
    return;

  const std::string_view rest = text ? After(line, text->text) : line;
  switch (says) {
    case Says::kConnecting:
      connecting_ = true;
      break;
    case Says::kProxy:
      connecting_ = true;
      through_proxy_ = true;
      break;
    case Says::kGreeting:
      if (greeting_.empty())
        greeting_ =
            ValidUtf8(text->text.ends_with("line ") ? After(rest, ": ") : rest);
      break;
    case Says::kServerVersion:
      BeginConnection(After(line, "remote software version "));
      break;
    case Says::kAcceptsKey:
      AcceptKey(rest);
      break;
    case Says::kMethod:
      Authenticate(rest.substr(0, rest.find(')')));
      break;
    case Says::kAuthenticated: {
      const std::string_view method = After(line, " using \"");
      Authenticate(method.substr(0, method.find('"')));
      break;
    }
    case Says::kOffersKey:
      OfferKey(rest);
      break;
    case Says::kTriesFile:
      tried_file_ = ValidUtf8(rest);
      break;
    case Says::kAgentKeys: {
      int keys = 0;
      const char* const end = rest.data() + rest.size();
      if (std::from_chars(rest.data(), end, keys).ec == std::errc())
        agent_keys_ = keys;
      break;
    }
    case Says::kNoAgentKeys:
      agent_keys_ = 0;
      break;
    case Says::kSignsNothing:
      signing_failure_ = ValidUtf8(line);
      break;
    case Says::kPartial:
      key_tried_ = true;
      partial_ = true;
      offered_.clear();
      break;
    case Says::kKeyTried:
      signing_failure_ = ValidUtf8(line);
      [[fallthrough]];
    case Says::kGoesOn:
      key_tried_ = true;
      RefuseKey();
      break;
    case Says::kAsksPerson:
      AskPerson(line);
      break;
    case Says::kMasterSession:
      // A banner of a fresh connection's server may say so, too.
      if (!connecting_) {
        transcript_.through_master = true;
        transcript_.forwarding_requested =
            Unknown{"a session through a master does not say"};
        in_session_ = true;
        said_before_ = transcript_.messages.size();
      }
      break;
    case Says::kFallback:
      if (transcript_.fallback.empty() && !connecting_)
        transcript_.fallback = ValidUtf8(line);
      break;
    case Says::kRequested:
      transcript_.forwarding_requested = true;
      break;
    case Says::kCommandSent:
      if (!transcript_.forwarding_requested.known())
        transcript_.forwarding_requested = false;
      in_session_ = true;
      break;
    case Says::kServerDebug:
      HearServer(rest);
      break;
    case Says::kDisabledByHostKey:
      transcript_.disabled_by_host_key = true;
      break;
    case Says::kHostKeyChanged:
      host_key_code_ = "host-key-changed";
      break;
    case Says::kHostKeyRefused:
    case Says::kVerification:
      BlameHostKey(line);
      break;
    case Says::kDenied:
      DenyLogin(line);
      break;
    case Says::kConnectFailed: {
      const std::string_view error = line.substr(line.rfind(": "));
      for (const auto& [words, code] : kConnectErrors) {
        if (error.find(words) == error.npos) continue;
        Blame(std::string(code), line);
        break;
      }
      break;
    }
    case Says::kJumpFailed:
      // A session channel of our own that is refused is no matter of the way:
      // the server lets us in and gives no session (MaxSessions 0).
      if (through_proxy_ && transcript_.server_version.empty())
        Blame("host-unreachable-through-jump", line);
      else if (transcript_.authenticated && line.starts_with("channel 0: "))
        Blame("connection-lost", line);
      break;
    case Says::kFault:
      Blame(std::string(text->code), line);
      break;
    case Says::kLost: {
      const bool no_banner = transcript_.server_version.empty();
      if (line.ends_with(" timed out"))
        Blame("connection-timeout", line);
      else if (line.ends_with(": invalid format"))
        Blame("protocol-mismatch", line);
      else if (no_banner && !greeting_.empty())
        Blame(IsSshdsGreeting(greeting_) ? "connection-lost"
                                         : "protocol-mismatch",
              greeting_);
      else if (!weak_fault_)
        weak_fault_ = {
            through_proxy_ && no_banner ? "proxy-failed" : "connection-lost",
            through_proxy_ && no_banner && !proxy_words_.empty()
                ? proxy_words_
                : ValidUtf8(line)};
      break;
    }
    case Says::kNoise:
      break;
  }
  // What a ProxyCommand says before it ends is the reason that it ended.
  if (message && through_proxy_ && transcript_.server_version.empty() &&
      !line.empty() && says != Says::kLost)
    proxy_words_ = ValidUtf8(line);
}

std::optional<TransportFault> TranscriptReader::Fault() const {
  return fault_ ? fault_ : weak_fault_;
}

std::string TranscriptReader::AfterLogin() const {
  constexpr std::size_t kEnough = 1000;
  std::string text;
  for (std::size_t i = said_before_; i < transcript_.messages.size(); ++i) {
    const std::string& line = transcript_.messages[i];
    // ssh's own last words
    if (line.starts_with("Connection to ")) continue;
    if (text.size() + line.size() > kEnough) break;
    text += (text.empty() ? "" : "\n") + line;
  }
  return text;
}

// A user's own `ProxyCommand ssh -v` speaks first; what it says about its own
// login is forgotten when the next server answers.
void TranscriptReader::BeginConnection(std::string_view version) {
  transcript_.server_version = ValidUtf8(version);
  transcript_.authenticated = false;
  transcript_.accepted_key.clear();
  transcript_.accepted_certificate = false;
  transcript_.auth_method.clear();
  transcript_.key_options.clear();
  announced_.clear();
  partial_ = false;
  offered_.clear();
  refused_.clear();
  offers_.clear();
  agent_keys_.reset();
  tried_file_.clear();
  signing_failure_.clear();
  greeting_.clear();
  fault_.reset();
  weak_fault_.reset();
}

// A file that is not there is passed over without a word of the server's.
void TranscriptReader::JudgeTriedFile(bool accepted) {
  if (!tried_file_.empty() && offers_.size() < kOffers)
    offers_.push_back({.file = tried_file_, .accepted = accepted});
  tried_file_.clear();
}

void TranscriptReader::RefuseKey() {
  JudgeTriedFile(false);
  constexpr std::size_t kRefused = 20;
  if (!offered_.empty() && refused_.size() < kRefused)
    refused_.push_back(offered_);
  offered_.clear();
}

void TranscriptReader::OfferKey(std::string_view identity) {
  const std::string_view key = KeyOf(identity);
  offered_ = key;
  tried_file_.clear();
  if (offers_.size() == kOffers) return;
  OfferedKey offer;
  offer.file =
      ValidUtf8(Trim(identity.substr(0, identity.size() - key.size())));
  const std::size_t space = key.find(' ');
  if (offer.file.empty() || space == key.npos) {
    offer.file = ValidUtf8(identity);
  } else {
    const std::string_view print = key.substr(space + 1);
    offer.type = ValidUtf8(key.substr(0, space));
    offer.fingerprint = ValidUtf8(print.substr(0, print.find(' ')));
    offer.from_agent = print.ends_with(" agent");
  }
  offers_.push_back(std::move(offer));
}

void TranscriptReader::AcceptKey(std::string_view identity) {
  identity = KeyOf(identity);
  // ssh offers one key at a time.
  if (!offers_.empty()) offers_.back().accepted = true;
  transcript_.accepted_key = ValidUtf8(identity);
  key_tried_ = false;
  const std::string_view type = identity.substr(0, identity.find(" SHA256:"));
  // "ED25519-CERT", "pkalg ssh-ed25519-cert-v01@openssh.com blen 400"
  transcript_.accepted_certificate =
      type.ends_with("-CERT") || identity.find("-cert-v0") != identity.npos;
  // ssh says nothing while a security key waits to be touched.
  if (type.find("-SK") != type.npos || identity.find("sk-ssh-") == 0 ||
      identity.find(" sk-") != identity.npos)
    AskPerson("touch your security key: " + transcript_.accepted_key);
}

void TranscriptReader::Authenticate(std::string_view method) {
  transcript_.authenticated = true;
  said_before_ = transcript_.messages.size();
  JudgeTriedFile(method == "publickey");
  if (!method.empty()) transcript_.auth_method = ValidUtf8(method);
  if (!transcript_.through_master.known()) transcript_.through_master = false;
  fault_.reset();
  weak_fault_.reset();
}

void TranscriptReader::HearServer(std::string_view text) {
  constexpr std::string_view kOptions = ": key options:";
  constexpr std::string_view kListener = "Agent forwarding disabled: ";
  if (const std::size_t at = text.find(kOptions); at != text.npos) {
    // sshd 7.7+.  `expires` is glued to the word before it.
    const std::string_view options = text.substr(at + kOptions.size());
    if (announced_.size() < kAnnounced)
      announced_.push_back(
          {.source = ValidUtf8(text.substr(0, at)),
           .options = ValidUtf8(Trim(options)),
           .agent_forwarding = HasWord(options, "agent-forwarding"),
           .forced_command = HasWord(options, "command")});
    UpdateKeyOptions();
  } else if (text.starts_with(kListener) ||
             text.starts_with("Agent forwarding not supported")) {
    // 10.1+: "couldn't create listener socket"; before: "mkdtemp() failed:
    // ...". Windows, 7.7 to 7.9: "Agent forwarding not supported yet in
    // Windows".
    transcript_.listener_failure = ValidUtf8(text);
  } else if (text == "Key is restricted." || text == "Forced command." ||
             text == "Agent forwarding disabled." ||
             text == "Agent forwarding enabled.") {
    // sshd <= 7.6 speaks of each option by itself, and only of the unusual.
    if (transcript_.key_options.empty())
      transcript_.key_options.push_back({.agent_forwarding = true});
    KeyOptions& options = transcript_.key_options.front();
    if (!options.options.empty()) options.options += ' ';
    if (options.options.size() < kLineLength)
      options.options += ValidUtf8(text);
    if (text == "Forced command.")
      options.forced_command = true;
    else
      options.agent_forwarding = text.ends_with("enabled.");
  }
}

// Each key that the server accepts is announced once for the query and once
// for the signature, in one line per source (file:line, cert, principals; a
// certificate listed in authorized_keys has two for the same line).  Keys that
// were accepted and then not used come before.  So the group that counts is
// the longest that stands at the end twice; without one, a key was used
// without a query, and the last line counts with its companion.
void TranscriptReader::UpdateKeyOptions() {
  const std::size_t size = announced_.size();
  std::size_t group = 0;
  for (std::size_t length = size / 2; length > 0 && group == 0; --length)
    if (std::equal(announced_.end() - static_cast<std::ptrdiff_t>(length),
                   announced_.end(),
                   announced_.end() - static_cast<std::ptrdiff_t>(2 * length)))
      group = length;
  if (group == 0) {
    group = 1;
    const auto companions = [this](std::size_t one, std::size_t other) {
      const std::string& a = announced_[one].source;
      const std::string& b = announced_[other].source;
      const auto of_certificate = [](const std::string& source) {
        return source == "cert" || source == "principals";
      };
      return a == b || (of_certificate(a) && of_certificate(b));
    };
    if (size > 1 && companions(size - 2, size - 1)) group = 2;
  }
  transcript_.key_options.clear();
  for (std::size_t i = size - group; i < size; ++i)
    if (std::ranges::find(transcript_.key_options, announced_[i]) ==
        transcript_.key_options.end())
      transcript_.key_options.push_back(announced_[i]);
}

void TranscriptReader::BlameHostKey(std::string_view line) {
  Blame(host_key_code_.empty() ? "host-key-unknown" : host_key_code_, line);
}

// "dave@host: Permission denied (publickey,password)."
void TranscriptReader::DenyLogin(std::string_view line) {
  const std::string_view methods = line.substr(line.rfind('('));
  // BatchMode leaves out what would ask for a password or a code, silently.
  // Most servers would take a password, so a key that was refused outright is
  // the better reason.  A key that the server accepted and ssh then did not try
  // has a passphrase.
  const bool asks = methods.find("password") != methods.npos ||
                    methods.find("keyboard-interactive") != methods.npos;
  const bool person = (asks && (refused_.empty() || partial_)) ||
                      !transcript_.asked_person.empty() ||
                      (!transcript_.accepted_key.empty() && !key_tried_);
  // The offers are what the denial answers, so they stand in front of it.
  for (const std::string& key : refused_)
    if (!transcript_.messages.empty())
      transcript_.messages.insert(transcript_.messages.end() - 1,
                                  std::string(kOfferRefused) + ValidUtf8(key));
  Blame(person ? "interaction-needed" : "authentication-failed", line);
}

// The first one is the cause: behind it come the last words of whoever was
// waiting for it.
void TranscriptReader::Blame(std::string code, std::string_view line) {
  if (!fault_) fault_ = {std::move(code), ValidUtf8(line)};
}

void TranscriptReader::AskPerson(std::string_view line) {
  constexpr std::string_view kDebug = "debug1: ";
  if (line.starts_with(kDebug)) line.remove_prefix(kDebug.size());
  if (transcript_.asked_person.empty())
    transcript_.asked_person = ValidUtf8(line);
}

}  // namespace agentdoctor
