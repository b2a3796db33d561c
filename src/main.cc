// Options in, report out.  The only file that knows CLI11.

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/check.h"
#include "agents.h"
#include "clients/client.h"
#include "clients/shared_configs.h"
#include "command_line.h"
#include "facts_json.h"
#include "here.h"
#include "masters.h"
#include "probes/here_script.h"
#include "probes/next_hop.h"
#include "report/pages.h"
#include "report/render.h"
#include "report/version.h"
#include "run.h"
#include "system/file.h"
#include "system/interrupt.h"
#include "system/process.h"
#include "system/text.h"

namespace agentdoctor {
namespace {

constexpr int kWrongUsage = 2;

/// Wrong usage: a message on standard error, nothing on standard output.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// ------------------------------------------------------------- the options --

/// ssh's own options, kept as typed and in order: to ssh, the order matters.
struct SshWords {
  std::vector<CLI::Option*> options = {};
  std::string ssh = "ssh";
};

void AddSshOptions(CLI::App& app, SshWords& words) {
  const auto flag = [&](const char* name, const std::string& description) {
    words.options.push_back(app.add_flag(name, description)->group("ssh(1)"));
  };
  const auto value = [&](const char* name, const char* type,
                         const std::string& description) {
    words.options.push_back(
        app.add_option(name, description)
            ->type_name(type)
            ->type_size(1)
            ->expected(1)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
            ->allow_extra_args(false)
            ->group("ssh(1)"));
  };
  flag("-4", "IPv4 only");
  flag("-6", "IPv6 only");
  flag("-A", "Forward the agent");
  flag("-a", "Do not forward the agent");
  value("-F", "FILE", "Configuration file");
  value("-i", "FILE", "Identity file");
  value("-J", "DEST", "Jump host");
  value("-l", "USER", "User name on the server");
  value("-o", "OPTION", "An option as in ssh_config(5)");
  value("-p", "PORT", "Port on the server");
  app.add_option("--ssh", words.ssh, "The ssh program")->type_name("PATH");
}

std::vector<std::string> Words(const CLI::App& app, const SshWords& words) {
  std::vector<std::string> argv;
  std::map<const CLI::Option*, std::size_t> seen;
  for (const CLI::Option* option : app.parse_order()) {
    if (std::ranges::find(words.options, option) == words.options.end())
      continue;
    argv.push_back(option->get_name());
    if (option->get_expected_max() > 0)
      argv.push_back(option->results().at(seen[option]++));
  }
  return argv;
}

/// One of a few words; the option's type name lists them in the help.
CLI::Validator OneOf(std::vector<std::string> words) {
  return CLI::IsMember(std::move(words)).description("");
}

std::string Alternatives(const std::vector<std::string>& words) {
  std::string joined;
  for (const std::string& word : words)
    joined += (joined.empty() ? "" : "|") + word;
  return joined;
}

/// Where the report goes and what it looks like.
struct OutputOptions {
  std::string format = "text";
  bool json = false;
  std::string file = {};
  std::string colour = "auto";
  bool strict = false;
  bool quiet = false;
  bool verbose = false;
  Selection selection = {};
  CLI::Option* format_option = nullptr;
};

void AddFormatOptions(CLI::App& app, OutputOptions& output) {
  output.format_option =
      app.add_option("--format", output.format, "How the report is written")
          ->check(OneOf({"text", "json"}))
          ->type_name("text|json");
  app.add_flag("--json", output.json, "The same as --format json")
      ->excludes(output.format_option);
  app.add_option("--output", output.file, "Write the report to FILE")
      ->type_name("FILE");
  app.add_option("--color", output.colour, "Colour the text report")
      ->check(OneOf({"auto", "always", "never"}))
      ->type_name("auto|always|never");
}

void AddLengthOptions(CLI::App& app, OutputOptions& output,
                      const std::string& quiet, const std::string& verbose) {
  app.add_flag("--quiet", output.quiet, quiet);
  app.add_flag("--verbose", output.verbose, verbose);
}

void AddSelectionOptions(CLI::App& app, OutputOptions& output) {
  app.add_flag("--strict", output.strict, "Warnings fail, too");
  app.add_option("--only", output.selection.only,
                 "Report only these checks or codes")
      ->type_name("CODE|CHECK")
      ->delimiter(',')
      ->allow_extra_args(false);
  app.add_option("--skip", output.selection.skip,
                 "Leave these checks or codes out")
      ->type_name("CODE|CHECK")
      ->delimiter(',')
      ->allow_extra_args(false);
}

void AddReportOptions(CLI::App& app, OutputOptions& output) {
  AddFormatOptions(app, output);
  AddLengthOptions(app, output, "One line per host",
                   "All evidence, all checks");
  AddSelectionOptions(app, output);
}

bool Json(const OutputOptions& output) {
  return output.json || output.format == "json";
}

void CheckSelection(const Selection& selection) {
  for (const auto* names : {&selection.only, &selection.skip})
    for (const std::string& name : *names) {
      const bool known =
          std::ranges::any_of(AllChecks(), [&](const Check& check) {
            return check.id == name ||
                   std::ranges::find(check.codes, name) != check.codes.end();
          });
      if (!known)
        throw UsageError("\"" + name +
                         "\" is neither a check nor a code; see "
                         "agentdoctor run --list-checks");
    }
}

// -------------------------------------------------------------- the output --

bool Utf8Locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (!value || !*value) continue;
    const std::string lower = Lower(value);
    return lower.find("utf-8") != std::string::npos ||
           lower.find("utf8") != std::string::npos;
  }
  return false;
}

