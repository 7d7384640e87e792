#include <hdf5.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmath>
#include <csignal>
#include <cstring>

#include "../../src/data/shard_folder.hpp"
#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/sha256.hpp"
#include "data_fixture.hpp"

namespace bitstill {
namespace {

TEST(Shards, GiveBackWhatWasWritten) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const Dataset dataset(scratch / "set");
  EXPECT_EQ(dataset.index().shape, set.shape);
  EXPECT_EQ(dataset.index().classes, (std::vector<std::string>{"ant", "bee", "cat"}));
  EXPECT_EQ(dataset.index().count, set.count);
  for (int s = 0; s < kSplits; ++s) {
    EXPECT_EQ(read_all(dataset, static_cast<Split>(s)), set.rows[s]);
  }
  // Out of order, twice, across shards, with neighbours that end at a shard's end.
  const std::vector<int64_t> order = {22, 0, 5, 6, 7, 7, 13, 14, 15, 1};
  const Rows rows = read_rows(dataset, Split::train, order);
  for (std::size_t k = 0; k < order.size(); ++k) {
    EXPECT_EQ(rows.labels[k], set.rows[0].labels[order[k]]);
    EXPECT_EQ(std::memcmp(&rows.pixels[k * 105], &set.rows[0].pixels[order[k] * 105], 105), 0);
  }
  EXPECT_FALSE(std::filesystem::exists(scratch / "set.partial"));
}

TEST(Shards, NormalizationIsThatOfTrain) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const Normalization normalization = Dataset(scratch / "set").index().normalization;
  for (int64_t c = 0; c < 3; ++c) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < 23 * 35; ++i) {
      const double x = set.rows[0].pixels[i / 35 * 105 + c * 35 + i % 35] / 255.0;
      sum += x;
      squares += x * x;
    }
    const double mean = sum / (23 * 35);
    EXPECT_NEAR(normalization.mean[c], mean, 1e-6);
    EXPECT_NEAR(normalization.deviation[c], std::sqrt(squares / (23 * 35) - mean * mean), 1e-6);
  }
}

TEST(Shards, AConstantChannelHasDeviationOne) {
  const ScratchFolder scratch;
  ShardWriter writer({scratch / "set", {1, 2, 2}, 1, {3, 0, 0}, 0});
  const std::vector<uint8_t> pixels(4, 51);
  for (int i = 0; i < 3; ++i) writer.add(Split::train, pixels.data(), 0);
  ShardIndex description;
  description.summary.classes = {"one"};
  writer.finish(description);
  const Normalization normalization = Dataset(scratch / "set").index().normalization;
  EXPECT_FLOAT_EQ(normalization.mean[0], 0.2F);
  EXPECT_EQ(normalization.deviation[0], 1.0F);
}

TEST(Shards, EqualDataGivesEqualBytes) {
  const ScratchFolder scratch;
  const SmallSet a(scratch / "a");
  const SmallSet b(scratch / "b");
  EXPECT_EQ(Dataset(scratch / "a").index().fingerprint, Dataset(scratch / "b").index().fingerprint);
}

TEST(Shards, RefuseAMissingOrForeignFolder) {
  const ScratchFolder scratch;
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { Dataset{scratch / "none"}; }), "none");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { Dataset{scratch.path()}; }), "index.json");
  put_file(scratch / "index.json", "{\"format\": \"another\"}");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { Dataset{scratch.path()}; }), "index.json");
}

TEST(Shards, RefuseAMissingTruncatedOrForeignShard) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const std::string shard = scratch / "set/train-00002.h5";
  const std::string bytes = read_file(shard, ExitCode::data);
  const auto message = [&] { return error_of(ExitCode::data, [&] { Dataset{scratch / "set"}; }); };
  std::filesystem::remove(shard);
  EXPECT_HOLDS(message(), "train-00002.h5");
  put_file(shard, bytes.substr(0, bytes.size() - 1));
  EXPECT_HOLDS(message(), "train-00002.h5");
  put_file(shard, std::string(bytes.size(), 'x'));
  EXPECT_HOLDS(message(), "train-00002.h5");
  put_file(shard, read_file(scratch / "set/train-00001.h5", ExitCode::data));
  const Dataset moved(scratch / "set");  // the frames of equal shards are equal: the rows tell
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { read_rows(moved, Split::train, {14}); }),
               "train-00002.h5, row 0");
  std::filesystem::remove(shard);
  std::filesystem::create_directory(shard);
  EXPECT_HOLDS(message(), "train-00002.h5");
}

