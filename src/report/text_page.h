// What every text for a person at a terminal is made of: marks, tones, wrapped
// lines and lines to paste, evidence and fixes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/finding.h"
#include "agentdoctor/report.h"
#include "report/render.h"

namespace agentdoctor {

/// Text from outside: the same whether it came from a probe or from a
/// recording, whose JSON can't hold invalid UTF-8.
std::string Clean(std::string_view text);

/// Characters, not bytes.
std::size_t Width(std::string_view text);

enum class Tone { kPlain, kBold, kDim, kGood, kBad, kWarning };

struct Mark {
  const char* utf8;
  const char* ascii;
  Tone tone;
};

Mark MarkOf(Status status);
Mark MarkOf(Severity severity);
Mark MarkOf(RepairStatus status);

/// A text as it grows.
class TextPage {
 public:
  explicit TextPage(const TextStyle& style);

 protected:
  std::string Toned(Tone tone, std::string_view text) const;
  std::string Show(const Mark& mark) const;

  void Blank() { out_ += '\n'; }

  /// A line that is never wrapped: it is there to be pasted.
  void Literal(std::size_t indent, std::string_view text);

  void Heading(std::string_view text);

  /// \a text from where the line stands (column \a column), wrapped, further
  /// lines indented by \a hang.
  void Flow(std::size_t column, std::size_t hang, std::string_view text,
            Tone tone = Tone::kPlain);

  void Paragraph(std::size_t indent, std::string_view text,
                 Tone tone = Tone::kPlain);

  void ListEvidence(std::size_t indent, const std::vector<Evidence>& evidence,
                    std::size_t limit, std::string_view lead = "");

  void ListFixes(std::size_t indent, const std::vector<Fix>& fixes,
                 std::size_t limit, std::string_view lead = "");

  void ShowRepair(const RepairRecord& repair);

  const TextStyle& style_;
  const std::size_t columns_;
  std::string out_;

 private:
  void ShowFix(std::size_t indent, const Fix& fix, std::string_view lead);
};

}  // namespace agentdoctor
