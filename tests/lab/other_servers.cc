// Servers of the laboratory that are no sshd.
#include <sys/stat.h>

#include <filesystem>
#include <stdexcept>

#include "lab/lab.h"

namespace agentdoctor::lab {

Server Lab::PrepareOther(const std::string& key_options) {
  Server server;
  server.folder = folder_ + "/server" + std::to_string(++servers_);
  std::filesystem::create_directories(server.folder);
  std::string authorized;
  for (const std::string& key : keys_)
    authorized +=
        (key_options.empty() ? "" : key_options + " ") + ReadText(key);
  WriteText(RemoteHome(".ssh/authorized_keys"), authorized);
  return server;
}

Ended Lab::Prepare(const Server& server, const Words& argv) {
  const Ended ended = Finish(Start(
      {.argv = argv, .environment = environment_, .folder = server.folder}));
  if (ended.status != 0) throw std::runtime_error(argv[0] + ": " + ended.err);
  return ended;
}

void Lab::StartOther(Server& server, const std::function<Words(int)>& command,
                     const std::string& ready, const std::string& host_key) {
  // Another process may take the port between our look and the server's bind.
  for (int attempt = 0; attempt < 5; ++attempt) {
    server.port = FreePort();
    server.program = Start({.argv = command(server.port),
                            .environment = environment_,
                            .folder = server.folder});
    if (!Eventually([&] {
          return server.Log().find(ready) != std::string::npos ||
                 !server.program.Alive();
        }) ||
        !server.program.Alive())
      continue;
    const std::string file = Home(".ssh/known_hosts");
    WriteText(file, ReadText(file) + server.KnownHostsName() + " " + host_key);
    return;
  }
  throw std::runtime_error("no server: " + server.Log());
}

Server Lab::StartDropbear(const DropbearOptions& options) {
  Server server = PrepareOther(options.key_options);
  const std::string host_key = server.folder + "/host_key";
  Prepare(server, {"dropbearkey", "-t", "ed25519", "-f", host_key});
  const std::string printed =
      Prepare(server, {"dropbearkey", "-y", "-f", host_key}).out;
  const std::size_t begin = printed.find("ssh-ed25519 ");
  if (begin == std::string::npos) throw std::runtime_error(printed);
  StartOther(
      server,
      [&](int port) {
        Words argv =
            options.mounts.empty() ? Words() : InMounts(options.mounts);
        argv.insert(argv.end(), {"dropbear", "-F", "-E", "-s", "-r", host_key,
                                 "-P", server.folder + "/pid", "-p",
                                 server.address + ":" + std::to_string(port)});
        argv.insert(argv.end(), options.options.begin(), options.options.end());
        return argv;
      },
      "Not backgrounding",
      printed.substr(begin, printed.find('\n', begin) - begin) + "\n");
  return server;
}

Server Lab::StartTinySsh(const Words& options) {
  Server server = PrepareOther("");
  const std::string keys = server.folder + "/keys";
  Prepare(server, {"tinysshd-makekey", "-q", keys});
  const std::string passwords = server.folder + "/passwd";
  WriteText(passwords,
            "dave:x:" + std::to_string(geteuid()) + ":" +
                std::to_string(getegid()) + "::/mnt:" + shell_ + "\n",
            0644);
  std::string program = "exec tinysshd -v";
  for (const std::string& option : options) program += " " + option;
  StartOther(
      server,
      [&](int port) {
        Words argv = InMounts({{"--bind", RemoteHome(), "/mnt"}});
        argv.insert(argv.end(), {"env", "NSS_WRAPPER_PASSWD=" + passwords,
                                 "socat", "-d", "-d",
                                 "TCP-LISTEN:" + std::to_string(port) +
                                     ",fork,reuseaddr,bind=" + server.address,
                                 "SYSTEM:" + program + " " + keys});
        return argv;
      },
      " listening on ", Prepare(server, {"tinysshd-printkey", keys}).out);
  return server;
}

}  // namespace agentdoctor::lab
