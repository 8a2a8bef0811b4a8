#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace cairn::index {

// Numbers and sums of the points of each part, gathered block by block. Each sum is in the order of
// its points, so that the means do not depend on threads.
class PartSums {
 public:
  PartSums(std::size_t parts, std::size_t dim) : dim_(dim), counts_(parts), sums_(parts * dim) {}

  // Adds point i of `points` [part_of.size(), dim] to part part_of[i].
  void add(const float* points, const std::vector<std::uint32_t>& part_of, unsigned threads);

  std::size_t parts() const noexcept { return counts_.size(); }
  std::size_t count(std::size_t part) const noexcept { return counts_[part]; }
  // Writes the mean [dim]; zeros for a part without points.
  void write_mean(std::size_t part, float* out) const;
  // The sum over all points of the squared norm of their part's mean.
  double sum_of_squared_means() const;

 private:
  std::size_t dim_;
  std::vector<std::size_t> counts_;
  std::vector<double> sums_;
};

}  // namespace cairn::index
