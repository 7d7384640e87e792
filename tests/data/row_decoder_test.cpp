#include "bitstill/data/row_decoder.hpp"

#include <cmath>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/data/inspect.hpp"
#include "bitstill/data/jpeg_encode.hpp"
#include "bitstill/data/resize.hpp"
#include "image_files.hpp"

namespace bitstill {
namespace {

Batch batch_of(const Dataset& dataset, const RowDecoder& decoder, const std::vector<int64_t>& rows,
               int64_t epoch) {
  Batch batch;
  batch.rows = rows;
  batch.labels.resize(rows.size());
  RawRows raw;
  dataset.read(Split::train, rows, &raw, batch.labels.data());
  decoder.decode(&raw, epoch, &batch);
  return batch;
}

/// 13 JPEGs of odd sizes, every third grey, all in train, in shards of 5.
class JpegRows : public testing::Test {
 protected:
  JpegRows() {
    for (int i = 0; i < 13; ++i) {
      Image image = ramp(25 + 3 * i, 61 - 2 * i, i % 3 == 0 ? 1 : 3);
      image.bytes[7] = static_cast<uint8_t>(i);
      put_file(
          scratch_ / ("in/" + std::string(i % 2 == 0 ? "a/" : "b/") + std::to_string(i) + ".jpg"),
          encode_jpeg(image, 95));
    }
    ShardOptions options = from(scratch_ / "in", folder());
    options.store = RowStore::jpeg;
    options.validation = options.test = 0;
    options.rows_per_shard = 5;
    convert(options);
  }
  std::string folder() const { return scratch_ / "set"; }

  /// The row decoded whole, in colour.
  static Image whole(const Dataset& dataset, int64_t row) {
    RawRows raw;
    int64_t label = 0;
    dataset.read(Split::train, {{row}}, &raw, &label);
    Image image = decode_image({reinterpret_cast<const char*>(raw.bytes.data()), raw.bytes.size()});
    if (image.channels == 3) return image;
    Image colour{image.height, image.width, 3, {}};
    for (const uint8_t byte : image.bytes) colour.bytes.insert(colour.bytes.end(), 3, byte);
    return colour;
  }

  ScratchFolder scratch_;
};

AugmentationOptions random_options() {
  AugmentationOptions options;
  options.flip = true;
  options.variants = 3;
  options.crop.crop = CropKind::random;
  options.crop.size = 16;
  options.crop.resize = 18;
  return options;
}

std::vector<uint8_t> cut(const Image& image, const Crop& crop) {
  const CropBox box = source_box(crop);
  std::vector<uint8_t> pixels(3 * 16 * 16);
  CropResizer().resize_crop(
      {&image.bytes[static_cast<std::size_t>((box.top * image.width + box.left) * 3)], box.height,
       box.width, 3, image.width * 3},
      crop, pixels.data());
  return pixels;
}

TEST_F(JpegRows, CropsAreThoseOfTheWholePictureByRowAndVariantAlone) {
  const Dataset dataset(folder());
  const AugmentationOptions options = random_options();
  const auto one = make_training_decoder(dataset.index(), options, 9, 1);
  const auto three = make_training_decoder(dataset.index(), options, 9, 3);
  std::vector<int64_t> rows = {12, 0, 5, 4, 4, 7, 1, 2, 3, 6, 8, 9, 10, 11};
  int flipped = 0;
  for (const int64_t epoch : {0, 1, 5}) {
    const Batch batch = batch_of(dataset, *one, rows, epoch);
    EXPECT_EQ(batch.variant, epoch % 3);
    EXPECT_EQ(batch_of(dataset, *three, rows, epoch).pixels, batch.pixels);
    for (std::size_t k = 0; k < rows.size(); ++k) {
      const Image image = whole(dataset, rows[k]);
      Crop crop = random_crop(image.height, image.width, options.crop, 9, epoch % 3, rows[k]);
      crop.flip = draw_flip(9, epoch % 3, rows[k]);
      flipped += crop.flip ? 1 : 0;
      const std::vector<uint8_t> expected = cut(image, crop);
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), &batch.pixels[k * 768])) << rows[k];
    }
  }
  EXPECT_GT(flipped, 5);
  EXPECT_LT(flipped, 37);
}

