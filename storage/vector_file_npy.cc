#include "storage/vector_file_npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace cairn::storage {
namespace {

// Magic, one byte each of major and minor version; then the header's length in 2 bytes (version 1)
// or 4 (versions 2 and 3), then the header: a Python dictionary in text form.
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kVersionEnd = 8;
constexpr std::uint64_t kMaxHeaderBytes = 65535;
constexpr std::size_t kAlignment = 64;

struct ElementCode {
  std::string_view code;
  ElementType type;
};

constexpr std::array<ElementCode, 10> kElementCodes{{
    {"<f4", ElementType::f32},
    {"<f8", ElementType::f64},
    {"|u1", ElementType::u8},
    {"|i1", ElementType::i8},
    {"<i4", ElementType::i32},
    {"<u4", ElementType::u32},
    {"<i8", ElementType::i64},
    {"<u8", ElementType::u64},
    {"<f2", ElementType::f16},
    {"|b1", ElementType::u8},  // False is 0, True is 1
}};

struct NpyHeader {
  std::optional<std::string> element_code;
  std::optional<bool> is_fortran_order;
  std::optional<std::vector<std::uint64_t>> shape;
};

// Recursive descent over the few Python literals that NumPy writes. Every error names the place.
class HeaderParser {
 public:
  HeaderParser(const std::filesystem::path& path, std::string_view text)
      : path_(path), text_(text) {}

  NpyHeader parse() {
    NpyHeader header;
    expect('{');
    while (!accept('}')) {
      parse_entry(header);
      if (accept(',')) continue;
      expect('}');
      break;
    }
    skip_space();
    if (position_ != text_.size()) fail("the end of the header");
    if (!header.element_code || !header.is_fortran_order || !header.shape) {
      fail_vector_file(ErrorCode::corrupt, path_,
                       "the .npy header lacks one of 'descr', 'fortran_order', 'shape'");
    }
    return header;
  }

 private:
  void parse_entry(NpyHeader& header) {
    const std::string key = parse_string();
    expect(':');
    if (key == "descr" && !header.element_code) {
      header.element_code = parse_element_code();
    } else if (key == "fortran_order" && !header.is_fortran_order) {
      header.is_fortran_order = parse_bool();
    } else if (key == "shape" && !header.shape) {
      header.shape = parse_shape();
    } else {
      fail_vector_file(ErrorCode::corrupt, path_,
                       "the .npy header has an unexpected or repeated key '" + key + "'");
    }
  }

  std::string parse_element_code() {
    skip_space();
    if (position_ < text_.size() && text_[position_] == '[') {
      fail_vector_file(ErrorCode::invalid_argument, path_,
                       "the .npy file holds records of several fields; expected plain numbers");
    }
    return parse_string();
  }

  std::string parse_string() {
    skip_space();
    const char quote = position_ < text_.size() ? text_[position_] : '\0';
    if (quote != '\'' && quote != '"') fail("a quoted string");
    const std::size_t end = text_.find(quote, position_ + 1);
    if (end == std::string_view::npos) fail("a closing quote");
    const std::string value(text_.substr(position_ + 1, end - position_ - 1));
    position_ = end + 1;
    return value;
  }

  bool parse_bool() {
    skip_space();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true},
                                      std::pair<std::string_view, bool>{"False", false}}) {
      if (text_.substr(position_, word.size()) == word) {
        position_ += word.size();
        return value;
      }
    }
    fail("True or False");
  }

  std::vector<std::uint64_t> parse_shape() {
    std::vector<std::uint64_t> shape;
    expect('(');
    while (!accept(')')) {
      skip_space();
      std::uint64_t extent = 0;
      const char* const begin = text_.data() + position_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), extent);
      if (error != std::errc()) fail("a length that fits 64 bits");
      position_ += static_cast<std::size_t>(end - begin);
      accept('L');
      shape.push_back(extent);
      if (accept(',')) continue;
      expect(')');
      break;
    }
    return shape;
  }

  void skip_space() {
    while (position_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[position_]) != std::string_view::npos) {
      ++position_;
    }
  }

  bool accept(char wanted) {
    skip_space();
    if (position_ >= text_.size() || text_[position_] != wanted) return false;
    ++position_;
    return true;
  }

  void expect(char wanted) {
    if (!accept(wanted)) fail({'\'', wanted, '\''});
  }

  [[noreturn]] void fail(const std::string& wanted) const {
    fail_vector_file(
        ErrorCode::corrupt, path_,
        "character " + std::to_string(position_) + " of the .npy header: expected " + wanted);
  }

  const std::filesystem::path& path_;
  std::string_view text_;
  std::size_t position_ = 0;
};

