#include "masters.h"

#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <map>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "agent/client.h"
#include "agentdoctor/check.h"
#include "clients/master_process.h"
#include "clients/openssh_config.h"
#include "clients/openssh_config_lines.h"
#include "clients/openssh_masters.h"
#include "command_line.h"
#include "diagnose.h"
#include "run.h"
#include "system/clock.h"
#include "system/concurrently.h"
#include "system/file.h"
#include "system/interrupt.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxMasters = 256;
constexpr std::size_t kAtOnce = 32;
/// `ssh -G` executes Match exec, so it is not asked about every name there is.
constexpr std::size_t kMaxAliases = 32;
constexpr std::string_view kCheck = "control-master";

// ----------------------------------------------------- the configuration --

/// What the files of the configuration say about masters, whichever host.
struct Configuration {
  std::vector<ConfigFile> files = {};
  std::vector<std::string> patterns = {};  ///< of ControlPath, for glob(3)
  std::vector<std::string> aliases = {};   ///< Host names without wildcards
};

std::string Variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value ? value : "";
}

/// Characters that mean something to glob(3), as themselves.
std::string Literally(std::string_view text) {
  std::string quoted;
  for (const char c : text) {
    if (std::string_view("*?[]\\").find(c) != std::string_view::npos)
      quoted += '\\';
    quoted += c;
  }
  return quoted;
}

/// Every path that a ControlPath may expand to, as a pattern for glob(3);
/// empty if it is none or not absolute.
std::string Pattern(std::string_view text) {
  std::string pattern;
  if (text.starts_with("~/")) {
    pattern = Literally(HomeDirectory());
    text.remove_prefix(1);
  }
  while (!text.empty()) {
    const std::size_t end = text.find('}');
    if (text[0] == '%' && text.size() > 1) {
      switch (text[1]) {
        case '%':
          pattern += '%';
          break;
        case 'd':
          pattern += Literally(HomeDirectory());
          break;
        case 'C':  // a hash in hexadecimal (ssh.c)
          for (int i = 0; i < 40; ++i) pattern += "[0-9a-f]";
          break;
        default:
          pattern += '*';
      }
      text.remove_prefix(2);
    } else if (text.starts_with("${") && end != std::string_view::npos) {
      pattern += Literally(Variable(std::string(text.substr(2, end - 2))));
      text.remove_prefix(end + 1);
    } else {
      pattern += Literally(text.substr(0, 1));
      text.remove_prefix(1);
    }
  }
  return pattern.starts_with('/') ? pattern : "";
}

Configuration ReadConfiguration(const Request& request, Client& client) {
  Configuration configuration;
  const Resolution resolution = client.Resolve(AboutNoHost(request));
  const ClientConfig* config = resolution.config.get();
  if (!config || config->error) return configuration;
  configuration.files = config->files;
  const auto add = [](std::vector<std::string>& list, std::string item) {
    if (!item.empty() && std::ranges::find(list, item) == list.end())
      list.push_back(std::move(item));
  };
  add(configuration.patterns, Literally(FirstValue(*config, "controlpath")));
  for (const ConfigFile& file : config->files)
    for (const std::string& line :
         SplitLines(ReadFile(file.path).value_or(""))) {
      const auto words = SplitConfigLine(line);
      if (!words || words->arguments.empty()) continue;
      if (words->keyword == "controlpath")
        add(configuration.patterns, Pattern(words->arguments[0]));
      if (words->keyword != "host") continue;
      for (const std::string& name : words->arguments)
        if (name.find_first_of("*?!") == std::string::npos &&
            DestinationFault(name).empty())
          add(configuration.aliases, name);
    }
  return configuration;
}

// ------------------------------------------------------------ the sockets --

/// Where programs that share connections by themselves put their sockets.
std::vector<std::string> KnownPatterns() {
  const std::string home = Literally(HomeDirectory());
  const std::string runtime = Literally(Variable("XDG_RUNTIME_DIR"));
  std::vector<std::string> patterns = {
      home + "/.ansible/cp/*",            // Ansible
      home + "/.cache/kitty/run/kssh-*",  // kitty
      "/tmp/ssh_mux_*",                   // a widespread recipe
      "/tmp/ssh-mux*"};
  if (!runtime.empty()) patterns.push_back(runtime + "/kssh-*");
  // ~/.ssh holds other sockets, too: those of agents.
  for (const std::string_view folder : {"/.ssh/", "/.ssh/*/"})
    for (const std::string_view name :
         {"*@*", "*:*", "cm-*", "cm_*", "mux-*", "mux_*", "master-*",
          "master_*", "control-*", "control_*", "ctrl-*"})
      patterns.push_back(home + std::string(folder) + std::string(name));
  for (const std::string_view folder : {"~/.ssh/", "~/.ssh/*/"})
    patterns.push_back(Pattern(std::string(folder) + "%C"));
  return patterns;
}

