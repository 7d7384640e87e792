#include "bitstill/data/crop.hpp"

#include <cmath>
#include <functional>
#include <map>
#include <random>

#include "bitstill/data/augmentation.hpp"
#include "data_fixture.hpp"

namespace bitstill {
namespace {

constexpr int kDraws = 20000;

/// Torchvision's algorithm, written anew and fed by another generator.
CropBox sampled(int64_t height, int64_t width, std::mt19937_64* numbers) {
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(*numbers);
  };
  const auto integer = [&](int64_t most) {
    return std::uniform_int_distribution<int64_t>(0, most)(*numbers);
  };
  for (int i = 0; i < 10; ++i) {
    const double area = static_cast<double>(height * width) * uniform(0.08, 1);
    const double ratio = std::exp(uniform(std::log(3.0 / 4), std::log(4.0 / 3)));
    const int64_t w = std::lround(std::sqrt(area * ratio)),
                  h = std::lround(std::sqrt(area / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const int64_t top = integer(height - h);
    return {integer(width - w), top, w, h};
  }
  const double ratio = static_cast<double>(width) / static_cast<double>(height);
  int64_t w = width, h = height;
  if (ratio < 0.75) h = std::lround(static_cast<double>(w) / 0.75);
  if (ratio > 4.0 / 3) w = std::lround(static_cast<double>(h) * 4 / 3);
  return {(width - w) / 2, (height - h) / 2, w, h};
}

CropBox drawn(int64_t height, int64_t width, int64_t row) {
  return source_box(random_crop(height, width, {}, 1, 0, row));
}

/// Two samples of kDraws each, by value: those seen less than 20 times are one class. In standard
/// deviations above what equal distributions give.
double chi_square(const std::map<int64_t, std::pair<int, int>>& counts) {
  double sum = 0, classes = 0;
  std::pair<int, int> rare;
  const auto add = [&](const std::pair<int, int>& of) {
    const double both = of.first + of.second, difference = of.first - of.second;
    sum += difference * difference / both;
    ++classes;
  };
  for (const auto& [value, of] : counts) {
    if (of.first + of.second >= 20) {
      add(of);
    } else {
      rare.first += of.first;
      rare.second += of.second;
    }
  }
  if (rare.first + rare.second > 0) add(rare);
  return classes < 2 ? sum : (sum - (classes - 1)) / std::sqrt(2 * (classes - 1));
}

TEST(RandomCrop, IsDistributedAsTorchvisionsBoxes) {
  const std::map<std::string, std::function<int64_t(const CropBox&)>> seen = {
      {"width", [](const CropBox& box) { return box.width; }},
      {"height", [](const CropBox& box) { return box.height; }},
      {"left", [](const CropBox& box) { return box.left; }},
      {"top", [](const CropBox& box) { return box.top; }},
      {"area", [](const CropBox& box) { return box.width * box.height / 50; }},
      {"shape and place", [](const CropBox& box) {
         return box.width / 8 * 1000 + box.height / 8 * 100 + box.left / 8 * 10 + box.top / 8;
       }}};
  // The fallback: never, often, nearly always, and where only it is possible.
  for (const auto& [height, width] : {std::pair<int64_t, int64_t>{48, 64},
                                      {100, 37},
                                      {20, 160},
                                      {200, 9},
                                      {1, 30},
                                      {1, 1},
                                      {3, 2}}) {
    std::mt19937_64 numbers(7);
    std::vector<CropBox> ours, others;
    for (int i = 0; i < kDraws; ++i) {
      ours.push_back(drawn(height, width, i));
      others.push_back(sampled(height, width, &numbers));
    }
    for (const auto& [what, value] : seen) {
      std::map<int64_t, std::pair<int, int>> counts;
      for (const CropBox& box : ours) ++counts[value(box)].first;
      for (const CropBox& box : others) ++counts[value(box)].second;
      EXPECT_LT(chi_square(counts), 4) << what << " of " << height << "x" << width;
    }
  }
}

TEST(RandomCrop, ChiSquareSeesAnotherDistribution) {
  std::map<int64_t, std::pair<int, int>> counts;
  std::mt19937_64 numbers(7);
  for (int i = 0; i < kDraws; ++i) {
    ++counts[drawn(48, 64, i).width].first;
    ++counts[sampled(48, 80, &numbers).width].second;
  }
  EXPECT_GT(chi_square(counts), 20);
}

TEST(RandomCrop, StaysInsideAndReachesEveryBorder) {
  bool left = false, top = false, right = false, bottom = false;
  for (int64_t row = 0; row < 2000; ++row) {
    const CropBox box = drawn(31, 45, row);
    ASSERT_TRUE(box.left >= 0 && box.top >= 0 && box.width >= 1 && box.height >= 1);
    ASSERT_TRUE(box.left + box.width <= 45 && box.top + box.height <= 31);
    left = left || box.left == 0;
    top = top || box.top == 0;
    right = right || box.left + box.width == 45;
    bottom = bottom || box.top + box.height == 31;
  }
  EXPECT_TRUE(left && top && right && bottom);
}

TEST(RandomCrop, FallsBackToTheMiddleWithinTheRatios) {
  EXPECT_EQ(drawn(1, 1, 0), (CropBox{0, 0, 1, 1}));
  CropOptions options;
  options.scale = {1, 1};  // all of the area: never fits these
  const auto box = [&](int64_t height, int64_t width) {
    return source_box(random_crop(height, width, options, 1, 0, 0));
  };
  EXPECT_EQ(box(30, 300), (CropBox{130, 0, 40, 30}));
  EXPECT_EQ(box(300, 30), (CropBox{0, 130, 30, 40}));
  options.ratio = {0.1, 0.2};
  EXPECT_EQ(box(1, 9), (CropBox{4, 0, 1, 1}));
}

TEST(RandomCrop, IsAFunctionOfSeedVariantAndRow) {
  const auto box = [](uint64_t seed, int64_t variant, int64_t row) {
    return source_box(random_crop(300, 400, {}, seed, variant, row));
  };
  EXPECT_EQ(box(1, 2, 3), box(1, 2, 3));
  EXPECT_NE(box(1, 2, 3), box(2, 2, 3));
  EXPECT_NE(box(1, 2, 3), box(1, 3, 3));
  EXPECT_NE(box(1, 2, 3), box(1, 2, 4));
}

TEST(RandomCrop, MirrorsTheRowsThatAugmentMirrors) {
  const ImageShape shape{1, 1, 2};
  const uint8_t pixels[2] = {1, 2}, fill[1] = {0};
  AugmentationOptions options;
  options.flip = true;
  int mirrored = 0;
  for (int64_t row = 0; row < 1000; ++row) {
    uint8_t seen[2];
    augment(pixels, seen, shape, fill, options, 9, 4, row);
    ASSERT_EQ(draw_flip(9, 4, row), seen[0] == 2);
    mirrored += draw_flip(9, 4, row) ? 1 : 0;
  }
  EXPECT_NEAR(mirrored, 500, 50);
}

/// Scaled size and first pixel of torchvision 0.26's Resize and CenterCrop.
TEST(CentreCrop, IsTorchvisions) {
  struct Case {
    int64_t height, width, resize, size, scaled_height, scaled_width, top, left;
  };
  for (const Case& of : {Case{375, 500, 256, 224, 256, 341, 16, 58},
                         {500, 375, 256, 224, 341, 256, 58, 16},
                         {333, 500, 256, 224, 256, 384, 16, 80},
                         {224, 224, 256, 224, 256, 256, 16, 16},
                         {100, 37, 73, 64, 197, 73, 66, 4},
                         {1, 1, 8, 5, 8, 8, 2, 2},
                         {7, 500, 32, 32, 32, 2285, 0, 1126},
                         {480, 321, 40, 33, 59, 40, 13, 4}}) {
    CropOptions options;
    options.resize = of.resize;
    options.size = of.size;
    const Crop crop = centre_crop(of.height, of.width, options);
    EXPECT_EQ(crop.rows, (Stretch{0, of.height, of.scaled_height, of.top, of.size}));
    EXPECT_EQ(crop.columns, (Stretch{0, of.width, of.scaled_width, of.left, of.size}));
  }
}

TEST(CentreCrop, NeedsThePixelsUnderItsTriangles) {
  CropOptions options;
  options.resize = 10;
  options.size = 4;  // columns 8..11 of 20, two pixels a column, reached from two pixels away
  EXPECT_EQ(source_box(centre_crop(20, 40, options)), (CropBox{15, 5, 10, 10}));
  options.resize = 20;  // as it is: nothing is blurred
  EXPECT_EQ(source_box(centre_crop(20, 40, options)), (CropBox{18, 8, 4, 4}));
}

TEST(Shrunk, FromTwiceTheTargetOnBothSidesOn) {
  const auto shrink = [](int64_t rows, int64_t columns) {
    const Crop crop = shrunk({{5, rows, 20, 0, 20}, {7, columns, 30, 0, 30}});
    EXPECT_EQ(crop.rows.shrink, crop.columns.shrink);
    return crop.rows.shrink;
  };
  EXPECT_EQ(shrink(39, 600), 1);
  EXPECT_EQ(shrink(400, 59), 1);
  EXPECT_EQ(shrink(40, 60), 2);
  EXPECT_EQ(shrink(79, 600), 2);
  EXPECT_EQ(shrink(80, 120), 4);
  EXPECT_EQ(shrink(159, 900), 4);
  EXPECT_EQ(shrink(160, 240), 8);
  EXPECT_EQ(shrink(9000, 9000), 8);
}

TEST(Shrunk, SourcesAreThePixelsThatHoldTheOthers) {
  for (int64_t row = 0; row < 500; ++row) {
    CropOptions options;
    options.size = 30;
    const Crop crop = random_crop(311, 405, options, 1, 0, row), small = shrunk(crop);
    const int64_t shrink = small.rows.shrink;
    const CropBox box = source_box(crop), its = source_box(small);
    ASSERT_EQ(its.top, box.top / shrink);
    ASSERT_EQ(its.left, box.left / shrink);
    ASSERT_EQ(its.top + its.height, (box.top + box.height + shrink - 1) / shrink);
    ASSERT_EQ(its.left + its.width, (box.left + box.width + shrink - 1) / shrink);
  }
}

TEST(CropOptions, AreChecked) {
  CropOptions options;
  options.crop = CropKind::random;
  check(options);
  const auto refused = [](CropOptions wrong, const char* name) {
    EXPECT_HOLDS(error_of(ExitCode::settings, [&] { check(wrong); }), name);
  };
  for (const std::vector<double>& scale :
       {std::vector<double>{}, {0.5}, {0, 1}, {0.5, 0.4}, {0.5, 1.1}, {0.1, 0.2, 0.3}, {NAN, 1}}) {
    options.scale = scale;
    refused(options, "data.scale");
  }
  options = {};
  check(options);
  options.crop = CropKind::random;
  options.ratio = {2, 1};
  refused(options, "data.ratio");
  options = {};
  options.crop = CropKind::centre;
  options.size = 0;
  refused(options, "data.size");
  options.size = 257;
  options.resize = 256;
  refused(options, "data.resize");
  options.crop = CropKind::random;  // evaluation cuts the centre
  refused(options, "data.resize");
  options.resize = 0;
  check(options);
}

}  // namespace
}  // namespace bitstill
