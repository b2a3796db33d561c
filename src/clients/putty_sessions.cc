#include "clients/putty_sessions.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <utility>

#include "system/file.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr int kSshPort = 22;

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool IsSet(const char* name) { return std::getenv(name) != nullptr; }

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::string PasswordFileHome() {
  const passwd* entry = getpwuid(getuid());
  return entry && entry->pw_dir ? entry->pw_dir : "";
}

/// storage.c, make_filename(INDEX_DIR).
std::string PuttyFolder() {
  if (IsSet("PUTTYDIR")) return Variable("PUTTYDIR");
  const std::string home = IsSet("HOME") ? Variable("HOME") : "";
  const std::string other = PasswordFileHome();
  const std::string config = Variable("XDG_CONFIG_HOME");
  const std::string xdg =
      config.empty() ? (IsSet("HOME") ? home : other) + "/.config/putty"
                     : config + "/putty";
  std::vector<std::string> old;
  if (IsSet("HOME")) old.push_back(home + "/.putty");
  if (!other.empty()) old.push_back(other + "/.putty");
  old.emplace_back("/.putty");
  if (Exists(xdg)) return xdg;
  const auto found = std::ranges::find_if(old, Exists);
  return found == old.end() ? old.front() : *found;
}

/// atoi(), as PuTTY reads a number: what can't be read is 0.
int ToNumber(std::string_view text) {
  while (!text.empty() &&
         std::isspace(static_cast<unsigned char>(text.front())) != 0)
    text.remove_prefix(1);
  if (text.starts_with('+')) text.remove_prefix(1);
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

bool IsHexDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

int HexDigit(char c) { return c <= '9' ? c - '0' : c - 'A' + 10; }

bool IsLaunchable(const PuttySettings& settings) {
  return !settings
              .Text(settings.Text("Protocol", "") == "serial" ? "SerialLine"
                                                              : "HostName",
                    "")
              .empty();
}

/// "host" and "port" of a name that may end in ":port"; a bare IPv6 address
/// has several colons, and one in brackets none outside of them.
std::pair<std::string, std::string> SplitPort(const std::string& name) {
  const std::size_t bracket = name.find(']');
  const std::size_t from =
      name.starts_with('[') && bracket != name.npos ? bracket : 0;
  const std::size_t colon = name.find(':', from);
  if (colon == name.npos || colon != name.rfind(':')) return {name, ""};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

std::string WithoutBrackets(const std::string& host) {
  return host.size() > 2 && host.front() == '[' && host.back() == ']'
             ? host.substr(1, host.size() - 2)
             : host;
}

/// sessprep.c: "user@" in front of the host wins, ":port" behind it is dropped.
void SetHost(std::string name, PuttyTarget& target) {
  std::erase_if(name, [](char c) { return c == ' ' || c == '\t'; });
  if (const std::size_t at = name.rfind('@'); at != name.npos) {
    target.user = name.substr(0, at);
    name.erase(0, at + 1);
  }
  target.host = WithoutBrackets(SplitPort(name).first);
}

/// Default Settings first decide the protocol and port of everything else
/// (plink.c, main()).
int PortOf(const PuttySettings& settings, const PuttySettings& defaults) {
  const auto port_in = [](const PuttySettings& of, int otherwise) {
    return of.Find("Protocol") ? of.Number("PortNumber", otherwise) : otherwise;
  };
  return port_in(settings, port_in(defaults, kSshPort));
}

std::string ProtocolOf(const PuttySettings& settings,
                       const PuttySettings& defaults) {
  return settings.Text("Protocol", defaults.Text("Protocol", "ssh"));
}

/// What ssh's option is called by plink.
struct OptionName {
  std::string_view ssh;
  std::string_view plink;  ///< empty: it has none
  bool takes_argument;
  std::string_view why_not = {};
};

constexpr std::array kOptions = {
    OptionName{"-4", "-4", false},
    OptionName{"-6", "-6", false},
    OptionName{"-A", "-A", false},
    OptionName{"-a", "-a", false},
    OptionName{"-C", "-C", false},
    OptionName{"-i", "-i", true},
    OptionName{"-l", "-l", true},
    OptionName{"-p", "-P", true},
    OptionName{"-F", "", true,
               "PuTTY reads no ssh_config; its settings are those of the saved "
               "session"},
    OptionName{"-J", "", true,
               "plink knows no jump hosts; a saved session has a proxy instead "
               "(Connection, Proxy)"},
    OptionName{"-o", "", true,
               "plink knows no options of ssh_config; save them in a session"},
};

const OptionName* FindOption(std::string_view word) {
  const auto* const found = std::ranges::find(kOptions, word, &OptionName::ssh);
  return found == kOptions.end() ? nullptr : found;
}

}  // namespace

PuttyPlaces FindPuttyPlaces() {
  const std::string folder = PuttyFolder();
  return {.sessions = IsSet("PUTTYSESSIONS") ? Variable("PUTTYSESSIONS")
                                             : folder + "/sessions",
          .host_keys = IsSet("PUTTYSSHHOSTKEYS") ? Variable("PUTTYSSHHOSTKEYS")
                                                 : folder + "/sshhostkeys"};
}

std::string SessionFileName(std::string_view name) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  constexpr std::string_view kSafe = "+-.@_";
  std::string file;
  for (const char c : name.empty() ? kDefaultSettings : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool alphanumeric = (c >= '0' && c <= '9') ||
                              (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (alphanumeric || kSafe.find(c) != kSafe.npos) {
      file += c;
    } else {
      file += '%';
      file += kHex[byte >> 4];
      file += kHex[byte & 15];
    }
  }
  return file;
}

std::string SessionName(std::string_view file_name) {
  std::string name;
  for (std::size_t i = 0; i < file_name.size(); ++i) {
    if (file_name[i] == '%' && i + 2 < file_name.size() &&
        IsHexDigit(file_name[i + 1]) && IsHexDigit(file_name[i + 2])) {
      name += static_cast<char>(HexDigit(file_name[i + 1]) * 16 +
                                HexDigit(file_name[i + 2]));
      i += 2;
    } else {
      name += file_name[i];
    }
  }
  return name;
}

const PuttySettings::Value* PuttySettings::Find(const std::string& key) const {
  const auto found = values.find(key);
  return found == values.end() ? nullptr : &found->second;
}

std::string PuttySettings::Text(const std::string& key,
                                std::string_view otherwise) const {
  const Value* value = Find(key);
  return value ? value->text : std::string(otherwise);
}

int PuttySettings::Number(const std::string& key, int otherwise) const {
  const Value* value = Find(key);
  return value ? ToNumber(value->text) : otherwise;
}

std::optional<ConfigLine> PuttySettings::Line(const std::string& key) const {
  const Value* value = Find(key);
  if (!value) return std::nullopt;
  ConfigLine line{.file = file,
                  .line = value->line,
                  .text = ValidUtf8(key + "=" + value->text)};
  if (name != kDefaultSettings) {
    line.scope = ValidUtf8("session " + name);
    line.scope_file = file;
  }
  return line;
}

PuttySettings ParsePuttySettings(std::string name, std::string text) {
  PuttySettings settings{.name = std::move(name)};
  int number = 0;
  for (const std::string& line : SplitLines(text)) {
    ++number;
    const std::size_t equals = line.find('=');
    if (equals == line.npos) continue;
    std::string value = line.substr(equals + 1);
    value.resize(std::min(value.find('\r'), value.size()));
    settings.values.try_emplace(line.substr(0, equals),
                                PuttySettings::Value{value, number});
  }
  settings.text = std::move(text);
  return settings;
}

std::optional<PuttySettings> ReadPuttySettings(const PuttyPlaces& places,
                                               std::string_view name) {
  const std::string file = places.sessions + "/" + SessionFileName(name);
  std::optional<std::string> text = ReadFile(file);
  if (!text) return std::nullopt;
  PuttySettings settings = ParsePuttySettings(
      std::string(name.empty() ? kDefaultSettings : name), std::move(*text));
  settings.file = file;
  settings.modified = LookAt(file).modified;
  return settings;
}

std::vector<PuttySettings> ReadPuttySessions(const PuttyPlaces& places,
                                             std::size_t limit) {
  std::vector<PuttySettings> sessions;
  for (const std::string& file : ListDirectory(places.sessions, limit)) {
    const std::string name = SessionName(file);
    if (name == kDefaultSettings) continue;
    if (auto settings = ReadPuttySettings(places, name))
      sessions.push_back(std::move(*settings));
  }
  return sessions;
}

std::vector<std::string> PuttyNames(std::string_view list) {
  std::vector<std::string> names;
  std::string name;
  bool in_value = false;
  for (std::size_t i = 0; i <= list.size(); ++i) {
    if (i == list.size() || list[i] == ',') {
      if (!name.empty()) names.push_back(std::move(name));
      name.clear();
      in_value = false;
    } else if (list[i] == '=') {
      in_value = true;
    } else {
      if (list[i] == '\\' && i + 1 < list.size()) ++i;
      if (!in_value) name += list[i];
    }
  }
  return names;
}

PuttyTarget ResolvePuttyTarget(const Request& request,
                               const PuttyPlaces& places) {
  PuttyTarget target;
  const PuttySettings defaults =
      ReadPuttySettings(places, kDefaultSettings)
          .value_or(PuttySettings{.name = std::string(kDefaultSettings)});

  // cmdline.c: "PROTOCOL,rest"; then a saved session, with "user@" in front of
  // its name; else a host.
  std::string destination = request.destination;
  std::string protocol;
  if (const std::size_t comma = destination.find(',');
      comma != destination.npos) {
    protocol = destination.substr(0, comma);
    destination.erase(0, comma + 1);
  }
  const std::size_t at = destination.rfind('@');
  const std::string name =
      at == destination.npos ? destination : destination.substr(at + 1);
  const auto session = ReadPuttySettings(places, name);
  target.saved_session = !name.empty() && session && IsLaunchable(*session);
  target.settings = target.saved_session ? *session : defaults;
  const PuttySettings& settings = target.settings;

  target.user = settings.Text("UserName", "");
  target.port = PortOf(settings, defaults);
  if (target.saved_session) {
    if (at != destination.npos) target.user = destination.substr(0, at);
    SetHost(settings.Text("HostName", ""), target);
  } else {
    SetHost(destination, target);
  }
  if (protocol.empty()) protocol = ProtocolOf(settings, defaults);
  if (protocol == "ssh" && request.destination.find(',') != std::string::npos)
    target.port = kSshPort;

  const std::vector<std::string>& options = request.ssh_options;
  target.key_file = settings.Text("PublicKeyFile", "");
  for (std::size_t i = 0; i < options.size(); ++i) {
    if (options[i] == "-A") target.forwarding_by_option = true;
    if (options[i] == "-a") target.forwarding_by_option = false;
    if (i + 1 == options.size()) break;
    const OptionName* option = FindOption(options[i]);
    if (!option || !option->takes_argument) continue;
    const std::string& value = options[++i];
    if (option->ssh == "-p") {
      target.port = ToNumber(value);
      target.port_by_option = true;
    } else if (option->ssh == "-l") {
      target.user = value;
      target.user_by_option = true;
    } else if (option->ssh == "-i") {
      target.key_file = value;
    }
  }
  if (target.user.empty()) target.user = PuttyUserName();

  target.key_host = target.host;
  target.key_port = target.port;
  if (const std::string log_host = settings.Text("LogHost", "");
      !log_host.empty()) {
    const auto [host, port] = SplitPort(log_host);
    target.key_host = WithoutBrackets(host);
    target.key_port = port.empty() ? kSshPort : ToNumber(port);
  }

  if (protocol != "ssh")
    target.fault =
        (target.saved_session ? "the saved session \"" + ValidUtf8(name) + "\""
                              : "plink's destination") +
        " uses the protocol \"" + ValidUtf8(protocol) + "\" and not SSH";
  return target;
}

std::string PuttyUserName() {
  const uid_t uid = getuid();
  if (const char* login = getlogin())
    if (const passwd* entry = getpwnam(login); entry && entry->pw_uid == uid)
      return login;
  const passwd* entry = getpwuid(uid);
  return entry ? entry->pw_name : "";
}

std::string NeutralSettings(const PuttySettings& settings) {
  return "LogType=0\n"
         "PortForwardings=\n"
         "X11Forward=0\n"
         "GssapiFwd=0\n"
         "RemoteCommand=\n"
         "SshNoShell=0\n"
         "ConnectionSharingUpstream=0\n" +
         settings.text;
}

std::string ProxySession(const PuttySettings& settings) {
  // PROXY_SSH_TCPIP, PROXY_SSH_EXEC, PROXY_SSH_SUBSYSTEM (putty.h).
  constexpr int kFirst = 6;
  constexpr int kLast = 8;
  const int method = settings.Number("ProxyMethod", 0);
  return method < kFirst || method > kLast ? ""
                                           : settings.Text("ProxyHost", "");
}

std::string PuttyRequestFault(const Request& request) {
  const std::string& destination = request.destination;
  if (request.ssh == "ssh" || request.ssh.ends_with("/ssh"))
    return "--client putty runs plink, and no " + request.ssh;
  if (destination.empty()) return "a destination is empty";
  if (destination.front() == '-')
    return "\"" + destination + "\" is no destination: it begins with \"-\"";
  if (destination.find("://") != destination.npos)
    return "plink takes no URI: give a saved session, host or user@host";
  if (std::ranges::any_of(destination,
                          [](unsigned char c) { return c < ' ' || c == 0x7f; }))
    return "a destination contains a control character";
  for (std::size_t i = 0; i < request.ssh_options.size(); ++i) {
    const std::string& word = request.ssh_options[i];
    const OptionName* option = FindOption(word);
    if (!option)
      return word + " is not for --client putty: plink has no such option";
    if (option->plink.empty())
      return word +
             " is not for --client putty: " + std::string(option->why_not);
    if (option->takes_argument) ++i;
  }
  return {};
}

std::vector<std::string> PlinkOptions(const Request& request) {
  std::vector<std::string> words;
  const std::vector<std::string>& options = request.ssh_options;
  for (std::size_t i = 0; i < options.size(); ++i) {
    const OptionName* option = FindOption(options[i]);
    if (!option || option->plink.empty()) continue;
    words.emplace_back(option->plink);
    if (option->takes_argument && i + 1 < options.size())
      words.push_back(options[++i]);
  }
  return words;
}

}  // namespace agentdoctor
