// One axis of a resize, and the turn that makes the other axis its like.
#pragma once

#include <cstdint>

#include "resize_taps.hpp"

namespace bitstill {

/// Target pixels made at a time, which are then turned: a square of bytes.
constexpr int64_t kStrip = 16;

/// Rows of `bytes` bytes, `stride` apart, become rows of them by `taps`; those are the columns of
/// the target, [bytes, taps], the last one first where `backwards`.
struct StretchedRows {
  const uint8_t* source = nullptr;
  int64_t stride = 0, bytes = 0;
  const FixedTaps* taps = nullptr;
  bool backwards = false;
  uint8_t* strip = nullptr;  // kStrip x bytes, to work in
  uint8_t* target = nullptr;
};
void stretch_and_turn(const StretchedRows& rows);

}  // namespace bitstill
