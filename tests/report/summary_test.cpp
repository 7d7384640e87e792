#include "bitstill/report/summary.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "bitstill/report/report.hpp"
#include "log_folder.hpp"

namespace bitstill {
namespace {

Summary only_summary(const LoggedRun& run) {
  return summarize(std::vector{run}).at(0);
}

TEST(Summary, NamesTheMethodAndItsBits) {
  LoggedRun run;
  EXPECT_EQ(only_summary(run).method, "-");
  run.settings = {{"quant.method", "none"}, {"quant.bits", "4"}};
  EXPECT_EQ(only_summary(run).method, "fp32");
  run.settings = {{"quant.method", "joint"}};
  EXPECT_EQ(only_summary(run).method, "joint");
  run.settings.emplace_back("quant.bits", "1");
  EXPECT_EQ(only_summary(run).method, "joint 1 bit");
  run.settings.back().second = "2";
  EXPECT_EQ(only_summary(run).method, "joint 2 bits");
}

TEST(Summary, NamesTheNetworkByWhatItsDescriptionHas) {
  LoggedRun run;
  const auto network = [&](const Json& json) {
    run.network = json;
    return only_summary(run).network;
  };
  EXPECT_EQ(network(nullptr), "-");
  EXPECT_EQ(network(Json::object()), "-");
  EXPECT_EQ(network({{"kind", 5}}), "-");
  EXPECT_EQ(network({{"kind", "transformer"}, {"widths", {1}}}), "transformer");
  EXPECT_EQ(network({{"kind", "convnet"}}), "convnet");
  EXPECT_EQ(network({{"kind", "convnet"}, {"widths", 6}, {"hidden", {24}}}), "convnet fc 24");
  EXPECT_EQ(network({{"kind", "convnet"}, {"widths", {6, 12}}}), "convnet 6-12");
}

TEST(Summary, CountsTheFileThatShipsAndAllSeconds) {
  LoggedRun run;
  EXPECT_TRUE(std::isnan(only_summary(run).bytes));
  EXPECT_TRUE(std::isnan(only_summary(run).minutes));
  run.fp32_bytes = 1000;
  run.files = {{"master.safetensors", 500}};
  EXPECT_EQ(only_summary(run).under_fp32, 2);
  run.files.emplace_back("student.safetensors", 100);
  EXPECT_EQ(only_summary(run).under_fp32, 10);
  run.epochs.resize(3);
  run.epochs[0].seconds = 60;
  run.epochs[2].seconds = 120;
  EXPECT_EQ(only_summary(run).minutes, 3);
  run.seconds = 60;  // of its last process
  EXPECT_EQ(only_summary(run).minutes, 3);
  run.seconds = 600;
  EXPECT_EQ(only_summary(run).minutes, 10);
}

TEST(Summary, EpochsAreOfThosePlannedUntilAllAreThere) {
  Summary summary;
  EXPECT_EQ(epochs_text(summary), "-");
  summary.planned_epochs = 8;
  EXPECT_EQ(epochs_text(summary), "0 of 8");
  summary.finished = true;  // nothing was to be trained
  EXPECT_EQ(epochs_text(summary), "-");
  summary.epochs = 3;
  EXPECT_EQ(epochs_text(summary), "3 of 8");
  summary.epochs = 8;
  EXPECT_EQ(epochs_text(summary), "8");
}

TEST(Summary, DifferencesNeedImagesOnBothSides) {
  Evaluation a, b;
  a.accuracy = b.accuracy = 50;
  a.samples = 100;
  EXPECT_TRUE(std::isnan(difference(a, b).mean));
  b.samples = 0;
  EXPECT_TRUE(std::isnan(difference(a, b).mean));
  b.samples = 100;
  EXPECT_DOUBLE_EQ(difference(a, b).mean, 0);
  b.accuracy = 40;
  EXPECT_DOUBLE_EQ(difference(a, b).mean, 10);
}

TEST(Summary, TestTextHasAnIntervalWhereOneIsKnown) {
  Summary summary;
  const auto text = [&] { return summary_rows({summary}).at(1).at(4); };
  summary.test.accuracy = 97.5;
  EXPECT_EQ(text(), "97.5 %");
  summary.test.low = 96.25;
  EXPECT_EQ(text(), "97.5 %");
  summary.test.high = 98.25;
  EXPECT_EQ(text(), "97.5 % (96.2–98.2)");
  summary.test.samples = 0;
  EXPECT_EQ(text(), "none");
}

TEST(Summary, MeansWeighStepsAndLeaveOutWhatIsNoNumber) {
  std::vector<StepRecord> steps(3);
  steps[0].steps = 1;
  steps[0].ms = {{"forward", 4}, {"backward", kMissing}};
  steps[1].steps = 3;
  steps[1].ms = {{"forward", 8}};
  steps[2].steps = 1;
  steps[2].ms = {{"backward", 5}};
  EXPECT_EQ(mean_values(steps, &StepRecord::ms), (NamedNumbers{{"forward", 7}, {"backward", 5}}));
}

}  // namespace
}  // namespace bitstill
