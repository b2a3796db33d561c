// Every text of OpenSSH's programs that is read, with the releases that say it.
#pragma once

#include <string_view>

namespace agentdoctor {

/// What a line of ssh's standard error means.
enum class Says {
  kNoise,          ///< of -v, or about what only our own options cause
  kOwnVersion,     ///< which ssh this is
  kConnecting,     ///< a connection of its own begins
  kProxy,          ///< ... through a ProxyCommand
  kGreeting,       ///< rest: a line in front of the server's version
  kGreetingLine,   ///< ... with its number in front
  kServerVersion,  ///< rest: the server's software
  kKnowsKey,       ///< rest: a key that it will offer, and whose it is
  kOffersKey,      ///< rest: the key
  kOffersKind,     ///< rest: the key's type and file only
  kTriesFile,      ///< rest: a file that may be a key
  kAcceptsKey,     ///< rest: the key
  kAcceptsKind,    ///< rest: the algorithm only; the key is the one offered
  kAcceptsPrint,   ///< rest: its fingerprint
  kAuthenticated,  ///< the rest may name the method
  kMethod,         ///< rest: the method, and ")."
  kKeyTried,       ///< the accepted key's private half was at hand
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
  kServerDebug,    ///< rest: a message of sshd's, see ServerSays
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

/// The releases that have a text, as 704 for 7.4, the oldest that was looked
/// at; 1005 is the newest.
struct Releases {
  int first = 704;
  int last = 1005;
};

enum class At { kStart, kAnywhere };

struct Message {
  At at;
  Releases releases;
  std::string_view text;
  Says says;
  std::string_view code = {};  ///< of the fault
};

/// The message that a line of ssh's is; null: none that is known.  Texts are
/// known by themselves and not by the release: distributions carry changes
/// back, and a jump host's ssh may be another one.
const Message* FindMessage(std::string_view line);

/// What a line of sshd's means that it sends to the client for -v.
enum class ServerSays {
  kKeyOptions,      ///< all options of one source
  kListenerFailed,  ///< no socket for the forwarded agent
  kRestricted,
  kForcedCommand,
  kForwardingOff,
  kForwardingOn,
};

struct ServerMessage {
  At at;
  Releases releases;
  std::string_view text;
  ServerSays says;
};

/// The same for what stands behind "Remote: ".
const ServerMessage* FindServerMessage(std::string_view text);

/// What `ssh -G -vvv` says about files and blocks (readconf.c); the same in all
/// releases from 7.4 to 10.5.
namespace trace {
inline constexpr std::string_view kReading = "Reading configuration data ";
inline constexpr std::string_view kApplying = ": Applying options for ";
inline constexpr std::string_view kIncluding = ": Including file ";
inline constexpr std::string_view kDepth = " depth ";
inline constexpr std::string_view kChecking = "checking match for '";
inline constexpr std::string_view kMatched = ": matched '";
inline constexpr std::string_view kNotMatched = ": not matched '";
inline constexpr std::string_view kFound = "match found";
inline constexpr std::string_view kNotFound = "match not found";
inline constexpr std::string_view kExecuting = "Executing command: '";
inline constexpr std::string_view kReturned = "command returned status ";
}  // namespace trace

/// Why ssh -G gives no answer.
namespace refusal {
inline constexpr std::string_view kBadCondition = "Bad Match condition";
inline constexpr std::string_view kBadOwner = "Bad owner or permissions on ";
inline constexpr std::string_view kCannotOpen = "Can't open user config file ";
inline constexpr std::string_view kCannotFork =
    "Cannot fork into background without a command";
/// 8.5+
inline constexpr std::string_view kCannotForward =
    "Cannot forward agent socket path";
}  // namespace refusal

/// What `ssh -O check` says of a master that answers.
inline constexpr std::string_view kMasterRunning = "Master running (pid=";

}  // namespace agentdoctor
