#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "../base/scratch_folder.hpp"
#include "../base/thrown_error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/report/scaling.hpp"

namespace bitstill {
namespace {

/// A study of weak points on 1 and 2 nodes, two repeats each, whose logs may be altered.
class PlantedStudy {
 public:
  explicit PlantedStudy(double ms = 10) {
    for (const int nodes : {1, 2}) {
      for (const int repeat : {1, 2}) {
        // A step of `ms` on one node, a quarter more on two; the second repeat takes a tenth
        // longer.
        plant(concat("weak_n", nodes, "_r", repeat), nodes,
              (nodes == 1 ? 1 : 1.25) * ms * (repeat == 1 ? 1 : 1.1));
      }
    }
    write("plan.json", plan_.dump());
  }

  std::string log(const std::string& name) const { return "points/" + name + "/run.jsonl"; }
  void write(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string text(const std::string& name) const {
    std::ifstream file(folder_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  /// In the log of a point.
  void replace(const std::string& name, const std::string& old, const std::string& with) const {
    std::string all = text(log(name));
    const std::size_t at = all.find(old);
    ASSERT_NE(at, std::string::npos) << old;
    write(log(name), all.replace(at, old.size(), with));
  }
  ScalingStudy read() const { return read_scaling(folder_.path()); }
  std::string path(const std::string& name) const { return folder_ / name; }

 private:
  void plant(const std::string& name, int nodes, double ms) {
    std::string lines =
        concat(R"({"type":"start","time":"2026-01-01T00:00:0)", plan_["points"].size(),
               R"(Z","command":"distill","settings":{"run.folder":")", name,
               R"(","train.rate":"0.1","train.global_batch":")", 32 * nodes,
               R"("},"versions":{"commit":"abc"},"cpu_model":"EPYC","hosts":)", nodes,
               R"(,"world":)", nodes, "}\n");
    for (int step = 1; step <= 12; ++step) {
      const double s = step <= 2 ? 1 : ms / 1000;  // the first two do not count
      lines += concat(
          R"({"type":"step","step":)", step, R"(,"epoch":)", 0.1 * step, R"(,"steps":1,"seconds":)",
          s, R"(,"images_per_s":)", 32 * nodes / s,
          R"(,"memory_mb":100,"ms":{"exchange":2,"gather":1},"bytes":{"gradients":3e6})", "}\n");
    }
    write(log(name), lines);
    plan_["points"].push_back({{"name", name},
                               {"mode", "weak"},
                               {"nodes", nodes},
                               {"ranks", nodes},
                               {"batch", 32 * nodes},
                               {"repeat", 1}});
  }

  ScratchFolder folder_;
  Json plan_ = {{"skip_steps", 2}, {"steps", 10}, {"points", Json::array()}};
};

TEST(ReadScaling, TheFewestNodesAreAsEfficientAsThemselves) {
  for (int i = 0; i < 50; ++i) {
    const PlantedStudy planted(1 + 0.0137 * i);
    EXPECT_EQ(planted.read().rows.at(0).efficiency.median, 100);
  }
}

TEST(ReadScaling, MediansRangesAndEfficiencyAgainstTheFewestNodes) {
  const PlantedStudy planted;
  const ScalingStudy study = planted.read();
  EXPECT_TRUE(study.notes.empty()) << study.notes.front();
  ASSERT_EQ(study.rows.size(), 2u);
  const ScalingRow &one = study.rows[0], &two = study.rows[1];
  EXPECT_EQ(one.nodes, 1);
  EXPECT_EQ(one.repeats, 2);
  EXPECT_EQ(two.ranks, 2);
  EXPECT_EQ(two.batch, 64);
  EXPECT_NEAR(one.step_ms.low, 10, 1e-2);
  EXPECT_NEAR(one.step_ms.high, 11, 1e-2);
  EXPECT_NEAR(one.images_per_s.high, 3200, 1);
  EXPECT_NEAR(one.efficiency.median, 100, 1e-2);
  EXPECT_NEAR(two.efficiency.median, 80, 1e-2);
  EXPECT_NEAR(two.efficiency.low, 100 * 10 / 12.5 / 1.1, 1e-2);
  EXPECT_NEAR(two.exchange_ms.median, 2, 1e-2);
  EXPECT_NEAR(two.gather_ms.median, 1, 1e-2);
  EXPECT_NEAR(two.megabytes.median, 3, 1e-2);
  EXPECT_EQ(two.memory_mb.median, 100);
}

/// The only note of a study, whose rows then lack that point.
std::string only_note(const PlantedStudy& planted) {
  const ScalingStudy study = planted.read();
  EXPECT_EQ(study.notes.size(), 1u);
  int64_t repeats = 0;
  for (const ScalingRow& row : study.rows) repeats += row.repeats;
  EXPECT_EQ(repeats, 3);
  return study.notes.empty() ? "" : study.notes.front();
}

TEST(ReadScaling, LeavesOutByNameWhatHasNotRun) {
  const PlantedStudy planted;
  std::filesystem::remove(planted.path(planted.log("weak_n2_r1")));
  EXPECT_EQ(only_note(planted), "weak_n2_r1: has not run");
  std::filesystem::remove(planted.path(planted.log("weak_n2_r2")));
  const std::vector<std::string> both = {"weak_n2_r1 and weak_n2_r2: have not run"};
  EXPECT_EQ(planted.read().notes, both);
}

TEST(ReadScaling, LeavesOutByNameWhatIsTooShort) {
  const PlantedStudy planted;
  const std::string log = planted.text(planted.log("weak_n1_r2"));
  planted.write(planted.log("weak_n1_r2"), log.substr(0, log.size() - 30));  // a cut line, too
  EXPECT_EQ(only_note(planted), "weak_n1_r2: has 9 steps that count, not 10");
}

TEST(ReadScaling, LeavesOutByNameWhatIsNotLikeTheMost) {
  const std::pair<const char*, const char*> changes[] = {
      {R"("commit":"abc")", R"("commit":"abd")"},
      {R"("cpu_model":"EPYC")", R"("cpu_model":"Xeon")"},
      {R"("train.rate":"0.1")", R"("train.rate":"0.2")"},
      {R"("train.rate":"0.1")", R"("train.rate":"0.1","train.seed":"3")"}};
  const char* const said[] = {"version of commit is abd, of the other points abc",
                              "the processor is Xeon, of the other points EPYC",
                              "train.rate is 0.2, of the other points 0.1",
                              "train.seed is 3, here alone"};
  for (std::size_t i = 0; i < std::size(changes); ++i) {
    const PlantedStudy planted;
    planted.replace("weak_n1_r1", changes[i].first, changes[i].second);
    EXPECT_EQ(only_note(planted), concat("weak_n1_r1: ", said[i]));
  }
}

TEST(ReadScaling, RanksOfOneHostAreNoNodes) {
  const PlantedStudy planted;
  planted.replace("weak_n2_r2", R"("hosts":2)", R"("hosts":1)");
  EXPECT_EQ(only_note(planted), "weak_n2_r2: ran on 1 host, not on 2 nodes");
}

TEST(ReadScaling, OtherRanksThanPlanned) {
  const PlantedStudy planted;
  planted.replace("weak_n2_r2", R"("world":2)", R"("world":4)");
  EXPECT_EQ(only_note(planted), "weak_n2_r2: ran on 4 ranks, not 2");
}

TEST(ReadScaling, APointTwiceCountsOnce) {
  const PlantedStudy planted;
  planted.write(planted.log("weak_n1_r2"), planted.text(planted.log("weak_n1_r1")));
  EXPECT_EQ(only_note(planted), "weak_n1_r2: is a copy of weak_n1_r1");
}

TEST(ReadScaling, ALogOfAnotherKindIsOneNote) {
  const PlantedStudy planted;
  planted.write(planted.log("weak_n1_r2"), "hello\nworld\n");
  EXPECT_HOLDS(only_note(planted), "weak_n1_r2: ");
}

TEST(ReadScaling, SentencesCountTokens) {
  const PlantedStudy planted;
  for (const char* name : {"weak_n1_r1", "weak_n1_r2", "weak_n2_r1", "weak_n2_r2"}) {
    std::string log = planted.text(planted.log(name));
    for (std::size_t at = 0; (at = log.find("images_per_s", at)) != std::string::npos;) {
      log.replace(at, 12, "tokens_per_s");
    }
    planted.write(planted.log(name), log);
  }
  const ScalingStudy study = planted.read();
  EXPECT_EQ(study.unit, "target tokens");
  ASSERT_EQ(study.rows.size(), 2u);
  EXPECT_NEAR(study.rows[1].efficiency.median, 80, 1e-2);
}

TEST(ReadScaling, AFolderNamedWithASlashHasItsName) {
  const PlantedStudy planted;
  const ScalingStudy study = read_scaling(planted.path(""));
  EXPECT_EQ(study.name, planted.read().name);
  EXPECT_FALSE(study.name.empty());
}

TEST(ReadScaling, SimulatedPointsStandApart) {
  const PlantedStudy planted;
  planted.write(
      "simulated.jsonl",
      R"({"nodes":4,"ranks":8,"step_s":0.02,"compute_s":0.018,"formula":{"step_s":0.019}})"
      "\n");
  const ScalingStudy study = planted.read();
  ASSERT_EQ(study.simulated.size(), 1u);
  EXPECT_EQ(study.simulated[0].ranks, 8);
  EXPECT_NEAR(study.simulated[0].efficiency, 90, 1e-2);
  EXPECT_NEAR(study.simulated[0].formula_ms, 19, 1e-2);
  EXPECT_EQ(study.rows.size(), 2u);
}

TEST(ReadScaling, WithoutAPlanItSaysSo) {
  const ScratchFolder empty;
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { read_scaling(empty.path()); }), "plan.json");
  const PlantedStudy planted;
  planted.write("plan.json", R"({"points":[{"name":3}]})");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { planted.read(); }), "not of bitstill scaling");
}

}  // namespace
}  // namespace bitstill
