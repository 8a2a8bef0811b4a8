#pragma once

#include <filesystem>
#include <string>

namespace cairn::cli {

// Refuses, before hours of work, a path that could not be written after them: throws Error
// not_found if its directory is missing, io if it may not be written or the path is a directory.
void require_writable(const std::filesystem::path& path);

// Writes a text file under a temporary name and renames it. Throws Error(io).
void write_text_file(const std::filesystem::path& path, const std::string& text);

// A whole text file. Throws Error: not_found, io.
std::string read_text_file(const std::filesystem::path& path);

}  // namespace cairn::cli
