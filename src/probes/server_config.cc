#include "probes/server_config.h"

#include <fnmatch.h>

#include <charconv>
#include <set>
#include <string_view>

#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::string_view kServerConfig = "/etc/ssh/sshd_config";
// Bounds what a hostile answer can make us do; sshd itself allows 16 levels
// (servconf.c, SERVCONF_MAX_DEPTH).
constexpr int kMaxFiles = 256;
constexpr int kMaxDepth = 16;

// The keyword in lower case, and the rest of the line.
std::pair<std::string, std::string> SplitKeyword(std::string_view text) {
  text = Trim(text);
  const std::size_t end = std::min(text.find_first_of(" \t="), text.size());
  std::string_view rest = text.substr(end);
  const std::size_t value = rest.find_first_not_of(" \t=");
  rest = value == std::string_view::npos ? "" : rest.substr(value);
  return {Lower(text.substr(0, end)), std::string(rest)};
}

bool Includes(const std::string& patterns, const std::string& file) {
  std::size_t at = 0;
  while ((at = patterns.find_first_not_of(" \t\"", at)) != std::string::npos) {
    const std::size_t end =
        std::min(patterns.find_first_of(" \t\"", at), patterns.size());
    std::string pattern = patterns.substr(at, end - at);
    if (!pattern.starts_with('/')) pattern = "/etc/ssh/" + pattern;
    if (fnmatch(pattern.c_str(), file.c_str(), FNM_PATHNAME) == 0) return true;
    at = end;
  }
  return false;
}

class Reader {
 public:
  explicit Reader(const std::vector<FileLine>& lines) : lines_(lines) {}

  // A Match that stands in an included file ends with it; the one around the
  // Include line holds inside (sshd_config(5)).
  void Read(const std::string& file, std::string match, int depth) {
    if (depth > kMaxDepth || ++files_read_ > kMaxFiles) return;
    for (const FileLine& line : lines_) {
      if (line.file != file) continue;
      const auto [keyword, value] = SplitKeyword(line.text);
      if (keyword == "match") {
        match = Trim(line.text);
      } else if (keyword == "include") {
        for (const std::string& other : Files())
          if (other != file && Includes(value, other))
            Read(other, match, depth + 1);
      } else if (keyword == "allowagentforwarding" ||
                 keyword == "disableforwarding") {
        result.push_back(
            {line.file, line.line, std::string(Trim(line.text)), match});
      }
    }
  }

  std::vector<ServerConfigLine> result;

 private:
  // glob() sorts.
  std::set<std::string> Files() const {
    std::set<std::string> files;
    for (const FileLine& line : lines_) files.insert(line.file);
    return files;
  }

  const std::vector<FileLine>& lines_;
  int files_read_ = 0;
};

}  // namespace

std::vector<FileLine> ReadFileLines(const std::string& text) {
  std::vector<FileLine> lines;
  for (const std::string& raw : SplitLines(text)) {
    FileLine line;
    // A colon in a file's name is not followed by digits and a colon.
    for (std::size_t colon = raw.find(':'); colon != std::string::npos;
         colon = raw.find(':', colon + 1)) {
      const char* const begin = raw.data() + colon + 1;
      const auto [end, error] =
          std::from_chars(begin, raw.data() + raw.size(), line.line);
      if (error != std::errc() || end == raw.data() + raw.size() || *end != ':')
        continue;
      line.file = raw.substr(0, colon);
      line.text = std::string(end + 1, raw.data() + raw.size());
      lines.push_back(line);
      break;
    }
  }
  return lines;
}

std::vector<ServerConfigLine> ParseServerConfig(
    const std::vector<FileLine>& lines) {
  Reader reader(lines);
  reader.Read(std::string(kServerConfig), {}, 0);
  return std::move(reader.result);
}

}  // namespace agentdoctor
