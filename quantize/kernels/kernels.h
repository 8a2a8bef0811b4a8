#pragma once

// What the rest of the library includes to reach the SIMD kernels.

#include <span>

#include "quantize/kernels/kernel_table.h"

namespace cairn::kernels {

// The fastest table that this CPU and OS can run, picked once per process; the environment variable
// CAIRN_FORCE_ISA (baseline, avx2, avx512) overrides the choice.
// Throws Error(unsupported_cpu) if it names an unknown or unsupported instruction set.
const Kernels& active();

// The table named `isa`, or the fastest one if `isa` is null or empty. Throws like active().
const Kernels& choose(const char* isa);

// Every table that this CPU can run, baseline first and fastest last: for tests and benchmarks.
std::span<const Kernels* const> available();

}  // namespace cairn::kernels
