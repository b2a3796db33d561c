#include "probes/remote_side.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <map>
#include <optional>
#include <random>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "agent/client.h"
#include "agent/wire.h"
#include "probes/long_lived.h"
#include "probes/next_hop.h"
#include "probes/records.h"
#include "probes/server_config.h"
#include "probes/shrink.h"
#include "probes/startup_files.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr std::string_view kScript =
#include "probe.inc"
    ;
constexpr std::string_view kShrunkScript =
#include "shrunk_probe.inc"
    ;
// What comes behind its functions.
constexpr std::string_view kRun = "printf \"\\nagentdoctor-";

// What probe.sh cuts the answers of agents to (put_answer).
constexpr std::size_t kLongAnswer = 32768;
constexpr std::size_t kShortAnswer = 4096;
constexpr std::size_t kMaxAgents = 256;
constexpr std::size_t kMaxIdentities = 2048;
// sun_path of Linux; elsewhere it has four bytes less.
constexpr std::size_t kSunPath = 108;

std::string WithNextHops(const std::vector<std::string>& to,
                         Milliseconds login_limit) {
  const std::size_t run = kScript.find(kRun);
  std::string script(kScript.substr(0, run));
  script += NextHopScript(to, login_limit);
  script += kScript.substr(run);
  return script;
}

std::string RandomWord() {
  std::random_device random;
  std::string word;
  for (int i = 0; i < 16; ++i) word += "0123456789abcdef"[random() % 16];
  return word;
}

// The values by key; of the agents, each a map of its own.
struct Answer {
  std::map<std::string, std::string> values = {};
  std::vector<std::map<std::string, std::string>> agents = {};

  std::string Get(const std::string& key) const {
    const auto found = values.find(key);
    return found == values.end() ? std::string() : found->second;
  }
};

constexpr std::array<std::string_view, 8> kAgentKeys = {
    "agent", "kind", "link", "entry", "asked", "denied", "mode", "answer"};

Answer Sort(std::vector<Record> records) {
  Answer answer;
  for (Record& record : records) {
    if (record.first == "agent") answer.agents.emplace_back();
    bool of_agent = false;
    for (const std::string_view key : kAgentKeys)
      of_agent = of_agent || key == record.first;
    if (!of_agent)
      answer.values.insert(std::move(record));
    else if (!answer.agents.empty())
      answer.agents.back().insert(std::move(record));
  }
  if (answer.agents.size() > kMaxAgents) answer.agents.resize(kMaxAgents);
  return answer;
}

template <typename Number>
std::optional<Number> ReadNumber(std::string_view text) {
  Number number{};
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return number;
}

// "+value", "-" or "?reason", as probe.sh writes what may be missing.
Fact<std::optional<std::string>> ReadOptional(const std::string& text) {
  if (text.starts_with('+')) return std::optional(text.substr(1));
  if (text == "-") return std::optional<std::string>();
  return Unknown{text.starts_with('?') ? text.substr(1)
                                       : "the probe did not say"};
}

// ------------------------------------------------------------------- agents --

// "drwx------ 2 1000 1000 4096 ...", of `ls -ldn`.
struct Entry {
  std::optional<std::int64_t> owner = {};
  std::optional<int> mode = {};
};