TextStyle Style(const OutputOptions& output) {
  TextStyle style;
  const bool terminal = output.file.empty() && isatty(STDOUT_FILENO) != 0;
  const char* no_color = std::getenv("NO_COLOR");
  // Whoever set it wants none from any program, and a script's --color always
  // can't know of them.
  const bool plain = no_color != nullptr && *no_color != '\0';
  style.colour = !plain && (output.colour == "always" ||
                            (output.colour == "auto" && terminal));
  style.quiet = output.quiet;
  style.verbose = output.verbose;
  style.ascii = !Utf8Locale();
  winsize size = {};
  if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 &&
      size.ws_col >= 40)
    style.columns = std::min<std::size_t>(size.ws_col, 120);
  return style;
}

constexpr mode_t kPublic = 0666;
constexpr mode_t kPrivate = 0600;

/// A login may cost a person a touch or a code: a report that can be written
/// nowhere is better known before it.
void ExpectWritable(const std::string& path, mode_t mode) {
  if (path.empty()) return;
  // Not a FIFO or a device: opening it may wait, or mean something.
  struct stat found = {};
  if (stat(path.c_str(), &found) == 0 && !S_ISREG(found.st_mode) &&
      !S_ISDIR(found.st_mode))
    return;
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, mode);
  if (fd < 0) throw UsageError(path + ": " + std::strerror(errno));
  close(fd);
}

/// Writes everything; 0 or the error.
int WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

/// Writes everything or throws; \a mode holds for a new file, and a private
/// one gets it in any case.
void WriteFile(const std::string& path, const std::string& text, mode_t mode) {
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  const auto fail = [&path](int error) {
    throw std::runtime_error(path + ": " + std::strerror(error));
  };
  if (fd < 0) fail(errno);
  struct stat found = {};
  // Never the mode of /dev/null.
  const bool regular = fstat(fd, &found) == 0 && S_ISREG(found.st_mode);
  if (mode == kPrivate && regular && fchmod(fd, mode) != 0) {
    const int error = errno;
    close(fd);
    fail(error);
  }
  if (const int error = WriteAll(fd, text); error != 0) {
    close(fd);
    fail(error);
  }
  if (close(fd) != 0) fail(errno);
}

/// Who closed the pipe has read enough; a full disk is another matter.
void Print(const std::string& text) {
  if (const int error = WriteAll(STDOUT_FILENO, text);
      error != 0 && error != EPIPE)
    throw std::runtime_error(std::string("standard output: ") +
                             std::strerror(error));
}

void Write(const std::string& text, const OutputOptions& output) {
  if (output.file.empty())
    Print(text);
  else
    WriteFile(output.file, text, kPublic);
}

int WriteReport(const Report& report, const OutputOptions& output) {
  Write(Json(output) ? RenderJson(report) : RenderText(report, Style(output)),
        output);
  return ExitStatus(report, output.strict);
}

/// Progress and urgent messages: standard error, harmless whatever they hold.
void Say(const std::string& message) {
  const std::string line = "agentdoctor: " + Harmless(message) + "\n";
  std::fputs(line.c_str(), stderr);
}

