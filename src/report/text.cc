// The report for a person at a terminal: verdict, cause, remedy, then the
// whole path, so that one sees at a glance where it breaks.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "report/render.h"
#include "report/text_page.h"

namespace agentdoctor {
namespace {

constexpr std::size_t kEvidenceShown = 8;
constexpr std::size_t kFixesShown = 3;

Mark MarkOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHealthy:
      return MarkOf(Status::kPass);
    case Verdict::kDegraded:
      return MarkOf(Status::kWarn);
    case Verdict::kBroken:
      return MarkOf(Status::kFail);
    case Verdict::kUndetermined:
      break;
  }
  return {"?", "?", Tone::kWarning};
}

const char* Word(Status status) {
  switch (status) {
    case Status::kPass:
      return "ok";
    case Status::kWarn:
      return "warn";
    case Status::kFail:
      return "FAIL";
    case Status::kSkip:
      break;
  }
  return "skip";
}

/// The link of the chain, in words.
const char* Label(Stage stage) {
  switch (stage) {
    case Stage::kAgent:
      return "local agent";
    case Stage::kClient:
      return "ssh config";
    case Stage::kSharing:
      return "sharing";
    case Stage::kConnection:
      return "connection";
    case Stage::kServer:
      return "server";
    case Stage::kSession:
      return "remote agent";
    case Stage::kLongLived:
      return "long-lived";
    case Stage::kNextHop:
      break;
  }
  return "next hop";
}
/// Beyond the first host nothing is local, and not every client has ssh's
/// configuration.
const char* Label(const HostReport& host, Stage stage) {
  if (stage == Stage::kClient && host.client == "tsh") return "tsh options";
  if (stage == Stage::kClient && host.client == "putty") return "session";
  return !host.via.empty() && stage == Stage::kAgent ? "agent" : Label(stage);
}
constexpr std::size_t kLabelWidth = std::string_view("remote agent").size();

/// The same where there is one place only.
const char* LabelHere(Stage stage) {
  switch (stage) {
    case Stage::kAgent:
      return "agent";
    case Stage::kSession:
      return "environment";
    default:
      return Label(stage);
  }
}

std::string Destination(const HostReport& host) {
  std::string text = Clean(host.host);
  for (std::size_t i = 0; i < host.via.size(); ++i)
    text += (i == 0 ? " through " : ", ") + Clean(host.via[i]);
  return text;
}

/// The verdict in one line.
std::string Headline(const HostReport& host) {
  const std::string forwarding = "agent forwarding to " + Destination(host);
  switch (host.verdict) {
    case Verdict::kHealthy:
      return forwarding + " works";
    case Verdict::kDegraded:
      // Behind a forced command nobody saw it work.
      if (host.root_cause && host.root_cause->code == "forced-command")
        return forwarding + (host.granted_unseen ? " is granted, but" : "") +
               " could not be tried";
      return forwarding + " works, with a warning";
    case Verdict::kBroken:
      if (host.root_cause && host.root_cause->code.starts_with("next-hop-"))
        return forwarding + " works, but the next hop fails";
      return forwarding + " does not work";
    case Verdict::kUndetermined:
      break;
  }
  return "cannot tell whether " + forwarding + " works";
}

/// The verdict on the shell one sits in.
std::string HeadlineHere(const HostReport& host) {
  const std::string shell = "this shell on " + Destination(host);
  switch (host.verdict) {
    case Verdict::kHealthy:
      return shell + " has a working agent";
    case Verdict::kDegraded:
      return shell + " has a working agent, with a warning";
    case Verdict::kBroken:
      return shell + " has no working agent";
    case Verdict::kUndetermined:
      break;
  }
  return "cannot tell whether " + shell + " has a working agent";
}

/// The same where the host's name stands before it already.
const char* Outcome(Verdict verdict) {
  switch (verdict) {
    case Verdict::kHealthy:
      return "works";
    case Verdict::kDegraded:
      return "works, with a warning";
    case Verdict::kBroken:
      return "does not work";
    case Verdict::kUndetermined:
      break;
  }
  return "undetermined";
}

const ReportedFinding* FindRootCause(const HostReport& host) {
  if (!host.root_cause) return nullptr;
  const auto found =
      std::ranges::find_if(host.findings, [&](const ReportedFinding& reported) {
        return reported.finding.code == host.root_cause->code &&
               reported.check == host.root_cause->check;
      });
  return found == host.findings.end() ? nullptr : &*found;
}

class TextReport : private TextPage {
 public:
  using TextPage::TextPage;

