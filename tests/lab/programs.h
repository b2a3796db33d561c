// Child processes of a test: what they get, what they said, and that they end.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace agentdoctor::lab {

using Seconds = std::chrono::seconds;

/// The whole environment of a child: nothing is inherited.
using Environment = std::map<std::string, std::string>;

struct Ended {
  int status = -1;  ///< exit status; 128 + signal; -1: the deadline passed
  std::string out = {};
  std::string err = {};
};

/// A running program, in a session of its own.
struct Program {
  pid_t pid = -1;
  std::string out_file = {};
  std::string err_file = {};
  int terminal = -1;  ///< our end of its terminal, if it has one

  bool Alive() const;
  std::string Output() const;
  std::string Errors() const;
  /// Types into its terminal.
  void Type(const std::string& text) const;
};

struct Launch {
  std::vector<std::string> argv = {};
  Environment environment = {};
  std::string folder = {};  ///< for its output files
  bool terminal = false;    ///< gets one, which holds its output
  std::string input = {};   ///< a file for standard input; empty: /dev/null
  uid_t uid = 0;            ///< becomes this user, if started by root
};

/// Starts a program.  It is killed if the test dies.
Program Start(const Launch& launch);

/// Waits for its end.  After the deadline it is killed, and so is its group.
Ended Finish(const Program& program, Seconds deadline = Seconds{60});

/// Asks until the answer is yes; false if it was still no at the deadline.
bool Eventually(const std::function<bool()>& question,
                Seconds deadline = Seconds{20});

/// Whether a process that is no Program of ours has ended.
bool IsGone(pid_t pid);

/// Makes orphans children of this process, so that Descendants() sees them.
void AdoptOrphans();

struct ProcessLine {
  pid_t pid = 0;
  pid_t parent = 0;
  std::string command = {};
  bool operator==(const ProcessLine&) const = default;
};

/// Every living process below \a root, this process by default.
std::vector<ProcessLine> Descendants(pid_t root = 0);

/// Ends them all: CONT and TERM, so that they can tidy up, then KILL.
void EndDescendants();

/// A TCP port that was free a moment ago.
int FreePort();

/// Words in front of a command, with which it runs in a mount namespace that
/// each of \a mounts, mount(8) argv words, prepares.
std::vector<std::string> InMounts(
    const std::vector<std::vector<std::string>>& mounts);

std::string ReadText(const std::string& path);
void WriteText(const std::string& path, const std::string& text,
               mode_t mode = 0600);

}  // namespace agentdoctor::lab
