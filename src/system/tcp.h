// TCP connections with deadlines, name resolution included.
#pragma once

#include <functional>
#include <string>

#include "system/socket.h"

namespace agentdoctor {

struct TcpTarget {
  std::string host = {};  ///< a name or an address
  int port = 0;
  int family = 0;                 ///< AF_UNSPEC, AF_INET, AF_INET6
  std::string bind_address = {};  ///< empty: the system's choice
};

struct TcpConnection {
  Fd fd = {};  ///< non-blocking, close-on-exec
  enum class End {
    kConnected,
    kNotResolved,
    kFailed,
    kTimedOut,
    kInterrupted
  } end = End::kFailed;
  int error = 0;             ///< errno, with kFailed
  std::string message = {};  ///< the system's words
};

/// Tries the addresses of \a target in turn, each for at most \a limit; the
/// resolver has as long.  The last failure is what counts.
TcpConnection ConnectTcp(const TcpTarget& target, Milliseconds limit);

}  // namespace agentdoctor
