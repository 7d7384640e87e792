// Batches read ahead of the compute by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "bitstill/data/batch.hpp"
#include "bitstill/data/dataset.hpp"

namespace bitstill {

/// Which rows the n-th batch of this rank holds; empty rows: a batch without samples. Called on the
/// prefetch thread with n = 0, 1, 2, ...; returns false when there are no more.
using BatchPlan = std::function<bool(int64_t n, std::vector<int64_t>* rows, int64_t* epoch)>;

/// Adds to a batch with samples that was read. Called on the prefetch thread.
using BatchHook = std::function<void(Batch*)>;

class Prefetcher {
 public:
  /// dataset and decoder outlive it. `depth` batches are kept ready (>= 1). What `hook` (or none)
  /// throws is as if reading the batch had.
  Prefetcher(const Dataset& dataset, Split split, BatchPlan plan, const RowDecoder& decoder,
             int depth, BatchHook hook = nullptr);
  ~Prefetcher();  // stops the thread
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// The next batch, in order; rethrows what reading it threw; false after the last one.
  bool next(Batch* batch);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace bitstill