/// Agents lie beside masters in ~/.ssh, and a dead one looks the same.
bool NamesAnAgent(const std::string& path) {
  const std::string name = Lower(path.substr(path.rfind('/') + 1));
  return name.find("agent") != std::string::npos ||
         name.find("auth") != std::string::npos || !SocketProduct(path).empty();
}

/// This user's sockets that match, no links and no agents.
std::set<std::string> FindSockets(const std::vector<std::string>& patterns) {
  std::set<std::string> sockets;
  for (const std::string& pattern : patterns) {
    glob_t found = {};
    if (glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0)
      for (std::size_t i = 0;
           i < found.gl_pathc && sockets.size() < kMaxMasters; ++i) {
        const PathStatus status = LookAt(found.gl_pathv[i]);
        if (status.kind == PathStatus::Kind::kSocket &&
            status.link_target.empty() &&
            status.owner == static_cast<std::int64_t>(geteuid()) &&
            !NamesAnAgent(found.gl_pathv[i]))
          sockets.insert(found.gl_pathv[i]);
      }
    globfree(&found);
  }
  return sockets;
}

/// A master that may be there, and what came of asking.
struct Found {
  ListedMaster listed = {};
  /// How to get to its host; the destination is empty if it is not known.
  Request request = {};
  /// The process that was seen to listen.
  std::optional<MasterListener> listener = {};
};

/// Whose socket file is gone: what the system knows about the process.
void LookAtOrphan(Found& found, Milliseconds limit) {
  Master& master = found.listed.master;
  found.listed.orphaned = true;
  master = {.path = master.path, .pid = found.listener->pid};
  LookAtMasterProcess(master, limit);
  master.attached_clients = CountClients(master.path, limit);
}

std::vector<Found> AskAll(const MastersPlan& plan,
                          const Configuration& configuration) {
  const Fact<std::vector<MasterListener>> listeners =
      FindMasters(plan.options.local_limit);
  std::vector<std::string> patterns = configuration.patterns;
  for (std::string& pattern : KnownPatterns())
    patterns.push_back(std::move(pattern));
  const std::set<std::string> sockets = FindSockets(patterns);

  std::vector<Found> all;
  std::set<std::string> seen;
  const auto add = [&](const std::string& path,
                       std::optional<MasterListener> listener) {
    if (all.size() >= kMaxMasters) return;
    Found found{.request = {.ssh = plan.request.ssh},
                .listener = std::move(listener)};
    found.listed.master.path = path;
    all.push_back(std::move(found));
    seen.insert(path);
  };
  for (const MasterListener& listener :
       listeners.value_or(std::vector<MasterListener>{}))
    if (listener.listens)
      add(listener.path, listener);
    else if (!seen.contains(listener.path))
      add(listener.path, std::nullopt);
  for (const std::string& path : sockets)
    if (!seen.contains(path)) add(path, std::nullopt);

  std::map<std::string, int> listening;
  for (const Found& found : all)
    if (found.listener) ++listening[found.listed.master.path];

  Concurrently(all.size(), kAtOnce, [&](std::size_t i) {
    Found& found = all[i];
    Master& master = found.listed.master;
    const int others =
        found.listener ? listening.find(master.path)->second - 1 : 0;
    master = AskMaster(plan.request.ssh, "", master.path, configuration.files,
                       plan.options.local_limit);
    if (found.listener && (master.state == MasterState::kNone ||
                           (others > 0 && master.pid != found.listener->pid)))
      LookAtOrphan(found, plan.options.local_limit);
    if (found.listener && found.listener->relative)
      master.attached_clients = Unknown{"its socket has a relative path"};
  });
  std::erase_if(all, [&](const Found& found) {
    const ListedMaster& listed = found.listed;
    if (listed.orphaned) return !listed.master.started.known();
    switch (listed.master.state) {
      case MasterState::kNone:
      case MasterState::kNotASocket:
        return true;
      // Another program's socket: an ssh that listens would have been seen.
      case MasterState::kFailed:
      case MasterState::kUnresponsive:
        return listeners.known() && !found.listener;
      default:
        return false;
    }
  });
  return all;
}

// -------------------------------------------------------------- the hosts --

