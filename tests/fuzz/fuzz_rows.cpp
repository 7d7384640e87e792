// Fuzz target: a row of a JPEG shard from a stranger. The input is: 4 bytes that choose a box, 4 of
// the crop's stream, the row. Every row becomes pixels or Error(data), the same by a decoder that
// has seen others; a part is the whole's, byte for byte, where the whole can be decoded.
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/data/image.hpp"
#include "bitstill/data/resize.hpp"
#include "bitstill/data/row_decoder.hpp"

namespace {

using namespace bitstill;

constexpr int64_t kMostPixelsHere = 1 << 16;  // a few bytes can announce any size, which takes time
constexpr int64_t kChannels = 3, kSide = 12;

using Pixels = std::vector<uint8_t>;

/// What `make` gives, or nothing for an Error(data) of one line.
template <class Make>
auto attempt(const Make& make) -> std::optional<decltype(make())> {
  try {
    return make();
  } catch (const Error& error) {
    if (error.code() != ExitCode::data || std::strchr(error.what(), '\n') != nullptr) std::abort();
    return std::nullopt;
  }
}

Pixels copy_of(const PixelView& view) {
  Pixels pixels;
  for (int64_t y = 0; y < view.height; ++y) {
    const uint8_t* row = view.pixels + y * view.row_bytes;
    pixels.insert(pixels.end(), row, row + view.width * view.channels);
  }
  return pixels;
}

PixelView view_of(const Pixels& whole, const JpegSize& size, const CropBox& box) {
  return {whole.data() + (box.top * size.width + box.left) * kChannels, box.height, box.width,
          kChannels, size.width * kChannels};
}

/// [first, first + count) of `all`, by two bytes.
void choose(uint8_t begin, uint8_t end, int64_t all, int64_t* first, int64_t* count) {
  *first = begin * all / 256;
  *count = 1 + end * (all - *first) / 256;
}

CropOptions crop_options() {
  return {CropKind::random, kSide, kSide, {0.08, 1}, {0.75, 4.0 / 3}};
}

/// As training has it.
Pixels crop_of(std::span<const uint8_t> row, uint32_t seed) {
  DataIndex index;
  index.content = Content::jpeg;
  index.row = {kChannels, 0, 0};
  AugmentationOptions options;
  options.crop = crop_options();
  RawRows raw{{row.begin(), row.end()}, {0, static_cast<int64_t>(row.size())}, [](std::size_t) {
                return "shard, row";
              }};
  Batch batch;
  batch.rows = {0};
  make_training_decoder(index, options, seed, 1)->decode(&raw, 0, &batch);
  return batch.pixels;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t bytes) {
  constexpr std::size_t kChoice = 8;
  if (bytes <= kChoice) return 0;
  const std::span<const uint8_t> row(data + kChoice, bytes - kChoice);
  uint32_t seed = 0;
  std::memcpy(&seed, data + 4, sizeof seed);
  const auto size = attempt([&] { return read_jpeg_size(row); });
  if (!size || size->height * size->width > kMostPixelsHere) return 0;
  static JpegDecoder used;
  const CropBox all{0, 0, size->width, size->height};
  const auto decode = [&](JpegDecoder& decoder, const CropBox& box) {
    return attempt([&] { return copy_of(decoder.decode_crop(row, box, kChannels)); });
  };
  const auto whole = decode(used, all);
  if (JpegDecoder fresh; decode(fresh, all) != whole) std::abort();
  CropBox box;
  choose(data[0], data[1], size->width, &box.left, &box.width);
  choose(data[2], data[3], size->height, &box.top, &box.height);
  const auto part = decode(used, box);
  const auto crop = attempt([&] { return crop_of(row, seed); });
  const auto image = attempt([&] {
    return decode_image({reinterpret_cast<const char*>(row.data()), row.size()}, kMostPixelsHere);
  });
  if (image && size->channels != 4 && !whole) std::abort();  // CMYK is no row
  if (!whole) return 0;
  if (part != copy_of(view_of(*whole, *size, box))) std::abort();
  const Crop rule = random_crop(size->height, size->width, crop_options(), seed, 0, 0);
  Pixels wanted(kChannels * kSide * kSide);
  CropResizer().resize_crop(view_of(*whole, *size, source_box(rule)), rule, wanted.data());
  if (crop != wanted) std::abort();
  return 0;
}
