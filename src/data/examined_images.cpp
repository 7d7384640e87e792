#include "examined_images.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"
#include "shard_folder.hpp"

namespace bitstill {
namespace {

std::string path_in(const std::string& folder) {
  return concat(folder, "/", kExamined, "bin");
}

void append_values(const std::vector<int64_t>& values, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(int64_t));
}

}  // namespace

void ExaminedImages::set(std::size_t i, const ExaminedImage& image) {
  int64_t* to = &values_[i * kValues];
  std::memcpy(to, image.digest.data(), sizeof image.digest);
  to[2] = image.bytes;
  to[3] = static_cast<int64_t>(image.change);
}

ExaminedImage ExaminedImages::get(std::size_t i) const {
  const int64_t* from = &values_[i * kValues];
  ExaminedImage image;
  std::memcpy(image.digest.data(), from, sizeof image.digest);
  image.bytes = from[2];
  image.change = static_cast<JpegChange>(from[3]);
  return image;
}

Digests ExaminedImages::digests() const {
  Digests digests(values_.size() / kValues);
  for (std::size_t i = 0; i < digests.size(); ++i) {
    const ExaminedImage image = get(i);
    if (image.bytes > 0) digests[i] = image.digest;
  }
  return digests;
}

Normalization ExaminedImages::normalization() const {
  std::vector<ChannelSums> channels(train_sums.size() / 3);
  for (std::size_t c = 0; c < channels.size(); ++c) {
    channels[c] = {static_cast<uint64_t>(train_sums[3 * c]),
                   static_cast<uint64_t>(train_sums[3 * c + 1]),
                   static_cast<uint64_t>(train_sums[3 * c + 2])};
  }
  return normalization_of(channels);
}

void ExaminedImages::save(const std::string& folder, const std::string& key) const {
  std::string bytes;
  append_values(values_, &bytes);
  append_values(train_sums, &bytes);
  for (const std::string& line : unreadable) bytes += line + "\n";
  replace_file(path_in(folder), key + sha256_hex(bytes) + bytes);
}

bool ExaminedImages::load(const std::string& folder, const std::string& key) {
  std::error_code ignored;
  if (!std::filesystem::exists(path_in(folder), ignored)) return false;
  const std::string held = read_file(path_in(folder), ExitCode::data);
  const std::size_t digits = key.size(), sums = 3 * kJpegChannels;
  if (held.size() < 2 * digits + (values_.size() + sums) * sizeof(int64_t) ||
      held.substr(0, digits) != key ||
      sha256_hex(held.substr(2 * digits)) != held.substr(digits, digits)) {
    return false;
  }
  const char* from = held.data() + 2 * digits;
  std::memcpy(values_.data(), from, values_.size() * sizeof(int64_t));
  from += values_.size() * sizeof(int64_t);
  train_sums.resize(sums);
  std::memcpy(train_sums.data(), from, train_sums.size() * sizeof(int64_t));
  from += train_sums.size() * sizeof(int64_t);
  const std::string text(from, held.data() + held.size());
  unreadable.clear();
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    unreadable.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return true;
}

std::string conversion_key(const ShardOptions& options, const ImageSource& source) {
  Sha256 hash;
  const std::string settings =
      concat("jpeg 1 ", options.short_side, " ", options.quality, " ", options.most_pixels, " ",
             options.validation, " ", options.test, " ", options.rows_per_shard, "\n");
  hash.add(settings.data(), settings.size());
  for (const SourceItem& item : source.items) {
    const std::string line = concat(item.name, "\n", item.label, " ",
                                    item.split ? static_cast<int>(*item.split) : -1, "\n");
    hash.add(line.data(), line.size());
  }
  return hash.hex();
}

}  // namespace bitstill
