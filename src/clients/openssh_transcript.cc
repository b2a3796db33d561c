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

// What strerror() says after "ssh: connect to host H port P: ".
constexpr std::array<std::pair<std::string_view, std::string_view>, 3>
    kConnectErrors = {{{"refused", "connection-refused"},
                       {"timed out", "connection-timeout"},
                       {"", "network-unreachable"}}};

/// What sshd says in place of its version to those it has no time for (sshd.c):
/// MaxStartups from 8.2 to 9.7; since 9.8 that and PerSourcePenalties.
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

/// A key as ssh names it.
OfferedKey ReadOffer(std::string_view identity) {
  const auto is_print = [](std::string_view word) {
    return word.starts_with("SHA256:") || word.starts_with("MD5:");
  };
  OfferedKey offer;
  std::string_view key = KeyOf(identity);
  std::string_view file = identity.substr(0, identity.size() - key.size());
  const std::size_t space = key.find(' ');
  if (space == key.npos || !is_print(key.substr(space + 1))) {
    offer.file = ValidUtf8(identity);
    return offer;
  }
  offer.type = ValidUtf8(key.substr(0, space));
  key.remove_prefix(space + 1);
  const std::size_t end = std::min(key.find(' '), key.size());
  offer.fingerprint = ValidUtf8(key.substr(0, end));
  // Up to 7.8 the file comes last, and whose the key is is not said.
  if (file.empty() && end < key.size())
    file = key.substr(end + 1);
  else
    offer.from_agent = key.ends_with(" agent");
  offer.file = ValidUtf8(Trim(file));
  return offer;
}

/// The length of the longest group that stands at the end twice.
template <typename Item>
std::size_t RepeatedAtEnd(const std::vector<Item>& items) {
  for (std::size_t length = items.size() / 2; length > 0; --length) {
    const auto group = items.end() - static_cast<std::ptrdiff_t>(length);
    if (std::equal(group, items.end(),
                   group - static_cast<std::ptrdiff_t>(length)))
      return length;
  }
  return 0;
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
  const Message* const text = FindMessage(line);
  const Says says = text ? text->says : Says::kNoise;
  const bool message =
      !text ||
      !(says == Says::kNoise || says == Says::kOwnVersion ||
        line.starts_with("debug") || line.starts_with("Authenticated "));
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
      if (greeting_.empty()) greeting_ = ValidUtf8(rest);
      break;
    case Says::kGreetingLine:
      if (greeting_.empty()) greeting_ = ValidUtf8(After(rest, ": "));
      break;
    case Says::kServerVersion:
      BeginConnection(After(line, "remote software version "));
      break;
    case Says::kAcceptsKey:
      AcceptKey(KeyOf(rest));
      break;
    case Says::kAcceptsKind:
      // What it offered last is what the server speaks of.
      AcceptKey(offered_.empty() ? std::string(rest) : offered_);
      break;
    case Says::kAcceptsPrint:
      if (!offers_.empty() && offers_.back().accepted &&
          offers_.back().fingerprint.empty())
        offers_.back().fingerprint = ValidUtf8(rest);
      break;
    case Says::kMethod:
      Authenticate(rest.substr(0, rest.find(')')));
      break;
    case Says::kAuthenticated: {
      const std::string_view method = After(line, " using \"");
      Authenticate(method.substr(0, method.find('"')));
      break;
    }
    case Says::kKnowsKey:
      // The file name may contain anything, but not behind the last " (0x".
      if (agent_files_.size() < kOffers && rest.ends_with(", agent"))
        agent_files_.emplace_back(rest.substr(0, rest.rfind(" (0x")));
      break;
    case Says::kOffersKey:
      OfferKey(ReadOffer(rest), KeyOf(rest));
      break;
    case Says::kOffersKind: {
      const std::size_t type = rest.find(" public key: ");
      if (type == rest.npos) break;
      const std::string_view file = After(rest, " public key: ");
      OfferKey(
          {.type = ValidUtf8(rest.substr(0, type)), .file = ValidUtf8(file)},
          std::string(rest.substr(0, type)) + ' ' + std::string(file));
      break;
    }
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
        GoThroughMaster();
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
    case Says::kOwnVersion:
      break;
  }
  // What a ProxyCommand says before it ends is the reason that it ended.
  if (message && through_proxy_ && transcript_.server_version.empty() &&
      !line.empty() && says != Says::kLost)
    proxy_words_ = ValidUtf8(line);
}