/// What decode makes of `rows` with the colours of `options`, from what it makes without them.
void expect_coloured(const Dataset& dataset, const AugmentationOptions& options,
                     const ImageShape& shape, const std::vector<int64_t>& rows) {
  AugmentationOptions plain = options;
  plain.colour = {};
  std::vector<uint8_t> fill;
  for (const float mean : dataset.index().normalization.mean) {
    fill.push_back(static_cast<uint8_t>(std::lround(255 * mean)));
  }
  const auto without = make_training_decoder(dataset.index(), plain, 9, 1);
  const auto one = make_training_decoder(dataset.index(), options, 9, 1);
  const auto three = make_training_decoder(dataset.index(), options, 9, 3);
  const auto pixels = static_cast<std::size_t>(shape.pixels());
  int changed = 0;
  for (const int64_t epoch : {0, 4}) {
    Batch expected = batch_of(dataset, *without, rows, epoch);
    const Batch batch = batch_of(dataset, *one, rows, epoch);
    EXPECT_EQ(batch.variant, epoch % 3);
    for (std::size_t k = 0; k < rows.size(); ++k) {
      change_colours(shape, options.colour, fill.data(), 9, epoch % 3, rows[k],
                     &expected.pixels[k * pixels]);
    }
    EXPECT_EQ(batch.pixels, expected.pixels);
    EXPECT_EQ(batch_of(dataset, *three, rows, epoch).pixels, batch.pixels);
    changed += batch.pixels != batch_of(dataset, *without, rows, epoch).pixels ? 1 : 0;
  }
  EXPECT_EQ(changed, 2);
}

TEST_F(JpegRows, ColoursChangeBehindTheCrop) {
  AugmentationOptions options = random_options();
  options.colour = {0.4, 0.1, 0.5};
  expect_coloured(Dataset(folder()), options, {3, 16, 16}, {3, 12, 0, 0, 7});
}

TEST(RowDecoder, ColoursOfRawRowsHaveVariants) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const Dataset dataset(scratch / "set");
  AugmentationOptions options;
  options.variants = 3;
  for (const ColourOptions& colour :
       {ColourOptions{0.4, 0, 0}, {0, 0.5, 0}, {0, 0, 1}, {0.4, 0.5, 1}}) {
    options.colour = colour;
    for (const int64_t shift : {0, 2}) {
      options.shift = shift;
      expect_coloured(dataset, options, set.shape, {22, 3, 7, 4});
    }
  }
}

TEST_F(JpegRows, MixturesAreOfWhatIsCroppedAndColoured) {
  const Dataset dataset(folder());
  AugmentationOptions options = random_options();
  options.colour = {0.4, 0.1, 0.5};
  const auto without = make_training_decoder(dataset.index(), options, 9, 1);
  options.mix = {0.5, 1};
  const std::vector<int64_t> rows = {3, 12, 0, 8, 7};
  for (const int64_t threads : {1, 2}) {
    const auto decoder = make_training_decoder(dataset.index(), options, 9, threads);
    for (const int64_t epoch : {0, 3}) {  // of one variant, but mixed anew
      Batch expected = batch_of(dataset, *without, rows, epoch);
      mix_rows({3, 16, 16}, options.mix, 9, epoch, 1, &expected);
      const Batch batch = batch_of(dataset, *decoder, rows, epoch);
      EXPECT_EQ(batch.pixels, expected.pixels);
      EXPECT_EQ(batch.partners, expected.partners);
      EXPECT_EQ(batch.share, expected.share);
    }
    EXPECT_NE(batch_of(dataset, *decoder, rows, 0).share,
              batch_of(dataset, *decoder, rows, 3).share);
  }
}

