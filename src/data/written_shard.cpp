#include "written_shard.hpp"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "shard_folder.hpp"

namespace bitstill {
namespace {

/// 64 hexadecimal digits as four integers, and back.
void digits_to_values(const std::string& hex, int64_t* values) {
  for (std::size_t i = 0; i < 4; ++i) {
    uint64_t value = 0;
    std::from_chars(hex.data() + 16 * i, hex.data() + 16 * (i + 1), value, 16);
    values[i] = static_cast<int64_t>(value);
  }
}

std::string values_to_digits(const int64_t* values) {
  char hex[65];
  for (std::size_t i = 0; i < 4; ++i) {
    std::snprintf(hex + 16 * i, 17, "%016llx", static_cast<unsigned long long>(values[i]));
  }
  return {hex, 64};
}

std::string sha256_of(const RawFile& file, int64_t bytes) {
  Sha256 whole;
  file.hash(whole, 0, bytes);
  return whole.hex();
}

}  // namespace

void WrittenShards::set(std::size_t n, const ShardEntry& entry) {
  int64_t* to = &values_[n * kValues];
  const ShardLayout& layout = entry.layout;
  const int64_t places[] = {layout.rows,          layout.bytes,  layout.content,
                            layout.content_bytes, layout.labels, layout.offsets};
  std::memcpy(to, places, sizeof places);
  digits_to_values(entry.frame_sha256, to + 6);
  digits_to_values(entry.sha256, to + 10);
}

ShardEntry WrittenShards::get(std::size_t n) const {
  const int64_t* from = &values_[n * kValues];
  ShardEntry entry;
  entry.layout = {from[0], from[1], from[2], from[3], from[4], from[5]};
  entry.frame_sha256 = values_to_digits(from + 6);
  entry.sha256 = values_to_digits(from + 10);
  return entry;
}

ShardInWriting::ShardInWriting(const std::string& folder, const std::string& name, int64_t rows,
                               int64_t content_bytes)
    : path_(folder + "/" + name) {
  entry_.file = name;
  entry_.layout.rows = rows;
  entry_.layout.content_bytes = content_bytes;
  whole_ = take_over();
  if (!whole_) file_ = create_shard_file(path_ + ".part", rows, content_bytes, &entry_.layout);
}

/// The note: the entry's integers, then the rows' sums.
std::string ShardInWriting::note() const {
  WrittenShards one(1);
  one.set(0, entry_);
  std::string bytes(reinterpret_cast<const char*>(one.values().data()),
                    one.values().size() * sizeof(int64_t));
  bytes.append(reinterpret_cast<const char*>(sums_.data()), sums_.size() * sizeof(uint32_t));
  return bytes;
}

bool ShardInWriting::take_over() {
  std::error_code ignored;
  const std::string noted = path_ + ".done";
  if (!std::filesystem::exists(path_, ignored) || !std::filesystem::exists(noted, ignored)) {
    return false;
  }
  const std::string bytes = read_file(noted, ExitCode::data);
  WrittenShards one(1);
  const std::size_t head = one.values().size() * sizeof(int64_t);
  const auto rows = static_cast<std::size_t>(entry_.layout.rows);
  if (bytes.size() != head + rows * sizeof(uint32_t)) return false;
  std::memcpy(one.values().data(), bytes.data(), head);
  ShardEntry held = one.get(0);
  const RawFile file = RawFile::open(path_);
  if (!is_sound(held.layout) || held.layout.rows != entry_.layout.rows ||
      held.layout.content_bytes != entry_.layout.content_bytes ||
      held.layout.bytes != file.bytes() || sha256_of(file, held.layout.bytes) != held.sha256) {
    return false;
  }
  held.file = entry_.file;
  entry_ = held;
  sums_.resize(rows);
  std::memcpy(sums_.data(), bytes.data() + head, rows * sizeof(uint32_t));
  return true;
}

void ShardInWriting::add(std::string_view bytes, int64_t label) {
  file_.write(bytes.data(), static_cast<int64_t>(bytes.size()),
              entry_.layout.content + offsets_.back());
  offsets_.push_back(offsets_.back() + static_cast<int64_t>(bytes.size()));
  labels_.push_back(label);
  sums_.push_back(crc32c(&label, sizeof label, crc32c(bytes.data(), bytes.size())));
}

void ShardInWriting::finish() {
  const ShardLayout& layout = entry_.layout;
  file_.write(offsets_.data(), static_cast<int64_t>(offsets_.size()) * 8, layout.offsets);
  file_.write(labels_.data(), layout.rows * 8, layout.labels);
  file_.sync();
  entry_.frame_sha256 = frame_sha256(file_, layout);
  entry_.sha256 = sha256_of(file_, layout.bytes);
  if (std::rename((path_ + ".part").c_str(), path_.c_str()) != 0) {
    throw_system_error(ExitCode::storage, path_, concat("rename ", path_, ".part to it"), errno);
  }
  replace_file(path_ + ".done", note());
}

void remove_notes(const std::string& folder) {
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    if (name.ends_with(kShardDone) || name.starts_with(kExamined)) {
      std::filesystem::remove(file.path());
    }
  }
}

}  // namespace bitstill
