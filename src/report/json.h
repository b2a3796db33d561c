// What the JSON documents have in common.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "agentdoctor/report.h"

namespace agentdoctor {

/// Keys in the order a person reads them.
using Json = nlohmann::ordered_json;

/// The head of every document.
Json Document(const std::string& command, std::int64_t started,
              std::int64_t duration_ms);

/// The document's text.  Invalid UTF-8 becomes U+FFFD; everything else stands
/// there verbatim.
std::string Dump(const Json& document);

Json Write(const CheckResult& check);
Json Write(const Evidence& evidence);
Json Write(const Fix& fix);
Json Write(const ReportedFinding& reported);
Json Write(const RepairRecord& repair);
Json Write(const HostReport& host);

template <typename T>
Json WriteAll(const std::vector<T>& items) {
  Json json = Json::array();
  for (const T& item : items) json.push_back(Write(item));
  return json;
}

}  // namespace agentdoctor