TEST_F(JpegRows, EvaluationCutsTheCentreAsOfAFile) {
  Dataset dataset(folder());
  EXPECT_HOLDS(error_of(ExitCode::settings, [&] { dataset.decoder(); }), "data.size");
  const CropOptions crop = evaluation_crop(random_options().crop, dataset.index());
  dataset.prepare(crop, 2);
  EXPECT_EQ(dataset.index().shape, (ImageShape{3, 16, 16}));
  const Batch batch = read_batch(dataset, Split::train, {3, 11, 0});
  for (std::size_t k = 0; k < 3; ++k) {
    std::vector<uint8_t> expected(768);
    cut_centre(whole(dataset, batch.rows[k]), 3, crop, expected.data());
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), &batch.pixels[k * 768]));
  }
}

TEST(RowDecoder, RawRowsAreCroppedPlaneByPlane) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  Dataset dataset(scratch / "set");
  AugmentationOptions options = random_options();
  options.crop.size = 4;
  const auto decoder = make_training_decoder(dataset.index(), options, 5, 2);
  const Batch batch = batch_of(dataset, *decoder, {22, 3, 7}, 4);
  ASSERT_EQ(batch.pixels.size(), 3U * 48);
  for (std::size_t k = 0; k < 3; ++k) {
    Image image{5, 7, 3, {}};
    for (int64_t i = 0; i < 35; ++i) {
      for (int64_t c = 0; c < 3; ++c) {
        image.bytes.push_back(set.rows[0].pixels[batch.rows[k] * 105 + c * 35 + i]);
      }
    }
    Crop crop = random_crop(5, 7, options.crop, 5, 1, batch.rows[k]);
    crop.flip = draw_flip(5, 1, batch.rows[k]);
    const CropBox box = source_box(crop);
    std::vector<uint8_t> expected(48);
    CropResizer().resize_crop(
        {&image.bytes[(box.top * 7 + box.left) * 3], box.height, box.width, 3, 21}, crop,
        expected.data());
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), &batch.pixels[k * 48]));
  }
}

TEST(RowDecoder, SettingsAreSettledByWhatTheRowsAre) {
  DataIndex raw, jpeg;
  raw.row = raw.shape = {3, 16, 16};
  jpeg.content = Content::jpeg;
  jpeg.row = jpeg.shape = {3, 0, 0};
  AugmentationOptions none;
  EXPECT_EQ(settled(none, raw).crop.crop, CropKind::none);
  EXPECT_EQ(settled(none, jpeg).crop.crop, CropKind::random);
  EXPECT_EQ(settled(none, jpeg).crop.resize, 256);
  AugmentationOptions options = random_options();
  EXPECT_EQ(settled(options, raw).crop.resize, 18);
  // Rows that have the size already are evaluated as they are.
  EXPECT_EQ(evaluation_crop(options.crop, raw).crop, CropKind::none);
  EXPECT_EQ(evaluation_crop(options.crop, jpeg).crop, CropKind::centre);
  options.crop.size = 12;
  EXPECT_EQ(evaluation_crop(options.crop, raw).crop, CropKind::centre);
  options.shift = 2;
  EXPECT_HOLDS(error_of(ExitCode::settings, [&] { settled(options, raw); }),
               "data.shift = 2 and data.crop = random");
  options.crop.crop = CropKind::none;
  EXPECT_NO_THROW(settled(options, raw));
  EXPECT_HOLDS(error_of(ExitCode::settings, [&] { settled(options, jpeg); }), "data.crop = random");
  none.colour.lighting = 0.1;
  EXPECT_NO_THROW(settled(none, raw));
  none.crop.scaled_decode = true;
  EXPECT_NO_THROW(settled(none, jpeg));
  EXPECT_HOLDS(error_of(ExitCode::settings, [&] { settled(none, raw); }), "data.scaled_decode");
  raw.row.channels = 1;
  none.crop.scaled_decode = false;
  EXPECT_HOLDS(error_of(ExitCode::settings, [&] { settled(none, raw); }), "data.lighting = 0.1");
}