  std::string Render(const Report& report) {
    here_ = report.command == "here";
    if (style_.quiet) {
      for (const HostReport& host : report.hosts) OneLine(host);
      return std::move(out_);
    }
    if (report.hosts.size() > 1) Overview(report);
    for (const HostReport& host : report.hosts) {
      // Among many, what works needs no more than its line above.
      if (report.hosts.size() > 1 && host.verdict == Verdict::kHealthy &&
          !host.fix_requested && !style_.verbose)
        continue;
      if (!out_.empty()) Blank();
      Host(host);
    }
    return std::move(out_);
  }

 private:
  void OneLine(const HostReport& host) {
    out_ += Show(MarkOf(host.verdict)) + " " + Destination(host) + ": " +
            Outcome(host.verdict);
    if (host.root_cause)
      out_ += ": " + Clean(host.root_cause->summary) + " (" +
              Clean(host.root_cause->code) + ")";
    out_ += '\n';
  }

  using Hosts = std::vector<HostReport>::const_iterator;

  /// The path from \a first to the host before \a end, in one line: how far
  /// forwarding works, and where it breaks.
  void Path(Hosts first, Hosts end) {
    const auto works = [](const HostReport& host) {
      return host.verdict == Verdict::kHealthy ||
             host.verdict == Verdict::kDegraded;
    };
    const auto stop = std::find_if_not(first, end, works);
    std::string text = "agent forwarding along ";
    for (auto host = first; host != end; ++host)
      text += (host == first  ? ""
               : style_.ascii ? " -> "
                              : " → ") +
              Clean(host->host);
    const Mark mark = MarkOf(stop == end ? Verdict::kHealthy : stop->verdict);
    if (stop == end) {
      text += " works";
    } else {
      text += (stop->verdict == Verdict::kBroken ? " breaks at "
                                                 : " can't be followed to ") +
              Clean(stop->host);
      if (stop->root_cause) text += ": " + Clean(stop->root_cause->summary);
    }
    out_ += Show(mark) + " ";
    Flow(2, 2, text, Tone::kBold);
  }

  void Paths(const Report& report) {
    for (auto first = report.hosts.begin(); first != report.hosts.end();) {
      const auto end =
          std::find_if(first + 1, report.hosts.end(),
                       [](const HostReport& host) { return host.via.empty(); });
      if (end - first > 1) Path(first, end);
      first = end;
    }
  }

  void Overview(const Report& report) {
    Paths(report);
    const auto paths = std::ranges::count_if(
        report.hosts, [](const HostReport& host) { return host.via.empty(); });
    if (paths > 1) Counts(report);
    Blank();
    Outcomes(report);
  }

  void Counts(const Report& report) {
    std::string text = std::to_string(report.hosts.size()) + " hosts";
    const char* separator = ": ";
    for (const Verdict verdict : {Verdict::kHealthy, Verdict::kDegraded,
                                  Verdict::kBroken, Verdict::kUndetermined}) {
      const auto hosts =
          std::ranges::count(report.hosts, verdict, &HostReport::verdict);
      if (hosts == 0) continue;
      text += separator + std::to_string(hosts) + " " + Name(verdict);
      separator = ", ";
    }
    Literal(0, Toned(Tone::kBold, text));
  }

  void Outcomes(const Report& report) {
    std::size_t widest = 0;
    for (const HostReport& host : report.hosts)
      widest = std::max(widest, Width(Destination(host)));
    widest = std::min<std::size_t>(widest, columns_ / 3);
    for (const HostReport& host : report.hosts) {
      const std::string name = Destination(host);
      const std::size_t width = std::max(Width(name), widest);
      out_ += "  " + Show(MarkOf(host.verdict)) + " " + name;
      out_.append(width - Width(name) + 2, ' ');
      std::string outcome = Outcome(host.verdict);
      if (host.root_cause) outcome += ": " + Clean(host.root_cause->summary);
      Flow(width + 6, widest + 6, outcome);
    }
  }

  void Host(const HostReport& host) {
    out_ += Show(MarkOf(host.verdict)) + " ";
    Flow(2, 2, here_ ? HeadlineHere(host) : Headline(host), Tone::kBold);
    if (!host.this_shell.empty()) {
      // The answer comes before its reasons.
      Heading("this shell:");
      Literal(4, Toned(Tone::kBold, Clean(host.this_shell)));
    }
    const ReportedFinding* cause = FindRootCause(host);
    if (cause != nullptr) {
      Cause(cause->finding);
    } else if (host.root_cause) {
      Blank();
      Paragraph(2, Clean(host.root_cause->summary));
    }
    if (!host.root_cause && host.earlier) {
      Blank();
      Paragraph(2, "What breaks the path before it comes first: " +
                       Clean(host.earlier->code) + " at " +
                       Clean(host.earlier->host));
    }
    if (host.fix_requested) Repairs(host);
    Chain(host);
    OtherFindings(host, cause);
    if (host.root_cause) {
      Blank();
      Literal(2, "More: agentdoctor explain " + Clean(host.root_cause->code));
    }
  }

