#include "cli/html_text.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstdio>

namespace cairn::cli {
namespace {

using Bytes = std::string;

void append_big_endian(Bytes& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xFF);
}

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t crc = ~std::uint32_t{0};
  for (const char byte : bytes) {
    crc ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
  }
  return ~crc;
}

std::uint32_t adler32(std::string_view bytes) {
  std::uint32_t a = 1;
  std::uint32_t b = 0;
  for (const char byte : bytes) {
    a = (a + static_cast<std::uint8_t>(byte)) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

void append_png_chunk(Bytes& png, std::string_view type, std::string_view data) {
  append_big_endian(png, static_cast<std::uint32_t>(data.size()));
  const Bytes checked = Bytes(type) + Bytes(data);
  png += checked;
  append_big_endian(png, crc32(checked));
}

// A zlib stream of stored blocks: no compression, and no dependency for it.
Bytes store_zlib(std::string_view data) {
  constexpr std::size_t kMaxStored = 65535;
  Bytes out = "\x78\x01";
  std::size_t offset = 0;
  do {
    const std::size_t length = std::min(kMaxStored, data.size() - offset);
    const bool is_last = offset + length == data.size();
    const std::uint32_t length_and_complement =
        static_cast<std::uint32_t>(length | (~length & 0xFFFF) << 16);
    out += static_cast<char>(is_last ? 1 : 0);
    for (int shift = 0; shift < 32; shift += 8) {
      out += static_cast<char>(length_and_complement >> shift & 0xFF);
    }
    out += data.substr(offset, length);
    offset += length;
  } while (offset < data.size());
  append_big_endian(out, adler32(data));
  return out;
}

std::string encode_base64(std::string_view bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? static_cast<std::uint8_t>(bytes[i + j]) : 0);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += j <= count ? kDigits[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

const nlohmann::json* find_member(const nlohmann::json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

std::optional<double> finite_number(const nlohmann::json& value) {
  if (!value.is_number()) return std::nullopt;
  const double number = value.get<double>();
  return std::isfinite(number) ? std::optional(number) : std::nullopt;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::optional<double> find_number(const nlohmann::json& object, const char* key) {
  const nlohmann::json* member = find_member(object, key);
  return member == nullptr ? std::nullopt : finite_number(*member);
}

std::string find_text(const nlohmann::json& object, const char* key) {
  const nlohmann::json* member = find_member(object, key);
  if (member == nullptr) return "";
  if (member->is_string()) return member->get<std::string>();
  if (member->is_number_integer()) return member->dump();
  const std::optional<double> number = finite_number(*member);
  return number ? format_number(*number) : "";
}

const nlohmann::json& find_object(const nlohmann::json& object, const char* key) {
  static const nlohmann::json kEmpty = nlohmann::json::object();
  const nlohmann::json* member = find_member(object, key);
  return member != nullptr && member->is_object() ? *member : kEmpty;
}

const nlohmann::json& find_array(const nlohmann::json& object, const char* key) {
  static const nlohmann::json kEmpty = nlohmann::json::array();
  const nlohmann::json* member = find_member(object, key);
  return member != nullptr && member->is_array() ? *member : kEmpty;
}

std::vector<double> find_numbers(const nlohmann::json& object, const char* key) {
  std::vector<double> numbers;
  for (const nlohmann::json& value : find_array(object, key)) {
    if (const std::optional<double> number = finite_number(value)) numbers.push_back(*number);
  }
  return numbers;
}

std::string format_fixed(double value, int decimals) {
  std::array<char, 400> buffer{};
  const int length = std::snprintf(buffer.data(), buffer.size(), "%.*f", decimals, value);
  return {buffer.data(), std::min(static_cast<std::size_t>(length), buffer.size() - 1)};
}

std::string format_count(double value) {
  std::string digits = format_fixed(std::abs(value), 0);
  for (std::size_t i = digits.size(); i > 3;) {
    i -= 3;
    digits.insert(i, ",");
  }
  return value < 0 && digits != "0" ? "-" + digits : digits;
}

std::string format_number(double value) {
  const double magnitude = std::abs(value);
  if (magnitude >= 1e15 || (magnitude > 0 && magnitude < 1e-3)) {
    std::array<char, 32> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%.3g", value);
    return buffer.data();
  }
  if (magnitude >= 100 || value == std::round(value)) return format_count(value);
  std::string digits = format_fixed(value, magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3);
  digits.erase(digits.find_last_not_of('0') + 1);
  if (digits.back() == '.') digits.pop_back();
  return digits;
}

std::string format_bytes(double bytes) {
  static constexpr std::array kUnits{"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (std::abs(bytes) >= 999.5 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  const int decimals = unit == 0 || std::abs(bytes) >= 100 ? 0 : std::abs(bytes) >= 10 ? 1 : 2;
  return format_fixed(bytes, decimals) + " " + kUnits[unit];
}

std::string format_microseconds(double microseconds) {
  if (microseconds < 999.5) return format_number(microseconds) + " us";
  if (microseconds < 999.5e3) return format_number(microseconds / 1e3) + " ms";
  return format_number(microseconds / 1e6) + " s";
}

std::string png_data_address(std::span<const std::uint8_t> pixels, std::uint32_t width,
                             std::uint32_t height) {
  assert(pixels.size() == std::size_t{width} * height);
  Bytes header;
  append_big_endian(header, width);
  append_big_endian(header, height);
  header += {'\x08', '\x00', '\x00', '\x00', '\x00'};  // 8 bits, grayscale, defaults
  Bytes rows;
  for (std::uint32_t y = 0; y < height; ++y) {
    rows += '\0';  // no filter
    for (std::uint32_t x = 0; x < width; ++x) {
      rows += static_cast<char>(pixels[std::size_t{y} * width + x]);
    }
  }
  Bytes png = "\x89PNG\r\n\x1a\n";
  append_png_chunk(png, "IHDR", header);
  append_png_chunk(png, "IDAT", store_zlib(rows));
  append_png_chunk(png, "IEND", "");
  return "data:image/png;base64," + encode_base64(png);
}

}  // namespace cairn::cli
