#include "bitstill/infer/translated_shards.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/data/shard_writer.hpp"
#include "bitstill/data/token_folder.hpp"
#include "bitstill/infer/sentence_lengths.hpp"

namespace bitstill {
namespace {

constexpr uint64_t kMostPartBytes = uint64_t{1} << 28;

using Ids = std::vector<int32_t>;

/// A pair of a batch of one.
TokenPair pair_of(const Dataset& dataset, Split split, int64_t row) {
  const Batch batch = read_batch(dataset, split, {row});
  const auto middle = batch.tokens.begin() + batch.lengths.front().source;
  return {{batch.tokens.begin(), middle}, {middle, batch.tokens.end()}};
}

/// What became of some rows.
struct Part {
  std::vector<Ids> targets;
  BleuCounts bleu;
  int64_t kept = 0;
};

std::string part_text(const Part& part, const Json& made_by) {
  const Json json = {{"made_by", made_by},
                     {"targets", part.targets},
                     {"bleu", part.bleu.sums},
                     {"kept", part.kept}};
  return json.dump() + "\n";
}

/// The part in a file of so many rows; nothing where it was made otherwise.
std::optional<Part> part_from(const std::string& path, const Json& made_by, int64_t rows) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const Json json =
      parse_json(read_file(path, ExitCode::data, kMostPartBytes), path, ExitCode::data);
  try {
    if (json.at("made_by") != made_by) return std::nullopt;
    Part part;
    json.at("targets").get_to(part.targets);
    json.at("bleu").get_to(part.bleu.sums);
    json.at("kept").get_to(part.kept);
    if (static_cast<int64_t>(part.targets.size()) == rows) return part;
  } catch (const Json::exception&) {
  }
  throw Error(ExitCode::data, concat(path, " is not what this command writes; remove it"));
}

class ShardTranslation {
 public:
  ShardTranslation(StepDecoder& decoder, const VocabularyPair& vocabularies, const Dataset& dataset,
                   const TranslatedShardsOptions& options, Communicator& comm)
      : decoder_(decoder),
        vocabularies_(vocabularies),
        dataset_(dataset),
        options_(options),
        comm_(comm),
        parts_(without_slash(options.out) + ".parts") {}

  TranslatedShards run() {
    agree(comm_, [&] {
      require_new_folder(options_.out, "--shards");
      if (writes()) make_folder(parts_);
    });
    lengths_ = lengths_for_all(dataset_, Split::train, comm_);
    const auto rows = static_cast<int64_t>(lengths_.size());
    found_.rows = rows;
    for (int64_t first = 0; first < rows; first += options_.part_rows) {
      if (options_.stop_requested()) {
        found_.stopped = true;
        return found_;
      }
      if (writes() && options_.progress) options_.progress(first, rows);
      put(part(first, std::min(options_.part_rows, rows - first)));
    }
    agree(comm_, [&] {
      if (writes()) publish();
    });
    return found_;
  }

 private:
  bool writes() const { return comm_.rank() == 0; }

  /// Rows first, first + 1, ... Collective.
  Part part(int64_t first, int64_t rows) {
    const std::string path = concat(parts_, "/", first, ".json");
    std::optional<Part> made;
    int64_t there = 0;
    agree(comm_, [&] {
      if (!writes()) return;
      made = part_from(path, options_.made_by, rows);
      there = made ? 1 : 0;
    });
    comm_.broadcast(&there, 1, ElementType::i64, 0);
    if (there != 0) {
      found_.taken_over += rows;
      return made.value_or(Part());
    }
    Part fresh = translated(first, rows);
    agree(comm_, [&] {
      if (writes()) replace_file(path, part_text(fresh, options_.made_by));
    });
    return fresh;
  }

