#include "bitstill/base/json.hpp"

#include <gtest/gtest.h>

namespace bitstill {
namespace {

std::string error_of(const std::string& text) {
  try {
    parse_json(text, "recipe.json", ExitCode::settings);
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::settings));
    return error.what();
  }
  return "";
}

TEST(Json, KeepsTheOrderOfKeys) {
  const std::string text = R"({"b":1,"a":[2,{"z":null,"y":true}],"ä":"\u0001"})";
  EXPECT_EQ(parse_json(text, "x", ExitCode::data).dump(), text);
}

TEST(Json, NamesPlaceAndPositionOfAnError) {
  const std::string text = error_of("{\"a\": 1,\n  \"b\" 2}");
  EXPECT_EQ(text.find("recipe.json: not valid JSON: "), 0u) << text;
  EXPECT_NE(text.find("line 2, column 7"), std::string::npos) << text;
  EXPECT_EQ(text.find("json.exception"), std::string::npos) << text;
}

TEST(Json, RefusesWhatIsNotJson) {
  for (const char* text :
       {"", "{", "[1,]", "{\"a\":1}x", "nan", "1e999", "\"\xFF\"", "\"\xC0\x80\""}) {
    EXPECT_NE(error_of(text), "") << text;
  }
}

TEST(Json, RefusesWhatFollowsANul) {
  EXPECT_NE(error_of(std::string("{}\0x", 4)).find("NUL character at byte 2"), std::string::npos);
}

TEST(Json, BoundsTheDepth) {
  const auto nested = [](int levels) {
    return std::string(static_cast<std::size_t>(levels), '[') +
           std::string(static_cast<std::size_t>(levels), ']');
  };
  EXPECT_EQ(error_of(nested(64)), "");
  EXPECT_NE(error_of(nested(65)).find("deeper than 64"), std::string::npos);
  EXPECT_NE(error_of(std::string(1000000, '[')).find("deeper than 64"), std::string::npos);
}

TEST(Json, BoundsTheValues) {
  std::string list = "[";
  for (int i = 0; i < 1 << 22; ++i) list += "0,";
  EXPECT_NE(error_of(list + "0]").find("more than 4194304 values"), std::string::npos);
}

// An object that keeps its order looks for a member among all before it: these would take minutes.
TEST(Json, BoundsTheMembersOfObjects) {
  const auto object = [](int members) {
    std::string text = "{";
    for (int i = 0; i < members; ++i) text += "\"member" + std::to_string(i) + "\":0,";
    return text + "\"last\":0}";
  };
  EXPECT_EQ(error_of(object(10000)), "");
  EXPECT_NE(error_of(object(1000000)).find("too many members"), std::string::npos);
  EXPECT_EQ(error_of("[" + object(10000) + "]"), "");
}

}  // namespace
}  // namespace bitstill
