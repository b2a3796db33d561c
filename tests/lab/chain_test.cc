// Story 2: A -> B -> C -> D, each with a home of its own, healthy and then
// broken at each hop in turn.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

namespace fs = std::filesystem;

class Chain : public Lab {
 protected:
  Chain() { StartAgentWithKey(); }

  /// A server `name` in whose sessions dave has a home of his own.
  Server& StartHost(const std::string& name, ServerOptions options = {}) {
    const std::string home = HomeOf(name);
    fs::create_directories(home + "/.ssh");
    chmod(home.c_str(), 0700);
    chmod((home + "/.ssh").c_str(), 0700);
    const std::string passwords = Folder() + "/passwd-" + name;
    WriteText(passwords,
              "dave:x:" + std::to_string(geteuid()) + ":" +
                  std::to_string(getegid()) + "::" + home +
                  ":/bin/bash\n"
                  "root:x:0:0::/root:/bin/bash\n"
                  "sshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n",
              0644);
    std::string variables = RemotePasswords();
    const std::string file = "/remote-passwd";
    variables.replace(variables.find(file), file.size(), "/passwd-" + name);
    options.config += "\n" + variables;
    SetEnv("NSS_WRAPPER_PASSWD", passwords);
    Server& server = hosts_[name] = StartServer(options);
    SetEnv("NSS_WRAPPER_PASSWD", Folder() + "/passwd");
    return server;
  }

  std::string HomeOf(const std::string& name) const { return RemoteHome(name); }

  /// What ssh on \a from is told about \a to.
  void Know(const std::string& from, const std::string& to,
            const std::string& lines = "  ForwardAgent yes\n") {
    const Server& server = hosts_.at(to);
    WriteText(HomeOf(from) + "/.ssh/config",
              "Host " + to + "\n  HostName " + server.address + "\n  Port " +
                  std::to_string(server.port) + "\n  User dave\n" + lines);
    WriteText(HomeOf(from) + "/.ssh/known_hosts",
              server.KnownHostsName() + " " +
                  ReadText(server.folder + "/host_key.pub"));
  }

  void StartAll() {
    for (const char* name : {"b", "c", "d"}) StartHost(name);
    WriteConfig(HostBlock(hosts_.at("b"), "  ForwardAgent yes\n", "b"));
    Know("b", "c");
    Know("c", "d");
  }

  Outcome RunChain(const Words& more = {}) {
    Words words = {"b", "--then", "c", "--then", "d"};
    words.insert(words.end(), more.begin(), more.end());
    return Run(words);
  }

  std::string Verdicts(const Outcome& run) {
    std::string text;
    for (const auto& host :
         run.report.value("hosts", nlohmann::json::array())) {
      for (const auto& via : host["via"]) text += via.get<std::string>() + ">";
      text += host["host"].get<std::string>() + " " +
              host["verdict"].get<std::string>();
      if (!host["rootCause"].is_null())
        text += " " + host["rootCause"]["code"].get<std::string>();
      text += "\n";
    }
    return text;
  }

  std::map<std::string, Server> hosts_;
};

TEST_F(Chain, IsHealthyAllAlongAndLeavesNothing) {
  StartAll();
  const std::string before = Snapshot();
  const Outcome run = RunChain();
  EXPECT_EQ(Verdicts(run), "b healthy\nb>c healthy\nb>c>d healthy\n")
      << run.out << run.err;
  EXPECT_EQ(run.status, 0);
  EXPECT_TRUE(Eventually([&] { return Snapshot() == before; }))
      << before << "---\n"
      << Snapshot();
  // One for the probe, one to go on from there.
  EXPECT_EQ(hosts_["b"].Logins(), 2);
  EXPECT_EQ(hosts_["c"].Logins(), 2);
  EXPECT_EQ(hosts_["d"].Logins(), 1);
}

}  // namespace
}  // namespace agentdoctor::lab
