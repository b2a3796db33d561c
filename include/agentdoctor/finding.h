// What a check says: findings with evidence and fixes, as data.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace agentdoctor {

/// The stages of the forwarding chain, in the order a request passes them.
enum class Stage {
  kAgent,
  kClient,
  kSharing,
  kConnection,
  kServer,
  kSession,
  kLongLived,
  kNextHop,
};

enum class Severity { kError, kWarning, kInfo };

/// kProven only if nothing else explains what was seen.
enum class Certainty { kProven, kLikely };

/// One observation that supports a finding, and where it was made.
struct Evidence {
  std::string source = {};  ///< "ssh -O check gitlab-runner"
  std::string text = {};    ///< verbatim
  std::string file = {};    ///< empty: none
  int line = 0;             ///< 0: none
  std::string host = {};    ///< where, on a further hop; empty: here
};

/// Whether a fix may be applied without a person looking at it first.
enum class Safety { kSafe, kReview, kManual };

/// What Repair() does for a fix; everything else is for a person to do.
enum class Action {
  kNone,
  kStopMaster,     ///< ssh -O stop; `target` is the control socket
  kExitMaster,     ///< ssh -O exit; only with --force
  kRemoveSocket,   ///< unlink `target` after ECONNREFUSED
  kMakeDirectory,  ///< mkdir -m 700 `target`
  /// `commands`, which set SSH_AUTH_SOCK to `target` in tmux and screen.
  kSetEnvironment,
};

/// Literal lines to put into a file.
struct Edit {
  std::string file = {};
  int line = 0;  ///< before this line; 0: wherever it fits
  std::string text = {};
  bool replaces = false;  ///< instead of that line, not before it
};

/// A repair, described and not yet made.  Only Repair() carries it out.
struct Fix {
  std::string title = {};  ///< imperative
  Safety safety = Safety::kManual;
  /// Commands as argv words; renderers quote them for a shell.
  std::vector<std::vector<std::string>> commands = {};
  /// Lines for a shell that argv can't say (`eval "$(...)"`), verbatim.
  std::vector<std::string> shell_lines = {};
  std::vector<Edit> edits = {};
  Action action = Action::kNone;
  std::string target = {};
  std::string host = {};  ///< where to do it, on a further hop; empty: here
};

struct Finding {
  std::string code = {};  ///< of the catalogue; its page is docs/findings/
  Severity severity = Severity::kError;
  Certainty certainty = Certainty::kProven;
  std::string summary = {};      ///< what is wrong, in one line, no full stop
  std::string explanation = {};  ///< why, in a sentence or two
  std::vector<Evidence> evidence = {};
  std::vector<Fix> fixes = {};  ///< best first
};

}  // namespace agentdoctor
