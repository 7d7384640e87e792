#include "bitstill/report/study.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "../base/thrown_error.hpp"
#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/report/translations.hpp"
#include "log_folder.hpp"
#include "page_check.hpp"

namespace bitstill {
namespace {

struct Entry {
  std::string arm, title;
  int order, bits;
  int seed;
  int correct;  // of 1000 test images
  std::string point = "";
  int validation = 900;  // correct of 1000
  int trained_norm = -1;
  bool ended = true;
};

class StudyFolder {
 public:
  StudyFolder() : folder_("") { std::filesystem::remove(folder_.path() + "/run.jsonl"); }
  const std::string& path() const { return folder_.path(); }

  void add(const Entry& e) const {
    const std::string run =
        path() + "/" + e.arm + std::to_string(e.bits) + e.point + "_s" + std::to_string(e.seed);
    const auto counts = [](int correct) { return Json{{"samples", 1000}, {"correct", correct}}; };
    const Json start = {{"type", "start"},
                        {"study",
                         {{"arm", e.arm},
                          {"title", e.title},
                          {"order", e.order},
                          {"bits", e.bits},
                          {"seed", e.seed},
                          {"point", e.point}}},
                        {"settings", {{"quant.method", e.arm}, {"train.rate", "0.1"}}}};
    const Json epoch = {{"type", "epoch"},
                        {"epoch", 1},
                        {"train", {{"loss", 0.5}}},
                        {"validation", counts(e.validation)}};
    Json end = {{"type", "end"},
                {"fp32_file_bytes", 16000},
                {"test", counts(e.correct)},
                {"validation", counts(e.validation)},
                {"files", {{"student.safetensors", {{"bytes", e.bits == 0 ? 16500 : 4000}}}}}};
    if (e.trained_norm >= 0) end["without_reestimation"] = {{"test", counts(e.trained_norm)}};
    std::filesystem::create_directory(run);
    replace_file(run + "/run.jsonl", start.dump() + "\n" + epoch.dump() + "\n" +
                                         (e.ended ? end.dump() + "\n" : std::string()));
  }
  /// QD and one other arm, a value for each seed.
  void add_arm(const std::string& arm, const std::string& title, int order, int bits,
               const std::vector<int>& correct) const {
    for (std::size_t i = 0; i < correct.size(); ++i) {
      add({arm, title, order, bits, static_cast<int>(i + 1), correct[i]});
    }
  }

