// A stranger's first program.
#include <cstdio>
#include <vector>

#include <cairn/cairn.h>

int main() {
  constexpr std::size_t kRows = 500;
  constexpr std::size_t kDim = 16;
  std::vector<float> vectors(kRows * kDim);
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    vectors[i] = static_cast<float>(i * 7919 % 1009);
  }
  const auto index = cairn::ClusteredIndex::build({vectors.data(), kRows, kDim});
  const std::vector<cairn::Neighbor> hits = index.search({vectors.data() + 3 * kDim, kDim});
  std::printf("cairn %s: %zu hits, the first is %d\n", cairn::version(), hits.size(),
              static_cast<int>(hits.front().id));
  try {
    cairn::ClusteredIndex::open("no such file");
  } catch (const cairn::Error& error) {
    return hits.front().id == 3 && error.code() == cairn::ErrorCode::not_found ? 0 : 1;
  }
  return 1;
}
