#include "cairn/result_cache.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <list>
#include <memory_resource>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "base/checksum.h"

namespace cairn {
namespace {

// Counts what is allocated through it, so that a budget is kept to the byte.
class CountingResource final : public std::pmr::memory_resource {
 public:
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* const memory = std::pmr::new_delete_resource()->allocate(bytes, alignment);
    bytes_ += bytes;
    return memory;
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    bytes_ -= bytes;
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::size_t bytes_ = 0;
};

// Answers that depend on more than the options' own values, on what a filter says or on the time
// that is left, are not kept.
bool depends_on_options_alone(const SearchOptions& options) {
  return options.filter == nullptr && options.prepared_filter == nullptr &&
         options.max_microseconds == 0;
}

struct Key {
  std::array<std::uint8_t, 16> identity;
  SearchOptions options;
  std::span<const float> query;
  std::uint64_t hash = 0;

  Key(const ClusteredIndex& index, std::span<const float> of_query, const SearchOptions& of_options)
      : identity(index.identity()), options(of_options), query(of_query) {
    options.threads = 1;
    // Of the options only what commonly differs; the rest is compared.
    const std::array<std::uint64_t, 3> numbers = {
        options.k, options.probes, std::bit_cast<std::uint32_t>(options.target_recall)};
    hash = base::checksum64(std::as_bytes(std::span(identity)), 0);
    hash = base::checksum64(std::as_bytes(std::span(numbers)), hash);
    hash = base::checksum64(std::as_bytes(query), hash);
  }
};

struct Entry {
  Entry(const Key& key, std::span<const Neighbor> of_hits, std::pmr::memory_resource* memory)
      : hash(key.hash),
        identity(key.identity),
        options(key.options),
        query(key.query.begin(), key.query.end(), memory),
        hits(of_hits.begin(), of_hits.end(), memory) {}

  bool is_for(const Key& key) const {
    return identity == key.identity && options == key.options && query.size() == key.query.size() &&
           std::memcmp(query.data(), key.query.data(), key.query.size_bytes()) == 0;
  }

  std::uint64_t hash;
  std::array<std::uint8_t, 16> identity;
  SearchOptions options;
  std::pmr::vector<float> query;
  std::pmr::vector<Neighbor> hits;
};

// It is a hash already.
struct Unchanged {
  std::size_t operator()(std::uint64_t hash) const noexcept { return hash; }
};

// Entries, the most recently used first, and a table that finds them.
class Entries {
 public:
  Entries() : list_(&memory_), table_(&memory_) {}

  std::size_t bytes() const noexcept { return memory_.bytes(); }
  std::size_t size() const noexcept { return list_.size(); }

  // Null, or the entry, which is now the most recently used.
  const Entry* find(const Key& key) {
    const auto [begin, end] = table_.equal_range(key.hash);
    for (auto found = begin; found != end; ++found) {
      if (!found->second->is_for(key)) continue;
      list_.splice(list_.begin(), list_, found->second);
      return &list_.front();
    }
    return nullptr;
  }
  void add(const Key& key, std::span<const Neighbor> hits) {
    list_.emplace_front(key, hits, &memory_);
    try {
      table_.emplace(key.hash, list_.begin());
    } catch (...) {
      list_.pop_front();
      throw;
    }
  }
  void remove_oldest() {
    const auto oldest = std::prev(list_.end());
    const auto [begin, end] = table_.equal_range(oldest->hash);
    table_.erase(std::find_if(begin, end, [&](const auto& item) { return item.second == oldest; }));
    list_.erase(oldest);
  }
  // Gives back the table's room as well.
  void clear() {
    list_.clear();
    Table(&memory_).swap(table_);
  }

 private:
  using List = std::pmr::list<Entry>;
  using Table = std::pmr::unordered_multimap<std::uint64_t, List::iterator, Unchanged>;

  CountingResource memory_;
  List list_;
  Table table_;
};

}  // namespace

struct ResultCache::Impl {
  mutable std::mutex mutex;
  Entries entries;
  ResultCacheStats counters;

  std::optional<std::vector<Neighbor>> find(const Key& key) {
    const std::lock_guard lock(mutex);
    const Entry* const entry = entries.find(key);
    ++(entry != nullptr ? counters.hits : counters.misses);
    if (entry == nullptr) return std::nullopt;
    return std::vector<Neighbor>(entry->hits.begin(), entry->hits.end());
  }

  void keep(const Key& key, std::span<const Neighbor> hits) {
    const std::lock_guard lock(mutex);
    if (entries.find(key) != nullptr) return;  // another thread was faster
    const std::size_t least = sizeof(Entry) + key.query.size_bytes() + hits.size_bytes();
    if (least > counters.budget_bytes) {
      ++counters.rejections;
      return;
    }
    entries.add(key, hits);
    while (entries.bytes() > counters.budget_bytes && entries.size() > 0) {
      entries.remove_oldest();
      ++counters.evictions;
    }
    if (entries.size() == 0) entries.clear();
  }
};

ResultCache::ResultCache(std::size_t budget_bytes) : impl_(std::make_unique<Impl>()) {
  impl_->counters.budget_bytes = budget_bytes;
}

ResultCache::~ResultCache() = default;

std::vector<Neighbor> ResultCache::search(const ClusteredIndex& index, std::span<const float> query,
                                          const SearchOptions& options) {
  if (!depends_on_options_alone(options)) return index.search(query, options);
  const Key key(index, query, options);
  if (std::optional<std::vector<Neighbor>> known = impl_->find(key)) return *std::move(known);
  std::vector<Neighbor> hits = index.search(query, options);
  impl_->keep(key, hits);
  return hits;
}

void ResultCache::clear() {
  const std::lock_guard lock(impl_->mutex);
  impl_->entries.clear();
}

ResultCacheStats ResultCache::stats() const {
  const std::lock_guard lock(impl_->mutex);
  ResultCacheStats stats = impl_->counters;
  stats.entries = impl_->entries.size();
  stats.bytes = impl_->entries.bytes();
  return stats;
}

}  // namespace cairn
