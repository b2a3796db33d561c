#include "lab/lab.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <system_error>

namespace agentdoctor::lab {
namespace {

namespace fs = std::filesystem;

std::string NssWrapper() {
  for (const auto& folder : fs::directory_iterator("/usr/lib"))
    if (const fs::path library = folder.path() / "libnss_wrapper.so";
        fs::exists(library))
      return library;
  throw std::runtime_error("not installed: libnss_wrapper.so");
}

/// A folder with a short path, so that sockets in it fit sun_path.  Not in
/// /tmp: a test may put something else there, for its servers.
std::string MakeFolder() {
  std::string name = "/var/tmp/ad.XXXXXX";
  if (mkdtemp(name.data()) == nullptr)
    throw std::system_error(errno, std::generic_category(), name);
  return name;
}

/// Where another OpenSSH than the machine's is installed, for one side; empty:
/// the machine's.
std::string Prefix(const char* variable) {
  const char* const prefix = std::getenv(variable);
  return prefix ? prefix : "";
}

/// sshd wants to be called by its whole path.
std::string Sshd() {
  if (const std::string prefix = Prefix("AGENTDOCTOR_LAB_SERVER");
      !prefix.empty())
    return prefix + "/sbin/sshd";
  for (const char* path : {"/usr/sbin/sshd", "/usr/local/sbin/sshd"})
    if (access(path, X_OK) == 0) return path;
  throw std::runtime_error("not installed: sshd");
}

int Count(const std::string& text, const std::string& word) {
  int count = 0;
  for (std::size_t at = text.find(word); at != std::string::npos;
       at = text.find(word, at + word.size()))
    ++count;
  return count;
}

std::string Listed(const std::set<std::string>& codes) {
  std::string text;
  for (const std::string& code : codes) text += " " + code;
  return text.empty() ? " none" : text;
}

/// Name, kind, mode, size, time and content of everything below \a folder.
std::string Inventory(const std::string& folder) {
  std::vector<std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    struct stat status = {};
    if (lstat(entry.path().c_str(), &status) != 0) continue;
    std::string line = entry.path().string() + " " +
                       std::to_string(status.st_mode) + " " +
                       std::to_string(status.st_uid) + " " +
                       std::to_string(status.st_mtim.tv_sec) + "." +
                       std::to_string(status.st_mtim.tv_nsec);
    if (S_ISREG(status.st_mode))
      line += " " +
              std::to_string(std::hash<std::string>{}(ReadText(entry.path())));
    lines.push_back(line);
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

}  // namespace

// ------------------------------------------------------------------ outcome --

nlohmann::json Outcome::Host(std::size_t index) const {
  if (!report.is_object() || !report.contains("hosts") ||
      report["hosts"].size() <= index)
    return nlohmann::json::object();
  return report["hosts"][index];
}

std::string Outcome::Verdict() const { return Host().value("verdict", ""); }

std::string Outcome::RootCause() const {
  const nlohmann::json cause = Host().value("rootCause", nlohmann::json());
  return cause.is_object() ? cause.value("code", "") : "";
}

nlohmann::json Outcome::Finding(const std::string& code) const {
  for (const auto& finding : Host().value("findings", nlohmann::json::array()))
    if (finding["code"] == code) return finding;
  return {};
}

std::set<std::string> Outcome::Problems() const {
  std::set<std::string> codes;
  for (const auto& finding : Host().value("findings", nlohmann::json::array()))
    if (finding["severity"] != "info" && finding["consequenceOf"].is_null())
      codes.insert(finding["code"].get<std::string>());
  return codes;
}

std::string Outcome::TextOf(const std::string& code) const {
  return Finding(code).dump(1, ' ', false,
                            nlohmann::json::error_handler_t::replace);
}

std::string Outcome::Remedy(const std::string& code) const {
  const nlohmann::json finding = Finding(code);
  std::string lines;
  if (finding.is_object() && !finding["fixes"].empty())
    for (const auto& command : finding["fixes"][0]["commands"])
      lines += command.get<std::string>() + "\n";
  return lines;
}

::testing::AssertionResult Reports(const Outcome& outcome,
                                   const Expected& expected) {
  const int status = expected.verdict == "broken"         ? 1
                     : expected.verdict == "undetermined" ? 3
                                                          : 0;
  std::set<std::string> problems = expected.beside;
  if (!expected.cause.empty()) problems.insert(expected.cause);
  std::string wrong;
  if (outcome.Verdict() != expected.verdict)
    wrong +=
        "verdict is " + outcome.Verdict() + ", not " + expected.verdict + "\n";
  if (outcome.RootCause() != expected.cause)
    wrong += "root cause is '" + outcome.RootCause() + "', not '" +
             expected.cause + "'\n";
  if (outcome.Problems() != problems)
    wrong += "problems are" + Listed(outcome.Problems()) + ", not" +
             Listed(problems) + "\n";
  if (!expected.certainty.empty() &&
      outcome.Finding(expected.cause).value("certainty", "") !=
          expected.certainty)
    wrong += "the cause is not " + expected.certainty + "\n";
  if (outcome.status != status)
    wrong += "exit status is " + std::to_string(outcome.status) + ", not " +
             std::to_string(status) + "\n";
  if (wrong.empty()) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << wrong
         << outcome.report.dump(1, ' ', false,
                                nlohmann::json::error_handler_t::replace)
         << "\n--- standard error ---\n"
         << outcome.err;
}

// ------------------------------------------------------------------- server --

std::string Server::KnownHostsName() const {
  return "[" + address + "]:" + std::to_string(port);
}

// In the words of sshd, dropbear and TinySSH.
int Server::Logins() const {
  const std::string log = Log();
  return Count(log, "Accepted publickey") +
         Count(log, "Pubkey auth succeeded") + Count(log, " accepted {packet_");
}

std::string Server::Log() const { return program.Errors(); }

// ---------------------------------------------------------------------- lab --

Lab::Lab() : folder_(MakeFolder()), uid_(geteuid()), dave_uid_(geteuid()) {
  AdoptOrphans();
  chmod(folder_.c_str(), 0755);
  for (const char* name :
       {"/home/.ssh/sockets", "/remote/.ssh", "/tmp", "/io", "/far"})
    fs::create_directories(folder_ + name);
  for (const char* name :
       {"/home", "/home/.ssh", "/home/.ssh/sockets", "/remote", "/remote/.ssh"})
    chmod((folder_ + name).c_str(), 0700);
  WriteText(folder_ + "/group",
            "root:x:0:\nalice:x:" + std::to_string(getegid()) +
                ":\nnogroup:x:65534:\n");
  const std::string client = Prefix("AGENTDOCTOR_LAB_CLIENT");
  environment_ = {{"PATH", (client.empty() ? "" : client + "/bin:") +
                               "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"},
                  {"HOME", Home()},
                  {"USER", "alice"},
                  {"LOGNAME", "alice"},
                  {"SHELL", "/bin/bash"},
                  {"TMPDIR", folder_ + "/tmp"},
                  {"LD_PRELOAD", NssWrapper()},
                  {"NSS_WRAPPER_PASSWD", folder_ + "/passwd"},
                  {"NSS_WRAPPER_GROUP", folder_ + "/group"}};
  WritePasswords();
  MakeKey("id_ec2");
}

Lab::~Lab() {
  EndDescendants();
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

std::string Lab::Home(const std::string& name) const {
  return folder_ + "/home" + (name.empty() ? "" : "/" + name);
}

std::string Lab::RemoteHome(const std::string& name) const {
  return folder_ + "/remote" + (name.empty() ? "" : "/" + name);
}

void Lab::WritePasswords() {
  const std::string ours = std::to_string(dave_uid_);
  const std::string group = ":" + std::to_string(getegid()) + "::";
  const std::string alice = "alice:x:" + std::to_string(uid_) + group + Home();
  const std::string dave =
      "dave:x:" + ours + group + RemoteHome() + ":" + shell_ + "\n";
  // Whom git forges know everybody as.
  const std::string others = "git:x:" + ours + group + RemoteHome() +
                             ":/bin/sh\n"
                             "root:x:0:0::/root:/bin/bash\n"
                             "sshd:x:105:65534::/run/sshd:/usr/sbin/nologin\n";
  WriteText(folder_ + "/passwd", alice + ":/bin/bash\n" + dave + others, 0644);
  WriteText(folder_ + "/remote-passwd", dave + others, 0644);
  chmod((folder_ + "/group").c_str(), 0644);
}

// ------------------------------------------------------------ the near side --

std::string Lab::AgentSocket(const std::string& name) const {
  return folder_ + "/" + name + ".sock";
}

Program Lab::StartAgent(const std::string& name) {
  const std::string socket = AgentSocket(name);
  const Program agent = Launched({"ssh-agent", "-D", "-a", socket});
  SetEnv("SSH_AUTH_SOCK", socket);
  // ssh-add(1): 2 if it can't contact the agent.
  if (!Eventually([&] { return Do({"ssh-add", "-l"}).status != 2; }))
    throw std::runtime_error("ssh-agent: " + agent.Errors());
  return agent;
}

std::string Lab::MakeKey(const std::string& name, const Words& options) {
  const std::string file = Home(".ssh/" + name);
  Words argv = {"ssh-keygen", "-q", "-t", "ed25519", "-C", name, "-f", file};
  if (options.empty()) argv.insert(argv.end(), {"-N", ""});
  argv.insert(argv.end(), options.begin(), options.end());
  if (Do(argv).status != 0) throw std::runtime_error("ssh-keygen");
  keys_.push_back(file + ".pub");
  return file;
}

void Lab::AddKey(const std::string& name, const Words& options) {
  Words argv = {"ssh-add"};  // 7.4 knows no -q
  argv.insert(argv.end(), options.begin(), options.end());
  argv.push_back(Home(".ssh/" + name));
  if (const Ended added = Do(argv); added.status != 0)
    throw std::runtime_error("ssh-add: " + added.err);
}

std::string Lab::Fingerprint(const std::string& name) {
  const std::string line = Do({"ssh-keygen", "-lf", Home(".ssh/" + name)}).out;
  const std::size_t begin = line.find(' ') + 1;
  return line.substr(begin, line.find(' ', begin) - begin);
}

void Lab::StartAgentWithKey() {
  StartAgent();
  AddKey("id_ec2");
}

void Lab::WriteConfig(const std::string& text) {
  WriteText(Home(".ssh/config"), text);
}

void Lab::WriteConfigLater(const std::string& text, int seconds) {
  WriteConfig(text);
  const fs::path file = Home(".ssh/config");
  fs::last_write_time(file, fs::last_write_time(file) + Seconds{seconds});
}

std::string Lab::HostBlock(const Server& server, const std::string& lines,
                           const std::string& name) {
  return "Host " + name + "\n  HostName " + server.address + "\n  Port " +
         std::to_string(server.port) +
         "\n  User dave\n  IdentityFile ~/.ssh/id_ec2\n" + lines;
}

std::string Lab::Sharing() {
  return "  ForwardAgent yes\n"
         "  ControlMaster auto\n"
         "  ControlPath ~/.ssh/sockets/%r@%h" LAB_COLON "%p\n";
}

void Lab::SetEnv(const std::string& name, const std::string& value) {
  environment_[name] = value;
}

void Lab::UnsetEnv(const std::string& name) { environment_.erase(name); }

void Lab::Own(const std::string& folder, uid_t uid) {
  if (lchown(folder.c_str(), uid, uid) != 0)
    throw std::system_error(errno, std::generic_category(), folder);
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (lchown(entry.path().c_str(), uid, uid) != 0)
      throw std::system_error(errno, std::generic_category(), entry.path());
}

void Lab::BecomeUser(uid_t uid) {
  if (geteuid() != 0) return;
  uid_ = uid;
  WritePasswords();
  for (const std::string& place : {Home(), folder_ + "/tmp", folder_ + "/io"})
    Own(place, uid);
}

// ------------------------------------------------------------------ servers --

std::string Lab::WithOwnTmux(std::string config) const {
  // Known to sshd from OpenSSH 7.8 on.
  if (!Prefix("AGENTDOCTOR_LAB_SERVER").empty()) return config;
  const std::string setting = " TMUX_TMPDIR=" + folder_ + "/far";
  // Of several lines sshd takes the first.
  const std::string keyword = "SetEnv";
  const std::size_t at = config.find(keyword + " ");
  if (at == std::string::npos)
    config += "\n" + keyword + setting;
  else if (config.find("TMUX_TMPDIR=") == std::string::npos)
    config.insert(at + keyword.size(), setting);
  return config;
}

Server Lab::StartServer(const ServerOptions& options) {
  Server server;
  server.address = options.address;
  server.folder = folder_ + "/server" + std::to_string(++servers_);
  fs::create_directories(server.folder);
  std::error_code ignored;  // only root can, and only root needs it
  fs::create_directories("/run/sshd", ignored);

  const std::string host_key = server.folder + "/host_key";
  Finish(Start(
      {.argv = {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", host_key},
       .environment = environment_,
       .folder = server.folder}));
  std::string authorized;
  for (const std::string& key : keys_)
    authorized +=
        (options.key_options.empty() ? "" : options.key_options + " ") +
        ReadText(key);
  WriteText(server.folder + "/authorized_keys", authorized, 0644);

  // Another process may take the port between our look and sshd's bind.
  for (int attempt = 0; attempt < 5; ++attempt) {
    server.port = FreePort();
    WriteText(server.folder + "/sshd_config",
              WithOwnTmux(options.config) + "\nListenAddress " +
                  server.KnownHostsName() + "\nHostKey " + host_key +
                  "\nAuthorizedKeysFile " + server.folder +
                  "/authorized_keys\n"
                  "PidFile none\nUsePAM no\nStrictModes no\n"
                  "PermitRootLogin yes\nPasswordAuthentication no\n"
                  "KbdInteractiveAuthentication no\nLogLevel VERBOSE\n"
                  "Subsystem sftp internal-sftp\nMaxStartups 100\n" +
                  options.match + "\n");
    Words argv = {Sshd(), "-D", "-e", "-f", server.folder + "/sshd_config"};
    if (!options.mounts.empty()) {
      const Words in_namespace = InMounts(options.mounts);
      argv.insert(argv.begin(), in_namespace.begin(), in_namespace.end());
    }
    server.program = Start(
        {.argv = argv, .environment = environment_, .folder = server.folder});
    if (Eventually([&] {
          return server.Log().find("Server listening") != std::string::npos ||
                 !server.program.Alive();
        }) &&
        server.program.Alive()) {
      if (options.known) {
        const std::string file = Home(".ssh/known_hosts");
        WriteText(file, ReadText(file) + server.KnownHostsName() + " " +
                            ReadText(host_key + ".pub"));
      }
      return server;
    }
  }
  throw std::runtime_error("sshd: " + server.Log());
}

void Lab::MakeDave(uid_t uid) {
  if (geteuid() != 0) return;
  dave_uid_ = uid;
  WritePasswords();
  Own(RemoteHome(), uid);
}

void Lab::SetLoginShell(const std::string& shell) {
  shell_ = shell;
  WritePasswords();
}

std::string Lab::RemotePasswords() {
  return "SetEnv LD_PRELOAD=" + environment_["LD_PRELOAD"] +
         " NSS_WRAPPER_PASSWD=" + folder_ +
         "/remote-passwd NSS_WRAPPER_GROUP=" + folder_ + "/group\n";
}

// ------------------------------------------------------------- doing things --

Launch Lab::ClientLaunch(const Words& argv) const {
  return {.argv = argv,
          .environment = environment_,
          .folder = folder_ + "/io",
          .uid = uid_};
}

Ended Lab::Do(const Words& argv, Seconds deadline) {
  return Finish(Start(ClientLaunch(argv)), deadline);
}

Program Lab::Launched(const Words& argv, bool terminal,
                      const std::string& input) {
  Launch launch = ClientLaunch(argv);
  launch.terminal = terminal;
  launch.input = input;
  return Start(launch);
}

std::string Lab::Ssh(const Words& arguments) {
  Words argv = {"ssh"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const Ended ended = Do(argv);
  if (ended.status != 0)
    throw std::runtime_error("ssh: " + std::to_string(ended.status) + " " +
                             ended.err);
  return ended.out;
}

pid_t Lab::OpenMaster(const Words& options, const std::string& host) {
  Words arguments = {"-o", "ControlPersist=yes"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  arguments.insert(arguments.end(), {host, "true"});
  Ssh(arguments);
  const Ended values = Do({"ssh", "-G", host});
  const std::size_t at = values.out.find("controlpath ");
  if (at == std::string::npos) throw std::runtime_error("no ControlPath");
  const std::size_t begin = at + std::string("controlpath ").size();
  const pid_t pid =
      MasterPid(values.out.substr(begin, values.out.find('\n', begin) - begin));
  if (pid == 0) throw std::runtime_error("no master");
  return pid;
}

pid_t Lab::MasterPid(const std::string& socket) {
  const Ended check =
      Do({"ssh", "-F", "none", "-S", socket, "-o", "ControlMaster=no", "-o",
          "ProxyCommand=false", "-O", "check", "x"},
         Seconds{5});
  const std::size_t at = check.err.find("pid=");
  return at == std::string::npos ? 0 : std::atoi(check.err.c_str() + at + 4);
}

std::string Lab::ControlSocket(const Server& server) const {
  return Home(".ssh/sockets/dave@" + server.address + LAB_COLON +
              std::to_string(server.port));
}

Program Lab::OpenShell(const Words& arguments) {
  Words argv = {"ssh"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  const Program shell = Launched(argv, true);
  if (!Answers(shell)) throw std::runtime_error("no shell: " + shell.Output());
  return shell;
}

bool Lab::Answers(const Program& shell) {
  // The sum is the answer; the echo of what was typed is not.
  const int number = static_cast<int>(shell.Output().size()) + 1000;
  shell.Type("echo $((" + std::to_string(number) + "+100000))\r");
  const std::string answer = std::to_string(number + 100000);
  return Eventually(
      [&] { return shell.Output().find(answer) != std::string::npos; },
      Seconds{10});
}

// -------------------------------------------------------------- agentdoctor --

Program Lab::LaunchAgentdoctor(const Words& arguments) {
  Words argv = {AGENTDOCTOR_PROGRAM};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return Launched(argv);
}

Ended Lab::Agentdoctor(const Words& arguments, Seconds deadline) {
  Words words = arguments;
  const bool run = !words.empty() && words.front() == "run";
  if (run && std::find(words.begin(), words.end(), "--record") == words.end())
    words.insert(words.begin() + 1,
                 {"--record",
                  folder_ + "/io/facts" + std::to_string(++runs_) + ".json"});
  const Ended ended = Finish(LaunchAgentdoctor(words), deadline);
  constexpr int kWrongUsage = 2;  // then there is nothing to record
  if (run && ended.status != kWrongUsage) ExpectSameReplay(words, ended);
  return ended;
}

void Lab::ExpectSameReplay(const Words& arguments, const Ended& ended) {
  std::string record;
  std::string expected = ended.out;
  Words argv = {AGENTDOCTOR_PROGRAM, "replay"};
  for (auto word = arguments.begin(); word != arguments.end() && *word != "--";
       ++word) {
    if (*word == "--json" || *word == "--strict" || *word == "--quiet" ||
        *word == "--verbose") {
      argv.push_back(*word);
    } else if (*word == "--format" || *word == "--only" || *word == "--skip") {
      argv.push_back(*word);
      argv.push_back(*++word);
    } else if (*word == "--output") {
      expected = ReadText(*++word);
    } else if (*word == "--record") {
      record = *++word;
    }
  }
  argv.push_back(record);
  Launch replay = ClientLaunch(argv);
  replay.environment = {{"PATH", "/nonexistent"}, {"HOME", "/nonexistent"}};
  const Ended replayed = Finish(Start(replay));
  EXPECT_EQ(replayed.out, expected) << replayed.err;
  EXPECT_EQ(replayed.status, ended.status);

  if (const char* keep = std::getenv("AGENTDOCTOR_SAVE_CASES")) {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string(info->test_suite_name()) + "." +
                       info->name() + "." + std::to_string(runs_) + ".json";
    std::replace(name.begin(), name.end(), '/', '-');  // of parameters
    fs::copy_file(record, std::string(keep) + "/" + name,
                  fs::copy_options::overwrite_existing);
  }
}

Outcome Lab::Run(const Words& arguments, const char* file, int line) {
  Words words = {"run"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return Document(words, file, line);
}

Outcome Lab::Document(const Words& arguments, const char* file, int line) {
  const ::testing::ScopedTrace trace(file, line, arguments.front());
  Words words = arguments;
  words.insert(words.begin() + 1, "--json");
  const Ended ended = Agentdoctor(words);
  Outcome outcome{.status = ended.status, .out = ended.out, .err = ended.err};
  outcome.report = nlohmann::json::parse(ended.out, nullptr, false);
  if (outcome.report.is_object())
    EXPECT_EQ(SchemaErrors(outcome.report), "");
  else
    ADD_FAILURE() << "no report, exit status " << ended.status << "\n"
                  << ended.out << ended.err;
  return outcome;
}

std::string Lab::Snapshot() const {
  std::string processes;
  for (const ProcessLine& line : Descendants())
    processes += std::to_string(line.pid) + " " + line.command + "\n";
  return Inventory(Home()) + Inventory(RemoteHome()) +
         Inventory(folder_ + "/tmp") + processes;
}

}  // namespace agentdoctor::lab
