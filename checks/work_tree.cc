#include "work_tree.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "words.h"

namespace agentdoctor::checks {
namespace {

bool IsWeb(std::string_view url) {
  return url.starts_with("https://") || url.starts_with("http://");
}

bool IsSsh(std::string_view url) {
  if (url.starts_with("ssh://") || url.starts_with("git+ssh://")) return true;
  // "git@host:path", but no path of this machine.
  const std::size_t colon = url.find(':');
  return colon != std::string_view::npos && colon < url.find('/') &&
         url.find("://") == std::string_view::npos;
}

/// "git@host:path" of "https://host/path"; empty where that can't be told.
std::string SshUrl(std::string_view url) {
  const std::size_t start = url.find("://") + 3;
  const std::size_t slash = url.find('/', start);
  if (slash == std::string_view::npos || slash + 1 == url.size()) return {};
  const std::string_view host = url.substr(start, slash - start);
  // A port is that of the web server.
  if (host.empty() || host.find_first_of(":[@") != std::string_view::npos)
    return {};
  return "git@" + std::string(host) + ":" + std::string(url.substr(slash + 1));
}

/// The program that git starts instead of ssh; empty if it is an ssh.
std::string OtherProgram(const GitRemote& remote) {
  const std::vector<std::string> words = Words(remote.ssh_command);
  if (words.empty()) return {};
  const std::string& program = words.front();
  const std::string name = program.substr(program.rfind('/') + 1);
  return name.find("ssh") == std::string::npos ? program : std::string();
}

Evidence AsEvidence(const GitRemote& remote) {
  return {.source = "git config",
          .text = "remote." + remote.name + ".url = " + remote.url,
          .file = remote.file};
}

}  // namespace

void JudgeWorkTree(const Facts& facts, Answer& answer) {
  std::vector<const GitRemote*> web;
  std::string other;
  for (const GitRemote& remote : facts.near.git_remotes) {
    if (IsWeb(remote.url)) web.push_back(&remote);
    if (IsSsh(remote.url) && other.empty()) other = OtherProgram(remote);
  }
  std::vector<std::string> names;
  for (const GitRemote* remote : web) names.push_back(remote->name);
  if (!web.empty()) {
    const GitRemote& first = *web.front();
    Finding finding{.code = "next-hop-not-ssh",
                    .severity = Severity::kInfo,
                    .summary = "git reaches " + Some(names, 3) +
                               " over https, where no agent is ever asked: " +
                               Short(first.url, 120),
                    .explanation =
                        "Whatever is forwarded, git asks for a user name and a "
                        "token there, or its credential helper does."};
    for (const GitRemote* remote : web) {
      if (finding.evidence.size() == 16) break;
      finding.evidence.push_back(AsEvidence(*remote));
    }
    if (!first.ssh_command.empty())
      finding.evidence.push_back(
          {.source = "git",
           .text = "for ssh URLs it would run " + first.ssh_command});
    if (const std::string url = SshUrl(first.url); !url.empty())
      finding.fixes = {
          {.title = "Reach it by ssh, if the server knows your key",
           .safety = Safety::kManual,
           .commands = {{"git", "remote", "set-url", first.name, url}}}};
    answer.findings.push_back(std::move(finding));
  }
  if (!other.empty())
    answer.findings.push_back(
        {.code = "next-hop-not-ssh",
         .severity = Severity::kInfo,
         .summary = "git runs " + Short(other, 120) +
                    " instead of ssh, which may know of no agent",
         .explanation = "GIT_SSH_COMMAND, GIT_SSH or core.sshCommand says so.",
         .evidence = {{.source = "git",
                       .text = facts.near.git_remotes.front().ssh_command}},
         .fixes = {
             {.title = "Try it with ssh itself",
              .safety = Safety::kManual,
              .commands = {{"env", "GIT_SSH_COMMAND=ssh", "git", "fetch"}}}}});
  answer.summary = answer.findings.empty() ? "git reaches every remote by ssh"
                                           : answer.findings.front().summary;
}

}  // namespace agentdoctor::checks
