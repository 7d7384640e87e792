#include "bitstill/data/shard_index.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <numeric>
#include <set>

#include "bitstill/base/file.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"
#include "token_rows.hpp"

namespace bitstill {
namespace {

constexpr const char* kFormat = "bitstill shards";
constexpr int64_t kImagesVersion = 1;  // rows of one shape
constexpr int64_t kAnyLengthVersion = 2;
constexpr uint64_t kMostIndexBytes = uint64_t{1} << 26;
constexpr const char* kSelf = "index_sha256";
constexpr int64_t kMostCount = int64_t{1} << 50;  // rows and bytes; keeps all sums in range

/// Members of one JSON object, each refusal naming the file and the member's place in it.
class Reader {
 public:
  Reader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) refuse("is not an object");
  }
  [[noreturn]] void refuse(const std::string& reason) const {
    throw Error(ExitCode::data,
                concat(where_, ": ", reason, "; convert the data again with bitstill shard"));
  }
  const Json& member(const char* name) const {
    if (!json_.contains(name)) refuse(concat("\"", name, "\" is missing"));
    return json_[name];
  }
  Reader object(const char* name) const {
    return Reader(member(name), concat(where_, ", \"", name, "\""));
  }
  const Json& list(const char* name) const {
    if (!member(name).is_array()) refuse(concat("\"", name, "\" is not a list"));
    return member(name);
  }
  std::string text(const char* name) const {
    if (!member(name).is_string()) refuse(concat("\"", name, "\" is not a text"));
    return member(name).get<std::string>();
  }
  std::string digest(const char* name) const {
    std::string hex = text(name);
    if (hex.size() != 64 || hex.find_first_not_of("0123456789abcdef") != std::string::npos) {
      refuse(concat("\"", name, "\" is not a SHA-256"));
    }
    return hex;
  }
  int64_t count(const char* name) const { return count(member(name), name); }
  std::vector<int64_t> counts(const char* name) const {
    std::vector<int64_t> result;
    for (const Json& value : list(name)) result.push_back(count(value, name));
    return result;
  }
  const std::string& where() const { return where_; }

 private:
  int64_t count(const Json& value, const char* name) const {
    if (!value.is_number_integer() || value.get<double>() < 0 ||
        value.get<double>() > static_cast<double>(kMostCount)) {
      refuse(concat("\"", name, "\" holds ", value.dump(), ", not a count"));
    }
    return value.get<int64_t>();
  }

  const Json& json_;
  std::string where_;
};

Json entry_json(const ShardEntry& entry) {
  const ShardLayout& layout = entry.layout;
  Json json = {{"file", entry.file}, {"rows", layout.rows}, {"bytes", layout.bytes}};
  if (layout.offsets == 0) {
    json["images_at"] = layout.content;
  } else {
    json["bytes_at"] = layout.content;
    json["content_bytes"] = layout.content_bytes;
    json["offsets_at"] = layout.offsets;
  }
  json["labels_at"] = layout.labels;
  json["frame_sha256"] = entry.frame_sha256;
  json["sha256"] = entry.sha256;
  return json;
}

ShardLayout parse_layout(const Reader& reader, const DataIndex& summary) {
  ShardLayout layout;
  layout.rows = reader.count("rows");
  layout.bytes = reader.count("bytes");
  layout.labels = reader.count("labels_at");
  const int64_t row_bytes = summary.row.pixels();
  if (row_bytes > 0) {
    layout.content = reader.count("images_at");
    if (layout.rows > layout.bytes / row_bytes) reader.refuse("too many rows for its bytes");
    layout.content_bytes = layout.rows * row_bytes;
  } else {
    layout.content = reader.count("bytes_at");
    layout.content_bytes = reader.count("content_bytes");
    layout.offsets = reader.count("offsets_at");
    if (layout.offsets == 0) reader.refuse("the offsets of its rows lie nowhere");
  }
  if (!is_sound(layout)) {
    reader.refuse(concat("the data sets do not fit to ", layout.bytes, " bytes"));
  }
  return layout;
}

std::string plain_name(const Reader& reader) {
  std::string file = reader.text("file");
  if (file.empty() || file[0] == '.' ||
      file.find_first_of(std::string("/\0", 2)) != std::string::npos) {
    reader.refuse(concat("\"", file, "\" is not a plain file name"));
  }
  return file;
}

ShardEntry parse_entry(const Reader& reader, const DataIndex& summary) {
  ShardEntry entry;
  entry.file = plain_name(reader);
  entry.layout = parse_layout(reader, summary);
  entry.frame_sha256 = reader.digest("frame_sha256");
  entry.sha256 = reader.digest("sha256");
  return entry;
}

