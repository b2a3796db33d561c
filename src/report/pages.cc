#include "report/pages.h"

#include <algorithm>

namespace agentdoctor {
namespace {

// Made from docs/findings by docs/embed.cmake, sorted by code.
constexpr Page kPages[] = {
#include "pages.inc"
};

}  // namespace

std::span<const Page> AllPages() { return kPages; }

std::string FirstSentence(const Page& page) {
  std::string_view body = page.text.substr(page.text.find("\n\n") + 2);
  std::string sentence(body.substr(0, body.find("\n\n")));
  std::ranges::replace(sentence, '\n', ' ');
  return sentence;
}

const Page* FindPage(std::string_view code) {
  const auto* page = std::ranges::lower_bound(kPages, code, {}, &Page::code);
  return page != std::end(kPages) && page->code == code ? page : nullptr;
}

}  // namespace agentdoctor
