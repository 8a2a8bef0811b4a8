#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace cairn::cli {

// Text safe inside HTML elements and double-quoted attributes.
std::string escape_html(std::string_view text);

// A member of an object if it is a finite number; empty for anything else, also for a non-object.
std::optional<double> find_number(const nlohmann::json& object, const char* key);
// A member that is a string, or a number as text; "" for anything else. Not escaped.
std::string find_text(const nlohmann::json& object, const char* key);
// A member that is an object or array of the asked kind; an empty one otherwise.
const nlohmann::json& find_object(const nlohmann::json& object, const char* key);
const nlohmann::json& find_array(const nlohmann::json& object, const char* key);
// The finite numbers of an array member.
std::vector<double> find_numbers(const nlohmann::json& object, const char* key);

// Three significant digits or all before the point: "0.953", "28,300", "1.25", "0.9".
std::string format_number(double value);
// A whole number with thousands separators.
std::string format_count(double value);
// Decimal units: "188 MB".
std::string format_bytes(double bytes);
// "41 us", "3.2 ms", "1.4 s".
std::string format_microseconds(double microseconds);
// printf's %.*f
std::string format_fixed(double value, int decimals);

// A data: address of an 8-bit grayscale PNG, row-major, pixels.size() == width * height.
std::string png_data_address(std::span<const std::uint8_t> pixels, std::uint32_t width,
                             std::uint32_t height);

}  // namespace cairn::cli
