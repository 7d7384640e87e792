// The teacher: inputs in, logits out. Who holds which part of it is its own affair.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "bitstill/comm/gather_plan.hpp"
#include "bitstill/data/prefetch.hpp"
#include "bitstill/model/flow.hpp"
#include "bitstill/model/frozen_network.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/teacher/options.hpp"

namespace bitstill {

/// What a teacher in slices takes of each rank's memory, in bytes.
struct SliceFacts {
  Sharding sharding = Sharding::gather;
  int world = 1;  // ranks that share it
  int64_t pieces = 0;
  int64_t plain = 0;          // all of it, as it is computed with
  int64_t mine = 0;           // this rank's slices
  int64_t window = 0;         // pieces on their way or in use, at most; it may grow later
  int64_t largest_piece = 0;  // the least that a window can be
  int64_t largest_ready = 0;  // what running a piece takes besides
  int64_t read = 0;           // from its file, over all ranks
  std::vector<GatherPiece> measured = {};  // its pieces, in a sweep; none with overlap = off
};

Json to_json(const SliceFacts& slices);

/// Seconds inside gathers, and those of them that the compute waited for.
struct GatherSeconds {
  double busy = 0, exposed = 0;
};

/// Logits read from files (logit_cache.hpp) instead of computed.
struct CachedFacts {
  int64_t variants = 1, samples = 0;
  int64_t terms = 0;  // target tokens and ends of sentences; 0: images
  int64_t bytes = 0;
  int64_t top = 0;  // logits kept of an image or a term; 0: all
  double temperature = 0;
};

/// How a teacher answers.
struct TeacherTraits {
  Normalization normalization;  // how its input is made
  InferencePrecision precision = InferencePrecision::fp32;
  bool compiled = false;                  // its network is a FrozenNetwork
  std::optional<SliceFacts> slices = {};  // ranks answer together: it lies in slices
  std::optional<CachedFacts> cache = {};  // it needs no x: what it says is read
};

/// What it is asked about one micro-batch. What it points to belongs to the asker until the answer
/// is there.
struct Question {
  at::Tensor x;  // [n, C, H, W] fp32, normalized as its traits say, n > 0; undefined for sentences
  std::span<const int64_t> rows;      // of the train split, one a sample
  int64_t variant = 0;                // of augmentation: Batch::variant
  std::span<const float> ahead = {};  // Batch::kept: what read_ahead() found, or nothing
  const Tokens* tokens = nullptr;     // a micro-batch of sentences
};

/// What it says of one micro-batch: logits of each term of the loss (image, target token).
class Answer {
 public:
  using Head = std::function<at::Tensor(const at::Tensor& hidden)>;
  explicit Answer(at::Tensor logits) : rows_(std::move(logits)) {}
  /// Logits are made of hidden rows [terms, size] when they are asked for: all terms' would take
  /// terms times pieces. What `head` uses outlives the answer.
  Answer(at::Tensor hidden, Head head) : rows_(std::move(hidden)), head_(std::move(head)) {}
  /// [count, classes] fp32, without autograd: of the terms first, first + 1, ...
  at::Tensor logits(int64_t first, int64_t count) const {
    const at::Tensor rows = rows_.narrow(0, first, count);
    return head_ ? head_(rows) : rows;
  }

 private:
  at::Tensor rows_;
  Head head_;
};

class Teacher {
 public:
  explicit Teacher(TeacherTraits traits) : traits_(std::move(traits)) {}
  virtual ~Teacher() = default;
  const TeacherTraits& traits() const { return traits_; }
  /// One answer a question, computed in the precision that traits() say, whatever autocast holds
  /// around the call. Questions are never joined into one batch. With traits().slices this is a
  /// collective: every rank calls it equally often, with no questions where it has no samples, and
  /// `more` says whether it will be called again.
  virtual std::vector<Answer> answer(std::span<const Question> questions, bool more) = 0;
  /// What of the answer can be had before the question is asked, into batch->kept. Thread-safe:
  /// called where batches are read ahead.
  virtual void read_ahead(Batch* /*batch*/) const {}
  /// Waits for what travels ahead of the next answer. Collective, as answer().
  virtual void settle() {}
  virtual GatherSeconds take_gather_seconds() { return {}; }  // since the last call
  /// `told` is called before waiting for other ranks (true) and after (false).
  void on_wait(std::function<void(bool waits)> told) { told_ = std::move(told); }

 protected:
  void tell(bool waits) const {
    if (told_) told_(waits);
  }
  TeacherTraits traits_;

 private:
  std::function<void(bool)> told_;
};

/// Every rank holds the whole network, on any device, in fp32 or mixed bf16.
std::unique_ptr<Teacher> make_replicated_teacher(std::unique_ptr<Network> network, bool bf16);
/// The same, its network compiled for inference; its input made by `normalization`.
std::unique_ptr<Teacher> make_frozen_teacher(std::unique_ptr<FrozenNetwork> network,
                                             const Normalization& normalization);

}  // namespace bitstill
