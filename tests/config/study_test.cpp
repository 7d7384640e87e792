#include "bitstill/config/study.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "bitstill/base/error.hpp"
#include "bitstill/config/run_config.hpp"

namespace bitstill {
namespace {

std::vector<std::string> names(const std::vector<StudyRun>& plan) {
  std::vector<std::string> result;
  for (const StudyRun& run : plan) result.push_back(run.name);
  return result;
}

std::map<std::string, std::string> settings_of(const std::vector<StudyRun>& plan,
                                               const std::string& name) {
  for (const StudyRun& run : plan) {
    if (run.name == name) return {run.settings.begin(), run.settings.end()};
  }
  ADD_FAILURE() << "no run " << name;
  return {};
}

std::string refusal(const StudyOptions& options) {
  try {
    plan_study(options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::settings);
    return error.what();
  }
  return "";
}

TEST(Study, HasTheArmsOfRowS3WithNamesOfTheirOwn) {
  std::set<std::string> known;
  for (const Arm& arm : study_arms()) EXPECT_TRUE(known.insert(arm.name).second) << arm.name;
  for (const char* name : {"fp32_ce", "fp32_distilled", "pm", "pm_bucket", "pm_range", "kmeans",
                           "quantized_ce", "qd", "dq", "joint", "lsq", "qd_random"}) {
    EXPECT_EQ(known.count(name), 1u) << name;
    EXPECT_NE(arms_help().find(std::string("\n  ") + name + " "), std::string::npos) << name;
  }
}

TEST(Study, ArmsOnTheTeachersTranslationsReadThemInstead) {
  StudyOptions options;
  options.arms = "seq_fp32,seq_qd";
  options.bits = {4};
  options.seeds = {1};
  EXPECT_NE(refusal(options).find("study.sequence_folder"), std::string::npos);
  options.sequence_folder = "shards/beam";
  const auto plan = plan_study(options);
  EXPECT_EQ(names(plan),
            (std::vector<std::string>{"fp32_distilled_s1", "seq_fp32_s1", "seq_qd_4bit_s1"}));
  EXPECT_EQ(settings_of(plan, "seq_qd_4bit_s1").at("data.folder"), "shards/beam");
  EXPECT_EQ(settings_of(plan, "fp32_distilled_s1").count("data.folder"), 0u);
  options.arms = "";  // all
  EXPECT_EQ(plan_study(options).back().name, "seq_qd_4bit_s1");
  options.sequence_folder = "";
  EXPECT_NE(plan_study(options).back().name, "seq_qd_4bit_s1");
}

TEST(Study, SentencesNeedAsManyReferences) {
  StudyOptions options;
  options.source = "a.en, b.en";
  options.reference = "a.de";
  EXPECT_NE(refusal(options).find("as many files of both"), std::string::npos);
  options.reference = "a.de,b.de";
  EXPECT_EQ(refusal(options), "");
  options.beam = 0;
  EXPECT_NE(refusal(options).find("study.beam = 0"), std::string::npos);
}

TEST(Study, AnArmReplacesOnlySettingsThatDefineIt) {
  RunConfig config;
  SettingTable table;
  add_settings(table, config);
  for (const Arm& arm : study_arms()) {
    const std::map<std::string, std::string> settings(arm.settings.begin(), arm.settings.end());
    EXPECT_EQ(settings.at("quant.method") != "none", arm.quantized) << arm.name;
    for (const auto& [name, value] : arm.settings) {
      EXPECT_NO_THROW(table.set(name, value)) << arm.name;
      // Equal tensors, data and schedule: an arm may choose how it quantizes, nothing else.
      EXPECT_TRUE(name == std::string("quant.method") || name == std::string("quant.bucket") ||
                  name == std::string("quant.range"))
          << arm.name << ": " << name;
    }
  }
}

TEST(Study, TheWholeGridHasEveryArmBitsAndSeedOnce) {
  StudyOptions options;
  options.sequence_folder = "shards/beam";
  const auto plan = plan_study(options);
  const auto quantized = std::count_if(study_arms().begin(), study_arms().end(),
                                       [](const Arm& arm) { return arm.quantized; });
  const auto plain = static_cast<long>(study_arms().size()) - quantized;
  EXPECT_EQ(plan.size(), static_cast<std::size_t>(5 * (plain + 3 * quantized)));
  const auto all = names(plan);
  EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), plan.size());
  EXPECT_EQ(plan.front().name, "fp32_ce_s1");
}

TEST(Study, ARunComesAfterTheOneItBeginsWith) {
  StudyOptions options;
  options.arms = "pm, qd";
  options.bits = {2};
  options.seeds = {7, 8};
  const auto plan = plan_study(options);
  EXPECT_EQ(names(plan), (std::vector<std::string>{"fp32_distilled_s7", "fp32_longer_s7",
                                                   "pm_2bit_s7", "qd_2bit_s7", "fp32_distilled_s8",
                                                   "fp32_longer_s8", "pm_2bit_s8", "qd_2bit_s8"}));
}

