// Renderers: pure functions of a report.
#pragma once

#include <cstddef>
#include <string>

#include "agentdoctor/facts.h"
#include "agentdoctor/listings.h"
#include "agentdoctor/report.h"

namespace agentdoctor {

struct TextStyle {
  bool colour = false;
  bool quiet = false;    ///< one line per host
  bool verbose = false;  ///< every check, every piece of evidence
  bool ascii = false;    ///< marks without UTF-8
  std::size_t columns = 80;
};

std::string RenderText(const Report& report, const TextStyle& style);
std::string RenderJson(const Report& report);

/// `agentdoctor config`: each value, its place, and the lines that lost.
/// \a keywords: lower case; empty: all that matter for forwarding.
std::string RenderConfigText(const Facts& facts,
                             const std::vector<std::string>& keywords);
std::string RenderConfigJson(const Facts& facts,
                             const std::vector<std::string>& keywords);

std::string RenderAgentsText(const AgentList& list, const TextStyle& style);
std::string RenderAgentsJson(const AgentList& list);
std::string RenderMastersText(const MasterList& list, const TextStyle& style);
std::string RenderMastersJson(const MasterList& list);

/// The words of the JSON report, for every renderer.
const char* Name(AgentSource source);  ///< as in ssh_config(5)
const char* Name(AgentState state);
const char* Name(ExtensionAnswer answer);
const char* Name(MasterState state);
const char* Name(Stage stage);
const char* Name(Severity severity);
const char* Name(Certainty certainty);
const char* Name(Safety safety);
const char* Name(Status status);
const char* Name(Verdict verdict);
const char* Name(RepairStatus status);

/// "2026-11-21T10:00:00Z"
std::string Timestamp(std::int64_t seconds);

}  // namespace agentdoctor
