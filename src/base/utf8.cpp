#include "bitstill/base/utf8.hpp"

#include <algorithm>

namespace bitstill {
namespace {

constexpr uint32_t kReplacement = 0xFFFD;

}  // namespace

Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return {byte(0), 1};
  const std::size_t bytes = byte(0) >= 0xF0 ? 4 : byte(0) >= 0xE0 ? 3 : byte(0) >= 0xC2 ? 2 : 0;
  if (bytes == 0 || text.size() < bytes) return {};
  uint32_t code = byte(0) & (0x7FU >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) return {};
    code = code << 6U | (byte(i) & 0x3FU);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  return code < kLeast[bytes] || code > 0x10FFFF || surrogate ? Character{}
                                                              : Character{code, bytes};
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const Character c = first_character(text);
    if (c.bytes == 0) return false;
    text.remove_prefix(c.bytes);
  }
  return true;
}

std::vector<uint32_t> code_points(std::string_view text) {
  std::vector<uint32_t> codes;
  codes.reserve(text.size());
  while (!text.empty()) {
    const Character c = first_character(text);
    codes.push_back(c.bytes > 0 ? c.code : kReplacement);
    text.remove_prefix(std::max<std::size_t>(c.bytes, 1));
  }
  return codes;
}

bool is_white_space(uint32_t code) {
  const auto within = [code](uint32_t low, uint32_t high) { return code >= low && code <= high; };
  return within(0x09, 0x0D) || within(0x1C, 0x20) || code == 0x85 || code == 0xA0 ||
         code == 0x1680 || within(0x2000, 0x200A) || within(0x2028, 0x2029) || code == 0x202F ||
         code == 0x205F || code == 0x3000;
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t begin = 0, at = 0;
  const auto end_word = [&] {
    if (at > begin) words.push_back(text.substr(begin, at - begin));
  };
  while (at < text.size()) {
    const Character c = first_character(text.substr(at));
    const std::size_t bytes = std::max<std::size_t>(c.bytes, 1);
    if (c.bytes > 0 && is_white_space(c.code)) {
      end_word();
      begin = at + bytes;
    }
    at += bytes;
  }
  end_word();
  return words;
}

}  // namespace bitstill
