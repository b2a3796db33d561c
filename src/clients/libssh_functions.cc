#include "clients/libssh_functions.h"

#include <dlfcn.h>

#include <stdexcept>

namespace agentdoctor {
namespace {

/// What dlopen(3) gave, or why it gave nothing.  Never unloaded.
struct Library {
  void* handle = nullptr;
  std::string fault = {};
};

// libssh.so initialises itself when it is loaded.
const Library& Libssh() {
  static const Library library = [] {
    Library made{.handle = dlopen(AGENTDOCTOR_LIBSSH, RTLD_LAZY | RTLD_LOCAL)};
    // dlerror(3) names the file.
    if (made.handle == nullptr)
      if (const char* error = dlerror()) made.fault = error;
    return made;
  }();
  return library;
}

}  // namespace

std::string LibsshFault() { return Libssh().fault; }

void* FindInLibssh(const char* name) {
  const Library& library = Libssh();
  void* const found =
      library.handle == nullptr ? nullptr : dlsym(library.handle, name);
  if (found == nullptr)
    throw std::runtime_error(library.fault.empty()
                                 ? std::string(AGENTDOCTOR_LIBSSH) +
                                       " has no " + name
                                 : library.fault);
  return found;
}

}  // namespace agentdoctor
