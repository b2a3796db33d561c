// `run --client libssh`, and the server made with libssh.
#include "lab/lab.h"
#include "lab/libssh_server.h"

namespace agentdoctor::lab {
namespace {

class LibsshServerTest : public Lab {
 protected:
  void Know(const LibsshServer& server, const std::string& lines = "") {
    WriteText(Home(".ssh/known_hosts"), server.KnownHostsLine());
    WriteConfig("Host gear\n  HostName 127.0.0.1\n  Port " +
                std::to_string(server.port()) + "\n  User admin\n" + lines);
  }
};

TEST_F(LibsshServerTest, AnswersOpenSshAndAsksItsAgent) {
  const LibsshServer server({.uses_agent = true});
  StartAgentWithKey();
  Know(server);
  const Ended ended = Do({"ssh", "-A", "gear", "show", "version"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_NE(ended.out.find("% Invalid input"), std::string::npos) << ended.err;
  EXPECT_EQ(server.logins(), 1);
  EXPECT_EQ(server.commands(), std::vector<std::string>{"show version"});
  ASSERT_EQ(server.agent_answers().size(), 1U);
  // SSH_AGENT_IDENTITIES_ANSWER, one identity
  EXPECT_EQ(server.agent_answers()[0].substr(0, 5),
            std::string("\14\0\0\0\1", 5));
}

TEST_F(LibsshServerTest, OpensNoAgentChannelToAClientThatOffersNone) {
  const LibsshServer server({.uses_agent = true});
  StartAgentWithKey();
  Know(server);
  EXPECT_EQ(Do({"ssh", "-a", "gear", "show", "version"}).status, 1);
  EXPECT_EQ(server.agent_answers(), std::vector<std::string>{""});
}

TEST_F(LibsshServerTest, TakesNoPassword) {
  const LibsshServer server({.takes_keys = false});
  StartAgentWithKey();
  Know(server);
  const Ended ended = Do({"ssh", "-o", "BatchMode=yes", "gear", "x"});
  EXPECT_NE(ended.err.find("Permission denied (password)"), std::string::npos)
      << ended.err;
}

}  // namespace
}  // namespace agentdoctor::lab
