// Random damage to a small folder of JPEG shards: refused, without effect, or, where the index
// knows nothing of it, other pixels in that row alone.
#include <algorithm>

#include "bitstill/data/inspect.hpp"
#include "bitstill/data/resize.hpp"
#include "damage.hpp"
#include "image_files.hpp"

namespace bitstill {
namespace {

constexpr int64_t kSize = 16, kRows = 13, kRowsPerShard = 5, kClasses = 3, kMostWhole = 1 << 20;
constexpr std::size_t kPixels = 3 * kSize * kSize;

std::vector<std::string> all_kinds() {
  const JpegSettings kinds[] = {{.subsampled = true},  {.across = 2, .down = 1},
                                {.progressive = true}, {.subsampled = true, .progressive = true},
                                {.restart_rows = 1},   {.across = 4, .down = 1}};
  std::vector<std::string> files;
  for (int64_t i = 0; i < kRows; ++i) {
    Image image = ramp(25 + 3 * i, 61 - 2 * i, i % 5 == 0 ? 1 : 3);
    const auto noise = random_bytes(image.bytes.size(), static_cast<uint64_t>(i));
    for (std::size_t k = 0; k < noise.size(); ++k) image.bytes[k] ^= noise[k] % 16;
    JpegSettings settings = kinds[static_cast<std::size_t>(i) % std::size(kinds)];
    settings.quality = 85;
    files.push_back(jpeg_file(image, settings));
  }
  return files;
}

AugmentationOptions options() {
  AugmentationOptions options;
  options.flip = true;
  options.crop = {CropKind::random, kSize, kSize, {0.08, 1}, {0.75, 4.0 / 3}};
  return options;
}

void write(const std::string& folder, const std::vector<std::string>& files) {
  std::filesystem::remove_all(folder);
  write_jpeg_rows(folder, kRows, kRowsPerShard, kClasses, [&](int64_t row) -> std::string_view {
    return files[static_cast<std::size_t>(row)];
  });
}

/// All rows in one batch, as training sees them.
Batch seen(const std::string& folder) {
  const Dataset dataset(folder);
  Batch batch;
  batch.rows.resize(kRows);
  std::iota(batch.rows.begin(), batch.rows.end(), 0);
  batch.labels.resize(kRows);
  RawRows raw;
  dataset.read(Split::train, batch.rows, &raw, batch.labels.data());
  make_training_decoder(dataset.index(), options(), 9, 1)->decode(&raw, 0, &batch);
  return batch;
}

std::vector<uint8_t> pixels_of(const Batch& batch, int64_t row) {
  const auto begin = batch.pixels.begin() + row * static_cast<int64_t>(kPixels);
  return {begin, begin + kPixels};
}

/// The row's crop of the whole picture; none where that cannot be read or is to be turned.
std::vector<uint8_t> cut_of_whole(const std::string& file, int64_t row) {
  Image whole;
  try {
    whole = decode_image(file, kMostWhole);
  } catch (const Error&) {
    return {};
  }
  const JpegSize size =
      read_jpeg_size({reinterpret_cast<const uint8_t*>(file.data()), file.size()});
  if (size != JpegSize{whole.height, whole.width, whole.channels}) return {};
  Crop crop = random_crop(whole.height, whole.width, options().crop, 9, 0, row);
  crop.flip = draw_flip(9, 0, row);
  const CropBox box = source_box(crop);
  std::vector<uint8_t> planes(kPixels);
  CropResizer().resize_crop(
      {&whole.bytes[static_cast<std::size_t>((box.top * whole.width + box.left) * size.channels)],
       box.height, box.width, size.channels, whole.width * size.channels},
      crop, planes.data());
  const auto plane = planes.begin() + kSize * kSize;
  if (size.channels == 1) {
    std::copy(planes.begin(), plane, plane);
    std::copy(planes.begin(), plane, plane + kSize * kSize);
  }
  return planes;
}

void flip_bytes(std::string* bytes, RandomStream* stream) {
  for (uint64_t i = 0; i <= stream->below(3); ++i) {
    char& byte = (*bytes)[stream->below(bytes->size())];
    byte = static_cast<char>(byte ^ (1 + stream->below(255)));
  }
}

/// Cut, lengthened, zeroed, flipped, with the end of another or with another size.
std::string spoiled(std::string bytes, const std::string& other, RandomStream* stream) {
  const std::size_t at = 1 + stream->below(bytes.size() - 1);
  const std::size_t frame = std::min(bytes.find("\xFF\xC0"), bytes.find("\xFF\xC2"));
  switch (stream->below(7)) {
    case 0:
      bytes.resize(at);
      break;
    case 1:
      bytes += std::string(1 + stream->below(9), static_cast<char>(stream->next()));
      break;
    case 2:
      std::fill(bytes.begin() + static_cast<int64_t>(at),
                bytes.begin() + static_cast<int64_t>(std::min(bytes.size(), at + 16)), '\0');
      break;
    case 3:
      bytes = bytes.substr(0, at) + other.substr(std::min(at, other.size()));
      break;
    case 4:
      if (frame != std::string::npos) bytes[frame + 5 + at % 4] = static_cast<char>(stream->next());
      break;
    default:
      flip_bytes(&bytes, stream);
  }
  return bytes;
}

class JpegMutations : public testing::Test {
 protected:
  JpegMutations() {
    write(folder(), files_);
    good_ = seen(folder());
  }
  std::string folder() const { return scratch_ / "set"; }

