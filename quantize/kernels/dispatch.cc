#include <cstdlib>
#include <string>
#include <string_view>

#include "cairn/error.h"

#include "quantize/kernels/kernels.h"

namespace cairn::kernels {
namespace {

struct Available {
  const Kernels* tables[3];
  std::size_t count;
};

Available detect() {
  Available found{{&kBaseline, nullptr, nullptr}, 1};
#if defined(__x86_64__)
  // These built-ins also ask whether the OS saves the registers.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512vnni");
  if (avx2) found.tables[found.count++] = &kAvx2;
  if (avx512) found.tables[found.count++] = &kAvx512;
#endif
  return found;
}

}  // namespace

std::span<const Kernels* const> available() {
  static const Available found = detect();
  return {found.tables, found.count};
}

const Kernels& choose(const char* isa) {
  const std::span<const Kernels* const> tables = available();
  if (isa == nullptr || *isa == '\0') return *tables.back();
  std::string names;
  for (const Kernels* table : tables) {
    if (std::string_view(table->isa) == isa) return *table;
    names += (names.empty() ? "" : ", ") + std::string(table->isa);
  }
  throw Error(ErrorCode::unsupported_cpu, "CAIRN_FORCE_ISA: expected one of " + names +
                                              " (what this machine can run), found '" + isa + "'");
}

const Kernels& active() {
  static const Kernels& chosen = choose(std::getenv("CAIRN_FORCE_ISA"));
  return chosen;
}

}  // namespace cairn::kernels
