// What training changes of its images: a function of (seed, variant, sample) alone, but for
// mixtures, which hang on the micro-batch and the epoch.
#pragma once

#include <cstdint>

#include "bitstill/base/words.hpp"
#include "bitstill/data/colour.hpp"
#include "bitstill/data/crop.hpp"
#include "bitstill/data/image_shape.hpp"
#include "bitstill/data/mixture.hpp"

namespace bitstill {

/// data.*
struct AugmentationOptions {
  int64_t shift = 0;      // up to so many pixels each way; the border is `fill`
  bool flip = false;      // mirrored left-right with probability 1/2
  int64_t variants = 0;   // epoch mod variants chooses the stream; 0: epoch itself
  int64_t seed = -1;      // data.augment_seed; -1: run.seed
  CropOptions crop = {};  // data.crop, data.size, ...; not together with shift
  ColourOptions colour = {};
  MixOptions mix = {};
};
template <ConstOr<AugmentationOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("shift", options.shift, "random shifts up to so many pixels each way");
  visit("flip", options.flip, "random left-right mirroring");
  visit("variants", options.variants, "epochs until augmentation repeats; 0: never");
  visit("augment_seed", options.seed,
        "of augmentation alone, so that runs of other seeds see the same images; -1: run.seed, or "
        "that of teacher.cache");
  visit_settings(options.crop, visit);
  visit_settings(options.colour, visit);
  visit_settings(options.mix, visit);
}

/// Whether images differ from epoch to epoch, before they are mixed.
bool augments(const AugmentationOptions& options);

/// Which of its variants a sample is in this epoch; 0 where nothing is augmented.
int64_t variant_of(const AugmentationOptions& options, int64_t epoch);

/// Writes the shifted and mirrored `source` to `target` (both C,H,W uint8; they do not overlap).
/// Pixels shifted in from outside take fill[c].
void augment(const uint8_t* source, uint8_t* target, const ImageShape& shape, const uint8_t* fill,
             const AugmentationOptions& options, uint64_t seed, int64_t epoch, int64_t sample);

}  // namespace bitstill
