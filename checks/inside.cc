#include "inside.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "live_agents.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

constexpr std::size_t kValues = 16;

std::string Variable(const Side& side, const std::string& name) {
  const auto found = side.session_variables.find(name);
  return found == side.session_variables.end() ? std::string() : found->second;
}

const Ancestor* Above(const Side& side,
                      std::initializer_list<std::string_view> names) {
  for (const Ancestor& ancestor : side.ancestors)
    for (const std::string_view name : names)
      if (ancestor.name == name) return &ancestor;
  return nullptr;
}

/// The tmux server one sits in, by its socket; else empty.
std::string TmuxServer(const Side& side) {
  const std::string tmux = Variable(side, "TMUX");
  return tmux.substr(0, tmux.find(','));
}

bool IsAround(const Side& side, const Holder& holder) {
  switch (holder.kind) {
    case HolderKind::kTmuxServer:
    case HolderKind::kTmuxSession:
      return !holder.server.empty() && holder.server == TmuxServer(side);
    case HolderKind::kScreen: {
      // STY is "PID.NAME".
      const std::string sty = Variable(side, "STY");
      return holder.pid && !sty.empty() &&
             sty.substr(0, sty.find('.')) == std::to_string(*holder.pid);
    }
    case HolderKind::kEditor:
    case HolderKind::kContainer:
    case HolderKind::kProcess:
      return false;
  }
  return false;
}

std::string Named(const Holder& holder) {
  switch (holder.kind) {
    case HolderKind::kTmuxServer:
      return "the tmux server";
    case HolderKind::kTmuxSession:
      return "tmux session " + holder.name;
    default:
      return "screen session " + holder.name;
  }
}

bool Answers(const Side& side, const std::string& path) {
  const Agent* agent = FindAgent(side, path);
  return agent && agent->state == AgentState::kAnswered;
}

/// "SSH_AUTH_SOCK=/tmp/...: 2 identities"
std::string Value(const Side& side, const std::optional<std::string>& value) {
  if (!value || value->empty()) return "no SSH_AUTH_SOCK";
  const Agent* agent = FindAgent(side, *value);
  std::string text = "SSH_AUTH_SOCK=" + *value;
  if (!agent) return text;
  return text + ": " +
         (agent->state == AgentState::kAnswered
              ? Count(agent->identities.size(), "identity", "identities")
              : "no agent answers there");
}

std::string InTmux(const Side& side) {
  std::string text =
      OwnSocket(side).empty()
          ? "This pane of tmux keeps the environment it began with, and there "
            "was no agent in it."
          : "This pane of tmux keeps the environment it began with, and the "
            "connection of that time has ended.";
  const LongLived* sessions = side.long_lived.get();
  if (!sessions) return text;
  const bool newer =
      std::ranges::any_of(sessions->holders, [&](const Holder& holder) {
        return holder.kind == HolderKind::kTmuxSession &&
               IsAround(side, holder) && holder.auth_sock &&
               Answers(side, *holder.auth_sock);
      });
  if (newer)
    text +=
        " tmux itself has been told of a living agent since, and gives it to "
        "new panes.";
  return text;
}

}  // namespace

bool IsVsCodeLink(const std::string& path) {
  return path.find("/vscode-ssh-auth-sock-") != std::string::npos;
}

bool UnderSudo(const Side& side) {
  return Above(side, {"sudo", "doas"}) || !Variable(side, "SUDO_USER").empty();
}

std::string Surroundings(const Side& side) {
  const std::string own = OwnSocket(side);
  const bool unset = own.empty();
  if (unset && UnderSudo(side))
    return "sudo does not hand the variable on, unless sudoers says so.";
  if (unset && Above(side, {"su", "runuser", "machinectl"}))
    return "A login shell for another user begins with a clean environment.";
  if (IsVsCodeLink(own))
    return "VS Code gives its terminals this link, and has to point it at the "
           "new socket whenever it connects anew; it did not.";
  if (!Variable(side, "TMUX").empty()) return InTmux(side);
  if (!Variable(side, "STY").empty())
    return "screen gives every window the environment that the session began "
           "with, and attaching does not renew it.";
  if (Above(side, {"mosh-server"}))
    return "mosh forwards no agent: its ssh connection ends as soon as the "
           "session has begun.";
  if (const std::string engine = Variable(side, "container");
      unset && !engine.empty() && !side.connection_sockets.known())
    return "This is a container (" + engine +
           "): it has an agent only if the socket was mounted into it and the "
           "variable set when it was made.";
  return {};
}

std::vector<Evidence> OtherValues(const Side& side) {
  std::vector<Evidence> evidence;
  std::set<std::string> said;
  const std::string own = OwnSocket(side);
  if (const LongLived* sessions = side.long_lived.get())
    for (const Holder& holder : sessions->holders)
      if (IsAround(side, holder) && holder.auth_sock.value_or("") != own &&
          evidence.size() < kValues)
        evidence.push_back(
            {.source = holder.kind == HolderKind::kScreen ? "screen" : "tmux",
             .text = Named(holder) + " has " + Value(side, holder.auth_sock)});
  for (const Ancestor& ancestor : side.ancestors) {
    const auto* socket = ancestor.auth_sock.get();
    if (!socket || !*socket || **socket == own || evidence.size() == kValues ||
        !said.insert(**socket).second)
      continue;
    evidence.push_back(
        {.source = "/proc",
         .text = ancestor.name + " (pid " + std::to_string(ancestor.pid) +
                 "), above this shell, began with " + Value(side, *socket)});
  }
  return evidence;
}

}  // namespace agentdoctor::checks
