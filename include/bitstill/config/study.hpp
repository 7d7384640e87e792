// The grid of `bitstill study`: which runs it has, and how each differs from the base recipe.
//
// Row S3's rules: every arm ends with equal epochs behind it, begins with equal weights (the fp32
// distilled student of the same seed) unless its method is defined from random ones, quantizes
// equal tensors (the recipe's quant.tensors, first_layer, last_layer) and sees equal data (the
// seed).
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bitstill/base/words.hpp"

namespace bitstill {

struct StudyOptions {
  std::string folder = "runs/study";             // study.folder
  std::string teacher;                           // study.teacher: recipe; empty: teacher.file
  std::string arms;                              // study.arms: names; empty: all (a sweep: qd)
  std::vector<int64_t> bits = {2, 4, 8};         // study.bits
  std::vector<int64_t> seeds = {1, 2, 3, 4, 5};  // study.seeds
  int64_t start_epochs = 14;                     // study.start_epochs
  int64_t epochs = 8;                            // study.epochs
  std::string sweep;                             // study.sweep
  bool check = false;                            // study.check
  double pm_gap = 0;                             // study.pm_gap
  std::string source;                            // study.source: files, commas between
  std::string reference;                         // study.reference: as many
  int64_t beam = 1;                              // study.beam
  std::string sequence_folder;                   // study.sequence_folder: of seq_fp32, seq_qd
};
template <ConstOr<StudyOptions> Options, class Visit>
void visit_settings(Options& options, const Visit& visit) {
  visit("folder", options.folder, "a run folder for each run, and the report");
  visit("teacher", options.teacher, "recipe of the teacher, trained first; else teacher.file");
  visit("arms", options.arms, "names, in order; empty: all (a sweep: qd)");
  visit("bits", options.bits, "of the quantized arms");
  visit("seeds", options.seeds, "every arm runs with each, paired");
  visit("start_epochs", options.start_epochs, "of fp32_ce and fp32_distilled");
  visit("epochs", options.epochs, "of the other arms; qd_random: both together");
  visit("sweep", options.sweep,
        "temperature:1,2,4 soft_weight:.5,.7,.9: all combinations, judged on validation");
  visit("check", options.check, "fail (4) when QD at 2 bits does not separate from PM");
  visit("pm_gap", options.pm_gap, "points (BLEU) that it has to be above PM, besides significance");
  visit("source", options.source,
        "files of sentences, commas between, that each run's file translates in the end");
  visit("reference", options.reference, "their right translations: BLEU and chrF2 of every arm");
  visit("beam", options.beam, "of that search; 1: greedy");
  visit("sequence_folder", options.sequence_folder,
        "shards of the teacher's translations (bitstill translate --shards), for seq_fp32, seq_qd");
}

/// The weights that an arm begins with.
enum class Origin {
  random,
  start,   // fp32_distilled, after start_epochs
  longer,  // fp32_longer: start trained on for `epochs`, as long as the arms that train
};
/// How long an arm trains.
enum class Length { none, start, arm, whole };  // whole: start_epochs + epochs

/// A method or baseline: the recipe with some settings replaced.
struct Arm {
  const char* name;
  const char* title;    // in tables
  const char* summary;  // in --help
  bool distills;        // with the teacher's soft targets
  bool quantized;       // one run for each number of bits
  Origin origin;
  Length length;
  std::vector<std::pair<const char*, const char*>> settings;
  bool sequences = false;  // learns from study.sequence_folder
};
/// All arms, in the order of tables and of a study that names none.
const std::vector<Arm>& study_arms();
/// The arms as text, for --help.
std::string arms_help();

/// One training run of the study.
struct StudyRun {
  std::string name;          // of its folder in study.folder
  const Arm* arm = nullptr;  // of study_arms()
  int64_t bits = 0;          // 0: full precision
  int64_t seed = 0;
  int64_t order = 0;  // in tables: of the arm, and of the sweep's point within it
  std::string point;  // of a sweep: "temperature 2, soft_weight 0.7"
  std::vector<std::pair<std::string, std::string>> settings;  // replaced in the base recipe
};

/// The runs in their order: seed by seed, so that a study that is stopped has whole grids; within a
/// seed as study.arms says, each behind the runs that it begins with. Error(settings) names an
/// unknown arm and the nearest known one, or a sweep that is not understood.
std::vector<StudyRun> plan_study(const StudyOptions& options);

/// The texts between a setting's commas.
std::vector<std::string> comma_list(const std::string& text);

}  // namespace bitstill
