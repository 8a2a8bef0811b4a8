#include "storage/tier_cache.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"

namespace cairn::storage {
namespace {

// Byte i of a unit; sizes differ by unit where they are not uniform.
std::byte byte_of(std::size_t unit, std::size_t i) {
  return static_cast<std::byte>(unit * 131 + i * 7 + 3);
}

bool is_content_of(std::size_t unit, std::span<const std::byte> bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != byte_of(unit, i)) return false;
  }
  return true;
}

void write_content(std::size_t unit, std::span<std::byte> room) {
  for (std::size_t i = 0; i < room.size(); ++i) room[i] = byte_of(unit, i);
}

std::size_t size_of(const TierCache::Shape& shape, std::size_t unit) {
  return shape.is_uniform ? shape.unit_bytes : shape.unit_bytes / 2 + unit % shape.unit_bytes;
}

constexpr std::uint64_t budget_for(std::size_t units, std::size_t bytes) {
  return units * (bytes + 8);
}

class Reader {
 public:
  Reader(TierCache::Shape shape) : shape_(shape), cache_(shape, sections_) {}

  // A touch, and an offer if that is wanted. Whether it was a hit.
  bool touch(std::size_t unit) {
    bool is_wanted = false;
    {
      const ReadSections::Section section(sections_);
      const TierCache::Found found = cache_.touch(unit);
      if (found.bytes.data() != nullptr) {
        EXPECT_EQ(found.bytes.size(), size_of(shape_, unit));
        EXPECT_TRUE(is_content_of(unit, found.bytes)) << unit;
        return true;
      }
      is_wanted = found.is_wanted;
    }
    if (is_wanted) {
      cache_.offer(unit, size_of(shape_, unit),
                   [unit](std::span<std::byte> room) { write_content(unit, room); });
    }
    return false;
  }

  TierCache& cache() { return cache_; }
  ReadSections& sections() { return sections_; }

 private:
  TierCache::Shape shape_;
  ReadSections sections_;
  TierCache cache_;
};

TEST(TierCache, TakesAUnitInWhenItIsTouchedAgain) {
  Reader reader({.num_units = 100, .unit_bytes = 40, .budget_bytes = budget_for(10, 40)});
  EXPECT_FALSE(reader.touch(7));
  EXPECT_FALSE(reader.cache().holds(7));
  EXPECT_FALSE(reader.touch(7));
  EXPECT_TRUE(reader.cache().holds(7));
  EXPECT_TRUE(reader.touch(7));
  EXPECT_FALSE(reader.cache().holds(8));
  const TierCache::Counters counters = reader.cache().counters();
  EXPECT_EQ(counters.admitted, 1u);
  EXPECT_EQ(counters.units, 1u);
  EXPECT_EQ(counters.bytes, 40u);
  EXPECT_LE(counters.ram_bytes, budget_for(10, 40) + 100 * 4);
}

TEST(TierCache, AScanDisplacesNothing) {
  Reader reader({.num_units = 5000, .unit_bytes = 16, .budget_bytes = budget_for(200, 16)});
  for (int round = 0; round < 4; ++round) {
    for (std::size_t unit = 0; unit < 150; ++unit) reader.touch(unit * 30);
  }
  const std::uint64_t admitted = reader.cache().counters().admitted;
  EXPECT_GE(admitted, 140u);  // shards fill up unevenly
  for (std::size_t unit = 0; unit < 5000; ++unit) {
    if (unit % 30 != 0 || unit >= 4500) reader.touch(unit);
  }
  EXPECT_EQ(reader.cache().counters().admitted, admitted);
  EXPECT_EQ(reader.cache().counters().evicted, 0u);
}

TEST(TierCache, FollowsWhatIsTouchedNow) {
  Reader reader({.num_units = 2000, .unit_bytes = 16, .budget_bytes = budget_for(100, 16)});
  const auto hits_of = [&](std::size_t first) {
    std::size_t hits = 0;
    for (int round = 0; round < 100; ++round) {
      for (std::size_t i = 0; i < 50; ++i) hits += reader.touch(first + i);
    }
    return hits;
  };
  EXPECT_GT(hits_of(0), 4500u);
  EXPECT_GT(hits_of(500), 3500u);
  EXPECT_GT(hits_of(1000), 3500u);
  EXPECT_GT(reader.cache().counters().evicted, 0u);
}