  /// Calls `try_round(n, stream)` for every n-th kind of damage; all of it ends as Error(data) or
  /// not at all.
  template <class Round>
  void each(int first, const Round& try_round) {
    for (int n = first; n < rounds_; n += 3) {
      RandomStream stream(11, StreamPurpose::split, static_cast<uint64_t>(n));
      try {
        try_round(n, &stream);
      } catch (const Error& error) {
        ASSERT_EQ(error.code(), ExitCode::data) << n << ": " << error.what();
        ++refused_;
      }
      if (HasFatalFailure()) return;
      ++tried_;
    }
  }

  /// The damaged file is as it was afterwards.
  void with(const std::string& path, const std::string& before, const std::string& after,
            const std::function<void()>& look) {
    put_file(path, after);
    try {
      look();
    } catch (const Error&) {
      put_file(path, before);
      throw;
    }
    put_file(path, before);
  }

  const ScratchFolder scratch_;
  const std::vector<std::string> files_ = all_kinds();
  Batch good_;
  const int rounds_ = mutations(200);
  int tried_ = 0, refused_ = 0;
};

TEST_F(JpegMutations, OfAnyFileAreRefusedOrWithoutEffect) {
  std::vector<std::string> files;
  for (const auto& file : std::filesystem::directory_iterator(folder())) {
    files.push_back(file.path().string());
  }
  std::sort(files.begin(), files.end());
  each(0, [&](int n, RandomStream* stream) {
    const std::string& path = files[static_cast<std::size_t>(n / 3) % files.size()];
    const std::string before = read_file(path, ExitCode::data);
    const std::string after = spoiled(before, before, stream);
    with(path, before, after, [&] {
      const Batch batch = seen(folder());
      ASSERT_EQ(batch.pixels, good_.pixels) << path << " " << n;
      ASSERT_EQ(batch.labels, good_.labels) << path << " " << n;
      ASSERT_TRUE(after == before || !path.ends_with(".h5")) << "damage in " << path << " unseen";
    });
  });
  EXPECT_GT(refused_, tried_ * 3 / 4);
  EXPECT_TRUE(verify_shards(folder(), Place{}).empty());
}

TEST_F(JpegMutations, OfOffsetsAreRefusedOrWithoutEffect) {
  const ShardIndex index = read_index(folder());
  each(1, [&](int n, RandomStream* stream) {
    const ShardEntry& entry = index.shards[0][static_cast<std::size_t>(n / 3) % 3];
    const std::string path = folder() + "/" + entry.file;
    const std::string before = read_file(path, ExitCode::data);
    std::string after = before;
    for (uint64_t i = 0; i <= stream->below(3); ++i) {
      const auto rows = static_cast<uint64_t>(entry.layout.rows);
      char* const at =
          &after[static_cast<std::size_t>(entry.layout.offsets) + 8 * stream->below(rows + 1)];
      uint64_t value = 0;
      std::memcpy(&value, at, 8);
      const uint64_t values[] = {value + 1,
                                 value - 1,
                                 0 - value,
                                 0,
                                 value + static_cast<uint64_t>(entry.layout.content_bytes),
                                 uint64_t{stream->next()} << 32,
                                 stream->below(5000),
                                 uint64_t{1} << 63};
      std::memcpy(at, &values[stream->below(std::size(values))], 8);
    }
    with(path, before, after, [&] {
      ASSERT_EQ(seen(folder()).pixels, good_.pixels) << n;
      ASSERT_EQ(after, before) << "offsets of " << path << " are wrong and nobody says so";
    });
  });
  EXPECT_GT(refused_, tried_ * 3 / 4);
}

TEST_F(JpegMutations, OfARowWithSumsThatHoldNameItOrStayInIt) {
  each(2, [&](int n, RandomStream* stream) {
    const auto row = static_cast<int64_t>(stream->below(kRows));
    std::vector<std::string> files = files_;
    std::string& file = files[static_cast<std::size_t>(row)];
    file = spoiled(file, files_[stream->below(kRows)], stream);
    write(scratch_ / "spoiled", files);
    ASSERT_TRUE(verify_shards(scratch_ / "spoiled", Place{}).empty());
    Batch batch;
    try {
      batch = seen(scratch_ / "spoiled");
    } catch (const Error& error) {
      EXPECT_HOLDS(error.what(), "train-0000" + std::to_string(row / kRowsPerShard) + ".h5, row " +
                                     std::to_string(row % kRowsPerShard) + ": ");
      EXPECT_TRUE(cut_of_whole(file, row).empty()) << n << ": " << error.what();
      throw;
    }
    for (int64_t other = 0; other < kRows; ++other) {
      if (other == row) continue;
      ASSERT_EQ(pixels_of(batch, other), pixels_of(good_, other)) << n;
    }
    const std::vector<uint8_t> wanted = cut_of_whole(file, row);
    if (wanted.empty()) return;
    ASSERT_EQ(pixels_of(batch, row), wanted) << n;
  });
  EXPECT_GT(refused_, tried_ / 4);
  EXPECT_GT(tried_ - refused_, tried_ / 10);
}

}  // namespace
}  // namespace bitstill
