#include "lab/programs.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <stdexcept>
#include <system_error>
#include <thread>

namespace agentdoctor::lab {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void Fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words)
    pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

std::string FindIn(const std::string& path, const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  std::istringstream folders(path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    const std::string candidate = folder + "/" + name;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  throw std::runtime_error("not installed: " + name);
}

int OpenTerminal(std::string& name) {
  const int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  char buffer[128];
  if (fd < 0 || grantpt(fd) != 0 || unlockpt(fd) != 0 ||
      ptsname_r(fd, buffer, sizeof buffer) != 0)
    Fail("pseudo terminal");
  name = buffer;
  return fd;
}

/// Moves what the terminal holds to the output file.
void Drain(const Program& program) {
  if (program.terminal < 0) return;
  pollfd waiting = {program.terminal, POLLIN, 0};
  std::ofstream file(program.out_file, std::ios::app | std::ios::binary);
  while (poll(&waiting, 1, 0) == 1) {
    char buffer[4096];
    const ssize_t size = read(program.terminal, buffer, sizeof buffer);
    if (size <= 0) break;
    file.write(buffer, size);
  }
}

}  // namespace

bool Program::Alive() const {
  siginfo_t ended = {};
  return pid > 0 &&
         waitid(P_PID, static_cast<id_t>(pid), &ended,
                WEXITED | WNOHANG | WNOWAIT) == 0 &&
         ended.si_pid == 0;
}

std::string Program::Output() const {
  Drain(*this);
  return ReadText(out_file);
}

std::string Program::Errors() const { return ReadText(err_file); }

void Program::Type(const std::string& text) const {
  if (write(terminal, text.data(), text.size()) !=
      static_cast<ssize_t>(text.size()))
    Fail("writing to the terminal");
}

