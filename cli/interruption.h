#pragma once

namespace cairn::cli {

// From now on the first SIGINT or SIGTERM only raises a flag, for long steps to end cleanly; a
// second one ends the process as usual.
void catch_interruptions();

bool is_interrupted() noexcept;

// 128 and the signal's number, as shells have it: 130 of SIGINT, 143 of SIGTERM.
int interrupted_exit_code() noexcept;

// Throws Error(cancelled) if interrupted.
void stop_if_interrupted();

}  // namespace cairn::cli
