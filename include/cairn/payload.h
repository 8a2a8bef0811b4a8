#pragma once

// Payloads: bytes that belong to a vector, such as the text it was made from or a JSON object, kept
// compressed in the index file and fetched by id.

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "cairn/export.h"

namespace cairn {

/// Largest payload of one vector: 64 MiB.
inline constexpr std::size_t kMaxPayloadBytes = std::size_t{64} << 20;

/// Payloads that a build pulls one by one, so that they need not fit into memory.
///
/// A build asks for each row once, in the order in which the index puts rows, not in ascending
/// order, and from one thread.
class CAIRN_EXPORT PayloadSource {
 public:
  virtual ~PayloadSource() = default;

  /// As many as there are vectors.
  virtual std::size_t rows() const noexcept = 0;

  /// Replaces `out` by the payload of row `row` (of the vectors that are built from): any bytes, at
  /// most kMaxPayloadBytes, none if the row has no payload.
  /// @throws anything: it ends the build, which leaves nothing behind.
  virtual void read(std::size_t row, std::string& out) = 0;

  /// Does `path`, by whatever links, name a file that payloads come from? A build refuses to
  /// replace it. No, by default.
  virtual bool reads_from(const std::filesystem::path& path) const {
    static_cast<void>(path);
    return false;
  }

 protected:
  PayloadSource() = default;
  PayloadSource(const PayloadSource&) = default;
  PayloadSource& operator=(const PayloadSource&) = default;
};

/// Strings in memory, borrowed for the life of the source.
class CAIRN_EXPORT MemoryPayloadSource final : public PayloadSource {
 public:
  explicit MemoryPayloadSource(std::span<const std::string> payloads) : payloads_(payloads) {}

  std::size_t rows() const noexcept override;
  void read(std::size_t row, std::string& out) override;

 private:
  std::span<const std::string> payloads_;
};

/// The lines of a file, text or JSON lines: line i is the payload of row i, byte for byte but for
/// the newline that ends it (the last line may lack its own). The file must not change meanwhile.
/// Memory: 8 bytes a line. One thread.
class CAIRN_EXPORT LinePayloadSource final : public PayloadSource {
 public:
  /// Reads through the file once. @throws Error not_found, io.
  explicit LinePayloadSource(const std::filesystem::path& path);
  ~LinePayloadSource() override;

  std::size_t rows() const noexcept override;
  /// @throws Error io (unreadable, or shorter than it was), invalid_argument (a line above
  ///   kMaxPayloadBytes).
  void read(std::size_t row, std::string& out) override;
  bool reads_from(const std::filesystem::path& path) const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cairn
