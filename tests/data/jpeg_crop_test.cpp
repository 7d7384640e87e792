#include "bitstill/data/jpeg_crop.hpp"

#include <algorithm>
#include <iterator>

#include "image_files.hpp"

namespace bitstill {
namespace {

std::span<const uint8_t> as_bytes(const std::string& file) {
  return {reinterpret_cast<const uint8_t*>(file.data()), file.size()};
}

Image copy_of(const PixelView& view) {
  Image image{view.height, view.width, view.channels, {}};
  for (int64_t y = 0; y < view.height; ++y) {
    const uint8_t* row = view.pixels + y * view.row_bytes;
    image.bytes.insert(image.bytes.end(), row, row + view.width * view.channels);
  }
  return image;
}

Image cut(const Image& image, const CropBox& box) {
  const int64_t row_bytes = image.width * image.channels;
  return copy_of({image.bytes.data() + box.top * row_bytes + box.left * image.channels, box.height,
                  box.width, image.channels, row_bytes});
}

/// Rough, so that a pixel from a wrong place is another one.
Image rough(int64_t height, int64_t width, int64_t channels, uint64_t seed) {
  Image image = ramp(height, width, channels);
  const auto noise = random_bytes(image.bytes.size(), seed);
  for (std::size_t i = 0; i < noise.size(); ++i) {
    image.bytes[i] = static_cast<uint8_t>(image.bytes[i] * 3 / 4 + noise[i] / 4);
  }
  return image;
}

struct Kind {
  const char* name;
  int64_t channels;
  JpegSettings settings;
};

const Kind kKinds[] = {
    {"4:4:4", 3, {.across = 1, .down = 1, .quality = 90}},
    {"4:2:2", 3, {.across = 2, .down = 1, .quality = 90}},
    {"4:2:0", 3, {.across = 2, .down = 2, .quality = 90}},
    {"4:4:0", 3, {.across = 1, .down = 2, .quality = 90}},
    {"4:1:1", 3, {.across = 4, .down = 1, .quality = 90}},
    {"grey", 1, {.quality = 90}},
    {"grey declared 2x2", 1, {.across = 2, .down = 2, .quality = 90}},
    {"4:4:4, progressive", 3, {.progressive = true, .quality = 80}},
    {"4:2:2, progressive", 3, {.progressive = true, .across = 2, .down = 1, .quality = 80}},
    {"4:2:0, progressive", 3, {.progressive = true, .across = 2, .down = 2, .quality = 80}},
    {"grey, progressive", 1, {.progressive = true, .quality = 80}},
    {"grey declared 2x2, progressive", 1, {.progressive = true, .across = 2, .down = 2}},
    {"4:2:0, last scans missing",
     3,
     {.scans = {{3, {0, 1, 2}, 0, 0, 0, 1}, {1, {0}, 1, 5, 0, 2}}, .across = 2, .down = 2}},
    {"grey, last scans missing", 1, {.scans = {{1, {0}, 0, 0, 0, 0}}, .quality = 80}},
    {"4:2:0, restart markers", 3, {.restart_rows = 1, .across = 2, .down = 2, .quality = 90}},
    {"4:2:2, restart markers", 3, {.restart_rows = 2, .across = 2, .down = 1, .quality = 90}},
};

/// A part of 1..all pixels; one in four touches each end.
void draw_part(RandomStream* stream, int64_t all, int64_t* first, int64_t* count) {
  *count = 1 + static_cast<int64_t>(stream->below(static_cast<uint64_t>(all)));
  const auto room = static_cast<uint64_t>(all - *count);
  const uint64_t border = stream->below(4);
  *first = border == 0   ? 0
           : border == 1 ? static_cast<int64_t>(room)
                         : static_cast<int64_t>(stream->below(room + 1));
}

TEST(JpegCrop, IsTheWholePictureByteForByte) {
  const char* wish = std::getenv("BITSTILL_JPEG_CROPS");  // ten thousand by command
  const int crops = wish == nullptr ? 300 : std::atoi(wish);
  JpegDecoder decoder;
  Image whole;
  std::string file;
  for (int i = 0; i < crops; ++i) {
    RandomStream stream(5, StreamPurpose::split, static_cast<uint64_t>(i));
    const Kind& kind = kKinds[static_cast<std::size_t>(i) % std::size(kKinds)];
    const auto height = static_cast<int64_t>(1 + stream.below(i % 3 == 0 ? 20 : 150));
    const auto width = static_cast<int64_t>(1 + stream.below(i % 5 == 0 ? 20 : 150));
    file = jpeg_file(rough(height, width, kind.channels, stream.next()), kind.settings);
    whole = decode_image(file);
    ASSERT_EQ(read_jpeg_size(as_bytes(file)), (JpegSize{height, width, kind.channels}));
    for (int part = 0; part < 4; ++part) {
      CropBox box;
      draw_part(&stream, height, &box.top, &box.height);
      draw_part(&stream, width, &box.left, &box.width);
      const Image crop = copy_of(decoder.decode_crop(as_bytes(file), box, kind.channels));
      ASSERT_EQ(crop.bytes, cut(whole, box).bytes)
          << kind.name << " " << height << "x" << width << ": " << box.height << "x" << box.width
          << " from " << box.top << "," << box.left;
    }
  }
}

TEST(JpegCrop, AtAllBordersOfEveryKind) {
  JpegDecoder decoder;
  for (const Kind& kind : kKinds) {
    const std::string file = jpeg_file(rough(75, 93, kind.channels, 3), kind.settings);
    const Image whole = decode_image(file);
    for (const CropBox& box : {CropBox{0, 0, 93, 75},
                               {0, 0, 1, 1},
                               {92, 74, 1, 1},
                               {92, 0, 1, 75},
                               {0, 74, 93, 1},
                               {0, 20, 30, 30},
                               {30, 0, 30, 30},
                               {63, 20, 30, 30},
                               {30, 45, 30, 30},
                               {17, 17, 15, 15},
                               {16, 16, 16, 16}}) {
      EXPECT_EQ(copy_of(decoder.decode_crop(as_bytes(file), box, kind.channels)).bytes,
                cut(whole, box).bytes)
          << kind.name << " " << box.top << "," << box.left;
    }
  }
}

/// The means of the pixels that a picture at 1 / shrink has in place of them.
Image averaged(const Image& image, int64_t shrink) {
  Image small{(image.height + shrink - 1) / shrink,
              (image.width + shrink - 1) / shrink,
              image.channels,
              {}};
  for (int64_t y = 0; y < small.height; ++y) {
    for (int64_t x = 0; x < small.width; ++x) {
      for (int64_t c = 0; c < image.channels; ++c) {
        int64_t sum = 0, count = 0;
        for (int64_t v = y * shrink; v < std::min((y + 1) * shrink, image.height); ++v) {
          for (int64_t u = x * shrink; u < std::min((x + 1) * shrink, image.width); ++u) {
            sum +=
                image.bytes[static_cast<std::size_t>((v * image.width + u) * image.channels + c)];
            ++count;
          }
        }
        small.bytes.push_back(static_cast<uint8_t>((sum + count / 2) / count));
      }
    }
  }
  return small;
}

TEST(JpegCrop, OfASmallerPictureIsItsPart) {
  JpegDecoder decoder;
  for (int i = 0; i < 84; ++i) {
    RandomStream stream(6, StreamPurpose::split, static_cast<uint64_t>(i));
    const Kind& kind = kKinds[static_cast<std::size_t>(i) % std::size(kKinds)];
    const auto height = static_cast<int64_t>(1 + stream.below(i % 3 == 0 ? 20 : 250));
    const auto width = static_cast<int64_t>(1 + stream.below(i % 5 == 0 ? 20 : 250));
    const Image source = rough(height, width, kind.channels, stream.next());
    const std::string file = jpeg_file(source, kind.settings);
    for (const int64_t shrink : {2, 4, 8}) {
      const int64_t rows = (height + shrink - 1) / shrink, columns = (width + shrink - 1) / shrink;
      const Image whole = copy_of(
          decoder.decode_crop(as_bytes(file), {0, 0, columns, rows}, kind.channels, shrink));
      for (int part = 0; part < 6; ++part) {
        CropBox box;
        draw_part(&stream, rows, &box.top, &box.height);
        draw_part(&stream, columns, &box.left, &box.width);
        const Image crop = copy_of(decoder.decode_crop(as_bytes(file), box, kind.channels, shrink));
        ASSERT_EQ(crop.bytes, cut(whole, box).bytes)
            << kind.name << " " << height << "x" << width << " at 1/" << shrink << ": "
            << box.height << "x" << box.width << " from " << box.top << "," << box.left;
      }
    }
  }
}

TEST(JpegCrop, ASmallerPictureIsNearTheMeans) {
  JpegDecoder decoder;
  for (const Kind& kind : kKinds) {
    const std::string file = jpeg_file(ramp(139, 206, kind.channels), kind.settings);
    for (const int64_t shrink : {2, 4, 8}) {
      const Image means = averaged(decode_image(file), shrink);
      const Image small = copy_of(decoder.decode_crop(
          as_bytes(file), {0, 0, means.width, means.height}, kind.channels, shrink));
      double sum = 0;
      for (std::size_t i = 0; i < small.bytes.size(); ++i) {
        sum += std::abs(small.bytes[i] - means.bytes[i]);
      }
      // At 1/8 colours of fewer samples are repeated, not interpolated.
      EXPECT_LT(sum / static_cast<double>(small.bytes.size()), shrink == 8 ? 4 : 1.5)
          << kind.name << shrink;
    }
  }
  const std::string file = jpeg_file(rough(40, 50, 3, 1));
  EXPECT_HOLDS(error_of(ExitCode::data,
                        [&] {
                          decoder.decode_crop(as_bytes(file), {0, 0, 26, 5}, 3, 2);
                        }),
               "leaves a JPEG of 20x25");
}

TEST(JpegCrop, GreyAndColourFromEither) {
  JpegDecoder decoder;
  const CropBox box{5, 7, 20, 11};
  const std::string grey = jpeg_file(rough(40, 50, 1, 1)), colour = jpeg_file(rough(40, 50, 3, 2));
  const Image luma = cut(decode_image(grey), box), rgb = cut(decode_image(colour), box);
  const Image wide = copy_of(decoder.decode_crop(as_bytes(grey), box, 3));
  const Image narrow = copy_of(decoder.decode_crop(as_bytes(colour), box, 1));
  for (std::size_t i = 0; i < luma.bytes.size(); ++i) {
    for (std::size_t c = 0; c < 3; ++c) ASSERT_EQ(wide.bytes[3 * i + c], luma.bytes[i]);
    const uint8_t* of = &rgb.bytes[3 * i];
    ASSERT_NEAR(narrow.bytes[i], 0.299 * of[0] + 0.587 * of[1] + 0.114 * of[2], 2);
  }
}

TEST(JpegCrop, WhatCannotBeDecodedIsSaid) {
  JpegDecoder decoder;
  const std::string file = jpeg_file(rough(40, 50, 3, 1));
  const auto decode = [&](const std::string& bytes, const CropBox& box) {
    return decoder.decode_crop(as_bytes(bytes), box, 3);
  };
  for (const CropBox& box : {CropBox{-1, 0, 5, 5},
                             {0, -1, 5, 5},
                             {46, 0, 5, 5},
                             {0, 36, 5, 5},
                             {0, 0, 0, 5},
                             {0, 0, 5, 0}}) {
    EXPECT_HOLDS(error_of(ExitCode::data, [&] { decode(file, box); }), "leaves a JPEG of 40x50");
  }
  EXPECT_HOLDS(error_of(ExitCode::data,
                        [&] {
                          decode(jpeg_file(rough(9, 9, 4, 1)), {0, 0, 5, 5});
                        }),
               "CMYK");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { decode("GIF89a", {0, 0, 5, 5}); }), "damaged JPEG: ");
  for (const char* size : {"\xEA\x60\xEA\x60", "\x27\x10\x13\x89"}) {
    std::string announced = file;
    announced.replace(file.find("\xFF\xC0") + 5, 4, size);
    EXPECT_HOLDS(error_of(ExitCode::data,
                          [&] {
                            decode(announced, {0, 0, 5, 5});
                          }),
                 "more than a row's 50000000");
  }
  const std::string half = file.substr(0, file.size() / 2);
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { decode(half, {0, 0, 50, 40}); }), "damaged JPEG: ");
  // Tables of the pictures before are not this one's.
  std::string bare = file;
  const std::size_t tables = file.find("\xFF\xDB");
  bare.erase(tables, file.find("\xFF\xC0") - tables);
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { decode(bare, {0, 0, 5, 5}); }), "damaged JPEG: ");
  EXPECT_EQ(copy_of(decode(file, {3, 4, 5, 6})).bytes, cut(decode_image(file), {3, 4, 5, 6}).bytes);
}

