// Reading what plink -v says: PuTTY's event log, in between what the user
// would see anyway.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/facts.h"
#include "clients/openssh_transcript.h"

namespace agentdoctor {

/// Reads plink's standard error line by line, as it comes.
class PuttyTranscriptReader {
 public:
  void Line(std::string_view line);
  const Transcript& transcript() const { return transcript_; }

  /// Why no session came about, if the messages say so.
  std::optional<TransportFault> Fault() const;

  /// The key that plink signed with: its place in the agent's list, or the file
  /// it was read from.
  std::optional<std::size_t> agent_key() const { return agent_key_; }
  const std::string& key_file() const { return signed_with_; }

  /// How many keys the agent listed.
  std::optional<std::size_t> agent_keys() const { return agent_keys_; }

  /// Those of the agent's that the server refused, by their place in the list.
  const std::vector<std::size_t>& refused() const { return refused_; }

  /// plink began to make a connection of its own.
  bool connecting() const { return connecting_; }

  /// The last line: what plink was doing.
  const std::string& last_line() const { return last_line_; }

 private:
  void Fatal(std::string_view message);
  void NoPrompt(std::string_view message);
  void Blame(std::string code, std::string_view message);

  Transcript transcript_;
  std::optional<TransportFault> fault_;
  TranscriptReader sshd_;  ///< sshd says the same to every client
  bool connecting_ = false;
  bool shared_ = false;       ///< an upstream was found
  bool in_session_ = false;   ///< standard error is the remote's, too
  bool skip_next_ = false;    ///< the next line belongs to the last one
  bool open_failed_ = false;  ///< the next line says why
  bool key_refused_ = false;
  bool key_accepted_ = false;
  std::string server_version_;
  std::string host_key_code_;
  std::string read_file_;
  std::string signed_with_;
  std::optional<std::size_t> tried_key_;
  std::optional<std::size_t> agent_key_;
  std::optional<std::size_t> agent_keys_;
  std::vector<std::size_t> refused_;
  std::string last_line_;
};

}  // namespace agentdoctor
