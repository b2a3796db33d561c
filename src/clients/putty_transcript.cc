#include "clients/putty_transcript.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>
#include <utility>

#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::size_t kMessages = 100;
constexpr std::size_t kLineLength = 2000;
constexpr std::size_t kKeys = 100;

/// What a line of plink means.
enum class Event {
  kNoise,         ///< of -v
  kNoiseAndNext,  ///< ... and the line behind it, too
  kShared,        ///< an upstream takes the connection
  kFallback,      ///< none could be used
  kConnecting,    ///< a connection of its own begins
  kServerVersion,
  kAgentKeys,      ///< rest: how many the agent has
  kAgentSilent,    ///< the agent did not answer
  kReadsKeyFile,   ///< rest: its name, and a quote
  kTriesAgentKey,  ///< rest: its place in the agent's list
  kOffersFile,
  kAccepted,  ///< the server knows the key
  kRefused,
  kSigns,        ///< rest: the key's comment
  kMethod,       ///< password or keyboard-interactive
  kGranted,      ///< logged in
  kOpened,       ///< a session
  kForwards,     ///< the server's answer: yes
  kForwardsNot,  ///< ... no; of an upstream it may be its own
  kCommandSent,
  kServerDebug,  ///< rest: a message of sshd's
  kHostKeyUnknown,
  kHostKeyChanged,
  kOpenFailed,  ///< the next line says why
  kFatal,       ///< rest: the last words
};

struct EventText {
  std::string_view text;  ///< what the line begins with
  Event says;
};

// Every text of plink that is read, in the order in which they are tried.
// 0.78; those of agent forwarding are the same since 0.71.
constexpr std::array kTexts = {
    // ssh/sharing.c, ssh/ssh.c
    EventText{"Using existing shared connection at ", Event::kShared},
    EventText{"Reusing a shared connection to this server.", Event::kNoise},
    EventText{"Could not set up connection sharing", Event::kFallback},
    EventText{"Sharing this connection at ", Event::kNoise},

    // proxy/proxy.c, utils/backend_socket_log.c, ssh/verstring.c
    EventText{"Looking up host ", Event::kConnecting},
    EventText{"Leaving host lookup to proxy ", Event::kConnecting},
    EventText{"Connecting to ", Event::kConnecting},
    EventText{"Will use ", Event::kConnecting},
    EventText{"Starting local proxy command: ", Event::kConnecting},
    EventText{"Connected to ", Event::kNoise},
    EventText{"Failed to connect to ", Event::kNoise},
    EventText{"We claim version: ", Event::kNoise},
    EventText{"Remote version: ", Event::kServerVersion},
    EventText{"We believe remote version ", Event::kNoise},
    EventText{"Using SSH protocol version ", Event::kNoise},

    // ssh/transport2.c, ssh/kex2-client.c
    EventText{"Enabling strict key exchange semantics", Event::kNoise},
    EventText{"Doing ", Event::kNoise},
    EventText{"Host key fingerprint is:", Event::kNoiseAndNext},
    EventText{"Initialised ", Event::kNoise},
    EventText{"Server also has ", Event::kNoise},
    EventText{"Remote debug message: ", Event::kServerDebug},

    // ssh/common.c: host keys
    EventText{"The host key is not cached for this server:",
              Event::kHostKeyUnknown},
    // <= 0.77
    EventText{"The server's host key is not cached", Event::kHostKeyUnknown},
    EventText{"WARNING - POTENTIAL SECURITY BREACH!", Event::kHostKeyChanged},

    // ssh/userauth2-client.c
    EventText{"Reading key file \"", Event::kReadsKeyFile},
    EventText{"Pageant is running. Requesting keys.", Event::kNoise},
    EventText{"Pageant has ", Event::kAgentKeys},
    EventText{"Failed to get reply from Pageant", Event::kAgentSilent},
    EventText{"Pageant key #", Event::kNoise},
    EventText{"Configured key file not in Pageant", Event::kNoise},
    EventText{"Trying Pageant key #", Event::kTriesAgentKey},
    EventText{"Offered public key", Event::kOffersFile},
    EventText{"Offer of public key accepted", Event::kAccepted},
    EventText{"Server refused our key", Event::kRefused},
    EventText{"Authenticating with public key \"", Event::kSigns},
    EventText{"Sending Pageant's response", Event::kNoise},
    EventText{"Sent public key signature", Event::kNoise},
    EventText{"Using username \"", Event::kNoise},
    EventText{"Attempting keyboard-interactive authentication", Event::kMethod},
    EventText{"Server refused keyboard-interactive authentication",
              Event::kNoise},
    EventText{"Sent password", Event::kMethod},
    EventText{"Access granted", Event::kGranted},

    // ssh/connection2-client.c, ssh/mainchan.c
    EventText{"Opening main session channel", Event::kNoise},
    EventText{"Opened main channel", Event::kOpened},
    EventText{"Agent forwarding enabled", Event::kForwards},
    EventText{"Agent forwarding refused", Event::kForwardsNot},
    EventText{"Started a shell/command", Event::kCommandSent},
    EventText{"Session sent command exit status ", Event::kNoise},
    EventText{"Main session channel closed", Event::kNoise},
    EventText{"Forwarded port closed", Event::kNoise},
    EventText{"All channels closed", Event::kNoise},

    // unix/plink.c, console.c
    EventText{"Unable to open connection:", Event::kOpenFailed},
    EventText{"FATAL ERROR: ", Event::kFatal},
};

