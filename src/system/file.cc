#include "system/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>

#include "system/socket.h"

namespace agentdoctor {
namespace {

PathStatus::Kind KindOf(mode_t mode) {
  if (S_ISSOCK(mode)) return PathStatus::Kind::kSocket;
  if (S_ISREG(mode)) return PathStatus::Kind::kFile;
  if (S_ISDIR(mode)) return PathStatus::Kind::kDirectory;
  return PathStatus::Kind::kOther;
}

// A socket's name in our folder, and what ssh appends to that of a control
// socket while it makes it ("." and 16 characters, misc.c:unix_listener).
constexpr std::size_t kRoomForSockets = 32;

}  // namespace

PathStatus LookAt(const std::string& path) {
  PathStatus status;
  std::array<char, 4096> target;
  const ssize_t length = readlink(path.c_str(), target.data(), target.size());
  if (length > 0)
    status.link_target.assign(target.data(), static_cast<std::size_t>(length));
  struct stat found;
  if (stat(path.c_str(), &found) != 0) {
    status.error = errno;
    return status;
  }
  status.kind = KindOf(found.st_mode);
  status.owner = static_cast<std::int64_t>(found.st_uid);
  status.mode = static_cast<int>(found.st_mode & 07777);
  status.modified = static_cast<std::int64_t>(found.st_mtime);
  return status;
}

std::optional<std::string> ReadFile(const std::string& path,
                                    std::size_t limit) {
  // Only a regular file: a FIFO would block, or lose what another reader waits
  // for (`ssh -F <(...)`).
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat found;
  if (!fd || fstat(fd.get(), &found) != 0 || !S_ISREG(found.st_mode))
    return std::nullopt;
  std::string text;
  std::array<char, 16384> piece;
  while (text.size() < limit) {
    const ssize_t got = read(fd.get(), piece.data(),
                             std::min(piece.size(), limit - text.size()));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::vector<std::string> ListDirectory(const std::string& path,
                                       std::size_t limit) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()),
                                                   closedir);
  if (!folder) return names;
  while (names.size() < limit) {
    const dirent* entry = readdir(folder.get());
    if (entry == nullptr) break;
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string HomeDirectory() {
  static const std::string home = [] {
    std::array<char, 16384> buffer;
    passwd entry;
    passwd* found = nullptr;
    if (getpwuid_r(getuid(), &entry, buffer.data(), buffer.size(), &found) ==
            0 &&
        found != nullptr && found->pw_dir != nullptr &&
        found->pw_dir[0] != '\0')
      return std::string(found->pw_dir);
    const char* variable = std::getenv("HOME");
    return std::string(variable != nullptr ? variable : "/");
  }();
  return home;
}

std::string Abbreviate(const std::string& path) {
  const std::string home = HomeDirectory();
  if (home.size() < 2 || path.compare(0, home.size(), home) != 0) return path;
  if (path.size() == home.size()) return "~";
  return path[home.size()] == '/' ? "~" + path.substr(home.size()) : path;
}

TemporaryDirectory::TemporaryDirectory() {
  const std::string name = "/agentdoctor.XXXXXX";
  const auto make = [&](const std::string& base) {
    path_ = base + name;
    return mkdtemp(path_.data()) != nullptr;
  };
  const char* variable = std::getenv("TMPDIR");
  std::string base = variable != nullptr ? variable : "";
  while (base.size() > 1 && base.back() == '/') base.pop_back();
  const bool fits = !base.empty() && base.front() == '/' &&
                    base.size() + name.size() + kRoomForSockets < SunPathSize();
  if (fits && make(base)) return;
  if (!make("/tmp"))
    throw std::system_error(errno, std::generic_category(), path_);
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace agentdoctor
