#include "clients/libssh_config.h"

#include <glob.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include "clients/libssh_functions.h"
#include "clients/openssh_command.h"
#include "clients/openssh_config.h"
#include "clients/openssh_config_lines.h"
#include "system/file.h"
#include "system/place.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr int kDepth = 16;  // of Include, as with ssh

struct FreeSession {
  void operator()(ssh_session session) const { ssh_free(session); }
};
using SshSession = std::unique_ptr<ssh_session_struct, FreeSession>;

std::string UserName() {
  std::array<char, 16384> buffer;
  passwd entry;
  passwd* found = nullptr;
  getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_name : std::string();
}

std::string MachineName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

/// The options that are understood; what is not, is in `rest`.
struct Options {
  std::string config = {};
  std::string user = {};
  std::string port = {};
  std::vector<std::string> identities = {};
  std::string family = "any";
  std::optional<bool> forward_agent = {};
  std::string rest = {};
};

Options ReadOptions(const std::vector<std::string>& words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto argument = [&]() -> std::string {
      return i + 1 < words.size() ? words[++i] : std::string();
    };
    if (word == "-F")
      options.config = argument();
    else if (word == "-l")
      options.user = argument();
    else if (word == "-p")
      options.port = argument();
    else if (word == "-i")
      options.identities.push_back(argument());
    else if (word == "-4" || word == "-6")
      options.family = word == "-4" ? "inet" : "inet6";
    else if (word == "-A" || word == "-a")
      options.forward_agent = word == "-A";
    else
      options.rest += (options.rest.empty() ? "" : " ") + word;
  }
  return options;
}

std::vector<std::string> Glob(const std::string& pattern) {
  std::vector<std::string> paths;
  glob_t found = {};
  if (glob(pattern.c_str(), GLOB_TILDE, nullptr, &found) == 0)
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return paths;
}

/// Whether a file, or one that it includes, runs a command to decide something.
/// libssh waits for it without any limit.
bool RunsCommands(const std::string& path, const std::string& folder,
                  int depth) {
  const std::optional<std::string> text = ReadFile(path);
  if (!text || depth > kDepth) return false;
  for (const std::string& line : SplitLines(*text)) {
    const std::optional<ConfigWords> words = SplitConfigLine(line);
    if (!words) continue;
    if (words->keyword == "match" &&
        std::ranges::any_of(words->arguments, [](const std::string& word) {
          return Lower(word).find("exec") != std::string::npos;
        }))
      return true;
    if (words->keyword != "include") continue;
    for (const std::string& argument : words->arguments) {
      const bool absolute =
          argument.starts_with('/') || argument.starts_with('~');
      for (const std::string& file :
           Glob(absolute ? argument : folder + "/" + argument))
        if (RunsCommands(file, folder, depth + 1)) return true;
    }
  }
  return false;
}

std::string Get(ssh_session session, ssh_options_e option) {
  char* value = nullptr;
  if (ssh_options_get(session, option, &value) != SSH_OK) return {};
  std::string text = value;
  ssh_string_free_char(value);
  return text;
}

Resolution Unresolved(const std::string& why) {
  Resolution resolution;
  resolution.config = Unknown{why};
  resolution.forwarded = Unknown{why};
  resolution.primary = Unknown{why};
  return resolution;
}

}  // namespace

std::optional<std::string> ExpandTokens(const std::string& text,
                                        const Tokens& tokens) {
  std::string expanded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      expanded += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    const auto token = tokens.find(text[i]);
    if (text[i] == '%')
      expanded += '%';
    else if (token != tokens.end())
      expanded += token->second;
    else
      return std::nullopt;
  }
  return expanded;
}

Tokens IdentityTokens(const Facts& facts, const LibsshLogin& login) {
  const std::string machine = MachineName();
  return {{'d', Here().Home()},
          {'h', login.host},
          {'i', std::to_string(getuid())},
          {'L', machine.substr(0, machine.find('.'))},
          {'l', machine},
          {'n', facts.request.destination},
          {'p', std::to_string(login.port)},
          {'r', login.user},
          {'u', UserName()}};
}

std::string ExpandTilde(const std::string& path) {
  return path.starts_with("~/") ? Here().Home() + path.substr(1) : path;
}

