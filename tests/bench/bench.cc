// What a run costs beside plain ssh: ratios and differences of medians, taken
// in turn on one loopback sshd, so that what disturbs one disturbs the other.
// The budgets are those of docs/architecture.md.
//
// Usage: agentdoctor_bench [ROUNDS]
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "lab/fakes.h"
#include "lab/lab.h"

namespace agentdoctor::lab {
namespace {

struct Cost {
  double wall_ms = 0;
  double own_cpu_ms = 0;  ///< its children's left out
  double all_cpu_ms = 0;  ///< user and system, with that of its children
  double peak_mib = 0;    ///< of the largest of it and its children
};

double Median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + values.size() / 2);
  return values[values.size() / 2];
}

/// Two ordinary users, who need not exist.
constexpr uid_t kAlice = 54321;
constexpr uid_t kDave = 54322;

class Bench : public Lab {
 public:
  explicit Bench(int rounds) : rounds_(rounds) {}

  void TestBody() override {
    const std::string far = Folder() + "/far";
    std::filesystem::create_directory(far);
    std::filesystem::permissions(far, std::filesystem::perms::owner_all);
    const Server server = StartServer(
        {.config = "SetEnv TMUX_TMPDIR=" + far + " SCREENDIR=" + far});
    // An ordinary user, where that can be: root's are all the processes of the
    // system.
    if (geteuid() == 0) {
      MakeDave(kDave);
      if (chown(far.c_str(), kDave, kDave) != 0)
        throw std::runtime_error("chown " + far);
    }
    // For the sockets of agents.
    std::filesystem::permissions(Folder(), std::filesystem::perms::all);
    SitElsewhere();
    StartAgentWithKey();
    std::printf("%-34s %9s %9s %17s %9s\n", "", "ssh", "run", "", "budget");

    Configure(HostBlock(server, "  ForwardAgent yes\n"));
    const auto ssh = [&] { return Measure({"ssh", "gitlab-runner", "true"}); };
    const auto run = [&] {
      return Measure({AGENTDOCTOR_PROGRAM, "run", "gitlab-runner"});
    };
    Compare("healthy, cold", ssh, run, "1.10 x");
    const Cost own = last_;
    const double healthy_ms = excess_ms_;
    CompareFarSide(far, ssh, run);
    std::printf("%-34s %+36.1f ms  %s\n", "  beside a far side without these",
                excess_ms_ - healthy_ms, "+ 40 ms");

    Configure(HostBlock(server, Sharing()));
    OpenMaster();
    Compare("healthy, through a live master", ssh, run, "+ 60 ms");
    Ssh({"-O", "exit", "gitlab-runner"});

    Configure(HostBlock(server, "  ForwardAgent no\n" + Sharing()));
    OpenMaster();
    WriteConfigLater(HostBlock(server, Sharing()));
    SitElsewhere();
    Compare(
        "stale master, beside a cold login",
        [&] {
          return Measure(
              {"ssh", "-o", "ControlPath=none", "gitlab-runner", "true"});
        },
        run, "1.5 x + 60 ms");

    BecomeUser(geteuid());
    CompareHere();
    CompareFleet(server);

    std::printf("%-34s %29.1f ms %15s\n", "own CPU, healthy", own.own_cpu_ms,
                "10 ms");
    std::printf("%-34s %29.1f MiB %14s\n", "peak memory, children included",
                own.peak_mib, "20 MiB");
  }

 private:
  /// The client is another user than the server's, where that can be: else its
  /// own processes would be among those of the far side, and name a live agent.
  void SitElsewhere() { BecomeUser(kAlice); }

  void Configure(const std::string& config) {
    WriteConfig(config);
    SitElsewhere();
  }

  /// The user on the far side runs this.
  Program Far(const Words& argv) {
    Launch launch = ClientLaunch(argv);
    if (geteuid() == 0) launch.uid = kDave;
    launch.environment.erase("SSH_AUTH_SOCK");
    return Start(launch);
  }

  /// A far side with 300 processes whose agents are gone, two tmux servers with
  /// three sessions each, and two screens.
  void CompareFarSide(const std::string& far, const std::function<Cost()>& ssh,
                      const std::function<Cost()>& run) {
    SetEnv("TMUX_TMPDIR", far);
    SetEnv("SCREENDIR", far);
    const Program processes = Far(
        {"sh", "-c",
         "i=0; while [ $i -lt 300 ]; do SSH_AUTH_SOCK=/tmp/ssh-$((i % 7))/gone "
         "SSH_CONNECTION=\"10.0.0.$((i % 7)) 1 10.0.0.9 22\" sleep 600 & "
         "i=$((i + 1)); done; wait"});
    const std::string has = "command -v tmux && command -v screen";
    if (Do({"sh", "-c", has}).status != 0)
      std::printf("(without tmux or screen, which are not there)\n");
    Finish(Far(
        {"sh", "-c",
         "for s in a b; do for n in 1 2 3; do SSH_AUTH_SOCK=/tmp/ssh-$n/gone "
         "tmux -L $s -f /dev/null new-session -d -s $n; done; "
         "SSH_AUTH_SOCK=/tmp/ssh-8/gone "
         "screen -c /dev/null -dmS $s sleep 600; done"}));
    Compare("300 processes, tmux, screen there", ssh, run, "");
    Finish(Far({"sh", "-c",
                "for s in a b; do tmux -L $s kill-server; screen -S $s -X "
                "quit; done"}));
    kill(-processes.pid, SIGKILL);
  }

