#include "bitstill/data/inspect.hpp"

#include <algorithm>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/shard_index.hpp"

namespace bitstill {
namespace {

/// Numbers of the rows whose CRC-32C or label is wrong, in words; empty where none is.
std::string bad_rows(const RawFile& file, const ShardLayout& layout, const DataIndex& summary,
                     const uint32_t* sums) {
  const std::vector<int64_t> offsets = read_offsets(file, layout);
  std::vector<uint8_t> bytes;
  std::vector<std::string> rows;
  for (int64_t row = 0; row < layout.rows; ++row) {
    const int64_t begin = offsets[static_cast<std::size_t>(row)];
    const int64_t count = offsets[static_cast<std::size_t>(row) + 1] - begin;
    int64_t label = 0;
    bytes.resize(static_cast<std::size_t>(count));
    file.read(bytes.data(), count, layout.content + begin);
    file.read(&label, sizeof label, layout.labels + row * 8);
    if (crc32c(&label, sizeof label, crc32c(bytes.data(), bytes.size())) != sums[row]) {
      rows.push_back(std::to_string(row));
    } else if (label < 0 || label >= static_cast<int64_t>(summary.classes.size())) {
      rows.push_back(concat(row, " (label ", label, " out of range)"));
    }
  }
  return rows.empty() ? "" : "changed rows: " + list_names(rows);
}

/// What is wrong with one shard; empty where it is as it was written.
std::string shard_defect(const std::string& folder, const ShardEntry& entry,
                         const DataIndex& summary, const uint32_t* sums) {
  const RawFile file = RawFile::open(folder + "/" + entry.file);
  if (file.bytes() != entry.layout.bytes) {
    return concat("holds ", file.bytes(), " bytes instead of ", entry.layout.bytes);
  }
  std::string found = bad_rows(file, entry.layout, summary, sums);
  if (frame_sha256(file, entry.layout) != entry.frame_sha256) {
    found += concat(found.empty() ? "" : "; ", "changed outside the data sets");
  }
  Sha256 whole;
  file.hash(whole, 0, entry.layout.bytes);
  if (found.empty() && whole.hex() != entry.sha256) found = "its SHA-256 differs";
  return found;
}

}  // namespace

Json inspect_shards(const std::string& folder) {
  const ShardIndex index = read_index(folder);
  const DataIndex& summary = index.summary;
  Json json = {{"folder", folder},
               {"name", summary.name},
               {"source", index.source},
               {"licence", index.licence},
               {"content", word(summary.content)},
               {"normalization", to_json(summary.normalization)},
               {"classes", summary.classes},
               {"split_rule", summary.split_rule},
               {"fingerprint", summary.fingerprint}};
  if (summary.content == Content::images) json["shape"] = to_json(summary.row);
  for (int split = 0; split < kSplits; ++split) {
    int64_t bytes = 0;
    for (const ShardEntry& entry : index.shards[split]) bytes += entry.layout.bytes;
    json["splits"][word(static_cast<Split>(split))] = {{"rows", summary.count[split]},
                                                       {"shards", index.shards[split].size()},
                                                       {"bytes", bytes},
                                                       {"per_class", index.per_class[split]}};
  }
  return json;
}

std::string inspect_text(const Json& inspected) {
  const auto text = [&](const char* name) { return visible(inspected[name].get<std::string>()); };
  const Json& classes = inspected["classes"];
  std::string what = "JPEG images";
  if (inspected.contains("shape")) {
    const Json& shape = inspected["shape"];
    what = concat("images of ", shape["channels"], "x", shape["height"], "x", shape["width"]);
  }
  std::string out =
      concat(text("name"), ": ", what, ", ", classes.size(), " classes\n  from         ",
             text("source"), "\n  licence      ", text("licence"), "\n  split        ",
             text("split_rule"), "\n  mean         ", inspected["normalization"]["mean"].dump(),
             "\n  deviation    ", inspected["normalization"]["deviation"].dump(),
             "\n  fingerprint  ", text("fingerprint"), "\n");
  for (const auto& [name, split] : inspected["splits"].items()) {
    out += concat("  ", name, std::string(13 - std::min<std::size_t>(name.size(), 12), ' '),
                  split["rows"], " rows in ", split["shards"], " shards, ",
                  human_bytes(split["bytes"].get<double>()), "\n");
  }
  out += "  rows of each class (train, validation, test):\n";
  for (std::size_t c = 0; c < classes.size(); ++c) {
    out += concat("    ", visible(classes[c].get<std::string>()), ":");
    for (const auto& [name, split] : inspected["splits"].items()) {
      out += concat(" ", split["per_class"][c]);
    }
    out += "\n";
  }
  return out;
}

std::vector<Defect> verify_shards(const std::string& folder, const Place& place) {
  const ShardIndex index = read_index(folder);
  const std::vector<uint32_t> sums = read_row_sums(folder, index);
  std::vector<Defect> defects;
  const uint32_t* first = sums.data();
  int64_t number = 0;
  for (const auto& entries : index.shards) {
    for (const ShardEntry& entry : entries) {
      const uint32_t* shard_sums = first;
      first += entry.layout.rows;
      if (number++ % place.world != place.rank) continue;
      std::string what;
      try {
        what = shard_defect(folder, entry, index.summary, shard_sums);
      } catch (const Error& error) {
        what = error.what();
      }
      if (!what.empty()) defects.push_back({entry.file, what});
    }
  }
  return defects;
}

}  // namespace bitstill