Resolution ResolveByLibssh(const Request& request, LibsshValues& printed) {
  const Options options = ReadOptions(request.ssh_options);
  if (!options.rest.empty())
    return Unresolved("there is no ssh program to say what " + options.rest +
                      " means, and libssh does not know");
  // [user@]host or ssh://[user@]host[:port]
  JumpName name;
  if (request.destination.starts_with("ssh://")) {
    name = ParseJumpHost(request.destination.substr(
        0, request.destination.find('/', std::string_view("ssh://").size())));
  } else {
    const std::size_t at = request.destination.rfind('@');
    name.host = request.destination.substr(at + 1);  // npos + 1 is 0
    if (at != std::string::npos) name.user = request.destination.substr(0, at);
  }
  if (!options.user.empty()) name.user = options.user;
  if (!options.port.empty()) name.port = options.port;

  std::vector<std::string> files = {options.config};
  if (options.config.empty())
    files = {Here().Home() + "/.ssh/config", "/etc/ssh/ssh_config"};
  for (const std::string& file : files)
    if (RunsCommands(file, file.substr(0, file.rfind('/')), 0))
      return Unresolved("there is no ssh program, and " + file +
                        " has a `Match exec` line, whose command libssh would "
                        "wait for without a limit");

  const SshSession session(ssh_new());
  const auto set = [&session](ssh_options_e option, const std::string& value) {
    if (!value.empty()) ssh_options_set(session.get(), option, value.c_str());
  };
  set(SSH_OPTIONS_HOST, name.host);
  set(SSH_OPTIONS_USER, name.user);
  set(SSH_OPTIONS_PORT_STR, name.port);
  ClientConfig config;
  for (const std::string& file : files) {
    if (file != "none" &&
        ssh_options_parse_config(session.get(), file.c_str()) != SSH_OK)
      return Unresolved("libssh can't read " + file + ": " +
                        ssh_get_error(session.get()));
    if (LookAt(file).kind == PathStatus::Kind::kFile)
      config.files.push_back({file, LookAt(file).modified});
  }

  const std::string host = Get(session.get(), SSH_OPTIONS_HOST);
  const std::string user = Get(session.get(), SSH_OPTIONS_USER);
  const std::string proxy = Get(session.get(), SSH_OPTIONS_PROXYCOMMAND);
  unsigned port = 0;
  ssh_options_get_port(session.get(), &port);
  printed.clear();
  printed["hostname"] = {host.empty() ? name.host : host};
  printed["user"] = {user.empty() ? UserName() : user};
  printed["port"] = {std::to_string(port == 0 ? 22 : port)};
  printed["addressfamily"] = {options.family};
  printed["stricthostkeychecking"] = {"ask"};
  printed["identityfile"] = options.identities;
  // libssh tells only the first one, and "%d" is its word for ~/.ssh.
  if (const std::string file = Get(session.get(), SSH_OPTIONS_IDENTITY);
      !file.empty() && !file.starts_with("%d/"))
    printed["identityfile"].push_back(file);
  if (printed["identityfile"].empty())
    printed["identityfile"] = {"~/.ssh/id_rsa", "~/.ssh/id_ecdsa",
                               "~/.ssh/id_ed25519"};
  const std::string known = Get(session.get(), SSH_OPTIONS_KNOWNHOSTS);
  printed["userknownhostsfile"] = {
      known.empty() ? "~/.ssh/known_hosts ~/.ssh/known_hosts2" : known};
  const std::string global = Get(session.get(), SSH_OPTIONS_GLOBAL_KNOWNHOSTS);
  printed["globalknownhostsfile"] = {
      global.empty() ? "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"
                     : global};
  if (!proxy.empty()) printed["proxycommand"] = {proxy};

  const std::string why =
      "there is no ssh program to ask, and libssh does not say";
  for (const auto& [keyword, values] : printed)
    config.values[keyword] = {
        .values = keyword == "proxycommand"
                      ? std::vector<std::string>{CommandShape(proxy)}
                      : values,
        .unknown_because = why};
  config.values["stricthostkeychecking"].unknown_because =
      "libssh does not know the keyword; taken as ask";
  if (options.forward_agent)
    config.forward_agent = *options.forward_agent;
  else
    config.forward_agent = Unknown{
        "there is no ssh program to ask, and libssh does not know "
        "ForwardAgent"};

  Resolution resolution;
  const auto environment = [](const std::string& variable) {
    return Here().Variable(variable);
  };
  resolution.forwarded = ForwardedAgent(config, environment);
  resolution.primary = PrimaryAgent(config, environment);
  resolution.config = std::move(config);
  return resolution;
}

}  // namespace agentdoctor
