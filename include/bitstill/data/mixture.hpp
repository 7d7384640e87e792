// The pictures of a micro-batch mixed in pairs, as torchvision's MixUp and CutMix do it.
#pragma once

#include <cstdint>

#include "bitstill/base/words.hpp"
#include "bitstill/data/batch.hpp"
#include "bitstill/data/image_shape.hpp"

namespace bitstill {

/// data.*; 0: off. With both, each micro-batch has one of them, at random.
struct MixOptions {
  double mixup = 0, cutmix = 0;
};
template <ConstOr<MixOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("mixup", options.mixup,
        "mixes the pictures of a micro-batch in pairs, and their labels; the share of each is "
        "drawn from Beta(mixup, mixup) (0.2)");
  visit("cutmix", options.cutmix,
        "lays a rectangle of one picture into the other, its area drawn from Beta(cutmix, cutmix) "
        "(1); with data.mixup, a micro-batch has one of the two");
}
bool mixes(const MixOptions& options);
/// Error(settings) names the setting.
void check(const MixOptions& options);

/// Row i takes its share of the row before it (the first of the last one), and its label as
/// partner. A function of (seed, epoch, the rows) alone; `threads` mix.
void mix_rows(const ImageShape& shape, const MixOptions& options, uint64_t seed, int64_t epoch,
              int64_t threads, Batch* batch);

}  // namespace bitstill
