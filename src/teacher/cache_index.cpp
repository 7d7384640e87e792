#include "cache_index.hpp"

#include <cstdio>
#include <cstring>
#include <filesystem>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr const char* kFormat = "bitstill logits";
constexpr int64_t kVersion = 1;
constexpr uint64_t kMostIndexBytes = uint64_t{1} << 26;
constexpr const char* kSelf = "index_sha256";
constexpr int64_t kMost = int64_t{1} << 40;         // rows, samples, ...: keeps products in range
constexpr int64_t kMostClasses = int64_t{1} << 24;  // a row is kept whole in memory
constexpr int64_t kMostBytes = int64_t{1} << 50;    // of all files

[[noreturn]] void refuse(const std::string& path, const std::string& reason) {
  throw Error(ExitCode::data, concat(path, ": ", reason, "; write it again with bitstill cache"));
}

int64_t count(const Json& json, const char* name, int64_t least, const std::string& path) {
  const Json& value = json.at(name);
  if (!value.is_number_integer() || value.get<double>() < static_cast<double>(least) ||
      value.get<double>() > static_cast<double>(kMost)) {
    refuse(path, concat("\"", name, "\" holds ", value.dump()));
  }
  return value.get<int64_t>();
}

CropOptions crop_from_json(const Json& json, const std::string& path) {
  CropOptions crop;
  if (!json.is_object()) return crop;
  const auto kind = json.at("crop").get<std::string>();
  if (!has_word<CropKind>(kind)) refuse(path, concat("its images are cropped by ", kind));
  crop.crop = from_word<CropKind>(kind, "crop");
  crop.size = count(json, "size", 1, path);
  if (crop.crop == CropKind::random) {
    crop.scale = json.at("scale").get<std::vector<double>>();
    crop.ratio = json.at("ratio").get<std::vector<double>>();
  } else {
    crop.resize = count(json, "resize", 0, path);
  }
  crop.scaled_decode = json.value("scaled_decode", false);
  return crop;
}

ColourOptions colour_from_json(const Json& json) {
  if (!json.is_object()) return {};
  return {json.at("jitter").get<double>(), json.at("lighting").get<double>(),
          json.at("erase").get<double>()};
}

Json to_json(const CacheFacts& facts) {
  const AugmentationOptions& augmentation = facts.augmentation;
  Json json = {
      {"teacher_sha256", facts.teacher_sha256},
      {"teacher_samples", facts.teacher_samples},
      {"teacher_bytes", facts.teacher_bytes},
      {"teacher_precision", facts.precision},
      {"normalization", to_json(facts.normalization)},
      {"processor", facts.processor},
      {"data", facts.data},
      {"augmentation",
       {{"shift", augmentation.shift}, {"flip", augmentation.flip}, {"seed", augmentation.seed}}},
      {"variants", facts.variants},
      {"samples", facts.samples},
      {"classes", facts.classes},
      {"top", facts.top},
      {"temperature", facts.temperature},
      {"batch", facts.batch},
      {"any_batch", facts.any_batch}};
  // Only where there are some, so that caches without are named as they were.
  const Json crop = to_json(augmentation.crop), colour = to_json(augmentation.colour);
  if (!crop.is_null()) json["augmentation"]["crop"] = crop;
  if (!colour.is_null()) json["augmentation"]["colour"] = colour;
  if (facts.terms > 0) {
    json["terms"] = facts.terms;
    json.erase("normalization");  // of images
  }
  return json;
}

CacheFacts facts_from_json(const Json& json, const std::string& path) {
  CacheFacts facts;
  facts.teacher_sha256 = json.at("teacher_sha256").get<std::string>();
  facts.teacher_samples = json.at("teacher_samples").get<std::string>();
  facts.teacher_bytes = count(json, "teacher_bytes", 0, path);
  facts.precision = json.at("teacher_precision").get<std::string>();
  facts.processor = json.at("processor").get<std::string>();
  facts.data = json.at("data").get<std::string>();
  const Json& augmentation = json.at("augmentation");
  facts.augmentation.shift = count(augmentation, "shift", 0, path);
  facts.augmentation.flip = augmentation.at("flip").get<bool>();
  if (!augmentation.at("seed").is_number_integer()) refuse(path, "its seed is not a whole number");
  facts.augmentation.seed = augmentation.at("seed").get<int64_t>();
  facts.augmentation.crop = crop_from_json(augmentation.value("crop", Json()), path);
  facts.augmentation.colour = colour_from_json(augmentation.value("colour", Json()));
  facts.variants = facts.augmentation.variants = count(json, "variants", 1, path);
  facts.samples = count(json, "samples", 1, path);
  if (json.contains("terms")) {
    facts.terms = count(json, "terms", 1, path);
  } else {
    facts.normalization = normalization_from_json(json.at("normalization"), path, ExitCode::data);
  }
  facts.classes = count(json, "classes", 1, path);
  facts.top = count(json, "top", 0, path);
  facts.temperature = json.at("temperature").get<double>();
  facts.batch = count(json, "batch", 1, path);
  facts.any_batch = json.at("any_batch").get<bool>();
  if (facts.variants > kMost / facts.rows_of_variant() || facts.top >= facts.classes ||
      facts.classes > kMostClasses || facts.rows() > kMostBytes / facts.row_bytes()) {
    refuse(path, "its counts do not fit together");
  }
  return facts;
}

