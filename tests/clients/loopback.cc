#include "clients/loopback.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "system/socket.h"

namespace agentdoctor {
namespace {

namespace fs = std::filesystem;

std::string NssWrapper() {
  for (const auto& folder : fs::directory_iterator("/usr/lib"))
    if (const fs::path library = folder.path() / "libnss_wrapper.so";
        fs::exists(library))
      return library;
  throw std::runtime_error("not installed: libnss_wrapper.so");
}

void MakeKey(const std::string& path) {
  const ProcessResult made =
      Run({.argv = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C",
                    "dave@laptop", "-f", path}});
  if (made.status != 0) throw std::runtime_error(made.err);
}

}  // namespace

int FreePort() {
  const Fd fd = MakeStreamSocket(AF_INET);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

bool Eventually(const std::function<bool()>& question) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!question()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(Milliseconds(5));
  }
  return true;
}

void WriteText(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
}

std::string ReadText(const std::string& path) {
  return ReadFile(path).value_or("");
}

Loopback::Loopback() {
  const std::string id = std::to_string(getuid());
  const std::string group = std::to_string(getgid());
  fs::create_directories(Path("home/.ssh"));
  fs::permissions(Path("home/.ssh"), fs::perms::owner_all);
  WriteText(Path("passwd"),
            "dave:x:" + id + ":" + group + "::" + Path("home") +
                ":/bin/bash\n"
                "sshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n");
  WriteText(Path("group"), "dave:x:" + group + ":\nnogroup:x:65534:\n");
  MakeKey(Path("host_key"));
  MakeKey(Path("home/.ssh/id_ed25519"));
  WriteText(Path("home/.ssh/known_hosts"), "");
  // sshd refuses to start as root without its empty folder.
  if (getuid() == 0) fs::create_directories("/run/sshd");
  SetEnvironment("LD_PRELOAD", NssWrapper());
  SetEnvironment("NSS_WRAPPER_PASSWD", Path("passwd"));
  SetEnvironment("NSS_WRAPPER_GROUP", Path("group"));
  SetEnvironment("SSH_AUTH_SOCK", std::nullopt);
  SetEnvironment("SHELL", "/bin/sh");
}

Loopback::~Loopback() {
  EndPrograms();
  for (const auto& [name, value] : environment_)
    if (value)
      setenv(name.c_str(), value->c_str(), 1);
    else
      unsetenv(name.c_str());
}

std::string Loopback::Path(const std::string& name) const {
  return folder_.path() + "/" + name;
}

void Loopback::SetEnvironment(const std::string& name,
                              const std::optional<std::string>& value) {
  const char* const before = getenv(name.c_str());
  environment_.try_emplace(
      name, before ? std::optional<std::string>(before) : std::nullopt);
  if (value)
    setenv(name.c_str(), value->c_str(), 1);
  else
    unsetenv(name.c_str());
}

void Loopback::Launch(const std::vector<std::string>& argv) {
  programs_.emplace_back(Command{.argv = argv});
}

void Loopback::EndPrograms() { programs_.clear(); }

int Loopback::Server::Logins() const {
  const std::string text = ReadText(log);
  int logins = 0;
  for (std::size_t at = text.find("Accepted publickey"); at != text.npos;
       at = text.find("Accepted publickey", at + 1))
    ++logins;
  return logins;
}

Loopback::Server Loopback::StartServer(const std::string& config,
                                       const std::string& key_options,
                                       bool known) {
  const std::string name = Path("sshd" + std::to_string(++servers_));
  Server server{.port = FreePort(), .log = name + ".log"};
  WriteText(name + ".keys", key_options + (key_options.empty() ? "" : " ") +
                                ReadText(Path("home/.ssh/id_ed25519.pub")));
  WriteText(name + ".conf",
            config + "\nPort " + std::to_string(server.port) +
                "\nListenAddress 127.0.0.1\nHostKey " + Path("host_key") +
                "\nAuthorizedKeysFile " + name +
                ".keys\nPidFile none\nUsePAM no\nStrictModes no\n"
                "PermitRootLogin yes\nPasswordAuthentication no\n"
                "KbdInteractiveAuthentication no\n");
  Launch({"/usr/sbin/sshd", "-D", "-f", name + ".conf", "-E", server.log});
  server.pid = programs_.back().pid();
  if (!Eventually([&] {
        return ReadText(server.log).find("Server listening") !=
               std::string::npos;
      }))
    throw std::runtime_error("sshd: " + ReadText(server.log));
  if (known) {
    std::string key = ReadText(Path("host_key.pub"));
    std::ofstream(Path("home/.ssh/known_hosts"), std::ios::app)
        << "[127.0.0.1]:" << server.port << " " << key;
  }
  return server;
}

std::string Loopback::Host(const std::string& name, const Server& server,
                           const std::string& lines) const {
  return "Host " + name + "\n  HostName 127.0.0.1\n  Port " +
         std::to_string(server.port) + "\n" + lines + "\n";
}

void Loopback::WriteConfig(const std::string& blocks) {
  WriteText(Path("home/.ssh/config"), blocks + "Host *\n  User dave\n");
}

pid_t Loopback::StartMaster(const std::string& host, const std::string& socket,
                            const std::vector<std::string>& options) {
  std::vector<std::string> argv = {"ssh", "-M", "-N", "-S", socket,
                                   // it would leave us for the background
                                   "-o", "ControlPersist=no"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.push_back(host);
  Launch(argv);
  if (!Eventually(
          [&] { return LookAt(socket).kind == PathStatus::Kind::kSocket; }))
    throw std::runtime_error("no master at " + socket + ": " +
                             programs_.back().err());
  return programs_.back().pid();
}

}  // namespace agentdoctor
