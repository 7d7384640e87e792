#include "bitstill/data/image_shape.hpp"

#include <gtest/gtest.h>

#include "../base/thrown_error.hpp"

namespace bitstill {
namespace {

std::string shape_refused(const Json& json) {
  return error_of(ExitCode::data, [&] { image_shape_from_json(json, "here", ExitCode::data); });
}

std::string normalization_refused(const Json& mean, const Json& deviation) {
  return error_of(ExitCode::model, [&] {
    normalization_from_json({{"mean", mean}, {"std", deviation}}, "here", ExitCode::model, "std");
  });
}

TEST(ImageShape, GoesAndComesBack) {
  const ImageShape shape{64, 1, 4096};
  EXPECT_EQ(image_shape_from_json(to_json(shape), "here", ExitCode::data), shape);
}

TEST(ImageShape, WhatIsNoShapeIsNamed) {
  const Json good = to_json(ImageShape{3, 32, 32});
  EXPECT_EQ(shape_refused(Json::array({3, 32, 32})), "here: \"channels\" is missing");
  EXPECT_EQ(shape_refused({{"channels", 3}, {"width", 32}}), "here: \"height\" is missing");
  for (const Json& wrong :
       {Json(0), Json(-1), Json(4097), Json(UINT64_MAX), Json(32.0), Json("32")}) {
    Json json = good;
    json["width"] = wrong;
    EXPECT_EQ(shape_refused(json), "here: \"width\" is not a whole number from 1 to 4096");
  }
  EXPECT_HOLDS(shape_refused({{"channels", 65}}),
               "\"channels\" is not a whole number from 1 to 64");
}

TEST(Normalization, GoesAndComesBack) {
  const Normalization normalization{{0.1307F, -0.25F}, {0.3081F, 1e-3F}};
  EXPECT_EQ(normalization_from_json(to_json(normalization), "here", ExitCode::model),
            normalization);
  EXPECT_TRUE(normalization.stated());
  EXPECT_FALSE(Normalization().stated());
}

TEST(Normalization, WhatIsNoneIsNamed) {
  EXPECT_EQ(normalization_refused({0.5, 0.5}, {0.25}), "here: 2 means but 1 deviations");
  for (const Json& wrong : {Json(0.5), Json::array(), Json(std::vector<float>(65, 0.5F))}) {
    EXPECT_EQ(normalization_refused(wrong, {1}), "here: \"mean\" is not a list of 1 to 64 numbers");
    EXPECT_EQ(normalization_refused({1}, wrong), "here: \"std\" is not a list of 1 to 64 numbers");
  }
  EXPECT_EQ(normalization_refused({"half"}, {1}),
            "here: \"mean\" holds \"half\", not a finite number");
  EXPECT_HOLDS(normalization_refused({1e300}, {1}), "\"mean\" holds 1e+300, not a finite number");
  EXPECT_EQ(normalization_refused({-1}, {0.5, 0}),
            "here: \"std\" holds 0, not a finite positive number");
  EXPECT_HOLDS(normalization_refused({-1}, {-0.5}), "\"std\" holds -0.5");
  EXPECT_HOLDS(
      error_of(ExitCode::data,
               [] {
                 normalization_from_json({{"mean", {0}}, {"std", {1}}}, "here", ExitCode::data);
               }),
      "\"deviation\" is missing");
}

TEST(Normalization, IsWrittenToTheBit) {
  EXPECT_EQ(to_text(Normalization{{0.1307F}, {0.3081F}}), "mean 0.1307 and std 0.3081");
  EXPECT_EQ(to_text(Normalization{{0.5F, 0.1F + 0.2F}, {1, 0.25F}}), "mean 0.5,0.3 and std 1,0.25");
  EXPECT_EQ(to_text(Normalization{}), "mean none and std none");
}

}  // namespace
}  // namespace bitstill