std::vector<CacheRange> ranges_from_json(const Json& rows, const CacheFacts& facts,
                                         const std::string& path) {
  std::vector<CacheRange> ranges;
  int64_t held = 0;
  for (const Json& file : rows) {
    ranges.push_back({held, count(file, "rows", 0, path)});
    held += ranges.back().count;
    if (held > facts.rows()) break;
  }
  if (held != facts.rows()) refuse(path, "the rows of its files are not those of the cache");
  return ranges;
}

}  // namespace

Json to_json(const CropOptions& crop) {
  if (crop.crop == CropKind::none) return {};
  Json json = {{"crop", word(crop.crop)}, {"size", crop.size}};
  if (crop.crop == CropKind::random) {
    json["scale"] = crop.scale;
    json["ratio"] = crop.ratio;
  } else {
    json["resize"] = crop.resize;
  }
  if (crop.scaled_decode) json["scaled_decode"] = true;
  return json;
}

Json to_json(const ColourOptions& colour) {
  if (!changes(colour)) return {};
  return {{"jitter", colour.jitter}, {"lighting", colour.lighting}, {"erase", colour.erase}};
}

std::string digest_of(const CacheFacts& facts) {
  return sha256_hex(to_json(facts).dump());
}

std::string cache_file_name(std::size_t number) {
  char name[32];
  std::snprintf(name, sizeof name, "logits-%05zu.bin", number);
  return name;
}

uint32_t row_sum_seed(const std::string& digest, int64_t row) {
  return crc32c(&row, sizeof row, crc32c(digest.data(), digest.size()));
}

bool is_whole(std::span<const char> bytes, const std::string& digest, int64_t row) {
  const std::size_t payload = bytes.size() - sizeof(uint32_t);
  uint32_t sum = 0;
  std::memcpy(&sum, bytes.data() + payload, sizeof sum);
  return crc32c(bytes.data(), payload, row_sum_seed(digest, row)) == sum;
}

std::string cache_index_text(const CacheIndex& index) {
  Json json = {{"format", kFormat}, {"version", kVersion}, {"facts", to_json(index.facts)}};
  json["files"] = Json::array();
  for (std::size_t i = 0; i < index.ranges.size(); ++i) {
    json["files"].push_back({{"file", cache_file_name(i)}, {"rows", index.ranges[i].count}});
  }
  json[kSelf] = sha256_hex(json.dump());
  return json.dump(1) + "\n";
}

CacheIndex read_cache_index(const std::string& folder) {
  const std::string path = folder + "/" + kCacheIndexFile;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    const bool begun = std::filesystem::exists(folder + "/" + cache_file_name(0), ignored);
    refuse(folder, begun ? concat("holds no ", kCacheIndexFile, ", so its writing never ended")
                         : concat("holds no logit cache, there is no ", kCacheIndexFile));
  }
  Json json = parse_json(read_file(path, ExitCode::data, kMostIndexBytes), path, ExitCode::data);
  try {
    if (!json.is_object() || json.at("format") != kFormat) refuse(path, "describes no logit cache");
    if (json.at("version") != kVersion) {
      refuse(path,
             concat("is of version ", json["version"].dump(), ", this program reads ", kVersion));
    }
    const std::string self = json.at(kSelf).get<std::string>();
    json.erase(kSelf);
    if (sha256_hex(json.dump()) != self) {
      refuse(path, "was changed since it was written (its own SHA-256 does not fit)");
    }
    CacheIndex index;
    index.facts = facts_from_json(json.at("facts"), path);
    index.ranges = ranges_from_json(json.at("files"), index.facts, path);
    return index;
  } catch (const Json::exception& error) {
    refuse(path, concat("is damaged: ", error.what()));
  }
}

}  // namespace bitstill
