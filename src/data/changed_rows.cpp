#include "changed_rows.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "bitstill/base/parallel_for.hpp"

namespace bitstill {
namespace {

class ColouredRows final : public RowDecoder {
 public:
  ColouredRows(ChangedRows rows, const Normalization& normalization) : rows_(std::move(rows)) {
    for (const float mean : normalization.mean) {
      fill_.push_back(static_cast<uint8_t>(std::lround(255 * std::clamp(mean, 0.0f, 1.0f))));
    }
  }

  void decode(RawRows* raw, int64_t epoch, Batch* batch) const override {
    rows_.images->decode(raw, epoch, batch);
    batch->variant = variant_of(rows_.options, epoch);
    parallel_for(batch->count(), rows_.threads, [&](int64_t i) {
      const auto k = static_cast<std::size_t>(i);
      change_colours(rows_.shape, rows_.options.colour, fill_.data(), rows_.seed, batch->variant,
                     batch->rows[k],
                     &batch->pixels[k * static_cast<std::size_t>(rows_.shape.pixels())]);
    });
  }

 private:
  ChangedRows rows_;
  std::vector<uint8_t> fill_;
};

class MixedRows final : public RowDecoder {
 public:
  explicit MixedRows(ChangedRows rows) : rows_(std::move(rows)) {}

  void decode(RawRows* raw, int64_t epoch, Batch* batch) const override {
    rows_.images->decode(raw, epoch, batch);
    mix_rows(rows_.shape, rows_.options.mix, rows_.seed, epoch, rows_.threads, batch);
  }

 private:
  ChangedRows rows_;
};

}  // namespace

std::unique_ptr<RowDecoder> with_colours(ChangedRows rows, const Normalization& normalization) {
  return std::make_unique<ColouredRows>(std::move(rows), normalization);
}

std::unique_ptr<RowDecoder> with_mixtures(ChangedRows rows) {
  return std::make_unique<MixedRows>(std::move(rows));
}

}  // namespace bitstill
