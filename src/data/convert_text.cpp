// Read, cut into splits, train the vocabulary on train alone, encode, filter train, write.
#include "bitstill/data/convert_text.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/data/shard_writer.hpp"
#include "bitstill/data/token_folder.hpp"
#include "convert_parts.hpp"
#include "sentence_pairs.hpp"
#include "shard_folder.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kTrain = 0, kValidation = 1, kTest = 2;
constexpr int64_t kMostCut = 2000;                 // pairs, unless more are asked for
constexpr std::size_t kMostSentences = 2'000'000;  // that a vocabulary is trained on

ImageDigest digest_of(const SentencePair& pair) {
  std::string both(pair.source);
  both.append(1, '\n').append(pair.target);
  return image_digest(reinterpret_cast<const uint8_t*>(both.data()),
                      static_cast<int64_t>(both.size()));
}

class TextConversion {
 public:
  explicit TextConversion(const TextOptions& options) : options_(options) {}

  TextReport run() {
    read();
    cut();
    count_twins();
    find_vocabularies();
    encode();
    count_unknown();
    write();
    return report_;
  }

 private:
  int64_t& left_out(PairFault fault) { return report_.left_out[static_cast<std::size_t>(fault)]; }

  void read() {
    const std::string* const lists[] = {&options_.source, &options_.validation_source,
                                        &options_.test_source};
    for (std::size_t split = 0; split < kSplits; ++split) {
      if (lists[split]->empty()) continue;
      sources_[split] =
          SentencePairs(*lists[split], split != kTrain, options_.skip_bad, &report_.left_out);
      splits_[split] = sources_[split].pairs();
      digests_[split] = digests_of(splits_[split]);
    }
    if (!options_.keep_duplicates) drop_duplicates();
    if (splits_[kTrain].empty()) {
      throw Error(ExitCode::data, options_.source + ": holds no pair of sentences");
    }
  }

  static std::vector<ImageDigest> digests_of(const std::vector<SentencePair>& pairs) {
    std::vector<ImageDigest> digests(pairs.size());
    on_all_cores(0, static_cast<int64_t>(pairs.size()), 1, [&](int64_t i) {
      digests[static_cast<std::size_t>(i)] = digest_of(pairs[static_cast<std::size_t>(i)]);
    });
    return digests;
  }

