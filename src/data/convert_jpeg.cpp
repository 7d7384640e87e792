// Two passes over the files, each divided over the ranks: the first decodes every image and finds
// its digest, which decides its split and place, and the length of its row; the second writes whole
// shards. What ranks tell each other are sums of integers, so that nothing depends on how many
// there are.
#include "convert_jpeg.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <sstream>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/image_files.hpp"
#include "bitstill/data/shard_writer.hpp"
#include "convert_parts.hpp"
#include "examined_images.hpp"
#include "jpeg_row.hpp"
#include "shard_folder.hpp"
#include "written_shard.hpp"

namespace bitstill {
namespace {

constexpr int64_t kShardBytes = 1'000'000'000;
constexpr int64_t kBlockRows = 64;  // in memory at once

/// Rows [first, end) of a split, in its order.
struct PlannedShard {
  Split split = Split::train;
  std::size_t number = 0;  // within the split
  std::size_t first = 0, end = 0;
  int64_t content_bytes = 0;
};

class JpegConversion {
 public:
  JpegConversion(const ShardOptions& options, const ConvertRanks& ranks)
      : options_(options), ranks_(ranks), partial_(without_slash(options.out) + ".partial") {}

  ConvertReport run() {
    ranks_.agree([&] { open(); });
    compare_sources();
    ranks_.agree([&] {
      require_images_of_classes(source_, options_, nullptr);
      known_ = images_.load(partial_, key_);
    });
    if (!same_everywhere(known_)) known_ = false;
    if (!known_) examine();
    ranks_.agree([&] { plan(); });
    if (!known_) sum_train();
    ranks_.agree([&] {
      if (ranks_.place.rank == 0) claim();
    });
    write();
    ranks_.agree([&] {
      if (ranks_.place.rank == 0) finish();
    });
    return report_;
  }

 private:
  bool mine(std::size_t number) const {
    return number % static_cast<std::size_t>(ranks_.place.world) ==
           static_cast<std::size_t>(ranks_.place.rank);
  }

  void open() {
    source_ = open_source({options_.source, options_.format, options_.layout, options_.most_pixels,
                           options_.labels, options_.synsets});
    if (!source_.files) {
      throw Error(ExitCode::settings,
                  concat("--store jpeg is for folders of image files, and ", options_.source,
                         " holds ", source_.format, "; leave it out"));
    }
    images_ = ExaminedImages(source_.items.size());
    key_ = conversion_key(options_, source_);
  }

  /// Every rank looked at the source itself, perhaps on another host.
  void compare_sources() {
    std::istringstream keys(ranks_.join(key_ + "\n"));
    ranks_.agree([&] {
      for (std::string key; std::getline(keys, key);) {
        if (key != key_) {
          throw Error(ExitCode::data, options_.source + ": not all ranks see the same files in it");
        }
      }
    });
  }

  bool same_everywhere(bool value) {
    std::vector<int64_t> ranks = {value ? 1 : 0};
    ranks_.sum(&ranks);
    return ranks[0] == ranks_.place.world;
  }

  JpegRow row_of(std::size_t i, std::string file) const {
    try {
      return make_jpeg_row(std::move(file),
                           {options_.short_side, options_.quality, options_.most_pixels});
    } catch (const Error& error) {
      throw Error(error.code(), concat(source_.items[i].name, ": ", error.what()));
    }
  }

  /// Reads and decodes this rank's files, then all ranks know of all.
  void examine() {
    std::vector<std::size_t> own;
    for (std::size_t i = 0; i < source_.items.size(); ++i) {
      if (mine(i)) own.push_back(i);
    }
    sums_.resize(own.size());
    std::vector<std::string> reasons(own.size());
    ProgressBar bar("read");
    const auto total = static_cast<int64_t>(own.size());
    ranks_.agree([&] {
      for (int64_t begin = 0; begin < total; begin += kConvertBlock) {
        const int64_t end = std::min(begin + kConvertBlock, total);
        on_all_cores(begin, end, ranks_.place.local_world, [&](int64_t k) {
          const auto at = static_cast<std::size_t>(k);
          try {
            examine_one(own[at], &sums_[at]);
          } catch (const Error& error) {
            if (error.code() != ExitCode::data) throw;
            reasons[at] = error.what();
          }
        });
        bar.show(end, total, source_.name);
      }
    });
    bar.clear();
    ranks_.sum(&images_.values());
    std::string mine_text;
    for (const std::string& reason : reasons) {
      if (!reason.empty()) mine_text += reason + "\n";
    }
    std::istringstream all(ranks_.join(mine_text));
    for (std::string line; std::getline(all, line);) images_.unreadable.push_back(line);
    std::sort(images_.unreadable.begin(), images_.unreadable.end());
  }

