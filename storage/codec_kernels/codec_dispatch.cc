#include <array>

#include "base/instruction_set.h"
#include "storage/codec_kernels/codec_kernels.h"

namespace cairn::kernels {
namespace {

struct Available {
  std::array<const CodecKernels*, 2> tables{&kCodecBaseline, nullptr};
  std::size_t count = 1;
};

Available detect() {
  Available found;
#if defined(__x86_64__)
  if (base::may_use_avx2()) found.tables[found.count++] = &kCodecAvx2;
#else
  base::may_use_avx2();
#endif
  return found;
}

}  // namespace

std::span<const CodecKernels* const> available_codecs() {
  static const Available found = detect();
  return {found.tables.data(), found.count};
}

const CodecKernels& active_codec() { return *available_codecs().back(); }

}  // namespace cairn::kernels
