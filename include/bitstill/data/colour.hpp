// Colours changed and parts erased at random, as torchvision does it; functions of (seed, variant,
// row) alone.
#pragma once

#include <cstdint>

#include "bitstill/base/words.hpp"
#include "bitstill/data/image_shape.hpp"

namespace bitstill {

/// data.*; 0: off
struct ColourOptions {
  double jitter = 0, lighting = 0, erase = 0;
};
template <ConstOr<ColourOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit(
      "jitter", options.jitter,
      "brightness, contrast and saturation, in random order, times 1 - jitter to 1 + jitter (0.4)");
  visit("lighting", options.lighting,
        "colour noise along the principal axes of ImageNet's colours, of this deviation (0.1)");
  visit("erase", options.erase, "probability that a random rectangle becomes the mean (0.25)");
}
bool changes(const ColourOptions& options);  // any pixel
/// Error(settings) names the setting.
void check(const ColourOptions& options);

// --- On uint8 [C,H,W]; a grey image has no saturation and no lighting ---

/// Each value times `factor`.
void change_brightness(const ImageShape& shape, double factor, uint8_t* pixels);
/// Each value's distance to the mean luma times `factor`.
void change_contrast(const ImageShape& shape, double factor, uint8_t* pixels);
/// Each value's distance to its pixel's luma times `factor`.
void change_saturation(const ImageShape& shape, double factor, uint8_t* pixels);
/// Adds the axes times their deviations times `strengths` [3].
void change_lighting(const ImageShape& shape, const double* strengths, uint8_t* pixels);

/// All that the options say; erased pixels become fill[c]. variant: variant_of() of the epoch.
void change_colours(const ImageShape& shape, const ColourOptions& options, const uint8_t* fill,
                    uint64_t seed, int64_t variant, int64_t row, uint8_t* pixels);

}  // namespace bitstill
