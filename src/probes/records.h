// What the probe writes: records, "KEY NUL VALUE NUL", in hexadecimal.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agentdoctor/fact.h"

namespace agentdoctor {

/// Bytes of hexadecimal digits; white space between them does not count.
std::optional<std::string> DecodeHex(std::string_view text);

using Record = std::pair<std::string, std::string>;

/// The records of \a output, the text between the probe's markers; unknown if
/// it is no sequence of records that ends with "end".
Fact<std::vector<Record>> ReadRecords(const std::string& output);

}  // namespace agentdoctor