TEST(Study, EqualStartsEpochsAndSeeds) {
  StudyOptions options;
  options.folder = "runs/x";
  options.start_epochs = 14;
  options.epochs = 8;
  const auto plan = plan_study(options);
  const auto qd = settings_of(plan, "qd_4bit_s3");
  EXPECT_EQ(qd.at("student.init"), "runs/x/fp32_distilled_s3/master.safetensors");
  EXPECT_EQ(qd.at("train.epochs"), "8");
  EXPECT_EQ(qd.at("quant.bits"), "4");
  EXPECT_EQ(qd.at("run.seed"), "3");
  EXPECT_EQ(qd.at("run.folder"), "runs/x/qd_4bit_s3");
  for (const char* arm : {"joint", "lsq", "dq", "kmeans", "quantized_ce"}) {
    const auto other = settings_of(plan, std::string(arm) + "_4bit_s3");
    for (const char* name : {"student.init", "train.epochs", "quant.bits", "run.seed"}) {
      EXPECT_EQ(other.at(name), qd.at(name)) << arm;
    }
  }
  // Post-mortem: of a student that was trained as long.
  const auto pm = settings_of(plan, "pm_4bit_s3");
  EXPECT_EQ(pm.at("student.init"), "runs/x/fp32_longer_s3/master.safetensors");
  EXPECT_EQ(pm.at("train.epochs"), "0");
  EXPECT_EQ(pm.at("quant.bucket"), "0");
  EXPECT_EQ(settings_of(plan, "pm_bucket_4bit_s3").count("quant.bucket"), 0u);
  const auto random = settings_of(plan, "qd_random_4bit_s3");
  EXPECT_EQ(random.at("student.init"), "random");
  EXPECT_EQ(random.at("train.epochs"), "22");
  EXPECT_EQ(settings_of(plan, "fp32_distilled_s3").at("train.epochs"), "14");
  EXPECT_EQ(settings_of(plan, "fp32_longer_s3").at("train.epochs"), "8");
}

TEST(Study, ASweepIsEveryCombination) {
  StudyOptions options;
  options.sweep = "temperature:1,2 soft_weight:.5,.75";
  options.bits = {2};
  options.seeds = {1};
  const auto plan = plan_study(options);
  EXPECT_EQ(names(plan),
            (std::vector<std::string>{"fp32_distilled_s1", "qd_2bit_temperature1_soft_weight0.5_s1",
                                      "qd_2bit_temperature1_soft_weight0.75_s1",
                                      "qd_2bit_temperature2_soft_weight0.5_s1",
                                      "qd_2bit_temperature2_soft_weight0.75_s1"}));
  EXPECT_EQ(plan[3].point, "temperature 2, soft_weight 0.5");
  EXPECT_TRUE(plan[0].point.empty());
  const auto settings = settings_of(plan, plan[3].name);
  EXPECT_EQ(settings.at("distill.temperature"), "2");
  EXPECT_EQ(settings.at("distill.soft_weight"), "0.5");
  EXPECT_LT(plan[1].order, plan[2].order);
}

TEST(Study, RefusesWhatItDoesNotUnderstand) {
  const auto with = [](auto change) {
    StudyOptions options;
    change(options);
    return refusal(options);
  };
  EXPECT_NE(with([](auto& o) { o.arms = "qd,jont"; }).find("did you mean joint?"),
            std::string::npos);
  EXPECT_NE(with([](auto& o) { o.arms = "qd,qd"; }).find("twice"), std::string::npos);
  EXPECT_NE(with([](auto& o) { o.bits = {9}; }).find("study.bits = 9"), std::string::npos);
  EXPECT_NE(with([](auto& o) { o.seeds = {}; }).find("study.seeds"), std::string::npos);
  EXPECT_NE(with([](auto& o) { o.epochs = 0; }).find("study.epochs = 0"), std::string::npos);
  EXPECT_NE(with([](auto& o) { o.epochs = INT64_MAX; }).find("study.epochs = 9"),
            std::string::npos);
  for (const char* sweep : {"rate:1,2", "temperature", "temperature:", "temperature:1,x",
                            "temperature:1 temperature:2"}) {
    EXPECT_NE(with([&](auto& o) { o.sweep = sweep; }).find("study.sweep"), std::string::npos)
        << sweep;
  }
  EXPECT_NE(with([](auto& o) {
              o.sweep = "temperature:1";
              o.arms = "pm";
            }).find("does not learn"),
            std::string::npos);
  std::string many = "1";
  for (int i = 2; i <= 2000; ++i) many += "," + std::to_string(i);
  EXPECT_NE(with([&](auto& o) {
              o.sweep = "temperature:" + many + " soft_weight:" + many;
            }).find("more than 2000 runs"),
            std::string::npos);
  EXPECT_NE(with([](auto& o) { o.seeds.assign(1000, 1); }).find("more than 2000 runs"),
            std::string::npos);
}

}  // namespace
}  // namespace bitstill