void TranscriptReader::SessionCameAbout() {
  if (!connecting_ && !transcript_.through_master.known()) GoThroughMaster();
}

void TranscriptReader::GoThroughMaster() {
  transcript_.through_master = true;
  transcript_.forwarding_requested =
      Unknown{"a session through a master does not say"};
  in_session_ = true;
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
  told_.clear();
  partial_ = false;
  offered_.clear();
  refused_.clear();
  offers_.clear();
  agent_files_.clear();
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

void TranscriptReader::OfferKey(OfferedKey offer, std::string_view name) {
  offered_ = name;
  tried_file_.clear();
  if (offers_.size() == kOffers) return;
  if (std::ranges::find(agent_files_, offer.file) != agent_files_.end())
    offer.from_agent = true;
  offers_.push_back(std::move(offer));
}

void TranscriptReader::AcceptKey(std::string_view key) {
  // ssh offers one key at a time.
  if (!offers_.empty()) offers_.back().accepted = true;
  transcript_.accepted_key = ValidUtf8(key);
  key_tried_ = false;
  const std::string_view type = key.substr(0, key.find(' '));
  // "ED25519-CERT", or an algorithm: "ssh-ed25519-cert-v01@openssh.com"
  transcript_.accepted_certificate =
      type.ends_with("-CERT") || type.find("-cert-v0") != type.npos;
  // ssh says nothing while a security key waits to be touched.
  if (type.find("-SK") != type.npos)
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
  const ServerMessage* const message = FindServerMessage(text);
  if (!message) return;
  switch (message->says) {
    case ServerSays::kKeyOptions: {
      // `expires` is glued to the word before it.
      const std::size_t at = text.find(message->text);
      const std::string_view options = text.substr(at + message->text.size());
      if (announced_.size() == kAnnounced) return;
      announced_.push_back(
          {.source = ValidUtf8(text.substr(0, at)),
           .options = ValidUtf8(Trim(options)),
           .agent_forwarding = HasWord(options, "agent-forwarding"),
           .forced_command = HasWord(options, "command")});
      UpdateKeyOptions();
      break;
    }
    case ServerSays::kListenerFailed:
      transcript_.listener_failure = ValidUtf8(text);
      break;
    case ServerSays::kRestricted:
    case ServerSays::kForcedCommand:
    case ServerSays::kForwardingOff:
    case ServerSays::kForwardingOn:
      if (told_.size() == kAnnounced) return;
      told_.push_back(message);
      UpdateToldOptions();
      break;
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
  std::size_t group = RepeatedAtEnd(announced_);
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

// Up to 7.6 sshd says nothing of a key without options.  So what was told once
// is of a key that was asked about and not used, unless the one in use was not
// asked about.
void TranscriptReader::UpdateToldOptions() {
  std::size_t group = RepeatedAtEnd(told_);
  if (group == 0 && transcript_.accepted_key.empty()) group = told_.size();
  transcript_.key_options.clear();
  if (group == 0) return;
  KeyOptions options{.agent_forwarding = true};
  for (std::size_t i = told_.size() - group; i < told_.size(); ++i) {
    if (!options.options.empty()) options.options += ' ';
    options.options += told_[i]->text;
    if (told_[i]->says == ServerSays::kForcedCommand)
      options.forced_command = true;
    else
      options.agent_forwarding = told_[i]->says == ServerSays::kForwardingOn;
  }
  transcript_.key_options.push_back(std::move(options));
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
