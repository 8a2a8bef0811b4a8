#pragma once

namespace cairn::cli {

// From now on the first SIGINT or SIGTERM only raises a flag, for long steps to end cleanly; a
// second one ends the process as usual.
void catch_interruptions();

bool is_interrupted() noexcept;

// Throws Error(cancelled) if interrupted.
void stop_if_interrupted();

}  // namespace cairn::cli