  /// Keeps the pairs of train that `keep` says of their numbers, in order.
  template <class Keep>
  void filter_train(const Keep& keep) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < splits_[kTrain].size(); ++i) {
      if (!keep(i)) continue;
      splits_[kTrain][kept] = splits_[kTrain][i];
      digests_[kTrain][kept++] = digests_[kTrain][i];
    }
    splits_[kTrain].resize(kept);
    digests_[kTrain].resize(kept);
  }

  void drop_duplicates() {
    std::set<ImageDigest> seen;
    filter_train([&](std::size_t i) {
      const bool first = seen.insert(digests_[kTrain][i]).second;
      left_out(PairFault::duplicate) += first ? 0 : 1;
      return first;
    });
  }

  int64_t cut_count(int64_t asked, std::size_t split) const {
    if (!sources_[split].pairs().empty()) return 0;
    const auto held = static_cast<int64_t>(splits_[kTrain].size());
    return asked >= 0 ? asked : std::clamp<int64_t>(held / 10, 1, kMostCut);
  }

  std::string split_rule(int64_t test, int64_t validation) const {
    std::string own, cut;
    const std::pair<std::size_t, int64_t> others[] = {{kTest, test}, {kValidation, validation}};
    for (const auto& [split, count] : others) {
      const std::string name = word(static_cast<Split>(split));
      if (!sources_[split].pairs().empty()) {
        own += (own.empty() ? "" : " and ") + name;
      } else {
        cut += concat(cut.empty() ? "" : ", then ", count, " to ", name);
      }
    }
    if (!cut.empty()) cut = "ranked by the SHA-256 of the pair, cut from the front: " + cut;
    if (!own.empty()) own = "the source's own " + own;
    return own + (own.empty() || cut.empty() ? "" : "; ") + cut;
  }

  /// Validation and test pairs from train, where the source has no own ones.
  void cut() {
    const auto held = static_cast<int64_t>(splits_[kTrain].size());
    const int64_t test = cut_count(options_.test, kTest);
    const int64_t validation = cut_count(options_.validation, kValidation);
    if (test + validation >= held) {
      throw Error(ExitCode::settings,
                  concat(options_.source, ": has ", held, " pairs to cut ", test, " for test and ",
                         validation,
                         " for validation from, and none would be left for train; ask "
                         "for fewer by --test and --validation"));
    }
    std::vector<std::size_t> ranked(splits_[kTrain].size());
    for (std::size_t i = 0; i < ranked.size(); ++i) ranked[i] = i;
    std::stable_sort(ranked.begin(), ranked.end(), [&](std::size_t a, std::size_t b) {
      return digests_[kTrain][a] < digests_[kTrain][b];
    });
    std::vector<std::size_t> split_of(ranked.size(), kTrain);
    for (int64_t k = 0; k < test + validation; ++k) {
      split_of[ranked[static_cast<std::size_t>(k)]] = k < test ? kTest : kValidation;
    }
    for (std::size_t i = 0; i < split_of.size(); ++i) {
      if (split_of[i] == kTrain) continue;
      splits_[split_of[i]].push_back(splits_[kTrain][i]);
      digests_[split_of[i]].push_back(digests_[kTrain][i]);
    }
    filter_train([&](std::size_t i) { return split_of[i] == kTrain; });
    report_.split_rule = split_rule(test, validation);
  }

  void count_twins() {
    const std::set<ImageDigest> train(digests_[kTrain].begin(), digests_[kTrain].end());
    for (const std::size_t split : {kValidation, kTest}) {
      for (const ImageDigest& digest : digests_[split]) report_.twins += train.contains(digest);
    }
  }

  /// The sentences of one side, or of both, that a vocabulary is trained on: all, or of many so
  /// many evenly spread ones.
  std::vector<std::string_view> sentences(bool of_source, bool of_target) const {
    const std::vector<SentencePair>& pairs = splits_[kTrain];
    const std::size_t sides = of_source && of_target ? 2 : 1;
    const std::size_t count = std::min(pairs.size(), kMostSentences / sides);
    std::vector<std::string_view> result;
    for (std::size_t k = 0; k < count; ++k) {
      const SentencePair& pair = pairs[k * pairs.size() / count];
      if (of_source) result.push_back(pair.source);
      if (of_target) result.push_back(pair.target);
    }
    return result;
  }

  void find_vocabularies() {
    const std::vector<std::string> specs = comma_parts(options_.vocabulary);
    const bool joint = specs.size() == 1;
    for (std::size_t side = 0; side < specs.size(); ++side) {
      const VocabularySpec spec = parse_vocabulary_spec(specs[side], "--vocabulary");
      if (spec.pieces == 0) {
        vocabularies_.emplace_back(read_file(spec.file, ExitCode::data, kMostModelBytes),
                                   spec.file);
      } else {
        say(concat("training ", spec.kind, ":", spec.pieces, " on the ",
                   joint       ? "sentences of both sides"
                   : side == 0 ? "sources"
                               : "targets"));
        vocabularies_.push_back(
            train_vocabulary(spec, sentences(joint || side == 0, joint || side == 1)));
      }
    }
  }

  void encode() {
    for (std::size_t split = 0; split < kSplits; ++split) {
      const std::vector<SentencePair>& pairs = splits_[split];
      tokens_[split].resize(pairs.size());
      on_all_cores(0, static_cast<int64_t>(pairs.size()), 1, [&](int64_t i) {
        const auto at = static_cast<std::size_t>(i);
        tokens_[split][at] = {vocabularies_.front().encode(pairs[at].source),
                              vocabularies_.back().encode(pairs[at].target)};
      });
    }
    std::erase_if(tokens_[kTrain], [&](const TokenPair& pair) {
      const std::optional<PairFault> fault = fault_of(pair);
      if (fault) left_out(*fault) += 1;
      return fault.has_value();
    });
    if (tokens_[kTrain].empty()) {
      throw Error(ExitCode::data, options_.source +
                                      ": no pair is left to train on by --most-length and "
                                      "--most-ratio");
    }
  }

  std::optional<PairFault> fault_of(const TokenPair& pair) const {
    const std::size_t most = std::max(pair.source.size(), pair.target.size());
    const std::size_t least = std::min(pair.source.size(), pair.target.size());
    if (least == 0) return PairFault::empty;
    if (options_.most_length > 0 && static_cast<int64_t>(most) > options_.most_length) {
      return PairFault::too_long;
    }
    if (options_.most_ratio > 0 &&
        static_cast<double>(most) > options_.most_ratio * static_cast<double>(least)) {
      return PairFault::uneven;
    }
    return std::nullopt;
  }

  void count_unknown() {
    for (const std::vector<TokenPair>& pairs : tokens_) {
      for (const TokenPair& pair : pairs) {
        report_.unknown +=
            std::count(pair.source.begin(), pair.source.end(), vocabularies_.front().unknown()) +
            std::count(pair.target.begin(), pair.target.end(), vocabularies_.back().unknown());
      }
    }
  }

  void write() {
    ShardIndex index;
    DataIndex& summary = index.summary;
    const std::filesystem::path first(comma_parts(options_.source).front());
    summary.name = options_.name.empty() ? first.stem().string() : options_.name;
    summary.split_rule = report_.split_rule;
    index.source = options_.source;
    index.licence = "as of its source";
    std::vector<const Vocabulary*> vocabularies;
    for (const Vocabulary& one : vocabularies_) vocabularies.push_back(&one);
    write_token_folder(options_.out, tokens_, vocabularies, options_.rows_per_shard, &index);
    report_.folder = options_.out;
    report_.name = summary.name;
    report_.vocabularies = summary.vocabularies;
    report_.count = summary.count;
    report_.sentences = summary.sentences;
  }

  const TextOptions& options_;
  std::array<SentencePairs, kSplits> sources_;
  std::array<std::vector<SentencePair>, kSplits> splits_;
  std::array<std::vector<ImageDigest>, kSplits> digests_;
  std::vector<Vocabulary> vocabularies_;  // one for both sides, or the source's and the target's
  TokenSplits tokens_;
  TextReport report_;
};

