// The one list of fields below serves writing and reading alike, so that no
// field can be written and not read.  Names are those of facts.h in camel
// case.  A known fact is its value, another one {"unknown": "reason"} or
// {"notNeeded": "because"}; what equals a new object's field is left out, so
// that a fact nobody looked for is missing.
#include "facts_json.h"

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace agentdoctor {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFactsVersion = 1;

template <typename Class, typename Member>
struct Field {
  const char* name;
  Member Class::*member;
};
template <typename Class, typename Member>
Field(const char*, Member Class::*) -> Field<Class, Member>;

template <typename Enum>
struct Word {
  Enum value;
  const char* word;
};
template <typename Enum>
Word(Enum, const char*) -> Word<Enum>;

constexpr auto Words(AgentState) {
  return std::array{Word{AgentState::kAnswered, "answered"},
                    Word{AgentState::kMissing, "missing"},
                    Word{AgentState::kRefused, "refused"},
                    Word{AgentState::kDenied, "denied"},
                    Word{AgentState::kDropped, "dropped"},
                    Word{AgentState::kNotASocket, "notASocket"},
                    Word{AgentState::kPathTooLong, "pathTooLong"},
                    Word{AgentState::kSilent, "silent"},
                    Word{AgentState::kMalformed, "malformed"},
                    Word{AgentState::kListRefused, "listRefused"}};
}

constexpr auto Words(ExtensionAnswer) {
  return std::array{
      Word{ExtensionAnswer::kNotAsked, "notAsked"},
      Word{ExtensionAnswer::kSuccess, "success"},
      Word{ExtensionAnswer::kFailure, "failure"},
      Word{ExtensionAnswer::kExtensionFailure, "extensionFailure"},
      Word{ExtensionAnswer::kClosed, "closed"},
      Word{ExtensionAnswer::kSilent, "silent"},
      Word{ExtensionAnswer::kMalformed, "malformed"}};
}

constexpr auto Words(StartupScope) {
  return std::array{Word{StartupScope::kEveryShell, "everyShell"},
                    Word{StartupScope::kLogin, "login"},
                    Word{StartupScope::kInteractive, "interactive"},
                    Word{StartupScope::kSession, "session"}};
}

constexpr auto Words(StartupEffect) {
  return std::array{Word{StartupEffect::kSets, "sets"},
                    Word{StartupEffect::kStartsAgent, "startsAgent"},
                    Word{StartupEffect::kUnsets, "unsets"},
                    Word{StartupEffect::kLinks, "links"}};
}

constexpr auto Words(HolderKind) {
  return std::array{Word{HolderKind::kTmuxServer, "tmuxServer"},
                    Word{HolderKind::kTmuxSession, "tmuxSession"},
                    Word{HolderKind::kScreen, "screen"},
                    Word{HolderKind::kEditor, "editor"},
                    Word{HolderKind::kContainer, "container"},
                    Word{HolderKind::kProcess, "process"}};
}

constexpr auto Words(ConfigOrigin) {
  return std::array{Word{ConfigOrigin::kDefault, "default"},
                    Word{ConfigOrigin::kCommandLine, "commandLine"},
                    Word{ConfigOrigin::kFile, "file"},
                    Word{ConfigOrigin::kUnknown, "unknown"}};
}

constexpr auto Words(AgentSource) {
  return std::array{Word{AgentSource::kForwardAgent, "forwardAgent"},
                    Word{AgentSource::kIdentityAgent, "identityAgent"},
                    Word{AgentSource::kEnvironment, "environment"},
                    Word{AgentSource::kTeleport, "teleport"}};
}

constexpr auto Words(MasterState) {
  return std::array{Word{MasterState::kNone, "none"},
                    Word{MasterState::kAlive, "alive"},
                    Word{MasterState::kStaleSocket, "staleSocket"},
                    Word{MasterState::kUnresponsive, "unresponsive"},
                    Word{MasterState::kDenied, "denied"},
                    Word{MasterState::kNotASocket, "notASocket"},
                    Word{MasterState::kFailed, "failed"}};
}

constexpr auto Words(SessionEnd) {
  return std::array{Word{SessionEnd::kProbed, "probed"},
                    Word{SessionEnd::kNoProbe, "noProbe"},
                    Word{SessionEnd::kCutOff, "cutOff"},
                    Word{SessionEnd::kTimedOut, "timedOut"},
                    Word{SessionEnd::kFailed, "failed"},
                    Word{SessionEnd::kInterrupted, "interrupted"}};
}

constexpr auto Words(RepairStatus) {
  return std::array{Word{RepairStatus::kApplied, "applied"},
                    Word{RepairStatus::kFailed, "failed"},
                    Word{RepairStatus::kPlanned, "planned"}};
}

constexpr auto Fields(const Certificate*) {
  using T = Certificate;
  return std::tuple{Field{"keyId", &T::key_id},
                    Field{"validAfter", &T::valid_after},
                    Field{"validBefore", &T::valid_before}};
}

constexpr auto Fields(const Identity*) {
  using T = Identity;
  return std::tuple{
      Field{"type", &T::type}, Field{"fingerprint", &T::fingerprint},
      Field{"comment", &T::comment}, Field{"certificate", &T::certificate}};
}

constexpr auto Fields(const Agent*) {
  using T = Agent;
  return std::tuple{Field{"path", &T::path},
                    Field{"linkTarget", &T::link_target},
                    Field{"state", &T::state},
                    Field{"detail", &T::detail},
                    Field{"owner", &T::owner},
                    Field{"mode", &T::mode},
                    Field{"deniedBy", &T::denied_by},
                    Field{"product", &T::product},
                    Field{"otherHost", &T::other_host},
                    Field{"identities", &T::identities},
                    Field{"query", &T::query},
                    Field{"sessionBind", &T::session_bind},
                    Field{"askedWith", &T::asked_with}};
}

constexpr auto Fields(const EnvironmentFileLine*) {
  using T = EnvironmentFileLine;
  return std::tuple{Field{"file", &T::file}, Field{"line", &T::line},
                    Field{"path", &T::path}, Field{"state", &T::state}};
}

constexpr auto Fields(const StartupLine*) {
  using T = StartupLine;
  return std::tuple{Field{"file", &T::file},     Field{"line", &T::line},
                    Field{"text", &T::text},     Field{"scope", &T::scope},
                    Field{"effect", &T::effect}, Field{"guarded", &T::guarded}};
}

constexpr auto Fields(const ServerConfigLine*) {
  using T = ServerConfigLine;
  return std::tuple{Field{"file", &T::file}, Field{"line", &T::line},
                    Field{"text", &T::text}, Field{"match", &T::match}};
}

constexpr auto Fields(const Holder*) {
  using T = Holder;
  return std::tuple{Field{"kind", &T::kind},
                    Field{"name", &T::name},
                    Field{"server", &T::server},
                    Field{"pid", &T::pid},
                    Field{"since", &T::since},
                    Field{"authSock", &T::auth_sock},
                    Field{"destination", &T::destination},
                    Field{"replaced", &T::replaced},
                    Field{"count", &T::count}};
}

constexpr auto Fields(const LongLived*) {
  using T = LongLived;
  return std::tuple{Field{"holders", &T::holders}, Field{"links", &T::links},
                    Field{"notSeen", &T::not_seen}};
}

constexpr auto Fields(const Ancestor*) {
  using T = Ancestor;
  return std::tuple{Field{"pid", &T::pid}, Field{"name", &T::name},
                    Field{"authSock", &T::auth_sock}};
}

constexpr auto Fields(const GitRemote*) {
  using T = GitRemote;
  return std::tuple{Field{"name", &T::name}, Field{"url", &T::url},
                    Field{"file", &T::file},
                    Field{"sshCommand", &T::ssh_command}};
}

constexpr auto Fields(const Side*) {
  using T = Side;
  return std::tuple{Field{"name", &T::name},
                    Field{"uid", &T::uid},
                    Field{"bootId", &T::boot_id},
                    Field{"shell", &T::shell},
                    Field{"authSock", &T::auth_sock},
                    Field{"initialAuthSock", &T::initial_auth_sock},
                    Field{"sshConnection", &T::ssh_connection},
                    Field{"connectionSockets", &T::connection_sockets},
                    Field{"youngerSockets", &T::younger_sockets},
                    Field{"agents", &T::agents},
                    Field{"agentsNotAsked", &T::agents_not_asked},
                    Field{"environmentFiles", &T::environment_files},
                    Field{"startupLines", &T::startup_lines},
                    Field{"serverConfig", &T::server_config},
                    Field{"identityAgent", &T::identity_agent},
                    Field{"vscodeForwardingOff", &T::vscode_forwarding_off},
                    Field{"longLived", &T::long_lived},
                    Field{"ancestors", &T::ancestors},
                    Field{"sessionVariables", &T::session_variables},
                    Field{"socketConnections", &T::socket_connections},
                    Field{"gitRemotes", &T::git_remotes}};
}

constexpr auto Fields(const ConfigLine*) {
  using T = ConfigLine;
  return std::tuple{Field{"file", &T::file},
                    Field{"line", &T::line},
                    Field{"text", &T::text},
                    Field{"scope", &T::scope},
                    Field{"scopeLine", &T::scope_line},
                    Field{"scopeFile", &T::scope_file}};
}

constexpr auto Fields(const ConfigValue*) {
  using T = ConfigValue;
  return std::tuple{Field{"values", &T::values}, Field{"origin", &T::origin},
                    Field{"winner", &T::winner},
                    Field{"shadowed", &T::shadowed},
                    Field{"unknownBecause", &T::unknown_because}};
}

constexpr auto Fields(const ConfigFile*) {
  using T = ConfigFile;
  return std::tuple{Field{"path", &T::path}, Field{"modified", &T::modified}};
}

constexpr auto Fields(const ConfigError*) {
  using T = ConfigError;
  return std::tuple{Field{"message", &T::message}, Field{"file", &T::file},
                    Field{"line", &T::line}};
}

constexpr auto Fields(const OtherAlias*) {
  using T = OtherAlias;
  return std::tuple{Field{"alias", &T::alias}, Field{"line", &T::line}};
}

constexpr auto Fields(const ClientConfig*) {
  using T = ClientConfig;
  return std::tuple{Field{"error", &T::error},
                    Field{"values", &T::values},
                    Field{"files", &T::files},
                    Field{"named", &T::named},
                    Field{"otherAliases", &T::other_aliases},
                    Field{"forwardAgent", &T::forward_agent},
                    Field{"forwardAgentPath", &T::forward_agent_path},
                    Field{"forwardAgentLine", &T::forward_agent_line},
                    Field{"forwardAgentShadowed", &T::forward_agent_shadowed}};
}

constexpr auto Fields(const AgentChoice*) {
  using T = AgentChoice;
  return std::tuple{Field{"source", &T::source}, Field{"text", &T::text},
                    Field{"path", &T::path}, Field{"line", &T::line}};
}

constexpr auto Fields(const Master*) {
  using T = Master;
  return std::tuple{Field{"host", &T::host},
                    Field{"path", &T::path},
                    Field{"state", &T::state},
                    Field{"detail", &T::detail},
                    Field{"pid", &T::pid},
                    Field{"started", &T::started},
                    Field{"attachedClients", &T::attached_clients},
                    Field{"forwardings", &T::forwardings},
                    Field{"commandLine", &T::command_line},
                    Field{"commandText", &T::command_text},
                    Field{"foreground", &T::foreground},
                    Field{"socketOwner", &T::socket_owner},
                    Field{"socketModified", &T::socket_modified},
                    Field{"newerConfig", &T::newer_config}};
}

constexpr auto Fields(const ControlDirectory*) {
  using T = ControlDirectory;
  return std::tuple{Field{"path", &T::path}, Field{"exists", &T::exists},
                    Field{"owner", &T::owner}, Field{"mode", &T::mode}};
}

constexpr auto Fields(const Sharing*) {
  using T = Sharing;
  return std::tuple{Field{"controlPath", &T::control_path},
                    Field{"controlTemplate", &T::control_template},
                    Field{"controlMaster", &T::control_master},
                    Field{"controlPersist", &T::control_persist},
                    Field{"line", &T::line},
                    Field{"pathLimit", &T::path_limit},
                    Field{"directory", &T::directory},
                    Field{"master", &T::master},
                    Field{"jumpMasters", &T::jump_masters}};
}

constexpr auto Fields(const TransportFault*) {
  using T = TransportFault;
  return std::tuple{Field{"code", &T::code}, Field{"message", &T::message}};
}

constexpr auto Fields(const KeyOptions*) {
  using T = KeyOptions;
  return std::tuple{Field{"source", &T::source}, Field{"options", &T::options},
                    Field{"agentForwarding", &T::agent_forwarding},
                    Field{"forcedCommand", &T::forced_command}};
}

constexpr auto Fields(const Transcript*) {
  using T = Transcript;
  return std::tuple{Field{"serverVersion", &T::server_version},
                    Field{"throughMaster", &T::through_master},
                    Field{"fallback", &T::fallback},
                    Field{"forwardingRequested", &T::forwarding_requested},
                    Field{"forwardingGranted", &T::forwarding_granted},
                    Field{"keyOptions", &T::key_options},
                    Field{"acceptedKey", &T::accepted_key},
                    Field{"acceptedCertificate", &T::accepted_certificate},
                    Field{"authMethod", &T::auth_method},
                    Field{"listenerFailure", &T::listener_failure},
                    Field{"disabledByHostKey", &T::disabled_by_host_key},
                    Field{"authenticated", &T::authenticated},
                    Field{"askedPerson", &T::asked_person},
                    Field{"messages", &T::messages}};
}

constexpr auto Fields(const Session*) {
  using T = Session;
  return std::tuple{Field{"end", &T::end},
                    Field{"fault", &T::fault},
                    Field{"transcript", &T::transcript},
                    Field{"exitStatus", &T::exit_status},
                    Field{"durationMs", &T::duration_ms},
                    Field{"outputBytes", &T::output_bytes},
                    Field{"outputHead", &T::output_head},
                    Field{"canary", &T::canary},
                    Field{"canaryAsked", &T::canary_asked}};
}

constexpr auto Fields(const Control*) {
  using T = Control;
  return std::tuple{Field{"loggedIn", &T::logged_in},
                    Field{"fault", &T::fault},
                    Field{"transcript", &T::transcript},
                    Field{"granted", &T::granted},
                    Field{"grantedShownBy", &T::granted_shown_by},
                    Field{"canary", &T::canary},
                    Field{"greeting", &T::greeting},
                    Field{"far", &T::far},
                    Field{"durationMs", &T::duration_ms}};
}

constexpr auto Fields(const OfferedKey*) {
  using T = OfferedKey;
  return std::tuple{Field{"type", &T::type},
                    Field{"fingerprint", &T::fingerprint},
                    Field{"file", &T::file}, Field{"fromAgent", &T::from_agent},
                    Field{"accepted", &T::accepted}};
}

constexpr auto Fields(const NextHop*) {
  using T = NextHop;
  return std::tuple{Field{"destination", &T::destination},
                    Field{"notTried", &T::not_tried},
                    Field{"config", &T::config},
                    Field{"lines", &T::lines},
                    Field{"version", &T::version},
                    Field{"fault", &T::fault},
                    Field{"agentKeys", &T::agent_keys},
                    Field{"offered", &T::offered},
                    Field{"serverVersion", &T::server_version},
                    Field{"authenticated", &T::authenticated},
                    Field{"authMethod", &T::auth_method},
                    Field{"user", &T::user},
                    Field{"greeting", &T::greeting},
                    Field{"signingFailure", &T::signing_failure},
                    Field{"masterAlive", &T::master_alive},
                    Field{"messages", &T::messages}};
}

constexpr auto Fields(const Link*) {
  using T = Link;
  return std::tuple{
      Field{"client", &T::client},   Field{"version", &T::version},
      Field{"config", &T::config},   Field{"forwarded", &T::forwarded},
      Field{"primary", &T::primary}, Field{"sharing", &T::sharing},
      Field{"session", &T::session}, Field{"control", &T::control}};
}

constexpr auto Fields(const Request*) {
  using T = Request;
  return std::tuple{Field{"destination", &T::destination},
                    Field{"client", &T::client},
                    Field{"sshOptions", &T::ssh_options},
                    Field{"ssh", &T::ssh},
                    Field{"key", &T::key},
                    Field{"keyFingerprint", &T::key_fingerprint},
                    Field{"interactive", &T::interactive},
                    Field{"to", &T::to}};
}

constexpr auto Fields(const Facts*) {
  using T = Facts;
  return std::tuple{Field{"request", &T::request},
                    Field{"via", &T::via},
                    Field{"collected", &T::collected},
                    Field{"durationMs", &T::duration_ms},
                    Field{"interrupted", &T::interrupted},
                    Field{"here", &T::here},
                    Field{"near", &T::near},
                    Field{"link", &T::link},
                    Field{"far", &T::far},
                    Field{"nextHops", &T::next_hops}};
}

constexpr auto Fields(const RepairRecord*) {
  using T = RepairRecord;
  return std::tuple{Field{"code", &T::code}, Field{"title", &T::title},
                    Field{"commands", &T::commands},
                    Field{"status", &T::status}, Field{"detail", &T::detail}};
}

constexpr auto Fields(const RecordedHost*) {
  using T = RecordedHost;
  return std::tuple{Field{"facts", &T::facts}, Field{"before", &T::before},
                    Field{"repairs", &T::repairs}};
}

constexpr auto Fields(const Recording*) {
  using T = Recording;
  return std::tuple{
      Field{"command", &T::command}, Field{"started", &T::started},
      Field{"durationMs", &T::duration_ms}, Field{"hosts", &T::hosts}};
}

// --------------------------------------------------------------- writing --

struct Writer {
  static Json Write(bool value) { return value; }
  static Json Write(int value) { return value; }
  static Json Write(std::int64_t value) { return value; }
  static Json Write(std::uint64_t value) { return value; }
  static Json Write(const std::string& value) { return value; }

  template <typename T>
  requires std::is_enum_v<T>
  static Json Write(T value) {
    for (const auto& word : Words(T{}))
      if (word.value == value) return word.word;
    return nullptr;
  }

  template <typename T>
  static Json Write(const std::optional<T>& value) {
    return value ? Write(*value) : Json(nullptr);
  }

  template <typename T>
  static Json Write(const std::vector<T>& items) {
    Json json = Json::array();
    for (const T& item : items) json.push_back(Write(item));
    return json;
  }

  template <typename T>
  static Json Write(const std::map<std::string, T>& items) {
    Json json = Json::object();
    for (const auto& [key, item] : items) json[key] = Write(item);
    return json;
  }

  template <typename T>
  static Json Write(const Fact<T>& fact) {
    if (fact.known()) return Write(*fact);
    Json json = Json::object();
    if (fact.not_needed())
      json["notNeeded"] = fact.bare_reason();
    else
      json["unknown"] = fact.bare_reason();
    return json;
  }

  template <typename T>
  requires std::is_class_v<T>
  static Json Write(const T& object) {
    static const T kNew = {};
    Json json = Json::object();
    std::apply(
        [&](const auto&... field) {
          (WriteField(json, field.name, object.*field.member,
                      kNew.*field.member),
           ...);
        },
        Fields(&object));
    return json;
  }

 private:
  // One for each type, not a closure for each field: there are 200 fields.
  template <typename T>
  static void WriteField(Json& json, const char* name, const T& value,
                         const T& fresh) {
    if (value != fresh) json[name] = Write(value);
  }
};

// --------------------------------------------------------------- reading --

/// A fault and where it is; the place grows on the way out.
struct Fault {
  std::string place;
  std::string what;
};

struct Reader {
  static void Read(const Json& json, bool& value) {
    if (!json.is_boolean()) throw Fault{{}, "true or false is expected"};
    value = json.get<bool>();
  }

  template <typename T>
  requires std::is_integral_v<T>
  static void Read(const Json& json, T& value) {
    if (!json.is_number_integer())
      throw Fault{{}, "a whole number is expected"};
    const bool fits = json.is_number_unsigned()
                          ? std::in_range<T>(json.get<std::uint64_t>())
                          : std::in_range<T>(json.get<std::int64_t>());
    if (!fits) throw Fault{{}, "the number is out of range"};
    value = json.get<T>();
  }

  static void Read(const Json& json, std::string& value) {
    if (!json.is_string()) throw Fault{{}, "a string is expected"};
    value = json.get<std::string>();
  }

  template <typename T>
  requires std::is_enum_v<T>
  static void Read(const Json& json, T& value) {
    std::string text;
    Read(json, text);
    for (const auto& word : Words(T{})) {
      if (word.word != text) continue;
      value = word.value;
      return;
    }
    throw Fault{{}, "unknown word \"" + text + "\""};
  }

  template <typename T>
  static void Read(const Json& json, std::optional<T>& value) {
    if (json.is_null()) {
      value.reset();
    } else {
      Read(json, value.emplace());
    }
  }

  template <typename T>
  static void Read(const Json& json, std::vector<T>& items) {
    if (!json.is_array()) throw Fault{{}, "a list is expected"};
    items.clear();
    for (const Json& item : json)
      At("[" + std::to_string(items.size()) + "]",
         [&] { Read(item, items.emplace_back()); });
  }

  template <typename T>
  static void Read(const Json& json, std::map<std::string, T>& items) {
    if (!json.is_object()) throw Fault{{}, "an object is expected"};
    items.clear();
    for (const auto& [key, item] : json.items())
      At("." + key,
         [&, &name = key, &value = item] { Read(value, items[name]); });
  }

  template <typename T>
  static void Read(const Json& json, Fact<T>& fact) {
    if (json.is_object() && json.size() == 1) {
      std::string reason;
      const auto first = json.begin();
      const std::string& key = first.key();
      if (key == "unknown" || key == "notNeeded") {
        At("." + key, [&] { Read(first.value(), reason); });
        if (key == "unknown")
          fact = Unknown{reason};
        else
          fact = NotNeeded{reason};
        return;
      }
    }
    T value = {};
    Read(json, value);
    fact = std::move(value);
  }

  template <typename T>
  requires std::is_class_v<T>
  static void Read(const Json& json, T& object) {
    if (!json.is_object()) throw Fault{{}, "an object is expected"};
    std::apply(
        [&](const auto&... field) {
          (ReadField(json, field.name, object.*field.member), ...);
        },
        Fields(&object));
  }

  template <typename Action>
  static void At(const std::string& place, const Action& action) {
    try {
      action();
    } catch (Fault& fault) {
      fault.place.insert(0, place);
      throw;
    }
  }

 private:
  template <typename T>
  static void ReadField(const Json& json, const char* name, T& value) {
    if (const auto found = json.find(name); found != json.end())
      At("." + std::string(name), [&] { Read(*found, value); });
  }
};

}  // namespace

std::string WriteRecording(const Recording& recording) {
  Json json = {{"factsVersion", kFactsVersion}};
  json.update(Writer::Write(recording));
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Recording ReadRecording(const std::string& text, const std::string& name) {
  try {
    const Json json = Json::parse(text);
    int version = 0;
    if (json.is_object() && json.contains("factsVersion"))
      Reader::At(".factsVersion",
                 [&] { Reader::Read(json["factsVersion"], version); });
    if (version != kFactsVersion)
      throw Fault{".factsVersion",
                  version == 0 ? "missing: this is no recording"
                               : "recorded by another release of agentdoctor"};
    Recording recording;
    Reader::Read(json, recording);
    return recording;
  } catch (const Fault& fault) {
    throw std::runtime_error(
        name + ": " +
        (fault.place.empty() ? "" : fault.place.substr(1) + ": ") + fault.what);
  } catch (const Json::parse_error& error) {
    throw std::runtime_error(name + ": no valid JSON at byte " +
                             std::to_string(error.byte));
  }
}

}  // namespace agentdoctor
