// bitstill inspect FOLDER [--verify]: what is in a folder of shards, and whether it is whole.
#pragma once

#include <string>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/base/place.hpp"

namespace bitstill {

/// What index.json says, without opening the shards. Error(data) where it is missing or wrong.
Json inspect_shards(const std::string& folder);

/// The same for a person, several lines.
std::string inspect_text(const Json& inspected);

/// One thing that is wrong in a folder of shards.
struct Defect {
  std::string file, what;
};

/// Hashes every shard of the folder whole and every row of it; shard number n is looked at by rank
/// n mod world (this is no collective: each rank gets the defects it found itself). Throws only
/// where index.json or the row sums cannot be used at all: Error(data).
std::vector<Defect> verify_shards(const std::string& folder, const Place& place);

}  // namespace bitstill
