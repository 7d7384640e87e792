#include "bitstill/data/colour.hpp"

#include <algorithm>

#include "data_fixture.hpp"

namespace bitstill {
namespace {

const ImageShape kSmall{3, 5, 7};

/// The low bits of a sequence.
std::vector<uint8_t> small_picture() {
  std::vector<uint8_t> bytes;
  uint32_t state = 1;
  while (bytes.size() < 105) {
    state = (state * 1103515245 + 12345) & 0x7FFFFFFF;
    bytes.push_back(static_cast<uint8_t>(state >> 16));
  }
  return bytes;
}

struct Adjusted {
  void (*change)(const ImageShape&, double, uint8_t*);
  double factor;
  std::vector<uint8_t> expected;
};

// clang-format off
/// Of torchvision 0.26's functional.adjust_* of small_picture(): tensors.
const Adjusted kAdjusted[] = {
    {change_brightness, 1.37, {
      255, 172, 176, 146, 102, 255, 255, 255, 115, 255, 255, 255, 169, 38, 255, 184, 1, 255,
      67, 255, 117, 156, 20, 97, 141, 139, 184, 121, 232, 186, 82, 121, 255, 117, 26, 168,
      255, 182, 220, 255, 82, 115, 116, 64, 75, 238, 138, 124, 255, 2, 165, 208, 255, 255,
      35, 161, 194, 130, 255, 209, 195, 42, 86, 73, 255, 91, 164, 105, 17, 255, 255, 227,
      255, 255, 183, 194, 255, 56, 149, 106, 255, 117, 255, 153, 43, 255, 195, 242, 120, 6,
      197, 255, 12, 255, 113, 255, 232, 80, 98, 209, 112, 255, 112, 215, 8}},
    {change_brightness, 0.61, {
      120, 76, 78, 65, 45, 153, 137, 153, 51, 150, 115, 136, 75, 17, 137, 82, 0, 116, 29,
      135, 52, 69, 9, 43, 62, 62, 82, 54, 103, 82, 36, 54, 142, 52, 11, 75, 128, 81, 98,
      131, 36, 51, 51, 28, 33, 106, 61, 55, 132, 1, 73, 92, 124, 138, 15, 71, 86, 57, 132,
      93, 87, 18, 38, 32, 145, 40, 73, 46, 7, 152, 115, 101, 132, 139, 81, 86, 134, 25, 66,
      47, 155, 52, 137, 68, 19, 153, 87, 107, 53, 3, 87, 120, 5, 134, 50, 125, 103, 35, 43,
      93, 50, 128, 50, 95, 3}},
    {change_contrast, 1.4, {
      226, 126, 130, 99, 54, 255, 255, 255, 67, 255, 214, 255, 123, 0, 255, 138, 0, 217, 18,
      255, 70, 109, 0, 49, 93, 92, 138, 74, 187, 140, 33, 74, 255, 70, 0, 121, 243, 135,
      175, 252, 33, 67, 68, 15, 26, 193, 91, 77, 254, 0, 119, 162, 235, 255, 0, 114, 148,
      82, 253, 163, 149, 0, 37, 25, 255, 43, 117, 57, 0, 255, 215, 182, 254, 255, 137, 148,
      255, 7, 102, 58, 255, 70, 255, 106, 0, 255, 149, 197, 72, 0, 151, 225, 0, 255, 65,
      236, 187, 32, 50, 163, 64, 245, 64, 169, 0}},
    {change_contrast, 0.6, {
      169, 125, 127, 114, 95, 200, 185, 200, 100, 197, 163, 184, 124, 67, 185, 131, 50, 164,
      79, 183, 101, 118, 59, 92, 112, 111, 131, 103, 152, 131, 86, 103, 190, 101, 61, 124,
      176, 130, 146, 179, 86, 100, 101, 78, 83, 154, 110, 104, 181, 51, 122, 141, 172, 186,
      65, 121, 135, 107, 180, 142, 136, 68, 88, 82, 193, 90, 122, 96, 58, 200, 164, 149,
      181, 187, 130, 135, 182, 74, 115, 97, 203, 101, 185, 117, 69, 200, 136, 156, 103, 53,
      136, 168, 55, 182, 100, 173, 152, 85, 93, 142, 99, 176, 99, 144, 53}},
    {change_saturation, 1.4, {
      215, 104, 124, 89, 39, 255, 255, 255, 91, 255, 189, 255, 127, 0, 255, 133, 0, 188, 5,
      255, 76, 103, 0, 30, 92, 88, 158, 96, 202, 111, 57, 76, 255, 100, 0, 110, 222, 129,
      164, 236, 33, 61, 67, 39, 31, 168, 87, 81, 245, 0, 113, 170, 206, 254, 3, 120, 143,
      108, 234, 162, 145, 12, 60, 39, 254, 67, 119, 58, 0, 255, 204, 160, 248, 255, 121,
      148, 251, 5, 126, 63, 255, 66, 255, 97, 15, 255, 158, 169, 60, 0, 157, 220, 0, 238,
      64, 232, 207, 54, 64, 135, 88, 247, 65, 199, 0}},
    {change_saturation, 0.25, {
      164, 165, 138, 140, 141, 157, 162, 159, 69, 147, 187, 157, 118, 118, 110, 138, 79,
      195, 130, 117, 104, 132, 49, 147, 123, 128, 91, 74, 110, 181, 64, 113, 151, 59, 119,
      145, 186, 139, 154, 177, 109, 126, 118, 60, 99, 183, 126, 109, 166, 54, 134, 116, 198,
      174, 68, 112, 139, 69, 184, 135, 138, 65, 68, 81, 207, 66, 120, 112, 41, 177, 162,
      175, 160, 171, 156, 130, 160, 107, 76, 105, 204, 122, 143, 139, 62, 167, 114, 192,
      139, 62, 119, 153, 48, 184, 118, 154, 100, 67, 85, 186, 70, 143, 113, 77, 116}},
};
// clang-format on

TEST(Colour, BrightnessContrastAndSaturationAreTorchvisions) {
  for (const Adjusted& of : kAdjusted) {
    std::vector<uint8_t> pixels = small_picture();
    of.change(kSmall, of.factor, pixels.data());
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      ASSERT_NEAR(pixels[i], of.expected[i], 1) << &of - kAdjusted << " " << i;
    }
  }
}

TEST(Colour, AFactorOfOneChangesNothing) {
  const std::vector<uint8_t> before = small_picture();
  for (const auto change : {change_brightness, change_contrast, change_saturation}) {
    std::vector<uint8_t> pixels = before;
    change(kSmall, 1, pixels.data());
    EXPECT_EQ(pixels, before);
  }
}

TEST(Colour, LightingAddsAxes) {
  std::vector<uint8_t> pixels(105, 100);
  const double first[3] = {1, 0, 0}, last[3] = {0, 0, -2};
  change_lighting(kSmall, first, pixels.data());  // 255 * 0.2175 * (-0.5675, -0.5808, -0.5836)
  EXPECT_EQ((std::vector<uint8_t>{pixels[0], pixels[35], pixels[104]}),
            (std::vector<uint8_t>{69, 68, 68}));
  change_lighting(kSmall, last, pixels.data());  // -2 * 255 * 0.0045 * (0.4009, -0.814, 0.4203)
  EXPECT_EQ((std::vector<uint8_t>{pixels[0], pixels[35], pixels[104]}),
            (std::vector<uint8_t>{68, 70, 67}));
}

std::vector<uint8_t> changed(const ColourOptions& options, uint64_t seed, int64_t variant,
                             int64_t row) {
  const uint8_t fill[3] = {1, 2, 3};
  std::vector<uint8_t> pixels(3 * 40 * 50, 150);
  for (std::size_t i = 0; i < 2000; ++i) pixels[i] = static_cast<uint8_t>(100 + i % 100);
  change_colours({3, 40, 50}, options, fill, seed, variant, row, pixels.data());
  return pixels;
}

TEST(Colour, IsAFunctionOfSeedVariantAndRow) {
  for (const ColourOptions& options :
       {ColourOptions{0.4, 0, 0}, {0, 0.5, 0}, {0, 0, 1}, {0.4, 0.1, 1}}) {
    EXPECT_EQ(changed(options, 1, 2, 3), changed(options, 1, 2, 3));
    EXPECT_NE(changed(options, 1, 2, 3), changed(options, 2, 2, 3));
    EXPECT_NE(changed(options, 1, 2, 3), changed(options, 1, 3, 3));
    EXPECT_NE(changed(options, 1, 2, 3), changed(options, 1, 2, 4));
  }
  EXPECT_EQ(changed({}, 1, 2, 3), changed({}, 4, 5, 6));
}

TEST(Colour, ErasesARectangleAsOftenAsAsked) {
  int erased = 0;
  double share = 0;
  for (int64_t row = 0; row < 2000; ++row) {
    const auto pixels = changed({0, 0, 0.25}, 1, 0, row);
    std::vector<std::size_t> of;
    for (std::size_t i = 0; i < 2000; ++i) {
      if (pixels[i] != 1) continue;
      ASSERT_EQ(pixels[2000 + i], 2);
      ASSERT_EQ(pixels[4000 + i], 3);
      of.push_back(i);
    }
    ASSERT_EQ(std::count(pixels.begin(), pixels.end(), 3), of.size());
    if (of.empty()) continue;
    ++erased;
    const std::size_t rows = of.back() / 50 - of[0] / 50 + 1,
                      width = of.back() % 50 - of[0] % 50 + 1;
    ASSERT_EQ(rows * width, of.size());
    share += static_cast<double>(of.size()) / 2000;
    // Jitter does not move it.
    const auto both = changed({0.4, 0, 0.25}, 1, 0, row);
    ASSERT_EQ(std::count(both.begin() + 4000, both.end(), 3), of.size());
  }
  EXPECT_NEAR(erased, 500, 70);
  EXPECT_NEAR(share / erased, 0.17, 0.02);  // 2 to 33 %, all alike
}

TEST(Colour, OptionsAreChecked) {
  check(ColourOptions{1, 10, 1});
  const auto refused = [](const ColourOptions& options, const char* name) {
    EXPECT_HOLDS(error_of(ExitCode::settings, [&] { check(options); }), name);
  };
  refused({-0.1, 0, 0}, "data.jitter");
  refused({1.1, 0, 0}, "data.jitter");
  refused({0, -1, 0}, "data.lighting");
  refused({0, 0, 1.5}, "data.erase");
}

}  // namespace
}  // namespace bitstill
