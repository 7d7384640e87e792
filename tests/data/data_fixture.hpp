// What the tests of this module share: small sets of random images, files by bytes.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "../base/scratch_folder.hpp"
#include "../base/thrown_error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/data/convert.hpp"
#include "bitstill/data/dataset.hpp"
#include "bitstill/data/shard_writer.hpp"

namespace bitstill {

inline std::vector<uint8_t> random_bytes(std::size_t count, uint64_t seed) {
  RandomStream stream(seed, StreamPurpose::split);
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(stream.next());
  return bytes;
}

inline void put_file(const std::string& path, const std::string& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

inline void flip_byte(const std::string& path, std::size_t at, uint8_t mask = 0x10) {
  std::string bytes = read_file(path, ExitCode::data);
  bytes.at(at) = static_cast<char>(bytes[at] ^ mask);
  put_file(path, bytes);
}

inline ShardOptions from(const std::string& source, const std::string& out) {
  ShardOptions options;
  options.source = source;
  options.out = out;
  return options;
}

struct Rows {
  std::vector<uint8_t> pixels;
  std::vector<int64_t> labels;
  bool operator==(const Rows&) const = default;
};

inline Rows read_rows(const Dataset& dataset, Split split, const std::vector<int64_t>& rows) {
  Rows result;
  result.labels.resize(rows.size());
  RawRows raw;
  dataset.read(split, rows, &raw, result.labels.data());
  result.pixels = std::move(raw.bytes);
  return result;
}

inline Rows read_all(const Dataset& dataset, Split split) {
  std::vector<int64_t> rows(static_cast<std::size_t>(dataset.size(split)));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  return read_rows(dataset, split, rows);
}

/// A written set of odd size: train 23 rows in shards of 7, no validation, test 5 rows in one.
struct SmallSet {
  ImageShape shape{3, 5, 7};
  std::array<int64_t, kSplits> count{23, 0, 5};
  std::array<Rows, kSplits> rows;

  explicit SmallSet(const std::string& folder) {
    ShardWriter writer({folder, shape, 3, count, 7});
    for (int s = 0; s < kSplits; ++s) {
      const auto n = static_cast<std::size_t>(count[s]);
      rows[s].pixels = random_bytes(n * static_cast<std::size_t>(shape.pixels()), 40 + s);
      for (std::size_t i = 0; i < n; ++i) {
        rows[s].labels.push_back(static_cast<int64_t>(i * i % 3));
        writer.add(static_cast<Split>(s), &rows[s].pixels[i * shape.pixels()], rows[s].labels[i]);
      }
    }
    ShardIndex description;
    description.summary.name = "small";
    description.summary.classes = {"ant", "bee", "cat"};
    description.summary.split_rule = "by the test";
    writer.finish(description);
  }
};

}  // namespace bitstill
