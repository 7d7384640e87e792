#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <regex>

#include "bitstill/base/text.hpp"
#include "bitstill/report/figures.hpp"
#include "bitstill/report/scaling.hpp"
#include "page_check.hpp"

namespace bitstill {
namespace {

ScalingRow row(const std::string& mode, int64_t nodes, double efficiency, int64_t repeats) {
  ScalingRow r;
  r.mode = mode;
  r.nodes = nodes;
  r.ranks = 2 * nodes;
  r.batch = 64;
  r.repeats = repeats;
  r.images_per_s = {1234.4, 1200, 1260};
  r.step_ms = {10.44, 10.1, 11};
  r.efficiency = {efficiency, efficiency - 1, efficiency + 1};
  r.exchange_ms = {0.5, 0.25, 0.75};
  r.megabytes = {3, 3, 3};
  r.memory_mb = {2500, 2400, 2600};
  return r;  // gather_ms is missing
}

/// Weak on 1, 2 and 4 nodes, 4 without repeats; simulated up to 1,024.
ScalingStudy example() {
  ScalingStudy study;
  study.name = "digits";
  study.rows = {row("weak", 1, 100, 3), row("weak", 2, 90, 3), row("weak", 4, 80, 1)};
  study.simulated = {{4, 8, 20, 95, 19, 96}, {1024, 2048, 25, 76, 24, 79}};
  return study;
}

/// Where a point is drawn, by the text that is shown when pointed at it.
using Places = std::map<std::string, std::pair<double, double>>;
Places places(const std::string& page) {
  static const std::regex kHit(
      "class=\"hit\" cx=\"([^\"]*)\" cy=\"([^\"]*)\" r=\"6\"><title>"
      "([^<]*)<");
  Places found;
  for (std::sregex_iterator i(page.begin(), page.end(), kHit), end; i != end; ++i) {
    found[(*i)[3]] = {std::stod((*i)[1]), std::stod((*i)[2])};
  }
  return found;
}

TEST(ScalingPage, IsWellFormedAndSelfContained) {
  const std::string evil = "<script>alert('&\"1\"')</script>";
  ScalingStudy hostile = example();
  hostile.name = hostile.folder = hostile.unit = evil;
  hostile.notes = {evil};
  hostile.rows[0].mode = evil;
  ScalingStudy missing;
  missing.rows.resize(1);
  missing.rows[0].mode = "weak";
  missing.simulated.resize(1);
  for (const ScalingStudy& study : {ScalingStudy{}, missing, hostile, example()}) {
    const std::string page = scaling_page(study);
    EXPECT_EQ(malformed(page), "");
    EXPECT_EQ(foreign_part(page), "");
    EXPECT_EQ(times(page, "<li class=\"note\">"), study.notes.size());
  }
}

TEST(ScalingPage, WithoutPointsThereIsNoFigureAndNoTable) {
  for (const char* part : {"<svg", "<table", "class=\"notes\"", "left out"}) {
    EXPECT_FALSE(contains(scaling_page({}), part)) << part;
  }
  EXPECT_EQ(scaling_table({}), "");
}

TEST(ScalingPage, DoublingTheNodesIsAlwaysAsFar) {
  ScalingStudy study = example();
  study.simulated.clear();
  const Places at = places(scaling_page(study));
  ASSERT_EQ(at.size(), 6u);  // the ideal's as well
  const auto one = at.at("measured\nnodes 1: 100 (99 to 101)"),
             two = at.at("measured\nnodes 2: 90 (89 to 91)"), four = at.at("measured\nnodes 4: 80");
  EXPECT_NEAR(two.first - one.first, four.first - two.first, 0.11);
  EXPECT_NEAR(one.first - 44, 366 - four.first, 0.11);  // as much room at both ends
  EXPECT_GT(one.first, 50);
  EXPECT_NEAR(two.second - one.second, four.second - two.second, 0.11);
  for (const char* count : {"1", "2", "4"}) {
    const double ideal = at.at(concat("ideal\nnodes ", count, ": 100")).second;
    EXPECT_EQ(ideal, one.second) << count;
  }
}

TEST(ScalingPage, TicksAreThePointsNodesInFull) {
  const std::string page = scaling_page(example());
  static const std::regex kTick("y=\"213\" text-anchor=\"middle\">([^<]*)<");
  std::string ticks;
  for (std::sregex_iterator i(page.begin(), page.end(), kTick), end; i != end; ++i) {
    ticks += (*i)[1].str() + " ";
  }
  EXPECT_EQ(ticks, "1 2 4 1,024 ");
}

TEST(ScalingPage, LabelsThatWouldTouchAreLeftOut) {
  ScalingStudy study;
  for (int64_t nodes = 1; nodes <= 32; ++nodes) study.rows.push_back(row("weak", nodes, 90, 1));
  const std::string page = scaling_page(study);
  EXPECT_GT(times(page, "y=\"213\""), 8u);
  EXPECT_LT(times(page, "y=\"213\""), 20u);
  EXPECT_EQ(times(page, "y2=\"200\""), 32u);  // their ticks are there
}

TEST(ScalingPage, RangesOfRepeatsAreBars) {
  const std::string page = scaling_page(example());
  EXPECT_EQ(times(page, "class=\"interval\""), 2u * 3);  // each with two caps
}

TEST(ScalingPage, SimulationsAreMarkedAsSuchAndOfWeakScalingAlone) {
  ScalingStudy study = example();
  EXPECT_EQ(times(scaling_page(study), "class=\"mark hollow\""), 2u);
  EXPECT_EQ(times(scaling_page(study), "simulated, not measured\nnodes"), 2u);
  EXPECT_TRUE(contains(scaling_page(study), escape_html(simulation_limits())));
  EXPECT_TRUE(contains(scaling_table(study), simulation_limits()));
  study.rows = {row("strong", 1, 100, 3)};
  const std::string both = scaling_page(study);
  EXPECT_EQ(times(both, "<svg"), 2u);
  EXPECT_EQ(times(both, "class=\"mark hollow\""), 2u);
  study.simulated.clear();
  EXPECT_EQ(times(scaling_page(study), "<svg"), 1u);
  EXPECT_FALSE(contains(scaling_page(study), "Weak scaling"));
  EXPECT_FALSE(contains(scaling_table(study), "left out"));
}

TEST(ScalingPage, TheAxisBeginsAtZeroWhereMuchIsLost) {
  ScalingStudy study = example();
  EXPECT_FALSE(contains(scaling_page(study), ">0</text>"));
  study.rows[2].efficiency = {30, 30, 30};
  EXPECT_TRUE(contains(scaling_page(study), ">0</text>"));
}

TEST(ScalingTable, RepeatsHaveARange) {
  const std::vector<Cells> cells = measured_cells(example());
  ASSERT_EQ(cells.size(), 4u);
  EXPECT_EQ(cells[2], (Cells{"weak", "2", "4", "64", "3", "1,234 (1,200 to 1,260)",
                             "90.0 (89.0 to 91.0)", "10.4 (10.1 to 11.0)", "0.50 (0.25 to 0.75)",
                             "-", "3.00 (3.00 to 3.00)", "2,500 (2,400 to 2,600)"}));
  EXPECT_EQ(cells[3][5], "1,234");
  EXPECT_EQ(simulated_cells(example())[2],
            (Cells{"1,024", "2,048", "25.0", "76.0", "24.0", "79.0"}));
}

TEST(ScalingTable, NamesWhatIsCounted) {
  ScalingStudy study = example();
  EXPECT_TRUE(contains(scaling_table(study), "Images/s"));
  study.unit = "target tokens";
  EXPECT_TRUE(contains(scaling_table(study), "Target tokens/s"));
  EXPECT_TRUE(contains(scaling_page(study), "target tokens a second and node"));
}

TEST(ScalingJson, WhatIsMissingIsNull) {
  ScalingStudy study = example();
  study.notes = {"weak_n8_r1: has not run"};
  study.simulated.emplace_back();
  const Json json = Json::parse(scaling_json(study).dump());
  EXPECT_EQ(json["study"], "digits");
  EXPECT_EQ(json["unit"], "images");
  EXPECT_EQ(json["rows"][1]["nodes"], 2);
  EXPECT_EQ(json["rows"][1]["efficiency"], 90);
  EXPECT_EQ(json["rows"][1]["efficiency_high"], 91);
  EXPECT_EQ(json["rows"][1]["gather_ms"], nullptr);
  EXPECT_EQ(json["simulated"][1]["formula_efficiency"], 79);
  EXPECT_EQ(json["simulated"][2]["step_ms"], nullptr);
  EXPECT_EQ(json["simulation_limits"], simulation_limits());
  EXPECT_EQ(json["notes"][0], study.notes[0]);
  EXPECT_TRUE(scaling_json({})["rows"].is_array());
}

}  // namespace
}  // namespace bitstill