// ------------------------------------------------------------ the commands --

struct FixOptions {
  bool fix = false;
  bool dry_run = false;
  bool force = false;
};

void AddFixOptions(CLI::App& app, FixOptions& fix) {
  app.add_flag("--fix", fix.fix, "Repair what is safe, then look again");
  app.add_flag("--dry-run", fix.dry_run, "Say what --fix would do");
  app.add_flag("--force", fix.force,
               "With --fix: also what may end work of yours");
}

std::optional<RepairOptions> RepairFor(const FixOptions& fix) {
  if (fix.force && !fix.fix)
    throw UsageError("--force only means something with --fix");
  if (!fix.fix && !fix.dry_run) return std::nullopt;
  return RepairOptions{.dry_run = fix.dry_run, .force = fix.force};
}

void AddTimeoutOption(CLI::App& app, double& timeout) {
  app.add_option("--timeout", timeout,
                 "Longest wait for a network step without progress")
      ->check(CLI::Range(0.1, 3600.0).description(""))
      ->type_name("SECONDS");
}

struct RunArguments {
  SshWords ssh = {.ssh = {}};  ///< the client's own program
  std::vector<std::string> destinations = {};
  std::vector<std::string> pasted = {};  ///< after "--"
  OutputOptions output = {};
  FixOptions fix = {};
  bool list_checks = false;
  bool interactive = false;
  double timeout = 10;
  std::string control = "auto";
  std::vector<std::string> then = {};
  std::string key = {};
  std::vector<std::string> to = {};
  std::string record = {};
  std::string client = "openssh";
};

void AddRunOptions(CLI::App& app, RunArguments& run) {
  app.add_option("DESTINATION", run.destinations,
                 "host, user@host or ssh://user@host:port (plink: or a saved "
                 "session); after \"--\" a whole ssh command line");
  AddSshOptions(app, run.ssh);
  app.add_option("--to", run.to,
                 "From the host, can the forwarded keys log in to DEST? "
                 "Repeatable")
      ->type_name("DEST")
      ->allow_extra_args(false);
  AddFixOptions(app, run.fix);
  AddReportOptions(app, run.output);
  app.add_flag("--list-checks", run.list_checks, "List the checks and codes");
  AddTimeoutOption(app, run.timeout);
  app.add_option("--then", run.then,
                 "Go on through the host to DEST and examine forwarding there, "
                 "too; repeatable")
      ->type_name("DEST")
      ->allow_extra_args(false);
  app.add_option("--key", run.key, "The identity that has to arrive")
      ->type_name("FILE|FINGERPRINT");
  app.add_option("--client", run.client, "The client whose way is examined")
      ->check(OneOf(ClientNames()))
      ->type_name(Alternatives(ClientNames()));
  app.add_flag("--interactive", run.interactive,
               "ssh may ask for passphrases, passwords and second factors");
  app.add_option("--control", run.control, "The control experiment")
      ->check(OneOf({"auto", "always", "never"}))
      ->type_name("auto|always|never");
  app.add_option("--record", run.record, "Save the collected facts to FILE")
      ->type_name("FILE");
}

/// The fingerprint of --key: as given, or of a key file (a public one, or the
/// public half of a private one) as ssh-keygen(1) reads it.
std::string KeyFingerprint(const std::string& key) {
  if (key.empty() || key.starts_with("SHA256:")) return key;
  std::string file = key;
  if (file.starts_with("~/")) file = HomeDirectory() + file.substr(1);
  const ProcessResult keygen = Run({.argv = {"ssh-keygen", "-l", "-f", file},
                                    .total_limit = Milliseconds{5000}});
  const std::size_t start = keygen.out.find("SHA256:");
  if (keygen.end != ProcessEnd::kExited || keygen.status != 0 ||
      start == std::string::npos)
    throw UsageError(
        "--key " + key + ": " +
        (keygen.error.empty()
             ? std::string(Trim(keygen.err.empty() ? keygen.out : keygen.err))
             : keygen.error));
  return keygen.out.substr(start, keygen.out.find(' ', start) - start);
}