TEST(TierCache, KeepsItsBytesAndItsBudget) {
  for (const bool is_uniform : {true, false}) {
    const TierCache::Shape shape{3000, 100, is_uniform, 20'000};
    Reader reader(shape);
    base::Random random(1);
    std::size_t hits = 0;
    for (int i = 0; i < 200'000; ++i) {
      // The less, the more often.
      const double u = random.uniform();
      const auto unit = static_cast<std::size_t>(u * u * u * 3000);
      hits += reader.touch(unit);
      if (i % 1000 == 0) reader.cache().drop(random.below(3000));
      if (i % 5000 != 0) continue;
      const TierCache::Counters counters = reader.cache().counters();
      std::uint64_t units = 0;
      std::uint64_t bytes = 0;
      for (std::size_t each = 0; each < 3000; ++each) {
        if (!reader.cache().holds(each)) continue;
        ++units;
        bytes += size_of(shape, each);
      }
      EXPECT_EQ(counters.units, units);
      EXPECT_EQ(counters.bytes, bytes);
      EXPECT_EQ(counters.admitted - counters.evicted - counters.moved, units);
      EXPECT_LE(counters.ram_bytes, shape.budget_bytes + 4 * shape.num_units);
    }
    EXPECT_GT(hits, 50'000u);
    EXPECT_GT(reader.cache().counters().bytes, 12'000u);
  }
}

TEST(TierCache, AFailedFillLeavesAllAsItWas) {
  for (const bool is_uniform : {true, false}) {
    const TierCache::Shape shape{100, 40, is_uniform, 1000};
    Reader reader(shape);
    for (int round = 0; round < 3; ++round) {
      for (std::size_t unit = 0; unit < 50; ++unit) reader.touch(unit);
    }
    const std::uint64_t ram = reader.cache().counters().ram_bytes;
    std::size_t failures = 0;
    for (int round = 0; round < 10; ++round) {
      try {
        const ReadSections::Section section(reader.sections());
        reader.cache().touch(60);
        reader.cache().touch(60);
      } catch (...) {
      }
      try {
        reader.cache().offer(60, size_of(shape, 60), [](std::span<std::byte> room) {
          room[0] = std::byte{99};
          throw std::runtime_error("no more");
        });
      } catch (const std::runtime_error&) {
        ++failures;
      }
      EXPECT_FALSE(reader.cache().holds(60));
    }
    EXPECT_GT(failures, 0u);
    EXPECT_LE(reader.cache().counters().ram_bytes, ram);
    for (std::size_t unit = 0; unit < 50; ++unit) reader.touch(unit);  // checks contents
  }
}

TEST(TierCache, NeverReusesWhatAReaderLooksAt) {
  for (const bool is_uniform : {true, false}) {
    const TierCache::Shape shape{1000, 64, is_uniform, 2000};
    Reader reader(shape);
    for (std::size_t unit = 0; unit < 12; ++unit) {
      for (int i = 0; i < 3; ++i) reader.touch(unit);
    }
    std::vector<std::pair<std::size_t, std::span<const std::byte>>> looked_at;
    ReadSections::Section section(reader.sections());
    for (std::size_t unit = 0; unit < 12; ++unit) {
      const TierCache::Found found = reader.cache().touch(unit);
      if (found.bytes.data() != nullptr) looked_at.emplace_back(unit, found.bytes);
    }
    ASSERT_GT(looked_at.size(), 5u);
    std::thread other([&] {
      for (int round = 0; round < 100; ++round) {
        for (std::size_t unit = 500; unit < 520; ++unit) reader.touch(unit);
      }
    });
    other.join();
    EXPECT_GT(reader.cache().counters().evicted, 0u);
    for (const auto& [unit, bytes] : looked_at) EXPECT_TRUE(is_content_of(unit, bytes)) << unit;
    const std::uint64_t admitted = reader.cache().counters().admitted;
    section.close();
    for (int round = 0; round < 100; ++round) {
      for (std::size_t unit = 500; unit < 520; ++unit) reader.touch(unit);
    }
    EXPECT_GT(reader.cache().counters().admitted, admitted);
  }
}

TEST(TierCache, ServesSeveralThreads) {
  for (const bool is_uniform : {true, false}) {
    Reader reader({2000, 200, is_uniform, 40'000});
    std::atomic<std::size_t> hits{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        base::Random random(t);
        for (int i = 0; i < 20'000; ++i) {
          const double u = random.uniform();
          // What is popular changes with time.
          const auto unit = (static_cast<std::size_t>(u * u * u * 2000) + i / 5000 * 100) % 2000;
          hits += reader.touch(unit);
          if (i % 100 == 0) reader.cache().drop(unit);
          if (i % 1000 == 0) reader.cache().counters();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_GT(hits, 10'000u);
    EXPECT_GT(reader.cache().counters().evicted, 100u);
  }
}

}  // namespace
}  // namespace cairn::storage
