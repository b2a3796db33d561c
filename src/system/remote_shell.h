// A POSIX shell at the far end of a session: one login, and any number of
// commands, one after the other, each with a deadline.
//
// The login shell over there sees nothing but one fixed line, which makes it a
// plain sh.  Everything else comes through that one's standard input, quoted
// for sh.  So it does not matter which the login shell is (bash, dash, zsh,
// fish, tcsh), and what its start-up files print stands in front of a marker.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "system/place.h"
#include "system/process.h"

namespace agentdoctor {

class RemoteShell final : public Place {
 public:
  /// Makes the command that runs a remote command: a session's.
  using Way = std::function<Command(const std::string& remote_command)>;

  RemoteShell();

  /// Goes to a further machine by a session: from here the first time, then
  /// from where it is.  The one before is out of reach from then on.  Returns
  /// why there is no such session (then nothing works any more), or nothing.
  std::string Enter(const Way& way);

  /// A command that a limit ends is ended over there, too; so is each of them
  /// when this object or the connection goes away.
  ProcessResult Run(const Command& command) override;
  bool IsHere() const override { return false; }
  std::map<std::string, FileText> ReadFiles(
      const std::vector<std::string>& paths) override;
  std::optional<std::string> Variable(const std::string& name) override;
  std::string Home() override;

 private:
  using Clock = std::chrono::steady_clock;

  /// What has come since the last text was sent, up to the marker.
  struct Answer {
    std::string word = {};  ///< of the marker that ends it
    std::string out = {};
    std::string err = {};
    std::optional<int> status = {};
    bool err_complete = false;
    bool blank = false;  ///< the last line of err was empty, and is held back
    Clock::time_point heard = {};
    bool stopped = false;  ///< on_output asked to end the command
    bool complete() const { return status && err_complete; }
  };

  void Expect(const Command* command);
  void ReadOutput(std::string_view piece);
  void ReadErrorLine(std::string_view line);
  ProcessEnd Await(Milliseconds idle, Milliseconds total);
  ProcessResult Lose(std::string why, ProcessEnd end);

  std::mutex mutex_;  ///< one command at a time
  std::string lost_ = {};
  bool entered_ = false;
  std::string random_ = {};
  int count_ = 0;
  std::string prelude_ = {};  ///< still to be sent
  Answer answer_;
  const Command* command_ = nullptr;  ///< the one under way
  BackgroundProcess process_;         ///< the last member: it ends first
};

}  // namespace agentdoctor
