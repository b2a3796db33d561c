// A laboratory: one person with a home of their own, real ssh-agents, real
// sshds on loopback, and agentdoctor, as that person would run it.
//
// ssh and sshd look homes up in the password file, not in $HOME; nss_wrapper
// gives them one of ours, in which `alice` (here), `dave` and `git` (there) are
// all the user who runs the test.  So it needs neither root nor accounts.
//
// AGENTDOCTOR_LAB_CLIENT and AGENTDOCTOR_LAB_SERVER name where another OpenSSH
// is installed (its --prefix), to examine with its ssh, or its sshd.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "lab/programs.h"
#include "needs_proc.h"

/// Before the port in a ControlPath, and in a folder's name.  lsof, which tells
/// of sockets where /proc does not, cuts their names there on Linux.
#ifdef AGENTDOCTOR_PORTABLE
#define LAB_COLON "-"
#define LAB_SPACE "-"
#else
#define LAB_COLON ":"
#define LAB_SPACE " "
#endif

namespace agentdoctor::lab {

using Words = std::vector<std::string>;

/// What agentdoctor said.
struct Outcome {
  int status = -1;
  std::string out = {};
  std::string err = {};
  nlohmann::json report = {};

  /// Host \a index of the report; an empty object if there is none.
  nlohmann::json Host(std::size_t index = 0) const;
  std::string Verdict() const;
  std::string RootCause() const;  ///< its code, or ""
  /// The finding with this code, or null.
  nlohmann::json Finding(const std::string& code) const;
  bool Has(const std::string& code) const { return !Finding(code).is_null(); }
  /// Codes of the errors and warnings, consequences left out.
  std::set<std::string> Problems() const;
  /// Everything a finding says, in one string, to look for names in it.
  std::string TextOf(const std::string& code) const;
  /// The commands of a finding's first fix, one a line, as printed.
  std::string Remedy(const std::string& code) const;
};

/// What a report has to say.  The problems are exact: a code too many fails.
struct Expected {
  std::string verdict = {};
  std::string cause = {};      ///< code of the root cause; empty: none
  std::string certainty = {};  ///< of the root cause's finding; empty: any
  /// Errors and warnings beside the root cause.
  std::set<std::string> beside = {};
};

/// An sshd, or another ssh server.
struct Server {
  std::string folder = {};
  std::string address = "127.0.0.1";
  int port = 0;
  Program program = {};

  std::string KnownHostsName() const;
  /// Logins that succeeded so far.
  int Logins() const;
  std::string Log() const;
};

struct ServerOptions {
  std::string config = {};       ///< sshd_config lines; they win
  std::string match = {};        ///< Match blocks
  std::string key_options = {};  ///< of every authorized_keys line
  std::string address = "127.0.0.1";
  /// Runs it in a mount namespace with this prepared by mount(8) argv words.
  std::vector<Words> mounts = {};
  bool known = true;  ///< its host key is in known_hosts
};

struct DropbearOptions {
  Words options = {};              ///< of its command line
  std::string key_options = {};    ///< of every authorized_keys line
  std::vector<Words> mounts = {};  ///< as in ServerOptions
};

class Lab : public ::testing::Test {
 protected:
  Lab();
  ~Lab() override;

  // --- places -------------------------------------------------------------
  const std::string& Folder() const { return folder_; }
  /// A path in alice's home / in dave's home on the servers.
  std::string Home(const std::string& name = "") const;
  std::string RemoteHome(const std::string& name = "") const;

  // --- the near side ------------------------------------------------------
  /// Starts an ssh-agent and makes it the one of the environment.
  Program StartAgent(const std::string& name = "agent");
  /// Where that agent listens.
  std::string AgentSocket(const std::string& name = "agent") const;
  /// A key pair at ~/.ssh/NAME, accepted by servers started afterwards.
  std::string MakeKey(const std::string& name, const Words& options = {});
  /// ssh-add with these options, to the agent of the environment.
  void AddKey(const std::string& name, const Words& options = {});
  std::string Fingerprint(const std::string& name);
  /// The agent with the key id_ec2, as most cases need it.
  void StartAgentWithKey();
  /// The whole of ~/.ssh/config.
  void WriteConfig(const std::string& text);
  /// The same, as changed in an editor \a seconds from now.
  void WriteConfigLater(const std::string& text, int seconds = 5);
  /// A Host block for a server, with \a lines in it.
  static std::string HostBlock(const Server& server, const std::string& lines,
                               const std::string& name = "gitlab-runner");
  /// The lines that story 1 has: forwarding and sharing.
  static std::string Sharing();
  void SetEnv(const std::string& name, const std::string& value);
  void UnsetEnv(const std::string& name);
  /// Client programs run as this user from now on (only if we are root).
  void BecomeUser(uid_t uid);