/// --to, each destination once.
std::vector<std::string> NextHops(const std::vector<std::string>& words) {
  std::vector<std::string> to;
  for (const std::string& word : words) {
    if (const std::string fault = DestinationFault(word); !fault.empty())
      throw UsageError("--to: " + fault);
    if (!IsPlainDestination(word))
      throw UsageError("--to " + word +
                       ": a character that is not handed on to another host");
    if (std::ranges::find(to, word) == to.end()) to.push_back(word);
  }
  if (to.size() > kMaxNextHops)
    throw UsageError("--to takes at most " + std::to_string(kMaxNextHops) +
                     " destinations");
  return to;
}

std::vector<Request> Requests(const CLI::App& app, const RunArguments& run) {
  std::vector<Request> requests;
  if (!run.pasted.empty()) {
    if (!run.destinations.empty())
      throw UsageError("give destinations or, after \"--\", an ssh command");
    try {
      requests.push_back(ParseSshCommand(run.pasted));
    } catch (const std::invalid_argument& error) {
      throw UsageError(error.what());
    }
    std::vector<std::string> words = Words(app, run.ssh);
    Request& request = requests.front();
    request.ssh_options.insert(request.ssh_options.begin(), words.begin(),
                               words.end());
    if (!run.ssh.ssh.empty()) request.ssh = run.ssh.ssh;
  }
  for (const std::string& destination : run.destinations) {
    // The others have destinations of their own kind, and see RequestFault().
    const std::string fault =
        ClientProgram(run.client) == "ssh" ? DestinationFault(destination) : "";
    if (!fault.empty()) throw UsageError(fault);
    const bool again =
        std::ranges::any_of(requests, [&](const Request& request) {
          return request.destination == destination;
        });
    if (again) continue;
    Request request;
    request.destination = destination;
    request.ssh = run.ssh.ssh.empty() ? ClientProgram(run.client) : run.ssh.ssh;
    request.ssh_options = Words(app, run.ssh);
    requests.push_back(std::move(request));
  }
  if (requests.empty()) throw UsageError("a destination is missing");
  const std::string fingerprint = KeyFingerprint(run.key);
  const std::vector<std::string> to = NextHops(run.to);
  for (Request& request : requests) {
    request.key = run.key;
    request.key_fingerprint = fingerprint;
    request.interactive = run.interactive;
    request.client = run.client;
    if (const std::string fault = RequestFault(request); !fault.empty())
      throw UsageError(fault);
    request.to = to;
  }
  return requests;
}

int ListChecks() {
  std::ostringstream text;
  for (const Check& check : AllChecks()) {
    text << check.id << "  " << check.title << "\n";
    for (const std::string_view code : check.codes)
      text << "    " << code << "\n";
  }
  Print(text.str());
  return 0;
}

RunOptions OptionsFor(double timeout) {
  RunOptions options;
  options.step_limit = Milliseconds(static_cast<long>(timeout * 1000));
  options.configs = std::make_shared<SharedConfigs>();
  options.tell = [](const std::string& host, const std::string& message) {
    Say(host + ": " + message);
  };
  return options;
}

/// What can't be asked of a client, and why.
void CheckClient(const RunArguments& run) {
  if (run.client != "libssh") return;
  const std::string client = "--client libssh ";
  if (!run.to.empty())
    throw UsageError(client +
                     "takes no --to: it forwards a canary in place of your "
                     "agent, and no key of that one can log in anywhere");
  if (!run.then.empty())
    throw UsageError(client +
                     "takes no --then: its sessions end with the examination, "
                     "and without your agent nothing leads on from a host");
  if (run.interactive)
    throw UsageError(client +
                     "takes no --interactive: it asks nobody anything");
}

int RunCommand(const CLI::App& app, const RunArguments& run) {
  if (run.list_checks) return ListChecks();
  CheckSelection(run.output.selection);
  CheckClient(run);
  RunPlan plan;
  plan.repair = RepairFor(run.fix);
  plan.requests = Requests(app, run);
  for (const std::string& destination : run.then)
    if (const std::string fault = DestinationFault(destination); !fault.empty())
      throw UsageError("--then: " + fault);
  plan.then = run.then;
  plan.options = OptionsFor(run.timeout);
  plan.control = run.control == "always"  ? ControlMode::kAlways
                 : run.control == "never" ? ControlMode::kNever
                                          : ControlMode::kAuto;
  plan.selection = run.output.selection;
  ExpectWritable(run.output.file, kPublic);
  ExpectWritable(run.record, kPrivate);

  Recording recording;
  const Report report = RunAll(
      plan, [&] { return MakeClient(run.client, plan.options); },
      run.record.empty() ? nullptr : &recording);
  const int status = WriteReport(report, run.output);
  if (!run.record.empty())
    WriteFile(run.record, WriteRecording(recording), kPrivate);
  return status;
}

