#include "bitstill/config/run_record.hpp"

#include <gtest/gtest.h>

#include "bitstill/base/error.hpp"
#include "bitstill/teacher/options.hpp"

namespace bitstill {
namespace {

RunRecord sample() {
  RunRecord record;
  record.command = "distill";
  record.settings = {{"train.rate", "0.1"},
                     {"train.epochs", "8"},
                     {"run.folder", "runs/a"},
                     {"teacher.file", "a/teacher.safetensors"}};
  record.data = "d1";
  record.teacher = "t1";
  record.precision = "fp32";
  record.processor = "AVX2";
  record.world = 2;
  return record;
}

std::string refusal(const RunRecord& before, const RunRecord& now, int64_t micro_batch = 8) {
  try {
    require_may_continue(differences(before, now, {}), micro_batch, "runs/a");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::settings);
    return error.what();
  }
  return "";
}

TEST(RunRecord, ComesBackFromJson) {
  const RunRecord back = run_record_from_json(to_json(sample()), "x");
  EXPECT_TRUE(differences(sample(), back, {}).empty());
  EXPECT_EQ(back.settings, sample().settings);
  EXPECT_THROW(run_record_from_json(Json::object(), "x"), Error);
  EXPECT_THROW(run_record_from_json(Json("text"), "x"), Error);
}

TEST(RunRecord, WhatIsOfTheMethodMayNotChange) {
  EXPECT_EQ(refusal(sample(), sample()), "");
  RunRecord now = sample();
  now.settings[0].second = "0.2";
  const std::string why = refusal(sample(), now);
  EXPECT_NE(why.find("train.rate was 0.1 and is 0.2 now"), std::string::npos) << why;
  for (auto member :
       {&RunRecord::command, &RunRecord::data, &RunRecord::teacher, &RunRecord::precision}) {
    now = sample();
    now.*member = "other";
    EXPECT_NE(refusal(sample(), now), "");
  }
}

TEST(RunRecord, PlacesLengthAndAnotherProcessorMay) {
  RunRecord now = sample();
  now.settings[1].second = "12";
  now.settings[2].second = "runs/moved";
  now.settings[3].second = "b/teacher.safetensors";  // of the same bytes
  now.processor = "AVX512";
  EXPECT_EQ(refusal(sample(), now), "");
  EXPECT_EQ(differences(sample(), now, {}).size(), 4U);
}

TEST(RunRecord, ATeachersLayoutMay) {
  TeacherLayout layout;
  visit_settings(layout,
                 [](const std::string& name, auto& /*member*/, const std::string& /*help*/) {
                   EXPECT_EQ(matter_of("teacher." + name), Matter::place) << name;
                 });
}

TEST(RunRecord, RanksMayWhereMicroBatchesDoNotDependOnThem) {
  RunRecord now = sample();
  now.world = 4;
  EXPECT_EQ(refusal(sample(), now, 8), "");
  const std::string why = refusal(sample(), now, 0);
  EXPECT_NE(why.find("number of ranks was 2 and is 4 now"), std::string::npos) << why;
  EXPECT_NE(why.find("train.micro_batch"), std::string::npos) << why;
}

TEST(RunRecord, ASettingUnknownThenHadItsDefault) {
  RunRecord now = sample();
  now.settings.emplace_back("train.new", "5");
  EXPECT_TRUE(differences(sample(), now, {{"train.new", "5"}}).empty());
  EXPECT_EQ(differences(sample(), now, {{"train.new", "4"}}).size(), 1U);
  RunRecord before = sample();
  before.data = before.teacher = "";  // an earlier version kept none
  EXPECT_TRUE(differences(before, sample(), {}).empty());
}

}  // namespace
}  // namespace bitstill
