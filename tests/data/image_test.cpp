#include "bitstill/data/image.hpp"

#include "image_files.hpp"

namespace bitstill {
namespace {

/// What a viewer shows of a stored image with EXIF orientation 1..8, by turns and mirrorings.
Image mirrored(const Image& image) {
  Image result = image;
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      for (int64_t c = 0; c < image.channels; ++c) {
        result.bytes[(y * image.width + x) * image.channels + c] =
            image.bytes[(y * image.width + image.width - 1 - x) * image.channels + c];
      }
    }
  }
  return result;
}

Image turned_right(const Image& image) {
  Image result{image.width, image.height, image.channels, image.bytes};
  for (int64_t y = 0; y < result.height; ++y) {
    for (int64_t x = 0; x < result.width; ++x) {
      for (int64_t c = 0; c < image.channels; ++c) {
        result.bytes[(y * result.width + x) * image.channels + c] =
            image.bytes[((image.height - 1 - x) * image.width + y) * image.channels + c];
      }
    }
  }
  return result;
}

Image shown(const Image& image, int orientation) {
  const auto half = [](const Image& i) { return turned_right(turned_right(i)); };
  switch (orientation) {
    case 2:
      return mirrored(image);
    case 3:
      return half(image);
    case 4:
      return half(mirrored(image));
    case 5:
      return turned_right(half(mirrored(image)));
    case 6:
      return turned_right(image);
    case 7:
      return turned_right(mirrored(image));
    case 8:
      return turned_right(half(image));
    default:
      return image;
  }
}

TEST(Jpeg, ColourAndGrey) {
  const Image colour = ramp(21, 35, 3);
  EXPECT_LE(largest_difference(decode_image(jpeg_file(colour)), colour), 6);
  const Image grey = ramp(9, 14, 1);
  EXPECT_LE(largest_difference(decode_image(jpeg_file(grey)), grey), 6);
}

TEST(Jpeg, EveryOrientationInBothByteOrders) {
  const Image image = ramp(24, 40, 3);
  const std::string file = jpeg_file(image);
  const Image stored = decode_image(file);
  for (int orientation = 0; orientation <= 9; ++orientation) {
    for (const bool big_endian : {false, true}) {
      const std::string turned = with_exif(file, tiff_block(orientation, big_endian));
      EXPECT_EQ(largest_difference(decode_image(turned), shown(stored, orientation)), 0)
          << orientation << (big_endian ? " MM" : " II");
    }
  }
}

TEST(Jpeg, ABrokenExifBlockIsNoOrientation) {
  const std::string file = jpeg_file(ramp(8, 8, 3));
  const Image stored = decode_image(file);
  const std::string block = tiff_block(6, false);
  for (std::size_t length = 0; length < block.size() - 8; ++length) {
    EXPECT_EQ(largest_difference(decode_image(with_exif(file, block.substr(0, length))), stored),
              0);
  }
}

TEST(Jpeg, CmykBecomesColour) {
  Image cmyk{8, 8, 4, {}};
  for (int i = 0; i < 64; ++i) cmyk.bytes.insert(cmyk.bytes.end(), {255, 100, 50, 204});
  const Image image = decode_image(jpeg_file(cmyk));
  ASSERT_EQ(image.channels, 3);
  EXPECT_NEAR(image.bytes[0], 204, 4);
  EXPECT_NEAR(image.bytes[1], 80, 4);
  EXPECT_NEAR(image.bytes[2], 40, 4);
}

TEST(Jpeg, ATruncatedOneIsRefused) {
  const std::string file = jpeg_file(ramp(64, 64, 3));
  for (std::size_t length = 0; length < file.size() - 2; length += 37) {
    EXPECT_THROW(decode_image(file.substr(0, length)), Error) << length;
  }
}

/// Where the first segment with this marker begins.
std::size_t segment(const std::string& jpeg, char marker) {
  return jpeg.find(std::string("\xFF") + marker);
}

std::string with_inserted(std::string file, std::size_t at, const std::string& bytes) {
  return file.insert(at, bytes);
}

TEST(Jpeg, OdditiesThatCostNoPixelAreTaken) {
  const std::string file = jpeg_file(ramp(64, 64, 3), {.restart_rows = 1});
  const Image whole = decode_image(file);
  std::string version_0 = file;
  version_0[11] = 0;  // JFIF's major version
  std::string bounds = file;
  const std::size_t scan = segment(file, '\xDA');
  bounds[scan + 4 + 7 + 1] = 0;  // the last coefficient, 63 in a sequential scan
  const std::string junk("\0\1\2", 3);
  for (const std::string& odd :
       {version_0, bounds, with_inserted(file, segment(file, '\xDB'), junk),
        with_inserted(file, file.size() - 2, junk),
        with_inserted(file, segment(file, '\xD0'), junk)}) {
    ASSERT_NE(odd, file);
    EXPECT_EQ(largest_difference(decode_image(odd), whole), 0);
  }
}