  // --- servers ------------------------------------------------------------
  Server StartServer(const ServerOptions& options = {});
  Server StartDropbear(const DropbearOptions& options = {});
  /// TinySSH, started for each connection.  It wants no folder above a home
  /// that others can write to, so it gets a mount namespace; throws
  /// std::runtime_error where that can't be had.
  Server StartTinySsh(const Words& options = {});
  /// dave is this user from now on (only if we are root), and his home is his.
  void MakeDave(uid_t uid);
  /// dave's login shell.
  void SetLoginShell(const std::string& shell);
  /// Lines for a server's `config`, with which programs on the far side see
  /// dave's home as the home of the password file.
  std::string RemotePasswords();

  // --- doing things -------------------------------------------------------
  /// Runs a program as alice would, to its end.
  Ended Do(const Words& argv, Seconds deadline = Seconds{60});
  Program Launched(const Words& argv, bool terminal = false,
                   const std::string& input = "");
  /// `ssh ARGS`, which has to succeed; returns what it printed.
  std::string Ssh(const Words& arguments);
  /// A master in the background, as ControlPersist leaves it.
  pid_t OpenMaster(const Words& options = {},
                   const std::string& host = "gitlab-runner");
  /// The pid of the master at a control socket; 0 if none answers.
  pid_t MasterPid(const std::string& socket);
  std::string ControlSocket(const Server& server) const;
  /// `ssh ARGS` with a terminal, logged in: a shell answers in it.
  Program OpenShell(const Words& arguments);
  /// Whether the shell in that terminal still answers.
  bool Answers(const Program& shell);

  // --- agentdoctor ----------------------------------------------------------
  /// `agentdoctor run ARGS --json`.  The report is checked against the schema.
  Outcome Run(const Words& arguments, const char* file = __builtin_FILE(),
              int line = __builtin_LINE());
  /// The same for any command that prints a report: its name comes first.
  Outcome Document(const Words& arguments, const char* file = __builtin_FILE(),
                   int line = __builtin_LINE());
  /// agentdoctor with these arguments.  Every `run` is recorded as well, and
  /// its replay must give the same output to the letter.
  Ended Agentdoctor(const Words& arguments, Seconds deadline = Seconds{60});
  /// How programs of the client are started.
  Launch ClientLaunch(const Words& argv) const;
  /// agentdoctor with exactly these arguments.
  Program LaunchAgentdoctor(const Words& arguments);
  /// `run ... --record FILE ...` has come to this; so must `replay FILE`, with
  /// no ssh and no home to look at.  The recording is kept in the folder that
  /// AGENTDOCTOR_SAVE_CASES names, if it names one.
  void ExpectSameReplay(const Words& arguments, const Ended& ended);

  /// Everything that a diagnosis must leave as it was: both homes with times
  /// and contents, temporary folders, processes.
  std::string Snapshot() const;

 private:
  Environment ClientEnvironment() const;
  void WritePasswords();
  static void Own(const std::string& folder, uid_t uid);
  /// Makes a server's folder, and ~/.ssh/authorized_keys of the far side.
  Server PrepareOther(const std::string& key_options);
  /// Runs a server's program as a server, its output in its folder.
  Ended Prepare(const Server& server, const Words& argv);
  /// Starts it where \a command says how, at a free port, until its messages
  /// say \a ready; and makes its host key known.
  void StartOther(Server& server, const std::function<Words(int)>& command,
                  const std::string& ready, const std::string& host_key);
  /// sshd_config in whose sessions the tmux servers of the person who runs the
  /// tests are not seen.
  std::string WithOwnTmux(std::string config) const;

  std::string folder_;
  Environment environment_;
  std::string shell_ = "/bin/bash";
  uid_t uid_;
  uid_t dave_uid_;
  Words keys_;
  int servers_ = 0;
  int runs_ = 0;
};

/// What does not fit, in words, and the whole report; empty if all is well.
::testing::AssertionResult Reports(const Outcome& outcome,
                                   const Expected& expected);

/// What is wrong with a report by docs/report.schema.json; empty: nothing.
std::string SchemaErrors(const nlohmann::json& report);

}  // namespace agentdoctor::lab