// The header's text; advances `offset` to the first value.
std::string read_header_text(const File& file, std::uint64_t& offset) {
  const auto truncated = [&](const std::string& wanted) {
    fail_vector_file(
        ErrorCode::corrupt, file.path(),
        "expected " + wanted + "; the file has " + std::to_string(file.size()) + " bytes");
  };
  const std::uint64_t file_bytes = file.size();
  std::array<unsigned char, kVersionEnd> start;
  if (file_bytes < start.size()) truncated("the 8 bytes that begin a .npy file");
  file.read_at(0, std::as_writable_bytes(std::span(start)));
  if (std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0) {
    fail_vector_file(ErrorCode::corrupt, file.path(), "does not begin as a .npy file does");
  }
  const unsigned major = start[6];
  if (major < 1 || major > 3 || start[7] != 0) {
    fail_vector_file(ErrorCode::invalid_argument, file.path(),
                     ".npy version " + std::to_string(major) + "." + std::to_string(start[7]) +
                         "; expected 1.0, 2.0 or 3.0");
  }
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  offset = kVersionEnd + length_bytes;
  if (file_bytes < offset) truncated("a length of the .npy header");
  std::uint32_t length = 0;
  file.read_at(kVersionEnd, std::as_writable_bytes(std::span(&length, 1)).first(length_bytes));
  if (length > kMaxHeaderBytes || length > file_bytes - offset) {
    fail_vector_file(ErrorCode::corrupt, file.path(),
                     "a .npy header of " + std::to_string(length) + " bytes; expected at most " +
                         std::to_string(std::min(kMaxHeaderBytes, file_bytes - offset)));
  }
  std::string text(length, '\0');
  file.read_at(offset, std::as_writable_bytes(std::span(text)));
  offset += length;
  return text;
}

ElementType element_of(const std::filesystem::path& path, const std::string& code) {
  const auto* const found =
      std::find_if(kElementCodes.begin(), kElementCodes.end(),
                   [&](const ElementCode& candidate) { return candidate.code == code; });
  if (found != kElementCodes.end()) return found->type;
  const bool is_big_endian = !code.empty() && code[0] == '>';
  fail_vector_file(ErrorCode::invalid_argument, path,
                   "the .npy file has element type '" + code + "'" +
                       (is_big_endian ? ", which is big-endian" : "") +
                       "; expected one of <f2 <f4 <f8 |b1 |u1 |i1 <i4 <u4 <i8 <u8");
}

}  // namespace

VectorLayout read_npy_layout(const File& file) {
  std::uint64_t first_value = 0;
  const std::string text = read_header_text(file, first_value);
  const NpyHeader header = HeaderParser(file.path(), text).parse();
  const ElementType element = element_of(file.path(), *header.element_code);
  const std::vector<std::uint64_t>& shape = *header.shape;
  if (shape.empty() || shape.size() > 2) {
    fail_vector_file(
        ErrorCode::invalid_argument, file.path(),
        "the .npy file has " + std::to_string(shape.size()) + " dimensions; expected 1 or 2");
  }
  VectorLayout layout;
  layout.element = element;
  layout.rows = shape[0];
  layout.dim = shape.size() == 2 ? shape[1] : 1;
  layout.first_value = first_value;
  layout.is_list = shape.size() == 1;
  // One column or one row lies the same way in either order.
  layout.is_column_major = *header.is_fortran_order && layout.dim > 1 && layout.rows > 1;
  return layout;
}

std::string make_npy_header(ElementType element, std::uint64_t rows, std::uint64_t dim) {
  const auto* const code =
      std::find_if(kElementCodes.begin(), kElementCodes.end(),
                   [&](const ElementCode& candidate) { return candidate.type == element; });
  std::string text("{'descr': '");
  text += code->code;
  text += "', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ",";
  if (dim != 0) text.append(" ").append(std::to_string(dim));
  text += "), }";
  constexpr std::size_t kPrefix = kVersionEnd + 2;
  const std::size_t total = (kPrefix + text.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  text.append(total - kPrefix - text.size() - 1, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {'\x01', '\x00'};
  header += static_cast<char>(text.size() & 0xFF);
  header += static_cast<char>(text.size() >> 8);
  return header + text;
}

}  // namespace cairn::storage
