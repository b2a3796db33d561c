// One multiplexing master: is it there, whose is it, what depends on it?
#pragma once

#include <string>
#include <vector>

#include "agentdoctor/facts.h"
#include "system/place.h"
#include "system/process.h"

namespace agentdoctor {

/// Asks the master at \a path by the form of `ssh -O check` that can never
/// open a connection, then the system about its process.  \a config_files: to
/// see which changed after it started.
Master AskMaster(const std::string& ssh, const std::string& host,
                 const std::string& path,
                 const std::vector<ConfigFile>& config_files,
                 Milliseconds limit, Place& place = Here());

/// The folder a control socket lies in.
ControlDirectory LookAtControlDirectory(const std::string& control_path,
                                        Place& place = Here());

/// The longest control path with which ssh can become a master: it binds to
/// the path, a dot and 16 random characters (mux.c, muxserver_listen()).
int ControlPathLimit();

}  // namespace agentdoctor
