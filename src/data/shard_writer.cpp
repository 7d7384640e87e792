#include "bitstill/data/shard_writer.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "shard_folder.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kShardBytes = 64'000'000;
constexpr int64_t kBufferBytes = 1 << 20;

/// The shard that is being filled.
struct OpenShard {
  RawFile file;
  ShardEntry entry;
  int64_t flushed = 0;          // rows whose pixels are in the file
  std::vector<uint8_t> pixels;  // of the rows after them
  std::vector<int64_t> labels;  // of all rows so far
};

}  // namespace

struct ShardWriter::State {
  ShardWriterOptions options;
  std::string partial;  // the folder's name until it is finished
  int64_t rows_per_shard = 0;
  ShardIndex index;
  std::array<std::optional<OpenShard>, kSplits> open;
  std::array<std::vector<uint32_t>, kSplits> sums;
  std::vector<ChannelSums> train;
  bool finished = false;

  OpenShard& shard(int split) {
    if (!open[split]) {
      const int64_t written = index.summary.count[split];
      const int64_t rows = std::min(rows_per_shard, options.count[split] - written);
      const std::string name = shard_name(static_cast<Split>(split), index.shards[split].size());
      OpenShard& next = open[split].emplace();
      next.entry.file = name;
      next.file = create_shard_file(partial + "/" + name, rows, options.shape, &next.entry.layout);
    }
    return *open[split];
  }

  void flush(OpenShard* shard) {
    const int64_t row_bytes = options.shape.pixels();
    shard->file.write(shard->pixels.data(), static_cast<int64_t>(shard->pixels.size()),
                      shard->entry.layout.content + shard->flushed * row_bytes);
    shard->flushed = static_cast<int64_t>(shard->labels.size());
    shard->pixels.clear();
  }

  void close(int split) {
    OpenShard& shard = *open[split];
    flush(&shard);
    ShardEntry& entry = shard.entry;
    shard.file.write(shard.labels.data(), entry.layout.rows * 8, entry.layout.labels);
    shard.file.sync();
    entry.frame_sha256 = frame_sha256(shard.file, entry.layout);
    Sha256 whole;
    shard.file.hash(whole, 0, entry.layout.bytes);
    entry.sha256 = whole.hex();
    index.shards[split].push_back(entry);
    open[split].reset();
  }

  void sum_channels(const uint8_t* pixels) {
    const int64_t plane = options.shape.height * options.shape.width;
    for (ChannelSums& channel : train) {
      channel.add(pixels, plane, 1);
      pixels += plane;
    }
  }
};

ShardWriter::ShardWriter(const ShardWriterOptions& options) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.options = options;
  state.options.folder = without_slash(options.folder);
  require_new_folder(state.options.folder);
  state.partial = state.options.folder + ".partial";
  state.rows_per_shard = options.rows_per_shard;
  if (state.rows_per_shard <= 0) {
    state.rows_per_shard = std::max<int64_t>(1, kShardBytes / (options.shape.pixels() + 8));
  }
  state.train.resize(static_cast<std::size_t>(options.shape.channels));
  for (auto& classes : state.index.per_class) {
    classes.assign(static_cast<std::size_t>(options.classes), 0);
  }
  remove_partial(state.partial);
  make_folder(state.partial);
}

ShardWriter::~ShardWriter() {
  if (!state_->finished) remove_partial(state_->partial);
}

void ShardWriter::add(Split split, const uint8_t* pixels, int64_t label) {
  State& state = *state_;
  const int s = static_cast<int>(split);
  if (label < 0 || label >= state.options.classes) {
    throw Error(ExitCode::data, concat("label ", label, " is out of range, there are ",
                                       state.options.classes, " classes"));
  }
  int64_t& written = state.index.summary.count[s];
  if (written >= state.options.count[s]) {
    throw Error(ExitCode::data, concat("more rows of ", word(split), " than the ",
                                       state.options.count[s], " announced"));
  }
  OpenShard& shard = state.shard(s);
  const auto row_bytes = static_cast<std::size_t>(state.options.shape.pixels());
  shard.pixels.insert(shard.pixels.end(), pixels, pixels + row_bytes);
  shard.labels.push_back(label);
  state.sums[s].push_back(crc32c(&label, sizeof label, crc32c(pixels, row_bytes)));
  state.index.per_class[s][static_cast<std::size_t>(label)] += 1;
  if (split == Split::train) state.sum_channels(pixels);
  written += 1;
  if (static_cast<int64_t>(shard.pixels.size()) >= kBufferBytes) state.flush(&shard);
  if (static_cast<int64_t>(shard.labels.size()) == shard.entry.layout.rows) state.close(s);
}

void ShardWriter::finish(ShardIndex description) {
  State& state = *state_;
  if (state.index.summary.count != state.options.count || state.options.count[0] == 0) {
    throw Error(ExitCode::data, concat(state.options.folder,
                                       ": fewer rows than announced, or no "
                                       "train rows"));
  }
  ShardIndex& index = state.index;
  DataIndex& summary = index.summary;
  summary.name = std::move(description.summary.name);
  summary.classes = std::move(description.summary.classes);
  summary.split_rule = std::move(description.summary.split_rule);
  summary.row = summary.shape = state.options.shape;
  summary.normalization = std::move(description.summary.normalization);
  if (!summary.normalization.stated()) summary.normalization = normalization_of(state.train);
  index.source = std::move(description.source);
  index.licence = std::move(description.licence);
  std::vector<uint32_t> sums;
  for (const auto& part : state.sums) sums.insert(sums.end(), part.begin(), part.end());
  publish_shards(state.partial, state.options.folder, sums, &index);
  state.finished = true;
}

}  // namespace bitstill