  void examine_one(std::size_t i, std::vector<ChannelSums>* sums) {
    std::string file = read_image_bytes(source_.items[i].name);
    const ImageDigest digest = image_digest(reinterpret_cast<const uint8_t*>(file.data()),
                                            static_cast<int64_t>(file.size()));
    const JpegRow row = row_of(i, std::move(file));
    images_.set(i, {digest, static_cast<int64_t>(row.bytes.size()), row.change});
    const int64_t pixels = row.image.height * row.image.width;
    for (int64_t c = 0; c < kJpegChannels; ++c) {
      sums->emplace_back();
      sums->back().add(row.image.bytes.data() + c % row.image.channels, pixels, row.image.channels);
    }
  }

  /// Splits, order and shards, equal on all ranks.
  void plan() {
    report_.skipped = source_.unreadable;
    report_.skipped.insert(report_.skipped.end(), images_.unreadable.begin(),
                           images_.unreadable.end());
    require_readable(report_.skipped, options_, source_.unreadable.size() + source_.items.size());
    const Digests digests = images_.digests();
    require_images_of_classes(source_, options_, &digests);
    splits_ = split_by(options_, source_, digests);
    fill_report(options_, source_, splits_, &report_);
    report_.twins = count_twins(splits_, digests);
    for (const int64_t item : row_order(source_, splits_, digests)) {
      const auto i = static_cast<std::size_t>(item);
      rows_[static_cast<std::size_t>(*splits_.split[i])].push_back(i);
      count_change(images_.get(i).change);
    }
    for (int split = 0; split < kSplits; ++split) plan_split(static_cast<Split>(split));
  }

  void plan_split(Split split) {
    const std::vector<std::size_t>& rows = rows_[static_cast<std::size_t>(split)];
    std::size_t number = 0;
    for (std::size_t row = 0; row < rows.size(); ++row) {
      const int64_t bytes = images_.get(rows[row]).bytes;
      const bool open = number > 0 && !is_full(shards_.back(), bytes);
      if (!open) shards_.push_back({split, number++, row, row, 0});
      shards_.back().end = row + 1;
      shards_.back().content_bytes += bytes;
    }
  }

  bool is_full(const PlannedShard& shard, int64_t next_bytes) const {
    if (options_.rows_per_shard > 0) {
      return static_cast<int64_t>(shard.end - shard.first) == options_.rows_per_shard;
    }
    return shard.content_bytes + next_bytes > kShardBytes;
  }

  void count_change(JpegChange change) {
    report_.kept += change == JpegChange::kept;
    report_.scaled += change == JpegChange::scaled;
    report_.from_png += change == JpegChange::from_png;
    report_.from_cmyk += change == JpegChange::from_cmyk;
    report_.turned += change == JpegChange::turned;
  }

  /// The sums over the train images of all ranks.
  void sum_train() {
    std::vector<int64_t> sums(3 * kJpegChannels);
    std::size_t k = 0;
    for (std::size_t i = 0; i < source_.items.size(); ++i) {
      if (!mine(i)) continue;
      const std::vector<ChannelSums>& own = sums_[k++];
      for (std::size_t c = 0; c < own.size() && splits_.split[i] == Split::train; ++c) {
        sums[3 * c] += static_cast<int64_t>(own[c].values);
        sums[3 * c + 1] += static_cast<int64_t>(own[c].squares);
        sums[3 * c + 2] += static_cast<int64_t>(own[c].count);
      }
    }
    ranks_.sum(&sums);
    images_.train_sums = sums;
  }

  /// On rank 0: the folder that the shards go to, with what an earlier try of the same left there.
  void claim() {
    require_new_folder(options_.out);
    if (!known_) remove_partial(partial_);
    make_folder(partial_);
    if (!known_) images_.save(partial_, key_);
  }

  /// This rank's shards.
  void write() {
    written_ = WrittenShards(shards_.size());
    std::size_t rows = 0;
    for (const auto& split : rows_) rows += split.size();
    sums_of_rows_.assign(rows, 0);
    ProgressBar bar("write");
    ranks_.agree([&] {
      std::size_t first = 0;
      for (std::size_t n = 0; n < shards_.size(); ++n) {
        if (mine(n)) write_shard(n, first);
        first += shards_[n].end - shards_[n].first;
        bar.show(static_cast<int64_t>(n + 1), static_cast<int64_t>(shards_.size()), source_.name);
      }
    });
    bar.clear();
    ranks_.sum(&written_.values());
    ranks_.sum(&sums_of_rows_);
  }

