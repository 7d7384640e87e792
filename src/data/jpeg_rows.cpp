#include <algorithm>

#include "bitstill/base/file.hpp"
#include "bitstill/data/shard_writer.hpp"
#include "shard_folder.hpp"
#include "written_shard.hpp"

namespace bitstill {

void write_jpeg_rows(const std::string& folder, int64_t rows, int64_t rows_per_shard,
                     int64_t classes, const std::function<std::string_view(int64_t row)>& file_of) {
  const std::string partial = folder + ".partial";
  make_folder(partial);
  ShardIndex index;
  DataIndex& summary = index.summary;
  summary.name = "rows";
  summary.split_rule = "all in train";
  index.source = index.licence = "memory";
  summary.content = Content::jpeg;
  summary.row = summary.shape = {kJpegChannels, 0, 0};
  summary.normalization = {{0.5F, 0.5F, 0.5F}, {0.25F, 0.25F, 0.25F}};
  summary.count[0] = rows;
  for (auto& of_class : index.per_class) of_class.assign(static_cast<std::size_t>(classes), 0);
  for (int64_t c = 0; c < classes; ++c) summary.classes.push_back(std::to_string(c));
  std::vector<uint32_t> sums;
  for (int64_t first = 0; first < rows; first += rows_per_shard) {
    const int64_t end = std::min(first + rows_per_shard, rows);
    int64_t bytes = 0;
    for (int64_t row = first; row < end; ++row) bytes += std::ssize(file_of(row));
    ShardInWriting shard(partial, shard_name(Split::train, index.shards[0].size()), end - first,
                         bytes);
    for (int64_t row = first; row < end; ++row) {
      shard.add(file_of(row), row % classes);
      ++index.per_class[0][static_cast<std::size_t>(row % classes)];
    }
    shard.finish();
    index.shards[0].push_back(shard.entry());
    sums.insert(sums.end(), shard.sums().begin(), shard.sums().end());
  }
  remove_notes(partial);
  publish_shards(partial, folder, sums, &index);
}

}  // namespace bitstill
