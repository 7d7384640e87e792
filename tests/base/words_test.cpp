#include "bitstill/base/words.hpp"

#include <gtest/gtest.h>

#include "bitstill/base/error.hpp"
#include "bitstill/base/json.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {

enum class Meal { breakfast, high_tea, supper };
template <>
struct WordsOf<Meal> {
  using enum Meal;
  static constexpr Word<Meal> kTable[] = {
      {supper, "supper", "late"}, {breakfast, "breakfast"}, {high_tea, "high-tea"}};
};

namespace {

TEST(Words, GoThereAndBack) {
  for (const Meal meal : {Meal::breakfast, Meal::high_tea, Meal::supper}) {
    EXPECT_EQ(from_word<Meal>(word(meal), "day.meal"), meal);
  }
  EXPECT_EQ(concat("at ", Meal::high_tea), "at high-tea");
  EXPECT_EQ(Json({{"meal", Meal::high_tea}}).dump(), R"({"meal":"high-tea"})");
}

TEST(Words, AnotherIsRefusedWithTheTableAndTheNearest) {
  const auto refusal = [](const std::string& text) {
    try {
      from_word<Meal>(text, "day.meal");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::settings);
      return std::string(error.what());
    }
    return text + " was accepted";
  };
  const std::string all = ": give one of supper, breakfast and high-tea";
  EXPECT_EQ(refusal("lunch"), "day.meal = lunch" + all);
  EXPECT_EQ(refusal("super"), "day.meal = super" + all + "; did you mean supper?");
  EXPECT_EQ(refusal("high_tea"), "day.meal = high_tea" + all + "; did you mean high-tea?");
  EXPECT_EQ(refusal("Supper"), "day.meal = Supper" + all + "; did you mean supper?");
  EXPECT_EQ(refusal(""), "day.meal = " + all);
}

TEST(Words, AreExplainedInTheirOrder) {
  EXPECT_EQ(explained_words<Meal>(), "supper (late) | breakfast | high-tea");
}

}  // namespace
}  // namespace bitstill
