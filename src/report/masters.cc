// `agentdoctor masters`: each master, what depends on it, and what is wrong.
#include <algorithm>
#include <cstddef>
#include <string>

#include "report/json.h"
#include "report/render.h"
#include "report/text_page.h"
#include "system/file.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::size_t kFixesShown = 2;

/// The worst that was found.
Mark MarkOf(const ListedMaster& listed) {
  Mark mark = listed.orphaned ? agentdoctor::MarkOf(Severity::kInfo)
                              : agentdoctor::MarkOf(Status::kPass);
  bool warned = listed.master.state == MasterState::kDenied ||
                listed.master.state == MasterState::kFailed;
  for (const ReportedFinding& reported : listed.findings) {
    const Severity severity = reported.finding.severity;
    if (severity == Severity::kError) return agentdoctor::MarkOf(severity);
    warned = warned || severity == Severity::kWarning;
  }
  if (warned) mark = agentdoctor::MarkOf(Severity::kWarning);
  return mark;
}

std::string Count(std::size_t count, const std::string& one) {
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

std::string Joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words)
    text += (text.empty() ? "" : ", ") + word;
  return text;
}

/// Whether nobody listens: then there is a file and no master.
bool IsDeadSocket(const ListedMaster& listed) {
  return listed.master.state == MasterState::kStaleSocket;
}

/// Whether something is wrong with it: stuck, or proven or likely stale.
bool HasError(const ListedMaster& listed) {
  return std::ranges::any_of(
      listed.findings, [](const ReportedFinding& reported) {
        return reported.finding.severity == Severity::kError;
      });
}

bool NothingButInfo(const ListedMaster& listed) {
  return std::ranges::all_of(
      listed.findings, [](const ReportedFinding& reported) {
        return reported.finding.severity == Severity::kInfo;
      });
}

std::string Headline(const MasterList& list) {
  if (list.masters.empty()) return "no multiplexing master is running";
  std::size_t dead = 0;
  std::size_t stuck = 0;
  std::size_t stale = 0;
  for (const ListedMaster& listed : list.masters) {
    if (IsDeadSocket(listed))
      ++dead;
    else if (listed.master.state == MasterState::kUnresponsive)
      ++stuck;
    else if (HasError(listed))
      ++stale;
  }
  std::vector<std::string> words;
  if (const std::size_t count = list.masters.size() - dead; count > 0)
    words.push_back(Count(count, "multiplexing master"));
  if (stale > 0) words.push_back(std::to_string(stale) + " of them stale");
  if (stuck > 0) words.push_back(std::to_string(stuck) + " not answering");
  if (dead > 0) words.push_back(Count(dead, "dead control socket"));
  return Joined(words);
}

/// The process, in a few words.
std::string Process(const MasterList& list, const ListedMaster& listed) {
  const Master& master = listed.master;
  std::vector<std::string> words;
  if (master.pid) words.push_back("pid " + std::to_string(*master.pid));
  if (const std::int64_t* started = master.started.get())
    words.push_back(Duration(std::max<std::int64_t>(
                        list.started + list.duration_ms / 1000 - *started, 0)) +
                    " old");
  if (const int* clients = master.attached_clients.get())
    words.push_back(*clients == 0
                        ? "no session attached"
                        : Count(static_cast<std::size_t>(*clients), "session") +
                              " attached");
  if (master.foreground.value_or(false)) words.push_back("in the foreground");
  return Joined(words);
}

class MastersText : private TextPage {
 public:
  using TextPage::TextPage;

