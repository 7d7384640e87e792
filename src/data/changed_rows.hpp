// Decoders behind a decoder: what becomes of images that are cropped or shifted already.
#pragma once

#include <memory>

#include "bitstill/data/row_decoder.hpp"

namespace bitstill {

/// What both are made from; `shape` is of the images that they get.
struct ChangedRows {
  std::unique_ptr<RowDecoder> images;
  ImageShape shape;
  AugmentationOptions options;
  uint64_t seed = 0;
  int64_t threads = 1;
};

/// options.colour; what is erased becomes the mean.
std::unique_ptr<RowDecoder> with_colours(ChangedRows rows, const Normalization& normalization);
/// options.mix: a batch is a micro-batch.
std::unique_ptr<RowDecoder> with_mixtures(ChangedRows rows);

}  // namespace bitstill
