// All of Multi30k's test sentences against sacrebleu itself, where both are there.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "../base/multi30k.hpp"
#include "../base/scratch_folder.hpp"
#include "bitstill/base/utf8.hpp"
#include "bitstill/metrics/bleu.hpp"
#include "bitstill/metrics/chrf.hpp"
#include "golden_scores.hpp"

namespace bitstill {
namespace {

/// Each fifth word is lost, each seventh comes twice, each ninth line says nothing.
std::string worse(const std::string& line, std::size_t number) {
  std::string out;
  const std::vector<std::string_view> words = split_words(line);
  for (std::size_t i = 0; i < words.size() && number % 9 != 8; ++i) {
    for (std::size_t copies = (i + number) % 5 == 4   ? 0
                              : (i + number) % 7 == 6 ? 2
                                                      : 1;
         copies > 0; --copies) {
      out += (out.empty() ? "" : " ") + std::string(words[i]);
    }
  }
  return out;
}

TEST(RealSentences, ScoresAreThoseOfSacrebleu) {
  const ScratchFolder scratch;
  const char* const python = std::getenv("BITSTILL_PEER_PYTHON");
  const std::string program = python == nullptr ? "python3" : python;
  if (std::system((program + " -c 'import sacrebleu' 2> /dev/null").c_str()) != 0) {
    GTEST_SKIP() << "no sacrebleu in BITSTILL_PEER_PYTHON or python3";
  }
  BleuCounts bleu, multi;
  ChrfCounts chrf;
  const std::string ours = scratch / "hypotheses", theirs = scratch / "references";
  {
    std::ofstream hypotheses(ours), references(theirs);
    std::size_t number = 0;
    for (const char* name : {"test_2016_flickr.de", "test_2017_mscoco.de", "val.de", "val.en"}) {
      for (const std::string& line : multi30k_lines(scratch.path(), name)) {
        const std::string hypothesis = worse(line, number++);
        hypotheses << hypothesis << "\n";
        references << line << "\n";
        bleu += bleu_counts(hypothesis, line);
        multi += bleu_counts(hypothesis, line, BleuKind::multi);
        chrf += chrf_counts(hypothesis, line);
      }
    }
    if (number == 0) GTEST_SKIP() << "no multi30k_en-de.tar.xz in BITSTILL_DATA";
    EXPECT_GT(number, 3000U);
  }
  const auto folder = std::filesystem::path(__FILE__).parent_path();
  const std::string command = program + " " + (folder / "golden_scores.py").string() + " " + ours +
                              " " + theirs + " > " + (scratch / "scores");
  ASSERT_EQ(std::system(command.c_str()), 0);
  const Json scores =
      parse_json(read_file(scratch / "scores", ExitCode::data), "scores", ExitCode::data);
  EXPECT_NEAR(bleu.score(), scores["bleu"].get<double>(), 1e-9);
  EXPECT_NEAR(multi.score(BleuKind::multi), scores["multi"].get<double>(), 1e-9);
  EXPECT_NEAR(chrf.score(), scores["chrf"].get<double>(), 1e-9);
}

}  // namespace
}  // namespace bitstill