/// What the rows are, by the version and what it says of them.
void parse_content(const Reader& reader, DataIndex* summary) {
  const int64_t version = reader.count("version");
  if (version == kImagesVersion) {
    summary->row = image_shape_from_json(reader.member("shape"), reader.where(), ExitCode::data);
  } else if (version == kAnyLengthVersion) {
    const std::string content = reader.text("content");
    if (content == word(Content::jpeg)) {
      summary->content = Content::jpeg;
      summary->row = {kJpegChannels, 0, 0};
    } else if (content == word(Content::tokens)) {
      summary->content = Content::tokens;
    } else {
      reader.refuse(concat("its content is ", content, ", of which this program knows nothing"));
    }
  } else {
    reader.refuse(concat("it is of version ", version, ", this program reads ", kImagesVersion,
                         " and ", kAnyLengthVersion));
  }
  summary->shape = summary->row;
}

/// What says how the numbers of images are meant.
void parse_images(const Reader& reader, DataIndex* summary) {
  summary->normalization =
      normalization_from_json(reader.member("normalization"), reader.where(), ExitCode::data);
  if (static_cast<int64_t>(summary->normalization.mean.size()) != summary->shape.channels) {
    reader.refuse("its normalization is for another number of channels");
  }
  for (const Json& name : reader.list("classes")) {
    if (!name.is_string()) reader.refuse("a class name is not a text");
    summary->classes.push_back(name.get<std::string>());
  }
  if (summary->classes.empty()) reader.refuse("it names no classes");
}

/// What says which words tokens are.
void parse_vocabularies(const Reader& reader, DataIndex* summary) {
  for (const Json& json : reader.list("vocabularies")) {
    const Reader one(json, concat(reader.where(), ", a vocabulary"));
    summary->vocabularies.push_back({plain_name(one), one.count("pieces"), one.digest("sha256")});
    const int64_t pieces = summary->vocabularies.back().pieces;
    if (pieces < 1 || pieces > INT32_MAX) one.refuse(concat("it has ", pieces, " pieces"));
  }
  const std::size_t count = summary->vocabularies.size();
  if (count < 1 || count > 2) reader.refuse("it names neither one vocabulary nor two");
}

/// The parts of the index that come before the splits.
void parse_head(const Reader& reader, ShardIndex* index) {
  if (reader.text("format") != kFormat) reader.refuse("it does not describe bitstill shards");
  DataIndex& summary = index->summary;
  summary.name = reader.text("name");
  parse_content(reader, &summary);
  (summary.content == Content::tokens ? parse_vocabularies : parse_images)(reader, &summary);
  summary.split_rule = reader.text("split_rule");
  index->source = reader.text("source");
  index->licence = reader.text("licence");
  index->row_sums_sha256 = reader.digest("row_sums_sha256");
}

/// That a split's rows are those of its classes.
void parse_classes(const Reader& reader, int split, ShardIndex* index) {
  const DataIndex& summary = index->summary;
  const std::vector<int64_t> classes = index->per_class[split] = reader.counts("per_class");
  int64_t classified = 0;
  for (const int64_t rows : classes) classified = std::min(classified + rows, kMostCount + 1);
  if (classes.size() != summary.classes.size() || classified != summary.count[split]) {
    reader.refuse(concat("the rows of its classes (", classified, ") and of the split (",
                         summary.count[split], ") differ"));
  }
}

/// That a split's bytes are those of its tokens.
void parse_sentences(const Reader& reader, int split, ShardIndex* index) {
  SentenceTotals& totals = index->summary.sentences[split];
  totals = {reader.count("source_tokens"), reader.count("target_tokens"),
            reader.count("longest_source"), reader.count("longest_target")};
  int64_t bytes = 0;
  for (const ShardEntry& entry : index->shards[split]) {
    bytes = std::min(bytes + entry.layout.content_bytes, 16 * kMostCount);
  }
  const int64_t tokens = totals.source_tokens + totals.target_tokens;
  if (bytes != tokens * token_bytes(index->summary)) {
    reader.refuse(concat("its ", tokens, " tokens do not take ", bytes, " bytes"));
  }
}

void parse_split(const Reader& reader, int split, std::set<std::string>* files, ShardIndex* index) {
  DataIndex& summary = index->summary;
  summary.count[split] = reader.count("rows");
  int64_t held = 0;
  for (const Json& json : reader.list("shards")) {
    const Reader shard(json, concat(reader.where(), ", shard ", index->shards[split].size()));
    index->shards[split].push_back(parse_entry(shard, summary));
    const ShardEntry& entry = index->shards[split].back();
    if (!files->insert(entry.file).second) shard.refuse(concat(entry.file, " stands there twice"));
    held += entry.layout.rows;
    if (held > kMostCount) shard.refuse("too many rows");
  }
  if (held != summary.count[split]) {
    reader.refuse(concat("the rows of its shards (", held, ") and of the split (",
                         summary.count[split], ") differ"));
  }
  (summary.content == Content::tokens ? parse_sentences : parse_classes)(reader, split, index);
}

