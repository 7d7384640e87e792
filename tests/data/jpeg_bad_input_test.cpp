// Pictures that are damaged, too large, too small or turned: at shard time and as rows.
#include <map>

#include "bitstill/base/sha256.hpp"
#include "bitstill/data/jpeg_encode.hpp"
#include "bitstill/data/resize.hpp"
#include "image_files.hpp"

namespace bitstill {
namespace {

std::string picture(uint64_t seed, bool progressive = false) {
  Image image = ramp(61, 70, 3);
  RandomStream stream(seed, StreamPurpose::split);
  for (uint8_t& byte : image.bytes) byte = static_cast<uint8_t>(byte ^ stream.below(8));
  return jpeg_file(image, {.subsampled = true, .progressive = progressive, .quality = 90});
}

/// Six pictures in class a; class b has none yet.
void write_source(const std::string& folder) {
  for (uint64_t i = 0; i < 6; ++i) {
    put_file(folder + "/a/" + std::to_string(i) + ".jpg", picture(i, i % 2 == 0));
  }
}

ShardOptions jpeg_options(const std::string& source, const std::string& out) {
  ShardOptions options = from(source, out);
  options.store = RowStore::jpeg;
  options.validation = options.test = 0;
  return options;
}

std::map<std::string, std::string> content_of(const std::string& folder) {
  std::map<std::string, std::string> files;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    files[file.path().filename().string()] =
        sha256_hex(read_file(file.path().string(), ExitCode::data));
  }
  return files;
}

TEST(BadPictures, AreNamedOrLeftOutOfTheShards) {
  const std::string baseline = picture(7), progressive = picture(8, true);
  std::string torn = progressive;
  std::fill(torn.begin() + std::ssize(torn) / 2, torn.begin() + std::ssize(torn) / 2 + 90, '\0');
  std::string large = baseline;
  large.replace(large.find("\xFF\xC0") + 5, 4, "\x27\x10\x13\x89");
  const std::pair<std::string, const char*> kinds[] = {
      {baseline.substr(0, baseline.size() / 2), "damaged JPEG"},
      {progressive.substr(0, progressive.size() / 2), "damaged JPEG"},
      {progressive.substr(0, progressive.size() / 2 + 30) + "\xFF\xD9", "damaged JPEG"},
      {torn, "damaged JPEG"},
      {large, "10000x5001 pixels are more than 50000000"},
      {"", "empty file"},
      {"GIF89a", "neither a JPEG nor a PNG"}};
  const ScratchFolder scratch;
  write_source(scratch / "in");
  put_file(scratch / "in/b/good.jpg", picture(9));
  convert(jpeg_options(scratch / "in", scratch / "good"));
  for (const auto& [bytes, reason] : kinds) {
    put_file(scratch / "in/a/bad.jpg", bytes);
    ShardOptions options = jpeg_options(scratch / "in", scratch / "out");
    const std::string text = error_of(ExitCode::data, [&] { convert(options); });
    EXPECT_HOLDS(text, "1 of 8 images cannot be read: " + scratch / "in/a/bad.jpg: ");
    EXPECT_HOLDS(text, reason);
    EXPECT_HOLDS(text, "--skip-bad");
    EXPECT_FALSE(std::filesystem::exists(scratch / "out.partial")) << reason;
    options.skip_bad = true;
    EXPECT_EQ(convert(options).skipped.size(), 1U);
    EXPECT_EQ(content_of(options.out), content_of(scratch / "good")) << reason;
    std::filesystem::remove_all(options.out);
  }
}

TEST(BadPictures, AClassOfThemAloneIsEmpty) {
  const ScratchFolder scratch;
  write_source(scratch / "in");
  put_file(scratch / "in/b/bad.jpg", picture(7).substr(0, 700));
  ShardOptions options = jpeg_options(scratch / "in", scratch / "out");
  options.skip_bad = true;
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(options); }),
               "1 of 2 classes have no train images: b");
  std::filesystem::remove(scratch / "in/b/bad.jpg");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(options); }),
               "1 of 2 classes have no train images: b");
  options.allow_empty_classes = true;
  EXPECT_EQ(convert(options).per_class[0], (std::vector<int64_t>{6, 0}));
}

TEST(BadPictures, OneTooLargeForARowIsScaledOrNamed) {
  const ScratchFolder scratch;
  write_source(scratch / "in");
  const Image wall{7100, 7100, 1, std::vector<uint8_t>(7100 * 7100, 90)};
  put_file(scratch / "in/b/wall.jpg", encode_jpeg(wall, 50));
  ShardOptions options = jpeg_options(scratch / "in", scratch / "out");
  options.most_pixels = 60'000'000;
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(options); }),
               "wall.jpg: 7100x7100 pixels are more than a row's 50000000; give --short-side");
  options.short_side = 64;
  EXPECT_EQ(convert(options).scaled, 1);
}

