#include "examine.h"

#include <algorithm>
#include <exception>
#include <string>

namespace agentdoctor {
namespace {

bool Names(const std::vector<std::string>& words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

bool Selected(const Selection& selection, const Check& check,
              std::string_view code) {
  if (Names(selection.skip, check.id) || Names(selection.skip, code))
    return false;
  return selection.only.empty() || Names(selection.only, check.id) ||
         Names(selection.only, code);
}

Answer Ask(const Check& check, const Facts& facts) {
  try {
    return check.run(facts);
  } catch (const FactUnknown& unknown) {
    Answer answer;
    answer.skipped = unknown.what();
    return answer;
  } catch (const std::exception& error) {
    Answer answer;
    answer.skipped = "a fault in the check itself, please report it: " +
                     std::string(error.what());
    return answer;
  }
}

}  // namespace

std::vector<Examined> Examine(const Facts& facts, std::span<const Check> checks,
                              const Selection& selection) {
  std::vector<Examined> examined;
  for (const Check& check : checks) {
    const auto selected = [&](std::string_view code) {
      return Selected(selection, check, code);
    };
    if (!check.applies(facts)) continue;
    if (std::ranges::none_of(check.codes, selected)) continue;
    Examined result{.check = &check, .answer = Ask(check, facts)};
    std::erase_if(result.answer.findings, [&](const Finding& finding) {
      return !selected(finding.code);
    });
    for (const std::string_view code : check.codes)
      if (!selected(code)) result.left_out.emplace_back(code);
    examined.push_back(std::move(result));
  }
  return examined;
}

}  // namespace agentdoctor
