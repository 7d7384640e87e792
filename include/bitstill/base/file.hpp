// Whole files: read, and replace so that a reader finds the old or the new one, never a torn one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "bitstill/base/error.hpp"

namespace bitstill {

// Only plain files are read: a pipe may never end, a device holds no file at all.

/// What a file read whole may hold, unless its kind is known to be smaller.
constexpr uint64_t kMostFileBytes = uint64_t{1} << 32;

/// The whole file as bytes; Error(code) naming the path and the reason when it cannot be read, is
/// no plain file or holds more than `most_bytes`.
std::string read_file(const std::string& path, ExitCode code, uint64_t most_bytes = kMostFileBytes);

/// A file open for reading at any place; safe to use from several threads.
class InputFile {
 public:
  /// Error(code) naming the path and the reason when it cannot be opened or is no plain file.
  InputFile(const std::string& path, ExitCode code);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  uint64_t size() const { return size_; }
  /// Exactly `count` bytes from `offset`; Error(code) when the file has fewer.
  void read(uint64_t offset, void* bytes, std::size_t count) const;

 private:
  std::string path_;
  ExitCode code_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// Where the bytes of a file that is being written go.
class ByteSink {
 public:
  ByteSink() = default;
  ByteSink(const ByteSink&) = delete;
  ByteSink& operator=(const ByteSink&) = delete;
  virtual ~ByteSink() = default;
  virtual void append(const void* bytes, std::size_t count) = 0;
  /// In the place of bytes that were appended before.
  virtual void overwrite(uint64_t offset, std::string_view bytes) = 0;
};

/// Collects them in memory.
class StringSink final : public ByteSink {
 public:
  void append(const void* from, std::size_t count) override {
    if (count > 0) bytes.append(static_cast<const char*>(from), count);
  }
  void overwrite(uint64_t offset, std::string_view by) override {
    bytes.replace(static_cast<std::size_t>(offset), by.size(), by);
  }
  std::string bytes;
};

/// Whether the system is to keep the bytes in memory for those who read the file soon, or (bypass)
/// to leave that memory to what is there, and the processor the copy: all but the end of large
/// files, by O_DIRECT, where the file system can.
enum class PageCache { keep, bypass };

/// Writes a new file beside `path` through `write` (whose sink throws Error(storage)), fsyncs it,
/// renames it to `path` and fsyncs the folder. Any failure is Error(storage) naming path and
/// reason; then `path` is as it was.
///
/// The new file is path.partial.RANDOM, locked while it is written; nothing that has its name is
/// opened. What writers that died left behind, no longer locked and ten minutes old, is removed
/// when `path` is written again.
void replace_file(const std::string& path, const std::function<void(ByteSink&)>& write,
                  PageCache cache = PageCache::keep);
void replace_file(const std::string& path, std::string_view bytes);

/// path.partial.RANDOM: the name of what is being made and will be renamed to `path`.
std::string partial_name(const std::string& path);

/// What was renamed or removed in it is on disk. Error(storage).
void sync_folder(const std::string& folder);

/// Makes `path` and its parents; Error(storage) where it cannot, also when it is not writable.
void make_folder(const std::string& path);

}  // namespace bitstill
