#include "system/place.h"

#include <cstdlib>

#include "system/file.h"

namespace agentdoctor {
namespace {

class ThisMachine final : public Place {
 public:
  bool IsHere() const override { return true; }

  ProcessResult Run(const Command& command) override {
    return agentdoctor::Run(command);
  }

  std::map<std::string, FileText> ReadFiles(
      const std::vector<std::string>& paths) override {
    std::map<std::string, FileText> files;
    for (const std::string& path : paths)
      if (std::optional<std::string> text = ReadFile(path))
        files[path] = {std::move(*text), LookAt(path).modified};
    return files;
  }

  std::optional<std::string> Variable(const std::string& name) override {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  }

  std::string Home() override { return HomeDirectory(); }
};

}  // namespace

Place& Here() {
  static ThisMachine here;
  return here;
}

}  // namespace agentdoctor
