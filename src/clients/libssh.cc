// libssh as a client: the whole session in this process.  The configuration is
// what ssh says it is; without an ssh program, what libssh reads of it.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <utility>

#include "clients/client.h"
#include "clients/libssh_config.h"
#include "clients/libssh_functions.h"
#include "clients/libssh_login.h"
#include "clients/openssh_command.h"
#include "clients/openssh_config.h"
#include "clients/openssh_jumps.h"
#include "clients/shared_configs.h"
#include "system/file.h"
#include "system/process.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

std::string Only(const LibsshValues& printed, const std::string& keyword) {
  const auto found = printed.find(keyword);
  return found == printed.end() || found->second.empty()
             ? std::string()
             : found->second.front();
}

std::vector<std::string> All(const LibsshValues& printed,
                             const std::string& keyword) {
  const auto found = printed.find(keyword);
  return found == printed.end() ? std::vector<std::string>() : found->second;
}

bool IsSet(const std::string& value) {
  return !value.empty() && Lower(value) != "none";
}

/// Whether a shell takes \a word as it stands (ssh.c: valid_hostname(),
/// valid_ruser(); ssh before 9.6, and libssh, let others through).
bool IsPlainForAShell(const std::string& word) {
  return word.find_first_of("'`\"$;&<>|(){}*?[]~#!") == std::string::npos;
}

class Libssh final : public Client {
 public:
  explicit Libssh(const RunOptions& options) : options_(options) {}

  Resolution Resolve(const Request& request) override;

  Fact<Sharing> LookForMasters(const Request&, const ClientConfig&) override {
    return NotNeeded{"libssh makes a connection of its own and shares none"};
  }

  SessionResult OpenSession(const Facts& facts,
                            const ProbeCommand& probe) override;

  std::optional<Command> ShellCommand(const Facts&,
                                      const std::string&) override {
    return std::nullopt;  // no program
  }

  std::optional<Agent> AskRemoteAgent(const Facts&,
                                      const std::string&) override {
    return std::nullopt;
  }

  ControlResult MakeControlLogin(const Facts& facts,
                                 const ProbeCommand* probe) override;

 private:
  std::optional<TransportFault> Prepare(const Facts& facts, LibsshLogin& login);
  std::optional<TransportFault> FindWay(const Facts& facts, LibsshLogin& login);

  RunOptions options_;
  LibsshValues printed_;     ///< the configuration, all of it
  std::string ssh_version_;  ///< empty: there is no ssh program
  std::optional<TemporaryDirectory> folder_;  ///< for the ssh of a jump
};

Resolution Libssh::Resolve(const Request& request) {
  Resolution resolution;
  if (const std::string fault = LibsshFault(); !fault.empty()) {
    const Unknown why{"ssh-not-found: " + fault};
    resolution.config = why;
    resolution.forwarded = why;
    resolution.primary = why;
    return resolution;
  }
  if (FindProgram(request.ssh).empty()) {
    resolution = ResolveByLibssh(request, printed_);
  } else {
    ConfigAnswer answer;
    resolution =
        options_.configs
            ? options_.configs->Resolve(request, options_.step_limit, answer)
            : ResolveOpenSsh(request, options_.step_limit, Here(), &answer);
    ssh_version_ = resolution.version;
    printed_.clear();
    for (const std::string& line : SplitLines(answer.values)) {
      const std::size_t blank = std::min(line.find(' '), line.size());
      printed_[Lower(line.substr(0, blank))].push_back(
          line.substr(std::min(blank + 1, line.size())));
    }
  }
  resolution.version = LibsshVersion();
  return resolution;
}

