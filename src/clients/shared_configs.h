// `ssh -G` for many destinations, asked once for those of which it must say the
// same.  A process of ssh costs more than a login of ours.
//
// What it says for one destination is taken for another only if nothing in the
// files that it read can tell the two apart: every Host line names both or
// neither, no Match line looks at more than `all`, and nothing is made of the
// name but HostName.  In every other case ssh is asked.
#pragma once

#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "clients/openssh_config.h"
#include "system/process.h"

namespace agentdoctor {

/// The answer that ssh gives for \a request too, if it must: \a answer is what
/// it said for \a asked.
std::optional<ConfigAnswer> AnswerFor(const Request& request,
                                      const Request& asked,
                                      const ConfigAnswer& answer);

class SharedConfigs {
 public:
  /// As ResolveOpenSsh(), here; may be called by several threads.
  Resolution Resolve(const Request& request, Milliseconds limit,
                     ConfigAnswer& answer);

 private:
  struct Asked {
    Request request = {};
    ConfigAnswer answer = {};
  };

  std::optional<ConfigAnswer> Find(const Request& request);
  Resolution Ask(const Request& request, Milliseconds limit,
                 ConfigAnswer& answer);

  std::mutex first_;  ///< held while the first one is asked for
  std::mutex mutex_;
  bool begun_ = false;
  std::vector<std::shared_ptr<const Asked>> asked_;
};

}  // namespace agentdoctor
