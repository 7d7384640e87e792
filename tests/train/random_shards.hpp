// Shards of random images for the network of train_fixture.hpp.
#pragma once

#include <string>
#include <vector>

#include "bitstill/base/random.hpp"
#include "bitstill/data/shard_writer.hpp"
#include "train_fixture.hpp"

namespace bitstill {

/// Random images that fit small_spec(): `rows` to train on, 8 for validation and 8 for test.
inline void write_random_shards(const std::string& folder, int64_t rows) {
  const NetworkSpec spec = small_spec();
  ShardWriter writer({folder, spec.input, spec.classes, {rows, 8, 8}, 0});
  RandomStream stream(1, StreamPurpose::initialization);
  std::vector<uint8_t> pixels(static_cast<std::size_t>(spec.input.pixels()));
  for (const auto& [split, count] : {std::pair{Split::train, rows},
                                     {Split::validation, int64_t{8}},
                                     {Split::test, int64_t{8}}}) {
    for (int64_t row = 0; row < count; ++row) {
      for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(stream.next());
      writer.add(split, pixels.data(), row % spec.classes);
    }
  }
  ShardIndex description;
  description.summary.name = "random";
  description.summary.split_rule = "random";
  description.summary.classes = {"a", "b", "c", "d"};
  description.source = description.licence = "random numbers";
  writer.finish(description);
}

}  // namespace bitstill
