#include "shard_folder.hpp"

#include <cerrno>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {

namespace fs = std::filesystem;

void ChannelSums::add(const uint8_t* bytes, int64_t number, int64_t stride) {
  uint64_t sum = 0, sum_of_squares = 0;
  for (int64_t i = 0; i < number; ++i) {
    const uint64_t value = bytes[i * stride];
    sum += value;
    sum_of_squares += value * value;
  }
  values += sum;
  squares += sum_of_squares;
  count += static_cast<uint64_t>(number);
}

Normalization normalization_of(const std::vector<ChannelSums>& channels) {
  Normalization result;
  for (const ChannelSums& channel : channels) {
    const auto n = static_cast<double>(channel.count);
    const double mean = static_cast<double>(channel.values) / n;
    const double variance = static_cast<double>(channel.squares) / n - mean * mean;
    // A channel of one value alone would divide by zero.
    const double deviation = variance > 1e-9 ? std::sqrt(variance) / 255 : 1;
    result.mean.push_back(static_cast<float>(mean / 255));
    result.deviation.push_back(static_cast<float>(deviation));
  }
  return result;
}

std::string shard_name(Split split, std::size_t number) {
  char name[64];
  std::snprintf(name, sizeof name, "%s-%05zu.h5", word(split), number);
  return name;
}

std::string without_slash(std::string folder) {
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  return folder;
}

void require_new_folder(const std::string& folder, const std::string& setting) {
  std::error_code ignored;
  const std::string name = without_slash(folder);
  if (!std::filesystem::exists(name, ignored) || std::filesystem::is_empty(name, ignored)) return;
  throw Error(ExitCode::settings,
              concat(name, ": exists already; remove it or give another ", setting));
}

void remove_partial(const std::string& folder) {
  std::error_code ignored;
  for (const auto& file : fs::directory_iterator(folder, ignored)) {
    const std::string name = file.path().filename().string();
    if (name.ends_with(".h5") || name.ends_with(".h5.part") || name.ends_with(kShardDone) ||
        name.starts_with(kExamined) || name.starts_with(kIndexFile) ||
        name.starts_with(kRowSumsFile) || name.ends_with(".model")) {
      fs::remove(file.path(), ignored);
    }
  }
  fs::remove(folder, ignored);
}

void publish_shards(const std::string& partial, const std::string& folder,
                    const std::vector<uint32_t>& sums, ShardIndex* index) {
  const std::string bytes(reinterpret_cast<const char*>(sums.data()), sums.size() * 4);
  index->row_sums_sha256 = sha256_hex(bytes);
  replace_file(partial + "/" + kRowSumsFile, bytes);
  replace_file(partial + "/" + kIndexFile, index_text(*index));
  sync_folder(partial);
  if (std::rename(partial.c_str(), folder.c_str()) != 0) {
    throw_system_error(ExitCode::storage, folder, concat("rename ", partial, " to it"), errno);
  }
  const std::string parent = fs::path(folder).parent_path().string();
  sync_folder(parent.empty() ? "." : parent);
}

}  // namespace bitstill