/// Waves of several lengths, as coarse as pictures are.
Image waves(int64_t height, int64_t width, int64_t channels) {
  Image image{height, width, channels, {}};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t c = 0; c < channels; ++c) {
        const auto u = static_cast<double>(x + 17 * c), v = static_cast<double>(y);
        image.bytes.push_back(static_cast<uint8_t>(128 + 50 * std::sin(u / 31 + v / 47) +
                                                   35 * std::cos(v / 13 - u / 17) +
                                                   20 * std::sin((u + 2 * v) / 5)));
      }
    }
  }
  return image;
}

/// Two pictures, of which one is large against the crops.
Dataset two_pictures(const ScratchFolder& scratch, int64_t channels) {
  put_file(scratch / "in/a/1.jpg", encode_jpeg(waves(403, 517, channels), 95));
  put_file(scratch / "in/b/2.jpg", encode_jpeg(waves(60, 50, channels), 95));
  ShardOptions options = from(scratch / "in", scratch / "set");
  options.store = RowStore::jpeg;
  options.validation = options.test = 0;
  convert(options);
  return Dataset(scratch / "set");
}

TEST(ScaledDecode, IsNearTheWholeAndOnlyOfCropsTwiceTheirTarget) {
  for (const int64_t channels : {1, 3}) {
    const ScratchFolder scratch;
    const Dataset dataset = two_pictures(scratch, channels);
    RawRows raw;
    int64_t label = 0;
    dataset.read(Split::train, {{0}}, &raw, &label);
    const int64_t large = read_jpeg_size(raw.row(0)).height == 403 ? 0 : 1;
    int shrunken = 0;
    double sum = 0;
    for (int64_t epoch = 0; epoch < 60; ++epoch) {
      AugmentationOptions options = random_options();
      options.variants = 0;
      options.crop.scale = {0.01, 1};
      options.crop.size = epoch % 2 == 0 ? 40 : 60;
      const int64_t size = options.crop.size, pixels = 3 * size * size;
      const Crop crop = random_crop(403, 517, options.crop, 9, epoch, large);
      const auto whole = make_training_decoder(dataset.index(), options, 9, 1);
      options.crop.scaled_decode = true;
      const auto scaled = make_training_decoder(dataset.index(), options, 9, 2);
      const Batch expected = batch_of(dataset, *whole, {large, 1 - large}, epoch),
                  batch = batch_of(dataset, *scaled, {large, 1 - large}, epoch);
      EXPECT_EQ(batch_of(dataset, *scaled, {large, 1 - large}, epoch).pixels, batch.pixels);
      EXPECT_TRUE(std::equal(expected.pixels.begin() + pixels, expected.pixels.end(),
                             batch.pixels.begin() + pixels));  // too small a picture
      const bool same = std::equal(expected.pixels.begin(), expected.pixels.begin() + pixels,
                                   batch.pixels.begin());
      EXPECT_EQ(same, std::min(crop.rows.source, crop.columns.source) < 2 * size);
      if (same) continue;
      ++shrunken;
      double difference = 0;
      for (std::size_t i = 0; i < static_cast<std::size_t>(pixels); ++i) {
        difference += std::abs(batch.pixels[i] - expected.pixels[i]) / static_cast<double>(pixels);
      }
      EXPECT_LT(difference, 5) << crop.rows.source << "x" << crop.columns.source;
      sum += difference;
    }
    EXPECT_GT(shrunken, 20);
    EXPECT_LT(shrunken, 60);
    EXPECT_LT(sum / shrunken, 2);
  }
}

