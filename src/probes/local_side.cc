#include "probes/local_side.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string_view>

#include "agent/client.h"
#include "system/concurrently.h"
#include "system/file.h"
#include "system/processes.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::size_t kMaxCandidates = 64;
/// /tmp of a busy machine; the folders that count may come late.
constexpr std::size_t kMaxEntries = 65536;
/// The listener of a live agent accepts at once.
constexpr Milliseconds kConnectLimit{500};

// Unset and empty are the same to ssh since 8.0.
std::optional<std::string> Variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

Fact<std::string> LoginShell() {
  std::array<char, 16384> buffer;
  passwd entry;
  passwd* found = nullptr;
  getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return Unknown{"no entry in the password file"};
  // passwd(5): an empty field means /bin/sh.
  return std::string(*found->pw_shell != '\0' ? found->pw_shell : "/bin/sh");
}

// The socket that a line sets SSH_AUTH_SOCK to: `SSH_AUTH_SOCK=/path; export
// ...`, as ssh-agent prints it and keychain and sshd read it; else empty.
std::string NamedSocket(std::string_view line) {
  line = Trim(line);
  for (const std::string_view word : {"export ", "setenv "})
    if (line.starts_with(word)) line = Trim(line.substr(word.size()));
  constexpr std::string_view kName = "SSH_AUTH_SOCK";
  if (!line.starts_with(kName)) return {};
  line.remove_prefix(kName.size());
  if (line.empty() || (line[0] != '=' && line[0] != ' ')) return {};
  line = Trim(line.substr(1));
  if (!line.empty() && (line[0] == '"' || line[0] == '\'')) {
    const std::size_t end = line.find(line[0], 1);
    return std::string(line.substr(1, end == line.npos ? end : end - 1));
  }
  return std::string(line.substr(0, line.find_first_of("; \t")));
}

void ReadEnvironmentFile(const std::string& path, Side& side) {
  const auto text = ReadFile(path);
  if (!text) return;
  int number = 0;
  for (const std::string& line : SplitLines(*text)) {
    ++number;
    const std::string socket = NamedSocket(line);
    // sshd expands nothing in it, and a shell's variables are not ours to know.
    if (!socket.starts_with('/')) continue;
    side.environment_files.push_back(
        {path, number, socket, TryAgent(socket, kConnectLimit)});
  }
}

// The number of the line that says `"KEY": false` in a settings file, 0 if
// none does.  VS Code allows comments and trailing commas.
int LineThatTurnsOff(const std::string& text, const std::string& key) {
  using nlohmann::json;
  const json settings = json::parse(text, nullptr, /*allow_exceptions=*/false,
                                    /*ignore_comments=*/true);
  if (settings.is_object()) {
    const auto found = settings.find(key);
    if (found == settings.end() || *found != json(false)) return 0;
  }
  // The last one counts, as in JSON.
  int number = 0;
  int last = 0;
  for (const std::string& line : SplitLines(text)) {
    ++number;
    const std::string_view trimmed = Trim(line);
    const std::size_t at = trimmed.find('"' + key + '"');
    if (at == std::string_view::npos || trimmed.starts_with("//")) continue;
    const std::size_t value =
        trimmed.find_first_not_of(" \t:", at + key.size() + 2);
    const bool off = value == std::string_view::npos
                         ? settings.is_object()  // the value on the next line
                         : trimmed.substr(value).starts_with("false");
    last = off ? number : 0;
  }
  return last;
}

std::optional<EnvironmentFileLine> VsCodeForwardingOff(
    const std::string& home) {
  for (const std::string_view base :
       {"/.config/", "/Library/Application Support/"}) {
    for (const std::string_view editor :
         {"Code", "Code - Insiders", "VSCodium", "Cursor"}) {
      std::string file = home;
      file.append(base).append(editor).append("/User/settings.json");
      const auto text = ReadFile(file);
      if (!text) continue;
      const int line =
          LineThatTurnsOff(*text, "remote.SSH.enableAgentForwarding");
      if (line > 0)
        return EnvironmentFileLine{
            std::move(file), line, {}, AgentState::kMissing};
    }
  }
  return std::nullopt;
}

std::string RealPath(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(
      realpath(path.c_str(), nullptr), std::free);
  return real ? real.get() : std::string();
}

/// Names in a folder that begin and end so; `inside` is a further step down.
struct Place {
  std::string folder;
  std::string_view prefix;
  std::string_view suffix;
  std::string_view inside_prefix = {};  ///< empty: the entry is the socket
};

/// A socket found in one of the places whose names are made up anew each time.
struct Found {
  std::string path;
  std::int64_t modified;
};

// The places of openssh, dropbear, launchd, Go servers and VS Code.
std::vector<Found> Search(const std::vector<Place>& places) {
  std::vector<Found> sockets;
  const auto uid = static_cast<std::int64_t>(getuid());
  const auto add = [&](const std::string& path) {
    const PathStatus status = LookAt(path);
    if (status.kind == PathStatus::Kind::kSocket && status.owner == uid)
      sockets.push_back({path, status.modified});
  };
  std::string listed;
  std::vector<std::string> names;
  for (const Place& place : places) {
    if (place.folder != listed) {
      names = ListDirectory(place.folder, kMaxEntries);
      listed = place.folder;
    }
    for (const std::string& name : names) {
      if (!name.starts_with(place.prefix) || !name.ends_with(place.suffix))
        continue;
      const std::string path = place.folder + "/" + name;
      if (place.inside_prefix.empty()) {
        add(path);
        continue;
      }
      for (const std::string& inside : ListDirectory(path, kMaxCandidates))
        if (inside.starts_with(place.inside_prefix)) add(path + "/" + inside);
    }
  }
  std::stable_sort(sockets.begin(), sockets.end(),
                   [](const Found& one, const Found& other) {
                     return one.modified > other.modified;
                   });
  return sockets;
}

}  // namespace

