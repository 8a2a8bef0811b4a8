#include "index/payload_puller.h"

#include "cairn/error.h"

namespace cairn::index {

std::function<void(std::size_t, std::string&)> payload_puller(
    PayloadSource& source, std::span<const std::uint32_t> rows_in_order, Progress& progress) {
  progress.start_phase("payloads", rows_in_order.size());
  return [&source, rows_in_order, &progress](std::size_t row, std::string& out) {
    source.read(rows_in_order[row], out);
    if (out.size() > kMaxPayloadBytes) {
      throw Error(ErrorCode::invalid_argument,
                  "payloads: row " + std::to_string(rows_in_order[row]) + " has " +
                      std::to_string(out.size()) + " bytes, expected at most " +
                      std::to_string(kMaxPayloadBytes));
    }
    progress.advance(1);
  };
}

}  // namespace cairn::index
