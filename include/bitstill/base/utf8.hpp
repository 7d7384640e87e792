// Characters of UTF-8, and words as white space of any script divides them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace bitstill {

struct Character {
  uint32_t code = 0;
  std::size_t bytes = 0;  // 0: the text does not begin with a character of UTF-8
};
/// text: not empty. Neither overlong forms nor surrogates nor codes above 0x10FFFF are characters.
Character first_character(std::string_view text);

bool is_utf8(std::string_view text);

/// Code points; a byte that begins no character is one, U+FFFD.
std::vector<uint32_t> code_points(std::string_view text);

/// What divides words: Unicode's white space and the four separators of ASCII, 0x1C to 0x1F.
bool is_white_space(uint32_t code);

/// The words of a text, without the white space around them.
std::vector<std::string_view> split_words(std::string_view text);

}  // namespace bitstill