Side LookAround() {
  Side side;
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) == 0) side.name = name.data();
  side.uid = static_cast<std::int64_t>(getuid());
  side.boot_id = BootId();
  side.shell = LoginShell();
  side.auth_sock = Variable("SSH_AUTH_SOCK");
  if (const auto connection = Variable("SSH_CONNECTION"))
    side.ssh_connection = *connection;
  else
    side.ssh_connection = Unknown{"SSH_CONNECTION is not set"};

  const std::string home = HomeDirectory();
  ReadEnvironmentFile(home + "/.ssh/environment", side);
  for (const std::string& file : ListDirectory(home + "/.keychain"))
    if (file.ends_with("-sh"))
      ReadEnvironmentFile(home + "/.keychain/" + file, side);
  side.vscode_forwarding_off = VsCodeForwardingOff(home);
  return side;
}

std::vector<std::string> AgentCandidates() {
  const std::string home = HomeDirectory();
  const std::string uid = std::to_string(getuid());
  const std::string runtime =
      Variable("XDG_RUNTIME_DIR").value_or("/run/user/" + uid);
  const std::string gnupg = Variable("GNUPGHOME").value_or(home + "/.gnupg");

  std::vector<std::string> paths;
  for (const std::string_view name :
       {"keyring/ssh", "keyring/.ssh", "gcr/ssh", "openssh_agent",
        "ssh-agent.socket", "gnupg/S.gpg-agent.ssh"})
    paths.push_back(runtime + "/" + std::string(name));
  paths.push_back(gnupg + "/S.gpg-agent.ssh");
  for (const std::string_view name :
       {".1password/agent.sock",
        "Library/Group Containers/2BUA8C4S2C.com.1password/t/agent.sock",
        "Library/Containers/com.maxgoedjen.Secretive.SecretAgent/Data/"
        "socket.ssh",
        // Bitwarden by itself, from Apple's store, as a snap and a flatpak.
        ".bitwarden-ssh-agent.sock",
        "Library/Containers/com.bitwarden.desktop/Data/"
        ".bitwarden-ssh-agent.sock",
        "snap/bitwarden/current/.bitwarden-ssh-agent.sock",
        ".var/app/com.bitwarden.desktop/data/.bitwarden-ssh-agent.sock"})
    paths.push_back(home + "/" + std::string(name));
  paths.push_back("/run/host-services/ssh-auth.sock");

  std::vector<Place> places{{"/tmp", "ssh-", "", "agent."},
                            {"/tmp", "dropbear-", "", "auth-"},
                            {"/tmp", "auth-agent", "", "listener.sock"},
                            {"/tmp", "vscode-ssh-auth-", ""},
                            {home + "/.ssh/agent", "s.", ""},
                            {runtime, "vscode-ssh-auth-sock-", ""},
                            {runtime + "/wezterm", "agent.", ""}};
  const std::string temporary = Variable("TMPDIR").value_or("/tmp");
  if (temporary != "/tmp") places.push_back({temporary, "ssh-", "", "agent."});
  for (const char* folder : {"/private/tmp", "/var/run"})
    places.push_back({folder, "com.apple.launchd.", "", "Listeners"});
  for (Found& found : Search(places)) paths.push_back(std::move(found.path));

  std::vector<std::string> candidates;
  std::set<std::string> seen;
  for (const std::string& path : paths) {
    if (candidates.size() >= kMaxCandidates) break;
    const PathStatus status = LookAt(path);
    if (status.kind == PathStatus::Kind::kSocket &&
        status.owner == static_cast<std::int64_t>(getuid()) &&
        seen.insert(RealPath(path)).second)
      candidates.push_back(path);
  }
  return candidates;
}

std::vector<Agent> AskAgents(Side& side, const std::vector<std::string>& paths,
                             const std::vector<std::string>& candidates,
                             Milliseconds limit) {
  struct Question {
    std::string path;
    bool named;  ///< by the user: kept whatever comes of it
  };
  std::vector<Question> questions;
  std::set<std::string> asked;  // as written, and where links lead
  for (const Agent& agent : side.agents) {
    asked.insert(agent.path);
    asked.insert(RealPath(agent.path));
  }
  for (const std::string& path : paths) {
    if (path.empty() || FindAgent(side, path) != nullptr) continue;
    const bool repeated =
        std::any_of(questions.begin(), questions.end(),
                    [&](const Question& other) { return other.path == path; });
    if (!repeated) questions.push_back({path, true});
    asked.insert(RealPath(path));
  }
  for (const std::string& path : candidates) {
    const std::string real = RealPath(path);
    if (!real.empty() && asked.insert(real).second)
      questions.push_back({path, false});
  }

  std::vector<Agent> agents(questions.size());
  Concurrently(questions.size(), kMaxCandidates, [&](std::size_t i) {
    agents[i] = AskAgent(questions[i].path, limit, questions[i].named);
  });
  std::vector<Agent> others;
  for (std::size_t i = 0; i < agents.size(); ++i) {
    const bool kept =
        questions[i].named || agents[i].state == AgentState::kAnswered;
    (kept ? side.agents : others).push_back(std::move(agents[i]));
  }
  return others;
}

void AddAgents(Side& side, const std::vector<Agent>& agents) {
  std::set<std::string> known;
  for (const Agent& agent : side.agents) {
    known.insert(agent.path);
    known.insert(RealPath(agent.path));
  }
  for (const Agent& agent : agents)
    if (known.insert(RealPath(agent.path)).second) side.agents.push_back(agent);
}

}  // namespace agentdoctor
