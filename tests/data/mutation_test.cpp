// Random damage to small folders of shards: refused, or without effect; never anything else. Also
// where whoever did it made the index fit: its sums, and the places that it names.
#include "bitstill/base/sha256.hpp"
#include "bitstill/data/inspect.hpp"
#include "damage.hpp"
#include "sentences.hpp"

namespace bitstill {
namespace {

bool holds_data(const ShardLayout& layout, std::size_t place) {
  const auto at = static_cast<int64_t>(place);
  const auto within = [at](int64_t begin, int64_t bytes) {
    return at >= begin && at < begin + bytes;
  };
  return within(layout.content, layout.content_bytes) || within(layout.labels, layout.rows * 8) ||
         (layout.offsets > 0 && within(layout.offsets, (layout.rows + 1) * 8));
}

/// Bytes of a shard that hold data (or frame), without the zeros that only fill.
std::vector<std::size_t> places(const std::string& bytes, const ShardLayout& layout, bool data) {
  std::vector<std::size_t> found;
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    if (bytes[at] != 0 && holds_data(layout, at) == data) found.push_back(at);
  }
  return found;
}

std::array<Batch, kSplits> read_batches(const std::string& folder) {
  const Dataset dataset(folder);
  std::array<Batch, kSplits> batches;
  for (std::size_t s = 0; s < kSplits; ++s) {
    const auto split = static_cast<Split>(s);
    std::vector<int64_t> rows(static_cast<std::size_t>(dataset.size(split)));
    std::iota(rows.begin(), rows.end(), int64_t{0});
    batches[s] = read_batch(dataset, split, rows);
  }
  return batches;
}

bool same(const std::array<Batch, kSplits>& a, const std::array<Batch, kSplits>& b) {
  for (std::size_t s = 0; s < kSplits; ++s) {
    if (a[s].pixels != b[s].pixels || a[s].labels != b[s].labels || a[s].tokens != b[s].tokens ||
        a[s].lengths != b[s].lengths) {
      return false;
    }
  }
  return true;
}

class Mutations : public testing::Test {
 protected:
  enum class Seen { refused, harmless, wrong };

  /// What becomes of the batches; an error of another kind than data fails the test.
  Seen look(const std::string& folder, const std::array<Batch, kSplits>& good) {
    try {
      return same(read_batches(folder), good) ? Seen::harmless : Seen::wrong;
    } catch (const Error& error) {
      EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::data)) << error.what();
      return Seen::refused;
    }
  }

  void put_sentences(const std::string& folder) {
    TextOptions options = text_options(put_pairs(scratch_ / "x", made_pairs(60, 12)), folder);
    options.rows_per_shard = 9;
    convert_text(options);
  }

  const ScratchFolder scratch_;
};

TEST_F(Mutations, OfAnyFileNeverGiveWrongBatches) {
  const std::string folder = scratch_ / "set";
  const SmallSet set(folder);
  const auto good = read_batches(folder);
  const ShardIndex index = read_index(folder);
  std::vector<std::string> files = {kIndexFile, kRowSumsFile};
  std::vector<ShardLayout> layouts(2);
  for (const auto& split : index.shards) {
    for (const ShardEntry& entry : split) {
      files.push_back(entry.file);
      layouts.push_back(entry.layout);
    }
  }
  int refused = 0, in_data = 0, in_frame = 0;
  const int rounds = mutations(600);
  for (int round = 0; round < rounds; ++round) {
    RandomStream stream(7, StreamPurpose::split, static_cast<uint64_t>(round));
    // One of ten in the two files beside the shards; half of the others each in data and in frames.
    const std::size_t file = round % 10 == 0 ? stream.below(2) : 2 + stream.below(files.size() - 2);
    const std::string path = folder + "/" + files[file];
    const std::string before = read_file(path, ExitCode::data);
    const bool shard = file >= 2, data = shard && round % 2 == 0;
    const auto where = places(before, layouts[file], data);
    const std::string after = damaged(before, where[stream.below(where.size())], &stream);
    in_data += data;
    in_frame += shard && !data;
    put_file(path, after);
    const Seen seen = look(folder, good);
    put_file(path, before);
    ASSERT_NE(seen, Seen::wrong) << path << ", round " << round;
    // White space at the end of index.json has no effect.
    ASSERT_TRUE(seen == Seen::refused || after == before || !shard) << path << ", round " << round;
    refused += seen == Seen::refused;
  }
  EXPECT_GT(refused, rounds * 9 / 10);
  EXPECT_GT(in_data, rounds / 3);
  EXPECT_GT(in_frame, rounds / 3);
  EXPECT_EQ(read_index(folder).summary.fingerprint, index.summary.fingerprint);
  EXPECT_TRUE(verify_shards(folder, Place{}).empty());
}

