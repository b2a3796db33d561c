#include "plan.h"

#include <algorithm>

#include "path.h"
#include "server_software.h"
#include "words.h"

namespace agentdoctor {
namespace {

using checks::HandedOver;
using checks::ThroughMaster;

/// What a session through a live master shows that a fresh login would
/// explain, or "".
std::string ToExplain(const Facts& facts) {
  // Whose master is it?  Its sessions can look healthy on the wrong host.
  if (checks::MasterMayServeAnother(facts))
    return "the master may serve another destination with the same ControlPath";
  const HandedOver handed = checks::LookAtHandedOver(facts);
  if (handed.made != true)
    return "the session through the master has no forwarded agent";
  const Agent* agent = checks::HandedOverAgent(facts);
  if (agent && agent->state != AgentState::kAnswered)
    return "the agent behind the master does not answer";
  return {};
}

bool KeyDenies(const Transcript& transcript) {
  return std::ranges::any_of(
      transcript.key_options,
      [](const KeyOptions& options) { return !options.agent_forwarding; });
}

/// A fresh session that asked for an agent and got none, from a server that
/// does not say why: its answer to the control tells more.
bool RefusesInSilence(const Facts& facts, const Session& session) {
  return !checks::AnnouncesKeyOptions(facts) &&
         !checks::LacksForwarding(
             checks::SoftwareOf(session.transcript.server_version)) &&
         session.transcript.forwarding_requested.value_or(false) &&
         checks::LookAtHandedOver(facts).made == false;
}

/// What a session would wait for in vain, as was seen on this side, or "".
std::string WouldHang(const Facts& facts) {
  const auto hung = [](const Master& master) {
    return master.state == MasterState::kUnresponsive;
  };
  const auto say = [](const Master& master) {
    return "the master for " + master.host +
           " does not answer, and ssh would wait for it";
  };
  if (const Sharing* sharing = facts.link.sharing.get()) {
    if (hung(sharing->master)) return say(sharing->master);
    // A live master needs neither the way nor an agent to log in with.
    if (sharing->master.state == MasterState::kAlive) return {};
    const auto found = std::ranges::find_if(sharing->jump_masters, hung);
    if (found != sharing->jump_masters.end()) return say(*found);
  }
  const Agent* primary = checks::PrimaryAgent(facts);
  if (primary && primary->state == AgentState::kSilent)
    return "the agent at " + primary->path +
           " does not answer, and a login would wait for it";
  return {};
}

Plan None(std::string because) {
  return {Experiment::kNone, std::move(because)};
}

Plan Control(std::string because) {
  return {Experiment::kControl, std::move(because)};
}

/// Whether the session leaves a question that one fresh login answers.
Plan AfterSession(const Facts& facts, const Session& session,
                  ControlMode mode) {
  const bool through = ThroughMaster(facts);
  // Beyond the first host it is made from here, another way: it can tell a
  // master from a server, and nothing else.
  if (!through && !facts.via.empty() && session.end != SessionEnd::kFailed &&
      session.end != SessionEnd::kInterrupted)
    return None("the session to " + facts.request.destination +
                " was a fresh login, from " + facts.via.back());
  switch (session.end) {
    case SessionEnd::kInterrupted:
      return None("interrupted");
    case SessionEnd::kFailed:
      return None(
          std::string(session.transcript.authenticated ? "no session"
                                                       : "no login") +
          " came about" +
          (session.fault ? ": " + session.fault->message : std::string()));
    case SessionEnd::kTimedOut:
      if (!through) return None("the login does not answer");
      break;
    case SessionEnd::kNoProbe:
      if (!through && !session.transcript.authenticated)
        return None("no login came about");
      break;
    case SessionEnd::kProbed:
    case SessionEnd::kCutOff:
      break;
  }
  if (checks::IsTsh(facts))
    return None("each tsh session is a fresh login, its own control");
  if (mode == ControlMode::kAlways) return Control("--control always");
  if (checks::ForwardsCanary(facts))
    return None("the session was a fresh login that forwarded a canary");
  if (session.end == SessionEnd::kCutOff)
    return None("the session was cut off: it sent too much");
  if (!session.transcript.asked_person.empty())
    return None("the first login needed a person");
  if (session.end != SessionEnd::kTimedOut &&
      !checks::MasterMayServeAnother(facts))
    if (const std::string cause = checks::LocalCause(facts); !cause.empty())
      return None(cause);
  switch (session.end) {
    case SessionEnd::kTimedOut: {
      // The master reported a session, so its connection lives.
      const bool* opened = session.transcript.through_master.get();
      if (opened && *opened)
        return None("the session through the master hangs on the host");
      const Agent* login = checks::PrimaryAgent(facts);
      if (login && login->state == AgentState::kSilent)
        return None("a login would wait for the agent at " + login->path);
      return Control("the master answers, but a session through it does not");
    }
    case SessionEnd::kNoProbe:
      if (KeyDenies(session.transcript))
        return None("the key's options do not allow forwarding");
      return Control("the session could not carry the probe");
    case SessionEnd::kProbed: {
      if (!through && RefusesInSilence(facts, session))
        return Control("the server does not say why there is no agent");
      if (!through)
        return None("the session was a fresh login, its own control");
      const std::string question = ToExplain(facts);
      if (question.empty())
        return None("the session through the master has an agent");
      return Control(question);
    }
    default:
      return None("no session");
  }
}

}  // namespace

Plan Next(const Facts& facts, ControlMode control) {
  if (facts.interrupted) return None("interrupted");
  const Link& link = facts.link;
  if (link.config.pending())
    return {Experiment::kResolve, "what the configuration says comes first"};
  const ClientConfig* config = link.config.get();
  if (!config) return None(link.config.reason());
  if (config->error)
    return None("ssh rejects its configuration: " + config->error->message);
  if (link.sharing.pending())
    return {Experiment::kNearSide, "the agents and masters on this side"};
  if (link.session.pending()) {
    const std::string hang = WouldHang(facts);
    if (!hang.empty()) return None(hang);
    return {Experiment::kSession, "what the user's own way gives a session"};
  }
  if (!link.control.pending()) return None("everything was collected");
  const Session* session = link.session.get();
  if (!session) return None(link.session.reason());
  if (control == ControlMode::kNever) return None("--control never");
  return AfterSession(facts, *session, control);
}

bool ControlMayProbe(const Facts& facts) {
  const Session* session = facts.link.session.get();
  return session && session->end == SessionEnd::kProbed;
}

}  // namespace agentdoctor