  void Cause(const Finding& finding) {
    Blank();
    Paragraph(2, Clean(finding.summary), Tone::kBold);
    Literal(2, Toned(Tone::kDim, "(" + Clean(finding.code) + ", " +
                                     Name(finding.certainty) + ")"));
    if (!finding.explanation.empty()) {
      Blank();
      Paragraph(2, Clean(finding.explanation));
    }
    if (!finding.evidence.empty()) {
      Heading("What shows it");
      ListEvidence(4, finding.evidence, kEvidenceShown);
    }
    if (!finding.fixes.empty()) {
      Heading("What to do");
      ListFixes(4, finding.fixes, kFixesShown);
    }
  }

  /// One line per link, an arrow where the root cause is.
  void Chain(const HostReport& host) {
    if (host.checks.empty()) return;
    Heading(here_ ? "This machine" : "The path, link by link");
    for (const CheckResult& check : host.checks) {
      const bool broken_here =
          host.root_cause && host.root_cause->check == check.id;
      const char* arrow = style_.ascii ? "> " : "→ ";
      out_ += "  ";
      out_ += broken_here ? Toned(Tone::kBad, arrow) : "  ";
      const Mark mark = MarkOf(check.status);
      const std::string word = Word(check.status);
      const std::string label =
          here_ ? LabelHere(check.stage) : Label(host, check.stage);
      out_ += Show(mark) + " " + Toned(mark.tone, word);
      out_.append(6 - word.size(), ' ');
      out_ += label;
      out_.append(kLabelWidth - label.size() + 2, ' ');
      constexpr std::size_t kColumn = 2 + 2 + 2 + 6 + kLabelWidth + 2;
      Flow(kColumn, kColumn, Clean(check.summary));
      if (style_.verbose) {
        out_.append(kColumn, ' ');
        Flow(kColumn, kColumn,
             "(" + Clean(check.id) + ": " + Clean(check.title) + ")",
             Tone::kDim);
      }
    }
  }

  void OtherFindings(const HostReport& host, const ReportedFinding* cause) {
    bool first = true;
    for (const ReportedFinding& reported : host.findings) {
      if (&reported == cause) continue;
      if (first)
        Heading("Also found");
      else
        Blank();
      first = false;
      Other(reported);
    }
  }

  void Other(const ReportedFinding& reported) {
    const Finding& finding = reported.finding;
    out_ += "    " + Show(MarkOf(finding.severity)) + " ";
    std::string text = std::string(Name(finding.severity)) + ": " +
                       Clean(finding.summary) + " (" + Clean(finding.code);
    if (finding.certainty == Certainty::kLikely) text += ", likely";
    if (!reported.consequence_of.empty())
      text += ", follows from " + Clean(reported.consequence_of);
    if (!reported.consequence_host.empty())
      text += " at " + Clean(reported.consequence_host);
    Flow(6, 6, text + ")");
    if (style_.verbose) {
      Paragraph(6, Clean(finding.explanation));
      ListEvidence(6, finding.evidence, finding.evidence.size(), "seen: ");
    }
    // What follows from a cause goes with it, and what is merely worth
    // knowing asks for nothing.
    const bool asks =
        reported.consequence_of.empty() && finding.severity != Severity::kInfo;
    if (asks || style_.verbose) ListFixes(6, finding.fixes, 1, "remedy: ");
  }

  void Repairs(const HostReport& host) {
    const bool planned =
        std::ranges::any_of(host.repairs, [](const RepairRecord& repair) {
          return repair.status == RepairStatus::kPlanned;
        });
    Heading(planned ? "What --fix would do" : "What was done");
    if (host.repairs.empty())
      Paragraph(4, host.verdict == Verdict::kHealthy
                       ? "nothing: there is nothing to repair"
                       : "nothing: no remedy here is safe unattended");
    for (const RepairRecord& repair : host.repairs) ShowRepair(repair);
    if (planned || host.repairs.empty() || !host.before) return;
    Blank();
    std::string before = Outcome(host.before->verdict);
    if (host.before->root_cause)
      before += ", " + Clean(host.before->root_cause->code);
    Literal(4, "before: " + before);
    std::string now = Outcome(host.verdict);
    if (host.root_cause) now += ", " + Clean(host.root_cause->code);
    Literal(4, "now:    " + now);
  }

  bool here_ = false;
};

}  // namespace

std::string RenderText(const Report& report, const TextStyle& style) {
  return TextReport(style).Render(report);
}

}  // namespace agentdoctor
