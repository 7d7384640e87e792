#include "bitstill/report/study.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <tuple>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/metrics/bootstrap.hpp"
#include "bitstill/metrics/chrf.hpp"
#include "bitstill/report/find_runs.hpp"
#include "bitstill/report/summary.hpp"
#include "bitstill/report/translations.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

/// Names of the folders in `folder` that hold a run log, sorted.
std::vector<std::string> run_folders(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(folder, failure)) {
    if (is_run(entry.path().string())) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  // NAME.2 is an earlier run that was moved aside.
  const auto moved = [&names](const std::string& name) {
    const auto dot = name.find_last_not_of("0123456789");
    return dot != std::string::npos && name[dot] == '.' && dot + 1 < name.size() &&
           std::find(names.begin(), names.end(), name.substr(0, dot)) != names.end();
  };
  std::vector<std::string> present;
  std::copy_if(names.begin(), names.end(), std::back_inserter(present),
               [&](const std::string& name) { return !moved(name); });
  return present;
}

StudyRow row_of(const Json& label, const std::string& where) {
  try {
    StudyRow row;
    row.arm = label.at("arm").get<std::string>();
    row.title = label.at("title").get<std::string>();
    row.order = label.at("order").get<int64_t>();
    row.bits = label.at("bits").get<int64_t>();
    row.point = label.at("point").get<std::string>();
    row.members.push_back({});
    row.members.back().seed = label.at("seed").get<int64_t>();
    return row;
  } catch (const Json::exception&) {
    throw Error(ExitCode::data, concat(where, "/run.jsonl: \"study\" is not what a study writes"));
  }
}

void add_member(std::vector<StudyRow>& rows, StudyRow row) {
  const auto same = [&](const StudyRow& other) {
    return std::tie(other.arm, other.bits, other.point) == std::tie(row.arm, row.bits, row.point);
  };
  const auto at = std::find_if(rows.begin(), rows.end(), same);
  if (at == rows.end()) {
    rows.push_back(std::move(row));
  } else {
    at->members.push_back(row.members.front());
  }
}

void add_translations(const std::string& folder, StudyMember& member) {
  const std::string path = concat(folder, "/", kTranslationsFile);
  if (!fs::exists(path)) return;
  const Translations made =
      translations_from(read_file(path, ExitCode::data, kMostTranslationsBytes), path);
  ChrfCounts chrf;
  for (std::size_t i = 0; i < made.lines.size(); ++i) {
    member.bleu.push_back(bleu_counts(made.lines[i], made.references[i]));
    chrf += chrf_counts(made.lines[i], made.references[i]);
  }
  member.chrf = chrf.score();
}

void add_run(Study& study, const Run& run) {
  StudyRow row = row_of(run.study, run.folder);
  StudyMember& member = row.members.front();
  const Summary summary = summarize({run}).front();
  member.test = run.test;
  member.validation = run.validation;
  member.trained_norm_test = run.trained_norm_test;
  member.teacher_test = run.teacher.test;
  member.bytes = summary.bytes;
  member.under_fp32 = summary.under_fp32;
  member.under_teacher = summary.under_teacher;
  member.run = run;
  member.run.steps.clear();
  add_translations(run.folder, member);
  std::vector<StudyRow>& rows = row.point.empty() ? study.rows : study.sweep;
  add_member(rows, std::move(row));
}

bool known(const Evaluation& evaluation) {
  return std::isfinite(evaluation.accuracy);
}

}  // namespace

bool is_study(const std::string& folder) {
  if (is_run(folder)) return false;
  const std::vector<std::string> names = run_folders(folder);
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    try {
      return !read_run(concat(folder, "/", name)).study.is_null();
    } catch (const Error&) {
      return false;  // whoever reads the runs says what is wrong
    }
  });
}

