#include "bitstill/data/jpeg_encode.hpp"

#include "bitstill/data/jpeg_crop.hpp"
#include "image_files.hpp"

namespace bitstill {
namespace {

TEST(JpegEncode, IsReadAgain) {
  for (const int64_t channels : {1, 3}) {
    const Image image = ramp(37, 51, channels);
    const std::string fine = encode_jpeg(image, 95), coarse = encode_jpeg(image, 20);
    EXPECT_LE(largest_difference(decode_image(fine), image), 8);
    EXPECT_EQ(decode_image(coarse).channels, channels);
    EXPECT_LT(coarse.size(), fine.size());
    EXPECT_EQ(encode_jpeg(image, 95), fine);
  }
}

TEST(JpegEncode, WhatNoJpegHoldsIsSaid) {
  EXPECT_HOLDS(error_of(ExitCode::data, [] { encode_jpeg(ramp(1, 70000, 1), 90); }), "65500");
}

}  // namespace
}  // namespace bitstill