TEST(JpegCrop, DamageIsAnErrorOrOtherPixels) {
  JpegDecoder decoder;
  const CropBox box{9, 11, 23, 17};
  int refused = 0;
  for (uint64_t i = 0; i < 600; ++i) {
    RandomStream stream(8, StreamPurpose::split, i);
    const Kind& kind = kKinds[i % std::size(kKinds)];
    std::string file = jpeg_file(rough(40, 50, kind.channels, i), kind.settings);
    for (uint64_t change = 0; change <= i % 3; ++change) {
      char& byte = file[stream.below(file.size())];
      byte = static_cast<char>(byte ^ (1 + stream.below(255)));
    }
    if (i % 5 == 0) file.resize(stream.below(file.size()));
    try {
      const JpegSize size = read_jpeg_size(as_bytes(file));
      if (size.height * size.width > 4000) continue;  // of which no shard is made: pixel limit
      EXPECT_EQ(copy_of(decoder.decode_crop(as_bytes(file), box, kind.channels)).bytes.size(),
                static_cast<std::size_t>(23 * 17 * kind.channels));
    } catch (const Error& error) {
      ASSERT_EQ(error.code(), ExitCode::data) << error.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 100);
}

TEST(JpegCrop, SizesFromHeaders) {
  const std::string file = jpeg_file(rough(40, 50, 3, 1));
  const std::string odd = "\xFF\xD8junk\xFF\xFF" + file.substr(3);
  EXPECT_EQ(read_jpeg_size(as_bytes(odd)), (JpegSize{40, 50, 3}));
  EXPECT_EQ(read_jpeg_size(as_bytes(with_exif(file, tiff_block(6, true)))), (JpegSize{40, 50, 3}));
  const std::size_t frame = file.find("\xFF\xC0");
  for (const std::size_t side : {frame + 5, frame + 7}) {
    std::string flat = file;
    flat.replace(side, 2, 2, '\0');
    EXPECT_HOLDS(error_of(ExitCode::data, [&] { read_jpeg_size(as_bytes(flat)); }), "no size");
  }
  for (std::size_t length = 0; length < frame + 10; ++length) {
    const std::string part = file.substr(0, length);
    EXPECT_HOLDS(error_of(ExitCode::data, [&] { read_jpeg_size(as_bytes(part)); }), "no size");
  }
}

}  // namespace
}  // namespace bitstill
