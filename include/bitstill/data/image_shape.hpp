// What one image is, and how its bytes become numbers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/base/json.hpp"

namespace bitstill {

/// uint8 values, channel-first.
struct ImageShape {
  int64_t channels = 0, height = 0, width = 0;
  int64_t pixels() const { return channels * height * width; }
  bool operator==(const ImageShape&) const = default;
};

/// x = (byte / 255 - mean[c]) / deviation[c]: shards have it from their training split, and every
/// model file carries the one that its network was trained with.
struct Normalization {
  std::vector<float> mean, deviation;
  bool stated() const { return !mean.empty() || !deviation.empty(); }
  bool operator==(const Normalization&) const = default;
};

Json to_json(const ImageShape& shape);
Json to_json(const Normalization& normalization);
/// Error(code) naming `where` when a member is missing, of a wrong type or out of range
/// (channels 1..64, sides 1..4096, finite means, deviations > 0).
ImageShape image_shape_from_json(const Json& json, const std::string& where, ExitCode code);
Normalization normalization_from_json(const Json& json, const std::string& where, ExitCode code,
                                      const char* deviation = "deviation");
/// "mean 0.1307 and std 0.3081", to the bit.
std::string to_text(const Normalization& normalization);

}  // namespace bitstill