  /// first: of its rows, among those of all shards.
  void write_shard(std::size_t n, std::size_t first) {
    const PlannedShard& planned = shards_[n];
    const auto rows = static_cast<int64_t>(planned.end - planned.first);
    ShardInWriting shard(partial_, shard_name(planned.split, planned.number), rows,
                         planned.content_bytes);
    if (!shard.is_whole()) {
      for (int64_t begin = 0; begin < rows; begin += kBlockRows) {
        write_block(planned, begin, std::min(begin + kBlockRows, rows), &shard);
      }
      shard.finish();
    }
    written_.set(n, shard.entry());
    std::copy(shard.sums().begin(), shard.sums().end(),
              sums_of_rows_.begin() + static_cast<std::ptrdiff_t>(first));
  }

  void write_block(const PlannedShard& planned, int64_t begin, int64_t end,
                   ShardInWriting* shard) const {
    const std::vector<std::size_t>& rows = rows_[static_cast<std::size_t>(planned.split)];
    const auto item = [&](int64_t k) { return rows[planned.first + static_cast<std::size_t>(k)]; };
    std::vector<std::string> block(static_cast<std::size_t>(end - begin));
    on_all_cores(begin, end, ranks_.place.local_world, [&](int64_t k) {
      block[static_cast<std::size_t>(k - begin)] = bytes_of(item(k));
    });
    for (int64_t k = begin; k < end; ++k) {
      shard->add(block[static_cast<std::size_t>(k - begin)], source_.items[item(k)].label);
    }
  }

  /// The row's bytes, of a file that must be as it was in the first pass.
  std::string bytes_of(std::size_t i) const {
    const ExaminedImage known = images_.get(i);
    std::string file = read_image_bytes(source_.items[i].name);
    const bool same = image_digest(reinterpret_cast<const uint8_t*>(file.data()),
                                   static_cast<int64_t>(file.size())) == known.digest;
    std::string bytes;
    if (same) bytes = known.change == JpegChange::kept ? file : row_of(i, file).bytes;
    if (static_cast<int64_t>(bytes.size()) == known.bytes) return bytes;
    throw Error(ExitCode::data,
                concat(source_.items[i].name, ": was changed while it was converted; remove ",
                       partial_, " and start anew"));
  }

  /// On rank 0.
  void finish() {
    ShardIndex index = describe(options_, source_, splits_);
    DataIndex& summary = index.summary;
    summary.content = Content::jpeg;
    summary.row = summary.shape = {kJpegChannels, 0, 0};
    summary.count = report_.count;
    index.per_class = report_.per_class;
    if (!summary.normalization.stated()) summary.normalization = images_.normalization();
    for (std::size_t n = 0; n < shards_.size(); ++n) {
      const PlannedShard& planned = shards_[n];
      ShardEntry entry = written_.get(n);
      entry.file = shard_name(planned.split, planned.number);
      index.shards[static_cast<std::size_t>(planned.split)].push_back(entry);
    }
    const std::vector<uint32_t> sums(sums_of_rows_.begin(), sums_of_rows_.end());
    remove_notes(partial_);
    publish_shards(partial_, without_slash(options_.out), sums, &index);
  }

  const ShardOptions& options_;
  const ConvertRanks& ranks_;
  std::string partial_;  // the folder's name until it is finished
  std::string key_;      // names this conversion: options and files
  ImageSource source_;
  ExaminedImages images_;
  bool known_ = false;                          // images_, from an earlier try
  std::vector<std::vector<ChannelSums>> sums_;  // of this rank's images
  SplitResult splits_;
  std::array<std::vector<std::size_t>, kSplits> rows_;  // items in the order of their rows
  std::vector<PlannedShard> shards_;
  WrittenShards written_;
  std::vector<int64_t> sums_of_rows_;  // CRC-32C of each row
  ConvertReport report_;
};

}  // namespace

ConvertReport convert_to_jpeg(const ShardOptions& options, const ConvertRanks& ranks) {
  const ConvertRanks careful{ranks.place, ranks.sum, ranks.join,
                             [&](const std::function<void()>& phase) {
                               ranks.agree([&] { with_file_errors(options.source, phase); });
                             }};
  return JpegConversion(options, careful).run();
}

}  // namespace bitstill