/// What is in plink's last words.
struct Cause {
  std::string_view text;
  std::string_view code;
};

constexpr std::array kCauses = {
    // getaddrinfo's
    Cause{"Name or service not known", "name-not-resolved"},
    Cause{"Temporary failure in name resolution", "name-not-resolved"},
    Cause{"No address associated with hostname", "name-not-resolved"},
    Cause{"nodename nor servname provided", "name-not-resolved"},
    Cause{"Host does not exist", "name-not-resolved"},
    Cause{"Proxy error", "proxy-failed"},
    Cause{"Connection refused", "connection-refused"},
    Cause{"Connection timed out", "connection-timeout"},
    Cause{"No route to host", "network-unreachable"},
    Cause{"Network is unreachable", "network-unreachable"},
    // The list in the session is what the user trusts: whatever else the
    // server shows is another key than that.
    Cause{"Host key not in manually configured list", "host-key-changed"},
    Cause{"No supported authentication methods available",
          "authentication-failed"},
    Cause{"Too many authentication failures", "authentication-failed"},
    Cause{"Couldn't agree a ", "protocol-mismatch"},
    Cause{"Cannot confirm a weak ", "protocol-mismatch"},
    Cause{"Remote side did not send any version", "protocol-mismatch"},
    Cause{"", "connection-lost"},
};

const EventText* Find(std::string_view line) {
  const auto* const found = std::ranges::find_if(
      kTexts,
      [line](const EventText& text) { return line.starts_with(text.text); });
  return found == kTexts.end() ? nullptr : found;
}

std::optional<std::size_t> Number(std::string_view text) {
  std::size_t number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec !=
      std::errc())
    return std::nullopt;
  return number;
}

/// "OpenSSH_9.2p1 Debian-2" of "SSH-2.0-OpenSSH_9.2p1 Debian-2", and of what an
/// upstream makes of it, "SSHCONNECTION@putty...-2.0-OpenSSH_9.2p1 Debian-2".
std::string_view Software(std::string_view version) {
  for (int i = 0; i < 2; ++i) {
    const std::size_t dash = version.find('-');
    if (dash == version.npos) return {};
    version.remove_prefix(dash + 1);
  }
  return version;
}

}  // namespace