struct HereArguments {
  OutputOptions output = {};
  bool fix = false;
  bool dry_run = false;
  bool line = false;  ///< --export
  bool script = false;
  std::string shell = {};
  std::string record = {};
};

void AddHereOptions(CLI::App& app, HereArguments& here) {
  AddReportOptions(app, here.output);
  CLI::Option* fix = app.add_flag(
      "--fix", here.fix, "Set the variable in tmux and screen, for new panes");
  CLI::Option* dry_run =
      app.add_flag("--dry-run", here.dry_run, "Say what --fix would do");
  CLI::Option* line = app.add_flag(
      "--export", here.line, "Print only the line for this shell's `eval`");
  app.add_option("--shell", here.shell, "With --export: the shell's syntax")
      ->check(OneOf({"sh", "fish", "csh"}))
      ->type_name("sh|fish|csh")
      ->needs(line);
  CLI::Option* script =
      app.add_flag("--script", here.script,
                   "Print a script that does this where nothing is installed")
          ->excludes(line);
  CLI::Option* record = app.add_option("--record", here.record,
                                       "Save the collected facts to FILE")
                            ->type_name("FILE");
  // These print no report.
  for (CLI::Option* alone : {line, script})
    for (CLI::Option* other : {fix, dry_run, record}) alone->excludes(other);
}

int ExportCommand(const HereArguments& here) {
  const std::optional<std::string> agent = ChooseAgent();
  if (!agent) {
    Say("no agent of yours with keys answers here; agentdoctor here says more");
    return 1;
  }
  using checks::Syntax;
  const Syntax syntax = here.shell == "fish"  ? Syntax::kFish
                        : here.shell == "csh" ? Syntax::kCsh
                        : here.shell == "sh"  ? Syntax::kSh
                                              : ParentSyntax();
  Print(checks::ExportLine(checks::ShellWord(*agent, syntax), syntax) + "\n");
  return 0;
}

int HereCommand(const HereArguments& here) {
  if (here.line) return ExportCommand(here);
  if (here.script) {
    Print(HereScript());
    return 0;
  }
  CheckSelection(here.output.selection);
  RunPlan plan;
  plan.selection = here.output.selection;
  if (here.fix || here.dry_run)
    plan.repair = RepairOptions{.dry_run = here.dry_run};
  ExpectWritable(here.output.file, kPublic);
  ExpectWritable(here.record, kPrivate);

  Recording recording;
  const Report report =
      RunHere(plan, here.record.empty() ? nullptr : &recording);
  const int status = WriteReport(report, here.output);
  if (!here.record.empty())
    WriteFile(here.record, WriteRecording(recording), kPrivate);
  return status;
}

struct ReplayArguments {
  std::string file = {};
  OutputOptions output = {};
};

int ReplayCommand(const ReplayArguments& replay) {
  CheckSelection(replay.output.selection);
  constexpr std::size_t kLimit = std::size_t{256} << 20;
  const auto text = ReadFile(replay.file, kLimit);
  if (!text) throw UsageError(replay.file + ": " + std::strerror(errno));
  Recording recording;
  try {
    recording = ReadRecording(*text, replay.file);
  } catch (const std::runtime_error& error) {
    throw UsageError(error.what());
  }
  return WriteReport(MakeReport(recording, replay.output.selection),
                     replay.output);
}

struct ConfigArguments {
  SshWords ssh = {};
  std::string destination = {};
  std::vector<std::string> keywords = {};
  OutputOptions output = {};
};

