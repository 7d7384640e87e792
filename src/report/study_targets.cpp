#include <cmath>
#include <utility>

#include "bitstill/base/text.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/study.hpp"

namespace bitstill {
namespace {

constexpr double kJointBound = -0.3;  // to max(QD, DQ), lower bound
constexpr double kFp32Bound = -0.5;   // points of the best method at 4 bits to fp32
constexpr double kBleuBound4 = -0.3;  // BLEU of QD to fp32, at 4 bits
constexpr double kBleuBound2 = -1;    // at 2 bits

bool translated(const StudyRow& row) {
  return std::isfinite(row.members.front().chrf);
}

std::string figure(const StudyRow& row, const Interval& points, const std::string& wanted) {
  const bool of_bleu = translated(row);
  return concat(signed_points(points, of_bleu ? 2 : 1), of_bleu ? " BLEU" : " points",
                ", wanted: ", wanted);
}

void add_pm_targets(const Study& study, std::vector<Target>& targets) {
  const StudyRow* qd = find_row(study, "qd", 2);
  if (qd == nullptr) return;
  for (const char* arm : {"pm", "pm_bucket", "pm_range"}) {
    const StudyRow* pm = find_row(study, arm, 2);
    if (pm == nullptr) continue;
    const Interval gap = judged_difference(*qd, *pm);
    if (std::isnan(gap.mean)) continue;  // no seed in common yet
    // The range of least error is a rival, not the post-mortem quantization that has to separate.
    const bool separation = std::string(arm) != "pm_range";
    std::string wanted = "lower bound above 0";
    if (separation && study.pm_gap > 0) wanted += concat(", mean at least ", study.pm_gap);
    targets.push_back({concat("2 bits: QD above ", pm->title), figure(*qd, gap, wanted),
                       gap.low > 0 && (!separation || gap.mean >= study.pm_gap), separation});
  }
}

void add_method_targets(const Study& study, std::vector<Target>& targets) {
  for (const int64_t bits : {2, 4}) {
    const StudyRow* best = better_of_qd_and_dq(study, bits);
    for (const char* arm : {"joint", "lsq"}) {
      const StudyRow* row = find_row(study, arm, bits);
      if (row == nullptr || best == nullptr) continue;
      const Interval points = judged_difference(*row, *best);
      if (std::isnan(points.mean)) continue;
      targets.push_back(
          {concat(bits, " bits: ", row->title, " to ", best->title, ", the better of QD and DQ"),
           figure(*row, points, concat("lower bound at least ", kJointBound)),
           points.low >= kJointBound, false});
    }
  }
}

/// Of students that translate: the paper's method itself.
void add_bleu_targets(const Study& study, std::vector<Target>& targets) {
  const StudyRow* fp32 = find_row(study, "fp32_longer", 0);
  for (const auto& [bits, bound] : {std::pair{4, kBleuBound4}, std::pair{2, kBleuBound2}}) {
    const StudyRow* qd = find_row(study, "qd", bits);
    if (fp32 == nullptr || qd == nullptr) continue;
    const Interval points = bleu_difference(*qd, *fp32);
    if (std::isnan(points.mean)) continue;
    targets.push_back({concat(bits, " bits: QD to fp32 trained as long"),
                       figure(*qd, points, concat("mean at least ", bound)), points.mean >= bound,
                       false});
  }
}

void add_fp32_target(const Study& study, std::vector<Target>& targets) {
  const StudyRow *fp32 = find_row(study, "fp32_longer", 0), *best = nullptr;
  for (const StudyRow& row : study.rows) {
    if (row.bits == 4 && (best == nullptr || accuracy(row).mean > accuracy(*best).mean)) {
      best = &row;
    }
  }
  if (fp32 == nullptr || best == nullptr || translated(*fp32)) return;
  const Interval points = difference(*best, *fp32);
  if (std::isnan(points.mean)) return;
  targets.push_back({concat("4 bits: ", best->title, ", the best, to fp32 trained as long"),
                     figure(*best, points, concat("mean at least ", kFp32Bound)),
                     points.mean >= kFp32Bound, false});
}

}  // namespace

std::vector<Target> study_targets(const Study& study) {
  std::vector<Target> targets;
  add_pm_targets(study, targets);
  add_method_targets(study, targets);
  add_bleu_targets(study, targets);
  add_fp32_target(study, targets);
  return targets;
}

}  // namespace bitstill
