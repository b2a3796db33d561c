#include "command_line.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace agentdoctor {
namespace {

using Words = std::vector<std::string>;

TEST(DestinationFault, AcceptsWhatSshTakes) {
  for (const char* destination :
       {"gitlab-runner", "dave@gitlab-runner", "ssh://dave@host:2222", "::1",
        "dave@fe80::1%eth0", "ssh://[::1]:22", "a@b@c"})
    EXPECT_EQ(DestinationFault(destination), "") << destination;
}

TEST(DestinationFault, RefusesWhatSshWouldTakeForAnOption) {
  for (const char* destination :
       {"-oProxyCommand=x", "-", "", "a b", "host\n", "user@", "user@-oX",
        "ssh://-x", "ssh://", "h\x1b[2J"})
    EXPECT_NE(DestinationFault(destination), "") << destination;
}

TEST(ParseSshCommand, KeepsWhatMattersToTheWay) {
  const Request request = ParseSshCommand({"ssh", "-A", "-p", "2222", "host"});
  EXPECT_EQ(request.destination, "host");
  EXPECT_EQ(request.ssh, "ssh");
  EXPECT_EQ(request.ssh_options, (Words{"-A", "-p", "2222"}));
}

TEST(ParseSshCommand, ReadsAttachedValuesAndGroupedFlags) {
  const Request request = ParseSshCommand(
      {"/usr/bin/ssh", "-ttAp2222", "-oForwardAgent=yes", "u@h"});
  EXPECT_EQ(request.ssh, "/usr/bin/ssh");
  EXPECT_EQ(request.destination, "u@h");
  EXPECT_EQ(request.ssh_options,
            (Words{"-A", "-p", "2222", "-o", "ForwardAgent=yes"}));
}

TEST(ParseSshCommand, ReadsOptionsAfterTheDestinationUpToTheCommand) {
  const Request request =
      ParseSshCommand({"ssh", "host", "-A", "-l", "dave", "git", "-p", "pull"});
  EXPECT_EQ(request.destination, "host");
  EXPECT_EQ(request.ssh_options, (Words{"-A", "-l", "dave"}));
}

TEST(ParseSshCommand, DropsWhatOnlyConcernsTheSession) {
  const Request request =
      ParseSshCommand({"ssh", "-fN", "-L", "8080:localhost:80", "-vvv", "-E",
                       "log", "-X", "host", "uptime"});
  EXPECT_EQ(request.ssh_options, Words{});
  EXPECT_EQ(request.destination, "host");
}

TEST(ParseSshCommand, NamesTheWordThatIsWrong) {
  EXPECT_THROW(ParseSshCommand({"ssh", "-Z", "host"}), std::invalid_argument);
  EXPECT_THROW(ParseSshCommand({"ssh", "host", "-p"}), std::invalid_argument);
  EXPECT_THROW(ParseSshCommand({"ssh", "-O", "check", "host"}),
               std::invalid_argument);
  EXPECT_THROW(ParseSshCommand({"ssh"}), std::invalid_argument);
  EXPECT_THROW(ParseSshCommand({"rsync", "host"}), std::invalid_argument);
  EXPECT_THROW(ParseSshCommand({"ssh", "--", "-oProxyCommand=x"}),
               std::invalid_argument);
}

TEST(OtherCommandFault, AcceptsDestinationsAlone) {
  for (const Words& words : {Words{},
                             {"host1", "host2"},
                             {"dave@host", "ssh://dave@host:2222/"},
                             {"::1", "dave@fe80::1%eth0"},
                             {"git"},
                             {"time"}})
    EXPECT_EQ(OtherCommandFault(words), "") << words.size();
}

TEST(OtherCommandFault, NamesTheWordThatIsNoSshCommandLine) {
  for (const Words& words : {Words{"scp", "a", "host"},
                             {"/usr/bin/git", "pull"},
                             {"mosh", "host"},
                             {"sudo", "ssh", "host"},
                             {"wrapper", "ssh", "host"}})
    EXPECT_NE(OtherCommandFault(words).find('"' + words[0] + '"'),
              std::string::npos)
        << words[0];
  for (const std::string odd :
       {"host:", "host:file", "./file", "-A", "", "a b"})
    EXPECT_NE(OtherCommandFault({"host", odd}).find('"' + odd + '"'),
              std::string::npos)
        << odd;
}

}  // namespace
}  // namespace agentdoctor
