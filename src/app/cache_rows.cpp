#include "cache_rows.hpp"

#include <algorithm>
#include <exception>
#include <numeric>
#include <optional>
#include <vector>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/data/length_buckets.hpp"
#include "bitstill/data/prefetch.hpp"
#include "bitstill/model/input.hpp"

namespace bitstill {
namespace {

/// Forward passes that a teacher in slices is asked about at once, where the settings do not say.
constexpr int64_t kSweep = 8;

int64_t sweep_size(const TeacherLayout& layout) {
  return layout.sweep_batches > 0 ? layout.sweep_batches : kSweep;
}

/// Forward passes over all rows, in order.
class Passes {
 public:
  explicit Passes(const CacheWork& job) : facts_(job.facts) {
    if (facts_.terms == 0) return;
    batches_ = batches_by_length(job.lengths, facts_.batch);
    first_rows_.push_back(0);
    for (const auto& batch : batches_) {
      int64_t terms = 0;
      for (const int64_t s : batch) terms += job.lengths[static_cast<std::size_t>(s)].target + 1;
      first_rows_.push_back(first_rows_.back() + terms);
    }
  }
  int64_t count() const {
    return facts_.terms > 0 ? static_cast<int64_t>(batches_.size()) : facts_.passes();
  }
  int64_t first_row(int64_t pass) const {
    return facts_.terms > 0 ? first_rows_[static_cast<std::size_t>(pass)] : facts_.first_row(pass);
  }
  int64_t rows(int64_t pass) const { return first_row(pass + 1) - first_row(pass); }
  /// The samples of a pass; epoch v shows variant v.
  void samples(int64_t pass, std::vector<int64_t>* samples, int64_t* epoch) const {
    *epoch = first_row(pass) / facts_.rows_of_variant();
    if (facts_.terms > 0) {
      *samples = batches_[static_cast<std::size_t>(pass)];
      return;
    }
    samples->resize(static_cast<std::size_t>(rows(pass)));
    std::iota(samples->begin(), samples->end(), first_row(pass) % facts_.samples);
  }

 private:
  const CacheFacts& facts_;
  std::vector<std::vector<int64_t>> batches_;  // of sentences
  std::vector<int64_t> first_rows_;            // of these, and the end
};

/// What a teacher is asked at once. The questions' rows lie in the batches.
struct Sweep {
  std::vector<Batch> batches;
  std::vector<Tokens> tokens;
  std::vector<Question> questions;
};

class CacheRows {
 public:
  explicit CacheRows(const CacheWork& job) : job_(job), passes_(job) {}
  CacheCost write(Watchdog& watchdog);

 private:
  CacheRange range_of(int rank) const;
  int64_t first_pass(int rank) const { return passes_.count() * rank / job_.world.place().world; }
  void open_writer();
  BatchPlan plan() const;
  void add(int64_t row, const Answer& answer, int64_t count);
  Sweep read(Prefetcher& prefetcher, int64_t count) const;
  std::exception_ptr write_rows(Watchdog& watchdog);