 private:
  LogFolder folder_;
};

const Target& target(const std::vector<Target>& targets, const std::string& part) {
  static const Target kNone;
  for (const Target& one : targets) {
    if (one.name.find(part) != std::string::npos) return one;
  }
  ADD_FAILURE() << "no target " << part;
  return kNone;
}

TEST(StudyReport, AFolderOfRunsThatAStudyMadeIsOne) {
  const StudyFolder folder;
  EXPECT_FALSE(is_study(folder.path()));  // empty
  folder.add({"qd", "QD", 3, 2, 1, 950});
  EXPECT_TRUE(is_study(folder.path()));
  const LogFolder single(whole_log());
  EXPECT_FALSE(is_study(single.path()));
  const StudyFolder others;  // runs of train and distill: folders to search, no study
  std::filesystem::create_directory(others.path() + "/a");
  replace_file(others.path() + "/a/run.jsonl", whole_log());
  EXPECT_FALSE(is_study(others.path()));
}

TEST(StudyReport, RunsOfOtherCommandsAreNoStudy) {
  const StudyFolder folder;
  std::filesystem::create_directory(folder.path() + "/a");
  replace_file(folder.path() + "/a/run.jsonl", whole_log());
  try {
    read_study(folder.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_TRUE(contains(error.what(), "holds no run of a study")) << error.what();
  }
}

TEST(StudyReport, RowsAreMeansOverSeedsWithStudentsInterval) {
  const StudyFolder folder;
  folder.add_arm("qd", "QD", 3, 2, {950, 960, 970});
  folder.add_arm("fp32_longer", "fp32 longer", 2, 0, {980, 981, 982});
  const Study study = read_study(folder.path());
  ASSERT_EQ(study.rows.size(), 2u);
  EXPECT_EQ(study.rows[0].arm, "fp32_longer");  // full precision first
  const Interval qd = accuracy(study.rows[1]);
  EXPECT_NEAR(qd.mean, 96, 1e-9);
  EXPECT_NEAR(qd.high - qd.mean, 4.30265 / std::sqrt(3.0), 1e-4);
  EXPECT_EQ(study.rows[1].members[0].bytes, 4000);
  EXPECT_EQ(study.rows[1].members[0].under_fp32, 4);
  const auto cells = grid_cells(study);
  ASSERT_EQ(cells.size(), 3u);
  EXPECT_EQ(cells[2][0], "QD");
  EXPECT_EQ(cells[2][3], "96.0 % (93.5–98.5)");
  EXPECT_EQ(cells[0][5], "Smaller than fp32");
  EXPECT_EQ(cells[2][5], "4.0x");
}

TEST(StudyReport, OneSeedHasTheIntervalsOfItsImages) {
  const StudyFolder folder;
  folder.add({"qd", "QD", 3, 2, 1, 975});
  folder.add({"pm", "PM", 7, 2, 1, 500});
  const Study study = read_study(folder.path());
  const Interval qd = accuracy(*find_row(study, "qd", 2));
  EXPECT_NEAR(qd.low, 96.34, 0.01);  // Wilson's
  EXPECT_NEAR(qd.high, 98.30, 0.01);
  const Interval gap = difference(*find_row(study, "qd", 2), *find_row(study, "pm", 2));
  EXPECT_DOUBLE_EQ(gap.mean, 47.5);
  EXPECT_TRUE(gap.low > 43 && gap.low < 45 && gap.high > 50 && gap.high < 52);
  EXPECT_TRUE(target(study_targets(study), "QD above PM").pass);
}

TEST(StudyReport, DifferencesArePairedBySeed) {
  const StudyFolder folder;
  folder.add_arm("qd", "QD", 3, 2, {700, 800, 900});
  folder.add({"pm", "PM", 7, 2, 2, 790});
  folder.add({"pm", "PM", 7, 2, 3, 890});
  folder.add({"pm", "PM", 7, 2, 9, 100});  // a seed that QD has not
  const Study study = read_study(folder.path());
  const Interval gap = difference(*find_row(study, "qd", 2), *find_row(study, "pm", 2));
  EXPECT_NEAR(gap.mean, 1, 1e-9);
  EXPECT_NEAR(gap.low, 1, 1e-9);
}

TEST(StudyReport, QdHasToBeAbovePmBySignificanceAndByTheGap) {
  const StudyFolder folder;
  folder.add_arm("qd", "QD", 3, 2, {950, 960, 955});
  folder.add_arm("pm", "PM", 7, 2, {930, 941, 936});                  // 1.9 to 2 points below
  folder.add_arm("pm_bucket", "PM + bucket", 8, 2, {600, 990, 700});  // not significant
  folder.add_arm("pm_range", "PM + range", 9, 2, {940, 951, 946});  // a rival: shown, not required
  Study study = read_study(folder.path());
  EXPECT_TRUE(target(study_targets(study), "above PM + range").pass);
  EXPECT_FALSE(target(study_targets(study), "above PM + range").separation);
  EXPECT_TRUE(target(study_targets(study), "above PM").pass);
  EXPECT_TRUE(target(study_targets(study), "above PM").separation);
  EXPECT_FALSE(target(study_targets(study), "above PM + bucket").pass);
  study.pm_gap = 3;
  EXPECT_FALSE(target(study_targets(study), "above PM").pass);
  EXPECT_TRUE(contains(target(study_targets(study), "above PM").figure, "mean at least 3"));
}

TEST(StudyReport, JointAndLsqAreHeldAgainstTheBetterOfQdAndDq) {
  const StudyFolder folder;
  folder.add_arm("qd", "QD", 3, 4, {960, 961, 962});
  folder.add_arm("dq", "DQ", 11, 4, {970, 971, 972});
  folder.add_arm("joint", "joint", 4, 4, {970, 970, 971});
  folder.add_arm("lsq", "LSQ", 5, 4, {962, 963, 964});  // above QD, below DQ
  folder.add_arm("fp32_longer", "fp32 longer", 2, 0, {974, 976, 977});
  const Study study = read_study(folder.path());
  EXPECT_EQ(better_of_qd_and_dq(study, 4)->arm, "dq");
  EXPECT_EQ(better_of_qd_and_dq(study, 2), nullptr);
  const auto targets = study_targets(study);
  EXPECT_TRUE(target(targets, "joint to DQ").pass);
  EXPECT_FALSE(target(targets, "LSQ to DQ").pass);
  EXPECT_TRUE(target(targets, "DQ, the best, to fp32").pass);
  for (const Target& one : targets) EXPECT_FALSE(one.separation) << one.name;
  std::string last;
  for (const Cells& row : grid_cells(study)) last += row.front() + ": " + row.back() + "\n";
  EXPECT_TRUE(contains(last, "joint: -0.1")) << last;
  EXPECT_TRUE(contains(last, " to DQ\nLSQ: -0.8")) << last;
  EXPECT_TRUE(contains(last, "QD: -\n")) << last;
}

TEST(StudyReport, ShowsBothBatchNorms) {
  const StudyFolder folder;
  folder.add({"qd", "QD", 3, 2, 1, 960, "", 900, 955});
  folder.add({"pm", "PM", 7, 2, 1, 700, "", 900, 300});
  const Study study = read_study(folder.path());
  const auto cells = grid_cells(study);
  EXPECT_EQ(cells[0][4], "Test, training's norm");
  EXPECT_EQ(cells[2][4].substr(0, 6), "30.0 %");
  EXPECT_EQ(cells[0].back(), "To QD, training's norm");
  EXPECT_EQ(cells[2].back().substr(0, 5), "-65.5");
  EXPECT_TRUE(contains(study_markdown(study), "| PM | 2 | 1 | 70.0 % "));
}

TEST(StudyReport, ASweepIsJudgedOnValidationAlone) {
  const StudyFolder folder;
  folder.add({"qd", "QD", 9, 2, 1, 990, "temperature 2", 900});
  folder.add({"qd", "QD", 10, 2, 1, 100, "temperature 4", 910});
  folder.add({"qd", "QD", 11, 2, 1, 500, "temperature 10", 910});  // a tie: the first wins
  const Study study = read_study(folder.path());
  EXPECT_TRUE(study.rows.empty());
  const auto cells = sweep_cells(study);
  ASSERT_EQ(cells.size(), 4u);
  EXPECT_EQ(cells[1][1], "temperature 2");
  EXPECT_EQ(cells[3][1], "temperature 10");
  EXPECT_EQ(cells[2][4], "best");
  EXPECT_EQ(cells[1][4] + cells[3][4], "");
  ASSERT_EQ(sweep_winners(study).size(), 1u);
  EXPECT_TRUE(contains(sweep_winners(study)[0], "temperature 4, 91.0 %"));
  for (const std::string& text : {study_text(study), study_page(study, "."), study_markdown(study),
                                  study_csv(study), study_json(study).dump()}) {
    EXPECT_FALSE(contains(text, "99.0")) << "a test figure";
  }
}

TEST(StudyReport, UnfinishedRunsAreNamedNotCounted) {
  const StudyFolder folder;
  folder.add({"qd", "QD", 3, 2, 1, 950});
  Entry going{"qd", "QD", 3, 2, 2, 0};
  going.ended = false;
  folder.add(going);
  const Study study = read_study(folder.path());
  EXPECT_EQ(study.rows[0].members.size(), 1u);
  ASSERT_EQ(study.notes.size(), 1u);
  EXPECT_TRUE(contains(study_text(study), "qd2_s2 has not ended"));
}

TEST(StudyReport, EveryFormTellsFailuresAndNotes) {
  const StudyFolder folder;
  folder.add({"qd", "QD", 3, 2, 1, 950});
  folder.add({"pm", "PM", 7, 2, 1, 960});
  Entry going{"qd<", "QD", 3, 2, 2, 0};
  going.ended = false;
  folder.add(going);
  const Study study = read_study(folder.path());
  const std::string text = study_text(study), markdown = study_markdown(study);
  EXPECT_TRUE(contains(text, "FAIL  2 bits: QD above PM: -1.0")) << text;
  EXPECT_TRUE(contains(text, "note: qd<2_s2 has not ended")) << text;
  EXPECT_TRUE(contains(markdown, "| FAIL |")) << markdown;
  EXPECT_TRUE(contains(markdown, "- note: qd<2_s2 has not ended")) << markdown;
  const std::string page = study_page(study, ".");
  EXPECT_EQ(malformed(page), "");
  EXPECT_TRUE(contains(page, "<li class=\"note\">qd&lt;2_s2 has not ended")) << page;
  EXPECT_TRUE(contains(page, ">FAIL<"));
}

TEST(StudyReport, ASweepComparesWithinItsArmAndBits) {
  const StudyFolder folder;
  folder.add({"qd", "QD", 9, 2, 1, 900, "rate 1", 900});
  folder.add({"qd", "QD", 9, 1, 1, 900, "rate 1", 850});
  folder.add({"lsq", "LSQ", 10, 2, 1, 900, "rate 1", 800});
  folder.add({"fp32_longer", "fp32 longer", 11, 0, 1, 900, "rate 1", 950});
  const std::vector<std::string> lines = sweep_winners(read_study(folder.path()));
  std::string all;
  for (const std::string& line : lines) all += line + "\n";
  EXPECT_EQ(lines.size(), 4U);
  for (const char* part :
       {"best of QD, 2 bits: rate 1, 90.0 %", "best of QD, 1 bit: rate 1, 85.0 %",
        "best of LSQ, 2 bits: rate 1, 80.0 %", "best of fp32 longer: rate 1, 95.0 %"}) {
    EXPECT_TRUE(contains(all, part)) << part << "\n" << all;
  }
}

TEST(StudyReport, TheTeacherIsInTheTableAndNotAmongTheSizes) {
  const StudyFolder folder;
  folder.add({"teacher", "Teacher", 0, 0, 1, 990});
  const std::string dot = "Teacher: 99.0 percent at";
  EXPECT_TRUE(contains(study_page(read_study(folder.path()), "."), dot));  // alone it is drawn
  folder.add({"qd", "QD", 3, 1, 1, 950});
  const std::string page = study_page(read_study(folder.path()), ".");
  EXPECT_FALSE(contains(page, dot));
  EXPECT_TRUE(contains(page, "QD 1: 95.0 percent at"));
  EXPECT_TRUE(contains(page, "Validation accuracy, 1 bit over"));
  EXPECT_TRUE(contains(page, "Teacher"));
}

TEST(StudyReport, AnEarlierRunThatWasMovedAsideDoesNotCount) {
  const StudyFolder folder;
  folder.add({"qd", "QD", 3, 2, 1, 950});
  const std::string run = folder.path() + "/qd2_s1";
  for (const char* aside : {".2", ".17", ".", ".x2"}) std::filesystem::copy(run, run + aside);
  std::filesystem::copy(run, folder.path() + "/another.2");
  std::filesystem::create_directory(folder.path() + "/no run");
  EXPECT_EQ(read_study(folder.path() + "/").rows.at(0).members.size(), 4u);
  EXPECT_EQ(read_study(folder.path() + "/").name, std::filesystem::path(folder.path()).filename());
}

TEST(StudyReport, ALabelThatNoStudyWroteIsAnError) {
  const StudyFolder folder;
  std::filesystem::create_directory(folder.path() + "/a");
  replace_file(folder.path() + "/a/run.jsonl",
               "{\"type\":\"start\",\"study\":{\"arm\":5}}\n{\"type\":\"end\"}\n");
  EXPECT_TRUE(is_study(folder.path()));
  EXPECT_TRUE(contains(error_of(ExitCode::data, [&] { read_study(folder.path()); }),
                       "a/run.jsonl: \"study\" is not what a study writes"));
  replace_file(folder.path() + "/a/run.jsonl", "no JSON\n{}\n");
  EXPECT_FALSE(is_study(folder.path()));
}

TEST(StudyReport, PageHasCurvesSettingsAndLinksToTheRuns) {
  const StudyFolder folder;
  folder.add_arm("qd", "QD", 3, 2, {950, 960});
  folder.add({"pm", "PM", 7, 2, 1, 700});
  folder.add({"qd", "QD", 4, 2, 1, 940, "javascript:x y", 900});  // of a sweep
  const std::string page = study_page(read_study(folder.path()), folder.path() + "/pages");
  EXPECT_EQ(malformed(page), "");
  EXPECT_EQ(foreign_part(page), "");
  for (const char* part : {"Validation accuracy, 2 bits", "Training loss, 2 bits", "QD ends at 90",
                           "Settings that differ", "Settings of all", "train.rate",
                           "href=\"../qd2_s1/\"", "href=\"../qd2javascript%3Ax%20y_s1/\""}) {
    EXPECT_TRUE(contains(page, part)) << part;
  }
}

TEST(StudyReport, CsvHasALineForEachArm) {
  const StudyFolder folder;
  folder.add_arm("qd", "QD", 3, 2, {950, 960, 970});
  folder.add({"pm", "PM", 7, 2, 1, 700});
  const std::string csv = study_csv(read_study(folder.path()));
  EXPECT_TRUE(contains(csv, "\r\nqd,QD,2,,3,96,93.5")) << csv;
  EXPECT_EQ(times(csv, "\r\n"), 3u);
  const Json json = study_json(read_study(folder.path()));
  EXPECT_EQ(json["rows"][1]["smaller_than_fp32"], 4);
  EXPECT_EQ(json["rows"][1]["points_to_qd"], -25);
  EXPECT_EQ(json["targets"][0]["pass"], true);
}

TEST(StudyReport, IntervalsEndAtZeroAndAHundred) {
  const StudyFolder folder;
  folder.add_arm("qd", "QD", 3, 2, {999, 900});
  const Interval qd = accuracy(read_study(folder.path()).rows[0]);
  EXPECT_EQ(qd.high, 100);
  EXPECT_NEAR(qd.low, 32.054, 1e-3);
}

TEST(StudyReport, AHostileTitleStaysText) {
  const StudyFolder folder;
  folder.add({"x", "<b>|\x1b[2J", 3, 2, 1, 950});
  const Study study = read_study(folder.path());
  EXPECT_FALSE(contains(study_page(study, "."), "<b>"));
  EXPECT_TRUE(contains(study_page(study, "."), "&lt;b&gt;"));
  EXPECT_FALSE(contains(study_text(study), "\x1b"));
  EXPECT_TRUE(contains(study_markdown(study), "<b>\\|"));
}

/// `right` of ten sentences as the references have them, the others wrong.
void add_translations(const std::string& run, int right) {
  Translations made;
  for (int i = 0; i < 10; ++i) {
    const std::string line = "a b c d e f " + std::to_string(i);
    made.references.push_back(line);
    made.lines.push_back(i < right ? line : "a b c x y z w");
  }
  replace_file(run + "/translations.json", translations_text(made));
}

TEST(StudyReport, StudentsThatTranslateAreComparedByBleu) {
  const StudyFolder folder;
  folder.add_arm("fp32_longer", "fp32 longer", 2, 0, {500, 500});
  folder.add_arm("qd", "QD", 3, 2, {400, 400});  // worse in accuracy
  folder.add_arm("pm_bucket", "PM + bucket", 8, 2, {450, 450});
  const auto translate = [&](const std::string& run, int right) {
    for (const char* seed : {"_s1", "_s2"})
      add_translations(folder.path() + "/" + run + seed, right);
  };
  translate("fp32_longer0", 9);
  translate("qd2", 9);
  translate("pm_bucket2", 3);
  Study study = read_study(folder.path());
  const StudyRow &qd = *find_row(study, "qd", 2), &pm = *find_row(study, "pm_bucket", 2);
  BleuCounts nine;
  for (int i = 0; i < 9; ++i) nine += bleu_counts("a b c d e f 0", "a b c d e f 0");
  nine += bleu_counts("a b c x y z w", "a b c d e f 9");
  EXPECT_DOUBLE_EQ(bleu(qd).mean, nine.score());
  EXPECT_LT(bleu(qd).low, bleu(qd).mean);
  EXPECT_NEAR(bleu(qd).high, 100, 1e-9);  // of draws without the wrong one
  EXPECT_DOUBLE_EQ(bleu_difference(qd, pm).mean, bleu(qd).mean - bleu(pm).mean);
  EXPECT_EQ(judged_difference(qd, pm).mean, bleu_difference(qd, pm).mean);
  const auto targets = study_targets(study);
  EXPECT_TRUE(target(targets, "QD above PM + bucket").pass);
  EXPECT_TRUE(contains(target(targets, "QD above PM + bucket").figure, " BLEU, wanted"));
  EXPECT_TRUE(target(targets, "2 bits: QD to fp32 trained as long").pass);
  for (const Target& one : targets) EXPECT_FALSE(contains(one.name, "the best")) << one.name;
  study.pm_gap = 99;
  EXPECT_FALSE(target(study_targets(study), "QD above PM + bucket").pass);
  EXPECT_TRUE(contains(study_markdown(study), "| BLEU | chrF2 |"));
  EXPECT_TRUE(contains(study_markdown(study), bleu_signature()));
  EXPECT_DOUBLE_EQ(study_json(study)["rows"][1]["bleu"], bleu(qd).mean);
}

TEST(StudyReport, TranslationsThatNoStudyWroteAreNamed) {
  const StudyFolder folder;
  folder.add({"qd", "QD", 3, 2, 1, 950});
  replace_file(folder.path() + "/qd2_s1/translations.json",
               "{\"lines\":[\"a\"],\"references\":[]}");
  try {
    read_study(folder.path());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::data);
    EXPECT_TRUE(contains(error.what(), "qd2_s1/translations.json is not what a study writes"));
  }
}

TEST(StudyReport, SignedPointsReadAsDifferences) {
  EXPECT_EQ(signed_points({1.26, -0.04, 2.5}), "+1.3 (0.0 to +2.5)");
  EXPECT_EQ(signed_points({-1.26, NAN, NAN}), "-1.3");
  EXPECT_EQ(signed_points({NAN, NAN, NAN}), "-");
}

}  // namespace
}  // namespace bitstill