/// Changes a shard's bytes and makes the sums of row and index fit again.
void forge_row(const std::string& folder, std::size_t shard, int64_t row,
               const std::function<void(std::string*)>& change) {
  ShardIndex index = read_index(folder);
  std::vector<uint32_t> sums = read_row_sums(folder, index);
  const ShardEntry& entry = index.shards[0][shard];
  const std::string path = folder + "/" + entry.file;
  const std::vector<int64_t> offsets = read_offsets(RawFile::open(path), entry.layout);
  std::string file = read_file(path, ExitCode::data);
  const auto begin = static_cast<std::size_t>(entry.layout.content + offsets[row]);
  const auto count = static_cast<std::size_t>(offsets[row + 1] - offsets[row]);
  std::string bytes = file.substr(begin, count);
  change(&bytes);
  ASSERT_EQ(bytes.size(), count);
  file.replace(begin, count, bytes);
  put_file(path, file);
  int64_t label = 0;
  std::memcpy(&label, &file[entry.layout.labels + row * 8], 8);
  sums[5 * shard + row] = crc32c(&label, 8, crc32c(bytes.data(), count));
  const std::string packed(reinterpret_cast<const char*>(sums.data()), sums.size() * 4);
  put_file(folder + "/" + kRowSumsFile, packed);
  index.row_sums_sha256 = sha256_hex(packed);
  put_file(folder + "/" + kIndexFile, index_text(index));
}

TEST_F(JpegRows, ARowThatIsNoJpegIsNamed) {
  forge_row(folder(), 1, 2, [](std::string* bytes) { (*bytes)[0] = 'x'; });
  forge_row(folder(), 2, 1,
            [](std::string* bytes) { std::fill(bytes->begin() + 200, bytes->end(), '\0'); });
  Dataset dataset(folder());
  dataset.prepare(evaluation_crop(random_options().crop, dataset.index()), 2);
  EXPECT_EQ(read_batch(dataset, Split::train, {6, 8}).count(), 2);
  EXPECT_HOLDS(error_of(ExitCode::data,
                        [&] {
                          read_batch(dataset, Split::train, {6, 7, 11});
                        }),
               "train-00001.h5, row 2: ");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { read_batch(dataset, Split::train, {11}); }),
               "train-00002.h5, row 1: ");
}

TEST_F(JpegRows, OffsetsThatFallOverlapOrLeaveTheFileAreNamed) {
  const ShardEntry entry = read_index(folder()).shards[0][0];
  const std::string path = folder() + "/" + entry.file, whole = read_file(path, ExitCode::data);
  const std::vector<int64_t> offsets = read_offsets(RawFile::open(path), entry.layout);
  const auto refused = [&](std::size_t which, int64_t value) {
    std::string file = whole;
    std::memcpy(&file[static_cast<std::size_t>(entry.layout.offsets) + 8 * which], &value, 8);
    put_file(path, file);
    const Dataset dataset(folder());
    RawRows raw;
    int64_t label = 0;
    EXPECT_FALSE(verify_shards(folder(), Place{}).empty());
    return error_of(ExitCode::data, [&] { dataset.read(Split::train, {{4}}, &raw, &label); });
  };
  EXPECT_HOLDS(refused(0, 1), "train-00000.h5, row 0: its bytes are said to be 1 to");
  EXPECT_HOLDS(refused(2, offsets[1] - 1), "row 1: its bytes are said to be");
  EXPECT_HOLDS(refused(2, offsets[1]), "row 1: ");
  EXPECT_HOLDS(refused(3, entry.layout.content_bytes + 9), "row 2: ");
  EXPECT_HOLDS(refused(3, int64_t{-1}), "row 2: ");
  EXPECT_HOLDS(refused(3, INT64_MAX), "row 2: ");
  EXPECT_HOLDS(refused(5, offsets[5] - 1), "row 4: ");
  EXPECT_HOLDS(refused(5, offsets[5] + 1), "row 4: ");
  // One that only moves a border changes both rows.
  EXPECT_HOLDS(refused(4, offsets[4] + 1), "row 4: its bytes were changed");
}

}  // namespace
}  // namespace bitstill
