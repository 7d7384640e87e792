#include "shard_text.hpp"

#include <cstdio>
#include <filesystem>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

std::string vocabulary_text(const std::vector<VocabularyFile>& vocabularies) {
  const int64_t source = vocabularies.front().pieces, target = vocabularies.back().pieces;
  return vocabularies.size() == 1 ? concat(source, " pieces for both sides")
                                  : concat(source, " and ", target, " pieces");
}

std::string faults_text(const TextReport& report) {
  std::vector<std::string> parts;
  for (const auto& fault : WordsOf<PairFault>::kTable) {
    const int64_t count = report.left_out[static_cast<std::size_t>(fault.value)];
    if (count > 0) parts.push_back(concat(count, " ", fault.name));
  }
  return parts.empty() ? "none" : list_names(parts, parts.size());
}

}  // namespace

void add_text_settings(SettingTable& table, TextOptions* text) {
  table.add(
      "vocabulary", &text->vocabulary,
      "of sentences: unigram:N, bpe:N or words:N, trained on train, or a SentencePiece .model; "
      "one for both sides, or two, source's,target's");
  table.add("validation-source", &text->validation_source,
            "sentences of validation, files as for source; empty: cut from train");
  table.add("test-source", &text->test_source, "the same of test");
  table.add("most-length", &text->most_length,
            "training pairs with more tokens on a side are left out; 0: none");
  table.add("most-ratio", &text->most_ratio,
            "and pairs with so many times more tokens on one side; 0: none");
  table.add("keep-duplicates", &text->keep_duplicates,
            "keep training pairs that stand there twice");
}

void settle_text(const ShardOptions& options, TextOptions* text) {
  ShardOptions images = options;
  if (text->vocabulary.empty()) {
    std::error_code ignored;
    const bool listed = options.source.find(',') != std::string::npos &&
                        !std::filesystem::exists(options.source, ignored);
    if (*text == TextOptions{} && !listed) return;
    throw Error(ExitCode::settings,
                "--vocabulary is missing: files or settings of sentences are given; for example "
                "--vocabulary unigram:8000");
  }
  const auto take = [](auto& from, auto& to) { to = std::exchange(from, {}); };
  take(images.source, text->source);
  take(images.out, text->out);
  take(images.name, text->name);
  take(images.skip_bad, text->skip_bad);
  text->validation = std::exchange(images.validation, -1);
  text->test = std::exchange(images.test, -1);
  take(images.rows_per_shard, text->rows_per_shard);
  if (images == ShardOptions{}) return;
  throw Error(ExitCode::settings,
              "--vocabulary is for sentences, and a setting of images is given; leave one of them "
              "out");
}

void print(const TextReport& report) {
  std::printf("%s: %s, %s, %lld train / %lld validation / %lld test, %.1f s\n",
              visible(report.folder).c_str(), visible(report.name).c_str(),
              vocabulary_text(report.vocabularies).c_str(), static_cast<long long>(report.count[0]),
              static_cast<long long>(report.count[1]), static_cast<long long>(report.count[2]),
              report.seconds);
  std::printf("splits: %s\n", report.split_rule.c_str());
  std::printf("pairs left out: %s\n", faults_text(report).c_str());
  int64_t tokens = 0;
  for (int split = 0; split < kSplits; ++split) {
    const SentenceTotals& totals = report.sentences[static_cast<std::size_t>(split)];
    tokens += totals.source_tokens + totals.target_tokens;
    std::printf("tokens of %s: %lld source, %lld target; longest %lld and %lld\n",
                word(static_cast<Split>(split)), static_cast<long long>(totals.source_tokens),
                static_cast<long long>(totals.target_tokens),
                static_cast<long long>(totals.longest_source),
                static_cast<long long>(totals.longest_target));
  }
  std::printf("unknown: %lld of %lld tokens\n", static_cast<long long>(report.unknown),
              static_cast<long long>(tokens));
  if (report.twins > 0) {
    warn(concat(report.twins, " validation or test pairs also stand in the training split"));
  }
}

}  // namespace bitstill
