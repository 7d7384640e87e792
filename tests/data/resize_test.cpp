#include "bitstill/data/resize.hpp"

#include <algorithm>
#include <functional>

#include "../base/every_target.hpp"
#include "data_fixture.hpp"
#include "pillow_resize.hpp"

namespace bitstill {
namespace {

struct Picture {
  int64_t height, width, channels;
  std::vector<uint8_t> bytes;
  Picture(int64_t h, int64_t w, int64_t c, uint64_t seed)
      : height(h),
        width(w),
        channels(c),
        bytes(random_bytes(static_cast<std::size_t>(h * w * c), seed)) {}
  /// Of exactly the bytes that the crop names, so that a read beyond them is one beyond its memory
  /// where the crop ends with the picture.
  PixelView part(const CropBox& box) const {
    return {bytes.data() + (box.top * width + box.left) * channels, box.height, box.width, channels,
            width * channels};
  }
};

using Resize = std::function<void(const PixelView&, const Crop&, uint8_t*)>;

std::vector<uint8_t> resized(const Picture& picture, const Crop& crop, const Resize& resize) {
  std::vector<uint8_t> pixels(
      static_cast<std::size_t>(picture.channels * crop.rows.count * crop.columns.count));
  resize(picture.part(source_box(crop)), crop, pixels.data());
  return pixels;
}

std::vector<uint8_t> by_kernel(const Picture& picture, const Crop& crop) {
  CropResizer resizer;
  return resized(picture, crop, [&](const PixelView& pixels, const Crop& what, uint8_t* target) {
    resizer.resize_crop(pixels, what, target);
  });
}

int largest_difference(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  int largest = a.size() == b.size() ? 0 : 999;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::abs(a[i] - b[i]));
  }
  return largest;
}

Stretch random_stretch(RandomStream* stream, int64_t side) {
  Stretch stretch;
  stretch.source = static_cast<int64_t>(1 + stream->below(static_cast<uint64_t>(side)));
  stretch.first =
      static_cast<int64_t>(stream->below(static_cast<uint64_t>(side - stretch.source + 1)));
  stretch.scaled = static_cast<int64_t>(1 + stream->below(90));
  stretch.count = static_cast<int64_t>(1 + stream->below(static_cast<uint64_t>(stretch.scaled)));
  stretch.begin = static_cast<int64_t>(
      stream->below(static_cast<uint64_t>(stretch.scaled - stretch.count + 1)));
  return stretch;
}

TEST(Resize, EveryInstructionSetGivesTheSameWithinOneOfTheReference) {
  for (uint64_t i = 0; i < 60; ++i) {
    RandomStream stream(3, StreamPurpose::split, i);
    // Every eighth is so large that a target pixel has more than 64 taps.
    const uint64_t side = i % 8 == 7 ? 900 : 120;
    const Picture picture(static_cast<int64_t>(1 + stream.below(side)),
                          static_cast<int64_t>(1 + stream.below(side)), i % 2 == 0 ? 3 : 1, i);
    Crop crop{random_stretch(&stream, picture.height), random_stretch(&stream, picture.width),
              stream.below(2) == 1};
    if (i % 8 == 7) crop.rows.scaled = crop.rows.count = 1 + crop.rows.begin % 2;
    if (i % 8 == 7) crop.rows.begin = 0;
    const auto reference = resized(picture, crop, resize_crop_reference);
    const auto best = by_kernel(picture, crop);
    ASSERT_LE(largest_difference(best, reference), 1) << i;
    on_every_target([&] { ASSERT_EQ(by_kernel(picture, crop), best) << i; });
  }
}

TEST(Resize, TheReferenceIsATriangle) {
  // Two pixels from four: shares of 1/8 to 3/8 by distance, of which the border cuts one.
  Picture four(1, 4, 1, 0);
  four.bytes = {0, 70, 140, 210};
  const Crop crop{{0, 1, 1, 0, 1}, {0, 4, 2, 0, 2}};
  EXPECT_EQ(
      resized(four, crop, resize_crop_reference),
      (std::vector<uint8_t>{(3 * 0 + 3 * 70 + 140 + 3) / 7, (70 + 3 * 140 + 3 * 210 + 3) / 7}));
}

