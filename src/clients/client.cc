#include "clients/client.h"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace agentdoctor {
namespace {

struct NamedClient {
  const char* name;
  std::unique_ptr<Client> (*make)(const RunOptions& options);
};

constexpr std::array kClients = {
    NamedClient{"openssh",
                [](const RunOptions& options) { return MakeOpenSsh(options); }},
    NamedClient{"libssh", MakeLibssh},
};

}  // namespace

std::unique_ptr<Client> MakeClient(const std::string& name,
                                   const RunOptions& options) {
  const auto* const found =
      std::ranges::find(kClients, name, &NamedClient::name);
  if (found == kClients.end())
    throw std::invalid_argument("there is no client " + name);
  return found->make(options);
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
