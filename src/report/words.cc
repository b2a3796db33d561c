#include <ctime>

#include "report/render.h"

namespace agentdoctor {

const char* Name(AgentSource source) {
  switch (source) {
    case AgentSource::kForwardAgent:
      return "ForwardAgent";
    case AgentSource::kIdentityAgent:
      return "IdentityAgent";
    case AgentSource::kEnvironment:
      return "SSH_AUTH_SOCK";
    case AgentSource::kTeleport:
      return "tsh";
  }
  return "";
}

const char* Name(AgentState state) {
  switch (state) {
    case AgentState::kAnswered:
      return "answered";
    case AgentState::kMissing:
      return "missing";
    case AgentState::kRefused:
      return "refused";
    case AgentState::kDenied:
      return "denied";
    case AgentState::kDropped:
      return "dropped";
    case AgentState::kNotASocket:
      return "notASocket";
    case AgentState::kPathTooLong:
      return "pathTooLong";
    case AgentState::kSilent:
      return "silent";
    case AgentState::kMalformed:
      return "malformed";
    case AgentState::kListRefused:
      return "listRefused";
  }
  return "";
}

const char* Name(ExtensionAnswer answer) {
  switch (answer) {
    case ExtensionAnswer::kNotAsked:
      return "notAsked";
    case ExtensionAnswer::kSuccess:
      return "success";
    case ExtensionAnswer::kFailure:
      return "failure";
    case ExtensionAnswer::kExtensionFailure:
      return "extensionFailure";
    case ExtensionAnswer::kClosed:
      return "closed";
    case ExtensionAnswer::kSilent:
      return "silent";
    case ExtensionAnswer::kMalformed:
      return "malformed";
  }
  return "";
}

const char* Name(MasterState state) {
  switch (state) {
    case MasterState::kNone:
      return "none";
    case MasterState::kAlive:
      return "alive";
    case MasterState::kStaleSocket:
      return "staleSocket";
    case MasterState::kUnresponsive:
      return "unresponsive";
    case MasterState::kDenied:
      return "denied";
    case MasterState::kNotASocket:
      return "notASocket";
    case MasterState::kFailed:
      return "failed";
  }
  return "";
}

const char* Name(Stage stage) {
  switch (stage) {
    case Stage::kAgent:
      return "agent";
    case Stage::kClient:
      return "client";
    case Stage::kSharing:
      return "sharing";
    case Stage::kConnection:
      return "connection";
    case Stage::kServer:
      return "server";
    case Stage::kSession:
      return "session";
    case Stage::kLongLived:
      return "long-lived";
    case Stage::kNextHop:
      return "next-hop";
  }
  return "";
}

const char* Name(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return "error";
    case Severity::kWarning:
      return "warning";
    case Severity::kInfo:
      return "info";
  }
  return "";
}

const char* Name(Certainty certainty) {
  switch (certainty) {
    case Certainty::kProven:
      return "proven";
    case Certainty::kLikely:
      return "likely";
  }
  return "";
}

const char* Name(Safety safety) {
  switch (safety) {
    case Safety::kSafe:
      return "safe";
    case Safety::kReview:
      return "review";
    case Safety::kManual:
      return "manual";
  }
  return "";
}

const char* Name(Status status) {
  switch (status) {
    case Status::kPass:
      return "pass";
    case Status::kWarn:
      return "warn";
    case Status::kFail:
      return "fail";
    case Status::kSkip:
      return "skip";
  }
  return "";
}

const char* Name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHealthy:
      return "healthy";
    case Verdict::kDegraded:
      return "degraded";
    case Verdict::kBroken:
      return "broken";
    case Verdict::kUndetermined:
      return "undetermined";
  }
  return "";
}

const char* Name(RepairStatus status) {
  switch (status) {
    case RepairStatus::kApplied:
      return "applied";
    case RepairStatus::kFailed:
      return "failed";
    case RepairStatus::kPlanned:
      return "planned";
  }
  return "";
}

std::string Timestamp(std::int64_t seconds) {
  const std::time_t time = static_cast<std::time_t>(seconds);
  std::tm utc = {};
  if (gmtime_r(&time, &utc) == nullptr) return "1970-01-01T00:00:00Z";
  char text[40];
  const std::size_t size =
      std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return std::string(text, size);
}

}  // namespace agentdoctor
