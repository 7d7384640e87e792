// What the runs of a study of sentences translate, to be scored by BLEU and chrF2.
#pragma once

#include <string>
#include <vector>

#include "bitstill/config/study.hpp"
#include "translator.hpp"

namespace bitstill {

struct StudySentences {
  std::vector<std::string> sources, references;  // as many of both
  std::string sha256;                            // of all of them
  TranslateOptions options;
};

/// study.source and study.reference, joined; nothing where none are given. Error(data) where their
/// lines are not as many. Collective.
StudySentences read_study_sentences(World& world, const StudyOptions& study);

/// Translates what the run in the folder shipped into its kTranslationsFile, unless that is made
/// already. Watched as a run is (run.timeout_s). Collective.
void translate_run(World& world, const StudySentences& sentences, const std::string& folder,
                   double timeout_s);

}  // namespace bitstill
