#pragma once

#include <cstdint>
#include <string>

#include "storage/vector_file_layout.h"

namespace cairn::storage {

// Parses the header of a .npy file. Says nothing yet of the file's size or of empty shapes; a 1-d
// array has one column.
// Throws Error: corrupt if it is no such header, invalid_argument for big-endian or unknown element
// types and other than one or two dimensions.
VectorLayout read_npy_layout(const File& file);

// Everything before the first value of a version 1.0 file, padded to 64 bytes; dim == 0 makes the
// array one-dimensional.
std::string make_npy_header(ElementType element, std::uint64_t rows, std::uint64_t dim);

}  // namespace cairn::storage