/// How a master's command line says to get to its host.  What it says about
/// forwarding and sharing held for that master; the next ssh has its own.
std::optional<Request> RequestOf(const std::vector<std::string>& words) {
  try {
    Request request = ParseSshCommand(words);
    std::vector<std::string> options;
    for (std::size_t i = 0; i < request.ssh_options.size(); ++i) {
      const std::string& word = request.ssh_options[i];
      if (word == "-A" || word == "-a") continue;
      if (word == "-S" || word == "-o") {
        const std::string value =
            i + 1 < request.ssh_options.size() ? request.ssh_options[++i] : "";
        const auto line = SplitConfigLine(value);
        const bool dropped = word == "-S" || !line ||
                             line->keyword == "forwardagent" ||
                             line->keyword == "controlpath" ||
                             line->keyword == "controlmaster" ||
                             line->keyword == "controlpersist";
        if (!dropped) options.insert(options.end(), {word, value});
        continue;
      }
      options.push_back(word);
    }
    request.ssh_options = std::move(options);
    return request;
  } catch (const std::invalid_argument&) {
    return std::nullopt;
  }
}

void Name(Found& found, Request request) {
  found.listed.master.host = request.destination;
  found.request = std::move(request);
}

/// Which of the aliases have their control path at which socket.
void NameByAlias(const MastersPlan& plan, const Configuration& configuration,
                 std::vector<Found*> unnamed, Client& client) {
  // A dead socket is no reason to run the commands of Match exec lines.
  if (std::ranges::all_of(unnamed, [](const Found* found) {
        return found->listed.master.state == MasterState::kStaleSocket;
      })) {
    for (Found* found : unnamed)
      found->listed.host_unknown = "nobody listens any more";
    return;
  }
  // Names that stand in a path first.
  std::vector<std::string> aliases = configuration.aliases;
  std::stable_partition(
      aliases.begin(), aliases.end(), [&](const std::string& alias) {
        return std::ranges::any_of(unnamed, [&](const Found* found) {
          return found->listed.master.path.find(alias) != std::string::npos;
        });
      });
  const bool all = aliases.size() <= kMaxAliases;
  if (!all) aliases.resize(kMaxAliases);
  std::vector<std::string> paths(aliases.size());
  Concurrently(aliases.size(), kAtOnce, [&](std::size_t i) {
    Request request = plan.request;
    request.destination = aliases[i];
    const Resolution resolution = client.Resolve(request);
    if (const ClientConfig* config = resolution.config.get())
      paths[i] = FirstValue(*config, "controlpath");
  });
  for (Found* found : unnamed) {
    const auto at = std::ranges::find(paths, found->listed.master.path);
    if (at == paths.end()) {
      found->listed.host_unknown =
          all ? "no Host line of the configuration leads to this control path"
              : "none of " + std::to_string(kMaxAliases) +
                    " Host lines tried leads to this control path";
      continue;
    }
    Request request = plan.request;
    request.destination = aliases[static_cast<std::size_t>(at - paths.begin())];
    Name(*found, std::move(request));
  }
}

void NameHosts(const MastersPlan& plan, const Configuration& configuration,
               std::vector<Found>& all, Client& client) {
  std::vector<Found*> unnamed;
  for (Found& found : all) {
    Master& master = found.listed.master;
    const auto* words = master.command_line.get();
    std::optional<Request> request = words ? RequestOf(*words) : std::nullopt;
    if (request) request->ssh = plan.request.ssh;
    if (request)
      Name(found, std::move(*request));
    else
      unnamed.push_back(&found);
    if (master.pid)
      found.listed.peer = FindPeer(*master.pid, plan.options.local_limit);
  }
  NameByAlias(plan, configuration, std::move(unnamed), client);
}

// ----------------------------------------------------------- the judgement --

/// The facts that a listing knows about a master.
Facts FactsOf(const Found& found, std::int64_t now) {
  Facts facts;
  facts.request = found.request;
  facts.collected = now;
  facts.near.uid = static_cast<std::int64_t>(geteuid());
  facts.link.client = "openssh";
  const Master& master = found.listed.master;
  Sharing sharing;
  sharing.control_path = master.path;
  sharing.master = master;
  facts.link.sharing = std::move(sharing);
  facts.link.session = Unknown{"no session was opened"};
  facts.link.control = NotNeeded{"no session was opened"};
  return facts;
}

/// What the check of shared connections says.
HostReport Judge(const Facts& facts, const Selection& selection) {
  return Diagnose(facts, Examine(facts, AllChecks(), selection));
}

/// That check, and of it what the user selected.
Selection OnlySharing(const Selection& selection) {
  return {.only = selection.only.empty()
                      ? std::vector<std::string>{std::string(kCheck)}
                      : selection.only,
          .skip = selection.skip};
}

