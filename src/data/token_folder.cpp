#include "bitstill/data/token_folder.hpp"

#include <algorithm>

#include "bitstill/base/file.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/data/shard_writer.hpp"
#include "shard_folder.hpp"
#include "token_rows.hpp"
#include "written_shard.hpp"

namespace bitstill {
namespace {

constexpr int64_t kShardBytes = 64'000'000;

class TokenFolder {
 public:
  TokenFolder(std::string partial, int64_t rows_per_shard, ShardIndex* index)
      : partial_(std::move(partial)), rows_per_shard_(rows_per_shard), index_(index) {}

  void put_vocabularies(const std::vector<const Vocabulary*>& vocabularies) {
    const bool joint = vocabularies.size() == 1;
    for (std::size_t side = 0; side < vocabularies.size(); ++side) {
      const Vocabulary& one = *vocabularies[side];
      const char* const file = joint       ? "vocabulary.model"
                               : side == 0 ? "source.model"
                                           : "target.model";
      replace_file(partial_ + "/" + file, one.bytes());
      index_->summary.vocabularies.push_back({file, one.size(), sha256_hex(one.bytes())});
    }
    width_ = token_bytes(index_->summary);
  }

  void put_split(std::size_t split, const std::vector<TokenPair>& rows) {
    std::size_t first = 0;
    int64_t bytes = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      bytes += count(rows[i], &index_->summary.sentences[split]);
      const bool full = rows_per_shard_ > 0 ? static_cast<int64_t>(i + 1 - first) == rows_per_shard_
                                            : bytes >= kShardBytes;
      if (!full && i + 1 < rows.size()) continue;
      put_shard(split, {rows.data() + first, i + 1 - first}, bytes);
      first = i + 1;
      bytes = 0;
    }
    index_->summary.count[split] = static_cast<int64_t>(rows.size());
  }

  void publish(const std::string& folder) {
    remove_notes(partial_);
    publish_shards(partial_, folder, sums_, index_);
  }

 private:
  /// Adds a pair to the totals; its bytes.
  int64_t count(const TokenPair& pair, SentenceTotals* totals) const {
    const auto source = static_cast<int64_t>(pair.source.size());
    const auto target = static_cast<int64_t>(pair.target.size());
    totals->source_tokens += source;
    totals->target_tokens += target;
    totals->longest_source = std::max(totals->longest_source, source);
    totals->longest_target = std::max(totals->longest_target, target);
    return (source + target) * width_;
  }

  void put_shard(std::size_t split, std::span<const TokenPair> rows, int64_t bytes) {
    std::vector<ShardEntry>& entries = index_->shards[split];
    ShardInWriting shard(partial_, shard_name(static_cast<Split>(split), entries.size()),
                         static_cast<int64_t>(rows.size()), bytes);
    std::string row;
    for (const TokenPair& pair : rows) {
      row.clear();
      append_tokens(pair.source, width_, &row);
      append_tokens(pair.target, width_, &row);
      shard.add(row, static_cast<int64_t>(pair.source.size()));
    }
    shard.finish();
    entries.push_back(shard.entry());
    sums_.insert(sums_.end(), shard.sums().begin(), shard.sums().end());
  }

  std::string partial_;
  int64_t rows_per_shard_;
  ShardIndex* index_;
  int64_t width_ = 0;           // of an id
  std::vector<uint32_t> sums_;  // CRC-32C of each row
};

}  // namespace

void write_token_folder(const std::string& folder, const TokenSplits& rows,
                        const std::vector<const Vocabulary*>& vocabularies, int64_t rows_per_shard,
                        ShardIndex* index) {
  const std::string final_name = without_slash(folder), partial = final_name + ".partial";
  remove_partial(partial);
  make_folder(partial);
  index->summary.content = Content::tokens;
  TokenFolder writing(partial, rows_per_shard, index);
  writing.put_vocabularies(vocabularies);
  for (std::size_t split = 0; split < kSplits; ++split) writing.put_split(split, rows[split]);
  writing.publish(final_name);
}

}  // namespace bitstill