Entry ReadEntry(std::string_view text) {
  Entry entry;
  if (text.size() < 10) return entry;
  int mode = 0;
  for (std::size_t i = 1; i < 10; ++i)
    mode =
        mode * 2 + (text[i] == '-' || text[i] == 'S' || text[i] == 'T' ? 0 : 1);
  std::vector<std::string_view> words;
  for (std::size_t at = 0; words.size() < 3 && at < text.size();) {
    at = text.find_first_not_of(' ', at);
    if (at == std::string_view::npos) break;
    const std::size_t end = std::min(text.find(' ', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  if (words.size() < 3) return entry;
  entry.owner = ReadNumber<std::int64_t>(words[2]);
  if (entry.owner) entry.mode = mode;
  return entry;
}

std::string Describe(const std::string& path, const Entry& entry) {
  if (!entry.owner || !entry.mode) return path;
  std::string mode = "0000";
  for (std::size_t i = 0; i < 3; ++i)
    mode[3 - i] = static_cast<char>('0' + ((*entry.mode >> (3 * i)) & 7));
  return path + " (owner " + std::to_string(*entry.owner) + ", mode " + mode +
         ")";
}

// The words of connect()'s errors in the C locale (and those of macOS, whose
// texts are the same but for ENOTSOCK).
struct Words {
  std::string_view text;
  AgentState state;
};
constexpr std::array<Words, 14> kWords = {{
    {"No such file or directory", AgentState::kMissing},
    {"Too many levels of symbolic links", AgentState::kMissing},
    {"Not a directory", AgentState::kMissing},
    {"Connection refused", AgentState::kRefused},
    {"Permission denied", AgentState::kDenied},
    {"Operation not permitted", AgentState::kDenied},
    {"Socket operation on non-socket", AgentState::kNotASocket},
    {"Connection reset by peer", AgentState::kDropped},
    {"Broken pipe", AgentState::kDropped},
    // ssh-add's own, OpenSSH 8.2 to 10.5.
    {"communication with agent failed", AgentState::kDropped},
    {"agent refused operation", AgentState::kListRefused},
    {"invalid format", AgentState::kMalformed},
    {"File name too long", AgentState::kPathTooLong},
    {"path too long", AgentState::kPathTooLong},
}};

bool ReadWords(const std::string& text, Agent& agent) {
  for (const Words& words : kWords) {
    if (text.find(words.text) == std::string::npos) continue;
    agent.state = words.state;
    agent.detail = words.text;
    return true;
  }
  return false;
}

// Splits "TEXT=STATUS"; -1 if there is no status.
std::pair<std::string, int> SplitStatus(const std::string& answer) {
  const std::size_t at = answer.rfind('=');
  if (at == std::string::npos) return {answer, -1};
  const std::optional<int> status =
      ReadNumber<int>(std::string_view(answer).substr(at + 1));
  return {answer.substr(0, at), status.value_or(-1)};
}

bool IsCutOff(const std::string& answer) {
  return answer.size() == kShortAnswer || answer.size() >= kLongAnswer;
}

// 124 and 137: timeout(1), or our own KILL.
bool Expired(int status) { return status == 124 || status == 137; }

void BeSilent(Agent& agent) {
  agent.state = AgentState::kSilent;
  agent.detail = "no answer within 2 s";
}

// The lines of `ssh-add -L`: type, key in base64, comment.
bool ReadKeys(const std::string& text, Agent& agent) {
  for (const std::string& line : SplitLines(text)) {
    const std::size_t first = line.find(' ');
    if (first == std::string::npos) continue;
    const std::size_t second = std::min(line.find(' ', first + 1), line.size());
    std::string comment =
        second < line.size() ? line.substr(second + 1) : std::string();
    try {
      const Identity identity = ParsePublicKey(
          DecodeBase64(line.substr(first + 1, second - first - 1)),
          std::move(comment));
      if (identity.type != line.substr(0, first)) continue;
      if (agent.identities.size() == kMaxIdentities) break;
      agent.identities.push_back(identity);
    } catch (const std::exception&) {
      // The second line of a comment, or a message.
    }
  }
  return !agent.identities.empty();
}

// What ssh-add said; false if it can't be understood.
bool ReadSshAdd(const std::string& answer, Agent& agent) {
  auto [text, status] = SplitStatus(answer);
  if (IsCutOff(answer)) {
    // Cut off: the status is lost, and the last line is not whole.
    text = answer.substr(0, answer.rfind('\n'));
    status = 0;
  }
  if (Expired(status)) {
    BeSilent(agent);
    return true;
  }
  if (status == 0) {
    agent.state = AgentState::kAnswered;
    return ReadKeys(text, agent);
  }
  if (text.find("has no identities") != std::string::npos) {
    agent.state = AgentState::kAnswered;
    return true;
  }
  // Where the agent hangs up early, SIGPIPE ends ssh-add without a word.
  if (status == 141) {
    agent.state = AgentState::kDropped;
    agent.detail = "closed without an answer";
    return true;
  }
  if (ReadWords(text, agent)) return true;
  const std::size_t fetching = text.find("error fetching identities");
  if (fetching == std::string::npos) return false;
  agent.state = AgentState::kMalformed;
  agent.detail = Trim(text.substr(fetching));
  return true;
}

// The beginning of a list that was too long for the probe: the agent answers,
// and these are its first identities.
bool ReadBeginning(std::string_view answer, Agent& agent) {
  std::optional<std::string> bytes = DecodeHex(answer);
  if (!bytes) bytes = DecodeHex(answer.substr(0, answer.size() - 1));
  if (!bytes) return false;
  agent.state = AgentState::kMalformed;
  agent.detail = "a longer answer than the probe carries";
  try {
    WireReader reader(*bytes);
    reader.Uint32();
    if (reader.Byte() != kIdentitiesAnswer) return true;
    reader.Uint32();
    agent.state = AgentState::kAnswered;
    agent.detail.clear();
    while (agent.identities.size() < kMaxIdentities) {
      const std::string_view blob = reader.String();
      agent.identities.push_back(
          ParsePublicKey(blob, std::string(reader.String())));
    }
  } catch (const std::exception&) {
    // Here it was cut off.
  }
  return true;
}

// What another program said: hexadecimal of the agent's bytes or of a message.
bool ReadRaw(const std::string& answer, Agent& agent) {
  if (IsCutOff(answer)) return ReadBeginning(answer, agent);
  const std::optional<std::string> decoded = DecodeHex(answer);
  if (!decoded) return false;
  const auto [bytes, status] = SplitStatus(*decoded);
  // What does not begin like a frame is a message, perhaps the shell's own
  // "Killed": its first letter would be a length of more than 500 MiB.
  if (!bytes.starts_with('\0')) {
    if (Expired(status)) {
      BeSilent(agent);
      return true;
    }
    if (ReadWords(bytes, agent)) return true;
  }
  ReadListAnswer(bytes, agent);
  return true;
}

// Reads one agent into \a side: asked, or why not.
void ReadAgent(const std::map<std::string, std::string>& values,
               std::optional<std::int64_t> uid, Side& side) {
  const auto get = [&](const std::string& key) {
    const auto found = values.find(key);
    return found == values.end() ? std::string() : found->second;
  };
  Agent agent;
  agent.path = get("agent");
  if (FindAgent(side, agent.path) != nullptr) return;
  const std::string kind = get("kind");
  const auto is = [&](char c) { return kind.find(c) != std::string::npos; };

  if (is('L')) {
    const std::string listed = get("link");  // `ls -ld`
    const std::string begin = agent.path + " -> ";
    if (const std::size_t at = listed.find(begin); at != std::string::npos)
      agent.link_target = listed.substr(at + begin.size());
  }
  const Entry entry = ReadEntry(get("entry"));
  agent.owner = entry.owner;
  agent.mode = entry.mode;
  if (is('O') && uid) agent.owner = uid;
  agent.product = SocketProduct(agent.path);
  if (agent.product.empty() && !agent.link_target.empty())
    agent.product = SocketProduct(agent.link_target);
  if (const std::string denied = get("denied"); !denied.empty())
    agent.denied_by = Describe(denied, ReadEntry(get("mode")));

  agent.asked_with = get("asked");
  bool judged = false;
  if (agent.path.size() >= kSunPath) {
    agent.state = AgentState::kPathTooLong;
    agent.detail = std::to_string(agent.path.size()) +
                   " bytes, where a socket's path has at most " +
                   std::to_string(kSunPath - 1);
    judged = true;
  } else if (is('N')) {
    agent.state = AgentState::kMissing;
    agent.detail = "No such file or directory";
    judged = true;
  } else if (is('e') && !is('S')) {
    // Linux says "refused" for a file, too.
    agent.state = AgentState::kNotASocket;
    agent.detail = is('d') ? "a folder" : is('f') ? "a file" : "a device";
    judged = true;
  } else if (agent.asked_with == "ssh-add") {
    judged = ReadSshAdd(get("answer"), agent);
  } else if (!agent.asked_with.empty()) {
    judged = ReadRaw(get("answer"), agent);
  }
  if (judged) {
    if (agent.state != AgentState::kDenied) agent.denied_by.clear();
    side.agents.push_back(std::move(agent));
    return;
  }
  side.agents_not_asked[agent.path] =
      agent.asked_with.empty()
          ? "nothing there can ask it (no ssh-add, python3 or perl)"
          : agent.asked_with + " there gave an answer nobody understands: " +
                Elide(Trim(get("answer")), 100);
}

// ------------------------------------------------------ sockets made by sshd
// --

// sshd up to 10.0: /tmp/ssh-XXXXXXXXXX/agent.PID, PID being a process of the
// session; since 10.1: ~/.ssh/agent/s.HASH.sshd.RANDOM; dropbear:
// /tmp/dropbear-*/auth-*.
bool IsOfThisConnection(const std::string& path,
                        const std::vector<std::string>& ancestors) {
  constexpr std::string_view kTmp = "/tmp/ssh-";
  constexpr std::string_view kAgent = "/agent.";
  const std::size_t agent = kTmp.size() + 10;
  if (path.starts_with(kTmp) && path.size() > agent + kAgent.size() &&
      path.compare(agent, kAgent.size(), kAgent) == 0) {
    const std::string pid = path.substr(agent + kAgent.size());
    for (const std::string& ancestor : ancestors)
      if (ancestor == pid) return true;
    return false;
  }
  const std::size_t folder = path.find("/.ssh/agent/s.");
  if (folder != std::string::npos &&
      path.find(".sshd.", folder) != std::string::npos)
    return true;
  return path.starts_with("/tmp/dropbear-") &&
         path.find("/auth-") != std::string::npos;
}

// The processes above the probe, the nearest first: "PID+NAME", or - where the
// environment can't be read.
struct Above {
  std::vector<std::string> pids = {};
  std::string server = {};  // the name of the last: sshd, if all is well
};

Above ReadAbove(const std::string& ancestors) {
  Above above;
  for (const std::string& line : SplitLines(ancestors)) {
    const std::size_t mark = line.find_first_of("+-");
    if (mark == std::string::npos) continue;
    above.pids.push_back(line.substr(0, mark));
    above.server = line.substr(mark + 1);
  }
  return above;
}

Fact<std::vector<std::string>> ConnectionSockets(const Answer& answer,
                                                 const Side& side) {
  std::vector<std::string> sockets = SplitLines(answer.Get("sockets"));
  // The socket of a living connection is listened on: a dead one of this number
  // is what an earlier process left.
  std::erase_if(sockets, [&side](const std::string& path) {
    const Agent* agent = FindAgent(side, path);
    return agent != nullptr && agent->state == AgentState::kRefused;
  });
  const Above above = ReadAbove(answer.Get("ancestors"));
  const bool handed_known = side.initial_auth_sock.known();
  const auto& handed = handed_known ? side.initial_auth_sock : side.auth_sock;
  if (const auto* value = handed.get();
      value != nullptr && *value && IsOfThisConnection(**value, above.pids)) {
    for (const std::string& socket : sockets)
      if (socket == **value) return sockets;
    sockets.push_back(**value);
  }
  if (!sockets.empty()) return sockets;
  // sshd always hands over the socket it made.
  if (handed_known && !*side.initial_auth_sock) return sockets;
  if (!above.server.starts_with("sshd") &&
      !above.server.starts_with("dropbear"))
    return Unknown{"no sshd is seen above the shell"};
  const auto others = ReadOptional(answer.Get("others"));
  if (!others.known()) return Unknown{"there is no find"};
  if (others.value() && others.value()->empty()) return sockets;
  return Unknown{
      "there are sockets younger than this connection, and nothing tells whose "
      "they are: " +
      Elide(others.value().value_or(""), 200)};
}

}  // namespace

ProbeCommand MakeProbeCommand() { return MakeProbeCommand({}, {}); }

ProbeCommand MakeProbeCommand(const std::vector<std::string>& to,
                              Milliseconds login_limit) {
  const std::string word = RandomWord();
  ProbeCommand probe;
  probe.command = "sh -c 'r=" + word + ";";
  if (to.empty())
    probe.command += kShrunkScript;
  else
    probe.command += Shrink(WithNextHops(to, login_limit));
  probe.command += "'; true";
  probe.begin_marker = "agentdoctor-" + word + "-begin";
  probe.end_marker = "agentdoctor-" + word + "-end";
  return probe;
}

Side UnknownSide(const std::string& why) {
  const Unknown unknown{why};
  Side side;
  side.uid = unknown;
  side.boot_id = unknown;
  side.shell = unknown;
  side.auth_sock = unknown;
  side.initial_auth_sock = unknown;
  side.ssh_connection = unknown;
  side.connection_sockets = unknown;
  side.startup_lines = unknown;
  side.server_config = unknown;
  side.identity_agent = unknown;
  side.long_lived = unknown;
  return side;
}

Side ParseProbe(const std::string& output) {
  const Fact<std::vector<Record>> records = ReadRecords(output);
  if (!records.known()) return UnknownSide(records.reason());

  const Answer answer = Sort(records.value());
  Side side;
  side.name = answer.Get("host");
  const auto uid = ReadNumber<std::int64_t>(answer.Get("uid"));
  if (uid)
    side.uid = *uid;
  else
    side.uid = Unknown{"neither /proc nor id says it"};
  if (const std::string boot = answer.Get("boot"); !boot.empty())
    side.boot_id = boot;
  else
    side.boot_id = Unknown{"there is no /proc/sys/kernel/random/boot_id"};
  if (const std::string shell = answer.Get("shell"); !shell.empty())
    side.shell = shell;
  else
    side.shell = Unknown{"SHELL is not set"};

  side.auth_sock = ReadOptional(answer.Get("SSH_AUTH_SOCK"));
  side.initial_auth_sock = ReadOptional(answer.Get("initial"));
  if (answer.Get("initial") == "?")
    side.initial_auth_sock =
        Unknown{answer.Get("boot").empty()
                    ? "there is no /proc"
                    : "the environment of the login shell can not be read"};
  if (auto* initial = side.initial_auth_sock.get(); initial && *initial)
    for (char& c : **initial)
      if (c == '\1') c = '\n';  // see initial_environment in probe.sh
  const auto connection = ReadOptional(answer.Get("SSH_CONNECTION"));
  if (connection.known() && connection.value())
    side.ssh_connection = *connection.value();
  else
    side.ssh_connection = Unknown{"SSH_CONNECTION is not set"};

  for (const auto& agent : answer.agents) ReadAgent(agent, uid, side);
  side.connection_sockets = ConnectionSockets(answer, side);
  if (const auto others = ReadOptional(answer.Get("others"));
      !side.connection_sockets.known() && others.known())
    side.younger_sockets = SplitLines(others.value().value_or(""));
  for (const std::string name : {"TMUX", "STY", "SUDO_USER", "container"})
    if (const auto value = ReadOptional(answer.Get(name));
        value.known() && *value)
      side.session_variables[name] = **value;
  ReadLongLived(answer.Get("far"),
                {answer.Get("self"), answer.Get("ancestors")}, side);

  const auto identity_agent = ReadOptional(answer.Get("identity"));
  if (identity_agent.known())
    side.identity_agent = identity_agent.value().value_or("");
  else if (identity_agent.reason() == "127")
    side.identity_agent = Unknown{"there is no ssh"};
  else
    side.identity_agent = Unknown{"ssh -G ended with status " +
                                  identity_agent.reason() + " there"};

  const std::vector<FileLine> lines = ReadFileLines(answer.Get("lines"));
  if (const std::string config = answer.Get("sshd_config"); config == "+")
    side.server_config = ParseServerConfig(lines);
  else if (config == "?")
    side.server_config = Unknown{"/etc/ssh/sshd_config can not be read there"};
  else
    side.server_config = Unknown{"there is no /etc/ssh/sshd_config"};
  side.startup_lines =
      ParseStartupFiles(lines, ReadFileLines(answer.Get("context")),
                        {.home = answer.Get("home"),
                         .shell = answer.Get("shell"),
                         .zdotdir = answer.Get("zdotdir")});
  return side;
}

}  // namespace agentdoctor