/// Where HDF5, asked as by other programs, finds a data set of one piece.
int64_t place_by_hdf5(const std::string& path, const char* name, hid_t type,
                      const std::vector<hsize_t>& extent) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
  const hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
  const hid_t space = H5Dget_space(set), held = H5Dget_type(set), how = H5Dget_create_plist(set);
  std::vector<hsize_t> found(extent.size());
  EXPECT_EQ(H5Sget_simple_extent_ndims(space), static_cast<int>(extent.size())) << name;
  H5Sget_simple_extent_dims(space, found.data(), nullptr);
  EXPECT_EQ(found, extent) << name;
  EXPECT_GT(H5Tequal(held, type), 0) << name;
  EXPECT_EQ(H5Pget_layout(how), H5D_CONTIGUOUS) << name;
  const auto place = static_cast<int64_t>(H5Dget_offset(set));
  H5Pclose(how);
  H5Tclose(held);
  H5Sclose(space);
  H5Dclose(set);
  H5Fclose(file);
  return place;
}

TEST(Shards, OthersFindTheDataSetsByHdf5WhereTheIndexSays) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const ShardIndex index = read_index(scratch / "set");
  for (const ShardEntry& entry : index.shards[0]) {
    const std::string path = scratch / "set/" + entry.file;
    const auto rows = static_cast<hsize_t>(entry.layout.rows);
    EXPECT_EQ(place_by_hdf5(path, "images", H5T_STD_U8LE, {rows, 3, 5, 7}), entry.layout.content);
    EXPECT_EQ(place_by_hdf5(path, "labels", H5T_STD_I64LE, {rows}), entry.layout.labels);
  }
  const std::string path = scratch / "any_length.h5";
  ShardLayout layout;
  create_shard_file(path, 4, 100, &layout);
  EXPECT_EQ(place_by_hdf5(path, "bytes", H5T_STD_U8LE, {100}), layout.content);
  EXPECT_EQ(place_by_hdf5(path, "offsets", H5T_STD_I64LE, {5}), layout.offsets);
  EXPECT_EQ(place_by_hdf5(path, "labels", H5T_STD_I64LE, {4}), layout.labels);
}

TEST(Shards, PipesAndDevicesAreNotRead) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  for (const char* name : {"index.json", "rows.crc32c", "test-00000.h5"}) {
    const std::string path = scratch / "set" + "/" + name;
    std::filesystem::rename(path, scratch / "kept");
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    EXPECT_HOLDS(error_of(ExitCode::data, [&] { Dataset{scratch / "set"}; }), name);
    std::filesystem::remove(path);
    std::filesystem::create_symlink("/dev/zero", path);
    EXPECT_HOLDS(error_of(ExitCode::data, [&] { Dataset{scratch / "set"}; }), name);
    std::filesystem::remove(path);
    std::filesystem::rename(scratch / "kept", path);
  }
  EXPECT_EQ(Dataset(scratch / "set").size(Split::test), 5);
}

TEST(Shards, FindAFlippedByteOutsideTheDataSetsAtOpening) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  flip_byte(scratch / "set/train-00001.h5", 60);
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { Dataset{scratch / "set"}; }), "train-00001.h5");
}

TEST(Shards, FindAFlippedByteOfARowWhenItIsRead) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const ShardEntry entry = read_index(scratch / "set").shards[0][1];
  flip_byte(scratch / "set/train-00001.h5", entry.layout.content + 3 * 105 + 104);
  flip_byte(scratch / "set/train-00001.h5", entry.layout.labels + 5 * 8, 0x01);
  const Dataset dataset(scratch / "set");
  EXPECT_EQ(read_rows(dataset, Split::train, {9, 11, 13}).labels[0], set.rows[0].labels[9]);
  EXPECT_HOLDS(error_of(ExitCode::data,
                        [&] {
                          read_rows(dataset, Split::train, {9, 10});
                        }),
               "train-00001.h5, row 3");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { read_rows(dataset, Split::train, {12}); }),
               "train-00001.h5, row 5");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { read_rows(dataset, Split::train, {23}); }), "23");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { read_rows(dataset, Split::validation, {0}); }),
               "validation");
}

TEST(Shards, FindAShardThatShrinksWhileItIsOpen) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const Dataset dataset(scratch / "set");
  const ShardLayout layout = read_index(scratch / "set").shards[2][0].layout;
  std::filesystem::resize_file(scratch / "set/test-00000.h5", layout.content + 200);
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { read_all(dataset, Split::test); }), "test-00000.h5");
}

