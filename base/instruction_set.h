#pragma once

namespace cairn::base {

// May code for AVX2 (with F16C) run here? Asks the CPU and the OS, and CAIRN_FORCE_ISA, which can
// only take it away: `baseline` does. Throws Error(unsupported_cpu) for a name that is none.
bool may_use_avx2();

}  // namespace cairn::base
