// Reading ssh's messages: what -v and plain standard error say.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agentdoctor/facts.h"
#include "clients/openssh_messages.h"

namespace agentdoctor {

/// Reads ssh's standard error line by line, as it comes.
class TranscriptReader {
 public:
  void Line(std::string_view line);

  /// There was a session, as its output shows.  Without a connection of ssh's
  /// own a master has carried it, which ssh does not say from 7.8 to 8.2.
  void SessionCameAbout();

  const Transcript& transcript() const { return transcript_; }

  /// Why no session came about, if the messages say so.
  std::optional<TransportFault> Fault() const;

  /// The keys that were offered to the server, in order.
  const std::vector<OfferedKey>& offered() const { return offers_; }

  /// How many identities the agent has for this server; ssh says so since 8.9.
  std::optional<int> agent_keys() const { return agent_keys_; }

  /// That the agent (or a file) did not sign, in ssh's words; else empty.
  const std::string& signing_failure() const { return signing_failure_; }

  /// What was said since the login, in lines: by the server's program, where
  /// it writes to standard error.
  std::string AfterLogin() const;

  /// ssh began to make a connection of its own.
  bool connecting() const { return connecting_; }

  /// The last line, debug messages included: what ssh was doing.
  const std::string& last_line() const { return last_line_; }

 private:
  void GoThroughMaster();
  void BeginConnection(std::string_view version);
  void OfferKey(OfferedKey offer, std::string_view name);
  void AcceptKey(std::string_view key);
  void RefuseKey();
  void JudgeTriedFile(bool accepted);
  void Authenticate(std::string_view method);
  void HearServer(std::string_view text);
  void BlameHostKey(std::string_view line);
  void DenyLogin(std::string_view line);
  void Blame(std::string code, std::string_view line);
  void AskPerson(std::string_view line);
  void UpdateKeyOptions();
  void UpdateToldOptions();

  Transcript transcript_;
  /// All options that the server announced on this connection, in order.
  std::vector<KeyOptions> announced_;
  /// The same of a server up to 7.6.
  std::vector<const ServerMessage*> told_;
  std::optional<TransportFault> fault_;
  /// What the end of a connection means if nothing else explains it.
  std::optional<TransportFault> weak_fault_;
  std::size_t said_before_ = 0;  ///< messages in front of the login
  bool connecting_ = false;
  bool through_proxy_ = false;
  bool in_session_ = false;  ///< standard error is the remote's, too
  bool key_tried_ = false;   ///< ssh signed, or tried to
  bool partial_ = false;     ///< a method worked, and another must follow
  std::string offered_;      ///< the key that the server has not judged yet
  std::vector<std::string> refused_;
  std::vector<OfferedKey> offers_;
  /// The names of the agent's keys, from an ssh that does not say it later.
  std::vector<std::string> agent_files_;
  std::string tried_file_;
  std::optional<int> agent_keys_;
  std::string signing_failure_;
  std::string host_key_code_;
  std::string greeting_;     ///< what a server said instead of its version
  std::string proxy_words_;  ///< the last message before the connection ended
  std::string last_line_;
};

}  // namespace agentdoctor