std::vector<Found> Collect(const MastersPlan& plan, Client& client) {
  const Configuration configuration = ReadConfiguration(plan.request, client);
  std::vector<Found> all = AskAll(plan, configuration);
  NameHosts(plan, configuration, all, client);
  if (!plan.wanted.empty())
    std::erase_if(all, [&plan](const Found& found) {
      return std::ranges::none_of(plan.wanted, [&](const std::string& name) {
        return name == found.listed.master.host ||
               name == found.listed.master.path;
      });
    });
  const std::int64_t now = std::time(nullptr);
  for (Found& found : all)
    if (!found.listed.orphaned)
      found.listed.findings =
          Judge(FactsOf(found, now), OnlySharing(plan.selection)).findings;
  std::ranges::stable_sort(all, {}, [](const Found& found) {
    return std::pair(found.listed.master.host.empty(),
                     found.listed.master.host);
  });
  return all;
}

// -------------------------------------------------------------- the repair --

/// Why a session through this master would tell nothing that may be acted on;
/// empty if it is to be examined.
std::string WhyNotExamined(const Found& found, Client& client) {
  const Master& master = found.listed.master;
  if (found.listed.orphaned) return "no new ssh can reach it";
  if (master.state != MasterState::kAlive) return "it does not answer";
  if (master.host.empty()) return "its host is not known";
  const Resolution resolution = client.Resolve(found.request);
  const ClientConfig* config = resolution.config.get();
  if (!config || config->error)
    return "ssh gives no configuration for " + master.host;
  if (const bool* asked = config->forward_agent.get(); asked && !*asked)
    return "the configuration asks for no forwarding to " + master.host;
  // Whoever made it wanted one of its own, and no next connection of the
  // user's would make another.
  if (FirstValue(*config, "controlpath") != master.path)
    return "ssh " + master.host + " has another control path";
  return {};
}

void Add(MasterList& list, const Found& found,
         const std::vector<RepairRecord>& records) {
  for (const RepairRecord& record : records)
    list.repairs.push_back({.path = found.listed.master.path,
                            .host = found.listed.master.host,
                            .record = record});
}

/// Examines and repairs; what came of it stands in \a all and \a list.
void Reset(const MastersPlan& plan,
           const std::function<std::unique_ptr<Client>()>& make_client,
           std::vector<Found>& all, MasterList& list) {
  RunPlan run{.options = plan.options,
              .selection = OnlySharing(plan.selection),
              .repair = plan.repair};
  Concurrently(all.size(), kAtOnce, [&](std::size_t i) {
    all[i].listed.not_examined = WhyNotExamined(all[i], *make_client());
  });
  std::vector<Found*> examined;
  for (Found& found : all) {
    if (!found.listed.not_examined.empty()) continue;
    examined.push_back(&found);
    run.requests.push_back(found.request);
  }
  Report report = RunAll(run, make_client);
  for (std::size_t i = 0; i < examined.size(); ++i) {
    HostReport& host = report.hosts[i];
    examined[i]->listed.findings = std::move(host.findings);
    if (!host.checks.empty()) examined[i]->listed.examined = host.checks[0];
    Add(list, *examined[i], host.repairs);
  }
  for (const Found& found : all) {
    if (found.listed.not_examined.empty() || found.listed.orphaned) continue;
    const Facts facts = FactsOf(found, std::time(nullptr));
    Add(list, found, Repair(facts, Judge(facts, run.selection), *plan.repair));
  }
}

/// After a repair: the masters that are left, with what was found out about
/// those that were left alone.
std::vector<Found> CollectAgain(const MastersPlan& plan, Client& client,
                                const std::vector<Found>& before) {
  std::vector<Found> all = Collect(plan, client);
  for (Found& found : all) {
    const auto same = std::ranges::find_if(before, [&](const Found& other) {
      return other.listed.master.path == found.listed.master.path &&
             other.listed.master.pid == found.listed.master.pid;
    });
    if (same == before.end()) continue;
    found.listed.examined = same->listed.examined;
    found.listed.not_examined = same->listed.not_examined;
    if (same->listed.examined) found.listed.findings = same->listed.findings;
  }
  return all;
}

}  // namespace

MasterList ListMasters(
    const MastersPlan& plan,
    const std::function<std::unique_ptr<Client>()>& make_client) {
  const Clock::time_point start = Clock::now();
  MasterList list{.started = std::time(nullptr),
                  .fix_requested = plan.repair.has_value()};
  const std::unique_ptr<Client> client = make_client();
  std::vector<Found> all = Collect(plan, *client);
  if (plan.repair && !Interrupted()) {
    Reset(plan, make_client, all, list);
    const bool changed =
        std::ranges::any_of(list.repairs, [](const MasterRepair& repair) {
          return repair.record.status == RepairStatus::kApplied;
        });
    if (changed && !Interrupted()) all = CollectAgain(plan, *client, all);
  }
  for (Found& found : all) list.masters.push_back(std::move(found.listed));
  list.interrupted = Interrupted();
  list.duration_ms = MillisecondsSince(start);
  return list;
}

}  // namespace agentdoctor
