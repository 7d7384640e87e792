// images: as they are, shifted, cropped   jpeg: cropped   behind them: colours, mixtures
// what data.* comes to
#include "bitstill/data/row_decoder.hpp"

#include <mutex>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/base/parallel_for.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/resize.hpp"
#include "changed_rows.hpp"
#include "token_rows.hpp"

namespace bitstill {
namespace {

/// Rows that are the batch's images already.
class WholeImages final : public RowDecoder {
 public:
  void decode(RawRows* raw, int64_t, Batch* batch) const override {
    batch->pixels.swap(raw->bytes);
  }
};

class ShiftedImages final : public RowDecoder {
 public:
  ShiftedImages(const ImageShape& shape, const AugmentationOptions& options, uint64_t seed)
      : shape_(shape), options_(options), seed_(seed), black_(shape.channels) {}

  void decode(RawRows* raw, int64_t epoch, Batch* batch) const override {
    batch->variant = variant_of(options_, epoch);
    batch->pixels.resize(raw->bytes.size());
    for (std::size_t k = 0; k < batch->rows.size(); ++k) {
      augment(raw->row(k).data(), batch->pixels.data() + raw->offsets[k], shape_, black_.data(),
              options_, seed_, epoch, batch->rows[k]);
    }
  }

 private:
  ImageShape shape_;
  AugmentationOptions options_;
  uint64_t seed_;
  std::vector<uint8_t> black_;  // shifted-in pixels, as padding is in the usual random crop
};

/// Which part of the pictures is seen.
struct CropRule {
  AugmentationOptions options;  // settled; crop: random or centre
  uint64_t seed = 0;

  Crop operator()(int64_t height, int64_t width, int64_t variant, int64_t row) const {
    Crop crop = options.crop.crop == CropKind::random
                    ? random_crop(height, width, options.crop, seed, variant, row)
                    : centre_crop(height, width, options.crop);
    crop.flip = options.flip && draw_flip(seed, variant, row);
    return crop;
  }
};

/// What one thread decodes with.
struct CropTools {
  JpegDecoder decoder;
  CropResizer resizer;
};

/// Every row is cropped by a rule, on several threads.
class CroppedRows : public RowDecoder {
 public:
  CroppedRows(const ImageShape& row, const CropRule& rule, int64_t threads)
      : row_(row), rule_(rule), threads_(threads) {}

  void decode(RawRows* raw, int64_t epoch, Batch* batch) const override {
    const int64_t size = rule_.options.crop.size;
    const auto pixels = static_cast<std::size_t>(row_.channels * size * size);
    batch->variant = variant_of(rule_.options, epoch);
    batch->pixels.resize(batch->rows.size() * pixels);
    parallel_for(batch->count(), threads_, [&](int64_t i) {
      const auto k = static_cast<std::size_t>(i);
      std::unique_ptr<CropTools> tools = take_tools();
      try {
        crop_row(raw->row(k), batch->variant, batch->rows[k], *tools, &batch->pixels[k * pixels]);
      } catch (const Error& error) {
        throw Error(error.code(), concat(raw->place(k), ": ", error.what(),
                                         "; its sum holds, so it was written so: convert the data "
                                         "again with bitstill shard"));
      }
      give_back(std::move(tools));
    });
  }

 protected:
  virtual void crop_row(std::span<const uint8_t> bytes, int64_t variant, int64_t row,
                        CropTools& tools, uint8_t* target) const = 0;
  const ImageShape row_;
  const CropRule rule_;

 private:
  std::unique_ptr<CropTools> take_tools() const {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<CropTools>();
    std::unique_ptr<CropTools> tools = std::move(idle_.back());
    idle_.pop_back();
    return tools;
  }
  void give_back(std::unique_ptr<CropTools> tools) const {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(tools));
  }

  int64_t threads_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<CropTools>> idle_;
};

class CroppedImages final : public CroppedRows {
 public:
  using CroppedRows::CroppedRows;

 protected:
  void crop_row(std::span<const uint8_t> bytes, int64_t variant, int64_t row, CropTools& tools,
                uint8_t* target) const override {
    const Crop crop = rule_(row_.height, row_.width, variant, row);
    const CropBox box = source_box(crop);
    const int64_t size = rule_.options.crop.size, corner = box.top * row_.width + box.left;
    for (int64_t c = 0; c < row_.channels; ++c) {
      const uint8_t* plane = bytes.data() + c * row_.height * row_.width;
      const PixelView view{plane + corner, box.height, box.width, 1, row_.width};
      tools.resizer.resize_crop(view, crop, target + c * size * size);
    }
  }
};

class CroppedJpegs final : public CroppedRows {
 public:
  using CroppedRows::CroppedRows;

