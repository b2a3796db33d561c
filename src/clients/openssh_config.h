// OpenSSH's configuration: values from `ssh -G`, places from its -vvv trace.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "clients/client.h"
#include "system/place.h"

namespace agentdoctor {

/// What `ssh -G -vvv` said, and the files that it names.  Stays in this
/// process: it holds what is nobody's business (see the allow-list).
struct ConfigAnswer {
  std::string values = {};
  std::string trace = {};
  std::map<std::string, FileText> files = {};
};

/// Runs `ssh -G -vvv` once (it executes Match exec) and reads both streams,
/// which are left in \a answer if ssh took its configuration.
Resolution ResolveOpenSsh(const Request& request, Milliseconds limit,
                          Place& place = Here(),
                          ConfigAnswer* answer = nullptr);

/// What an answer means for \a request.
Resolution ReadAnswer(const Request& request, const ConfigAnswer& answer,
                      Place& place = Here());

/// The same question about no host in particular: a name that no Host line
/// means and that is looked up nowhere.
Request AboutNoHost(Request request);

/// The pieces, for tests: values from standard output, places from the trace.
/// \a read_file maps a path to its text ("" if it can't be read).
ClientConfig ParseConfig(
    const Request& request, const std::string& values, const std::string& trace,
    const std::function<std::string(const std::string&)>& read_file);

/// The agent that would be forwarded / used to log in (notes on IdentityAgent
/// and ForwardAgent: ssh.c), given this environment and home.
AgentChoice ForwardedAgent(
    const ClientConfig& config,
    const std::function<std::optional<std::string>(const std::string&)>&
        environment,
    const std::string& home = Here().Home());
AgentChoice PrimaryAgent(
    const ClientConfig& config,
    const std::function<std::optional<std::string>(const std::string&)>&
        environment,
    const std::string& home = Here().Home());

/// The first value of a keyword (lower case), or "".
std::string FirstValue(const ClientConfig& config, const std::string& keyword);

}  // namespace agentdoctor
