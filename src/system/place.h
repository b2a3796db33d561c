// Where things are done: this machine, or one at the far end of a session.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "system/process.h"

namespace agentdoctor {

struct FileText {
  std::string text = {};
  std::int64_t modified = 0;  ///< 0: not known
};

class Place {
 public:
  virtual ~Place() = default;

  /// Whether it is this machine: then its sockets and /proc are ours to see.
  virtual bool IsHere() const = 0;

  /// As agentdoctor::Run(), there.
  virtual ProcessResult Run(const Command& command) = 0;

  /// The regular files among \a paths that can be read, bounded in size.
  virtual std::map<std::string, FileText> ReadFiles(
      const std::vector<std::string>& paths) = 0;

  /// A variable of the environment that programs have there.
  virtual std::optional<std::string> Variable(const std::string& name) = 0;

  virtual std::string Home() = 0;
};

/// This machine.
Place& Here();

}  // namespace agentdoctor
