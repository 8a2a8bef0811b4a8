#include "bench/tiers/cache_policies.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <list>
#include <set>

namespace cairn::bench {
namespace {

class Lru final : public CachePolicy {
 public:
  Lru(std::size_t rows, std::size_t capacity) : capacity_(capacity), place_(rows, order_.end()) {}
  bool touch(std::uint32_t row) override {
    const bool is_hit = place_[row] != order_.end();
    if (is_hit) {
      order_.erase(place_[row]);
    } else if (order_.size() == capacity_) {
      place_[order_.back()] = order_.end();
      order_.pop_back();
    }
    order_.push_front(row);
    place_[row] = order_.begin();
    return is_hit;
  }

 private:
  std::size_t capacity_;
  std::list<std::uint32_t> order_;  // latest first
  std::vector<std::list<std::uint32_t>::iterator> place_;
};

class Sieve final : public CachePolicy {
 public:
  Sieve(std::size_t rows, std::size_t capacity)
      : capacity_(capacity), is_here_(rows), is_visited_(rows), hand_(order_.end()) {}
  bool touch(std::uint32_t row) override {
    if (is_here_[row]) {
      is_visited_[row] = true;
      return true;
    }
    if (order_.size() == capacity_) evict();
    order_.push_front(row);
    is_here_[row] = true;
    is_visited_[row] = false;
    return false;
  }

 private:
  void evict() {
    while (true) {
      if (hand_ == order_.end()) hand_ = std::prev(order_.end());
      if (!is_visited_[*hand_]) break;
      is_visited_[*hand_] = false;
      hand_ = hand_ == order_.begin() ? order_.end() : std::prev(hand_);
    }
    is_here_[*hand_] = false;
    const auto victim = hand_;
    hand_ = hand_ == order_.begin() ? order_.end() : std::prev(hand_);
    order_.erase(victim);
  }

  std::size_t capacity_;
  std::vector<bool> is_here_;
  std::vector<bool> is_visited_;
  std::list<std::uint32_t> order_;  // latest first
  std::list<std::uint32_t>::iterator hand_;
};

// `small_share` 0: no row is admitted by its first touch.
class S3Fifo final : public CachePolicy {
 public:
  S3Fifo(std::size_t rows, std::size_t capacity, double small_share)
      : capacity_(capacity),
        small_capacity_(static_cast<std::size_t>(static_cast<double>(capacity) * small_share)),
        state_(rows) {}

  bool touch(std::uint32_t row) override {
    State& state = state_[row];
    if (state.is_here) {
      state.touches = std::min(3, state.touches + 1);
      return true;
    }
    const bool is_ghost = state.ghost_time != 0 && time_ - state.ghost_time < capacity_;
    if (!is_ghost && small_capacity_ == 0) {
      state.ghost_time = ++time_;
      return false;
    }
    while (small_.size() + main_.size() >= capacity_) evict();
    state = {.is_here = true};
    (is_ghost ? main_ : small_).push_back(row);
    return false;
  }

 private:
  struct State {
    bool is_here = false;
    int touches = 0;
    std::size_t ghost_time = 0;
  };

  void evict() {
    if (small_.size() >= small_capacity_ && !small_.empty()) {
      const std::uint32_t row = small_.front();
      small_.pop_front();
      if (state_[row].touches > 0) {
        state_[row].touches = 0;
        main_.push_back(row);
      } else {
        state_[row] = {.ghost_time = ++time_};
      }
      return;
    }
    while (true) {
      const std::uint32_t row = main_.front();
      main_.pop_front();
      if (state_[row].touches == 0) {
        state_[row] = {};
        return;
      }
      --state_[row].touches;
      main_.push_back(row);
    }
  }

  std::size_t capacity_;
  std::size_t small_capacity_;
  std::size_t time_ = 0;
  std::vector<State> state_;
  std::deque<std::uint32_t> small_;
  std::deque<std::uint32_t> main_;
};

// What storage/tier_cache.h does, in one shard.
class Counted final : public CachePolicy {
 public:
  Counted(std::size_t rows, std::size_t capacity)
      : capacity_(capacity), counts_(rows), is_here_(rows) {}

  bool touch(std::uint32_t row) override {
    if (counts_[row] < kMaxCount) ++counts_[row];
    if (is_here_[row]) return true;
    if (counts_[row] < 2) return false;
    age();
    if (residents_.size() < capacity_) {
      residents_.push_back(row);
      is_here_[row] = true;
      return false;
    }
    std::size_t least = hand_;
    for (std::size_t i = 0; i < kVictims; ++i) {
      if (counts_[residents_[hand_]] < counts_[residents_[least]]) least = hand_;
      hand_ = (hand_ + 1) % residents_.size();
    }
    if (counts_[residents_[least]] >= counts_[row]) return false;
    is_here_[residents_[least]] = false;
    residents_[least] = row;
    is_here_[row] = true;
    return false;
  }

 private:
  static constexpr int kMaxCount = 15;
  static constexpr std::size_t kVictims = 8;
  static constexpr std::size_t kAgingOffers = 2;

  void age() {
    for (owed_ += counts_.size(); owed_ >= kAgingOffers * capacity_;
         owed_ -= kAgingOffers * capacity_) {
      counts_[aged_] /= 2;
      aged_ = (aged_ + 1) % counts_.size();
    }
  }

  std::size_t capacity_;
  std::vector<std::uint8_t> counts_;
  std::vector<bool> is_here_;
  std::vector<std::uint32_t> residents_;
  std::size_t hand_ = 0;
  std::size_t aged_ = 0;
  std::size_t owed_ = 0;
};

template <typename Policy, typename... Arguments>
NamedPolicy named(const std::string& name, Arguments... arguments) {
  return {name, [=](std::size_t rows, std::size_t capacity) -> std::unique_ptr<CachePolicy> {
            return std::make_unique<Policy>(rows, capacity, arguments...);
          }};
}

}  // namespace

std::vector<NamedPolicy> cache_policies() {
  return {named<Lru>("LRU"), named<Sieve>("SIEVE"), named<S3Fifo>("S3-FIFO", 0.1),
          named<S3Fifo>("S3-FIFO, second touch", 0.0), named<Counted>("counted")};
}

double hit_rate(CachePolicy& policy, std::span<const std::uint32_t> stream, std::size_t warm_up) {
  std::size_t hits = 0;
  for (std::size_t i = 0; i < stream.size(); ++i) {
    if (policy.touch(stream[i]) && i >= warm_up) ++hits;
  }
  return static_cast<double>(hits) / static_cast<double>(stream.size() - warm_up);
}

double optimal_hit_rate(std::span<const std::uint32_t> stream, std::size_t rows,
                        std::size_t capacity, std::size_t warm_up) {
  constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();
  std::vector<std::size_t> next(stream.size());
  std::vector<std::size_t> seen(rows, kNever);
  for (std::size_t i = stream.size(); i-- > 0;) {
    next[i] = seen[stream[i]];
    seen[stream[i]] = i;
  }
  // Rows that are held, by when they are touched next: those of `never` are as good as gone.
  std::set<std::size_t> held;
  std::size_t hits = 0;
  for (std::size_t i = 0; i < stream.size(); ++i) {
    if (held.erase(i) > 0 && i >= warm_up) ++hits;
    if (next[i] == kNever) continue;
    held.insert(next[i]);
    if (held.size() > capacity) held.erase(std::prev(held.end()));
  }
  return static_cast<double>(hits) / static_cast<double>(stream.size() - warm_up);
}

}  // namespace cairn::bench