  const CacheWork& job_;
  const Passes passes_;
  std::optional<CacheWriter> writer_;     // none without rows
  int64_t next_pass_ = 0, end_pass_ = 0;  // of this rank
  double teacher_seconds_ = 0;
};

CacheRange CacheRows::range_of(int rank) const {
  const int64_t first = passes_.first_row(first_pass(rank));
  return {first, passes_.first_row(first_pass(rank + 1)) - first};
}

/// Passes of which a row is not there yet are this rank's to do.
void CacheRows::open_writer() {
  const int rank = job_.world.place().rank;
  const CacheRange mine = range_of(rank);
  next_pass_ = first_pass(rank);
  end_pass_ = first_pass(rank + 1);
  if (mine.count == 0) return;
  writer_.emplace(job_.folder, job_.facts, static_cast<std::size_t>(rank), mine, job_.go_on);
  const int64_t kept_end = mine.first + writer_->rows_kept();
  while (next_pass_ < end_pass_ && passes_.first_row(next_pass_ + 1) <= kept_end) ++next_pass_;
}

/// This rank's passes, in order.
BatchPlan CacheRows::plan() const {
  return [&passes = passes_, first = next_pass_, end = end_pass_](
             int64_t n, std::vector<int64_t>* rows, int64_t* epoch) {
    if (first + n >= end) return false;
    passes.samples(first + n, rows, epoch);
    return true;
  };
}

/// The next passes of this rank, at most `count`.
Sweep CacheRows::read(Prefetcher& prefetcher, int64_t count) const {
  Sweep sweep;
  for (Batch batch; count-- > 0 && prefetcher.next(&batch);) {
    sweep.batches.push_back(std::move(batch));
  }
  sweep.tokens.reserve(sweep.batches.size());  // questions point to them
  for (const Batch& batch : sweep.batches) {
    Question question{{}, batch.rows, batch.variant};
    if (job_.facts.terms > 0) {
      sweep.tokens.push_back(to_tokens(batch, job_.config.model.ends, job_.device));
      question.tokens = &sweep.tokens.back();
    } else {
      question.x = to_input(batch, job_.dataset.index().shape, job_.teacher.traits().normalization,
                            job_.device, true);
    }
    sweep.questions.push_back(question);
  }
  return sweep;
}

/// All logits of a pass of sentences would take target tokens times pieces at once.
void CacheRows::add(int64_t row, const Answer& answer, int64_t count) {
  const int64_t slice = job_.facts.terms > 0 ? job_.config.distill.slice_rows : count;
  for (int64_t first = 0; first < count; first += slice) {
    writer_->add(row + first, answer.logits(first, std::min(slice, count - first)).cpu());
  }
}

/// What fails on this rank alone is returned; ranks that answer together go on without its samples.
std::exception_ptr CacheRows::write_rows(Watchdog& watchdog) {
  const bool together = job_.teacher.traits().slices.has_value();
  const int64_t mine = end_pass_ - next_pass_;
  int64_t passes = mine;
  if (together) {
    job_.world.control().all_reduce(&passes, 1, ElementType::i64, Reduction::max);
  }
  const int64_t size = together ? sweep_size(job_.config.layout) : 1;
  int64_t pass = 0, row = passes_.first_row(next_pass_);
  job_.teacher.on_wait(
      [&](bool waits) { watchdog.progress(waits ? Phase::gather : Phase::teacher, pass); });
  const auto decoder =
      make_training_decoder(job_.dataset.index(), job_.config.augmentation,
                            augmentation_seed(job_.config), job_.config.decode_threads);
  Prefetcher prefetcher(job_.dataset, Split::train, plan(), *decoder,
                        static_cast<int>(job_.config.prefetch));
  ProgressBar bar("cache");
  std::exception_ptr failure;
  const auto guarded = [&](const auto& work) {
    try {
      if (!failure) work();
    } catch (...) {
      failure = std::current_exception();
    }
  };
  for (; pass < passes && (together || !failure); pass += size) {
    watchdog.progress(Phase::teacher, pass);
    Sweep sweep;
    guarded([&] { sweep = read(prefetcher, size); });
    const Timer timer;
    std::vector<Answer> answers;
    const auto ask = [&] { answers = job_.teacher.answer(sweep.questions, pass + size < passes); };
    // Where other ranks wait inside the answer, only the end of the job ends it.
    if (together) {
      ask();
    } else {
      guarded(ask);
    }
    teacher_seconds_ += timer.seconds();
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const int64_t count = passes_.rows(next_pass_ + pass + static_cast<int64_t>(i));
      guarded([&] { add(row, answers[i], count); });
      row += count;
    }
    bar.show(std::min(pass + size, mine), mine, "");
  }
  watchdog.progress(Phase::exchange, pass);
  return failure;
}

CacheCost CacheRows::write(Watchdog& watchdog) {
  Communicator& control = job_.world.control();
  const Place& place = job_.world.place();
  const Timer timer;
  agree(control, [&] { open_writer(); });
  CacheCost cost;
  cost.rows_kept = passes_.first_row(next_pass_) - range_of(place.rank).first;
  control.all_reduce(&cost.rows_kept, 1, ElementType::i64);
  if (cost.rows_kept > 0) {
    say(concat("resuming after ", cost.rows_kept, " of ", job_.facts.rows(), " rows"));
  }
  const std::exception_ptr failure = write_rows(watchdog);
  agree(control, [&] {
    if (failure) std::rethrow_exception(failure);
    if (writer_) writer_->finish();
  });
  agree(control, [&] {
    if (place.rank != 0) return;
    std::vector<CacheRange> ranges;
    for (int rank = 0; rank < place.world; ++rank) ranges.push_back(range_of(rank));
    write_cache_index(job_.folder, job_.facts, ranges);
  });
  double slowest[] = {timer.seconds(), teacher_seconds_};
  control.all_reduce(slowest, 2, ElementType::f64, Reduction::max);
  cost.seconds = slowest[0];
  cost.teacher_seconds = slowest[1];
  cost.divergence = writer_ ? writer_->divergence() : 0;
  control.all_reduce(&cost.divergence, 1, ElementType::f64);
  cost.divergence /= static_cast<double>(std::max<int64_t>(1, job_.facts.rows() - cost.rows_kept));
  return cost;
}

}  // namespace

CacheCost write_cache(const CacheWork& job, Watchdog& watchdog) {
  return CacheRows(job).write(watchdog);
}

}  // namespace bitstill
