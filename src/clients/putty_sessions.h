// PuTTY's saved sessions as Unix PuTTY keeps and reads them: where they are,
// what stands in them, and what plink makes of a destination (0.78:
// unix/storage.c, settings.c, cmdline.c, utils/sessprep.c).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/facts.h"

namespace agentdoctor {

/// Where PuTTY keeps what it remembers.
struct PuttyPlaces {
  std::string sessions = {};   ///< a folder, a file for each session
  std::string host_keys = {};  ///< the host key cache
};

/// By PUTTYDIR, PUTTYSESSIONS, PUTTYSSHHOSTKEYS, XDG_CONFIG_HOME and the home
/// folder, as PuTTY looks for them.
PuttyPlaces FindPuttyPlaces();

/// "my%20session" for "my session", and back.
std::string SessionFileName(std::string_view name);
std::string SessionName(std::string_view file_name);

/// "Default Settings": what holds where no saved session is loaded.  A session
/// inherits nothing from it but protocol and port.
inline constexpr std::string_view kDefaultSettings = "Default Settings";

/// A file of settings.
struct PuttySettings {
  struct Value {
    std::string text = {};
    int line = 0;
  };
  std::string name = {};
  std::string file = {};  ///< empty: there is none, every default holds
  std::int64_t modified = 0;
  std::string text = {};                     ///< the whole file
  std::map<std::string, Value> values = {};  ///< the first of a name counts

  const Value* Find(const std::string& key) const;
  std::string Text(const std::string& key, std::string_view otherwise) const;
  int Number(const std::string& key, int otherwise) const;
  bool Flag(const std::string& key, bool otherwise) const {
    return Number(key, otherwise ? 1 : 0) != 0;
  }
  /// The line with that name, as provenance; nothing if the default holds.
  std::optional<ConfigLine> Line(const std::string& key) const;
};

PuttySettings ParsePuttySettings(std::string name, std::string text);

/// Nothing if there is no such file.
std::optional<PuttySettings> ReadPuttySettings(const PuttyPlaces& places,
                                               std::string_view name);

/// Every saved session but Default Settings, by name; at most \a limit.
std::vector<PuttySettings> ReadPuttySessions(const PuttyPlaces& places,
                                             std::size_t limit = 200);

/// "NAME=VALUE,NAME=VALUE" with backslashes, taken apart; only the names.
std::vector<std::string> PuttyNames(std::string_view list);

/// What plink makes of a destination and of the options in front of it.
struct PuttyTarget {
  /// Why plink would not go there by SSH; else empty.
  std::string fault = {};
  PuttySettings settings = {};  ///< the session's, else Default Settings
  bool saved_session = false;
  std::string host = {};
  int port = 22;
  std::string user = {};
  /// The name under which host keys are kept and connections shared (LogHost).
  std::string key_host = {};
  int key_port = 22;
  std::string key_file = {};  ///< -i or PublicKeyFile
  bool port_by_option = false;
  bool user_by_option = false;
  std::optional<bool> forwarding_by_option = {};  ///< -A, -a
};

PuttyTarget ResolvePuttyTarget(const Request& request,
                               const PuttyPlaces& places);

/// The user's name as PuTTY sees it (get_username()): that of the login if it
/// is one of this uid's, else the password file's.
std::string PuttyUserName();

/// A copy of the settings for a session that only looks: lines in front of the
/// user's own, of which the first counts, switch off what they would set off
/// (a log file, port and X11 forwardings, a command, becoming an upstream).
std::string NeutralSettings(const PuttySettings& settings);

/// Names of the saved sessions that \a settings goes through (ProxyMethod with
/// SSH): the next one only.
std::string ProxySession(const PuttySettings& settings);

/// What is wrong with a request for plink; empty if nothing is.
std::string PuttyRequestFault(const Request& request);

/// ssh's options in plink's words.
std::vector<std::string> PlinkOptions(const Request& request);

}  // namespace agentdoctor
