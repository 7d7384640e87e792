// Whether a model file's bytes are those that were written.
#include <algorithm>

#include "bitstill/base/sha256.hpp"
#include "bitstill/codec/seal.hpp"
#include "packed_layout.hpp"

namespace bitstill {
namespace {

constexpr uint64_t kPieceBytes = 1 << 20;  // hashed at once

}  // namespace

std::string header_bytes(const ByteSource& source, const std::string& where) {
  std::string bytes(std::min<uint64_t>(source.size, 64), '\0');
  source.read(0, bytes.data(), bytes.size());
  bytes.resize(safetensors_header_bytes(bytes, source.size, where));
  source.read(0, bytes.data(), bytes.size());
  return bytes;
}

std::string verify_packed_model(const ByteSource& source, const std::string& where,
                                const BytesInMemory& in_memory) {
  std::string bytes = header_bytes(source, where);
  const SafetensorsHeader header = parse_safetensors_header(bytes, source.size, where);
  const auto carried = header.metadata.find(kSealName);
  if (carried == header.metadata.end()) return "";
  const auto place = find_seal(bytes);
  if (!place) refuse_seal(where);
  Sha256 hash;
  bytes.replace(*place, kNoSeal.size(), kNoSeal);
  hash.add(bytes.data(), bytes.size());
  for (uint64_t at = header.data_start; at < source.size;) {
    std::string_view piece = in_memory ? in_memory(at) : std::string_view();
    if (piece.empty()) {
      bytes.resize(static_cast<std::size_t>(std::min(kPieceBytes, source.size - at)));
      source.read(at, bytes.data(), bytes.size());
      piece = bytes;
    }
    hash.add(piece.data(), piece.size());
    at += piece.size();
  }
  if (hash.hex() != carried->second) refuse_seal(where);
  return carried->second;
}

}  // namespace bitstill