TEST(Jpeg, AnOddityHidesNoDamage) {
  const std::string junk("\0\1\2", 3);
  for (const bool progressive : {false, true}) {
    const std::string file =
        jpeg_file(ramp(64, 64, 3), {.progressive = progressive, .restart_rows = 1});
    const std::string odd = with_inserted(file, segment(file, '\xD0'), junk);
    decode_image(odd);
    EXPECT_THROW(decode_image(odd.substr(0, odd.size() / 2)), Error);
    EXPECT_THROW(decode_image(odd.substr(0, odd.size() / 3) + "\xFF\xD9"), Error) << progressive;
    std::string version_0 = file.substr(0, file.size() / 2);
    version_0[11] = 0;
    EXPECT_THROW(decode_image(version_0), Error);
  }
}

TEST(Jpeg, OrientationIsFoundBehindJunk) {
  const std::string file = jpeg_file(ramp(24, 40, 3));
  const std::string turned = with_exif(file, tiff_block(6, true));
  const std::string odd = with_inserted(turned, segment(turned, '\xE1'), "junk");
  EXPECT_EQ(largest_difference(decode_image(odd), shown(decode_image(file), 6)), 0);
}

TEST(Jpeg, SubsampledAndProgressiveOnesAreNear) {
  const Image image = ramp(33, 47, 3);
  for (const bool progressive : {false, true}) {
    const std::string file = jpeg_file(image, {.subsampled = true, .progressive = progressive});
    EXPECT_LE(largest_difference(decode_image(file), image), 12) << progressive;
  }
}

TEST(Jpeg, PassesOverTheImageAreCounted) {
  // The second scan sets all coefficients but the first, so that it may stand there any times.
  const std::string file =
      jpeg_file(ramp(16, 16, 1), {.scans = {{1, {0}, 0, 0, 0, 0}, {1, {0}, 1, 63, 0, 0}}});
  const std::size_t last = file.rfind("\xFF\xDA");
  const std::string scan = file.substr(last, file.size() - 2 - last);
  const auto repeated = [&](int times) {
    std::string many = file.substr(0, file.size() - 2);
    for (int i = 0; i < times; ++i) many += scan;
    return many + "\xFF\xD9";
  };
  EXPECT_EQ(largest_difference(decode_image(repeated(50)), decode_image(file)), 0);
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { decode_image(repeated(200)); }),
               "more than 100 scans");
}

TEST(Image, TheAnnouncedSizeIsRefusedBeforeAnyPixel) {
  const std::string jpeg = jpeg_file(ramp(20, 30, 3)), png = png_file(ramp(20, 30, 3));
  for (const std::string& file : {jpeg, png}) {
    EXPECT_EQ(decode_image(file, 600).height, 20);
    // Half of it would be damage, if it were looked at.
    EXPECT_HOLDS(
        error_of(ExitCode::data, [&] { decode_image(file.substr(0, file.size() - 40), 599); }),
        "20x30 pixels are more than 599; shrink the image or raise --most-pixels");
  }
}

TEST(Png, EveryKindBecomesEightBitGreyOrColour) {
  const Image grey = ramp(5, 11, 1), colour = ramp(7, 3, 3);
  EXPECT_EQ(largest_difference(decode_image(png_file(grey)), grey), 0);
  EXPECT_EQ(largest_difference(decode_image(png_file(colour)), colour), 0);
  EXPECT_EQ(largest_difference(decode_image(png_file(7, 3, 8, PNG_COLOR_TYPE_RGB, colour.bytes,
                                                     PNG_INTERLACE_ADAM7)),
                               colour),
            0);
  std::vector<uint8_t> wide;  // 16 bits: high byte, low byte
  for (const uint8_t byte : colour.bytes) wide.insert(wide.end(), {byte, byte});
  EXPECT_EQ(largest_difference(decode_image(png_file(7, 3, 16, PNG_COLOR_TYPE_RGB, wide)), colour),
            0);
  const Image bits = decode_image(png_file(2, 5, 1, PNG_COLOR_TYPE_GRAY, {0xA8, 0x50}));
  EXPECT_EQ(bits.bytes, (std::vector<uint8_t>{255, 0, 255, 0, 255, 0, 255, 0, 255, 0}));
  const Image crumbs = decode_image(png_file(1, 4, 2, PNG_COLOR_TYPE_GRAY, {0x1B}));
  EXPECT_EQ(crumbs.bytes, (std::vector<uint8_t>{0, 85, 170, 255}));
}

TEST(Png, PaletteAndTransparencyLieOnBlack) {
  const auto palette = [](png_structp png, png_infop info) {
    const png_color colours[3] = {{10, 20, 30}, {200, 100, 50}, {7, 8, 9}};
    const png_byte alpha[2] = {255, 51};
    png_set_PLTE(png, info, colours, 3);
    png_set_tRNS(png, info, alpha, 2, nullptr);
  };
  const Image indexed =
      decode_image(png_file(1, 3, 8, PNG_COLOR_TYPE_PALETTE, 0, {0, 1, 2}, palette));
  EXPECT_EQ(indexed.bytes, (std::vector<uint8_t>{10, 20, 30, 40, 20, 10, 7, 8, 9}));
  const Image colour =
      decode_image(png_file(1, 2, 8, PNG_COLOR_TYPE_RGB_ALPHA, {100, 200, 255, 128, 9, 9, 9, 0}));
  EXPECT_EQ(colour.bytes, (std::vector<uint8_t>{50, 100, 128, 0, 0, 0}));
  const Image grey = decode_image(png_file(1, 2, 8, PNG_COLOR_TYPE_GRAY_ALPHA, {100, 255, 90, 85}));
  EXPECT_EQ(grey.channels, 1);
  EXPECT_EQ(grey.bytes, (std::vector<uint8_t>{100, 30}));
}

