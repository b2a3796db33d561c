#include "clients/openssh_command.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "agentdoctor/openssh_release.h"
#include "agentdoctor/ssh_options.h"
#include "clients/openssh_config.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

using Words = std::vector<std::string>;

/// One option of a command line.
struct Option {
  char letter = 0;
  std::string value = {};
  bool has_value = false;
};

std::vector<Option> SplitOptions(const Words& words) {
  std::vector<Option> options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() < 2 || word[0] != '-') continue;
    Option option{.letter = word[1]};
    if (SshOptionTakesArgument(option.letter)) {
      option.has_value = true;
      if (word.size() > 2)
        option.value = word.substr(2);
      else if (i + 1 < words.size())
        option.value = words[++i];
    }
    options.push_back(std::move(option));
  }
  return options;
}

void Append(Words& words, const Option& option) {
  words.push_back({'-', option.letter});
  if (option.has_value) words.push_back(option.value);
}

void Append(Words& words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
}

std::string DoublePercents(std::string_view text) {
  std::string doubled;
  for (const char c : text) {
    if (c == '%') doubled += c;
    doubled += c;
  }
  return doubled;
}

/// A path as one argument of an ssh_config keyword: white space separates
/// arguments unless quoted, backslashes escape since 8.7 (argv_split).
std::string ConfigArgument(const std::string& path) {
  if (path.find_first_of(" \t\"'\\#") == std::string::npos) return path;
  std::string quoted = "\"";
  for (const char c : path) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string KnownHostsOption(const ClientConfig& config,
                             const std::string& known_hosts, int release) {
  std::string option = "UserKnownHostsFile=";
  const auto add = [&](const std::string& path) {
    if (option.back() != '=') option += ' ';
    // Percent tokens in this keyword came with 8.4.
    option +=
        ConfigArgument(release >= Release(8, 4) ? DoublePercents(path) : path);
  };
  add(known_hosts);
  const auto found = config.values.find("userknownhostsfile");
  if (found != config.values.end())
    for (const std::string& path : SplitPaths(found->second.values))
      if (Lower(path) != "none") add(path);
  return option;
}

/// What every ssh of ours is told before anything else, because the first
/// value wins: do nothing but log in, and leave nothing behind.  Chosen by
/// release, never through IgnoreUnknown, which would replace the user's own.
Words Neutral(int release, const ClientConfig& config, bool interactive,
              const Precautions& precautions, Milliseconds connect_limit) {
  Words words;
  const auto add = [&words](std::string option) {
    words.push_back("-o");
    words.push_back(std::move(option));
  };
  add("PermitLocalCommand=no");
  add("ClearAllForwardings=yes");
  add("ExitOnForwardFailure=no");
  add("ForwardX11=no");
  add("GSSAPIDelegateCredentials=no");
  if (release >= Release(6, 8)) add("UpdateHostKeys=no");
  if (release >= Release(7, 2)) add("AddKeysToAgent=no");
  if (release >= Release(7, 6)) add("RemoteCommand=none");
  // It would put a file and a function in front of what -v says.
  if (release >= Release(8, 5)) add("LogVerbose=none");
  if (release >= Release(8, 7)) {
    add("ForkAfterAuthentication=no");
    add("StdinNull=no");
  }
  if (!interactive) add("BatchMode=yes");
  if (precautions.strict) {
    add("StrictHostKeyChecking=yes");
    // The address of a known host is noted even so (check_host_key).
    add("CheckHostIP=no");
  }
  const auto seconds =
      std::chrono::ceil<std::chrono::seconds>(connect_limit).count();
  add("ConnectTimeout=" + std::to_string(seconds));
  // Whoever is asked about a host key may say yes, and ssh writes it down.
  if (!precautions.known_hosts.empty() &&
      (interactive || WritesKnownHosts(config)))
    add(KnownHostsOption(config, precautions.known_hosts, release));
  return words;
}

/// The user's control path, spelled out: %C contains the jump host since 9.6,
/// and ours is a ProxyCommand.
Words ControlPath(const ClientConfig& config) {
  const std::string path = FirstValue(config, "controlpath");
  if (path.empty() || Lower(path) == "none") return {};
  return {"-S", DoublePercents(path)};
}

/// The value of -F, which ssh hands on to the ssh of a ProxyJump.
std::string ConfigFileOption(const Words& words) {
  std::string file;
  for (const Option& option : SplitOptions(words))
    if (option.letter == 'F') file = option.value;
  return file;
}

/// ssh makes `ssh -W '[%h]:%p' JUMP` out of ProxyJump (ssh.c), without any of
/// the options that the outer one was given: it would prompt, or leave a
/// master behind.  Ours is the same with the same protections, each hop inside
/// the ProxyCommand of the next.
std::string ProxyCommand(const Facts& facts, const Precautions& precautions,
                         std::size_t hop) {
  const JumpHost& jump = precautions.jumps[hop];
  const JumpName name = ParseJumpHost(jump.host);
  const int release = OpenSshRelease(facts.link.version);
  Words words = {facts.request.ssh};
  const std::string file = ConfigFileOption(facts.request.ssh_options);
  if (!file.empty()) Append(words, {"-F", file});
  Append(words, {"-o", "ControlMaster=no", "-o", "ForwardAgent=no"});
  const auto hops = static_cast<Milliseconds::rep>(hop) + 1;
  Append(words,
         Neutral(release, jump.config, facts.request.interactive, precautions,
                 hops * ConnectLimit(jump.config, precautions.step_limit)));
  Append(words, ControlPath(jump.config));
  if (hop > 0)
    Append(words,
           {"-o", "ProxyUseFdpass=no", "-o",
            "ProxyCommand=" + ProxyCommand(facts, precautions, hop - 1)});
  if (!name.user.empty()) Append(words, {"-l", name.user});
  if (!name.port.empty()) Append(words, {"-p", name.port});
  for (std::string& word : words) word = DoublePercents(word);
  Append(words, {"-W", "[%h]:%p", "--", DoublePercents(name.host)});
  return ShellQuote(words);
}

Words Jumps(const Facts& facts, const Precautions& precautions) {
  if (precautions.jumps.empty()) return {};
  return {"-o", "ProxyUseFdpass=no", "-o",
          "ProxyCommand=" + JumpProxyCommand(facts, precautions)};
}

/// The user's own options, in front of the destination.
Words LoginOptions(const Facts& facts, const Precautions& precautions,
                   bool with_agent_flags) {
  Words words;
  for (const Option& option : SplitOptions(facts.request.ssh_options)) {
    if (!HasOption(kSshLoginFlags, option.letter) &&
        !HasOption(kSshLoginWithArgument, option.letter))
      continue;
    // ssh refuses -J beside a ProxyCommand.
    if (option.letter == 'J' && !precautions.jumps.empty()) continue;
    if ((option.letter == 'A' || option.letter == 'a') && !with_agent_flags)
      continue;
    Append(words, option);
    // -K asks for GSSAPI and for delegation, which -k takes back.
    if (option.letter == 'K') words.push_back("-k");
  }
  return words;
}

Words NeutralLogin(const Facts& facts, const Precautions& precautions) {
  const ClientConfig config = facts.link.config.value_or(ClientConfig{});
  // All hops have to answer before the banner of the last one comes.
  const auto hops =
      static_cast<Milliseconds::rep>(precautions.jumps.size()) + 1;
  return Neutral(OpenSshRelease(facts.link.version), config,
                 facts.request.interactive, precautions,
                 hops * ConnectLimit(config, precautions.step_limit));
}

/// The options of a session on the user's own path.
Words SessionOptions(const Facts& facts, const Precautions& precautions) {
  Words words = {"-o", "ControlMaster=no"};
  Append(words, NeutralLogin(facts, precautions));
  if (OpenSshRelease(facts.link.version) >= Release(8, 7))
    Append(words, {"-o", "SessionType=default"});
  Append(words, Jumps(facts, precautions));
  Append(words, ControlPath(facts.link.config.value_or(ClientConfig{})));
  Append(words, LoginOptions(facts, precautions, true));
  return words;
}

}  // namespace

