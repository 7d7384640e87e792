// What the first pass of converting to JPEG shards found, kept so that a second try need not look
// again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "convert_parts.hpp"
#include "jpeg_row.hpp"

namespace bitstill {

struct ExaminedImage {
  ImageDigest digest{};  // of the file
  int64_t bytes = 0;     // of its row; 0: it could not be read
  JpegChange change = JpegChange::kept;
};

/// As integers, zero where nothing is known yet: sums over ranks that each looked at some are all.
class ExaminedImages {
 public:
  explicit ExaminedImages(std::size_t images = 0) : values_(images * kValues) {}
  std::vector<int64_t>& values() { return values_; }
  void set(std::size_t i, const ExaminedImage& image);
  ExaminedImage get(std::size_t i) const;
  Digests digests() const;
  Normalization normalization() const;

  std::vector<std::string> unreadable;  // "path: reason", sorted
  std::vector<int64_t> train_sums;      // values, squares and count of each channel

  /// Into `folder`, for a conversion named `key`. Error(storage).
  void save(const std::string& folder, const std::string& key) const;
  /// Whether the folder holds them for that key, whole.
  bool load(const std::string& folder, const std::string& key);

 private:
  static constexpr std::size_t kValues = 4;  // an image
  std::vector<int64_t> values_;
};

/// Changes with every option and file name that matters to the shards.
std::string conversion_key(const ShardOptions& options, const ImageSource& source);

}  // namespace bitstill
