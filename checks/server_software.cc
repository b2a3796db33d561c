#include "server_software.h"

#include <array>

#include "agentdoctor/openssh_release.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

struct Mark {
  std::string_view text;
  std::string_view product;
};

// How the ssh servers of forges begin their version.
constexpr std::array<Mark, 4> kVersions = {{{"babeld-", "GitHub"},
                                            {"GitLab-SSHD", "GitLab"},
                                            {"conker_", "Bitbucket"},
                                            {"GerritCodeReview_", "Gerrit"}}};

// What forges say to whoever wants a shell or a command; the last three are of
// gitolite and of git-shell(1), which any host may run.
constexpr std::array<Mark, 11> kWords = {
    {{"GitHub does not provide shell access", "GitHub"},
     {"Gitea does not provide shell access", "Gitea"},
     {"Forgejo does not provide shell access", "Forgejo"},
     {"Welcome to GitLab, @", "GitLab"},
     {"use git to connect to Bitbucket", "Bitbucket"},
     {"Welcome to Gerrit Code Review", "Gerrit"},
     {"does not provide shell access", ""},
     {"You appear to be using ssh to clone a git:// URL", ""},
     {"unknown git/gitolite command", "gitolite"},
     {"fatal: unrecognized command '", "git-shell"},
     {"Interactive git shell is not enabled", "git-shell"}}};

}  // namespace

Software SoftwareOf(std::string_view version) {
  if (version.empty()) return Software::kUnknown;
  if (version.starts_with("OpenSSH_for_Windows")) return Software::kWindows;
  if (version.starts_with("OpenSSH")) return Software::kOpenSsh;
  if (version.starts_with("dropbear")) return Software::kDropbear;
  if (version.starts_with("tinyssh")) return Software::kTinySsh;
  return Software::kOther;
}

std::string ServerVersion(const Facts& facts) {
  if (const Session* session = facts.link.session.get();
      session && !session->transcript.server_version.empty())
    return session->transcript.server_version;
  const Control* control = facts.link.control.get();
  return control ? control->transcript.server_version : std::string();
}

// TinySSH: README, packet_channel_request.c.  Windows: its sshd refuses, in
// words ("Agent forwarding not supported yet in Windows", 7.7) or because it
// has no such socket (Win32-OpenSSH issues 1461, 1462).
bool LacksForwarding(Software software) {
  return software == Software::kTinySsh || software == Software::kWindows;
}

bool IsSshd(Software software) {
  return software == Software::kOpenSsh || software == Software::kUnknown;
}

bool AnnouncesKeyOptions(const Facts& facts) {
  const std::string version = ServerVersion(facts);
  const Software software = SoftwareOf(version);
  const Session* session = facts.link.session.get();
  const Control* control = facts.link.control.get();
  const bool certificate =
      (session && session->transcript.accepted_certificate) ||
      (control && control->transcript.accepted_certificate);
  if (certificate && OpenSshRelease(version) < Release(7, 7)) return false;
  return facts.link.client != "libssh" && !IsTsh(facts) &&
         (IsSshd(software) || software == Software::kWindows);
}

std::string_view DaemonName(Software software) {
  switch (software) {
    case Software::kOpenSsh:
    case Software::kWindows:
    case Software::kUnknown:
      return "sshd";
    case Software::kDropbear:
      return "dropbear";
    case Software::kTinySsh:
      return "tinysshd";
    case Software::kOther:
      return "the server";
  }
  return "the server";
}

Evidence PolicyAnswer(const Facts& facts, const Control& control) {
  std::string shown = control.granted_shown_by;
  if (shown.empty())
    shown = *control.granted ? "auth-agent-req@openssh.com: SUCCESS"
                             : "auth-agent-req@openssh.com: FAILURE";
  return {.source = FreshLogin(facts),
          .text = std::string("the server ") +
                  (*control.granted ? "grants" : "refuses") +
                  " agent forwarding (" + shown + ")"};
}

std::optional<Forge> FindForge(const Facts& facts) {
  const Session* session = facts.link.session.get();
  if (!session || session->end != SessionEnd::kNoProbe) return std::nullopt;
  const std::string version = ServerVersion(facts);
  for (const Mark& mark : kVersions)
    if (version.starts_with(mark.text))
      return Forge{.product = std::string(mark.product), .sure = true};
  std::string said = session->output_head;
  if (const Control* control = facts.link.control.get())
    said += "\n" + control->greeting;
  for (const Mark& mark : kWords)
    if (said.find(mark.text) != std::string::npos)
      return Forge{.product = std::string(mark.product), .sure = true};
  const ClientConfig* config = facts.link.config.get();
  if (config && FirstValue(*config, "user") == "git") return Forge{};
  return std::nullopt;
}

}  // namespace agentdoctor::checks
