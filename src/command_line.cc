#include "command_line.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string_view>

#include "agentdoctor/ssh_options.h"

namespace agentdoctor {
namespace {

// What people use ssh through, and what they put before it.
constexpr std::array<std::string_view, 28> kOtherPrograms = {
    "ansible", "ansible-playbook",
    "autossh", "borg",
    "command", "docker",
    "env",     "exec",
    "git",     "kitten",
    "lftp",    "mosh",
    "nohup",   "pdsh",
    "plink",   "rclone",
    "restic",  "rsync",
    "scp",     "sftp",
    "slogin",  "ssh-copy-id",
    "sshfs",   "sshpass",
    "sudo",    "svn",
    "time",    "unison"};

/// scp's "host:", rsync's "host:path"; an IPv6 address has two colons.
bool NamesRemoteFile(const std::string& word) {
  return word.find("://") == std::string::npos &&
         std::ranges::count(word, ':') == 1;
}

}  // namespace

std::string DestinationFault(const std::string& destination) {
  if (destination.empty()) return "a destination is empty";
  if (destination.front() == '-')
    return "\"" + destination + "\" is no destination: it begins with \"-\"";
  for (const char c : destination)
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f')
      return "a destination contains a blank or a control character";
  const std::size_t at = destination.rfind('@');
  if (at != std::string::npos &&
      (at + 1 == destination.size() || destination[at + 1] == '-'))
    return "\"" + destination + "\" names no host";
  if (destination.starts_with("ssh://-") || destination == "ssh://")
    return "\"" + destination + "\" names no host";
  return {};
}

std::string OtherCommandFault(const std::vector<std::string>& words) {
  if (words.empty()) return {};
  const std::string& first = words[0];
  // One word alone is a host, whatever its name.
  const std::string program = first.substr(first.rfind('/') + 1);
  const bool known =
      words.size() > 1 &&
      (std::ranges::find(kOtherPrograms, program) != kOtherPrograms.end() ||
       std::ranges::any_of(words, NamesSsh));
  const auto odd = std::ranges::find_if(words, [](const std::string& word) {
    return !DestinationFault(word).empty() || NamesRemoteFile(word) ||
           word.find('/') < word.find("://");
  });
  if (!known && odd == words.end()) return {};
  return "after \"--\" an ssh command line is expected (ssh -A host), or "
         "destinations alone: " +
         (known ? "\"" + first + "\" is another program"
                : "\"" + *odd + "\" is no destination");
}

bool NamesSsh(const std::string& word) {
  return word == "ssh" || word.ends_with("/ssh");
}

Request ParseSshCommand(const std::vector<std::string>& words) {
  Request request;
  if (words.empty() || !NamesSsh(words[0]))
    throw std::invalid_argument("expected an ssh command after \"--\"");
  request.ssh = words[0];

  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      // getopt: options end here, the next word is the destination.
      if (request.destination.empty() && i + 1 < words.size())
        request.destination = words[i + 1];
      break;
    }
    if (word.size() < 2 || word[0] != '-') {
      // ssh reads options after the destination, too, up to the command.
      if (!request.destination.empty()) break;
      request.destination = word;
      continue;
    }
    for (std::size_t j = 1; j < word.size(); ++j) {
      const char option = word[j];
      if (HasOption(kSshLoginFlags, option)) {
        request.ssh_options.push_back({'-', option});
      } else if (HasOption(kSshOtherFlags, option)) {
        continue;
      } else if (HasOption(kSshLoginWithArgument, option) ||
                 HasOption(kSshOtherWithArgument, option)) {
        std::string value = word.substr(j + 1);
        if (value.empty()) {
          if (i + 1 == words.size())
            throw std::invalid_argument(std::string("ssh: option -") + option +
                                        " needs a value");
          value = words[++i];
        }
        // -S says which master is used on the way there.
        if (HasOption(kSshLoginWithArgument, option) || option == 'S') {
          request.ssh_options.push_back({'-', option});
          request.ssh_options.push_back(std::move(value));
        }
        break;
      } else if (HasOption(kSshNoLogin, option)) {
        throw std::invalid_argument(std::string("ssh -") + option +
                                    " opens no session to examine");
      } else {
        throw std::invalid_argument(std::string("ssh has no option -") +
                                    option);
      }
    }
  }
  if (request.destination.empty())
    throw std::invalid_argument("the ssh command names no destination");
  if (const std::string fault = DestinationFault(request.destination);
      !fault.empty())
    throw std::invalid_argument(fault);
  return request;
}

}  // namespace agentdoctor