/// The way to the server: directly, or through a program of the user's.
std::optional<TransportFault> Libssh::FindWay(const Facts& facts,
                                              LibsshLogin& login) {
  std::string command = Only(printed_, "proxycommand");
  const std::string jump = Only(printed_, "proxyjump");
  if (IsSet(jump)) {
    if (ssh_version_.empty())
      return TransportFault{
          "proxy-failed",
          "ProxyJump leads through other hosts, and there is no ssh program "
          "to take that way"};
    Facts by_ssh = facts;
    by_ssh.link.version = ssh_version_;
    const ClientConfig config = facts.link.config.value_or(ClientConfig{});
    Precautions precautions{
        .jumps = ResolveJumps(facts.request, config, options_.step_limit),
        .step_limit = options_.step_limit};
    if (std::ranges::any_of(precautions.jumps, [](const JumpHost& hop) {
          return WritesKnownHosts(hop.config);
        })) {
      if (!folder_) folder_.emplace();
      precautions.known_hosts = folder_->path() + "/known_hosts";
    }
    if (!precautions.jumps.empty())
      command = JumpProxyCommand(by_ssh, precautions);
    login.connect_limit *=
        static_cast<Milliseconds::rep>(precautions.jumps.size()) + 1;
  }
  if (!IsSet(command)) return std::nullopt;
  if (Only(printed_, "proxyusefdpass") == "yes")
    return TransportFault{"proxy-failed",
                          "ProxyUseFdpass is for ssh, which is handed a "
                          "connection; libssh can't be"};
  // What the files say is the user's own; a destination may be anybody's.
  if (!IsPlainForAShell(facts.request.destination))
    return TransportFault{"proxy-failed",
                          "\"" + facts.request.destination +
                              "\" has a character that a ProxyCommand is not "
                              "given, since a shell runs it"};
  const std::optional<std::string> expanded =
      ExpandTokens(command, {{'h', login.host},
                             {'n', facts.request.destination},
                             {'p', std::to_string(login.port)},
                             {'r', login.user}});
  if (!expanded)
    return TransportFault{"proxy-failed",
                          "ProxyCommand has a token that only ssh expands: " +
                              command.substr(0, command.find(' '))};
  // sshconnect.c:ssh_proxy_connect()
  const char* const shell = std::getenv("SHELL");
  login.proxy = {shell != nullptr && *shell != '\0' ? shell : "/bin/sh", "-c",
                 "exec " + *expanded};
  return std::nullopt;
}

/// Everything that a login depends on, or why there can be none.
std::optional<TransportFault> Libssh::Prepare(const Facts& facts,
                                              LibsshLogin& login) {
  const ClientConfig config = facts.link.config.value_or(ClientConfig{});
  login.host = FirstValue(config, "hostname");
  login.user = FirstValue(config, "user");
  login.port = std::atoi(FirstValue(config, "port").c_str());  // a number
  constexpr int kHighest = 65535;
  if (login.port <= 0 || login.port > kHighest) login.port = 22;
  const std::string family = FirstValue(config, "addressfamily");
  if (family == "inet") login.family = LibsshLogin::Family::kInet;
  if (family == "inet6") login.family = LibsshLogin::Family::kInet6;
  login.bind_address = Only(printed_, "bindaddress");

  login.host_key_alias = FirstValue(config, "hostkeyalias");
  for (const char* keyword : {"userknownhostsfile", "globalknownhostsfile"})
    for (const std::string& path : SplitPaths(All(printed_, keyword)))
      if (IsSet(path)) login.known_hosts.push_back(ExpandTilde(path));
  const std::string strict = Lower(FirstValue(config, "stricthostkeychecking"));
  login.accept_unknown_key = strict == "no" || strict == "false" ||
                             strict == "off" || strict == "accept-new";
  if (IsSet(Only(printed_, "revokedhostkeys")))
    return TransportFault{"host-key-unknown",
                          "RevokedHostKeys names a file that libssh can't "
                          "read, so no key can be trusted"};

  if (Lower(FirstValue(config, "pubkeyauthentication")) != "false" &&
      Lower(FirstValue(config, "pubkeyauthentication")) != "no") {
    if (const AgentChoice* primary = facts.link.primary.get())
      login.agent_socket = primary->path.value_or("");
    login.identities_only =
        Lower(FirstValue(config, "identitiesonly")) == "yes";
    const auto add = [&](const char* keyword, std::vector<std::string>& to) {
      for (const std::string& value : All(printed_, keyword))
        if (IsSet(value))
          if (auto path = ExpandTokens(value, IdentityTokens(facts, login)))
            to.push_back(ExpandTilde(*path));
    };
    add("identityfile", login.identity_files);
    add("certificatefile", login.certificate_files);
  }
  login.step_limit = options_.step_limit;
  login.connect_limit = ConnectLimit(config, options_.step_limit);
  if (options_.tell)
    login.tell =
        [this, host = facts.request.destination](const std::string& message) {
          options_.tell(host, message);
        };
  return FindWay(facts, login);
}

SessionResult Libssh::OpenSession(const Facts& facts,
                                  const ProbeCommand& probe) {
  LibsshLogin login;
  if (auto fault = Prepare(facts, login)) {
    SessionResult result;
    result.session.fault = std::move(fault);
    return result;
  }
  return RunLibsshSession(login, probe);
}

ControlResult Libssh::MakeControlLogin(const Facts& facts,
                                       const ProbeCommand* probe) {
  LibsshLogin login;
  if (auto fault = Prepare(facts, login)) {
    ControlResult result;
    result.control.granted = Unknown{fault->message};
    result.control.fault = std::move(fault);
    return result;
  }
  return MakeLibsshControlLogin(login, probe);
}

}  // namespace

std::unique_ptr<Client> MakeLibssh(const RunOptions& options) {
  return std::make_unique<Libssh>(options);
}

}  // namespace agentdoctor
