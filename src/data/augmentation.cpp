#include "bitstill/data/augmentation.hpp"

#include <algorithm>
#include <cstring>

#include "bitstill/base/random.hpp"

namespace bitstill {

bool augments(const AugmentationOptions& options) {
  return options.shift > 0 || options.flip || options.crop.crop == CropKind::random ||
         changes(options.colour);
}

int64_t variant_of(const AugmentationOptions& options, int64_t epoch) {
  if (!augments(options)) return 0;
  return options.variants > 0 ? epoch % options.variants : epoch;
}

void augment(const uint8_t* source, uint8_t* target, const ImageShape& shape, const uint8_t* fill,
             const AugmentationOptions& options, uint64_t seed, int64_t epoch, int64_t sample) {
  RandomStream stream(seed, StreamPurpose::augmentation, static_cast<uint64_t>(sample),
                      static_cast<uint32_t>(variant_of(options, epoch)));
  // All three are drawn whatever the options say, so that one option never changes another's.
  const bool flip = (stream.next() >> 31) != 0 && options.flip;
  const auto choices = static_cast<uint64_t>(2 * options.shift + 1);
  const int64_t down = static_cast<int64_t>(stream.below(choices)) - options.shift;
  const int64_t right = static_cast<int64_t>(stream.below(choices)) - options.shift;
  const int64_t width = shape.width;
  // Columns [begin, end) of the target come from the source, the others are fill.
  const int64_t begin = std::clamp<int64_t>(right, 0, width);
  const int64_t end = std::clamp<int64_t>(width + right, begin, width);
  for (int64_t c = 0; c < shape.channels; ++c) {
    for (int64_t y = 0; y < shape.height; ++y, target += width) {
      const int64_t from = y - down;
      if (from < 0 || from >= shape.height) {
        std::memset(target, fill[c], static_cast<std::size_t>(width));
        continue;
      }
      const uint8_t* row = source + (c * shape.height + from) * width;
      std::memset(target, fill[c], static_cast<std::size_t>(begin));
      std::memset(target + end, fill[c], static_cast<std::size_t>(width - end));
      if (flip) {
        std::reverse_copy(row + width - (end - right), row + width - (begin - right),
                          target + begin);
      } else {
        std::copy(row + begin - right, row + end - right, target + begin);
      }
    }
  }
}

}  // namespace bitstill