Json head_json(const ShardIndex& index) {
  const DataIndex& summary = index.summary;
  const bool images = summary.content == Content::images;
  Json json = {{"format", kFormat},
               {"version", images ? kImagesVersion : kAnyLengthVersion},
               {"name", summary.name}};
  if (images) {
    json["shape"] = to_json(summary.row);
  } else {
    json["content"] = word(summary.content);
  }
  if (summary.content == Content::tokens) {
    json["vocabularies"] = to_json(summary.vocabularies);
  } else {
    json["classes"] = summary.classes;
    json["normalization"] = to_json(summary.normalization);
  }
  const Json rest = {{"split_rule", summary.split_rule},
                     {"source", index.source},
                     {"licence", index.licence},
                     {"row_sums_sha256", index.row_sums_sha256}};
  json.update(rest);
  return json;
}

}  // namespace

Json to_json(const std::vector<VocabularyFile>& vocabularies) {
  Json list = Json::array();
  for (const VocabularyFile& one : vocabularies) {
    list.push_back({{"file", one.file}, {"pieces", one.pieces}, {"sha256", one.sha256}});
  }
  return list;
}

Json to_json(const SentenceTotals& totals) {
  return {{"source_tokens", totals.source_tokens},
          {"target_tokens", totals.target_tokens},
          {"longest_source", totals.longest_source},
          {"longest_target", totals.longest_target}};
}

int64_t ShardIndex::rows() const {
  return std::accumulate(summary.count.begin(), summary.count.end(), int64_t{0});
}

std::string index_text(const ShardIndex& index) {
  const DataIndex& summary = index.summary;
  Json json = head_json(index);
  Json& splits = json["splits"] = Json::object();
  for (int split = 0; split < kSplits; ++split) {
    Json& part = splits[word(static_cast<Split>(split))];
    part = {{"rows", summary.count[split]}};
    if (summary.content == Content::tokens) {
      part.update(to_json(summary.sentences[split]));
    } else {
      part["per_class"] = index.per_class[split];
    }
    part["shards"] = Json::array();
    for (const ShardEntry& entry : index.shards[split]) part["shards"].push_back(entry_json(entry));
  }
  try {
    json[kSelf] = sha256_hex(json.dump());
    return json.dump(1) + "\n";
  } catch (const Json::exception&) {
    throw Error(ExitCode::data,
                concat(summary.name, ": a class or file name is not UTF-8; rename it"));
  }
}

ShardIndex parse_index(const std::string& text, const std::string& where) {
  Json json = parse_json(text, where, ExitCode::data);
  ShardIndex index;
  {
    const Reader reader(json, where);
    parse_head(reader, &index);
    std::set<std::string> files;
    for (int split = 0; split < kSplits; ++split) {
      const char* name = word(static_cast<Split>(split));
      parse_split(reader.object("splits").object(name), split, &files, &index);
    }
    const std::string self = reader.digest(kSelf);
    Json rest = json;
    rest.erase(kSelf);
    if (sha256_hex(rest.dump()) != self) {
      reader.refuse("it was changed since it was written (its own SHA-256 does not fit)");
    }
  }
  index.summary.fingerprint = sha256_hex(text);
  return index;
}

std::string read_index_text(const std::string& folder) {
  const std::string path = folder + "/" + kIndexFile;
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    throw Error(ExitCode::data,
                concat(folder, ": no such folder; make it with bitstill shard --out ", folder));
  }
  if (!std::filesystem::exists(path, ignored)) {
    throw Error(ExitCode::data, concat(folder, ": holds no ", kIndexFile,
                                       ", so it is not a folder of shards; make one with bitstill "
                                       "shard"));
  }
  return read_file(path, ExitCode::data, kMostIndexBytes);
}

ShardIndex read_index(const std::string& folder) {
  return parse_index(read_index_text(folder), folder + "/" + kIndexFile);
}

std::vector<uint32_t> parse_row_sums(const std::string& bytes, const std::string& folder,
                                     const ShardIndex& index) {
  if (static_cast<int64_t>(bytes.size()) != index.rows() * 4 ||
      sha256_hex(bytes) != index.row_sums_sha256) {
    throw Error(ExitCode::data,
                concat(folder, "/", kRowSumsFile, ": is not the file that was written with ",
                       kIndexFile, "; convert the data again with bitstill shard"));
  }
  std::vector<uint32_t> sums(bytes.size() / 4);
  std::memcpy(sums.data(), bytes.data(), bytes.size());
  return sums;
}

std::string read_row_sums_bytes(const std::string& folder, const ShardIndex& index) {
  return read_file(folder + "/" + kRowSumsFile, ExitCode::data,
                   static_cast<uint64_t>(index.rows()) * 4);
}

std::vector<uint32_t> read_row_sums(const std::string& folder, const ShardIndex& index) {
  return parse_row_sums(read_row_sums_bytes(folder, index), folder, index);
}

}  // namespace bitstill
