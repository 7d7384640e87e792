// Files become rows of JPEG shards, and rows become batches.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/data/image_files.hpp"
#include "bitstill/data/inspect.hpp"
#include "bitstill/data/jpeg_encode.hpp"
#include "bitstill/data/resize.hpp"
#include "image_files.hpp"

namespace bitstill {
namespace {

std::string picture(int64_t height, int64_t width, uint64_t seed, int64_t channels = 3) {
  Image image = ramp(height, width, channels);
  RandomStream stream(seed, StreamPurpose::split);
  for (uint8_t& byte : image.bytes) byte = static_cast<uint8_t>(byte ^ stream.below(8));
  return encode_jpeg(image, 90);
}

/// 14 files in two classes, among them one of each kind that is encoded anew; all of odd sizes.
void write_source(const std::string& folder) {
  for (int i = 0; i < 9; ++i) {
    put_file(folder + (i % 2 == 0 ? "/train/a/" : "/train/b/") + std::to_string(i) + ".jpg",
             picture(20 + i, 31 - i, static_cast<uint64_t>(i)));
  }
  put_file(folder + "/train/a/grey.jpg", picture(17, 23, 20, 1));
  put_file(folder + "/train/b/dot.jpg", picture(1, 1, 21));
  put_file(folder + "/train/b/not.jpg", random_png(9, 12, 22));
  put_file(folder + "/val/a/ink.jpg", jpeg_file(ramp(12, 19, 4)));
  put_file(folder + "/val/b/turned.jpg", with_exif(picture(30, 40, 23), tiff_block(6, true)));
}

ShardOptions jpeg_options(const std::string& source, const std::string& out) {
  ShardOptions options = from(source, out);
  options.store = RowStore::jpeg;
  options.validation = 2;
  return options;
}

struct StoredRow {
  std::string bytes;
  int64_t label = 0;
};

std::vector<StoredRow> stored_rows(const Dataset& dataset, Split split) {
  std::vector<StoredRow> rows;
  for (int64_t row = 0; row < dataset.size(split); ++row) {
    RawRows raw;
    int64_t label = 0;
    dataset.read(split, {{row}}, &raw, &label);
    rows.push_back({std::string(raw.bytes.begin(), raw.bytes.end()), label});
  }
  return rows;
}

/// The SHA-256 of every file, by which folders are compared.
std::string folder_digest(const std::string& folder) {
  std::vector<std::string> lines;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    lines.push_back(file.path().filename().string() + " " +
                    sha256_hex(read_file(file.path().string(), ExitCode::data)) + "\n");
  }
  std::sort(lines.begin(), lines.end());
  std::string all;
  for (const std::string& line : lines) all += line;
  return all;
}

TEST(JpegShards, KeepFilesOrEncodeThemUpright) {
  const ScratchFolder scratch;
  write_source(scratch / "in");
  const ConvertReport report = convert(jpeg_options(scratch / "in", scratch / "out"));
  EXPECT_EQ(report.count, (std::array<int64_t, kSplits>{10, 2, 2}));
  EXPECT_EQ(report.kept, 11);
  EXPECT_EQ(report.from_png + report.from_cmyk + report.turned, 3);
  EXPECT_EQ(report.from_png * report.from_cmyk * report.turned, 1);
  EXPECT_EQ(report.scaled, 0);
  std::map<std::string, int64_t> files;  // bytes -> label
  for (const std::string& path : walk_images(scratch / "in").files) {
    files[read_file(path, ExitCode::data)] = path.find("/b/") != std::string::npos ? 1 : 0;
  }
  const Dataset dataset(scratch / "out");
  EXPECT_EQ(dataset.index().content, Content::jpeg);
  int found = 0;
  for (const Split split : {Split::train, Split::validation, Split::test}) {
    for (const StoredRow& row : stored_rows(dataset, split)) {
      const auto file = files.find(row.bytes);
      if (file == files.end()) continue;
      EXPECT_EQ(file->second, row.label);
      ++found;
    }
  }
  EXPECT_EQ(found, 11);
  for (const StoredRow& row : stored_rows(dataset, Split::test)) {
    const Image image = decode_image(row.bytes);
    const bool turned = row.label == 1;
    EXPECT_EQ(image.height, turned ? 40 : 12);
    const std::string name = turned ? "/val/b/turned.jpg" : "/val/a/ink.jpg";
    const Image seen = read_image(scratch / "in" + name, kMostPixels);
    EXPECT_LE(largest_difference(image, seen), 60) << name;  // encoded anew at 90, 4:2:0
  }
  EXPECT_TRUE(verify_shards(scratch / "out", Place{}).empty());
  EXPECT_FALSE(std::filesystem::exists(scratch / "out.partial"));
}

TEST(JpegShards, NormalizationIsThatOfTrainOrImageNets) {
  const ScratchFolder scratch;
  write_source(scratch / "in");
  ShardOptions options = jpeg_options(scratch / "in", scratch / "out");
  convert(options);
  const Dataset dataset(scratch / "out");
  double sum[3] = {}, squares[3] = {}, count = 0;
  for (const StoredRow& row : stored_rows(dataset, Split::train)) {
    const Image image = decode_image(row.bytes);
    for (int64_t i = 0; i < image.height * image.width; ++i, count += 1) {
      for (int64_t c = 0; c < 3; ++c) {
        const double x = image.bytes[i * image.channels + c % image.channels] / 255.0;
        sum[c] += x;
        squares[c] += x * x;
      }
    }
  }
  const Normalization found = dataset.index().normalization;
  for (int c = 0; c < 3; ++c) {
    const double mean = sum[c] / count;
    EXPECT_NEAR(found.mean[c], mean, 4e-3);  // the PNG's pixels are summed before encoding
    EXPECT_NEAR(found.deviation[c], std::sqrt(squares[c] / count - mean * mean), 4e-3);
  }
  options.normalization = NormalizationSource::imagenet;
  options.out = scratch / "imagenet";
  convert(options);
  EXPECT_FLOAT_EQ(Dataset(options.out).index().normalization.deviation[1], 0.224F);
}

TEST(JpegShards, LargerImagesAreScaledWhereThatIsAskedFor) {
  const ScratchFolder scratch;
  write_source(scratch / "in");
  ShardOptions options = jpeg_options(scratch / "in", scratch / "out");
  options.short_side = 22;
  const ConvertReport report = convert(options);
  EXPECT_EQ(report.scaled, 6);  // 23x28 to 28x23
  const Dataset dataset(scratch / "out");
  for (const StoredRow& row : stored_rows(dataset, Split::train)) {
    const Image image = decode_image(row.bytes);
    EXPECT_LE(std::min(image.height, image.width), 22);
  }
}

TEST(JpegShards, AreCutByBytesOrRows) {
  const ScratchFolder scratch;
  write_source(scratch / "in");
  ShardOptions options = jpeg_options(scratch / "in", scratch / "whole");
  convert(options);
  options.rows_per_shard = 3;
  options.out = scratch / "cut";
  convert(options);
  const Dataset whole(scratch / "whole"), cut(scratch / "cut");
  EXPECT_EQ(read_index(scratch / "cut").shards[0].size(), 4U);
  const std::vector<int64_t> order = {9, 0, 2, 3, 4, 4, 8, 5};
  RawRows one, other;
  std::vector<int64_t> labels(8), others(8);
  whole.read(Split::train, order, &one, labels.data());
  cut.read(Split::train, order, &other, others.data());
  EXPECT_EQ(one.bytes, other.bytes);
  EXPECT_EQ(one.offsets, other.offsets);
  EXPECT_EQ(labels, others);
  EXPECT_HOLDS(other.place(0), "cut/train-00003.h5, row 0");
}

/// Ranks as threads of this process, which meet at each call.
class Threads {
 public:
  explicit Threads(int world) : world_(world) {}

