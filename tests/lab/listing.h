// A command that lists things which have a path: `agents` and `masters`.
#pragma once

#include <string>
#include <utility>

#include "lab/lab.h"

namespace agentdoctor::lab {

class Listing : public Lab {
 protected:
  /// The command; its report lists them under the same name.
  explicit Listing(std::string command) : command_(std::move(command)) {}

  Outcome List(const Words& arguments = {}, const char* file = __builtin_FILE(),
               int line = __builtin_LINE()) {
    Words words = {command_};
    words.insert(words.end(), arguments.begin(), arguments.end());
    return Document(words, file, line);
  }

  /// The one at \a path; an empty object if it is not listed.
  nlohmann::json At(const Outcome& outcome, const std::string& path) const {
    if (outcome.report.contains(command_))
      for (const auto& item : outcome.report[command_])
        if (item["path"] == path) return item;
    return nlohmann::json::object();
  }

 private:
  const std::string command_;
};

}  // namespace agentdoctor::lab
