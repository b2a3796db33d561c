// Child processes with deadlines.  Knows nothing of ssh.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace agentdoctor {

using Milliseconds = std::chrono::milliseconds;

struct Command {
  std::vector<std::string> argv = {};  ///< argv[0] is looked up in PATH
  /// Changes to the environment: a value, or nullopt to unset.  LC_ALL=C is
  /// always set.
  std::vector<std::pair<std::string, std::optional<std::string>>> environment =
      {};
  std::string input = {};  ///< for standard input; empty: /dev/null
  /// Standard input stays open for what BackgroundProcess::Send() brings.
  bool keep_input = false;
  /// A descriptor that becomes its standard input and output, both; -1: none.
  /// Then there is nothing for on_output, and no input.
  int stream = -1;
  /// Ends the child when so long neither stream said anything; 0: no limit.
  Milliseconds idle_limit{0};
  Milliseconds total_limit{0};  ///< ends the child in any case; 0: no limit
  std::size_t output_limit = 1 << 20;  ///< bytes of each stream
  /// Keep the terminal and the session of this process, so that the child
  /// may ask the person in front of it.
  bool interactive = false;
  /// Each complete line of standard error, as it comes; without a `done`
  /// (WaitUntil) some may wait 10 ms for each other.
  std::function<void(std::string_view)> on_error_line = {};
  /// Each piece of standard output as it comes; return true to end the child.
  std::function<bool(std::string_view)> on_output = {};
  /// So long such a child may take to end by itself, with a status.
  Milliseconds stop_limit{0};
};

enum class ProcessEnd {
  kExited,
  kSignalled,
  kTimedOut,     ///< a limit of ours ended it
  kOutputLimit,  ///< too much output
  kStopped,      ///< on_output asked for it
  kInterrupted,  ///< Ctrl-C
  kNotStarted,   ///< see error
  kLost,         ///< the place where it ran is out of reach (Place); see error
};

struct ProcessResult {
  ProcessEnd end = ProcessEnd::kNotStarted;
  /// Exit status (kExited; kStopped: -1 if it did not end by itself) or signal.
  int status = -1;
  std::string out = {};
  std::string err = {};
  std::string error = {};  ///< why it could not be started
};

/// Runs a command to its end, or to a limit.  The child gets a session of its
/// own (unless interactive) and the whole process group ends with it on expiry:
/// TERM, then KILL.  Nobody waits for end-of-file after a limit: a multiplexing
/// client hands its streams to the master, which keeps them open.
ProcessResult Run(const Command& command);

/// A child that goes on while this object lives; its group ends with it.
class BackgroundProcess {
 public:
  BackgroundProcess();
  BackgroundProcess(BackgroundProcess&&) noexcept;
  BackgroundProcess& operator=(BackgroundProcess&&) noexcept;
  ~BackgroundProcess();

  /// Starts it.  \a command's limits and callbacks hold for Wait() calls.
  /// Throws std::system_error if it can't be started.
  explicit BackgroundProcess(Command command);

  /// Reads its streams until \a done says true (asked after every line of
  /// standard error and at least every 20 ms), it ends, or a limit passes.
  /// kStopped means that \a done said true; the child lives on.
  ProcessEnd WaitUntil(const std::function<bool()>& done);

  /// Writes \a text to its standard input (keep_input), during WaitUntil().
  /// What it said so far is forgotten, so that the limit holds for the answer.
  void Send(std::string text);

  pid_t pid() const;   ///< -1 without a child
  int status() const;  ///< after kExited/kSignalled
  const std::string& err() const;

 private:
  class Child;
  friend ProcessResult Run(const Command& command);
  std::unique_ptr<Child> child_;
};

/// The first executable of that name in PATH; empty if there is none.
std::string FindProgram(const std::string& name);

}  // namespace agentdoctor
