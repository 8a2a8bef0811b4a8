#pragma once

// Where numbers were measured: without this they mean nothing.

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

namespace cairn::cli {

// {"cpu", "isa", "compiler", "commit", "version", "threads"}; "" for what the system will not say.
nlohmann::json machine_facts();

// The most memory that this process ever held, in bytes.
std::uint64_t peak_rss_bytes();

}  // namespace cairn::cli
