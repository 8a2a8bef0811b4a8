#pragma once

// What the examples in the documentation take for granted: check_examples.py compiles each of them
// as the body of a function in this namespace.

#include <cassert>
#include <cstdint>
#include <filesystem>
#include <future>
#include <iostream>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <cairn/cairn.h>

namespace example {

extern const float* data;  // [rows, dim]
extern std::size_t rows;
extern std::size_t dim;
extern std::vector<cairn::VectorId> ids;  // one per row
extern std::vector<std::string> texts;    // one per row
extern cairn::ClusteredIndex index;
extern std::span<const float> query;  // [dim]
extern cairn::MatrixView queries;
extern const std::uint8_t* pixels;  // [rows, dim]
extern std::size_t stride_bytes;

void read_rows_from_somewhere(std::size_t first, std::size_t count, float* out);
void show(const std::string& text);

}  // namespace example
