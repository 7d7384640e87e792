// Which source pixels make a pixel of a resized picture, and their shares.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "bitstill/data/crop.hpp"

namespace bitstill {

/// One target pixel's source pixels: `first`, counted in the decoded picture, and their shares,
/// which add up to 1; the outermost are not 0.
struct Taps {
  int64_t first = 0;
  std::vector<double> shares;
};

/// Of pixel `target` (0 is stretch.begin) by a triangle as wide as two source pixels or, where it
/// shrinks, two target pixels; cut off at the ends of the stretch. Writes over `taps`.
void find_taps(const Stretch& stretch, int64_t target, Taps* taps);

/// First and end of all source pixels that find_taps names.
std::pair<int64_t, int64_t> source_range(const Stretch& stretch);

/// The taps of all targets of a stretch in fixed point.
struct FixedTaps {
  struct Place {
    int64_t first = 0;   // source pixel, from the first one of source_range on
    std::size_t at = 0;  // in weights
    std::size_t count = 0;
  };
  std::vector<Place> places;
  std::vector<uint16_t> weights;  // 2^16 in sum; of a lone tap 2^16 - 1, which does as well

  void fill(const Stretch& stretch);

 private:
  Taps taps_;
};

}  // namespace bitstill
