#include "clients/client.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "clients/putty_sessions.h"
#include "clients/tsh_options.h"

namespace agentdoctor {
namespace {

struct NamedClient {
  const char* name;
  const char* program;
  std::unique_ptr<Client> (*make)(const RunOptions& options);
  std::string (*fault)(const Request& request);
};

/// ssh itself says what is wrong with its options.
std::string NoFault(const Request&) { return {}; }

constexpr std::array kClients = {
    NamedClient{"openssh", "ssh",
                [](const RunOptions& options) { return MakeOpenSsh(options); },
                NoFault},
    NamedClient{"libssh", "ssh", MakeLibssh, NoFault},
    NamedClient{"putty", "plink", MakePutty, PuttyRequestFault},
    NamedClient{"tsh", "tsh", MakeTsh, TshRequestFault},
};

const NamedClient& Named(const std::string& name) {
  const auto* const found =
      std::ranges::find(kClients, name, &NamedClient::name);
  if (found == kClients.end())
    throw std::invalid_argument("there is no client " + name);
  return *found;
}

}  // namespace

std::unique_ptr<Client> MakeClient(const std::string& name,
                                   const RunOptions& options) {
  return Named(name).make(options);
}

std::string ClientProgram(const std::string& name) {
  return Named(name).program;
}

std::string RequestFault(const Request& request) {
  return Named(request.client).fault(request);
}

const std::vector<std::string>& ClientNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const NamedClient& client : kClients) all.emplace_back(client.name);
    return all;
  }();
  return names;
}

}  // namespace agentdoctor