std::vector<std::string> SplitPaths(const std::vector<std::string>& values) {
  std::vector<std::string> paths;
  for (const std::string& value : values) {
    std::size_t begin = 0;
    bool continues = false;
    while (begin < value.size()) {
      const std::size_t end = std::min(value.find(' ', begin), value.size());
      const std::string word = value.substr(begin, end - begin);
      begin = end + 1;
      if (continues && !word.starts_with('/') && !word.starts_with('~'))
        paths.back() += " " + word;
      else
        paths.push_back(word);
      continues = true;
    }
  }
  return paths;
}

std::string JumpProxyCommand(const Facts& facts,
                             const Precautions& precautions) {
  return ProxyCommand(facts, precautions, precautions.jumps.size() - 1);
}

std::vector<std::string> SplitProxyJump(const std::string& value) {
  std::vector<std::string> hosts;
  if (value.empty() || Lower(value) == "none") return hosts;
  std::size_t begin = 0;
  while (begin <= value.size()) {
    const std::size_t end = std::min(value.find(',', begin), value.size());
    if (end > begin) hosts.push_back(value.substr(begin, end - begin));
    begin = end + 1;
  }
  return hosts;
}

JumpName ParseJumpHost(const std::string& host) {
  JumpName name;
  std::string_view rest = host;
  constexpr std::string_view kScheme = "ssh://";
  if (rest.starts_with(kScheme)) rest.remove_prefix(kScheme.size());
  if (const auto at = rest.rfind('@'); at != std::string_view::npos) {
    name.user = rest.substr(0, at);
    rest.remove_prefix(at + 1);
  }
  if (rest.starts_with('[')) {
    const auto close = rest.find(']');
    name.host = rest.substr(1, close - 1);
    rest = close == std::string_view::npos ? "" : rest.substr(close + 1);
    if (rest.starts_with(':')) name.port = rest.substr(1);
    return name;
  }
  // A bare IPv6 address has several colons and no port.
  const auto colon = rest.find(':');
  if (colon != std::string_view::npos && colon == rest.rfind(':')) {
    name.port = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
  }
  name.host = rest;
  return name;
}

