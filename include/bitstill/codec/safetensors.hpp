// The safetensors container as bytes: 8 bytes of header length (little-endian), a JSON header, and
// the tensors' bytes one after the other. Nothing in it can run.
//
//   {"__metadata__": {"key": "text", ...},
//    "conv1.weight": {"dtype": "F32", "shape": [6, 1, 5, 5], "data_offsets": [0, 600]}, ...}
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bitstill {

enum class Dtype { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

const char* dtype_name(Dtype dtype);  // as the header spells it: "F32"
int dtype_bytes(Dtype dtype);         // of one element

struct SafetensorsEntry {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<int64_t> shape;
  uint64_t offset = 0;  // of its first byte, behind the header
  uint64_t bytes = 0;
};

struct SafetensorsHeader {
  std::vector<SafetensorsEntry> entries;  // in the order of their bytes
  std::map<std::string, std::string> metadata;
  uint64_t data_start = 0;  // where the tensors' bytes begin in the file
};

/// Places the entries one after the other (sets offset, bytes and data_start) and returns the bytes
/// that precede them: length and JSON, padded with spaces to a multiple of 8. Error(model) for a
/// name that is taken, reserved or not UTF-8.
std::string build_safetensors_header(SafetensorsHeader& header);

/// What parse_safetensors_header() needs first: how many bytes the file's header takes, its 8
/// length bytes included. `front` is the file's first bytes (all of them, or at least 64).
/// Error(model) when the file `where` is empty, foreign or cut off within the header.
uint64_t safetensors_header_bytes(std::string_view front, uint64_t file_bytes,
                                  const std::string& where);

/// Reads a header from `front`, the file's first safetensors_header_bytes() bytes or more.
/// Everything is checked: JSON, duplicate keys, types, shapes, and that the tensors tile the rest
/// of the file's `file_bytes` exactly. Error(model) names the file, what is wrong and how to mend
/// it.
SafetensorsHeader parse_safetensors_header(std::string_view front, uint64_t file_bytes,
                                           const std::string& where);

}  // namespace bitstill