  void run(const std::function<void(const ConvertRanks&)>& work) {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < world_; ++rank) {
      threads.emplace_back([this, rank, &work] { work(ranks(rank)); });
    }
  }

 private:
  ConvertRanks ranks(int rank) {
    ConvertRanks ranks;
    ranks.place = {rank, world_, rank, world_, 0, "here"};
    ranks.sum = [this](std::vector<int64_t>* values) {
      meet([&] {
        if (sums_.size() != values->size()) sums_.assign(values->size(), 0);
        for (std::size_t i = 0; i < values->size(); ++i) sums_[i] += (*values)[i];
      });
      *values = sums_;
      meet([] {});  // all have read them
      meet([&] { std::fill(sums_.begin(), sums_.end(), 0); });
    };
    ranks.join = [this, rank](const std::string& text) {
      meet([&] { texts_[rank] = text; });
      std::string all;
      for (const auto& [other, part] : texts_) all += part;
      meet([] {});
      return all;
    };
    ranks.agree = [this](const std::function<void()>& phase) {
      phase();
      meet([] {});
    };
    return ranks;
  }

  /// Each does its part alone, then all wait for all.
  template <class Part>
  void meet(const Part& part) {
    std::unique_lock lock(mutex_);
    part();
    const int64_t round = round_;
    if (++arrived_ == world_) {
      arrived_ = 0;
      ++round_;
      changed_.notify_all();
    } else {
      changed_.wait(lock, [&] { return round_ != round; });
    }
  }

