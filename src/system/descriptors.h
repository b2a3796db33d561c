// New descriptors, none of which a child inherits.  Linux makes them so at
// once (descriptors_linux.cc); elsewhere they are marked right afterwards, and
// a child that another thread starts in between may inherit one.
#pragma once

#include <sys/types.h>

namespace agentdoctor {

/// An owned descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.Release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
};

/// Throws std::system_error.
Pipe MakePipe();

/// A stream socket of that family that does not block; none: see errno.
Fd MakeStreamSocket(int family);

/// The next connection to \a listener, which does not block; none: see errno.
Fd Accept(const Fd& listener);

/// A descriptor that becomes readable when the child ends; none where the
/// system has no such thing.
Fd OpenExitFd(pid_t pid);

}  // namespace agentdoctor
