#include "clients/openssh_transcript.h"

#include <gtest/gtest.h>

#include <string>

namespace agentdoctor {
namespace {

TranscriptReader Read(const std::string& text) {
  TranscriptReader reader;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    reader.Line(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
  }
  return reader;
}

std::string Code(const TranscriptReader& reader) {
  const auto fault = reader.Fault();
  return fault ? fault->code : "";
}

std::string Message(const TranscriptReader& reader) {
  const auto fault = reader.Fault();
  return fault ? fault->message : "";
}

// What ssh says once a server has let it in, until the session.
std::string Login(const std::string& between) {
  return "debug1: Connecting to h [192.0.2.1] port 22.\n"
         "debug1: Remote protocol version 2.0, remote software version "
         "OpenSSH_9.2p1 Debian-2\n"
         "debug1: Server accepts key: /home/dave/id ED25519 SHA256:abc agent\n"
         "Authenticated to h ([192.0.2.1]:22) using \"publickey\".\n"
         "debug1: Entering interactive session.\n" +
         between + "debug1: Sending command: true\n";
}

TEST(Transcript, AKeyWithAPassphraseIsTheReasonEvenWithoutPasswords) {
  const std::string accepted =
      "debug1: Server accepts key: /home/dave/id ED25519 SHA256:abc explicit\n";
  const std::string denied = "dave@h: Permission denied (publickey).\n";
  EXPECT_EQ(Code(Read(accepted + denied)), "interaction-needed");
  EXPECT_EQ(Code(Read(denied)), "authentication-failed");
  EXPECT_EQ(Code(Read(accepted +
                      "sign_and_send_pubkey: signing failed for ED25519 \"c\" "
                      "from agent: agent refused operation\n" +
                      denied)),
            "authentication-failed");
  // Signed, and refused all the same: the account is locked, say.
  EXPECT_EQ(Code(Read(accepted +
                      "debug1: Authentications that can continue: publickey\n" +
                      denied)),
            "authentication-failed");
}

TEST(Transcript, AKeyThatWasRefusedIsTheReasonWherePasswordsAreTaken) {
  const std::string offer =
      "debug1: Authentications that can continue: publickey,password\n"
      "debug1: Offering public key: dave's ED25519 SHA256:abc agent\n";
  const std::string denied = "dave@h: Permission denied (publickey,password).";
  const TranscriptReader reader =
      Read(offer +
           "debug1: Authentications that can continue: publickey,password\n" +
           denied + "\n");
  EXPECT_EQ(Code(reader), "authentication-failed");
  EXPECT_EQ(reader.transcript().messages,
            (std::vector<std::string>{
                "key offered and refused: ED25519 SHA256:abc agent", denied}));
  EXPECT_EQ(Code(Read(offer +
                      "Authenticated using \"publickey\" with partial "
                      "success.\n" +
                      denied + "\n")),
            "interaction-needed");
}

TEST(Transcript, ARefusedSessionIsAFaultInSshsOwnWords) {
  const TranscriptReader reader = Read(
      "Authenticated to h ([192.0.2.1]:22) using \"publickey\".\n"
      "debug1: Entering interactive session.\n"
      "channel 0: open failed: connect failed: open failed\n");
  EXPECT_EQ(Code(reader), "connection-lost");
  EXPECT_EQ(Message(reader),
            "channel 0: open failed: connect failed: open failed");
}

TEST(Transcript, ASecondFactorNeedsAPerson) {
  const TranscriptReader reader = Read(
      "debug1: Server accepts key: /home/dave/id ED25519 SHA256:abc agent\n"
      "Authenticated using \"publickey\" with partial success.\n"
      "debug1: Authentications that can continue: keyboard-interactive\n"
      "dave@h: Permission denied (keyboard-interactive).\n");
  EXPECT_EQ(Code(reader), "interaction-needed");
  EXPECT_FALSE(reader.transcript().authenticated);
}

TEST(Transcript, FaultsOfTheWayHaveTheirCodeAndSshsOwnWords) {
  const struct {
    const char* text;
    const char* code;
  } kCases[] = {
      {"ssh: Could not resolve hostname nope: Name or service not known",
       "name-not-resolved"},
      {"ssh: connect to host h port 22: Connection refused",
       "connection-refused"},
      {"ssh: connect to host h port 22: Connection timed out",
       "connection-timeout"},
      {"ssh: connect to host h port 22: Operation timed out",
       "connection-timeout"},
      {"ssh: connect to host h port 22: Network is unreachable",
       "network-unreachable"},
      {"ssh: connect to host h port 22: No route to host",
       "network-unreachable"},
      {"Connection timed out during banner exchange", "connection-timeout"},
      {"Connection to 192.0.2.1 port 22 timed out", "connection-timeout"},
      {"Host key verification failed.", "host-key-unknown"},
      {"No ED25519 host key is known for h and you have requested strict "
       "checking.",
       "host-key-unknown"},
      {"dave@h: Permission denied (publickey).", "authentication-failed"},
      {"Permission denied (publickey).", "authentication-failed"},
      {"dave@h: Permission denied (publickey,password).", "interaction-needed"},
      {"Received disconnect from 192.0.2.1 port 22:2: Too many authentication "
       "failures",
       "authentication-failed"},
      {"Unable to negotiate with 192.0.2.1 port 22: no matching host key type "
       "found. Their offer: ssh-dss",
       "protocol-mismatch"},
      {"kex_exchange_identification: banner line contains invalid characters",
       "protocol-mismatch"},
      {"banner exchange: Connection to 192.0.2.1 port 80: invalid format",
       "protocol-mismatch"},
      {"kex_exchange_identification: read: Connection reset by peer",
       "connection-lost"},
      {"ssh_exchange_identification: Connection closed by remote host",
       "connection-lost"},
      {"Connection closed by 192.0.2.1 port 22", "connection-lost"},
      {"Timeout, server h not responding.", "connection-lost"},
  };
  for (const auto& expected : kCases) {
    const TranscriptReader reader = Read(expected.text);
    EXPECT_EQ(Code(reader), expected.code) << expected.text;
    EXPECT_EQ(Message(reader), expected.text);
  }
}

TEST(Transcript, WhoGreetsAndHangsUpIsQuoted) {
  const std::string lost =
      "kex_exchange_identification: Connection closed by remote host\n"
      "Connection closed by 192.0.2.1 port 80\n";
  const TranscriptReader web = Read(
      "debug1: kex_exchange_identification: banner line 0: HTTP/1.1 400 "
      "Bad Request\n"
      "debug1: kex_exchange_identification: banner line 1: \n" +
      lost);
  EXPECT_EQ(Code(web), "protocol-mismatch");
  EXPECT_EQ(Message(web), "HTTP/1.1 400 Bad Request");
  // 7.x
  EXPECT_EQ(Message(Read("debug1: ssh_exchange_identification: HTTP/1.1 400\n" +
                         lost)),
            "HTTP/1.1 400");
  // sshd 9.8+
  const TranscriptReader busy = Read(
      "debug1: kex_exchange_identification: banner line 0: Not allowed at "
      "this time\n" +
      lost);
  EXPECT_EQ(Code(busy), "connection-lost");
  EXPECT_EQ(Message(busy), "Not allowed at this time");
}

TEST(Transcript, ABadKeyFileIsNoBadProtocol) {
  EXPECT_EQ(Code(Read("Load key \"/home/dave/id\": invalid format\n")), "");
}

TEST(Transcript, TheFirstFaultIsTheCause) {
  EXPECT_EQ(Code(Read("debug1: Executing proxy command: exec ssh -W h jump\n"
                      "ssh: connect to host jump port 22: Connection refused\n"
                      "kex_exchange_identification: Connection closed by "
                      "remote host\n"
                      "Connection closed by UNKNOWN port 65535\n")),
            "connection-refused");
}

TEST(Transcript, AProxyThatFailsIsQuoted) {
  const TranscriptReader reader = Read(
      "debug1: Executing proxy command: exec aws ssm start-session\n"
      "An error occurred (TargetNotConnected)\n"
      "kex_exchange_identification: Connection closed by remote host\n"
      "Connection closed by UNKNOWN port 65535\n");
  EXPECT_EQ(Code(reader), "proxy-failed");
  EXPECT_EQ(Message(reader), "An error occurred (TargetNotConnected)");
}

TEST(Transcript, WhatAnInnerSshSaysAboutItsOwnLoginIsForgotten) {
  const TranscriptReader reader = Read(
      "debug1: Executing proxy command: exec ssh -v -W h:22 jump\n"
      "debug1: Remote protocol version 2.0, remote software version "
      "OpenSSH_9.2p1\n"
      "debug1: Server accepts key: k ED25519 SHA256:abc agent\n"
      "Authenticated to jump ([192.0.2.1]:22) using \"publickey\".\n"
      "debug1: Remote: /jump/ak:1: key options: pty\n"
      "debug1: Remote protocol version 2.0, remote software version "
      "dropbear_2022.83\n");
  EXPECT_EQ(reader.transcript().server_version, "dropbear_2022.83");
  EXPECT_FALSE(reader.transcript().authenticated);
  EXPECT_TRUE(reader.transcript().key_options.empty());
}

TEST(Transcript, OnlyTheKeyThatLoggedInCounts) {
  const std::string first = "debug1: Remote: /ak:1: key options: pty\n";
  const std::string second =
      "debug1: Remote: /ak:7: key options: agent-forwarding pty\n";
  const TranscriptReader reader = Read(Login(first + second + second));
  ASSERT_EQ(reader.transcript().key_options.size(), 1u);
  EXPECT_EQ(reader.transcript().key_options[0].source, "/ak:7");
}

TEST(Transcript, AnExpiryIsGluedToTheOptionBeforeIt) {
  const TranscriptReader reader = Read(
      Login("debug1: Remote: /ak:1: key options: agent-forwardingexpires pty\n"
            "debug1: Remote: /ak:1: key options: agent-forwardingexpires "
            "pty\n"));
  ASSERT_EQ(reader.transcript().key_options.size(), 1u);
  EXPECT_TRUE(reader.transcript().key_options[0].agent_forwarding);
}

TEST(Transcript, ACertificateAndItsPrincipalsBelongTogether) {
  const std::string pair =
      "debug1: Remote: principals: key options: agent-forwarding pty\n"
      "debug1: Remote: cert: key options: pty\n";
  EXPECT_EQ(Read(Login(pair + pair)).transcript().key_options.size(), 2u);
  // A key that is used without being asked for first is announced once.
  EXPECT_EQ(Read(Login(pair)).transcript().key_options.size(), 2u);
}

TEST(Transcript, OldServersNameEachRestrictionByItself) {
  // sshd 7.4 and 7.6 (auth-options.c): for the query, and for the signature
  const auto options = [](const std::string& text) {
    const auto found = Read(Login(text + text)).transcript().key_options;
    EXPECT_EQ(found.size(), 1u);
    return found.at(0);
  };
  EXPECT_FALSE(
      options("debug1: Remote: Agent forwarding disabled.\n").agent_forwarding);
  EXPECT_FALSE(
      options("debug1: Remote: Key is restricted.\n").agent_forwarding);
  EXPECT_TRUE(options("debug1: Remote: Key is restricted.\n"
                      "debug1: Remote: Agent forwarding enabled.\n")
                  .agent_forwarding);
  const KeyOptions forced = options("debug1: Remote: Forced command.\n");
  EXPECT_TRUE(forced.forced_command);
  EXPECT_TRUE(forced.agent_forwarding);
  // Told once: of a key that was asked about and then not used ...
  const std::string once = "debug1: Remote: Key is restricted.\n";
  EXPECT_TRUE(Read(Login(once)).transcript().key_options.empty());
  // ... unless the one in use was not asked about.
  EXPECT_EQ(Read("debug1: Trying private key: /home/dave/id\n" + once)
                .transcript()
                .key_options.size(),
            1u);
}

TEST(Transcript, AListenerThatCannotBeMadeIsNoRestriction) {
  for (const std::string text :
       {"Agent forwarding disabled: mkdtemp() failed: No space left on device",
        "Agent forwarding disabled: couldn't create listener socket"}) {
    // sshd sends it while ssh already talks about the session.
    const TranscriptReader reader =
        Read(Login("") + "debug1: Remote: " + text + "\n");
    EXPECT_EQ(reader.transcript().listener_failure, text);
    EXPECT_TRUE(reader.transcript().key_options.empty());
  }
}

TEST(Transcript, EveryReleaseHasItsTextForTheRequest) {
  for (const std::string text :
       {// <= 10.2
        "debug1: Requesting authentication agent forwarding.",
        // 10.3
        "debug1: Requesting agent forwarding on channel 0 via "
        "auth-agent-req@openssh.com",
        "debug1: Requesting agent forwarding on channel 0 via agent-req"})
    EXPECT_TRUE(
        Read(Login(text + "\n")).transcript().forwarding_requested.value());
}

TEST(Transcript, EveryReleaseHasItsTextForAnOffer) {
  const auto offer = [](const std::string& text) {
    const TranscriptReader reader = Read(text);
    EXPECT_EQ(reader.offered().size(), 1u) << text;
    return reader.offered().at(0);
  };
  const OfferedKey key{.type = "ED25519",
                       .fingerprint = "SHA256:abc",
                       .file = "/home/dave/my id",
                       .from_agent = true};
  EXPECT_EQ(offer("debug1: Offering public key: /home/dave/my id ED25519 "
                  "SHA256:abc explicit agent\n"),
            key);
  // 7.6 to 7.8; whose it is only with -v -v
  const std::string whose =
      "debug2: key: /home/dave/my id (0x55d0c8d0), explicit, agent\n";
  const std::string with_print =
      "debug1: Offering public key: ED25519 SHA256:abc /home/dave/my id\n";
  EXPECT_EQ(offer(whose + with_print), key);
  EXPECT_FALSE(offer(with_print).from_agent);
  // 7.4 and 7.5: the fingerprint only of what is accepted
  const std::string without =
      "debug1: Offering ED25519 public key: /home/dave/my id\n";
  OfferedKey unnamed = key;
  unnamed.fingerprint.clear();
  EXPECT_EQ(offer(whose + without), unnamed);
  OfferedKey accepted = key;
  accepted.accepted = true;
  EXPECT_EQ(offer(whose + without +
                  "debug1: Server accepts key: pkalg ssh-ed25519 blen 51\n"
                  "debug2: input_userauth_pk_ok: fp SHA256:abc\n"),
            accepted);
}

TEST(Transcript, EveryReleaseHasItsTextForTheMethod) {
  // 7.4 to 8.5
  const TranscriptReader old = Read(
      "debug1: Server accepts key: pkalg "
      "ssh-ed25519-cert-v01@openssh.com blen 400\n"
      "debug1: Authentication succeeded (publickey).\n"
      "Authenticated to h ([192.0.2.1]:22).\n");
  EXPECT_TRUE(old.transcript().authenticated);
  EXPECT_TRUE(old.transcript().accepted_certificate);
  EXPECT_EQ(old.transcript().auth_method, "publickey");
  // 8.6
  EXPECT_EQ(Read("Authenticated to h (via proxy) using \"password\".\n")
                .transcript()
                .auth_method,
            "password");
}

TEST(Transcript, AMasterThatIsNotUsedIsNamedInSshsWords) {
  for (const std::string text :
       {"Control socket connect(/s): Connection refused",
        "Master refused session request: Permission denied",
        "ControlSocket /s already exists, disabling multiplexing",
        "muxclient: master hello exchange failed"}) {
    EXPECT_EQ(Read(text + "\n" + Login("")).transcript().fallback, text);
  }
}

TEST(Transcript, ChangedHostKeysDisableForwarding) {
  const TranscriptReader reader = Read(
      "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n"
      "Agent forwarding is disabled to avoid man-in-the-middle "
      "attacks.\n" +
      Login(""));
  EXPECT_TRUE(reader.transcript().disabled_by_host_key);
  EXPECT_EQ(Code(reader), "");
}

TEST(Transcript, ASecurityKeyAsksForATouchWithoutAWordOfSsh) {
  const TranscriptReader reader = Read(
      "debug1: Server accepts key: dave@laptop key 2 ED25519-SK "
      "SHA256:abc agent\n");
  EXPECT_EQ(reader.transcript().asked_person,
            "touch your security key: ED25519-SK SHA256:abc agent");
}

TEST(Transcript, TheRemoteCommandCannotSpeakForSsh) {
  // From the session on its standard error is ssh's, too.
  const TranscriptReader reader =
      Read(Login("") +
           "debug1: mux_client_request_session: master session id: 2\n"
           "debug1: Requesting authentication agent forwarding.\n"
           "debug1: Server accepts key: x ED25519-SK SHA256:abc agent\n"
           "Control socket connect(/s): Connection refused\n"
           "Agent forwarding is disabled to avoid man-in-the-middle attacks.\n"
           "Host key verification failed.\n");
  const Transcript& transcript = reader.transcript();
  EXPECT_FALSE(transcript.through_master.value());
  EXPECT_FALSE(transcript.forwarding_requested.value());
  EXPECT_EQ(transcript.asked_person, "");
  EXPECT_EQ(transcript.fallback, "");
  EXPECT_FALSE(transcript.disabled_by_host_key);
  EXPECT_EQ(Code(reader), "");
}

TEST(Transcript, EndlessMessagesAreBounded) {
  TranscriptReader reader;
  const std::string line(100000, 'x');
  for (int i = 0; i < 1000; ++i) {
    reader.Line(line);
    reader.Line("debug1: Remote: /ak:" + std::to_string(i) +
                ": key options: pty");
  }
  EXPECT_LE(reader.transcript().messages.size(), 100u);
  EXPECT_LE(reader.transcript().messages[0].size(), 2000u);
  EXPECT_LE(reader.transcript().key_options.size(), 64u);
}

}  // namespace
}  // namespace agentdoctor
