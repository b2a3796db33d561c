// Phrases and commands that several checks use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/facts.h"
#include "agentdoctor/finding.h"

namespace agentdoctor::checks {

/// "1 identity", "3 identities".
std::string Count(std::size_t number, std::string_view one,
                  std::string_view many);

/// "3 days", "2 hours", "12 seconds".
std::string Age(std::int64_t seconds);

/// "2026-11-21 10:00 UTC".
std::string Moment(std::int64_t seconds);

/// "/home/dave/.ssh/config:6".
std::string Place(const ConfigLine& line);

/// "/home/dave/.ssh/config:6 (under \"Host web*\")".
std::string PlaceAndScope(const ConfigLine& line);

/// The line itself as evidence, and the Host or Match line it stands under.
Evidence AsEvidence(const ConfigLine& line);

/// The user's own client with their options and \a words, to the destination.
/// -A and -a are left out: they would change what is asked about.
std::vector<std::string> Ssh(const Facts& facts,
                             std::initializer_list<std::string> words = {});

/// The option of the command line that gives \a keyword (lower case) its value,
/// as typed: "-o IdentityAgent=none"; else empty.
std::string CommandLineOption(const Facts& facts, std::string_view keyword);

/// The user's own ssh with `-o KEYWORD=VALUE` in place of their own option for
/// it, which wins whatever the files say; with an empty \a value only without
/// that option.
std::vector<std::string> SshWith(const Facts& facts, std::string_view keyword,
                                 std::string_view value);

/// A path as the argument of a line of ssh_config(5), or of -o: quoted where
/// ssh would take it apart, and `%` doubled, which starts a token.
std::string ConfigPath(std::string_view path);

/// Whose words and menus a finding speaks of.
bool IsPutty(const Facts& facts);
bool IsTsh(const Facts& facts);

/// The client's program, as one calls it: "ssh", "plink", "tsh ssh".
std::string Program(const Facts& facts);

/// "ssh -O check gitlab-runner", as the source of an evidence.
std::string SshSource(const Facts& facts, std::string_view words);

/// "ssh -v gitlab-runner" for what was said in a login, or the name of another
/// client that made it.
std::string LoginSource(const Facts& facts, std::string_view words = {});

/// "probe on gitlab-runner" and "fresh login to gitlab-runner", likewise.
std::string Probe(const Facts& facts);
std::string FreshLogin(const Facts& facts);

/// The first value of a keyword (lower case), or "".
std::string FirstValue(const ClientConfig& config, const std::string& keyword);

/// "yes" and "true" in any case: ssh's words for a flag.
bool IsYes(std::string_view text);
bool IsNo(std::string_view text);

/// Every key's fingerprint.
std::set<std::string> Fingerprints(const Agent& agent);

/// "SHA256:... (comment)".
std::string KeyName(const Identity& identity);

/// A Host line with one name and no pattern.
bool NamesOneHost(const std::string& scope);

/// "0700".
std::string Octal(int mode);

/// Text taken apart at blanks.
std::vector<std::string> Words(std::string_view text);

/// "a, b and c".
std::string List(const std::vector<std::string>& items);

/// "a, b, c and 17 more": at most \a shown of them by name, each cut short.
std::string Some(const std::vector<std::string>& items, std::size_t shown);

/// One line of at most \a columns characters, the middle left out: for a
/// summary.  The evidence has all of it.
std::string Short(std::string_view text, std::size_t columns);

/// What an agent said, or why it could not: "Connection refused".
std::string StateWords(const Agent& agent);

/// "on gitlab-runner"; in `here` "on this machine".
std::string OnHost(const Facts& facts);

}  // namespace agentdoctor::checks