int ConfigCommand(const CLI::App& app, const ConfigArguments& config) {
  if (const std::string fault = DestinationFault(config.destination);
      !fault.empty())
    throw UsageError(fault);
  Facts facts;
  facts.request.destination = config.destination;
  facts.request.ssh = config.ssh.ssh;
  facts.request.ssh_options = Words(app, config.ssh);
  const Resolution resolution =
      MakeOpenSsh(RunOptions{})->Resolve(facts.request);
  facts.link.version = resolution.version;
  facts.link.config = resolution.config;
  const ClientConfig* known = facts.link.config.get();
  if (!known || known->error) {
    if (known) {
      const ConfigError& error = *known->error;
      Say("ssh -G " + config.destination + ": " +
          (error.file.empty()
               ? std::string()
               : Abbreviate(error.file) +
                     (error.line > 0 ? " line " + std::to_string(error.line)
                                     : std::string()) +
                     ": ") +
          error.message);
    } else {
      Say("ssh -G " + config.destination + ": " + facts.link.config.reason());
    }
    return known ? 1 : 3;
  }
  std::vector<std::string> keywords;
  for (const std::string& keyword : config.keywords)
    keywords.push_back(Lower(keyword));
  Write(Json(config.output) ? RenderConfigJson(facts, keywords)
                            : RenderConfigText(facts, keywords),
        config.output);
  return 0;
}

struct AgentsArguments {
  SshWords ssh = {};
  std::string destination = {};
  OutputOptions output = {};
};

int AgentsCommand(const CLI::App& app, const AgentsArguments& agents) {
  if (const std::string fault = DestinationFault(agents.destination);
      !agents.destination.empty() && !fault.empty())
    throw UsageError(fault);
  ExpectWritable(agents.output.file, kPublic);
  const RunOptions options;
  const AgentList list = ListAgents({.destination = agents.destination,
                                     .ssh_options = Words(app, agents.ssh),
                                     .ssh = agents.ssh.ssh},
                                    *MakeOpenSsh(options), options);
  Write(Json(agents.output) ? RenderAgentsJson(list)
                            : RenderAgentsText(list, Style(agents.output)),
        agents.output);
  return ExitStatus(list);
}

struct MastersArguments {
  std::string ssh = "ssh";
  std::string config = {};
  std::vector<std::string> wanted = {};
  FixOptions fix = {};
  double timeout = 10;
  OutputOptions output = {};
};

/// Only one check speaks about masters.
void CheckMasterSelection(const Selection& selection) {
  for (const auto* names : {&selection.only, &selection.skip})
    for (const std::string& name : *names)
      for (const Check& check : AllChecks())
        if (check.stage != Stage::kSharing &&
            (check.id == name ||
             std::ranges::find(check.codes, name) != check.codes.end()))
          throw UsageError("\"" + name + "\" says nothing about a master");
}

int MastersCommand(const MastersArguments& masters) {
  CheckSelection(masters.output.selection);
  CheckMasterSelection(masters.output.selection);
  MastersPlan plan;
  plan.request.ssh = masters.ssh;
  if (!masters.config.empty())
    plan.request.ssh_options = {"-F", masters.config};
  plan.wanted = masters.wanted;
  plan.options = OptionsFor(masters.timeout);
  plan.selection = masters.output.selection;
  plan.repair = RepairFor(masters.fix);
  ExpectWritable(masters.output.file, kPublic);
  const MasterList list =
      ListMasters(plan, [&plan] { return MakeOpenSsh(plan.options); });
  Write(Json(masters.output) ? RenderMastersJson(list)
                             : RenderMastersText(list, Style(masters.output)),
        masters.output);
  return ExitStatus(list, masters.output.strict);
}

int ExplainCommand(const std::string& code) {
  if (code.empty()) {
    std::ostringstream text;
    for (const Page& page : AllPages())
      text << page.code << "\n    " << FirstSentence(page) << "\n";
    Print(text.str());
    return 0;
  }
  const Page* page = FindPage(code);
  if (!page)
    throw UsageError("there is no finding \"" + code +
                     "\"; agentdoctor explain lists them");
  Print(std::string(page->text));
  return 0;
}

/// Where the parent closed one of them, the next descriptor of ours would take
/// its number, and messages would go into a pipe or to an agent.
void OpenStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    // open(2) takes the lowest number.  A report into a closed standard output
    // has to fail, so that one is not for writing.
    if (fcntl(fd, F_GETFD) < 0 &&
        open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR) < 0)
      return;
}

