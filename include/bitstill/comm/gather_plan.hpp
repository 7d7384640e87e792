// The plan of a sharded teacher's gathers: which piece may leave when, and what waiting costs.
//
// A teacher is asked sweep after sweep. In each its pieces come once, in one order: a piece is
// gathered from the ranks' slices, made ready and run. The main thread alone enqueues gathers, a
// lane runs them one by one. A piece is held from its enqueueing until it has been run. The window
// is the memory that held pieces lie in, a ring of bytes: each lies whole behind the one before it,
// or at the beginning where that does not fit, and leaves as soon as its place is free. The next
// sweep's pieces follow this one's without a break: they travel under whatever comes between
// sweeps.
// Torch-free, and without threads, clocks and messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

namespace bitstill {

struct GatherPiece {
  int64_t slice_bytes = 0;  // what each rank sends
  int64_t plain_bytes = 0;  // what a rank holds then: the slices of all
  double seconds = 0;       // to make it ready and run it, over a sweep's micro-batches
};

/// What a gather takes: latency_s, and the bytes that a rank receives by bytes_per_s.
struct GatherLink {
  double latency_s = 0;
  double bytes_per_s = 1e9;
};

/// The least possible window: the largest piece. The widest that is of use: all of them.
int64_t least_window(std::span<const GatherPiece> pieces);
int64_t widest_window(std::span<const GatherPiece> pieces);

/// When a gather is enqueued and has arrived, when its piece begins to run and is done; seconds
/// since the first sweep began.
struct GatherTimes {
  double enqueued_s = 0, arrived_s = 0, begun_s = 0, done_s = 0;
};

/// Of every piece in `sweeps` sweeps on ranks of equal speed, which do something else for
/// `between_s` after each. Error(settings) as GatherWindow.
std::vector<GatherTimes> gather_times(std::span<const GatherPiece> pieces, int64_t window,
                                      const GatherLink& link, double between_s, int64_t sweeps);

/// A sweep and what follows it, once the first few are over.
struct GatherCost {
  double compute_s = 0;  // all pieces, and what comes between sweeps
  double exposed_s = 0;  // waiting for pieces
};
GatherCost gather_cost(std::span<const GatherPiece> pieces, int64_t window, const GatherLink& link,
                       double between_s);

/// A window that exposes no more than kMostExposed of the compute; where none does, no more than
/// the widest. Wider than the smallest such one by at most the largest piece: places differ with
/// the window's size.
constexpr double kMostExposed = 0.02;
int64_t choose_window(std::span<const GatherPiece> pieces, const GatherLink& link,
                      double between_s);

/// A piece to gather and where in the window it lies.
struct PlacedPiece {
  std::size_t piece = 0;
  int64_t offset = 0;  // bytes
  bool operator==(const PlacedPiece&) const = default;
};

/// Tells the teacher which gathers to enqueue. Ranks that make the same sweeps enqueue the same
/// gathers in the same order, however fast each is.
class GatherWindow {
 public:
  /// bytes: of each piece once gathered. A window beyond their sum is no wider than it.
  /// Error(settings) names the least window if `window` is below it.
  GatherWindow(std::vector<int64_t> bytes, int64_t window);
  /// From here on, if it is wider. Alike on all ranks, between two sweeps. Error(settings) as the
  /// constructor's.
  void widen(int64_t window);

  /// A sweep begins; all pieces of the one before are done. `another`: one follows for certain, and
  /// its first pieces leave before this one ends. Alike on all ranks.
  void begin_sweep(bool another);
  /// The piece to gather next. Asked until there is none, after begin_sweep and each done_with.
  std::optional<PlacedPiece> next_to_enqueue();
  /// The piece has been run, its memory is free again. Error(environment) unless it is the sweep's
  /// next one and has been enqueued.
  void done_with(std::size_t piece);
  /// Between sweeps: what has left for the next one is not used, but gathered again once it begins.
  /// Alike on all ranks; the gathers under way are waited for before the next sweep.
  void drop_ahead();

 private:
  struct Place {
    int64_t begin = 0, end = 0;
  };
  std::size_t piece_of(int64_t number) const {
    return static_cast<std::size_t>(number) % bytes_.size();
  }
  std::optional<int64_t> offset_for(int64_t bytes) const;

  std::vector<int64_t> bytes_;
  int64_t window_ = 0;
  std::deque<Place> held_;  // the oldest first
  bool wrapped_ = false;    // some of them lie at the beginning, before the older ones
  // Pieces are numbered through all sweeps.
  int64_t done_ = 0;
  int64_t sweep_end_ = 0;  // of the sweep that runs
  int64_t last_ = 0;       // none from here on may leave yet
};

}  // namespace bitstill
