#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "cairn/payload.h"

#include "index/progress.h"

namespace cairn::index {

// The payloads of `source` in the order of the index, for storage::write_payloads() and
// encode_payloads(). Everything is borrowed. A call throws Error(invalid_argument) if a payload is
// too long, naming its row, and Error(cancelled).
std::function<void(std::size_t row, std::string& out)> payload_puller(
    PayloadSource& source, std::span<const std::uint32_t> rows_in_order, Progress& progress);

}  // namespace cairn::index