void check_options(const TextOptions& options) {
  const auto refuse = [](const std::string& what) { throw Error(ExitCode::settings, what); };
  if (options.source.empty()) refuse("--source is missing: source,target or one file with tabs");
  if (options.out.empty()) refuse("--out is missing: the folder to make");
  if (options.most_length < 0) {
    refuse(concat("--most-length ", options.most_length, ": is at least 1, or 0 for any"));
  }
  if (options.most_ratio != 0 && !(options.most_ratio >= 1)) {
    refuse(concat("--most-ratio ", options.most_ratio, ": is at least 1, or 0 for any"));
  }
  if (options.rows_per_shard < 0) {
    refuse(concat("--rows ", options.rows_per_shard, ": rows a shard are at least 1"));
  }
  if ((!options.test_source.empty() && options.test > 0) ||
      (!options.validation_source.empty() && options.validation > 0)) {
    refuse(
        "--test and --validation are for sources without a set of their own; give the count or "
        "the files");
  }
  const std::vector<std::string> specs = comma_parts(options.vocabulary);
  if (specs.size() > 2) refuse("--vocabulary: give one for both sides, or source's,target's");
  for (const std::string& spec : specs) parse_vocabulary_spec(spec, "--vocabulary");
  require_new_folder(options.out);
}

}  // namespace

TextReport convert_text(const TextOptions& options, const ConvertRanks& ranks) {
  const Timer timer;
  TextReport report;
  ranks.agree([&] {
    check_options(options);
    if (ranks.place.rank != 0) return;
    with_file_errors(options.source, [&] { report = TextConversion(options).run(); });
  });
  report.seconds = timer.seconds();
  return report;
}

}  // namespace bitstill