/// A row and what a decoder makes of it.
struct OneRow {
  RawRows raw;
  Batch batch;

  OneRow(const std::string& file, int64_t row) {
    raw.bytes.assign(file.begin(), file.end());
    raw.offsets = {0, static_cast<int64_t>(file.size())};
    raw.place = [](std::size_t) { return "train-00000.h5, row 4"; };
    batch.rows = {row};
  }
  const std::vector<uint8_t>& seen(const RowDecoder& decoder) {
    decoder.decode(&raw, 0, &batch);
    return batch.pixels;
  }
};

DataIndex jpeg_index() {
  DataIndex index;
  index.content = Content::jpeg;
  index.row = {kJpegChannels, 0, 0};
  return index;
}

AugmentationOptions crops_of(int64_t size) {
  AugmentationOptions options;
  options.crop = {CropKind::random, size, size, {0.08, 1}, {0.75, 4.0 / 3}};
  return options;
}

TEST(SmallPictures, AreScaledUpAsTheReferenceDoes) {
  const AugmentationOptions options = crops_of(32);
  const auto training = make_training_decoder(jpeg_index(), options, 3, 1);
  CropOptions centre = options.crop;
  centre.crop = CropKind::centre;
  const auto evaluation = make_decoder(jpeg_index(), centre, 1);
  const std::pair<int64_t, int64_t> sizes[] = {{1, 1}, {1, 40}, {40, 1}, {3, 5}, {31, 9}, {17, 31}};
  for (const auto& size : sizes) {
    const int64_t height = size.first, width = size.second;
    const std::string file = jpeg_file(ramp(height, width, 3));
    const Image whole = decode_image(file);
    const auto expected = [&](const Crop& crop) {
      const CropBox box = source_box(crop);
      std::vector<uint8_t> pixels(3 * 32 * 32);
      resize_crop_reference(
          {&whole.bytes[static_cast<std::size_t>((box.top * width + box.left) * 3)], box.height,
           box.width, 3, width * 3},
          crop, pixels.data());
      return pixels;
    };
    const auto compare = [&](const std::vector<uint8_t>& seen, const Crop& crop) {
      const std::vector<uint8_t> wanted = expected(crop);
      ASSERT_EQ(seen.size(), wanted.size());
      for (std::size_t i = 0; i < seen.size(); ++i) {
        ASSERT_NEAR(seen[i], wanted[i], 1) << height << "x" << width << " at " << i;
      }
    };
    for (int64_t row = 0; row < 5; ++row) {
      compare(OneRow(file, row).seen(*training),
              random_crop(height, width, options.crop, 3, 0, row));
    }
    compare(OneRow(file, 0).seen(*evaluation), centre_crop(height, width, centre));
  }
}

TEST(BadRows, WithASumThatHoldsAreNamed) {
  const auto training = make_training_decoder(jpeg_index(), crops_of(16), 3, 1);
  CropOptions centre = crops_of(16).crop;
  centre.crop = CropKind::centre;
  const auto evaluation = make_decoder(jpeg_index(), centre, 1);
  const std::string good = picture(1);
  const std::size_t frame = good.find("\xFF\xC0");
  std::string flat = good, narrow = good, large = good;
  flat.replace(frame + 5, 2, 2, '\0');
  narrow.replace(frame + 7, 2, 2, '\0');
  large.replace(frame + 5, 4, "\xEA\x60\xEA\x60");
  const std::pair<std::string, const char*> rows[] = {
      {flat, "no size"},
      {narrow, "no size"},
      {large, "60000x60000 pixels are more than a row's"},
      {good.substr(0, 650), "damaged JPEG"},
      {good.substr(1), "damaged JPEG"},
      {random_png(9, 9, 1), "no size"},
      {jpeg_file(ramp(20, 20, 4)), "CMYK"},
      {std::string(1, '\0'), "no size"}};
  for (const auto& row : rows) {
    for (const RowDecoder* decoder : {training.get(), evaluation.get()}) {
      const std::string text =
          error_of(ExitCode::data, [&] { OneRow(row.first, 4).seen(*decoder); });
      EXPECT_HOLDS(text, "train-00000.h5, row 4: ");
      EXPECT_HOLDS(text, row.second);
      EXPECT_HOLDS(text, "convert the data again");
    }
  }
  EXPECT_EQ(OneRow(good, 4).seen(*training).size(), 3U * 16 * 16);
}

}  // namespace
}  // namespace bitstill