 protected:
  void crop_row(std::span<const uint8_t> bytes, int64_t variant, int64_t row, CropTools& tools,
                uint8_t* target) const override {
    const JpegSize size = read_jpeg_size(bytes);
    Crop crop = rule_(size.height, size.width, variant, row);
    if (rule_.options.crop.scaled_decode) crop = shrunk(crop);
    tools.resizer.resize_crop(
        tools.decoder.decode_crop(bytes, source_box(crop), row_.channels, crop.rows.shrink), crop,
        target);
  }
};

std::unique_ptr<RowDecoder> cropped(const DataIndex& index, const CropRule& rule, int64_t threads) {
  switch (index.content) {
    case Content::images:
      return std::make_unique<CroppedImages>(index.row, rule, threads);
    case Content::jpeg:
      return std::make_unique<CroppedJpegs>(index.row, rule, threads);
    case Content::tokens:
      break;  // nothing to crop
  }
  return nullptr;  // no content
}

std::unique_ptr<RowDecoder> moved(const DataIndex& index, const AugmentationOptions& options,
                                  uint64_t seed, int64_t threads) {
  if (options.crop.crop != CropKind::none) return cropped(index, {options, seed}, threads);
  if (options.shift > 0 || options.flip) {
    return std::make_unique<ShiftedImages>(index.row, options, seed);
  }
  return std::make_unique<WholeImages>();
}

/// Sentences are seen as they are.
void refuse_augmentation(const AugmentationOptions& options) {
  const std::pair<const char*, bool> given[] = {{"shift", options.shift > 0},
                                                {"flip", options.flip},
                                                {"crop", options.crop.crop != CropKind::none},
                                                {"scaled_decode", options.crop.scaled_decode},
                                                {"jitter", options.colour.jitter > 0},
                                                {"lighting", options.colour.lighting > 0},
                                                {"erase", options.colour.erase > 0},
                                                {"mixup", options.mix.mixup > 0},
                                                {"cutmix", options.mix.cutmix > 0}};
  for (const auto& [name, on] : given) {
    if (!on) continue;
    throw Error(
        ExitCode::settings,
        concat("data.", name, ": changes images, and these shards hold sentences; leave it out"));
  }
}

}  // namespace

AugmentationOptions settled(AugmentationOptions options, const DataIndex& index) {
  CropOptions& crop = options.crop;
  if (index.content == Content::tokens) {
    refuse_augmentation(options);
    return options;
  }
  if (options.colour.lighting > 0 && index.row.channels != 3) {
    throw Error(ExitCode::settings, concat("data.lighting = ", options.colour.lighting,
                                           ": the images have no colours; leave it out"));
  }
  if (crop.scaled_decode && index.content != Content::jpeg) {
    throw Error(ExitCode::settings,
                "data.scaled_decode = true: these shards hold pixels, not JPEGs; leave it out");
  }
  if (crop.crop == CropKind::none && index.row.height == 0) crop.crop = CropKind::random;
  if (crop.crop == CropKind::none) return options;
  if (options.shift > 0) {
    throw Error(ExitCode::settings, concat("data.shift = ", options.shift, " and data.crop = ",
                                           crop.crop, ": images are shifted or cropped, not both"));
  }
  if (crop.resize == 0) crop.resize = (crop.size * 8 + 3) / 7;
  return options;
}

CropOptions evaluation_crop(const CropOptions& options, const DataIndex& index) {
  CropOptions crop;
  if (options.crop == CropKind::none) return crop;
  if (index.row.height == options.size && index.row.width == options.size) return crop;
  crop.crop = CropKind::centre;
  crop.size = options.size;
  crop.resize = options.resize;
  return crop;
}

std::unique_ptr<RowDecoder> make_decoder(const DataIndex& index, const CropOptions& crop,
                                         int64_t threads) {
  if (index.content == Content::tokens) return make_token_decoder(index);
  if (crop.crop == CropKind::none) return std::make_unique<WholeImages>();
  CropRule rule;
  rule.options.crop = crop;
  return cropped(index, rule, threads);
}

std::unique_ptr<RowDecoder> make_training_decoder(const DataIndex& index,
                                                  const AugmentationOptions& options, uint64_t seed,
                                                  int64_t threads) {
  if (index.content == Content::tokens) return make_token_decoder(index);
  ImageShape shape = index.row;
  if (options.crop.crop != CropKind::none) shape.height = shape.width = options.crop.size;
  std::unique_ptr<RowDecoder> rows = moved(index, options, seed, threads);
  if (changes(options.colour)) {
    rows = with_colours({std::move(rows), shape, options, seed, threads}, index.normalization);
  }
  if (mixes(options.mix)) rows = with_mixtures({std::move(rows), shape, options, seed, threads});
  return rows;
}

}  // namespace bitstill
