// Ctrl-C: one flag that every wait of the program looks at.
#pragma once

namespace agentdoctor {

/// Makes SIGINT, SIGTERM and SIGHUP set the flag; ignores SIGPIPE.
void CatchInterrupts();

/// Whether one of them came.
bool Interrupted();

/// A descriptor that becomes readable when one comes; for poll().
int InterruptFd();

}  // namespace agentdoctor
