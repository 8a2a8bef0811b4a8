#pragma once

// Part of base/, a small vocabulary shared by every room: buffers, bytes, checksums, parallel
// loops, random numbers. It knows nothing of vectors, codes or files.

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace cairn::base {

// A zero-initialised block of memory aligned to 64 bytes. From 1 MiB on it is a mapping of its own,
// aligned to 2 MiB and advised for huge pages, since random access to large arrays is bound by TLB
// misses; its pages take memory when they are first touched. Move-only. Not thread-safe.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes);
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~AlignedBuffer();

  std::byte* data() noexcept { return data_; }
  const std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return bytes_; }
  std::span<const std::byte> bytes() const noexcept { return {data_, bytes_}; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// An AlignedBuffer of `T`, a trivially copyable type.
template <typename T>
class AlignedArray {
 public:
  AlignedArray() = default;
  explicit AlignedArray(std::size_t count) : buffer_(count * sizeof(T)), count_(count) {}

  // Grows to at least `count` elements; the contents are lost if it does.
  void reserve_discarding(std::size_t count) {
    if (count > count_) *this = AlignedArray(count);
  }

  T* data() noexcept { return reinterpret_cast<T*>(buffer_.data()); }
  const T* data() const noexcept { return reinterpret_cast<const T*>(buffer_.data()); }
  std::size_t size() const noexcept { return count_; }
  T& operator[](std::size_t i) noexcept { return data()[i]; }
  const T& operator[](std::size_t i) const noexcept { return data()[i]; }
  std::span<T> span() noexcept { return {data(), count_}; }
  std::span<const T> span() const noexcept { return {data(), count_}; }
  std::span<const std::byte> bytes() const noexcept { return buffer_.bytes(); }

 private:
  AlignedBuffer buffer_;
  std::size_t count_ = 0;
};

}  // namespace cairn::base
