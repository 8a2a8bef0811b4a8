#pragma once

// Streams of row numbers to judge a cache by. The same on every machine.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "cairn/clustered_index.h"
#include "cairn/types.h"

namespace cairn::bench {

struct RowStream {
  std::string name;
  std::vector<std::uint32_t> rows;
  std::size_t num_rows = 0;  // of the store: all are below
};

// `touches` numbers below `count`, number i of which is drawn with a probability in proportion to
// 1 / (i + 1)^exponent, renamed by a random permutation. If it drifts, two fifths of the names and
// the most popular hundredth change places with others at every tenth of the stream.
std::vector<std::uint32_t> zipf_numbers(std::size_t count, std::size_t touches, double exponent,
                                        std::uint64_t seed, bool drifts = false);

// Zipf(1.0) over rows; the same, drifting; the same, every third stretch of 100,000 touches mixed
// with as many of a scan; uniform.
std::vector<RowStream> plain_streams(std::size_t num_rows);

// What searches of `queries` read when these are asked `asked` times by Zipf(1.0): the rows of the
// index, in the order in which its store is asked for them. Leaves the index with a store of its
// own. One thread, recall target 0.95, k = 10.
RowStream query_stream(ClusteredIndex& index, MatrixView queries, std::size_t asked,
                       const std::string& name);

}  // namespace cairn::bench
