#include "storage/exponent_code.h"

#include <algorithm>
#include <cstring>
#include <queue>
#include <utility>

#include "storage/float_bits.h"

namespace cairn::storage {
namespace {

constexpr std::size_t kSymbols = ExponentCode::kExponents + 1;
constexpr std::size_t kTableSize = std::size_t{1} << ExponentCode::kMaxBits;

// An exponent rarer than one in this many is escaped: a code of its own would cost more of the code
// space than it saves.
constexpr std::uint64_t kRare = 4096;

// Lengths of a Huffman code; symbols without weight have none.
ExponentCode::Lengths huffman_lengths(const std::array<std::uint64_t, kSymbols>& weights) {
  struct Node {
    std::uint64_t weight;
    std::size_t number;
    bool operator>(const Node& other) const {
      return weight != other.weight ? weight > other.weight : number > other.number;
    }
  };
  std::priority_queue<Node, std::vector<Node>, std::greater<>> open;
  std::vector<std::pair<std::size_t, std::size_t>> children;
  for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
    if (weights[symbol] > 0) open.push({weights[symbol], symbol});
  }
  while (open.size() > 1) {
    const Node a = open.top();
    open.pop();
    const Node b = open.top();
    open.pop();
    open.push({a.weight + b.weight, kSymbols + children.size()});
    children.emplace_back(a.number, b.number);
  }
  ExponentCode::Lengths lengths{};
  std::vector<std::uint8_t> depth(kSymbols + children.size(), 0);
  for (std::size_t i = children.size(); i-- > 0;) {
    for (const std::size_t child : {children[i].first, children[i].second}) {
      depth[child] = static_cast<std::uint8_t>(depth[kSymbols + i] + 1);
    }
  }
  for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
    if (weights[symbol] > 0) lengths[symbol] = depth[symbol];
  }
  return lengths;
}

std::uint32_t reversed(std::uint32_t code, unsigned bits) {
  std::uint32_t result = 0;
  for (unsigned i = 0; i < bits; ++i) result |= (code >> i & 1) << (bits - 1 - i);
  return result;
}

std::uint64_t load_u64(const std::byte* bytes) noexcept {
  std::uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

// Collects bits, lowest first.
class BitWriter {
 public:
  explicit BitWriter(std::vector<std::byte>& out) : out_(out) {}

  void put(std::uint32_t bits, unsigned count) {
    pending_ |= std::uint64_t{bits} << filled_;
    for (filled_ += count; filled_ >= 8; filled_ -= 8, pending_ >>= 8) {
      out_.push_back(static_cast<std::byte>(pending_));
    }
  }
  void flush() {
    if (filled_ > 0) out_.push_back(static_cast<std::byte>(pending_));
    filled_ = 0;
    pending_ = 0;
  }

 private:
  std::vector<std::byte>& out_;
  std::uint64_t pending_ = 0;
  unsigned filled_ = 0;
};

}  // namespace

// Codes that come out too long are shortened by flattening the weights.
ExponentCode ExponentCode::for_counts(const std::array<std::uint64_t, kExponents>& counts) {
  std::uint64_t total = 1;
  for (const std::uint64_t count : counts) total += count;
  std::array<std::uint64_t, kSymbols> weights{};
  weights[kEscape] = 1;
  for (std::size_t exponent = 0; exponent < kExponents; ++exponent) {
    const bool is_rare = counts[exponent] < std::max<std::uint64_t>(1, total / kRare);
    weights[is_rare ? kEscape : exponent] += counts[exponent];
  }
  for (;;) {
    const Lengths lengths = huffman_lengths(weights);
    if (*std::max_element(lengths.begin(), lengths.end()) <= kMaxBits) {
      // A lone escape has a code of no bits.
      if (lengths[kEscape] > 0) return ExponentCode(lengths);
      weights[0] += 1;
      continue;
    }
    for (std::uint64_t& weight : weights) {
      if (weight > 0) weight = weight / 2 + 1;
    }
  }
}

std::optional<ExponentCode> ExponentCode::from_lengths(const Lengths& lengths) {
  std::size_t used = 0;
  for (const std::uint8_t length : lengths) {
    if (length > kMaxBits) return std::nullopt;
    if (length > 0) used += kTableSize >> length;
  }
  if (used != kTableSize || lengths[kEscape] == 0) return std::nullopt;
  return ExponentCode(lengths);
}

// Canonical: codes of one length count upwards in the order of symbols, shorter ones first.
ExponentCode::ExponentCode(const Lengths& lengths) : lengths_(lengths), table_(kTableSize) {
  std::array<std::uint16_t, kTableSize> symbol_of{};
  std::uint32_t next = 0;
  for (unsigned bits = 1; bits <= kMaxBits; ++bits, next <<= 1) {
    for (std::size_t symbol = 0; symbol < kSymbols; ++symbol) {
      if (lengths_[symbol] != bits) continue;
      const std::uint32_t code = reversed(next++, bits);
      codes_[symbol] = static_cast<std::uint16_t>(code);
      for (std::size_t at = code; at < kTableSize; at += std::size_t{1} << bits) {
        symbol_of[at] = static_cast<std::uint16_t>(symbol);
      }
    }
  }
  for (std::size_t at = 0; at < kTableSize; ++at) {
    Entry& entry = table_[at];
    entry = {};
    unsigned bits = 0;
    while (entry.count < entry.exponents.size()) {
      const std::size_t symbol = symbol_of[at >> bits];
      if (symbol == kEscape || bits + lengths_[symbol] > kMaxBits) break;
      entry.exponents[entry.count++] = static_cast<std::uint8_t>(symbol);
      bits += lengths_[symbol];
    }
    entry.bits = static_cast<std::uint8_t>(entry.count > 0 ? bits : lengths_[kEscape]);
  }
}

void ExponentCode::encode(const float* values, std::size_t n, std::vector<std::byte>& out) const {
  BitWriter writer(out);
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t exponent = bits_of(values[i]) >> 23 & 0xFF;
    if (lengths_[exponent] > 0) {
      writer.put(codes_[exponent], lengths_[exponent]);
    } else {
      writer.put(codes_[kEscape], lengths_[kEscape]);
      writer.put(exponent, 8);
    }
  }
  writer.flush();
}

// One load of 64 bits serves five look-ups of 11 bits, or two of an escape.
bool ExponentCode::decode(std::span<const std::byte> bytes, std::size_t n,
                          std::uint8_t* exponents) const noexcept {
  constexpr unsigned kBitsPerLoad = 57;
  constexpr std::size_t kMask = kTableSize - 1;
  std::size_t position = 0;
  std::size_t done = 0;
  while (done < n) {
    if (position / 8 >= bytes.size()) return false;
    std::uint64_t word = load_u64(bytes.data() + position / 8) >> position % 8;
    unsigned left = kBitsPerLoad;
    do {
      const Entry& entry = table_[word & kMask];
      word >>= entry.bits;
      left -= entry.bits;
      position += entry.bits;
      if (entry.count == 0) [[unlikely]] {
        exponents[done++] = static_cast<std::uint8_t>(word);
        word >>= 8;
        left -= 8;
        position += 8;
      } else {
        std::memcpy(exponents + done, entry.exponents.data(), entry.exponents.size());
        done += entry.count;
      }
    } while (left >= kMaxBits + 8 && done < n);
  }
  return true;
}

}  // namespace cairn::storage
