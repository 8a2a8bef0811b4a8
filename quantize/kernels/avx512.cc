#define xsimd xsimd_avx512
#define Eigen Eigen_avx512
#include "quantize/kernels/kernels_body.h"

namespace cairn::kernels {
constinit const Kernels kAvx512 = make_table("avx512");
}  // namespace cairn::kernels
