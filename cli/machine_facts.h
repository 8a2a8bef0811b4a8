#pragma once

// Where numbers were measured: without this they mean nothing.

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

namespace cairn::cli {

// {"cpu", "isa", "compiler", "commit", "version", "threads"}; "" for what the system will not say.
nlohmann::json machine_facts();

// Anonymous memory that this process holds now, in bytes: what it must have, unlike mapped files. 0
// if the system does not tell.
std::uint64_t anonymous_bytes();

// The most memory that this process ever held, in bytes.
std::uint64_t peak_rss_bytes();

}  // namespace cairn::cli
