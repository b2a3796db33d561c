#include "schema.h"

#include "lab/lab.h"

namespace agentdoctor::lab {

// Alone in its file: valijson takes long to compile.
std::string SchemaErrors(const nlohmann::json& report) {
  return SchemaFaults(report);
}

}  // namespace agentdoctor::lab