TEST(Resize, NothingToScaleKeepsEveryPixel) {
  const Picture picture(40, 50, 3, 1);
  const Crop crop{{7, 33, 33, 0, 33}, {11, 35, 35, 0, 35}};
  std::vector<uint8_t> planes;
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t y = 7; y < 40; ++y) {
      for (int64_t x = 11; x < 46; ++x) planes.push_back(picture.bytes[(y * 50 + x) * 3 + c]);
    }
  }
  EXPECT_EQ(by_kernel(picture, crop), planes);
}

TEST(Resize, AConstantStaysConstant) {
  for (const int value : {0, 1, 128, 254, 255}) {
    for (const auto& [from, to] : {std::pair<int64_t, int64_t>{1, 50},
                                   {50, 1},
                                   {130, 2},
                                   {131, 4},
                                   {37, 36},
                                   {16, 33},
                                   {700, 3}}) {
      Picture picture(from, from, 3, 0);
      std::fill(picture.bytes.begin(), picture.bytes.end(), static_cast<uint8_t>(value));
      const Crop crop{{0, from, to, 0, to}, {0, from, to, 0, to}};
      for (const uint8_t seen : by_kernel(picture, crop)) ASSERT_EQ(seen, value) << from << to;
    }
  }
}

TEST(Resize, MirroredAtLast) {
  const Picture picture(30, 40, 3, 2);
  Crop crop{{1, 20, 17, 0, 17}, {3, 30, 21, 2, 18}};
  const auto straight = by_kernel(picture, crop);
  crop.flip = true;
  auto mirrored = by_kernel(picture, crop);
  for (auto row = mirrored.begin(); row != mirrored.end(); row += 18) std::reverse(row, row + 18);
  EXPECT_EQ(mirrored, straight);
}

TEST(Resize, APartOfAScaledPictureIsItsPart) {
  const Picture picture(61, 83, 3, 5);
  const Crop whole{{0, 61, 40, 0, 40}, {0, 83, 54, 0, 54}};
  const Crop part{{0, 61, 40, 4, 32}, {0, 83, 54, 11, 32}};
  const auto all = by_kernel(picture, whole), seen = by_kernel(picture, part);
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t y = 0; y < 32; ++y) {
      for (std::size_t x = 0; x < 32; ++x) {
        ASSERT_EQ(seen[(c * 32 + y) * 32 + x], all[(c * 40 + y + 4) * 54 + x + 11]);
      }
    }
  }
}

/// The sequence of pillow_resize.py.
Picture pillow_picture(const PillowResize& of) {
  Picture picture(of.height, of.width, of.channels, 0);
  uint32_t state = 1;
  int64_t i = 0;
  for (uint8_t& byte : picture.bytes) {
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF;
    byte = static_cast<uint8_t>(i++ / of.channels % of.width * 3 + (state >> 16) % 128);
  }
  return picture;
}

TEST(Resize, IsPillows) {
  for (const PillowResize& of : kPillowResizes) {
    const Crop crop{{of.top, of.box_height, of.rows, 0, of.rows},
                    {of.left, of.box_width, of.columns, 0, of.columns}};
    const auto ours = by_kernel(pillow_picture(of), crop);
    ASSERT_EQ(ours.size(), of.pixels.size());
    const auto area = static_cast<std::size_t>(of.rows * of.columns);
    const auto channels = static_cast<std::size_t>(of.channels);
    int largest = 0;
    double sum = 0;
    for (std::size_t i = 0; i < ours.size(); ++i) {
      const int difference = std::abs(ours[i] - of.pixels[i % area * channels + i / area]);
      largest = std::max(largest, difference);
      sum += difference;
    }
    EXPECT_LE(largest, 1) << of.width << " to " << of.columns;
    EXPECT_LE(sum / static_cast<double>(ours.size()), 0.25) << of.width << " to " << of.columns;
  }
}

}  // namespace
}  // namespace bitstill
