// Reports against docs/report.schema.json.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

namespace agentdoctor {

/// What is wrong with \a report, one fault a line; empty if it is valid.
inline std::string SchemaFaults(const nlohmann::json& report) {
  using valijson::adapters::NlohmannJsonAdapter;
  std::ifstream file(AGENTDOCTOR_SOURCE_DIR "/docs/report.schema.json");
  const nlohmann::json document = nlohmann::json::parse(file);
  valijson::Schema schema;
  valijson::SchemaParser().populateSchema(NlohmannJsonAdapter(document),
                                          schema);
  valijson::ValidationResults results;
  valijson::Validator().validate(schema, NlohmannJsonAdapter(report), &results);
  std::string faults;
  for (const auto& fault : results) {
    for (const std::string& place : fault.context) faults += place;
    faults += ": " + fault.description + "\n";
  }
  return faults;
}

}  // namespace agentdoctor
