// Bytes at offsets of a file, every failure told: what shards are read and written with.
#pragma once

#include <cstdint>
#include <string>

#include "bitstill/base/sha256.hpp"

namespace bitstill {

/// Owns one file descriptor. Reading is thread-safe: pread keeps no position.
class RawFile {
 public:
  RawFile() = default;
  /// Error(data) when it cannot be opened or is not a plain file.
  static RawFile open(const std::string& path);
  /// The same, to be written on, too.
  static RawFile open_to_write(const std::string& path);
  /// A new file of `bytes` bytes, all of them allocated, so that a full disk is found here.
  /// Error(storage).
  static RawFile create(const std::string& path, int64_t bytes);
  /// A file without a name, in memory, that can grow to `most_bytes`; path() opens it again within
  /// this process. Error(storage) naming `purpose` where a limit forbids that size.
  static RawFile in_memory(const std::string& purpose, int64_t most_bytes);
  ~RawFile();
  RawFile(RawFile&& other) noexcept;
  RawFile& operator=(RawFile&& other) noexcept;

  const std::string& path() const { return path_; }
  int64_t bytes() const;
  /// Error(data) also when the file ends before `count` bytes.
  void read(void* target, int64_t count, int64_t offset) const;
  void write(const void* source, int64_t count, int64_t offset);
  /// Adds the bytes [begin, end) to `hash`.
  void hash(Sha256& hash, int64_t begin, int64_t end) const;
  void sync();

 private:
  static RawFile open(const std::string& path, int flags);
  RawFile(const std::string& path, int number) : path_(path), number_(number) {}
  std::string path_;
  int number_ = -1;
};

}  // namespace bitstill
