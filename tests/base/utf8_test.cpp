#include "bitstill/base/utf8.hpp"

#include <gtest/gtest.h>

#include <string>

namespace bitstill {
namespace {

TEST(Utf8, TellsCharactersFromOtherBytes) {
  for (const char* good :
       {"", "plain", "\u00e4\u00df", "\u20ac", "\U0001F600", "\uFFFD", "\u0080"}) {
    EXPECT_TRUE(is_utf8(good)) << good;
  }
  // Lone and missing continuations, overlong forms, surrogates, above 0x10FFFF, cut short.
  for (const char* bad : {"\x80", "a\xC3", "\xC0\x80", "\xE0\x80\xAF", "\xED\xA0\x80",
                          "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xE2\x82", "\xFF"}) {
    EXPECT_FALSE(is_utf8(bad)) << bad;
  }
  EXPECT_TRUE(is_utf8(std::string(3, '\0')));
}

TEST(Utf8, DecodesEveryLength) {
  using Codes = std::vector<uint32_t>;
  EXPECT_EQ(code_points("a\u00e4\u20ac\U0001F600"), (Codes{0x61, 0xE4, 0x20AC, 0x1F600}));
  EXPECT_EQ(code_points("\xFFz\xE2\x82"), (Codes{0xFFFD, 'z', 0xFFFD, 0xFFFD}));
}

TEST(Utf8, SplitsAtWhiteSpaceOfAnyScript) {
  using Words = std::vector<std::string_view>;
  EXPECT_EQ(split_words(""), Words{});
  EXPECT_EQ(split_words(" \t\u00a0\u2003\u3000"), Words{});
  EXPECT_EQ(split_words("a"), Words{"a"});
  EXPECT_EQ(split_words(" a\u00a0b\u2009\u00e4\u3000\x1f c\xFF "),
            (Words{"a", "b", "\u00e4", "c\xFF"}));
  // No white space: zero-width space, word joiner.
  EXPECT_EQ(split_words("a\u200bb\u2060c").size(), 1U);
}

}  // namespace
}  // namespace bitstill
