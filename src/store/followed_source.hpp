// A file that one thread reads, while another, behind it, hashes the bytes where they have come to
// lie.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string_view>

#include "bitstill/codec/packed_model.hpp"

namespace bitstill {

class FollowedSource {
 public:
  /// Followed are the bytes from `begin` on, which the reader reads into memory that stays.
  FollowedSource(ByteSource source, uint64_t begin) : source_(std::move(source)), begin_(begin) {}

  /// The reader's.
  ByteSource reader() {
    return {source_.size, [this](uint64_t offset, void* bytes, std::size_t count) {
              auto* next = static_cast<char*>(bytes);
              for (std::size_t done = 0; done < count;) {
                const std::size_t piece = std::min(kPieceBytes, count - done);
                source_.read(offset + done, next + done, piece);
                if (offset >= begin_) add(offset + done, {next + done, piece});
                done += piece;
              }
            }};
  }
  /// The reader reads no more.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    news_.notify_one();
  }

  /// Bytes from `offset` on, as many as lie together; none that the reader has passed over. Waits
  /// for the reader. Offsets must not fall.
  std::string_view from(uint64_t offset) {
    std::unique_lock lock(mutex_);
    for (;;) {
      news_.wait(lock, [this] { return closed_ || !pieces_.empty(); });
      if (pieces_.empty() || pieces_.front().offset > offset) return {};
      const Piece piece = pieces_.front();
      if (offset < piece.offset + piece.bytes.size()) {
        return piece.bytes.substr(static_cast<std::size_t>(offset - piece.offset));
      }
      pieces_.pop_front();
    }
  }

 private:
  static constexpr std::size_t kPieceBytes = 1 << 20;

  struct Piece {
    uint64_t offset = 0;
    std::string_view bytes;
  };
  void add(uint64_t offset, std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    pieces_.push_back({offset, bytes});
    news_.notify_one();
  }

  ByteSource source_;
  uint64_t begin_;
  std::mutex mutex_;
  std::condition_variable news_;
  std::deque<Piece> pieces_;
  bool closed_ = false;
};

}  // namespace bitstill
