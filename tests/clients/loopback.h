// Real sshds on loopback and a person with a home of their own, for tests of
// the client alone.
//
// ssh and sshd look homes up in the password file, not in $HOME; nss_wrapper
// gives them one of ours, in which `dave` is whoever runs the test.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "system/file.h"
#include "system/process.h"

namespace agentdoctor {

/// Asks until the answer is yes; false if it still was no at a deadline.
bool Eventually(const std::function<bool()>& question);

int FreePort();
void WriteText(const std::string& path, const std::string& text);
std::string ReadText(const std::string& path);

/// A remote command that says nothing and ends with its connection; sshd ends
/// nothing that has no terminal.
inline constexpr char kLastingCommand[] =
    "while kill -0 $PPID 2>/dev/null; do sleep 0.1; done";

class Loopback : public ::testing::Test {
 protected:
  Loopback();
  ~Loopback() override;

  std::string Path(const std::string& name) const;

  /// An sshd whose configuration begins with \a config; its host key is known.
  /// \a key_options stand in front of the key in authorized_keys.
  struct Server {
    int port = 0;
    pid_t pid = -1;
    std::string log = {};
    int Logins() const;
  };
  Server StartServer(const std::string& config = "",
                     const std::string& key_options = "", bool known = true);

  /// A Host block for \a server, with \a lines in it.
  std::string Host(const std::string& name, const Server& server,
                   const std::string& lines = "") const;
  /// ~/.ssh/config: \a blocks, then what all hosts share.
  void WriteConfig(const std::string& blocks);

  /// Starts a master of the person's at \a socket and waits for it.
  pid_t StartMaster(const std::string& host, const std::string& socket,
                    const std::vector<std::string>& options = {});
  /// Ends everything that StartServer() and StartMaster() started.
  void EndPrograms();

  void SetEnvironment(const std::string& name,
                      const std::optional<std::string>& value);

 private:
  void Launch(const std::vector<std::string>& argv);

  TemporaryDirectory folder_;
  std::map<std::string, std::optional<std::string>> environment_;
  std::list<BackgroundProcess> programs_;
  int servers_ = 0;
};

}  // namespace agentdoctor