void PuttyTranscriptReader::Line(std::string_view line) {
  line = line.substr(0, kLineLength);
  if (line.ends_with('\r')) line.remove_suffix(1);
  last_line_ = line;
  if (std::exchange(skip_next_, false)) return;
  const EventText* text = Find(line);
  const std::string_view rest = text ? line.substr(text->text.size()) : line;
  if (std::exchange(open_failed_, false)) {
    Fatal(line);
    return;
  }
  // The last words are the fault itself.
  const bool message = !text || text->says == Event::kHostKeyUnknown ||
                       text->says == Event::kHostKeyChanged ||
                       text->says == Event::kOpenFailed;
  if (message && !line.empty() && transcript_.messages.size() < kMessages)
    transcript_.messages.push_back(ValidUtf8(line));
  if (!text) return;

  // From here on the remote program writes to standard error, too: only what
  // the server could say by itself anyway is still believed.
  if (in_session_ && text->says != Event::kServerDebug &&
      text->says != Event::kFatal)
    return;

  switch (text->says) {
    case Event::kNoise:
      break;
    case Event::kNoiseAndNext:
      skip_next_ = true;
      break;
    case Event::kShared:
      if (!connecting_) shared_ = true;
      break;
    case Event::kFallback:
      if (transcript_.fallback.empty() && !connecting_)
        transcript_.fallback = ValidUtf8(line);
      break;
    case Event::kConnecting:
      connecting_ = true;
      break;
    case Event::kServerVersion:
      server_version_ = ValidUtf8(Software(rest));
      // An upstream greets by itself; that shows nothing of the server yet.
      if (!shared_) transcript_.server_version = server_version_;
      break;
    case Event::kAgentKeys:
      agent_keys_ = Number(rest);
      break;
    case Event::kAgentSilent:
      agent_keys_ = 0;
      break;
    case Event::kReadsKeyFile:
      read_file_ = ValidUtf8(rest.substr(0, rest.rfind('"')));
      break;
    case Event::kTriesAgentKey:
      tried_key_ = Number(rest);
      break;
    case Event::kOffersFile:
      tried_key_.reset();
      break;
    case Event::kAccepted:
      key_accepted_ = true;
      break;
    case Event::kRefused:
      key_refused_ = true;
      // It is said twice where there is a key file.
      if (tried_key_ && refused_.size() < kKeys)
        refused_.push_back(*tried_key_);
      tried_key_.reset();
      break;
    case Event::kSigns:
      key_accepted_ = true;
      agent_key_ = tried_key_;
      signed_with_ = tried_key_ ? "" : read_file_;
      transcript_.accepted_key =
          ValidUtf8(rest.substr(0, std::min(rest.rfind('"'), rest.size())));
      transcript_.auth_method = "publickey";
      break;
    case Event::kMethod:
      transcript_.auth_method = rest.empty() && line.starts_with("Sent")
                                    ? "password"
                                    : "keyboard-interactive";
      break;
    case Event::kGranted:
      transcript_.authenticated = true;
      transcript_.through_master = false;
      fault_.reset();
      break;
    case Event::kOpened:
      transcript_.through_master = shared_;
      transcript_.server_version = server_version_;
      break;
    case Event::kForwards:
    case Event::kForwardsNot: {
      const bool granted = text->says == Event::kForwards;
      transcript_.forwarding_requested = true;
      // An upstream that forwards nothing refuses by itself, and sshd refuses
      // what it has granted before on the same connection.
      if (!shared_)
        transcript_.forwarding_granted = granted;
      else if (!granted)
        transcript_.messages.push_back(ValidUtf8(line));
      break;
    }
    case Event::kCommandSent:
      if (!transcript_.forwarding_requested.known())
        transcript_.forwarding_requested = false;
      in_session_ = true;
      break;
    case Event::kServerDebug:
      sshd_.Line("debug1: Remote: " + std::string(rest));
      transcript_.key_options = sshd_.transcript().key_options;
      transcript_.listener_failure = sshd_.transcript().listener_failure;
      break;
    case Event::kHostKeyUnknown:
      host_key_code_ = "host-key-unknown";
      break;
    case Event::kHostKeyChanged:
      host_key_code_ = "host-key-changed";
      break;
    case Event::kOpenFailed:
      open_failed_ = true;
      break;
    case Event::kFatal:
      Fatal(rest);
      break;
  }
}

std::optional<TransportFault> PuttyTranscriptReader::Fault() const {
  return fault_;
}

void PuttyTranscriptReader::Fatal(std::string_view message) {
  constexpr std::string_view kNoPrompt =
      "Cannot answer interactive prompts in batch mode";
  if (message == kNoPrompt) {
    NoPrompt(message);
  } else if (message == "Cannot confirm a host key in batch mode") {
    Blame(host_key_code_.empty() ? "host-key-unknown" : host_key_code_,
          message);
  } else {
    const auto* const cause =
        std::ranges::find_if(kCauses, [message](const Cause& known) {
          return message.find(known.text) != message.npos;
        });
    Blame(std::string(cause->code), message);
  }
}

// Most servers would take a password, so a key that was refused outright is the
// better reason.  A key that the server accepted has a passphrase.
void PuttyTranscriptReader::NoPrompt(std::string_view message) {
  const bool person = key_accepted_ || !key_refused_;
  if (person && transcript_.asked_person.empty())
    transcript_.asked_person = ValidUtf8(message);
  Blame(person ? "interaction-needed" : "authentication-failed", message);
}

void PuttyTranscriptReader::Blame(std::string code, std::string_view message) {
  if (!fault_) fault_ = {std::move(code), ValidUtf8(message)};
}

}  // namespace agentdoctor