  int world_, arrived_ = 0;
  int64_t round_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int64_t> sums_;
  std::map<int, std::string> texts_;
};

TEST(JpegShards, AreEqualForAnyNumberOfRanks) {
  const ScratchFolder scratch;
  write_source(scratch / "in");
  ShardOptions options = jpeg_options(scratch / "in", scratch / "alone");
  options.rows_per_shard = 2;
  convert(options);
  options.out = scratch / "three";
  Threads(3).run([&](const ConvertRanks& ranks) {
    const ConvertReport report = convert(options, ranks);
    EXPECT_EQ(report.kept, 11);
  });
  EXPECT_EQ(folder_digest(scratch / "alone"), folder_digest(scratch / "three"));
}

TEST(JpegShards, GoOnWhereAnEarlierTryEnded) {
  const ScratchFolder scratch;
  write_source(scratch / "in");
  ShardOptions options = jpeg_options(scratch / "in", scratch / "whole");
  options.rows_per_shard = 2;
  convert(options);
  options.out = scratch / "out";
  ConvertRanks dying = convert_alone();
  int sums = 0;
  dying.sum = [&](std::vector<int64_t>*) {
    if (++sums == 4) throw Error(ExitCode::peer, "gone");  // what was written
  };
  EXPECT_HOLDS(error_of(ExitCode::peer, [&] { convert(options, dying); }), "gone");
  const std::string partial = scratch / "out.partial";
  EXPECT_TRUE(std::filesystem::exists(partial + "/train-00004.h5.done"));
  // One shard is damaged, one was not ended: both are written again. The file of another is gone
  // bad, which nobody looks at any more.
  flip_byte(partial + "/train-00001.h5", 2500);
  std::filesystem::remove(partial + "/train-00002.h5.done");
  const Dataset whole(scratch / "whole");
  const std::string kept = stored_rows(whole, Split::train)[0].bytes;
  for (const std::string& path : walk_images(scratch / "in").files) {
    if (read_file(path, ExitCode::data) == kept) put_file(path, "torn");
  }
  convert(options);
  EXPECT_EQ(folder_digest(scratch / "whole"), folder_digest(scratch / "out"));
  // Other options start anew, and meet the bad file.
  options.out = scratch / "other";
  std::filesystem::create_directories(scratch / "other.partial");
  options.quality = 50;
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(options); }),
               "1 of 14 images cannot be read");
}

