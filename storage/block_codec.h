#pragma once

// The door to zstd. What it decompresses may be anything: a result has the size that was expected,
// or there is none.

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace cairn::storage {

// Immutable; const calls may run concurrently.
class BlockCodec {
 public:
  // `level` 1 to 22 to compress, 0 only to decompress; `dictionary`, empty for none, is copied.
  // Throws Error(corrupt) if zstd cannot use the dictionary.
  BlockCodec(int level, std::span<const std::byte> dictionary);
  ~BlockCodec();
  BlockCodec(const BlockCodec&) = delete;
  BlockCodec& operator=(const BlockCodec&) = delete;

  // A zstd frame, or nothing if it is not smaller than `block`.
  std::vector<std::byte> compress(std::span<const std::byte> block) const;
  // Fills `block`; false if `frame` is not of exactly that size.
  bool decompress(std::span<const std::byte> frame, std::span<std::byte> block) const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// A dictionary of at most `max_bytes` from samples that lie one after another; empty if zstd finds
// none in them.
std::vector<std::byte> train_dictionary(std::span<const std::byte> samples,
                                        std::span<const std::size_t> sizes, std::size_t max_bytes);

}  // namespace cairn::storage
