#include "bitstill/data/archive.hpp"

#include <zlib.h>

#include <algorithm>
#include <optional>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

/// zlib's window bits: how the compressed bytes are wrapped.
constexpr int kGzip = 15 + 16;
constexpr int kRaw = -15;

std::string inflate_all(std::string_view packed, int window_bits, const std::string& where,
                        int64_t most_bytes) {
  z_stream stream{};
  if (inflateInit2(&stream, window_bits) != Z_OK) {
    throw Error(ExitCode::environment, "zlib cannot start");
  }
  constexpr std::size_t kPieceBytes = 1 << 20;
  std::string bytes;
  int state = Z_OK;
  while (state == Z_OK && static_cast<int64_t>(bytes.size()) <= most_bytes) {
    // avail_in has 32 bits only: larger files go in by pieces.
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data())) + stream.total_in;
    stream.avail_in = static_cast<uInt>(
        std::min<std::size_t>(packed.size() - stream.total_in, std::size_t{1} << 30));
    const std::size_t held = bytes.size();
    bytes.resize(held + kPieceBytes);
    stream.next_out = reinterpret_cast<Bytef*>(bytes.data()) + held;
    stream.avail_out = kPieceBytes;
    state = inflate(&stream, Z_NO_FLUSH);
    bytes.resize(held + kPieceBytes - stream.avail_out);
  }
  inflateEnd(&stream);
  if (static_cast<int64_t>(bytes.size()) > most_bytes) {
    throw Error(ExitCode::data, concat(where, ": unpacks to more than ", most_bytes, " bytes"));
  }
  if (state != Z_STREAM_END) {
    throw Error(ExitCode::data, where + ": its compressed bytes are damaged or truncated");
  }
  return bytes;
}

/// A little-endian number at `offset`; nothing outside the file.
std::optional<uint64_t> number_at(std::string_view bytes, uint64_t offset, int count) {
  if (offset + count > bytes.size()) return std::nullopt;
  uint64_t value = 0;
  for (int i = count; i-- > 0;) {
    value = value << 8 | static_cast<unsigned char>(bytes[offset + static_cast<uint64_t>(i)]);
  }
  return value;
}

[[noreturn]] void damaged_zip(const std::string& where) {
  throw Error(ExitCode::data, where + ": not a zip file, or a damaged one; fetch it again");
}

uint64_t field(std::string_view zip, uint64_t offset, int count, const std::string& where) {
  const std::optional<uint64_t> value = number_at(zip, offset, count);
  if (!value) damaged_zip(where);
  return *value;
}

}  // namespace

std::string gunzip(std::string_view packed, const std::string& where, int64_t most_bytes) {
  return inflate_all(packed, kGzip, where, most_bytes);
}

std::string unzip_member(std::string_view zip, const std::string& member, const std::string& where,
                         int64_t most_bytes) {
  // Record sizes and field offsets are those of PKWARE's APPNOTE, 4.3.7, 4.3.12 and 4.3.16.
  const std::size_t end = zip.rfind("PK\5\6");
  if (end == std::string_view::npos) damaged_zip(where);
  const uint64_t entries = field(zip, end + 10, 2, where);
  uint64_t at = field(zip, end + 16, 4, where);
  for (uint64_t i = 0; i < entries; ++i) {
    if (field(zip, at, 4, where) != 0x02014b50) damaged_zip(where);
    const uint64_t name_bytes = field(zip, at + 28, 2, where);
    const uint64_t skip =
        46 + name_bytes + field(zip, at + 30, 2, where) + field(zip, at + 32, 2, where);
    if (at + skip > zip.size()) damaged_zip(where);
    if (zip.substr(at + 46, name_bytes) != member) {
      at += skip;
      continue;
    }
    const uint64_t method = field(zip, at + 10, 2, where);
    const uint64_t sum = field(zip, at + 16, 4, where);
    const uint64_t packed_bytes = field(zip, at + 20, 4, where);
    const uint64_t local = field(zip, at + 42, 4, where);
    const uint64_t begin =
        local + 30 + field(zip, local + 26, 2, where) + field(zip, local + 28, 2, where);
    if (begin + packed_bytes > zip.size() || (method != 0 && method != 8)) damaged_zip(where);
    const std::string_view packed = zip.substr(begin, packed_bytes);
    const std::string inside = concat(where, ", ", member);
    std::string bytes =
        method == 8 ? inflate_all(packed, kRaw, inside, most_bytes) : std::string(packed);
    const auto* data = reinterpret_cast<const Bytef*>(bytes.data());
    if (crc32_z(0, data, bytes.size()) != sum) damaged_zip(where);
    return bytes;
  }
  throw Error(ExitCode::data, concat(where, ": holds no ", member));
}

}  // namespace bitstill
