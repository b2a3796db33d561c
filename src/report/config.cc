// `agentdoctor config`: every value, where it comes from, and what lost.
#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string_view>

#include "report/json.h"
#include "report/render.h"
#include "report/version.h"
#include "system/file.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

struct Spelling {
  const char* name;  ///< as ssh_config(5) spells it
  /// Shown even where nothing sets it: forwarding depends on it.
  bool always = false;
};

// In the order in which a person asks: where to, which agent, which
// connection, how the session goes.
constexpr Spelling kSpellings[] = {
    {"HostName", true},
    {"User", true},
    {"Port", true},
    {"ForwardAgent", true},
    {"IdentityAgent", true},
    {"IdentityFile"},
    {"CertificateFile"},
    {"IdentitiesOnly", true},
    {"AddKeysToAgent"},
    {"PubkeyAuthentication"},
    {"PreferredAuthentications"},
    {"ControlMaster", true},
    {"ControlPath", true},
    {"ControlPersist", true},
    {"ProxyJump", true},
    {"ProxyCommand", true},
    {"AddressFamily"},
    {"ConnectTimeout"},
    {"ServerAliveInterval"},
    {"CanonicalizeHostname"},
    {"HostKeyAlias"},
    {"StrictHostKeyChecking"},
    {"CheckHostIP"},
    {"UserKnownHostsFile"},
    {"GlobalKnownHostsFile"},
    {"BatchMode"},
    {"RemoteCommand"},
    {"RequestTTY"},
    {"SessionType"},
    {"StdinNull"},
    {"ForkAfterAuthentication"},
    {"PermitLocalCommand"},
    {"LocalForward"},
    {"RemoteForward"},
    {"DynamicForward"},
    {"ClearAllForwardings"},
    {"ExitOnForwardFailure"},
    {"LogLevel"},
    {"IgnoreUnknown"},
};

const char* Name(ConfigOrigin origin) {
  switch (origin) {
    case ConfigOrigin::kDefault:
      return "default";
    case ConfigOrigin::kCommandLine:
      return "command-line";
    case ConfigOrigin::kFile:
      return "file";
    case ConfigOrigin::kUnknown:
      return "unknown";
  }
  return "";
}

/// A keyword to show, and its value if there is one.
struct Shown {
  std::string name = {};
  const ConfigValue* value = nullptr;
  bool kept = true;  ///< on agentdoctor's list of keywords
};

std::vector<Shown> Choose(const ClientConfig& config,
                          const std::vector<std::string>& keywords) {
  const auto find = [&](const std::string& keyword) -> const ConfigValue* {
    const auto found = config.values.find(keyword);
    return found == config.values.end() ? nullptr : &found->second;
  };
  std::vector<Shown> chosen;
  if (keywords.empty()) {
    for (const Spelling& spelling : kSpellings) {
      const ConfigValue* value = find(Lower(spelling.name));
      if (spelling.always || (value && value->origin != ConfigOrigin::kDefault))
        chosen.push_back({spelling.name, value});
    }
    return chosen;
  }
  for (const std::string& keyword : keywords) {
    const auto* spelling = std::find_if(
        std::begin(kSpellings), std::end(kSpellings),
        [&](const Spelling& known) { return Lower(known.name) == keyword; });
    if (spelling == std::end(kSpellings))
      chosen.push_back({keyword, nullptr, false});
    else
      chosen.push_back({spelling->name, find(keyword)});
  }
  return chosen;
}

// -------------------------------------------------------------------- text --

struct Row {
  std::string label = {};
  std::string value = {};
  std::string place = {};
  std::string scope = {};
};