Program Start(const Launch& launch) {
  static std::atomic<int> number = 0;
  const std::string stem = launch.folder + "/" + std::to_string(++number) +
                           "-" +
                           fs::path(launch.argv.at(0)).filename().string();
  Program program{
      .pid = -1, .out_file = stem + ".out", .err_file = stem + ".err"};

  std::string terminal_name;
  if (launch.terminal) program.terminal = OpenTerminal(terminal_name);

  const auto path = launch.environment.find("PATH");
  const std::string file = FindIn(
      path == launch.environment.end() ? "" : path->second, launch.argv[0]);
  // Opened before the user changes: a build folder may be root's alone.
  const int executable = open(file.c_str(), O_PATH | O_CLOEXEC);
  if (executable < 0) Fail(file);
  const int out = open(program.out_file.c_str(),
                       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const int err = open(program.err_file.c_str(),
                       O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const std::string input = launch.input.empty() ? "/dev/null" : launch.input;
  const int in = open(input.c_str(), O_RDONLY | O_CLOEXEC);
  if (out < 0 || err < 0 || in < 0) Fail(stem);

  std::vector<std::string> settings;
  for (const auto& [name, value] : launch.environment)
    settings.push_back(name + "=" + value);
  const std::vector<char*> argv = Pointers(launch.argv);
  const std::vector<char*> envp = Pointers(settings);

  program.pid = fork();
  if (program.pid < 0) Fail("fork");
  if (program.pid == 0) {
    // Only async-signal-safe calls: fakes may run threads in this process.
    setsid();
    int ends[3] = {in, out, err};
    if (launch.terminal) {
      const int slave = open(terminal_name.c_str(), O_RDWR);
      ioctl(slave, TIOCSCTTY, 0);
      ends[0] = ends[1] = ends[2] = slave;
    }
    for (int fd = 0; fd < 3; ++fd) dup2(ends[fd], fd);
    if (launch.uid != 0 && geteuid() == 0 &&
        (setgid(launch.uid) != 0 || setuid(launch.uid) != 0))
      _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fexecve(executable, argv.data(), envp.data());
    _exit(127);
  }
  for (const int fd : {executable, out, err, in}) close(fd);
  return program;
}

Ended Finish(const Program& program, Seconds deadline) {
  int status = 0;
  const bool ended = Eventually(
      [&] {
        Drain(program);
        return waitpid(program.pid, &status, WNOHANG) != 0;
      },
      deadline);
  if (!ended) {
    kill(-program.pid, SIGKILL);
    waitpid(program.pid, &status, 0);
  }
  Ended result{.status = -1, .out = program.Output(), .err = program.Errors()};
  if (program.terminal >= 0) close(program.terminal);
  if (ended)
    result.status =
        WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

bool Eventually(const std::function<bool()>& question, Seconds deadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  while (!question()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  return true;
}

bool IsGone(pid_t pid) {
  waitpid(pid, nullptr, WNOHANG);  // it may have become a child of ours
  return kill(pid, 0) != 0;
}

void AdoptOrphans() { prctl(PR_SET_CHILD_SUBREAPER, 1); }

std::vector<ProcessLine> Descendants(pid_t root) {
  if (root == 0) root = getpid();
  std::vector<ProcessLine> all;
  std::error_code gone;
  for (const auto& entry : fs::directory_iterator("/proc", gone)) {
    const pid_t pid = atoi(entry.path().filename().c_str());
    if (pid == 0) continue;
    // proc(5): pid (comm) state ppid; comm may hold anything.
    const std::string stat = ReadText(entry.path() / "stat");
    const std::size_t end = stat.rfind(')');
    if (end == std::string::npos || stat.size() < end + 5) continue;
    if (stat[end + 2] == 'Z') continue;
    ProcessLine line{.pid = pid, .parent = atoi(stat.c_str() + end + 4)};
    line.command = ReadText(entry.path() / "cmdline");
    for (char& c : line.command)
      if (c == '\0') c = ' ';
    all.push_back(line);
  }
  std::set<pid_t> ours = {root};
  std::vector<ProcessLine> found;
  for (bool more = true; more;) {
    more = false;
    for (const ProcessLine& line : all)
      if (ours.count(line.parent) != 0 && ours.insert(line.pid).second) {
        found.push_back(line);
        more = true;
      }
  }
  return found;
}

void EndDescendants() {
  std::set<pid_t> seen;
  const auto all_gone = [&](int signal_number) {
    const std::vector<ProcessLine> left = Descendants();
    for (const ProcessLine& line : left) {
      if (seen.insert(line.pid).second || signal_number == SIGKILL)
        kill(line.pid, signal_number);
      kill(line.pid, SIGCONT);
    }
    while (waitpid(-1, nullptr, WNOHANG) > 0) continue;
    return left.empty();
  };
  if (!Eventually([&] { return all_gone(SIGTERM); }, Seconds{2}))
    Eventually([&] { return all_gone(SIGKILL); }, Seconds{10});
  // What a killed sshd of ours could not remove.
  std::error_code ignored;
  for (const auto& folder : fs::directory_iterator("/tmp", ignored)) {
    if (folder.path().filename().string().rfind("ssh-", 0) != 0) continue;
    for (const pid_t pid : seen)
      if (fs::exists(fs::symlink_status(
              folder.path() / ("agent." + std::to_string(pid)), ignored)))
        fs::remove_all(folder.path(), ignored);
  }
}

int FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  socklen_t size = sizeof address;
  if (fd < 0 ||
      bind(fd, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("no free port");
  close(fd);
  return ntohs(address.sin_port);
}

std::vector<std::string> InMounts(
    const std::vector<std::vector<std::string>>& mounts) {
  std::string script;
  for (const std::vector<std::string>& words : mounts) {
    script += "mount";
    for (const std::string& word : words) script += " " + word;
    script += " && ";
  }
  std::vector<std::string> argv = {
      "unshare", "--mount", "sh", "-c", script + "exec \"$@\"", "sh"};
  if (geteuid() != 0)
    argv.insert(argv.begin() + 1,
                {"--user", "--map-current-user", "--keep-caps"});
  return argv;
}

std::string ReadText(const std::string& path) {
  // A file of /proc can vanish while it is read: then this is empty.
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

void WriteText(const std::string& path, const std::string& text, mode_t mode) {
  fs::create_directories(fs::path(path).parent_path());
  {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file << text;
    if (!file.flush()) Fail(path);
  }
  if (chmod(path.c_str(), mode) != 0) Fail(path);
}

}  // namespace agentdoctor::lab