  std::string Render(const MasterList& list) {
    const Mark mark =
        ExitStatus(list, false) == 1   ? agentdoctor::MarkOf(Status::kFail)
        : ExitStatus(list, true) == 1  ? agentdoctor::MarkOf(Status::kWarn)
        : ExitStatus(list, false) == 3 ? agentdoctor::MarkOf(Status::kSkip)
                                       : agentdoctor::MarkOf(Status::kPass);
    out_ += Show(mark) + " ";
    Flow(2, 2, Headline(list), Tone::kBold);
    if (!list.masters.empty() && !style_.quiet) Blank();
    for (const ListedMaster& listed : list.masters) {
      if (style_.quiet)
        Line(list, listed);
      else
        Master(list, listed);
    }
    if (list.fix_requested) Repairs(list);
    if (!style_.quiet) WhatToDo(list);
    if (list.interrupted) Paragraph(2, "Interrupted: there may be more.");
    return std::move(out_);
  }

 private:
  /// Host or path, and the state or the process.
  void Line(const MasterList& list, const ListedMaster& listed) {
    const agentdoctor::Master& master = listed.master;
    out_ += std::string(style_.quiet ? "" : "  ") + Show(MarkOf(listed)) + " ";
    const std::size_t column = style_.quiet ? 2 : 4;
    std::string text;
    if (!master.host.empty())
      text = master.host;
    else if (const std::string* peer = listed.peer.get())
      text = "unknown host at " + *peer;
    else if (!IsDeadSocket(listed))
      text = "unknown host";
    if (IsDeadSocket(listed) || style_.quiet)
      text += (text.empty() ? "" : ": ") + master.path;
    switch (master.state) {
      case MasterState::kStaleSocket:
        text += ": nobody listens on it";
        break;
      case MasterState::kUnresponsive:
        text += ": does not answer; " + Process(list, listed);
        break;
      case MasterState::kAlive:
      case MasterState::kNone:
        text += ": " + Process(list, listed);
        break;
      default:
        text += ": not known: " + master.detail;
    }
    if (style_.quiet)
      out_ += Clean(text) + "\n";
    else
      Flow(column, column, Clean(text));
  }

  void Master(const MasterList& list, const ListedMaster& listed) {
    const agentdoctor::Master& master = listed.master;
    Line(list, listed);
    if (IsDeadSocket(listed)) return;  // twenty of them are one matter
    Literal(6, Toned(Tone::kDim, Clean(master.path)));
    if (listed.orphaned)
      Paragraph(6,
                "its socket file is gone: no new ssh can reach it, and it ends "
                "with its last session");
    if (!listed.host_unknown.empty() && style_.verbose)
      Paragraph(6, "host unknown: " + Clean(listed.host_unknown));
    if (style_.verbose && !master.host.empty() && listed.peer.known())
      Paragraph(6, "connected to " + Clean(*listed.peer));
    if (const auto* forwardings = master.forwardings.get();
        forwardings && !forwardings->empty())
      Paragraph(6, "port forwardings listen at " + Clean(Joined(*forwardings)));
    std::vector<std::string> files;
    for (const ConfigFile& file : master.newer_config)
      files.push_back(Abbreviate(file.path));
    if (!files.empty() && !listed.examined)
      Paragraph(6, "older than the last change of " + Clean(Joined(files)));
    if (listed.examined && NothingButInfo(listed))
      Paragraph(6, listed.examined->status == Status::kSkip
                       ? "whether it is stale is not known: " +
                             Clean(listed.examined->summary)
                       : "examined, and not stale");
    if (!listed.not_examined.empty() && listed.findings.empty())
      Paragraph(6, "not examined: " + Clean(listed.not_examined), Tone::kDim);
    for (const ReportedFinding& reported : listed.findings) {
      const Finding& finding = reported.finding;
      if (finding.severity == Severity::kInfo && !style_.verbose) continue;
      Paragraph(6, Clean(finding.summary) + " (" + Clean(finding.code) + ", " +
                       Name(finding.certainty) + ")");
      if (style_.verbose) {
        Paragraph(6, Clean(finding.explanation));
        ListEvidence(6, finding.evidence, finding.evidence.size(), "seen: ");
      }
      ListFixes(6, finding.fixes, kFixesShown, "remedy: ");
    }
  }

