#include "probes/git_remotes.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "system/file.h"
#include "system/process.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr Milliseconds kLimit{1000};
constexpr std::size_t kOutputLimit = 65536;

/// Whether a folder above, or this one, is a work tree.  (A file .git belongs
/// to a worktree or a submodule.)
bool InWorkTree() {
  if (const char* folder = std::getenv("GIT_DIR"); folder && *folder)
    return true;
  // The topmost folder is its own parent.
  std::string path = ".";
  for (int up = 0; up < 32; ++up, path += "/..")
    if (LookAt(path + "/.git").kind != PathStatus::Kind::kMissing) return true;
  return false;
}

/// "https://dave:secret@host/x" without what stands before the @.
std::string WithoutUser(std::string url) {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  const std::size_t start = scheme + 3;
  const std::size_t end = std::min(url.find('/', start), url.size());
  const std::size_t at = url.rfind('@', end);
  if (at != std::string::npos && at >= start && at < end)
    url.erase(start, at + 1 - start);
  return url;
}

/// A variable of git's configuration.
struct Setting {
  std::string file = {};
  std::string name = {};  ///< first and last part in lower case
  std::string value = {};
};

// ORIGIN NUL NAME LF VALUE NUL, and so on.
std::vector<Setting> ReadSettings(std::string_view output) {
  std::vector<Setting> settings;
  const auto next = [&output]() {
    const std::size_t end = std::min(output.find('\0'), output.size());
    const std::string_view text = output.substr(0, end);
    output.remove_prefix(std::min(end + 1, output.size()));
    return text;
  };
  while (!output.empty()) {
    std::string_view origin = next();
    const std::string_view entry = next();
    if (origin.starts_with("file:")) origin.remove_prefix(5);
    const std::size_t line = std::min(entry.find('\n'), entry.size());
    settings.push_back(
        {std::string(origin), std::string(entry.substr(0, line)),
         std::string(entry.substr(std::min(line + 1, entry.size())))});
  }
  return settings;
}

/// What stands between \a prefix and \a suffix; empty if they do not.
std::string Between(const std::string& name, std::string_view prefix,
                    std::string_view suffix) {
  if (!name.starts_with(prefix) || !name.ends_with(suffix) ||
      name.size() <= prefix.size() + suffix.size())
    return {};
  return name.substr(prefix.size(),
                     name.size() - prefix.size() - suffix.size());
}

}  // namespace

std::vector<GitRemote> ParseGitConfig(const std::string& output) {
  const std::vector<Setting> settings = ReadSettings(output);
  std::vector<std::pair<std::string, std::string>> instead;
  std::string ssh;
  for (const Setting& setting : settings) {
    if (const std::string base = Between(setting.name, "url.", ".insteadof");
        !base.empty() && !setting.value.empty())
      instead.emplace_back(setting.value, base);
    if (setting.name == "core.sshcommand") ssh = setting.value;
  }
  std::vector<GitRemote> remotes;
  for (const Setting& setting : settings) {
    const std::string name = Between(setting.name, "remote.", ".url");
    if (name.empty()) continue;
    // The longest match counts (git-config(1)).
    const std::pair<std::string, std::string>* longest = nullptr;
    for (const auto& rule : instead)
      if (setting.value.starts_with(rule.first) &&
          (!longest || rule.first.size() > longest->first.size()))
        longest = &rule;
    remotes.push_back(
        {.name = name,
         .url = WithoutUser(
             longest
                 ? longest->second + setting.value.substr(longest->first.size())
                 : setting.value),
         .file = setting.file,
         .ssh_command = ssh});
  }
  return remotes;
}

std::vector<GitRemote> LookForGitRemotes() {
  if (!InWorkTree()) return {};
  const ProcessResult git = Run(
      {.argv = {"git", "config", "-z", "--show-origin", "--get-regexp",
                R"(^(remote\..*\.url|url\..*\.insteadof|core\.sshcommand)$)"},
       .environment = {{"GIT_OPTIONAL_LOCKS", "0"}},
       .total_limit = kLimit,
       .output_limit = kOutputLimit});
  if (git.end != ProcessEnd::kExited || git.status != 0) return {};
  std::vector<GitRemote> remotes = ParseGitConfig(git.out);
  // GIT_SSH_COMMAND comes before core.sshCommand, GIT_SSH after it (git(1)).
  for (GitRemote& remote : remotes) {
    const char* command = std::getenv("GIT_SSH_COMMAND");
    const char* program = std::getenv("GIT_SSH");
    if (command && *command)
      remote.ssh_command = command;
    else if (program && remote.ssh_command.empty())
      remote.ssh_command = program;
  }
  return remotes;
}

}  // namespace agentdoctor
