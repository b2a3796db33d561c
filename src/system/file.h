// Files, folders and the user's home, read with bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace agentdoctor {

/// What lies at a path.
struct PathStatus {
  enum class Kind {
    kMissing,
    kSocket,
    kFile,
    kDirectory,
    kOther
  } kind = Kind::kMissing;
  int error = 0;            ///< errno of the look, 0 if it went well
  std::string link_target;  ///< set for a symbolic link (one step)
  std::int64_t owner = -1;
  int mode = 0;  ///< permission bits
  std::int64_t modified = 0;
};

/// Follows symbolic links; a dangling one is kMissing with a link_target.
PathStatus LookAt(const std::string& path);

/// The whole file, at most \a limit bytes; nothing if it can't be read.
std::optional<std::string> ReadFile(const std::string& path,
                                    std::size_t limit = 1 << 20);

/// Names (not paths) in a folder, sorted, at most \a limit; empty if it can't
/// be read.
std::vector<std::string> ListDirectory(const std::string& path,
                                       std::size_t limit = 4096);

/// The password file's home folder, as ssh sees it; $HOME if there is no entry.
std::string HomeDirectory();

/// "/home/dave/.ssh/config" as "~/.ssh/config".
std::string Abbreviate(const std::string& path);

/// A private folder (0700) under ${TMPDIR:-/tmp} (always /tmp where that would
/// make sockets in it too long for sun_path), removed with everything in it at
/// destruction.
class TemporaryDirectory {
 public:
  TemporaryDirectory();  ///< throws std::system_error
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace agentdoctor
