#include <iostream>
#include <random>
#include <vector>

#include <cairn/cairn.h>

int main() {
  constexpr std::size_t kRows = 10'000, kDim = 64;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> vectors(kRows * kDim);
  for (float& value : vectors) value = normal(random);

  const auto index = cairn::ClusteredIndex::build({vectors.data(), kRows, kDim});
  index.save("quickstart.cairn");

  const auto opened = cairn::ClusteredIndex::open("quickstart.cairn");
  const std::span query(vectors.data(), kDim);  // the first vector: its own nearest neighbour
  for (const cairn::Neighbor& hit : opened.search(query, {.k = 5, .target_recall = 0.95f})) {
    std::cout << "id " << hit.id << "  distance " << hit.distance << '\n';
  }
}