  Part translated(int64_t first, int64_t rows) {
    std::vector<int64_t> sources(static_cast<std::size_t>(rows));
    for (int64_t i = 0; i < rows; ++i) {
      sources[static_cast<std::size_t>(i)] = lengths_[static_cast<std::size_t>(first + i)].source;
    }
    Part made;
    TranslateOptions options = options_.translate;
    options.refine = [&](int64_t i, std::vector<Hypothesis>* hypotheses) {
      choose(pair_of(dataset_, Split::train, first + i).target, hypotheses, &made);
    };
    const auto found = translate_tokens(
        decoder_, {vocabularies_.target->begin(), vocabularies_.target->end()}, sources,
        [&](int64_t i) { return pair_of(dataset_, Split::train, first + i).source; }, options,
        comm_);
    comm_.all_reduce(made.bleu.sums.data(), static_cast<int64_t>(made.bleu.sums.size()),
                     ElementType::i64);
    agree(comm_, [&] {
      for (std::size_t i = 0; i < found.size(); ++i) {
        Ids ids = found[i].front().ids;
        if (ids.empty()) {
          ids = pair_of(dataset_, Split::train, first + static_cast<int64_t>(i)).target;
          made.kept += 1;
        }
        made.targets.push_back(std::move(ids));
      }
    });
    return made;
  }

  /// Leaves the one hypothesis that becomes the target.
  void choose(const Ids& old, std::vector<Hypothesis>* hypotheses, Part* part) const {
    const Vocabulary& target = *vocabularies_.target;
    const std::string reference = target.decode(old);
    std::size_t best = 0;
    BleuCounts best_counts = bleu_counts(target.decode(hypotheses->front().ids), reference);
    for (std::size_t i = 1; options_.interpolate && i < hypotheses->size(); ++i) {
      const BleuCounts counts = bleu_counts(target.decode((*hypotheses)[i].ids), reference);
      if (counts.score() <= best_counts.score()) continue;
      best = i;
      best_counts = counts;
    }
    part->bleu += best_counts;
    std::swap(hypotheses->front(), (*hypotheses)[best]);
    hypotheses->resize(1);
  }

  /// On rank 0.
  void put(Part part) {
    found_.bleu += part.bleu;
    found_.kept += part.kept;
    for (Ids& ids : part.targets) {
      found_.tokens += static_cast<int64_t>(ids.size());
      targets_.push_back(std::move(ids));
    }
  }

  void publish() {
    TokenSplits rows;
    for (std::size_t split = 0; split < kSplits; ++split) {
      const auto one = static_cast<Split>(split);
      for (int64_t row = 0; row < dataset_.size(one); ++row) {
        rows[split].push_back(pair_of(dataset_, one, row));
        if (one == Split::train) {
          rows[split].back().target = std::move(targets_[static_cast<std::size_t>(row)]);
        }
      }
    }
    std::vector<const Vocabulary*> vocabularies = {vocabularies_.source.get()};
    if (dataset_.index().vocabularies.size() > 1)
      vocabularies.push_back(vocabularies_.target.get());
    ShardIndex index;
    index.summary.name = dataset_.index().name;
    index.summary.split_rule =
        concat(dataset_.index().split_rule, "; targets of train are a model's translations");
    index.source = options_.made_by.dump();
    index.licence = "as of its source";
    write_token_folder(options_.out, rows, vocabularies, 0, &index);
    std::filesystem::remove_all(parts_);
  }

  StepDecoder& decoder_;
  const VocabularyPair& vocabularies_;
  const Dataset& dataset_;
  const TranslatedShardsOptions& options_;
  Communicator& comm_;
  std::string parts_;  // folder of what is finished
  std::vector<SentenceLengths> lengths_;
  std::vector<Ids> targets_;
  TranslatedShards found_;
};

}  // namespace

TranslatedShards translate_shards(StepDecoder& decoder, const VocabularyPair& vocabularies,
                                  const Dataset& dataset, const TranslatedShardsOptions& options,
                                  Communicator& comm) {
  return ShardTranslation(decoder, vocabularies, dataset, options, comm).run();
}

}  // namespace bitstill
