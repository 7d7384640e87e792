// What the bytes of rows become: one decoder for each content of shards.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bitstill/data/augmentation.hpp"
#include "bitstill/data/batch.hpp"
#include "bitstill/data/data_index.hpp"

namespace bitstill {

/// The rows of a batch as shards hold them, their check sums right.
struct RawRows {
  std::vector<uint8_t> bytes;    // one row behind the other
  std::vector<int64_t> offsets;  // [n + 1]: where in `bytes` each begins, and the end of the last
  std::function<std::string(std::size_t k)> place;  // "FOLDER/train-00001.h5, row 3", for messages

  std::span<const uint8_t> row(std::size_t k) const {
    return {bytes.data() + offsets[k], static_cast<std::size_t>(offsets[k + 1] - offsets[k])};
  }
};

/// Thread-safe.
class RowDecoder {
 public:
  virtual ~RowDecoder() = default;
  /// Makes the rows part of `batch`, which has their numbers, as they are seen in this epoch; what
  /// `raw` holds may be taken. Error(data) names shard and row.
  virtual void decode(RawRows* raw, int64_t epoch, Batch* batch) const = 0;
};

/// data.* with all that depends on the content: JPEG rows are cropped in any case (none: random),
/// and resize = 0 is 8/7 of the size. Error(settings) for what does not fit.
AugmentationOptions settled(AugmentationOptions options, const DataIndex& index);

/// What an image is in evaluation; of settled options. crop none: rows are taken as they are, since
/// nothing is cropped or they already have the size; else centre.
CropOptions evaluation_crop(const CropOptions& options, const DataIndex& index);

/// The middle of each row as `crop` (of evaluation_crop) says. `threads` decode a batch.
std::unique_ptr<RowDecoder> make_decoder(const DataIndex& index, const CropOptions& crop,
                                         int64_t threads);

/// Rows as training sees them, by settled options: a function of (seed, variant of the epoch, row)
/// alone, and mixed within the batch by the epoch.
std::unique_ptr<RowDecoder> make_training_decoder(const DataIndex& index,
                                                  const AugmentationOptions& options, uint64_t seed,
                                                  int64_t threads);

}  // namespace bitstill
