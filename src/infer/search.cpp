#include "bitstill/infer/search.hpp"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>

#include <algorithm>
#include <cmath>
#include <tuple>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "step_scores.hpp"

namespace bitstill {
namespace {

constexpr int64_t kMostBeam = 1000, kMostTokens = 100'000;
constexpr double kMostPenalty = 10;

/// One sentence's search.
class Beam {
 public:
  Beam(int64_t source, const SearchOptions& options)
      : options_(&options), most_(most_tokens_of(source, options)), live_(1) {}

  /// Rows first, first + 1, ... of `scores` are of the live hypotheses in order. Appends, of each
  /// that lives on, its parent's row and its last id.
  void step(const StepScores& scores, int64_t first, int32_t end, std::vector<int64_t>* parents,
            std::vector<int64_t>* last) {
    std::vector<Hypothesis> living;
    for (const Candidate& one : candidates(scores, first, end)) {
      Hypothesis next = live_[static_cast<std::size_t>(one.parent)];
      next.score = one.score;
      if (one.id == end) {
        finish(std::move(next));
        continue;
      }
      next.ids.push_back(one.id);
      living.push_back(std::move(next));
      parents->push_back(first + one.parent);
      last->push_back(one.id);
    }
    live_ = std::move(living);
    ++tokens_;
    if (!done()) return;
    parents->resize(parents->size() - live_.size());
    last->resize(parents->size());
    live_.clear();
  }

  int64_t live() const { return static_cast<int64_t>(live_.size()); }

  std::vector<Hypothesis> best() && {
    const auto wanted = static_cast<std::size_t>(options_->n_best);
    if (finished_.size() > wanted) finished_.resize(wanted);
    return std::move(finished_);
  }

 private:
  struct Candidate {
    double score;
    int32_t id;
    int64_t parent;  // among the live ones
  };

  /// The best continuations of all live hypotheses, in order.
  std::vector<Candidate> candidates(const StepScores& scores, int64_t first, int32_t end) const {
    std::vector<Candidate> all;
    for (int64_t k = 0; k < live(); ++k) {
      const double before = live_[static_cast<std::size_t>(k)].score;
      if (tokens_ == most_) {
        all.push_back({before + scores.score(first + k, end), end, k});
        continue;
      }
      for (const Continuation& next : scores.best(first + k)) {
        all.push_back({before + next.score, next.id, k});
      }
    }
    std::sort(all.begin(), all.end(), [](const Candidate& a, const Candidate& b) {
      return std::tie(b.score, a.id, a.parent) < std::tie(a.score, b.id, b.parent);
    });
    all.resize(std::min(all.size(), static_cast<std::size_t>(options_->beam)));
    return all;
  }

  void finish(Hypothesis one) {
    one.normalized = normalized_score(one.score, tokens_ + 1, *options_);
    const auto place =
        std::find_if(finished_.begin(), finished_.end(),
                     [&](const Hypothesis& other) { return other.normalized < one.normalized; });
    finished_.insert(place, std::move(one));
  }

  /// log p only falls, and no length has a greater penalty than the greatest: nothing that comes of
  /// a live hypothesis ranks above its log p over that.
  bool done() const {
    const auto wanted = static_cast<std::size_t>(options_->n_best);
    if (live_.empty() || finished_.size() >= static_cast<std::size_t>(options_->beam)) return true;
    if (finished_.size() < wanted) return false;
    const double possible = normalized_score(live_.front().score, most_ + 1, *options_);
    return finished_[wanted - 1].normalized >= possible;
  }

  const SearchOptions* options_;
  int64_t most_, tokens_ = 0;                // of a hypothesis; that the live ones have
  std::vector<Hypothesis> live_, finished_;  // the best first
};

at::Tensor as_tensor(std::vector<int64_t>& ids, const at::Device& device) {
  return at::from_blob(ids.data(), {static_cast<int64_t>(ids.size())}, at::kLong)
      .to(device, at::kLong, /*non_blocking=*/false, /*copy=*/true);
}

/// The state of the rows `parents`.
void reorder(DecoderState* state, std::vector<int64_t>& parents, int64_t rows) {
  bool same = static_cast<int64_t>(parents.size()) == rows;
  for (std::size_t i = 0; same && i < parents.size(); ++i) {
    same = parents[i] == static_cast<int64_t>(i);
  }
  if (same) return;
  for (at::Tensor& tensor : *state) {
    tensor = at::index_select(tensor, 0, as_tensor(parents, tensor.device()));
  }
}

}  // namespace

void check(const SearchOptions& options) {
  const auto require = [](bool good, const char* name, const auto& value, const std::string& how) {
    if (!good) throw Error(ExitCode::settings, concat(name, " = ", value, ": give ", how));
  };
  require(options.beam >= 1 && options.beam <= kMostBeam, "beam", options.beam,
          concat("1 to ", kMostBeam));
  require(options.n_best >= 1 && options.n_best <= options.beam, "n-best", options.n_best,
          concat("1 to beam, ", options.beam));
  require(options.length_penalty >= 0 && options.length_penalty <= kMostPenalty, "length-penalty",
          options.length_penalty, concat("0 to ", kMostPenalty));
  require(options.most_tokens >= 1 && options.most_tokens <= kMostTokens, "most-tokens",
          options.most_tokens, concat("1 to ", kMostTokens));
}

int64_t most_tokens_of(int64_t source, const SearchOptions& options) {
  return std::min(3 * source + 20, options.most_tokens);
}

double normalized_score(double score, int64_t tokens, const SearchOptions& options) {
  if (options.length_penalty == 0) return score;
  return score / std::pow((5 + static_cast<double>(tokens)) / 6, options.length_penalty);
}

std::vector<std::vector<Hypothesis>> search(StepDecoder& decoder, const Tokens& sources,
                                            const TargetEnds& ends, const SearchOptions& options) {
  std::vector<Beam> beams;
  for (int64_t k = 0; k < sources.sentences(); ++k) {
    beams.emplace_back(sources.source_lengths.const_data_ptr<int64_t>()[k], options);
  }
  const at::Device device = sources.source.device();
  std::vector<int64_t> last(beams.size(), ends.begin);
  DecoderState state;
  if (!beams.empty()) state = decoder.begin(sources);
  while (!last.empty()) {
    const auto rows = static_cast<int64_t>(last.size());
    const StepScores scores(decoder.next(&state, as_tensor(last, device)), ends.begin,
                            options.beam);
    std::vector<int64_t> parents;
    last.clear();
    int64_t first = 0;
    for (Beam& beam : beams) {
      const int64_t live = beam.live();
      if (live > 0) beam.step(scores, first, static_cast<int32_t>(ends.end), &parents, &last);
      first += live;
    }
    reorder(&state, parents, rows);
  }
  std::vector<std::vector<Hypothesis>> results;
  for (Beam& beam : beams) results.push_back(std::move(beam).best());
  return results;
}

}  // namespace bitstill