std::size_t Columns(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(),
      [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

Row At(std::string label, std::string value, const ConfigLine& line) {
  Row row{std::move(label), std::move(value),
          Abbreviate(line.file) + ":" + std::to_string(line.line), line.scope};
  // Below an Include the block stands in another file.
  if (!line.scope.empty() && line.scope_file != line.file)
    row.scope += " (" + Abbreviate(line.scope_file) + ":" +
                 std::to_string(line.scope_line) + ")";
  return row;
}

/// Whether the value stands otherwise in the file: `~`, tokens, variables.
bool IsExpanded(const ConfigValue& value) {
  return value.winner && value.values.size() == 1 &&
         value.winner->text.find_first_of("%~$") != std::string::npos &&
         value.winner->text.find(value.values[0]) == std::string::npos;
}

void AddForwardAgentFlag(const ClientConfig& config, std::vector<Row>& rows) {
  if (config.forward_agent_path.empty()) return;
  const std::string label = "  asked for";
  if (!config.forward_agent.known()) {
    rows.push_back({label, "unknown", config.forward_agent.reason(), ""});
    return;
  }
  const std::string flag = *config.forward_agent ? "yes" : "no";
  if (config.forward_agent_line)
    rows.push_back(At(label, flag, *config.forward_agent_line));
  else
    rows.push_back({label, flag, "command line", ""});
}

std::vector<Row> RowsOf(const Shown& shown, const ClientConfig& config) {
  if (!shown.kept)
    return {{shown.name, "-", "agentdoctor does not read it (see ssh -G)", ""}};
  if (!shown.value) return {{shown.name, "-", "not set", ""}};
  const ConfigValue& value = *shown.value;
  std::vector<Row> rows;
  const std::string first = value.values.empty() ? "-" : value.values[0];
  if (value.winner)
    rows.push_back(At(shown.name, first, *value.winner));
  else if (value.origin == ConfigOrigin::kUnknown)
    rows.push_back(
        {shown.name, first, "origin unknown: " + value.unknown_because, ""});
  else
    rows.push_back({shown.name, first,
                    value.origin == ConfigOrigin::kCommandLine ? "command line"
                                                               : "default",
                    ""});
  for (std::size_t i = 1; i < value.values.size(); ++i)
    rows.push_back({"", value.values[i], "", ""});
  if (IsExpanded(value))
    rows.push_back({"  written", value.winner->text, "", ""});
  if (shown.name == "ForwardAgent") AddForwardAgentFlag(config, rows);
  for (const ConfigLine& line : value.shadowed)
    rows.push_back(At("  lost", line.text, line));
  return rows;
}

std::string Align(const std::vector<Row>& rows) {
  // A longer value moves only its own line; the last cell needs no width.
  constexpr std::size_t kWidestColumn = 36;
  const auto width = [&](std::string Row::*cell, std::string Row::*next) {
    std::size_t widest = 0;
    for (const Row& row : rows)
      if (const std::size_t columns = Columns(row.*cell);
          columns <= kWidestColumn && !(row.*next).empty())
        widest = std::max(widest, columns);
    return widest;
  };
  const std::size_t label = width(&Row::label, &Row::value);
  const std::size_t value = width(&Row::value, &Row::place);
  const std::size_t place = width(&Row::place, &Row::scope);
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    const auto add = [&](const std::string& cell, std::size_t columns) {
      line += cell + "  ";
      const std::size_t used = Columns(cell);
      if (used < columns) line.append(columns - used, ' ');
    };
    add(row.label, label);
    add(row.value, value);
    add(row.place, place);
    line += row.scope;
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

// -------------------------------------------------------------------- JSON --

Json Write(const ConfigLine& line) {
  Json json = {{"file", line.file}, {"line", line.line}, {"text", line.text}};
  if (!line.scope.empty()) {
    json["scope"] = line.scope;
    json["scopeFile"] = line.scope_file;
    json["scopeLine"] = line.scope_line;
  }
  return json;
}

Json Write(const Shown& shown, const ClientConfig& config) {
  static const ConfigValue kNotSet{.origin = ConfigOrigin::kDefault};
  const ConfigValue& value = shown.value ? *shown.value : kNotSet;
  Json json = {{"keyword", shown.name},
               {"values", value.values},
               {"origin", shown.kept ? Name(value.origin) : "unknown"}};
  if (value.winner) json.update(Write(*value.winner));
  if (!shown.kept)
    json["unknownBecause"] = "agentdoctor does not read it";
  else if (!value.unknown_because.empty())
    json["unknownBecause"] = value.unknown_because;
  if (shown.name == "ForwardAgent") {
    const bool* requested = config.forward_agent.get();
    json["requested"] = requested ? Json(*requested) : Json(nullptr);
  }
  json["shadowed"] = Json::array();
  for (const ConfigLine& line : value.shadowed)
    json["shadowed"].push_back(Write(line));
  return json;
}

}  // namespace

std::string RenderConfigText(const Facts& facts,
                             const std::vector<std::string>& keywords) {
  const std::string& destination = facts.request.destination;
  const ClientConfig* config = facts.link.config.get();
  if (!config)
    return Harmless(destination + ": the configuration is unknown: " +
                    facts.link.config.reason()) +
           "\n";
  if (config->error) {
    const ConfigError& error = *config->error;
    std::string place = Abbreviate(error.file);
    if (error.line > 0) place += ":" + std::to_string(error.line);
    return Harmless(destination + ": ssh rejects the configuration: " +
                    (place.empty() ? "" : place + ": ") + error.message) +
           "\n";
  }

  std::vector<Row> rows;
  for (const Shown& shown : Choose(*config, keywords))
    for (const Row& row : RowsOf(shown, *config))
      rows.push_back({Harmless(row.label), Harmless(row.value),
                      Harmless(row.place), Harmless(row.scope)});
  std::string text = Align(rows);
  if (keywords.empty()) {
    text += "\nFiles, in the order in which ssh read them:\n";
    for (const ConfigFile& file : config->files)
      text += "  " + Harmless(Abbreviate(file.path)) + "\n";
    if (config->files.empty()) text += "  none\n";
  }
  return text;
}

std::string RenderConfigJson(const Facts& facts,
                             const std::vector<std::string>& keywords) {
  Json json = {{"schemaVersion", 1},
               {"tool", {{"name", "agentdoctor"}, {"version", kVersion}}},
               {"command", "config"},
               {"destination", facts.request.destination}};
  const ClientConfig* config = facts.link.config.get();
  if (!config) {
    json["error"] = {{"message", facts.link.config.reason()}};
  } else if (config->error) {
    json["error"] = {{"message", config->error->message}};
    if (!config->error->file.empty())
      json["error"]["file"] = config->error->file;
    if (config->error->line > 0) json["error"]["line"] = config->error->line;
  }
  json["values"] = Json::array();
  json["files"] = Json::array();
  if (config && !config->error) {
    for (const Shown& shown : Choose(*config, keywords))
      json["values"].push_back(Write(shown, *config));
    for (const ConfigFile& file : config->files)
      json["files"].push_back(
          {{"path", file.path}, {"modified", Timestamp(file.modified)}});
  }
  return Dump(json);
}

}  // namespace agentdoctor
