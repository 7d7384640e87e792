#include "bitstill/scale/profile.hpp"

#include <gtest/gtest.h>

#include "../base/thrown_error.hpp"
#include "profiles.hpp"

namespace bitstill {
namespace {

TEST(StepProfile, GoesAndComesBack) {
  StepProfile profile = with_slices(some_profile(3, 100), 4);
  profile.fixed = true;
  profile.micro_batches = 3;
  const std::string text = to_json(profile).dump();
  const StepProfile back = profile_from_json(parse_json(text, "p", ExitCode::settings), "p");
  EXPECT_EQ(to_json(back).dump(), text);
  EXPECT_EQ(back.slices.pieces[2].plain_bytes, 5120);
  EXPECT_DOUBLE_EQ(back.forward_s(), 0.003);
  EXPECT_DOUBLE_EQ(back.backward_s(), 0.0075);
}

TEST(StepProfile, RefusesWhatIsNone) {
  const Json good = to_json(with_slices(some_profile(2, 40), 2));
  const auto refused = [&](const char* pointer, const Json& value) {
    Json bad = good;
    bad[nlohmann::json_pointer<std::string>(pointer)] = value;
    return error_of(ExitCode::settings, [&] { profile_from_json(bad, "file.json"); });
  };
  EXPECT_HOLDS(refused("/format", 2), "version");
  EXPECT_HOLDS(refused("/pass_s", -1), "pass_s");
  EXPECT_HOLDS(refused("/pass_s", "1"), "pass_s");
  EXPECT_HOLDS(refused("/elements", 0), "elements");
  EXPECT_HOLDS(refused("/micro_batches", 0), "micro_batches");
  EXPECT_HOLDS(refused("/fixed", 1), "fixed");
  EXPECT_HOLDS(refused("/overlap", nullptr), "overlap");
  EXPECT_HOLDS(refused("/units", Json::array()), "units");
  EXPECT_HOLDS(refused("/units/0/backward_s", nullptr), "backward_s");
  EXPECT_HOLDS(refused("/units/0/gradients/0", Json::array({1})), "offset, count");
  EXPECT_HOLDS(refused("/units/1/gradients/0", Json::array({3, 4})), "overlap");
  EXPECT_HOLDS(refused("/units/1/gradients/1", Json::array({100, 1000})), "leave the");
  EXPECT_HOLDS(refused("/slices/window_bytes", 100), "largest piece");
  EXPECT_HOLDS(refused("/slices/pieces", Json::array()), "pieces");
  EXPECT_HOLDS(error_of(ExitCode::settings, [] { profile_from_json(Json::array(), "file.json"); }),
               "file.json");
  EXPECT_HOLDS(error_of(ExitCode::settings, [] { read_profile("/no/such/file"); }),
               "/no/such/file");
}

}  // namespace
}  // namespace bitstill