/// Metadata by which HDF5 would crash, or find other data: bytes changed or zeroed, places and
/// sizes replaced by others.
void edit_frame(const ShardLayout& layout, RandomStream* stream, std::string* bytes) {
  const auto frame = places(*bytes, layout, false);
  const auto put = [&](std::size_t at, uint64_t value, std::size_t count) {
    for (std::size_t i = 0; i < count && at + i < bytes->size(); ++i, value >>= 8) {
      if (!holds_data(layout, at + i)) (*bytes)[at + i] = static_cast<char>(value);
    }
  };
  const uint64_t values[] = {0,
                             UINT64_MAX,
                             uint64_t{1} << 62,
                             bytes->size(),
                             stream->next(),
                             static_cast<uint64_t>(layout.labels),
                             static_cast<uint64_t>(layout.content)};
  const uint64_t edits = 1 + stream->below(4);
  for (uint64_t i = 0; i < edits; ++i) {
    const std::size_t at = frame[stream->below(frame.size())];
    if (stream->below(2) == 0) {
      put(at, values[stream->below(std::size(values))], 8);
    } else {
      put(at, stream->next(), 1);
    }
  }
}

/// Index and shard fit to each other again.
void sign(const std::string& folder, const ShardIndex& index, const ShardEntry& old,
          ShardEntry entry) {
  const RawFile file = RawFile::open(folder + "/" + entry.file);
  if (is_sound(entry.layout)) entry.frame_sha256 = frame_sha256(file, entry.layout);
  Sha256 whole;
  file.hash(whole, 0, file.bytes());
  entry.sha256 = whole.hex();
  ShardIndex changed = index;
  for (auto& split : changed.shards) {
    for (ShardEntry& other : split) {
      if (other.file == old.file) other = entry;
    }
  }
  put_file(folder + "/" + kIndexFile, index_text(changed));
}

TEST_F(Mutations, OfMetadataUnderAnIndexThatFitsNeverGiveWrongBatches) {
  const SmallSet set(scratch_ / "images");
  put_sentences(scratch_ / "sentences");
  for (const char* name : {"images", "sentences"}) {
    const std::string folder = scratch_ / name;
    const auto good = read_batches(folder);
    const ShardIndex index = read_index(folder);
    const int rounds = mutations(100);
    int harmless = 0;
    for (int round = 0; round < rounds; ++round) {
      RandomStream stream(13, StreamPurpose::split, static_cast<uint64_t>(round));
      const auto& shards = index.shards[0];
      const ShardEntry& entry = shards[stream.below(shards.size())];
      const std::string path = folder + "/" + entry.file;
      const std::string before = read_file(path, ExitCode::data);
      std::string after = before;
      edit_frame(entry.layout, &stream, &after);
      put_file(path, after);
      sign(folder, index, entry, entry);
      const Seen seen = look(folder, good);
      put_file(path, before);
      ASSERT_NE(seen, Seen::wrong) << path << ", round " << round;
      harmless += seen == Seen::harmless;
    }
    EXPECT_EQ(harmless, rounds);  // the frame is for other programs
    EXPECT_NE(read_index(folder).summary.fingerprint, index.summary.fingerprint);
  }
}

TEST_F(Mutations, OfThePlacesThatAnIndexNamesNeverGiveWrongBatches) {
  const SmallSet set(scratch_ / "images");
  put_sentences(scratch_ / "sentences");
  int64_t ShardLayout::*const places[] = {&ShardLayout::content, &ShardLayout::content_bytes,
                                          &ShardLayout::labels, &ShardLayout::offsets,
                                          &ShardLayout::rows};
  for (const char* name : {"images", "sentences"}) {
    const std::string folder = scratch_ / name;
    const auto good = read_batches(folder);
    const ShardIndex index = read_index(folder);
    const int rounds = mutations(100);
    int refused = 0;
    for (int round = 0; round < rounds; ++round) {
      RandomStream stream(17, StreamPurpose::split, static_cast<uint64_t>(round));
      const auto& shards = index.shards[0];
      const ShardEntry& entry = shards[stream.below(shards.size())];
      ShardEntry moved = entry;
      int64_t& place = moved.layout.*places[stream.below(std::size(places))];
      const int64_t values[] = {place + 1,
                                place - 1,
                                place + 8,
                                place - 8,
                                entry.layout.labels,
                                entry.layout.content,
                                entry.layout.offsets,
                                entry.layout.bytes,
                                INT64_MAX / 2};
      place = values[stream.below(std::size(values))];
      sign(folder, index, entry, moved);
      const Seen seen = look(folder, good);
      ASSERT_NE(seen, Seen::wrong) << entry.file << ", round " << round;
      // Images have no offsets and their bytes follow from the rows: the index does not say them.
      ASSERT_TRUE(seen == Seen::refused || moved.layout == entry.layout ||
                  entry.layout.offsets == 0)
          << entry.file << ", round " << round;
      refused += seen == Seen::refused;
    }
    EXPECT_GT(refused, rounds / 2);
  }
}

}  // namespace
}  // namespace bitstill
