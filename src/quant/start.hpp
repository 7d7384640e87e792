// Where learned points start.
#pragma once

#include <cstdint>
#include <vector>

#include "bitstill/quant/options.hpp"

namespace bitstill {

/// `points` ascending points for values scaled to [0, 1]: quantiles at linspace(0, 1, points) (with
/// linear interpolation), uniform j / (points - 1), or kmeans (Lloyd's algorithm from the uniform
/// ones until nothing moves, at most 100 times; a point without values stays). scaled: not empty.
std::vector<float> start_points(PointStart how, std::vector<float> scaled, int64_t points);

}  // namespace bitstill
