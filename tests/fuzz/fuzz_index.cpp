// Fuzz target: index.json of a folder of shards from a stranger, who can make the SHA-256 that it
// ends with right, so that is done here. Every text becomes an index or Error(data) of one line; an
// index, written and read again, is the same.
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "bitstill/base/error.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/data/shard_index.hpp"

namespace {

using namespace bitstill;

constexpr const char* kSelf = "index_sha256";

std::optional<ShardIndex> read(const std::string& text) {
  try {
    return parse_index(text, "fuzz");
  } catch (const Error& error) {
    if (error.code() != ExitCode::data || std::strchr(error.what(), '\n') != nullptr) std::abort();
    return std::nullopt;
  }
}

/// With the right SHA-256; as it is where it is no object.
std::string signed_text(const std::string& text) {
  try {
    Json json = parse_json(text, "fuzz", ExitCode::data);
    if (!json.is_object()) return text;
    json.erase(kSelf);
    json[kSelf] = sha256_hex(json.dump());
    return json.dump();
  } catch (const Error&) {
    return text;
  }
}

bool same(const ShardIndex& a, const ShardIndex& b) {
  for (int split = 0; split < kSplits; ++split) {
    if (a.shards[split].size() != b.shards[split].size()) return false;
    for (std::size_t i = 0; i < a.shards[split].size(); ++i) {
      if (a.shards[split][i].layout != b.shards[split][i].layout) return false;
    }
  }
  return index_text(a) == index_text(b);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  read(text);
  const std::optional<ShardIndex> index = read(signed_text(text));
  if (!index) return 0;
  for (const auto& split : index->shards) {
    for (const ShardEntry& entry : split) {
      if (!is_sound(entry.layout)) std::abort();
    }
  }
  const std::optional<ShardIndex> again = read(index_text(*index));
  if (!again || !same(*index, *again)) std::abort();
  return 0;
}
