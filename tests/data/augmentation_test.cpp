#include "bitstill/data/augmentation.hpp"

#include <set>

#include "data_fixture.hpp"

namespace bitstill {
namespace {

const ImageShape kShape{2, 3, 5};
const std::vector<uint8_t> kFill = {200, 100};

std::vector<uint8_t> augmented(const std::vector<uint8_t>& source,
                               const AugmentationOptions& options, uint64_t seed, int64_t epoch,
                               int64_t sample) {
  std::vector<uint8_t> target(source.size(), 77);
  augment(source.data(), target.data(), kShape, kFill.data(), options, seed, epoch, sample);
  return target;
}

/// Slow and obvious: one pixel at a time.
std::vector<uint8_t> moved(const std::vector<uint8_t>& source, int64_t down, int64_t right,
                           bool flip) {
  std::vector<uint8_t> target;
  for (int64_t c = 0; c < kShape.channels; ++c) {
    for (int64_t y = 0; y < kShape.height; ++y) {
      for (int64_t x = 0; x < kShape.width; ++x) {
        const int64_t v = y - down;
        const int64_t u = x - right;
        const bool inside = v >= 0 && v < kShape.height && u >= 0 && u < kShape.width;
        const int64_t column = flip ? kShape.width - 1 - u : u;
        target.push_back(inside ? source[(c * kShape.height + v) * kShape.width + column]
                                : kFill[c]);
      }
    }
  }
  return target;
}

/// As a text, which a set can hold.
std::string text(const std::vector<uint8_t>& pixels) {
  return {pixels.begin(), pixels.end()};
}

TEST(Augmentation, IsOneOfTheMovesAndEveryMoveOccurs) {
  const std::vector<uint8_t> source = random_bytes(30, 1);
  const AugmentationOptions options{7, true, 0};  // further than the image is wide
  std::set<std::string> moves, seen;
  for (int64_t down = -7; down <= 7; ++down) {
    for (int64_t right = -7; right <= 7; ++right) {
      for (const bool flip : {false, true}) moves.insert(text(moved(source, down, right, flip)));
    }
  }
  for (int64_t sample = 0; sample < 6000; ++sample) {
    seen.insert(text(augmented(source, options, 3, 0, sample)));
  }
  EXPECT_EQ(seen, moves);
}

TEST(Augmentation, NoneIsACopy) {
  const std::vector<uint8_t> source = random_bytes(30, 1);
  for (int64_t sample = 0; sample < 9; ++sample) {
    EXPECT_EQ(augmented(source, {}, 3, 2, sample), source);
  }
}

TEST(Augmentation, DependsOnSeedVariantAndSampleAlone) {
  const std::vector<uint8_t> source = random_bytes(30, 1);
  const AugmentationOptions options{2, true, 4};
  int other_epoch = 0, other_seed = 0, other_sample = 0;
  for (int64_t sample = 0; sample < 50; ++sample) {
    const auto image = augmented(source, options, 3, 1, sample);
    EXPECT_EQ(augmented(source, options, 3, 5, sample), image);  // 5 mod 4 = 1
    other_epoch += augmented(source, options, 3, 2, sample) != image;
    other_seed += augmented(source, options, 4, 1, sample) != image;
    other_sample += augmented(source, options, 3, 1, sample + 50) != image;
  }
  EXPECT_GT(std::min({other_epoch, other_seed, other_sample}), 40);
}

TEST(Augmentation, FlippingLeavesTheShiftAsItIs) {
  const std::vector<uint8_t> source = random_bytes(30, 1);
  for (int64_t sample = 0; sample < 50; ++sample) {
    const auto shifted = augmented(source, {1, false, 0}, 3, 0, sample);
    const auto both = augmented(source, {1, true, 0}, 3, 0, sample);
    bool found = false;
    for (int64_t down = -1; down <= 1; ++down) {
      for (int64_t right = -1; right <= 1; ++right) {
        found |= moved(source, down, right, false) == shifted &&
                 (both == shifted || both == moved(source, down, right, true));
      }
    }
    EXPECT_TRUE(found) << sample;
  }
}

}  // namespace
}  // namespace bitstill
