// Batches read ahead of the compute by one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "bitstill/data/augmentation.hpp"
#include "bitstill/data/dataset.hpp"

namespace bitstill {

/// One micro-batch as bytes. Owned by whoever took it.
struct Batch {
  std::vector<int64_t> rows;    // row numbers within the split
  std::vector<uint8_t> pixels;  // [n, C, H, W]
  std::vector<int64_t> labels;  // [n]
  int64_t variant = 0;          // of augmentation: variant_of() its epoch
  std::vector<float> logits;    // [n, classes] or none: of a teacher that is read (BatchHook)
  int64_t count() const { return static_cast<int64_t>(rows.size()); }
};

/// Which rows the n-th batch of this rank holds; empty rows: a batch without samples. Called on the
/// prefetch thread with n = 0, 1, 2, ...; returns false when there are no more.
using BatchPlan = std::function<bool(int64_t n, std::vector<int64_t>* rows, int64_t* epoch)>;

/// Adds to a batch with samples that was read. Called on the prefetch thread.
using BatchHook = std::function<void(Batch*)>;

class Prefetcher {
 public:
  /// augmentation may be null (validation, test). `depth` batches are kept ready (>= 1). What
  /// `hook` (or none) throws is as if reading the batch had.
  Prefetcher(const Dataset& dataset, Split split, BatchPlan plan,
             const AugmentationOptions* augmentation, uint64_t seed, int depth,
             BatchHook hook = nullptr);
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
