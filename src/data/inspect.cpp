#include "bitstill/data/inspect.hpp"

#include <algorithm>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/shard_index.hpp"
#include "bitstill/data/vocabulary.hpp"
#include "token_rows.hpp"

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
    } else if (const std::string defect = row_defect(summary, bytes, label); !defect.empty()) {
      rows.push_back(concat(row, " (", defect, ")"));
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

std::string images_text(const Json& inspected) {
  std::string what = "JPEG images";
  if (inspected.contains("shape")) {
    const Json& shape = inspected["shape"];
    what = concat("images of ", shape["channels"], "x", shape["height"], "x", shape["width"]);
  }
  return concat(what, ", ", inspected["classes"].size(), " classes");
}

std::string sentences_text(const Json& vocabularies) {
  const Json &source = vocabularies.front()["pieces"], &target = vocabularies.back()["pieces"];
  return vocabularies.size() == 1
             ? concat("pairs of sentences, ", source, " pieces for both sides")
             : concat("pairs of sentences, ", source, " and ", target, " pieces");
}

/// A vocabulary that is not the one that was written with the index.
void verify_vocabularies(const std::string& folder, const DataIndex& summary,
                         std::vector<Defect>* defects) {
  for (std::size_t side = 0; side < summary.vocabularies.size(); ++side) {
    try {
      read_vocabulary(folder, summary, side);
    } catch (const Error& error) {
      defects->push_back({summary.vocabularies[side].file, error.what()});
    }
  }
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
               {"split_rule", summary.split_rule},
               {"fingerprint", summary.fingerprint}};
  const bool tokens = summary.content == Content::tokens;
  if (tokens) {
    json["vocabularies"] = to_json(summary.vocabularies);
  } else {
    json["normalization"] = to_json(summary.normalization);
    json["classes"] = summary.classes;
  }
  if (summary.content == Content::images) json["shape"] = to_json(summary.row);
  for (int split = 0; split < kSplits; ++split) {
    int64_t bytes = 0;
    for (const ShardEntry& entry : index.shards[split]) bytes += entry.layout.bytes;
    Json& part = json["splits"][word(static_cast<Split>(split))];
    part = {
        {"rows", summary.count[split]}, {"shards", index.shards[split].size()}, {"bytes", bytes}};
    if (tokens) {
      part.update(to_json(summary.sentences[split]));
    } else {
      part["per_class"] = index.per_class[split];
    }
  }
  return json;
}

std::string inspect_text(const Json& inspected) {
  const auto text = [&](const char* name) { return visible(inspected[name].get<std::string>()); };
  const bool tokens = inspected.contains("vocabularies");
  std::string out =
      concat(text("name"), ": ",
             tokens ? sentences_text(inspected["vocabularies"]) : images_text(inspected),
             "\n  from         ", text("source"), "\n  licence      ", text("licence"),
             "\n  split        ", text("split_rule"), "\n");
  if (!tokens) {
    out += concat("  mean         ", inspected["normalization"]["mean"].dump(), "\n  deviation    ",
                  inspected["normalization"]["deviation"].dump(), "\n");
  }
  out += concat("  fingerprint  ", text("fingerprint"), "\n");
  for (const auto& [name, split] : inspected["splits"].items()) {
    out += concat("  ", name, std::string(13 - std::min<std::size_t>(name.size(), 12), ' '),
                  split["rows"], " rows in ", split["shards"], " shards, ",
                  human_bytes(split["bytes"].get<double>()));
    if (tokens) {
      out += concat(", tokens ", split["source_tokens"], " + ", split["target_tokens"],
                    ", longest ", split["longest_source"], " + ", split["longest_target"]);
    }
    out += "\n";
  }
  if (tokens) return out;
  const Json& classes = inspected["classes"];
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
  if (place.rank == 0) verify_vocabularies(folder, index.summary, &defects);
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
