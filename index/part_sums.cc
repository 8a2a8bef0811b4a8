#include "index/part_sums.h"

#include "base/parallel.h"
#include "index/kmeans.h"
#include "quantize/kernels/kernels.h"

namespace cairn::index {

void PartSums::add(const float* points, const std::vector<std::uint32_t>& part_of,
                   unsigned threads) {
  const Groups members = group_by(part_of, parts());
  base::parallel_chunks(parts(), 16, threads, [&](std::size_t begin, std::size_t end, unsigned) {
    for (std::size_t part = begin; part < end; ++part) {
      kernels::active().add_rows(points, members[part].data(), members[part].size(), dim_,
                                 sums_.data() + part * dim_);
      counts_[part] += members[part].size();
    }
  });
}

void PartSums::write_mean(std::size_t part, float* out) const {
  const double* sum = sums_.data() + part * dim_;
  const double inverse = counts_[part] == 0 ? 0.0 : 1.0 / static_cast<double>(counts_[part]);
  for (std::size_t j = 0; j < dim_; ++j) out[j] = static_cast<float>(sum[j] * inverse);
}

double PartSums::sum_of_squared_means() const {
  double total = 0;
  for (std::size_t part = 0; part < parts(); ++part) {
    if (counts_[part] == 0) continue;
    const double* sum = sums_.data() + part * dim_;
    double squares = 0;
    for (std::size_t j = 0; j < dim_; ++j) squares += sum[j] * sum[j];
    total += squares / static_cast<double>(counts_[part]);
  }
  return total;
}

}  // namespace cairn::index
