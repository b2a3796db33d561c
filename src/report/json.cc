#include "report/json.h"

#include <algorithm>

#include "report/render.h"
#include "report/version.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr int kSchemaVersion = 1;

Json Write(const RootCause& cause) {
  return {
      {"code", cause.code}, {"check", cause.check}, {"summary", cause.summary}};
}

Json Write(const std::optional<RootCause>& cause) {
  return cause ? Write(*cause) : Json(nullptr);
}

}  // namespace

Json Document(const std::string& command, std::int64_t started,
              std::int64_t duration_ms) {
  return {{"schemaVersion", kSchemaVersion},
          {"tool", {{"name", "agentdoctor"}, {"version", kVersion}}},
          {"command", command},
          {"startedAt", Timestamp(started)},
          {"durationMs", duration_ms}};
}

std::string Dump(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json Write(const CheckResult& check) {
  return {{"id", check.id},
          {"stage", Name(check.stage)},
          {"title", check.title},
          {"status", Name(check.status)},
          {"summary", check.summary}};
}

Json Write(const Evidence& evidence) {
  Json json = {{"source", evidence.source}, {"text", evidence.text}};
  if (!evidence.file.empty()) json["file"] = evidence.file;
  if (evidence.line > 0) json["line"] = evidence.line;
  if (!evidence.host.empty()) json["host"] = evidence.host;
  return json;
}

Json Write(const Fix& fix) {
  Json commands = Json::array();
  for (const auto& argv : fix.commands) commands.push_back(ShellQuote(argv));
  for (const auto& line : fix.shell_lines) commands.push_back(line);
  Json edits = Json::array();
  for (const Edit& edit : fix.edits)
    edits.push_back({{"file", edit.file},
                     {"line", edit.line},
                     {"text", edit.text},
                     {"replaces", edit.replaces}});
  Json json = {{"title", fix.title},
               {"safety", Name(fix.safety)},
               {"commands", std::move(commands)},
               {"edits", std::move(edits)}};
  if (!fix.host.empty()) json["host"] = fix.host;
  return json;
}

Json Write(const ReportedFinding& reported) {
  const Finding& finding = reported.finding;
  Json json = {{"code", finding.code},
               {"check", reported.check},
               {"stage", Name(reported.stage)},
               {"severity", Name(finding.severity)},
               {"certainty", Name(finding.certainty)},
               {"summary", finding.summary},
               {"explanation", finding.explanation},
               {"evidence", WriteAll(finding.evidence)},
               {"fixes", WriteAll(finding.fixes)},
               {"consequenceOf", reported.consequence_of.empty()
                                     ? Json(nullptr)
                                     : Json(reported.consequence_of)},
               {"docs", "docs/findings/" + finding.code + ".md"}};
  if (!reported.consequence_host.empty())
    json["consequenceOfHost"] = reported.consequence_host;
  return json;
}

Json Write(const RepairRecord& repair) {
  return {{"code", repair.code},
          {"title", repair.title},
          {"commands", repair.commands},
          {"status", Name(repair.status)},
          {"detail", repair.detail}};
}

Json Write(const HostReport& host) {
  Json json = {
      {"host", host.host},
      {"via", host.via},
      {"client", {{"name", host.client}, {"version", host.client_version}}},
      {"verdict", Name(host.verdict)},
      {"rootCause", Write(host.root_cause)},
      {"checks", WriteAll(host.checks)},
      {"findings", WriteAll(host.findings)}};
  if (host.fix_requested) {
    // Nothing was there to repair: then the state before is the state.
    const Before before =
        host.before.value_or(Before{host.verdict, host.root_cause});
    json["before"] = {{"verdict", Name(before.verdict)},
                      {"rootCause", Write(before.root_cause)}};
    json["repairs"] = WriteAll(host.repairs);
  }
  if (!host.this_shell.empty()) json["thisShell"] = host.this_shell;
  json["durationMs"] = host.duration_ms;
  return json;
}

std::string RenderJson(const Report& report) {
  Json summary = Json::object();
  for (const Verdict verdict : {Verdict::kHealthy, Verdict::kDegraded,
                                Verdict::kBroken, Verdict::kUndetermined}) {
    const auto hosts = std::count_if(
        report.hosts.begin(), report.hosts.end(),
        [&](const HostReport& host) { return host.verdict == verdict; });
    summary[Name(verdict)] = hosts;
  }
  Json json = Document(report.command, report.started, report.duration_ms);
  json["hosts"] = WriteAll(report.hosts);
  json["summary"] = std::move(summary);
  return Dump(json);
}

}  // namespace agentdoctor