int Main(int argc, char** argv) {
  CLI::App app{
      "Finds out why SSH agent forwarding does not work, and proves it"};
  app.name("agentdoctor");
  app.set_version_flag("--version", std::string("agentdoctor ") + kVersion);
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "Print this help");

  RunArguments run;
  CLI::App* run_app =
      app.add_subcommand("run", "Examine the forwarding path to destinations");
  AddRunOptions(*run_app, run);

  HereArguments here;
  CLI::App* here_app = app.add_subcommand(
      "here", "Examine this session from inside, and repair this shell");
  AddHereOptions(*here_app, here);

  ConfigArguments config;
  CLI::App* config_app = app.add_subcommand(
      "config", "Say where each effective value of ssh's configuration is set");
  config_app
      ->add_option("DESTINATION", config.destination,
                   "host, user@host or ssh://user@host:port")
      ->required();
  config_app->add_option("KEYWORD", config.keywords,
                         "Keywords of ssh_config(5)");
  AddSshOptions(*config_app, config.ssh);
  AddFormatOptions(*config_app, config.output);

  AgentsArguments agents;
  CLI::App* agents_app = app.add_subcommand(
      "agents", "List the agents here, and say which one would be forwarded");
  agents_app->add_option("DESTINATION", agents.destination,
                         "host, user@host or ssh://user@host:port; without, "
                         "no host in particular");
  AddSshOptions(*agents_app, agents.ssh);
  AddFormatOptions(*agents_app, agents.output);
  AddLengthOptions(*agents_app, agents.output, "One line",
                   "All keys, owners, extensions");

  MastersArguments masters;
  CLI::App* masters_app = app.add_subcommand(
      "masters", "List the multiplexing masters; --fix resets stale ones");
  masters_app->add_option("MASTER", masters.wanted,
                          "Hosts or control paths; without, all masters");
  masters_app->add_option("-F", masters.config, "Configuration file")
      ->type_name("FILE")
      ->group("ssh(1)");
  masters_app->add_option("--ssh", masters.ssh, "The ssh program")
      ->type_name("PATH");
  AddFixOptions(*masters_app, masters.fix);
  AddTimeoutOption(*masters_app, masters.timeout);
  AddFormatOptions(*masters_app, masters.output);
  AddLengthOptions(*masters_app, masters.output, "One line per master",
                   "All evidence");
  AddSelectionOptions(*masters_app, masters.output);

  std::string code;
  CLI::App* explain_app = app.add_subcommand(
      "explain", "Explain a finding; without CODE, list all");
  explain_app->add_option("CODE", code, "A finding's code");

  ReplayArguments replay;
  CLI::App* replay_app = app.add_subcommand(
      "replay", "The report of a recorded run, without touching anything");
  replay_app->add_option("FILE", replay.file, "Made by run --record")
      ->required();
  AddReportOptions(*replay_app, replay.output);

  // A pasted ssh command keeps its words to itself: what follows "--" is for
  // our own reading, not CLI11's.
  std::vector<std::string> words(argv + 1, argv + argc);
  if (const auto dashes = std::ranges::find(words, "--");
      dashes != words.end() && words[0] == "run" && dashes + 1 != words.end()) {
    const std::vector<std::string> pasted(dashes + 1, words.end());
    if (NamesSsh(pasted[0])) {
      run.pasted = pasted;
      words.erase(dashes, words.end());
    } else if (const std::string fault = OtherCommandFault(pasted);
               !fault.empty()) {
      Say(fault);
      return kWrongUsage;
    }
  }
  std::ranges::reverse(words);  // as CLI11 wants them

  try {
    app.parse(words);
    if (*run_app) return RunCommand(*run_app, run);
    if (*here_app) return HereCommand(here);
    if (*config_app) return ConfigCommand(*config_app, config);
    if (*agents_app) return AgentsCommand(*agents_app, agents);
    if (*masters_app) return MastersCommand(masters);
    if (*explain_app) return ExplainCommand(code);
    return ReplayCommand(replay);
  } catch (const CLI::Success& success) {
    std::ostringstream text;  // of --help, --version
    const int status = app.exit(success, text, text);
    Print(text.str());
    return status;
  } catch (const CLI::ParseError& error) {
    Say(error.what());
    Say("agentdoctor --help shows the usage");
    return kWrongUsage;
  } catch (const UsageError& error) {
    Say(error.what());
    return kWrongUsage;
  }
}

}  // namespace
}  // namespace agentdoctor

int main(int argc, char** argv) {
  agentdoctor::OpenStandardStreams();
  agentdoctor::CatchInterrupts();
  try {
    return agentdoctor::Main(argc, argv);
  } catch (const std::exception& error) {
    agentdoctor::Say(error.what());
    return 3;
  }
}
