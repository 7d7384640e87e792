#include "bitstill/config/scaling.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "../base/thrown_error.hpp"

namespace bitstill {
namespace {

ScalingOptions options() {
  ScalingOptions s;
  s.nodes = {1, 2, 8};
  s.ranks = 4;
  return s;
}

TEST(Scaling, PlansEachPointOnceInASeededOrder) {
  ScalingOptions s = options();
  const std::vector<ScalingPoint> points = plan_points(s, 96);
  std::set<std::string> names;
  for (const ScalingPoint& point : points) {
    names.insert(point.name());
    EXPECT_EQ(point.ranks, 4 * point.nodes);
    EXPECT_EQ(point.batch, point.mode == ScalingMode::weak ? 96 * point.nodes : 96);
  }
  EXPECT_EQ(points.size(), 18u);
  EXPECT_EQ(names.size(), 18u);
  EXPECT_TRUE(names.contains("weak_n8_r3") && names.contains("strong_n1_r1"));
  const auto order = [](const std::vector<ScalingPoint>& plan) {
    std::vector<std::string> result;
    for (const ScalingPoint& point : plan) result.push_back(point.name());
    return result;
  };
  EXPECT_EQ(order(points), order(plan_points(s, 96)));
  EXPECT_FALSE(std::is_sorted(points.begin(), points.end(),
                              [](const auto& a, const auto& b) { return a.nodes < b.nodes; }));
  s.seed = 2;
  EXPECT_NE(order(points), order(plan_points(s, 96)));
}

TEST(Scaling, TheRecipesBatchIsThatOfTheFewestNodes) {
  ScalingOptions s = options();
  s.nodes = {2, 3};
  s.modes = "weak";
  s.repeats = 1;
  for (const ScalingPoint& point : plan_points(s, 64)) EXPECT_EQ(point.batch, 32 * point.nodes);
  EXPECT_HOLDS(error_of(ExitCode::settings, [&] { plan_points(s, 63); }),
               "batch of 63 does not divide among 2 nodes");
}

TEST(Scaling, RefusesByName) {
  const auto refusal = [](auto change) {
    ScalingOptions s = options();
    change(s);
    return error_of(ExitCode::settings, [&] { check(s); });
  };
  EXPECT_HOLDS(refusal([](auto& s) { s.nodes = {4, 2}; }), "above the one before");
  EXPECT_HOLDS(refusal([](auto& s) { s.nodes = {2, 2}; }), "above the one before");
  EXPECT_HOLDS(refusal([](auto& s) { s.nodes = {0}; }), "1 or more");
  EXPECT_HOLDS(refusal([](auto& s) { s.modes = "weak,strng"; }), "strong");
  EXPECT_HOLDS(refusal([](auto& s) { s.modes = "weak,weak"; }), "weak twice");
  EXPECT_HOLDS(refusal([](auto& s) { s.modes = ""; }), "scaling.modes is empty");
  EXPECT_HOLDS(refusal([](auto& s) { s.repeats = 0; }), "scaling.repeats = 0");
  EXPECT_HOLDS(refusal([](auto& s) { s.repeats = 1 << 20; }), "scaling.repeats");
}

TEST(Scaling, AScriptIsForSbatchAndBash) {
  ScalingOptions s = options();
  s.sbatch = "--time=00:10:00 --partition=debug";
  const ScalingPoint point = {ScalingMode::weak, 8, 32, 2, 768};
  ScalingPlaces places = {"/opt/bitstill", "/opt/launch/run.sh", "/data/it's", "/data",
                          "distill",       "train.global_batch"};
  EXPECT_EQ(point_script(s, point, places), R"(#!/usr/bin/env bash
# weak scaling, 8 nodes of 4 ranks, repeat 2 of 3: sbatch or bash starts it; what was interrupted goes on.
#SBATCH --job-name=weak_n8_r2
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=1
#SBATCH --signal=B:USR1@60
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=/data/it's/points/weak_n8_r2.out
#SBATCH --time=00:10:00
#SBATCH --partition=debug
set -euo pipefail
cd '/data'
exec '/opt/launch/run.sh' -n 32 --threads 1 '/opt/bitstill' distill --config '/data/it'\''s/recipe.cfg' \
  --run.folder '/data/it'\''s/points/weak_n8_r2' --train.global_batch 768 --run.threads 1 --run.stop_steps 120 --run.log_steps 1 --run.save_minutes 0 --run.save_steps 0 --resume=auto
)");
  s.launcher = ScalingLauncher::srun;
  EXPECT_HOLDS(point_script(s, point, places),
               "\nexec srun --mpi=pmix --ntasks 32 '/opt/bitstill' distill");
  EXPECT_EQ(submit_script(s, {point, {ScalingMode::strong, 1, 4, 1, 96}}), R"(#!/usr/bin/env bash
# Hands the points to sbatch, in an order drawn by scaling.seed = 1; those that have ended are left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/points"
for point in \
  weak_n8_r2 \
  strong_n1_r1; do
  grep -qs '"step":120,' "$point/run.jsonl" || sbatch "$point.sh"
done
)");
}

}  // namespace
}  // namespace bitstill
