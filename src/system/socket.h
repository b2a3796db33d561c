// Unix-domain stream sockets with deadlines.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "system/descriptors.h"
#include "system/process.h"

namespace agentdoctor {

struct Connection {
  Fd fd;
  int error = 0;  ///< errno; ENAMETOOLONG if the path does not fit sun_path
};

/// sizeof(sun_path): 108 on Linux, 104 on macOS and the BSDs.
std::size_t SunPathSize();

/// Connects within the deadline (ETIMEDOUT); EINTR after Ctrl-C.  The
/// descriptor is non-blocking and close-on-exec.
Connection ConnectUnix(const std::string& path, Milliseconds deadline);

enum class IoResult { kOk, kClosed, kTimedOut, kError };

/// Writes all of \a data / reads exactly \a size bytes, or says why not.
IoResult WriteAll(int fd, std::string_view data,
                  std::chrono::steady_clock::time_point deadline);
IoResult ReadExactly(int fd, std::size_t size, std::string& data,
                     std::chrono::steady_clock::time_point deadline);

/// Listens on a new socket at \a path, mode 0600.  Throws std::system_error.
Fd ListenUnix(const std::string& path);

}  // namespace agentdoctor