Study read_study(const std::string& folder) {
  Study study;
  study.folder = folder;
  study.name = own_name(folder);
  std::vector<Run> runs;
  for (const std::string& name : run_folders(folder)) {
    runs.push_back(read_run(concat(folder, "/", name)));
  }
  find_teachers(runs);
  for (const Run& run : runs) {
    if (run.study.is_null()) continue;  // not made by a study
    if (run.finished) {
      add_run(study, run);
    } else {
      study.notes.push_back(concat(run.name, " has not ended and is not counted"));
    }
  }
  if (study.rows.empty() && study.sweep.empty() && study.notes.empty()) {
    throw Error(ExitCode::data,
                concat(folder,
                       " holds no run of a study; give run folders, or what bitstill study "
                       "wrote as study.folder"));
  }
  for (auto* rows : {&study.rows, &study.sweep}) {
    std::stable_sort(rows->begin(), rows->end(), [](const StudyRow& a, const StudyRow& b) {
      return std::tie(a.bits, a.order) < std::tie(b.bits, b.order);
    });
    for (StudyRow& row : *rows) {
      std::sort(row.members.begin(), row.members.end(),
                [](const StudyMember& a, const StudyMember& b) { return a.seed < b.seed; });
    }
  }
  return study;
}

Interval accuracy(const StudyRow& row, Measure measure) {
  std::vector<double> values;
  const Evaluation* last = nullptr;
  for (const StudyMember& member : row.members) {
    if (!known(member.*measure)) continue;
    last = &(member.*measure);
    values.push_back(last->accuracy);
  }
  if (values.size() == 1) return {last->accuracy, last->low, last->high};
  const Interval mean = mean_interval(values);
  if (std::isnan(mean.low)) return mean;
  return {mean.mean, std::max(mean.low, 0.0), std::min(mean.high, 100.0)};
}

namespace {

Interval paired(const StudyRow& a, Measure of_a, const StudyRow& b, Measure of_b) {
  std::vector<double> ours, theirs;
  Interval one{};
  for (const StudyMember& mine : a.members) {
    for (const StudyMember& other : b.members) {
      const Evaluation &x = mine.*of_a, &y = other.*of_b;
      if (mine.seed != other.seed || !known(x) || !known(y)) continue;
      ours.push_back(x.accuracy);
      theirs.push_back(y.accuracy);
      one = difference(x, y);
    }
  }
  return ours.size() == 1 ? one : paired_interval(ours, theirs);
}

}  // namespace

Interval difference(const StudyRow& a, const StudyRow& b, Measure measure) {
  return paired(a, measure, b, measure);
}

Interval points_to_teacher(const StudyRow& row) {
  return paired(row, &StudyMember::test, row, &StudyMember::teacher_test);
}

namespace {

/// Of the runs of `a` less those of `b` of the same seed; with no `b` of the runs themselves.
Interval bootstrapped(const StudyRow& a, const StudyRow* b) {
  std::vector<std::vector<BleuCounts>> ours, theirs;
  for (const StudyMember& mine : a.members) {
    if (mine.bleu.empty()) continue;
    if (b == nullptr) {
      ours.push_back(mine.bleu);
      theirs.emplace_back(mine.bleu.size());
      continue;
    }
    for (const StudyMember& other : b->members) {
      if (mine.seed != other.seed || mine.bleu.size() != other.bleu.size()) continue;
      ours.push_back(mine.bleu);
      theirs.push_back(other.bleu);
    }
  }
  if (ours.empty()) return {kMissing, kMissing, kMissing};
  const auto score = [](const BleuCounts& counts) { return counts.score(); };
  const BootstrapDifference found = paired_bootstrap(ours, theirs, score);
  return {found.difference, found.low, found.high};
}

}  // namespace

Interval bleu(const StudyRow& row) {
  return bootstrapped(row, nullptr);
}

Interval bleu_difference(const StudyRow& a, const StudyRow& b) {
  return bootstrapped(a, &b);
}

Interval judged_difference(const StudyRow& a, const StudyRow& b) {
  const Interval points = bleu_difference(a, b);
  return std::isnan(points.mean) ? difference(a, b) : points;
}

const StudyRow* find_row(const Study& study, const std::string& arm, int64_t bits) {
  for (const StudyRow& row : study.rows) {
    if (row.arm == arm && row.bits == bits) return &row;
  }
  return nullptr;
}

const StudyRow* better_of_qd_and_dq(const Study& study, int64_t bits) {
  const StudyRow *qd = find_row(study, "qd", bits), *dq = find_row(study, "dq", bits);
  if (qd == nullptr || dq == nullptr) return qd != nullptr ? qd : dq;
  return judged_difference(*dq, *qd).mean > 0 ? dq : qd;
}

}  // namespace bitstill
