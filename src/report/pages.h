// The pages of docs/findings, embedded for `agentdoctor explain`.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace agentdoctor {

struct Page {
  std::string_view code;
  std::string_view text;  ///< Markdown
};

/// Sorted by code.
std::span<const Page> AllPages();

/// The one sentence below the heading, in one line: what the finding means.
std::string FirstSentence(const Page& page);

/// Null if there is none.
const Page* FindPage(std::string_view code);

}  // namespace agentdoctor
