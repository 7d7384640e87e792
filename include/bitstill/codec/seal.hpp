// A file's own SHA-256, in a field of its JSON: what has rotted is found before it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bitstill {

/// The field: a text of 64 hexadecimal digits. The SHA-256 is that of all bytes of the file with
/// zeros in their place.
inline const std::string kSealName = "bitstill_sha256";
inline const std::string kNoSeal(64, '0');

/// A file's length, and the SHA-256 that it carries.
struct SealedFile {
  uint64_t bytes = 0;
  std::string sha256;
};

/// Where the digits stand in compact JSON; nothing where it has no such field.
std::optional<std::size_t> find_seal(std::string_view json);

/// `json`, whose field holds kNoSeal, with the SHA-256 of itself there.
std::string sealed(std::string json);
/// Error(model) naming `where` unless the text carries the SHA-256 of itself, which is the answer.
std::string require_sealed(std::string json, const std::string& where);

/// Error(model): the bytes of `where` are not those that were written.
[[noreturn]] void refuse_seal(const std::string& where);

}  // namespace bitstill
