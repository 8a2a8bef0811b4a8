#pragma once

#include <filesystem>
#include <string>

namespace cairn::cli {

// A whole text file. Throws Error: not_found, io.
std::string read_text_file(const std::filesystem::path& path);

}  // namespace cairn::cli
