// Runs while the program is built: shrinks FILE and prints it as a raw string.
#include <exception>
#include <iostream>

#include "probes/shrink.h"
#include "system/file.h"

int main(int argc, char** argv) {
  constexpr std::size_t kLimit = 1 << 20;
  const auto script = argc == 2 ? agentdoctor::ReadFile(argv[1], kLimit)
                                : std::optional<std::string>();
  if (!script) {
    std::cerr << "usage: shrink_script FILE\n";
    return 1;
  }
  std::cout << "R\"probe(" << agentdoctor::Shrink(*script) << ")probe\"\n";
  return std::cout.flush() ? 0 : 1;
}