bool WritesKnownHosts(const ClientConfig& config) {
  // The address of a host whose key is known is noted, too (sshconnect.c,
  // check_host_key); the default before 8.5.
  if (Lower(FirstValue(config, "checkhostip")) == "yes") return true;
  const std::string value = Lower(FirstValue(config, "stricthostkeychecking"));
  // `ssh -G` prints "false" for no and off.
  return value == "no" || value == "false" || value == "off" ||
         value == "accept-new";
}

Milliseconds ConnectLimit(const ClientConfig& config, Milliseconds step_limit) {
  const std::string value = FirstValue(config, "connecttimeout");
  int seconds = 0;  // "none" stays 0
  std::from_chars(value.data(), value.data() + value.size(), seconds);
  constexpr int kHour = 3600;
  return std::max<Milliseconds>(
      step_limit, std::chrono::seconds(std::clamp(seconds, 0, kHour)));
}

std::vector<std::string> SessionCommand(const Facts& facts,
                                        const std::string& remote_command,
                                        const Precautions& precautions) {
  Words words = {facts.request.ssh};
  Append(words, SessionOptions(facts, precautions));
  // Flags assign, the last one wins: -v beats any LogLevel, -T any RequestTTY.
  Append(words, {"-v", "-T", "--", facts.request.destination, remote_command});
  return words;
}

std::vector<std::string> QuietSessionCommand(const Facts& facts,
                                             const std::string& remote_command,
                                             const Precautions& precautions) {
  Words words = {facts.request.ssh, "-o", "LogLevel=ERROR"};
  Append(words, SessionOptions(facts, precautions));
  Append(words, {"-T", "--", facts.request.destination, remote_command});
  return words;
}

std::vector<std::string> ControlCommand(const Facts& facts,
                                        const std::string& control_socket,
                                        const std::string& canary,
                                        const Precautions& precautions) {
  // -M once: after a ControlMaster=yes of the user's it would mean "ask".
  Words words = {facts.request.ssh, "-M", "-o", "ControlPersist=no"};
  // ForwardAgent takes a path since 8.2; an older ssh must forward nothing.
  const bool takes_path = OpenSshRelease(facts.link.version) >= Release(8, 2);
  Append(words, {"-o", takes_path ? "ForwardAgent=" +
                                        ConfigArgument(DoublePercents(canary))
                                  : "ForwardAgent=no"});
  Append(words, NeutralLogin(facts, precautions));
  Append(words, Jumps(facts, precautions));
  Append(words, LoginOptions(facts, precautions, false));
  Append(words, {"-S", DoublePercents(control_socket), "-v", "-T", "-N", "--",
                 facts.request.destination});
  return words;
}

std::vector<std::string> MasterCommand(const std::string& ssh,
                                       const std::string& socket,
                                       const std::string& command) {
  // With the user's configuration, ControlMaster yes or a hello that times out
  // makes ssh go on and log in; ProxyCommand=false beside it would change %C.
  return {ssh,
          "-F",
          "none",
          "-S",
          DoublePercents(socket),
          "-o",
          "ControlMaster=no",
          "-o",
          "BatchMode=yes",
          "-o",
          "ProxyCommand=false",
          "-O",
          command,
          "x"};
}

}  // namespace agentdoctor
