#include "probes/here_script.h"

#include <string_view>

#include "system/text.h"

namespace agentdoctor {
namespace {

// The functions of the probe; what it does with them comes last.
constexpr std::string_view kProbe =
#include "probe.inc"
    ;
constexpr std::string_view kRun = "printf \"\\nagentdoctor-";

constexpr std::string_view kHere =
#include "here.inc"
    ;

// Comments are left out: zsh takes none from a person who types.
void Append(std::string_view text, std::string& script) {
  for (const std::string& line : SplitLines(text)) {
    const std::string_view trimmed = Trim(line);
    if (!trimmed.empty() && trimmed.front() != '#') script += line + '\n';
  }
}

}  // namespace

std::string HereScript() {
  std::string script = "sh -c '";
  Append(kProbe.substr(0, kProbe.find(kRun)), script);
  Append(kHere, script);
  return script + "'\n";
}

}  // namespace agentdoctor
