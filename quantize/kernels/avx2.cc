#define xsimd xsimd_avx2
#define Eigen Eigen_avx2
#include "quantize/kernels/kernels_body.h"

namespace cairn::kernels {
constinit const Kernels kAvx2 = make_table("avx2");
}  // namespace cairn::kernels
