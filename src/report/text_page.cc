#include "report/text_page.h"

#include <algorithm>
#include <array>

#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::size_t kEvidenceColumns = 400;

const char* Word(RepairStatus status) {
  switch (status) {
    case RepairStatus::kApplied:
      return "done";
    case RepairStatus::kFailed:
      return "FAILED";
    case RepairStatus::kPlanned:
      break;
  }
  return "planned";
}

/// Where a piece of evidence was seen, the way compilers name places.
std::string Place(const Evidence& evidence) {
  const std::string host =
      evidence.host.empty() ? "" : " on " + Clean(evidence.host);
  if (evidence.file.empty()) return Clean(evidence.source) + host;
  std::string place = Clean(evidence.file);
  if (evidence.line > 0) place += ":" + std::to_string(evidence.line);
  return place + host;
}

}  // namespace

std::string Clean(std::string_view text) { return Harmless(ValidUtf8(text)); }

std::size_t Width(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

Mark MarkOf(Status status) {
  switch (status) {
    case Status::kPass:
      return {"✓", "+", Tone::kGood};
    case Status::kWarn:
      return {"!", "!", Tone::kWarning};
    case Status::kFail:
      return {"✗", "x", Tone::kBad};
    case Status::kSkip:
      break;
  }
  return {"-", "-", Tone::kDim};
}

Mark MarkOf(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return MarkOf(Status::kFail);
    case Severity::kWarning:
      return MarkOf(Status::kWarn);
    case Severity::kInfo:
      break;
  }
  return {"i", "i", Tone::kDim};
}

Mark MarkOf(RepairStatus status) {
  switch (status) {
    case RepairStatus::kApplied:
      return MarkOf(Status::kPass);
    case RepairStatus::kFailed:
      return MarkOf(Status::kFail);
    case RepairStatus::kPlanned:
      break;
  }
  return MarkOf(Status::kSkip);
}

TextPage::TextPage(const TextStyle& style)
    : style_(style), columns_(std::max<std::size_t>(style.columns, 40)) {}

std::string TextPage::Toned(Tone tone, std::string_view text) const {
  static constexpr std::array<std::string_view, 6> kCodes = {
      "", "1", "2", "32", "1;31", "33"};
  const std::string_view code = kCodes[static_cast<std::size_t>(tone)];
  if (!style_.colour || code.empty()) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

std::string TextPage::Show(const Mark& mark) const {
  return Toned(mark.tone, style_.ascii ? mark.ascii : mark.utf8);
}

void TextPage::Literal(std::size_t indent, std::string_view text) {
  out_.append(indent, ' ');
  out_ += text;
  out_ += '\n';
}

void TextPage::Heading(std::string_view text) {
  Blank();
  Literal(2, Toned(Tone::kBold, text));
}

void TextPage::Flow(std::size_t column, std::size_t hang, std::string_view text,
                    Tone tone) {
  std::string line;
  const auto flush = [&] {
    out_ += Toned(tone, line);
    out_ += '\n';
    line.clear();
  };
  while (!(text = Trim(text)).empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    const std::size_t space = line.empty() ? 0 : 1;
    if (!line.empty() &&
        column + Width(line) + space + Width(word) > columns_) {
      flush();
      out_.append(hang, ' ');
      column = hang;
    }
    if (!line.empty()) line += ' ';
    line += word;
  }
  flush();
}

void TextPage::Paragraph(std::size_t indent, std::string_view text, Tone tone) {
  if (text.empty()) return;
  out_.append(indent, ' ');
  Flow(indent, indent, text, tone);
}

void TextPage::ListEvidence(std::size_t indent,
                            const std::vector<Evidence>& evidence,
                            std::size_t limit, std::string_view lead) {
  const std::size_t shown =
      style_.verbose ? evidence.size() : std::min(evidence.size(), limit);
  for (std::size_t i = 0; i < shown; ++i) {
    std::string text = std::string(lead) + Place(evidence[i]);
    if (!evidence[i].text.empty()) {
      const std::string said = Clean(evidence[i].text);
      text += ": " + (style_.verbose ? said : Elide(said, kEvidenceColumns));
    }
    out_.append(indent, ' ');
    Flow(indent, indent + 4, text);
  }
  if (shown < evidence.size())
    Literal(indent, "(" + std::to_string(evidence.size() - shown) +
                        " more with --verbose)");
}

void TextPage::ListFixes(std::size_t indent, const std::vector<Fix>& fixes,
                         std::size_t limit, std::string_view lead) {
  const std::size_t shown =
      style_.verbose ? fixes.size() : std::min(fixes.size(), limit);
  for (std::size_t i = 0; i < shown; ++i) {
    if (i > 0) Blank();
    ShowFix(indent, fixes[i], lead);
  }
}

void TextPage::ShowFix(std::size_t indent, const Fix& fix,
                       std::string_view lead) {
  std::string title = std::string(lead);
  if (!fix.host.empty()) title += "on " + Clean(fix.host) + ": ";
  title += Clean(fix.title);
  if (fix.action != Action::kNone && fix.safety == Safety::kSafe)
    title += " (--fix does this)";
  if (fix.safety == Safety::kReview) title += " (look before you do this)";
  Paragraph(indent, title);
  for (const Edit& edit : fix.edits) {
    std::string where = "in " + Clean(edit.file);
    if (edit.line > 0)
      where += (edit.replaces ? ", instead of line " : ", before line ") +
               std::to_string(edit.line);
    Paragraph(indent + 4, where + ":");
    for (const std::string& line : SplitLines(edit.text))
      Literal(indent + 8, Toned(Tone::kBold, Clean(line)));
  }
  // Behind the lines: what makes a program read them comes last.
  for (const auto& argv : fix.commands)
    Literal(indent + 4, Toned(Tone::kBold, Clean(ShellQuote(argv))));
  for (const std::string& line : fix.shell_lines)
    Literal(indent + 4, Toned(Tone::kBold, Clean(line)));
}

void TextPage::ShowRepair(const RepairRecord& repair) {
  out_ += "    " + Show(MarkOf(repair.status)) + " ";
  Flow(6, 6,
       std::string(Word(repair.status)) + ": " + Clean(repair.title) + " (" +
           Clean(repair.code) + ")");
  for (const std::string& command : repair.commands)
    Literal(10, Toned(Tone::kBold, Clean(command)));
  Paragraph(6, Clean(repair.detail));
}

}  // namespace agentdoctor