  void Repairs(const MasterList& list) {
    if (style_.quiet && list.repairs.empty()) return;
    const bool planned =
        std::ranges::any_of(list.repairs, [](const MasterRepair& repair) {
          return repair.record.status == RepairStatus::kPlanned;
        });
    Heading(planned ? "What --fix would do" : "What was done");
    if (list.repairs.empty())
      Paragraph(4, "nothing: no master is stale that may be reset unattended");
    for (const MasterRepair& repair : list.repairs) ShowRepair(repair.record);
  }

  void WhatToDo(const MasterList& list) {
    if (list.fix_requested) return;
    const auto dead = static_cast<std::size_t>(
        std::ranges::count_if(list.masters, IsDeadSocket));
    const bool newer =
        std::ranges::any_of(list.masters, [](const ListedMaster& listed) {
          return !listed.master.newer_config.empty();
        });
    if (dead == 0 && !newer) return;
    Blank();
    std::string does;
    if (dead > 0)
      does = "removes the dead socket" + std::string(dead > 1 ? "s" : "");
    if (newer)
      does += std::string(does.empty() ? "" : ", ") +
              "tries the masters and lets stale ones go";
    Paragraph(2, "`agentdoctor masters --fix` " + does +
                     "; with --dry-run it says what it would do.");
  }
};

// -------------------------------------------------------------------- JSON --

/// A fact's value; null if it is not known.
template <typename T>
Json Value(const Fact<T>& fact) {
  return fact.known() ? Json(*fact) : Json(nullptr);
}

Json Write(const MasterList& list, const ListedMaster& listed) {
  const Master& master = listed.master;
  Json json = {
      {"host", master.host.empty() ? Json(nullptr) : Json(master.host)}};
  if (master.host.empty()) json["hostUnknown"] = listed.host_unknown;
  json["peer"] = Value(listed.peer);
  json["path"] = master.path;
  json["state"] = Name(master.state);
  json["detail"] = master.detail;
  json["orphaned"] = listed.orphaned;
  json["pid"] = master.pid ? Json(*master.pid) : Json(nullptr);
  const std::int64_t* started = master.started.get();
  json["started"] = started ? Json(Timestamp(*started)) : Json(nullptr);
  json["ageSeconds"] =
      started ? Json(std::max<std::int64_t>(list.started - *started, 0))
              : Json(nullptr);
  json["sessions"] = Value(master.attached_clients);
  json["forwardings"] = Value(master.forwardings);
  json["foreground"] = Value(master.foreground);
  json["newerConfig"] = Json::array();
  for (const ConfigFile& file : master.newer_config)
    json["newerConfig"].push_back(
        {{"path", file.path}, {"modified", Timestamp(file.modified)}});
  json["findings"] = WriteAll(listed.findings);
  if (list.fix_requested) {
    json["examined"] =
        listed.examined ? agentdoctor::Write(*listed.examined) : Json(nullptr);
    json["notExamined"] = listed.not_examined;
  }
  return json;
}

}  // namespace

std::string RenderMastersText(const MasterList& list, const TextStyle& style) {
  return MastersText(style).Render(list);
}

std::string RenderMastersJson(const MasterList& list) {
  Json json = Document("masters", list.started, list.duration_ms);
  json["masters"] = Json::array();
  for (const ListedMaster& listed : list.masters)
    json["masters"].push_back(Write(list, listed));
  if (list.fix_requested) {
    json["repairs"] = Json::array();
    for (const MasterRepair& repair : list.repairs) {
      Json record = {
          {"path", repair.path},
          {"host", repair.host.empty() ? Json(nullptr) : Json(repair.host)}};
      record.update(agentdoctor::Write(repair.record));
      json["repairs"].push_back(std::move(record));
    }
  }
  json["interrupted"] = list.interrupted;
  return Dump(json);
}

}  // namespace agentdoctor
