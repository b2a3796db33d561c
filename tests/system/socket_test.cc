#include "system/socket.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <vector>

#include "system/file.h"

namespace agentdoctor {
namespace {

std::chrono::steady_clock::time_point In(int milliseconds) {
  return std::chrono::steady_clock::now() + Milliseconds(milliseconds);
}

TEST(SocketTest, ListensForItsOwnerOnly) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/socket";
  const Fd listener = ListenUnix(path);
  EXPECT_EQ(LookAt(path).kind, PathStatus::Kind::kSocket);
  EXPECT_EQ(LookAt(path).mode, 0600);
  EXPECT_THROW(ListenUnix(path), std::system_error);
  const Connection connection = ConnectUnix(path, Milliseconds(2000));
  EXPECT_EQ(connection.error, 0);
  ASSERT_TRUE(connection.fd);
  EXPECT_NE(fcntl(connection.fd.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(SocketTest, SaysWhyItCantConnect) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/socket";
  const auto error = [](const std::string& where) {
    return ConnectUnix(where, Milliseconds(100)).error;
  };
  EXPECT_EQ(error(path), ENOENT);
  EXPECT_EQ(error(""), ENOENT);
  EXPECT_EQ(error("/tmp/" + std::string(SunPathSize() - 5, 'x')), ENAMETOOLONG);
  EXPECT_EQ(error("/tmp/" + std::string(SunPathSize() - 6, 'x')), ENOENT);
  { const Fd listener = ListenUnix(path); }
  EXPECT_EQ(error(path), ECONNREFUSED);
}

TEST(SocketTest, GivesUpOnAListenerThatNeverAccepts) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/socket";
  const Fd listener = ListenUnix(path);
  std::vector<Connection> connections;
  for (int i = 0; i < 100; ++i) {
    connections.push_back(ConnectUnix(path, Milliseconds(50)));
    if (connections.back().error != 0) break;
  }
  EXPECT_EQ(connections.back().error, ETIMEDOUT);
}

TEST(SocketTest, ReadsWhatWasAskedForOrSaysWhyNot) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  Fd one(ends[0]);
  const Fd other(ends[1]);
  fcntl(one.get(), F_SETFL, O_NONBLOCK);
  fcntl(other.get(), F_SETFL, O_NONBLOCK);
  std::string data;
  EXPECT_EQ(ReadExactly(other.get(), 4, data, In(10)), IoResult::kTimedOut);
  EXPECT_EQ(WriteAll(one.get(), "abcdef", In(1000)), IoResult::kOk);
  EXPECT_EQ(ReadExactly(other.get(), 4, data, In(1000)), IoResult::kOk);
  EXPECT_EQ(data, "abcd");
  one = Fd();
  EXPECT_EQ(ReadExactly(other.get(), 4, data, In(1000)), IoResult::kClosed);
  EXPECT_EQ(data, "ef");
  EXPECT_EQ(WriteAll(other.get(), "x", In(1000)), IoResult::kClosed);
}

TEST(SocketTest, DoesNotWriteForEverToSomebodyWhoDoesNotRead) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  const Fd one(ends[0]);
  const Fd other(ends[1]);
  fcntl(one.get(), F_SETFL, O_NONBLOCK);
  EXPECT_EQ(WriteAll(one.get(), std::string(8 << 20, 'x'), In(50)),
            IoResult::kTimedOut);
}

TEST(FdTest, ClosesWhatItOwnsOnce) {
  Fd fd(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int number = fd.get();
  Fd moved = std::move(fd);
  EXPECT_FALSE(fd);  // NOLINT(bugprone-use-after-move): it is empty now
  EXPECT_EQ(fcntl(number, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
  moved = Fd();
  EXPECT_EQ(fcntl(number, F_GETFD), -1);
}

}  // namespace
}  // namespace agentdoctor
