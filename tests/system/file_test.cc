#include "system/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "system/socket.h"

namespace agentdoctor {
namespace {

void Write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

TEST(FileTest, TellsWhatLiesAtAPath) {
  const TemporaryDirectory folder;
  const std::string file = folder.path() + "/file";
  Write(file, "text");
  chmod(file.c_str(), 0640);
  const PathStatus status = LookAt(file);
  EXPECT_EQ(status.kind, PathStatus::Kind::kFile);
  EXPECT_EQ(status.error, 0);
  EXPECT_EQ(status.owner, static_cast<std::int64_t>(getuid()));
  EXPECT_EQ(status.mode, 0640);
  EXPECT_GT(status.modified, 0);
  EXPECT_EQ(LookAt(folder.path()).kind, PathStatus::Kind::kDirectory);
  EXPECT_EQ(LookAt("/dev/null").kind, PathStatus::Kind::kOther);
}

TEST(FileTest, FollowsLinksAndNamesTheDanglingOnes) {
  const TemporaryDirectory folder;
  const std::string file = folder.path() + "/file";
  const std::string link = folder.path() + "/link";
  std::filesystem::create_symlink("file", link);
  EXPECT_EQ(LookAt(link).kind, PathStatus::Kind::kMissing);
  EXPECT_EQ(LookAt(link).error, ENOENT);
  EXPECT_EQ(LookAt(link).link_target, "file");
  Write(file, "");
  EXPECT_EQ(LookAt(link).kind, PathStatus::Kind::kFile);
  EXPECT_EQ(LookAt(file).link_target, "");
  std::filesystem::create_symlink("loop", folder.path() + "/loop");
  EXPECT_EQ(LookAt(folder.path() + "/loop").error, ELOOP);
}

TEST(FileTest, ReadsAFileUpToTheLimit) {
  const TemporaryDirectory folder;
  const std::string file = folder.path() + "/file";
  Write(file, std::string(100'000, 'x'));
  EXPECT_EQ(ReadFile(file)->size(), 100'000u);
  EXPECT_EQ(ReadFile(file, 1000)->size(), 1000u);
  EXPECT_FALSE(ReadFile(folder.path() + "/other"));
  EXPECT_FALSE(ReadFile(folder.path()));
}

TEST(FileTest, DoesNotWaitForWhoeverFillsAFifo) {
  const TemporaryDirectory folder;
  const std::string fifo = folder.path() + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_FALSE(ReadFile(fifo));
}

TEST(FileTest, ListsNamesSortedAndBounded) {
  const TemporaryDirectory folder;
  for (const char* name : {"b", "a", ".c"})
    Write(folder.path() + "/" + name, "");
  EXPECT_EQ(ListDirectory(folder.path()),
            (std::vector<std::string>{".c", "a", "b"}));
  EXPECT_EQ(ListDirectory(folder.path(), 2).size(), 2u);
  EXPECT_TRUE(ListDirectory(folder.path() + "/none").empty());
}

TEST(FileTest, AbbreviatesTheHomeFolderOnly) {
  const std::string home = HomeDirectory();
  ASSERT_FALSE(home.empty());
  if (home == "/") GTEST_SKIP() << "the home folder is /";
  EXPECT_EQ(Abbreviate(home + "/.ssh/config"), "~/.ssh/config");
  EXPECT_EQ(Abbreviate(home), "~");
  EXPECT_EQ(Abbreviate(home + "2/file"), home + "2/file");
  EXPECT_EQ(Abbreviate("/etc/ssh/ssh_config"), "/etc/ssh/ssh_config");
}

TEST(TemporaryDirectoryTest, IsPrivateAndGoesWithEverythingInIt) {
  std::string path;
  {
    const TemporaryDirectory folder;
    path = folder.path();
    EXPECT_EQ(LookAt(path).mode, 0700);
    std::filesystem::create_directories(path + "/a/b");
    Write(path + "/a/b/c", "");
    std::filesystem::create_symlink("/etc", path + "/link");
  }
  EXPECT_EQ(LookAt(path).kind, PathStatus::Kind::kMissing);
  EXPECT_EQ(LookAt("/etc").kind, PathStatus::Kind::kDirectory);
}

TEST(TemporaryDirectoryTest, PrefersAShortPathToTmpdir) {
  const TemporaryDirectory outer;
  const char* before = std::getenv("TMPDIR");
  const std::string saved = before != nullptr ? before : "";
  const std::string deep = outer.path() + "/" + std::string(80, 'x');
  std::filesystem::create_directory(deep);

  setenv("TMPDIR", (outer.path() + "/").c_str(), 1);
  EXPECT_TRUE(TemporaryDirectory().path().starts_with(outer.path() + "/a"));
  setenv("TMPDIR", deep.c_str(), 1);
  EXPECT_TRUE(TemporaryDirectory().path().starts_with("/tmp/agentdoctor."));
  setenv("TMPDIR", "/no/such/folder", 1);
  EXPECT_TRUE(TemporaryDirectory().path().starts_with("/tmp/agentdoctor."));

  if (before != nullptr)
    setenv("TMPDIR", saved.c_str(), 1);
  else
    unsetenv("TMPDIR");
}

}  // namespace
}  // namespace agentdoctor