TEST(Shards, RefuseALabelOutOfRangeEvenWithARightCheckSum) {
  const ScratchFolder scratch;
  const std::string folder = scratch / "set";
  const SmallSet set(folder);
  ShardIndex index = read_index(folder);
  std::vector<uint32_t> sums = read_row_sums(folder, index);
  const int64_t label = 3;
  std::string shard = read_file(folder + "/test-00000.h5", ExitCode::data);
  std::memcpy(&shard[index.shards[2][0].layout.labels + 2 * 8], &label, 8);
  put_file(folder + "/test-00000.h5", shard);
  sums[23 + 2] = crc32c(&label, 8, crc32c(&set.rows[2].pixels[2 * 105], 105));
  const std::string packed(reinterpret_cast<const char*>(sums.data()), sums.size() * 4);
  put_file(folder + "/" + kRowSumsFile, packed);
  index.row_sums_sha256 = sha256_hex(packed);
  put_file(folder + "/" + kIndexFile, index_text(index));
  const Dataset dataset(folder);
  const std::string message = error_of(ExitCode::data, [&] { read_all(dataset, Split::test); });
  EXPECT_HOLDS(message, "test-00000.h5, row 2");
  EXPECT_HOLDS(message, "label 3");
}

TEST(Shards, FindAChangedIndexOrRowSums) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const std::string path = scratch / "set/index.json";
  std::string text = read_file(path, ExitCode::data);
  text.replace(text.find("\"bee\""), 5, "\"bed\"");
  put_file(path, text);
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { Dataset{scratch / "set"}; }), "index.json");
  const SmallSet other(scratch / "other");
  flip_byte(scratch / "other/rows.crc32c", 17);
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { Dataset{scratch / "other"}; }), "rows.crc32c");
}

TEST(Shards, IndexRefusesNamesAndNumbersThatLeaveTheFolder) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  const ShardIndex index = read_index(scratch / "set");
  const auto refused = [](const ShardIndex& changed) {
    return error_of(ExitCode::data, [&] { parse_index(index_text(changed), "here"); });
  };
  for (const char* name : {"../x.h5", "", ".h5", "a/b.h5", "train-00000.h5"}) {
    ShardIndex changed = index;
    changed.shards[2][0].file = name;
    EXPECT_HOLDS(refused(changed), "here");
  }
  for (const int64_t value : {int64_t{-1}, int64_t{0}, int64_t{1} << 40, INT64_MAX}) {
    ShardIndex changed = index;
    changed.shards[2][0].layout.rows = value;
    EXPECT_HOLDS(refused(changed), "here");
  }
  const int64_t images = index.shards[2][0].layout.content;
  for (const int64_t value : {int64_t{-1}, images, int64_t{1} << 40, INT64_MAX}) {
    ShardIndex changed = index;
    changed.shards[2][0].layout.labels = value;
    EXPECT_HOLDS(refused(changed), "here");
  }
  EXPECT_EQ(index_text(parse_index(index_text(index), "here")), index_text(index));
}

