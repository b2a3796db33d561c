// The lines of the configuration files that ssh applied, in the order in which
// it read them.
//
// Which file is read and which Host or Match block applies is what ssh -vvv
// says (readconf.c; the messages are the same from 8.2 to 10.5).  The files
// are read only to find the lines inside a block that ssh says it applied.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/facts.h"

namespace agentdoctor {

/// One line as readconf.c takes it apart.
struct ConfigWords {
  std::string keyword = {};  ///< lower case
  std::vector<std::string> arguments = {};
  std::string rest = {};  ///< behind the keyword: what ProxyCommand takes
  std::string text = {};  ///< the line without indentation and comment
};

/// Nothing for an empty line, a comment, or one that ssh would reject.
std::optional<ConfigWords> SplitConfigLine(std::string_view line);

struct AppliedLine {
  ConfigLine place = {};
  std::string keyword = {};
  std::vector<std::string> arguments = {};
  std::string rest = {};
};

/// A Host block that did not apply.
struct OtherBlock {
  std::vector<std::string> aliases = {};  ///< its names without wildcards
  std::string host_name = {};             ///< its HostName, if it has one
  std::optional<ConfigLine> forward_agent = {};  ///< a line that asks for it
};

struct AppliedLines {
  std::vector<AppliedLine> lines = {};
  std::vector<std::string> files = {};  ///< read by ssh, each once
  std::vector<OtherBlock> other_blocks = {};
  bool named = false;  ///< a Host or Match line with the name in it applied
  /// Set: trace and files do not fit together, and how; `lines` is not to be
  /// relied on.
  std::string trouble = {};
};

/// The files that a trace names, each once: what FollowTrace() will ask for.
std::vector<std::string> FilesInTrace(std::string_view trace);

AppliedLines FollowTrace(
    std::string_view trace,
    const std::function<std::string(const std::string&)>& read_file);

/// Whether a ForwardAgent argument is a flag and not a path; readconf.c
/// compares without regard to case.
std::optional<bool> ForwardAgentFlag(std::string_view argument);

/// A command without its arguments, which may hold secrets: "aws … (9 words)".
std::string CommandShape(std::string_view command);

}  // namespace agentdoctor
