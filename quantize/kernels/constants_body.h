#pragma once

// Numbers that every instruction set must share for its integer results to agree.

namespace cairn::kernels {
namespace {

// Outside this range the reciprocal of a query's scale would overflow or vanish; such a query
// counts as zero.
constexpr float kLeastScale = 1e-30f;
constexpr float kGreatestScale = 1e30f;

// The largest entry of a query's table: four of them add up within a byte.
constexpr float kTableLevels = 63;

// The largest |128 * high + low| with high <= 127 and low < 64.
constexpr float kQueryLevels = 127 * 128 + 63;

}  // namespace
}  // namespace cairn::kernels
