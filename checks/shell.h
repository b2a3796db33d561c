// Lines for a shell or its start-up files, in that shell's syntax.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/facts.h"
#include "agentdoctor/finding.h"

namespace agentdoctor::checks {

/// What a shell's lines look like.
enum class Syntax { kSh, kFish, kCsh };

/// The syntax of a shell ("/usr/bin/fish") or of its start-up file.
Syntax SyntaxOf(std::string_view path);

/// The same of a side's login shell; sh where it is not known.
Syntax LoginSyntax(const Side& side);

/// A shell, by the name of a process: "bash", "tcsh".
bool IsShell(std::string_view name);

/// The same of the shell one sits in; where none is seen, of the login shell.
Syntax SyntaxHere(const Side& side);

/// A word for the shell, quoted where it has to be.  For lines that argv can't
/// say.
std::string ShellWord(std::string_view word, Syntax syntax = Syntax::kSh);

/// The line that sets SSH_AUTH_SOCK to \a value, which is a word of the shell.
std::string ExportLine(std::string_view value, Syntax syntax);

/// \a line of a start-up file, run only where no agent is forwarded.
std::string Guarded(std::string_view line, Syntax syntax);

/// Where the link of the recipe lies.
inline constexpr std::string_view kLink = "~/.ssh/ssh_auth_sock";

/// The start-up file lines that keep a link at a fixed path on an agent that
/// answers: it is renewed only when what it leads to is gone, so that a second
/// connection that ends leaves the first one's alone, and by every shell that
/// starts, so that the first one's end is healed, too.
Edit KeepLink(const Side& side);

}  // namespace agentdoctor::checks
