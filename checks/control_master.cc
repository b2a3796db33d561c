// Does a shared connection (ControlMaster) stand in the way?
#include <algorithm>
#include <array>

#include "agentdoctor/ssh_options.h"
#include "checks.h"
#include "path.h"
#include "putty.h"
#include "words.h"

namespace agentdoctor::checks {
namespace {

constexpr std::array<std::string_view, 12> kCodes = {
    "mux-master-without-forwarding",
    "mux-master-dead-agent",
    "mux-master-other-agent",
    "mux-master-unresponsive",
    "works-only-through-master",  // diagnose.cc: it stands for other findings
    "mux-connection-dead",
    "mux-session-refused",
    "mux-socket-stale",
    "mux-path-not-unique",
    "mux-path-too-long",
    "mux-directory-missing",
    "mux-leaks-forwarding"};

/// What the program that holds a shared connection is called, and its clients.
struct Terms {
  std::string master;
  std::string a_master;
  std::string client;
  std::string question;       ///< what only tells that the process lives
  std::string without_agent;  ///< the option that asks for no agent
};

const Terms& TermsOf(const Facts& facts) {
  static const Terms ssh{"master", "A master", "ssh", "ssh -O check", "ssh -a"};
  static const Terms putty{"upstream", "An upstream", "PuTTY",
                           "plink -shareexists", "plink -a"};
  return IsPutty(facts) ? putty : ssh;
}

/// "probe through the master", as the source of an evidence.
std::string ThroughSource(const Facts& facts, const char* what = "probe") {
  return what + (" through the " + TermsOf(facts).master);
}

/// "the master for gitlab-runner (pid 6192, 3 days old)".
std::string Describe(const Facts& facts, const Master& master) {
  std::string details;
  if (master.pid) details = "pid " + std::to_string(*master.pid);
  if (const std::int64_t* started = master.started.get()) {
    if (!details.empty()) details += ", ";
    details += Age(facts.collected - *started) + " old";
  }
  const std::string& host =
      master.host.empty() ? facts.request.destination : master.host;
  return "the " + TermsOf(facts).master +
         (host.empty() ? " at " + master.path : " for " + host) +
         (details.empty() ? "" : " (" + details + ")");
}

/// The master's answer, and what is newer than it.
std::vector<Evidence> Seen(const Facts& facts, const Master& master) {
  std::vector<Evidence> evidence = {
      {.source = TermsOf(facts).question + " " + facts.request.destination,
       .text = !master.detail.empty() ? master.detail
               : IsPutty(facts)       ? "an upstream listens at " + master.path
               : master.pid
                   ? "Master running (pid=" + std::to_string(*master.pid) + ")"
                   : "Master running"}};
  if (const std::int64_t* started = master.started.get())
    evidence.push_back(
        {.source = "process", .text = "started " + Moment(*started)});
  for (const ConfigFile& file : master.newer_config)
    evidence.push_back({.source = "stat",
                        .text = "changed " + Moment(file.modified) +
                                ", after the " + TermsOf(facts).master +
                                " started",
                        .file = file.path});
  return evidence;
}

/// `ssh -O ...` as a person types it: with the options that decide on the
/// control path.  With `ControlMaster yes` or `ask` ssh would log in instead of
/// asking the master (mux.c, muxclient).
std::vector<std::string> MasterCommand(const Facts& facts,
                                       const std::string& command) {
  std::vector<std::string> argv{facts.request.ssh};
  const std::string& mode = facts.link.sharing->control_master;
  if (IsYes(mode) || mode == "ask")
    argv.insert(argv.end(), {"-o", "ControlMaster=no"});
  const std::vector<std::string>& options = facts.request.ssh_options;
  constexpr std::string_view kPathOptions = "FJPSlop";
  for (std::size_t i = 0; i + 1 < options.size(); ++i)
    if (options[i].size() == 2 && options[i][0] == '-' &&
        kPathOptions.find(options[i][1]) != std::string_view::npos) {
      argv.push_back(options[i]);
      argv.push_back(options[++i]);
    }
  argv.insert(argv.end(), {"-O", command, facts.request.destination});
  return argv;
}

/// -L, -R, -D or -w among the words of a command line.  (-N alone says that it
/// was started to be shared.)
bool StartedForItsForwardings(const std::vector<std::string>& command_line) {
  return std::ranges::any_of(command_line, [](const std::string& word) {
    if (word.size() < 2 || word[0] != '-' || word[1] == '-') return false;
    // In "-fNL" every letter is an option; behind one that takes an argument
    // ("-oLogLevel=quiet", "-S/run/Lab") none is.
    const auto letter =
        std::find_if(word.begin() + 1, word.end(), SshOptionTakesArgument);
    return letter != word.end() && HasOption("LRDw", *letter);
  });
}

/// Why stopping the master needs a person's eye; empty if it does not.
std::string ReasonToAsk(const Facts& facts, const Master& master) {
  const Control* control = facts.link.control.get();
  if (!control || !control->logged_in)
    return "no fresh login succeeded in this run: make sure that you can log "
           "in again";
  const auto* forwardings = master.forwardings.get();
  if (!forwardings)
    return "whether it carries port forwardings can't be seen here";
  if (!forwardings->empty())
    return "its port forwardings would end: " + List(*forwardings);
  const auto* words = master.command_line.get();
  if (StartedForItsForwardings(words ? *words : Words(master.command_text)))
    return "it was started for its port forwardings, which would end";
  if (const ClientConfig* config = facts.link.config.get();
      config && !FirstValue(*config, "remoteforward").empty())
    return "it may carry the RemoteForward of the configuration, which would "
           "end";
  return {};
}

/// The remedy for a stale master.  With `-O stop` it takes no new sessions and
/// ends with its last one, so nobody's shell is lost.
Fix StopMaster(const Facts& facts, const Master& master, bool deliberate) {
  if (IsPutty(facts)) return CloseUpstream(facts, master);
  Fix fix{.title =
              "Let the old master go, so that the next connection makes a "
              "new one",
          .safety = Safety::kSafe,
          .commands = {MasterCommand(facts, "stop")},
          .action = Action::kStopMaster,
          .target = master.path};
  const std::string reason =
      deliberate ? "it may be meant to be so" : ReasonToAsk(facts, master);
  if (!reason.empty()) {
    fix.safety = Safety::kReview;
    fix.title += "; but " + reason;
  }
  return fix;
}

// ------------------------------------------------------- files and folders --

Fix UseUniquePath(const Facts& facts, const Sharing& sharing) {
  Fix fix{.title =
              "Use a path that is short and differs for every host, port and "
              "user",
          .safety = Safety::kManual,
          .shell_lines = {"mkdir -p -m 700 ~/.ssh/cm"}};
  // No file wins against the command line.
  if (!CommandLineOption(facts, "controlpath").empty()) {
    fix.commands = {SshWith(facts, "ControlPath", "~/.ssh/cm/%C")};
    return fix;
  }
  Edit edit{.file = "~/.ssh/config", .text = "ControlPath ~/.ssh/cm/%C"};
  if (sharing.line) {
    edit.file = sharing.line->file;
    edit.line = sharing.line->line;
  }
  fix.edits = {std::move(edit)};
  return fix;
}

void JudgePath(const Facts& facts, const Sharing& sharing, Answer& answer) {
  const std::string& path = sharing.control_path;
  const bool becomes_master =
      !IsNo(sharing.control_master) && !sharing.control_master.empty();
  std::vector<Evidence> evidence;
  if (sharing.line) evidence.push_back(AsEvidence(*sharing.line));

  // A master listens on the path with a dot and 16 random characters behind it
  // first (misc.c, unix_listener); only to connect takes the bare path.
  constexpr std::size_t kTemporarySuffix = 17;
  const auto limit = static_cast<std::size_t>(std::max(sharing.path_limit, 0));
  if (limit > 0 && path.size() > limit &&
      (becomes_master || path.size() > limit + kTemporarySuffix)) {
    auto with_length = evidence;
    with_length.push_back(
        {.source = SshSource(facts, "-G"), .text = "controlpath " + path});
    answer.findings.push_back(
        {.code = "mux-path-too-long",
         .severity = Severity::kWarning,
         .summary = "ControlPath is too long to share a connection: " +
                    std::to_string(path.size()) + " bytes, and " +
                    std::to_string(limit) + " fit: " + path,
         .explanation = "ssh ends with an error where it can't make the "
                        "socket; it does not go on without one.",
         .evidence = std::move(with_length),
         .fixes = {UseUniquePath(facts, sharing)}});
  }

  const ControlDirectory& folder = sharing.directory;
  const std::int64_t* uid = facts.near.uid.get();
  const bool foreign = folder.exists && folder.owner && uid &&
                       *folder.owner != *uid && *folder.owner != 0;
  const bool open = folder.exists && folder.mode && (*folder.mode & 0002) != 0;
  std::string whose;
  if (folder.owner) whose = " (owner " + std::to_string(*folder.owner);
  if (folder.mode)
    whose += (whose.empty() ? " (mode " : ", mode ") + Octal(*folder.mode);
  if (!whose.empty()) whose += ")";
  if (!folder.exists && becomes_master) {
    answer.findings.push_back(
        {.code = "mux-directory-missing",
         .severity = Severity::kWarning,
         .summary =
             "the folder for control sockets does not exist: " + folder.path,
         .explanation = "ssh does not create it: one that wants to become the "
                        "master (ControlMaster) ends with an error.",
         .evidence = evidence,
         .fixes = {{.title = "Create the folder, for you alone",
                    .safety = Safety::kSafe,
                    .commands = {{"mkdir", "-p", "-m", "700", folder.path}},
                    .action = Action::kMakeDirectory,
                    .target = folder.path}}});
  } else if (foreign || open) {
    // In a sticky folder (/tmp) they can put a socket there first, but not
    // replace yours.
    const bool sticky = folder.mode && (*folder.mode & 01000) != 0;
    answer.findings.push_back(
        {.code = "mux-directory-missing",
         .severity = sticky && !foreign ? Severity::kInfo : Severity::kWarning,
         .summary = "others can write to the folder of the control sockets: " +
                    folder.path + whose,
         .explanation = "Whoever can put a socket there can take over your "
                        "next connection.",
         .evidence = evidence,
         .fixes = {foreign || sticky
                       ? UseUniquePath(facts, sharing)
                       : Fix{.title = "Let only yourself write to it",
                             .safety = Safety::kManual,
                             .commands = {{"chmod", "700", folder.path}}}}});
  }
}

/// Whether different destinations share one path.  Returns whether the live
/// master turned out to serve another one.
bool JudgeSharedPath(const Facts& facts, const Sharing& sharing,
                     Answer& answer) {
  const std::string& path = sharing.control_template;
  if (path.empty() || !sharing.line) return false;
  const auto lacks = [&path](const char* token) {
    return path.find(token) == std::string::npos;
  };
  const bool lacks_host = ControlPathLacksHost(facts);
  const std::string elsewhere = LeadsElsewhere(facts);
  std::vector<std::string> others;
  if (lacks_host) others.emplace_back("hosts");
  if (lacks("%p")) others.emplace_back("ports");
  if (lacks("%r")) others.emplace_back("users");
  if (!lacks("%C") || others.empty()) return false;
  Finding finding{
      .code = "mux-path-not-unique",
      .severity = lacks_host ? Severity::kWarning : Severity::kInfo,
      .summary = "ControlPath " + path + " does not tell " + List(others) +
                 " apart, so different ones share one master",
      .explanation =
          "ssh asks the master at that path for a session, wherever "
          "it is connected to.",
      .evidence = {AsEvidence(*sharing.line)},
      .fixes = {UseUniquePath(facts, sharing)}};
  if (!elsewhere.empty()) {
    finding.severity = Severity::kError;
    finding.summary = Describe(facts, sharing.master) +
                      " at the shared ControlPath " + sharing.control_path +
                      " is connected to another host, port or user";
    finding.evidence.push_back({.source = Probe(facts), .text = elsewhere});
    finding.fixes.push_back(StopMaster(facts, sharing.master, true));
  }
  answer.findings.push_back(std::move(finding));
  return !elsewhere.empty();
}

void JudgeStaleSocket(const Facts& facts, const Master& master,
                      Answer& answer) {
  if (master.state != MasterState::kStaleSocket) return;
  const std::int64_t* uid = facts.near.uid.get();
  const bool ours = uid && master.socket_owner && *uid == *master.socket_owner;
  Finding finding{.code = "mux-socket-stale",
                  .severity = Severity::kWarning,
                  .summary = "nobody listens on the control socket " +
                             master.path + ": its master is gone",
                  .explanation =
                      "A master that was killed leaves its socket "
                      "behind. ssh connects without it.",
                  .evidence = {{.source = "connect",
                                .text = master.path + ": Connection refused"}}};
  if (const Session* session = facts.link.session.get())
    for (const std::string& message : session->transcript.messages)
      if (message.find(master.path) != std::string::npos)
        finding.evidence.push_back(
            {.source = "ssh " + facts.request.destination, .text = message});
  finding.fixes = {{.title = ours ? "Remove the dead socket"
                                  : "Remove the dead socket, if it is yours",
                    .safety = ours ? Safety::kSafe : Safety::kReview,
                    .commands = {{"rm", master.path}},
                    .action = Action::kRemoveSocket,
                    .target = master.path}};
  answer.findings.push_back(std::move(finding));
}

void JudgeUnresponsive(const Facts& facts, const Master& master,
                       bool on_the_way, Answer& answer) {
  if (master.state != MasterState::kUnresponsive) return;
  // The destination's own live master needs none on the way.
  const bool bypassed =
      on_the_way && ThroughMaster(facts) && ForwardingWorks(facts);
  Finding finding{
      .code = "mux-master-unresponsive",
      .severity = bypassed ? Severity::kWarning : Severity::kError,
      .summary =
          Describe(facts, master) + " accepts connections but does not answer",
      .explanation = "Its process is stopped or stuck, so every " +
                     TermsOf(facts).client +
                     " that would share its connection hangs.",
      .evidence = {
          {.source = TermsOf(facts).question +
                     (master.host.empty() ? "" : " " + master.host),
           .text = "no answer within the deadline at " + master.path}}};
  if (on_the_way)
    finding.explanation += " It serves " + master.host + ", on the way to " +
                           facts.request.destination + ".";
  Fix fix{.title = "Else end it by hand (with every session in it)",
          .safety = Safety::kManual};
  if (master.pid) {
    const std::string pid = std::to_string(*master.pid);
    finding.fixes = {{.title = "Let it go on, if it is stopped",
                      .safety = Safety::kManual,
                      .commands = {{"kill", "-CONT", pid}}}};
    fix.commands = {{"kill", pid}};
  } else {
    fix.title =
        "Find its process and end it by hand (with every session in "
        "it)";
    fix.commands = {{"fuser", master.path}};
  }
  finding.fixes.push_back(std::move(fix));
  answer.findings.push_back(std::move(finding));
}

// ------------------------------------------------------ what it forwards --

/// What a fresh login was granted, as evidence.
void AddControl(const Facts& facts, Finding& finding) {
  const Control* control = facts.link.control.get();
  if (!control) {
    finding.explanation += " No fresh login was made to compare (" +
                           facts.link.control.bare_reason() + ").";
    return;
  }
  if (!control->logged_in) {
    std::string why = control->fault ? ": " + control->fault->message
                      : control->granted.reason().empty()
                          ? ""
                          : ": " + control->granted.reason();
    if (!why.ends_with('.')) why += '.';
    finding.explanation +=
        " A fresh login to compare could not be had unattended" + why;
    return;
  }
  if (const bool* granted = control->granted.get())
    finding.evidence.push_back(
        {.source = FreshLogin(facts),
         .text = !control->granted_shown_by.empty() ? control->granted_shown_by
                 : *granted ? "auth-agent-req@openssh.com: SUCCESS"
                            : "auth-agent-req@openssh.com: FAILURE"});
}

void JudgeWithoutForwarding(const Facts& facts, const Master& master,
                            Answer& answer) {
  const Control* control = facts.link.control.get();
  const bool* granted = control ? control->granted.get() : nullptr;
  if (granted && !*granted) return;         // the server's finding
  if (SameMachine(facts) == false) return;  // hosts-differ
  const bool proven = granted && SameMachine(facts) == true;
  Finding finding{
      .code = "mux-master-without-forwarding",
      .certainty = proven ? Certainty::kProven : Certainty::kLikely,
      .summary = Describe(facts, master) +
                 " was started without agent forwarding, and every " +
                 TermsOf(facts).client + " reuses it",
      .explanation =
          IsPutty(facts)
              ? "Sharing a connection means sharing its settings: one that was "
                "made without \"Allow agent forwarding\", or while "
                "SSH_AUTH_SOCK was not set, gives no session an agent, "
                "`plink -A` included. The upstream refuses by itself; the "
                "server is not asked."
              : "Sharing a connection means sharing its settings: one that was "
                "made before ForwardAgent was set, with -a, by scp or sftp "
                "(before 10.0), or while no agent was reachable gives no "
                "session an agent, `ssh -A` included, and says nothing.",
      .evidence = Seen(facts, master)};
  finding.evidence.push_back(
      {.source = ThroughSource(facts),
       .text = "sshd made no agent socket for this connection"});
  AddControl(facts, finding);
  finding.fixes = {StopMaster(facts, master, false)};
  answer.findings.push_back(std::move(finding));
}

/// The socket is there, but not the agent behind it.
void JudgeDeadAgent(const Facts& facts, const Master& master,
                    const Agent& agent, Answer& answer) {
  const Control* control = facts.link.control.get();
  const Side* fresh = control ? control->far.get() : nullptr;
  // The canary, seen from the same machine, shows that the rest of the way
  // carries an agent's answers.
  const bool canary =
      fresh && std::ranges::any_of(fresh->agents, [&](const Agent& other) {
        return other.state == AgentState::kAnswered &&
               Fingerprints(other).contains(control->canary);
      });
  if (SameMachine(facts) == false) return;  // hosts-differ
  Finding finding{
      .code = "mux-master-dead-agent",
      .certainty = canary && SameMachine(facts) == true ? Certainty::kProven
                                                        : Certainty::kLikely,
      .summary = Describe(facts, master) +
                 " forwards an agent that is gone, and every " +
                 TermsOf(facts).client + " reuses it",
      .explanation =
          TermsOf(facts).a_master +
          " keeps the agent of the moment it was started. That one has ended "
          "(or there was none); the one you have now answers.",
      .evidence = Seen(facts, master)};
  finding.evidence.push_back(
      {.source = ThroughSource(facts),
       .text = agent.path + ": " +
               (agent.detail.empty() ? StateWords(agent) : agent.detail)});
  if (const Agent* near = ForwardedAgent(facts))
    finding.evidence.push_back(
        {.source = "agent protocol",
         .text = near->path + ": " +
                 Count(near->identities.size(), "identity", "identities")});
  AddControl(facts, finding);
  finding.fixes = {StopMaster(facts, master, false)};
  answer.findings.push_back(std::move(finding));
}

void JudgeOtherAgent(const Facts& facts, const Master& master,
                     const Agent& agent, Answer& answer) {
  const Agent* near = ForwardedAgent(facts);
  if (!near || near->state != AgentState::kAnswered) return;
  const auto here = Fingerprints(*near);
  std::vector<std::string> foreign;
  for (const Identity& identity : agent.identities)
    if (!here.contains(identity.fingerprint))
      foreign.push_back(KeyName(identity));
  if (foreign.empty()) return;  // fewer keys: constraints hide them
  Finding finding{
      .code = "mux-master-other-agent",
      .severity = Severity::kWarning,
      .summary = Describe(facts, master) +
                 " forwards another agent than the one at " + near->path,
      .explanation = TermsOf(facts).a_master +
                     " keeps the agent of the moment it was started, "
                     "whatever SSH_AUTH_SOCK, IdentityAgent or ForwardAgent "
                     "say now. Servers may take you for somebody else.",
      .evidence = Seen(facts, master)};
  finding.evidence.push_back({.source = ThroughSource(facts),
                              .text = agent.path + ": " + List(foreign)});
  std::vector<std::string> ours;
  for (const Identity& identity : near->identities)
    ours.push_back(KeyName(identity));
  finding.evidence.push_back(
      {.source = "agent protocol",
       .text =
           near->path + ": " + (ours.empty() ? "0 identities" : List(ours))});
  finding.fixes = {StopMaster(facts, master, true)};
  answer.findings.push_back(std::move(finding));
}

void JudgeLeak(const Facts& facts, const Master& master,
               const HandedOver& handed, Answer& answer) {
  const ClientConfig* config = facts.link.config.get();
  Finding finding{
      .code = "mux-leaks-forwarding",
      .severity = Severity::kWarning,
      .summary = Describe(facts, master) +
                 " forwards an agent, though the configuration says no",
      .explanation =
          "Once a connection has forwarded an agent, sshd gives it "
          "to every later session of that connection, `" +
          TermsOf(facts).without_agent + "` included.",
      .evidence = Seen(facts, master)};
  finding.evidence.push_back(
      {.source = ThroughSource(facts),
       .text = "SSH_AUTH_SOCK leads to " + List(handed.sockets)});
  if (config && config->forward_agent_line)
    finding.evidence.push_back(AsEvidence(*config->forward_agent_line));
  else
    finding.evidence.push_back(IsPutty(facts)
                                   ? Evidence{.source = "saved session",
                                              .text = "AgentFwd=0 (by default)"}
                                   : Evidence{.source = SshSource(facts, "-G"),
                                              .text = "forwardagent no"});
  finding.fixes = {StopMaster(facts, master, true)};
  answer.findings.push_back(std::move(finding));
}

void JudgeConnectionDead(const Facts& facts, const Master& master,
                         Answer& answer) {
  const Session& session = *facts.link.session;
  // Where the master reported a session, the server had confirmed it: the
  // connection lives, and something on the far side hangs.
  const bool* opened = session.transcript.through_master.get();
  if (session.end != SessionEnd::kTimedOut || !ThroughMaster(facts) ||
      (opened && *opened))
    return;
  const Control* control = facts.link.control.get();
  const bool fresh = control && control->logged_in;
  const bool unreachable = control && !control->logged_in &&
                           !control->transcript.authenticated &&
                           control->transcript.server_version.empty();
  if (unreachable) return;  // nobody gets there: the connection's finding
  Finding finding{
      .code = "mux-connection-dead",
      .certainty = fresh ? Certainty::kProven : Certainty::kLikely,
      .summary = Describe(facts, master) +
                 " answers, but its connection is dead: sessions through it "
                 "hang",
      .explanation = "`" + TermsOf(facts).question +
                     "` only tells that the process lives. After "
                     "sleep, a network change or a server's restart the "
                     "connection behind it can be gone.",
      .evidence = Seen(facts, master)};
  finding.evidence.push_back({.source = ThroughSource(facts, "session"),
                              .text = "no answer within the deadline"});
  if (fresh)
    finding.evidence.push_back(
        {.source = FreshLogin(facts), .text = "logged in"});
  else
    AddControl(facts, finding);
  finding.fixes = {StopMaster(facts, master, false)};
  if (!IsPutty(facts))
    finding.fixes.push_back(
        {.title = "End the master at once, with every session in it",
         .safety = Safety::kReview,
         .commands = {MasterCommand(facts, "exit")},
         .action = Action::kExitMaster,
         .target = master.path});
  answer.findings.push_back(std::move(finding));
}

void JudgeRefused(const Facts& facts, const Master& master, Answer& answer) {
  const Session* session = facts.link.session.get();
  if (!session || session->transcript.fallback.empty() ||
      master.state != MasterState::kAlive || ThroughMaster(facts))
    return;
  const std::string& words = session->transcript.fallback;
  const bool asked = words.find("Permission denied") != std::string::npos;
  answer.findings.push_back(
      {.code = "mux-session-refused",
       .severity = Severity::kWarning,
       .summary = Describe(facts, master) +
                  " did not take the session, so ssh made a connection of its "
                  "own",
       .explanation =
           asked ? "`ControlMaster ask` lets the master's user refuse, and "
                   "without an askpass program it always does."
                 : "Usually the server's MaxSessions (10 by default) is used "
                   "up: some terminals share the master, others do not, and "
                   "their forwarding can differ.",
       .evidence = {{.source = SshSource(facts, "-v"), .text = words}},
       .fixes = {{.title = asked ? "Use `ControlMaster auto`, or set up an "
                                   "askpass program"
                                 : "Close sessions that are no longer needed",
                  .safety = Safety::kManual}}});
}

void JudgeSession(const Facts& facts, const Sharing& sharing, Answer& answer) {
  const Master& master = sharing.master;
  JudgeConnectionDead(facts, master, answer);
  ProbedSession(facts);
  if (!ThroughMaster(facts)) return;
  const HandedOver handed = LookAtHandedOver(facts);
  const std::optional<bool> asks = AsksForForwarding(facts);
  if (!handed.made)
    throw FactUnknown(
        "whether sshd made a socket for this connection can't "
        "be seen");
  if (!*handed.made) {
    if (asks != false && LocalCause(facts).empty())
      JudgeWithoutForwarding(facts, master, answer);
    return;
  }
  if (asks == false) {
    JudgeLeak(facts, master, handed, answer);
    return;
  }
  const Agent* agent = HandedOverAgent(facts);
  if (!agent) throw FactUnknown(WhyNotAsked(facts, handed.sockets.front()));
  if (agent->state == AgentState::kAnswered)
    JudgeOtherAgent(facts, master, *agent, answer);
  else if (LocalCause(facts).empty() &&
           (agent->state == AgentState::kDropped ||
            agent->state == AgentState::kSilent ||
            // PuTTY answers for an agent that it can't reach (agentf.c).
            (IsPutty(facts) && agent->state == AgentState::kListRefused)))
    JudgeDeadAgent(facts, master, *agent, answer);
}

Answer Run(const Facts& facts) {
  Answer answer;
  if (facts.link.sharing.not_needed()) {
    answer.summary = facts.link.sharing.bare_reason();
    return answer;
  }
  const Sharing& sharing = *facts.link.sharing;
  for (const Master& master : sharing.jump_masters) {
    JudgeStaleSocket(facts, master, answer);
    JudgeUnresponsive(facts, master, true, answer);
  }
  if (sharing.control_path.empty()) {
    answer.summary = "connections to this host are not shared";
    return answer;
  }
  JudgePath(facts, sharing, answer);
  JudgeStaleSocket(facts, sharing.master, answer);
  JudgeUnresponsive(facts, sharing.master, false, answer);
  const bool elsewhere = JudgeSharedPath(facts, sharing, answer);
  if (sharing.master.state != MasterState::kAlive) {
    answer.summary = "no master is running";
    return answer;
  }
  answer.summary = Describe(facts, sharing.master);
  JudgeRefused(facts, sharing.master, answer);
  if (!elsewhere) Ask(answer, [&] { JudgeSession(facts, sharing, answer); });
  return answer;
}

}  // namespace

constinit const Check kControlMaster{
    .id = "control-master",
    .stage = Stage::kSharing,
    .title = "No shared connection stands in the way",
    .run = Run,
    .codes = kCodes};

}  // namespace agentdoctor::checks
