// Makes a script of ours short: some servers take no long command (dropbear
// up to 2022.83 hangs up on one of 9,000 characters).
#pragma once

#include <string>
#include <string_view>

namespace agentdoctor {

/// \a script on one line, without comments (lines of their own) and the spaces
/// that no shell needs, its functions and lower-case variables renamed to a
/// letter or a letter and a digit.  It does the same.
///
/// It is no parser of sh: it knows what the probe's scripts are made of.  Every
/// function is defined at the beginning of a line, and its name stands for
/// nothing else outside of double quotes.  There is no single quote, no here
/// document, and no `case` inside $(...).  In arithmetic and in eval "..." a
/// variable has its dollar; only what such a string begins with may be a
/// function or an assignment.  The one-letter variables that a script uses but
/// does not set keep their names.
std::string Shrink(std::string_view script);

}  // namespace agentdoctor
