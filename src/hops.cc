#include "hops.h"

#include <exception>
#include <utility>

#include "clients/openssh_command.h"
#include "clients/openssh_config.h"
#include "collect.h"
#include "path.h"
#include "probes/place_side.h"
#include "system/interrupt.h"
#include "system/remote_shell.h"

namespace agentdoctor {
namespace {

/// Why nothing can be done on the host at the end of \a hop, or "".
std::string WhyNotBeyond(const Facts& hop) {
  const std::string& host = hop.request.destination;
  if (hop.interrupted || Interrupted()) return "interrupted";
  const Session* session = hop.link.session.get();
  if (!session) return host + " was not examined: " + hop.link.session.reason();
  if (session->end != SessionEnd::kProbed) {
    try {
      checks::ProbedSession(hop);
    } catch (const FactUnknown& unknown) {
      const std::string why =
          session->fault ? session->fault->message : unknown.what();
      return "nothing can be run on " + host + ": " + why;
    }
  }
  // To go on takes another session: through a master it costs no login.
  if (!checks::ThroughMaster(hop) && !session->transcript.asked_person.empty())
    return "the login to " + host +
           " needed a person, and to go on from there takes another one";
  return {};
}

/// The value of an option of ssh(1) that takes one, as typed.
std::string OptionValue(const Request& request, const std::string& option) {
  for (std::size_t i = 0; i + 1 < request.ssh_options.size(); ++i)
    if (request.ssh_options[i] == option) return request.ssh_options[i + 1];
  return {};
}

std::string JumpTo(const std::string& host, const ClientConfig& config) {
  const bool address = host.find(':') != std::string::npos;
  return FirstValue(config, "user") + "@" +
         (address ? "[" + host + "]" : host) + ":" + FirstValue(config, "port");
}

/// The login from here that takes the way of \a hop: through the hosts before
/// it, to where the last of them would connect to.
Request FromHere(const std::vector<Facts>& path, const ClientConfig& hop) {
  const Request& first = path.front().request;
  std::string jumps = OptionValue(first, "-J");
  for (const Facts& before : path) {
    const ClientConfig config = before.link.config.value_or(ClientConfig{});
    const std::string host = before.via.empty()
                                 ? ParseJumpHost(first.destination).host
                                 : FirstValue(config, "hostname");
    jumps += (jumps.empty() ? "" : ",") + JumpTo(host, config);
  }
  Request request{.destination = FirstValue(hop, "hostname"), .ssh = first.ssh};
  const auto add = [&request](const char* option, const std::string& value) {
    if (value.empty()) return;
    request.ssh_options.emplace_back(option);
    request.ssh_options.push_back(value);
  };
  add("-F", OptionValue(first, "-F"));
  add("-J", jumps);
  add("-l", FirstValue(hop, "user"));
  add("-p", FirstValue(hop, "port"));
  return request;
}

/// The control experiment for \a hop, which begins beyond \a path.
Fact<Control> ControlFromHere(const std::vector<Facts>& path, const Facts& hop,
                              Client& client) {
  Facts facts = hop;
  facts.request = FromHere(path, hop.link.config.value_or(ClientConfig{}));
  const std::string way =
      "from here, through " + path.back().request.destination;
  const Resolution resolution = client.Resolve(facts.request);
  facts.link.version = resolution.version;
  facts.link.config = resolution.config;
  const ClientConfig* config = facts.link.config.get();
  if (!config || config->error)
    return Unknown{
        "there is no login " + way + ": " +
        (config ? config->error->message : facts.link.config.reason())};
  Control control = MakeControlLogin(facts, client);
  if (!control.logged_in)
    return Unknown{
        "there is no login " + way + ": " +
        (control.fault ? control.fault->message : control.granted.reason())};
  return control;
}

}  // namespace

std::vector<Request> PathRequests(const Request& first,
                                  const std::vector<std::string>& then) {
  std::vector<Request> path = {first};
  for (const std::string& destination : then)
    path.push_back({.destination = destination,
                    .key = first.key,
                    .key_fingerprint = first.key_fingerprint});
  if (then.empty()) return path;
  path.front().to.clear();
  path.back().to = first.to;
  return path;
}

std::vector<Facts> CollectHops(const Facts& first,
                               const std::vector<Request>& path, Client* client,
                               const RunOptions& options, ControlMode control) {
  std::vector<Facts> hops = {first};
  RemoteShell shell;
  // Each session is made by the client of the hop that it belongs to, and
  // what that one keeps for it lives as long.
  std::vector<std::unique_ptr<Client>> clients;
  Client* last = client;
  std::string why;
  while (hops.size() < path.size()) {
    const Facts& before = hops.back();
    const std::string& host = before.request.destination;
    std::vector<std::string> via = before.via;
    via.push_back(host);
    const Request& request = path[hops.size()];
    try {
      if (why.empty()) why = WhyNotBeyond(before);
      if (why.empty()) {
        Facts unattended = before;
        unattended.request.interactive = false;
        const std::string fault =
            shell.Enter([&](const std::string& remote_command) {
              std::optional<Command> way =
                  last->ShellCommand(unattended, remote_command);
              if (!way)
                throw std::runtime_error("--client " + before.request.client +
                                         " does not go on from " + host);
              return *std::move(way);
            });
        if (!fault.empty())
          why = "no further session on " + host + " came about: " + fault;
      }
      if (why.empty()) {
        const Stopover from{
            .place = shell,
            .side = LookAround(shell, before.far, options.step_limit),
            .via = via,
            .control = [&](const Facts& hop) {
              return ControlFromHere(hops, hop, *client);
            }};
        clients.push_back(MakeOpenSsh(options, shell));
        last = clients.back().get();
        hops.push_back(Collect(request, *last, options, control, &from));
        continue;
      }
    } catch (const std::exception& error) {
      why = error.what();
    }
    hops.push_back(NotExamined(request, via, why));
  }
  hops.erase(hops.begin());
  return hops;
}

}  // namespace agentdoctor