TEST(JpegShards, RefuseWhatIsWrongWithTheSource) {
  const ScratchFolder scratch;
  write_source(scratch / "in");
  const std::string whole = picture(60, 61, 3);
  put_file(scratch / "in/train/a/short.jpg", whole.substr(0, whole.size() / 2));
  ShardOptions options = jpeg_options(scratch / "in", scratch / "out");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(options); }), "short.jpg: damaged JPEG");
  options.skip_bad = true;
  EXPECT_EQ(convert(options).skipped.size(), 1U);
  options.most_pixels = 1000;
  options.skip_bad = false;
  options.out = scratch / "small";
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(options); }), "more than 1000");
  const auto refused = [&](auto change) {
    ShardOptions wrong = jpeg_options(scratch / "in", scratch / "wrong");
    change(&wrong);
    return error_of(ExitCode::settings, [&] { convert(wrong); });
  };
  EXPECT_HOLDS(refused([](auto* o) { o->height = o->width = 8; }), "--size");
  EXPECT_HOLDS(refused([](auto* o) { o->channels = 1; }), "--channels 1");
  EXPECT_HOLDS(refused([](auto* o) { o->quality = 101; }), "--quality 101");
  EXPECT_HOLDS(refused([](auto* o) { o->short_side = -1; }), "--short-side -1");
  EXPECT_HOLDS(refused([](auto* o) {
                 o->store = RowStore::raw;
                 o->short_side = 8;
               }),
               "--short-side 8");
}

TEST(JpegShards, AFlatSplitTakesItsLabelsFromAFile) {
  const ScratchFolder scratch;
  for (int i = 0; i < 8; ++i) {
    put_file(
        scratch / (i % 2 == 0 ? "in/train/n01/" : "in/train/n02/") + std::to_string(i) + ".jpg",
        picture(8, 9, static_cast<uint64_t>(i)));
  }
  for (int i = 0; i < 3; ++i) {
    put_file(scratch / ("in/val/v" + std::to_string(i) + ".jpg"), picture(8, 9, 50 + i));
  }
  ShardOptions options = jpeg_options(scratch / "in", scratch / "out");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(options); }), "--labels FILE");
  options.labels = scratch / "labels.txt";
  options.synsets = scratch / "synsets.txt";
  put_file(options.synsets, "n00 not here\nn01 tench, Tinca tinca\nn02 crane\n");
  put_file(options.labels, "n02\n1\n");
  const auto refused = [&] { return error_of(ExitCode::data, [&] { convert(options); }); };
  EXPECT_HOLDS(refused(), "labels.txt: 2 lines for 3 images");
  put_file(options.labels, "n02\n2\nn01\n");
  EXPECT_HOLDS(refused(), "labels.txt, line 2: \"2\" is neither");
  put_file(options.labels, "v0.jpg 0\nv0.jpg 1\nv1.jpg 0\n");
  EXPECT_HOLDS(refused(), "line 2: ");
  put_file(options.labels, "v0.jpg 0\nv9.jpg 1\nv1.jpg 0\n");
  EXPECT_HOLDS(refused(), "no image v9.jpg");
  put_file(options.labels, "val/v2.jpg,n02\r\nv0.jpg 1\nv1.jpg n01\n\n");
  const ConvertReport report = convert(options);
  EXPECT_EQ(report.count[2], 3);
  EXPECT_EQ(report.per_class[2], (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(report.classes, (std::vector<std::string>{"tench, Tinca tinca", "crane"}));
  const Dataset dataset(scratch / "out");
  for (const StoredRow& row : stored_rows(dataset, Split::test)) {
    EXPECT_EQ(row.label, row.bytes == picture(8, 9, 51) ? 0 : 1);
  }
  put_file(options.synsets, "n01 crane\nn02 crane\n");
  options.out = scratch / "cranes";
  EXPECT_EQ(convert(options).classes, (std::vector<std::string>{"crane (n01)", "crane (n02)"}));
}

}  // namespace
}  // namespace bitstill
