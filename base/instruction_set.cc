#include "base/instruction_set.h"

#include <cstdlib>
#include <string>

#include "cairn/error.h"

namespace cairn::base {

bool may_use_avx2() {
  const char* const forced = std::getenv("CAIRN_FORCE_ISA");
  const std::string isa = forced == nullptr ? "" : forced;
  if (!isa.empty() && isa != "baseline" && isa != "avx2" && isa != "avx512") {
    throw Error(ErrorCode::unsupported_cpu,
                "CAIRN_FORCE_ISA: expected baseline, avx2 or avx512, found '" + isa + "'");
  }
#if defined(__x86_64__)
  // F16C comes with every CPU that has AVX2; these built-ins also ask whether the OS saves the
  // registers.
  return isa != "baseline" && __builtin_cpu_supports("avx2");
#else
  return false;
#endif
}

}  // namespace cairn::base