  /// `here` in a shell whose agent works, among 300 processes and 50 sockets
  /// that may be agents, ten of which hang.
  void CompareHere() {
    const std::string temporary = Folder() + "/t";
    std::filesystem::create_directory(temporary);
    std::vector<std::unique_ptr<FakeAgent>> agents;
    for (int i = 0; i < 50; ++i) {
      const std::string folder = temporary + "/ssh-" + std::to_string(i);
      std::filesystem::create_directory(folder);
      agents.push_back(std::make_unique<FakeAgent>(
          folder + "/agent.1",
          i < 10 ? fake::Silent()
                 : fake::Answers(std::string("\0\0\0\5\14\0\0\0\0", 9))));
    }
    const Program processes = Launched(
        {"sh", "-c",
         "i=0; while [ $i -lt 300 ]; do sleep 600 & i=$((i + 1)); done; wait"});
    Compare(
        "here, 300 processes, 50 sockets", [&] { return Measure({"true"}); },
        [&] {
          return Measure(
              {"env", "TMPDIR=" + temporary, AGENTDOCTOR_PROGRAM, "here"});
        },
        "100 ms");
    kill(-processes.pid, SIGKILL);
  }

  /// Many hosts by `--client libssh`, beside one ssh for each: what the clients
  /// cost, without sshd and the agent.  nss_wrapper is left out, which every
  /// ssh would have to load.
  void CompareFleet(const Server& server) {
    constexpr int kHosts = 200;
    constexpr int kMany = 1000;
    const std::string config = Home("fleet");
    WriteText(config, "Host fleet*\n  HostName 127.0.0.1\n  Port " +
                          std::to_string(server.port) +
                          "\n  User dave\n  ForwardAgent yes\n  IdentityFile " +
                          Home(".ssh/id_ec2") + "\n  UserKnownHostsFile " +
                          Home(".ssh/known_hosts") + "\n");
    const auto hosts = [](int count) {
      Words names;
      for (int i = 0; i < count; ++i)
        names.push_back("fleet" + std::to_string(i));
      return names;
    };
    const auto run = [&](int count) {
      Words argv = {"env",    "-u",     "LD_PRELOAD", AGENTDOCTOR_PROGRAM,
                    "run",    "-F",     config,       "--client",
                    "libssh", "--quiet"};
      const Words names = hosts(count);
      argv.insert(argv.end(), names.begin(), names.end());
      return Measure(argv);
    };
    Words ssh = {
        "env",
        "-u",
        "LD_PRELOAD",
        "sh",
        "-c",
        "c=$1; shift; for h; do ssh -F $c $h ssh-add -l || exit 3; done",
        "sh",
        config};
    const Words names = hosts(kHosts);
    ssh.insert(ssh.end(), names.begin(), names.end());
    const Cost by_ssh = Measure(ssh);
    const Cost by_libssh = run(kHosts);
    std::printf("%-34s %6.1f ms %6.1f ms %5.2f x %18s\n",
                "200 hosts by libssh, CPU a host", by_ssh.all_cpu_ms / kHosts,
                by_libssh.all_cpu_ms / kHosts,
                by_libssh.all_cpu_ms / by_ssh.all_cpu_ms, "0.20 x");
    std::fflush(stdout);
    std::printf("%-34s %29.1f MiB %14s\n", "1,000 hosts by libssh, peak",
                run(kMany).peak_mib, "64 MiB");
    std::fflush(stdout);
  }

  /// One run to its end.
  Cost Measure(const Words& argv) {
    const auto start = std::chrono::steady_clock::now();
    const Program program = Launched(argv);
    siginfo_t ended = {};
    waitid(P_PID, static_cast<id_t>(program.pid), &ended, WEXITED | WNOWAIT);
    Cost cost;
    cost.wall_ms = std::chrono::duration<double, std::milli>(
                       std::chrono::steady_clock::now() - start)
                       .count();
    // Its own clock, which its children's time does not enter.
    clockid_t clock = {};
    timespec spent = {};
    if (clock_getcpuclockid(program.pid, &clock) == 0 &&
        clock_gettime(clock, &spent) == 0)
      cost.own_cpu_ms = static_cast<double>(spent.tv_sec) * 1e3 +
                        static_cast<double>(spent.tv_nsec) / 1e6;
    rusage usage = {};
    int status = 0;
    wait4(program.pid, &status, 0, &usage);
    cost.peak_mib = static_cast<double>(usage.ru_maxrss) / 1024;
    for (const timeval& time : {usage.ru_utime, usage.ru_stime})
      cost.all_cpu_ms += static_cast<double>(time.tv_sec) * 1e3 +
                         static_cast<double>(time.tv_usec) / 1e3;
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
      throw std::runtime_error(argv[0] + ": " + program.Errors());
    return cost;
  }

  void Compare(const char* what, const std::function<Cost()>& ssh,
               const std::function<Cost()>& run, const char* budget) {
    std::vector<double> plain, wall, cpu, peak;
    for (int round = 0; round < rounds_; ++round) {
      plain.push_back(ssh().wall_ms);
      const Cost cost = run();
      wall.push_back(cost.wall_ms);
      cpu.push_back(cost.own_cpu_ms);
      peak.push_back(cost.peak_mib);
    }
    last_ = {.wall_ms = Median(wall),
             .own_cpu_ms = Median(cpu),
             .peak_mib = Median(peak)};
    excess_ms_ = last_.wall_ms - Median(plain);
    std::printf("%-34s %6.1f ms %6.1f ms %5.2f x %+6.1f ms  %s\n", what,
                Median(plain), last_.wall_ms, last_.wall_ms / Median(plain),
                excess_ms_, budget);
    std::fflush(stdout);
  }

  int rounds_;
  Cost last_ = {};
  double excess_ms_ = 0;  ///< of the last run, over plain ssh
};

}  // namespace
}  // namespace agentdoctor::lab

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 60;
  try {
    agentdoctor::lab::Bench(std::max(rounds, 1)).TestBody();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench: %s\n", error.what());
    return 1;
  }
}