TEST(ShardWriter, LeavesNothingWhenItIsNotFinished) {
  const ScratchFolder scratch;
  {
    ShardWriter writer({scratch / "set", {1, 2, 2}, 2, {2, 0, 0}, 0});
    const std::vector<uint8_t> pixels(4);
    writer.add(Split::train, pixels.data(), 1);
    EXPECT_HOLDS(error_of(ExitCode::data, [&] { writer.add(Split::train, pixels.data(), 2); }),
                 "label 2");
    EXPECT_HOLDS(error_of(ExitCode::data, [&] { writer.finish({}); }), "fewer rows");
    EXPECT_TRUE(std::filesystem::exists(scratch / "set.partial"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST(ShardWriter, KeepsWhatIsThere) {
  const ScratchFolder scratch;
  const SmallSet set(scratch / "set");
  EXPECT_HOLDS(error_of(ExitCode::settings,
                        [&] {
                          ShardWriter({scratch / "set", {1, 1, 1}, 1, {1, 0, 0}, 0});
                        }),
               "exists already");
}

/// Files of this process hold at most so many bytes, as on a full disk.
class FileLimit {
 public:
  explicit FileLimit(rlim_t most) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{most, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

TEST(ShardWriter, AFullDiskIsOneError) {
  const ScratchFolder scratch;
  for (const rlim_t most : {0, 100, 5000, 30000, 99999}) {
    const auto write = [&] {
      const FileLimit limit(most);
      ShardWriter writer({scratch / "set", {1, 100, 100}, 1, {30, 0, 0}, 10});
      const std::vector<uint8_t> pixels(10000);
      for (int i = 0; i < 30; ++i) writer.add(Split::train, pixels.data(), 0);
    };
    EXPECT_HOLDS(error_of(ExitCode::storage, write), "train-00000.h5");
    EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
  }
}

TEST(RawFile, AFullDiskIsFoundWhenTheFileIsMade) {
  const ScratchFolder scratch;
  const FileLimit limit(9999);
  EXPECT_HOLDS(error_of(ExitCode::storage, [&] { RawFile::create(scratch / "x", 10000); }), "x");
}

TEST(RawFile, WritesAndReadsAtOffsets) {
  const ScratchFolder scratch;
  RawFile::create(scratch / "x", 10);
  RawFile opened = RawFile::open_to_write(scratch / "x");
  RawFile file = std::move(opened);
  EXPECT_EQ(file.path(), scratch / "x");
  file.write("abc", 3, 4);
  file.sync();
  EXPECT_EQ(read_file(scratch / "x", ExitCode::data),
            std::string(4, '\0') + "abc" + std::string(3, '\0'));
  char two[2] = {};
  RawFile::open(scratch / "x").read(two, 2, 5);
  EXPECT_EQ(std::string(two, 2), "bc");
  EXPECT_EQ(RawFile::create(scratch / "empty", 0).bytes(), 0);
}

TEST(RawFile, WhatCannotBeDoneIsOneErrorWithItsReason) {
  const ScratchFolder scratch;
  RawFile::create(scratch / "x", 10);
  const auto fails = [](ExitCode code, const auto& act) { return error_of(code, act); };
  EXPECT_HOLDS(fails(ExitCode::data, [&] { RawFile::open(scratch.path()); }), "not a plain file");
  EXPECT_HOLDS(fails(ExitCode::data, [&] { RawFile::open(scratch / "y"); }),
               "cannot open: No such");
  EXPECT_HOLDS(fails(ExitCode::storage, [&] { RawFile::create(scratch / "y/z", 1); }),
               "cannot create: No such");
  RawFile file = RawFile::open(scratch / "x");
  char bytes[8] = {};
  EXPECT_HOLDS(fails(ExitCode::data, [&] { file.read(bytes, 8, 7); }),
               "x: ends at byte 10, 5 bytes too early");
  EXPECT_HOLDS(fails(ExitCode::storage, [&] { file.write("a", 1, 0); }), "cannot write: ");
  RawFile none;  // as one that was moved from
  EXPECT_HOLDS(fails(ExitCode::data, [&] { none.bytes(); }), "cannot stat: Bad file");
  EXPECT_HOLDS(fails(ExitCode::data, [&] { none.read(bytes, 1, 0); }), "cannot read: Bad file");
  EXPECT_HOLDS(fails(ExitCode::storage, [&] { none.sync(); }), "cannot fsync: Bad file");
}

TEST(ShardFolder, OnlyAnEmptyOneOrNoneIsNew) {
  const ScratchFolder scratch;
  require_new_folder(scratch / "none");
  std::filesystem::create_directories(scratch / "set");
  require_new_folder(scratch / "set//");
  put_file(scratch / "set/notes", "mine");
  EXPECT_EQ(
      error_of(ExitCode::settings, [&] { require_new_folder(scratch / "set//", "--shards"); }),
      scratch / "set" + ": exists already; remove it or give another --shards");
  EXPECT_EQ(without_slash("/"), "/");
  EXPECT_EQ(without_slash(""), "");
}

TEST(ShardFolder, RemovesOfAHalfWrittenOneWhatAWriterWrote) {
  const ScratchFolder scratch;
  const std::string folder = scratch / "set.partial/";
  const std::string kOurs[] = {"train-00000.h5",
                               "test-00000.h5.part",
                               "train-00001" + std::string(kShardDone),
                               std::string(kExamined) + "-00000",
                               kIndexFile,
                               kRowSumsFile,
                               "words.model"};
  const auto fill = [&] {
    for (const std::string& name : kOurs) put_file(folder + name, "x");
  };
  fill();
  put_file(folder + "notes.h5.txt", "mine");
  remove_partial(scratch / "set.partial");
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    left.push_back(entry.path().filename().string());
  }
  EXPECT_EQ(left, std::vector<std::string>{"notes.h5.txt"});
  std::filesystem::remove(folder + "notes.h5.txt");
  fill();
  remove_partial(scratch / "set.partial");
  EXPECT_FALSE(std::filesystem::exists(folder));
  remove_partial(scratch / "set.partial");  // nothing is there
}

TEST(ShardWriter, AnotherFolderThatCameInItsPlaceStays) {
  const ScratchFolder scratch;
  {
    ShardWriter writer({scratch / "set", {1, 1, 1}, 1, {1, 0, 0}, 10});
    const uint8_t pixel = 7;
    writer.add(Split::train, &pixel, 0);
    put_file(scratch / "set/precious", "kept");
    ShardIndex description;
    description.summary.classes = {"one"};
    EXPECT_HOLDS(error_of(ExitCode::storage, [&] { writer.finish(description); }),
                 "set: cannot rename");
  }
  EXPECT_EQ(read_file(scratch / "set/precious", ExitCode::data), "kept");
  EXPECT_FALSE(std::filesystem::exists(scratch / "set.partial"));
}

}  // namespace
}  // namespace bitstill