TEST(Png, OrientationOfItsExifChunk) {
  const Image image = ramp(4, 6, 3);
  std::string block = tiff_block(8, true);
  const std::string file =
      png_file(4, 6, 8, PNG_COLOR_TYPE_RGB, 0, image.bytes, [&](png_structp png, png_infop info) {
        png_set_eXIf_1(png, info, block.size(), reinterpret_cast<png_bytep>(block.data()));
      });
  EXPECT_EQ(largest_difference(decode_image(file), shown(image, 8)), 0);
}

TEST(Png, DamageIsRefused) {
  const Image image{16, 16, 3, random_bytes(768, 3)};
  const std::string file = png_file(image);
  for (std::size_t length = 0; length < file.size() - 12; length += 29) {
    EXPECT_THROW(decode_image(file.substr(0, length)), Error) << length;
  }
  for (std::size_t at = 8; at < file.size() - 12; at += 13) {  // all of it is under a CRC
    std::string changed = file;
    changed[at] = static_cast<char>(changed[at] ^ 4);
    EXPECT_THROW(decode_image(changed), Error) << at;
  }
  EXPECT_THROW(decode_image("GIF89a"), Error);
  EXPECT_THROW(decode_image(""), Error);
}

std::vector<uint8_t> fitted(const Image& image, const ImageShape& shape) {
  std::vector<uint8_t> pixels(static_cast<std::size_t>(shape.pixels()));
  fit_image(image, shape, pixels.data());
  return pixels;
}

TEST(FitImage, MakesPlanesOfInterleavedPixels) {
  EXPECT_EQ(fitted({1, 2, 3, {1, 2, 3, 4, 5, 6}}, {3, 1, 2}),
            (std::vector<uint8_t>{1, 4, 2, 5, 3, 6}));
}

TEST(FitImage, GreyAndColour) {
  EXPECT_EQ(fitted({1, 3, 3, {255, 0, 0, 0, 255, 0, 0, 0, 255}}, {1, 1, 3}),
            (std::vector<uint8_t>{76, 150, 29}));
  EXPECT_EQ(fitted({1, 2, 1, {7, 9}}, {3, 1, 2}), (std::vector<uint8_t>{7, 9, 7, 9, 7, 9}));
}

TEST(FitImage, CropsTheCentreWhereNothingIsScaled) {
  const Image image{2, 7, 1, {0, 1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15, 16}};
  EXPECT_EQ(fitted(image, {1, 2, 3}), (std::vector<uint8_t>{2, 3, 4, 12, 13, 14}));
  EXPECT_EQ(fitted(image, {1, 2, 4}), (std::vector<uint8_t>{1, 2, 3, 4, 11, 12, 13, 14}));
}

TEST(FitImage, ShrinkingAveragesFinePatterns) {
  // Stripes of 0 and 200, one pixel wide, vanish: a filter without antialias would keep them.
  Image stripes{40, 60, 1, {}};
  for (int i = 0; i < 40 * 60; ++i) stripes.bytes.push_back(i % 2 == 0 ? 0 : 200);
  for (const uint8_t value : fitted(stripes, {1, 8, 8})) EXPECT_NEAR(value, 100, 5);
}

TEST(FitImage, ARampStaysARamp) {
  Image image{50, 100, 1, {}};
  for (int i = 0; i < 5000; ++i) image.bytes.push_back(static_cast<uint8_t>(2 * (i % 100)));
  // Shrunk by 5 and cropped to the middle 10 of 20 columns: column x shows 25 + 5x .. 29 + 5x.
  const std::vector<uint8_t> pixels = fitted(image, {1, 10, 10});
  for (int i = 0; i < 100; ++i) EXPECT_NEAR(pixels[i], 2 * (27 + 5 * (i % 10)), 1);
  // Enlarged by 2: between the columns' values.
  const std::vector<uint8_t> large = fitted(image, {1, 100, 100});
  for (int x = 0; x < 100; ++x) EXPECT_NEAR(large[x], 2 * (24.75 + 0.5 * x), 1.01);
}

TEST(FitImage, AConstantStaysConstantAtAnySize) {
  for (const auto& [height, width] : {std::pair{1, 1}, {1, 9}, {13, 5}, {64, 63}, {300, 7}}) {
    const Image image{height, width, 1, std::vector<uint8_t>(height * width, 173)};
    for (const ImageShape& shape : {ImageShape{1, 1, 1}, {1, 5, 3}, {1, 7, 16}, {1, 33, 32}}) {
      for (const uint8_t value : fitted(image, shape)) ASSERT_EQ(value, 173);
    }
  }
}

}  // namespace
}  // namespace bitstill
