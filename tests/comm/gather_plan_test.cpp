#include "bitstill/comm/gather_plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <random>
#include <utility>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

using Random = std::mt19937;

int64_t draw(Random& random, int64_t least, int64_t most) {
  return std::uniform_int_distribution<int64_t>(least, most)(random);
}

/// Times are multiples of 1/1024 s, so that sums of them are exact.
double draw_s(Random& random, int64_t most) {
  return static_cast<double>(draw(random, 0, most)) / 1024;
}
constexpr double kBytesPerSecond = 1024;

std::vector<GatherPiece> draw_pieces(Random& random, int64_t most, int64_t smallest = 0) {
  constexpr int64_t kWorld = 4;
  std::vector<GatherPiece> pieces(static_cast<std::size_t>(draw(random, 1, most)));
  for (GatherPiece& piece : pieces) {
    // A few are large, some empty.
    piece.slice_bytes = draw(random, smallest, draw(random, 0, 3) == 0 ? 60 : 12);
    piece.plain_bytes = kWorld * piece.slice_bytes;
    piece.seconds = draw_s(random, 150);
  }
  return pieces;
}

int64_t draw_window(Random& random, const std::vector<GatherPiece>& pieces) {
  const int64_t least = least_window(pieces), widest = widest_window(pieces);
  return draw(random, least, draw(random, 0, 3) == 0 ? least : widest + 10);
}

std::vector<int64_t> bytes_of(const std::vector<GatherPiece>& pieces) {
  std::vector<int64_t> bytes;
  for (const GatherPiece& piece : pieces) bytes.push_back(piece.plain_bytes);
  return bytes;
}

double transfer_s(const GatherPiece& piece, const GatherLink& link) {
  return link.latency_s +
         static_cast<double>(piece.plain_bytes - piece.slice_bytes) / link.bytes_per_s;
}

/// One rank by its events, from the definitions and without GatherWindow: a main thread and a lane,
/// each idle or busy until some time.
class EventSimulation {
 public:
  EventSimulation(const std::vector<GatherPiece>& pieces, int64_t window, const GatherLink& link,
                  double between_s, int64_t sweeps)
      : pieces_(pieces),
        window_(window),
        link_(link),
        between_s_(between_s),
        total_(static_cast<int64_t>(pieces.size()) * sweeps) {}

  std::vector<GatherTimes> run() {
    for (fill(); !main_over_;) {
      if (!lane_busy_ && !queue_.empty()) {
        lane_busy_ = true;
        lane_until_s_ = now_s_ + transfer_s(piece(queue_.front()), link_);
      } else if (!main_busy_ && arrived(next_)) {
        times_[next_].begun_s = now_s_;
        main_busy_ = true;
        main_until_s_ = now_s_ + piece(next_).seconds;
      } else {
        advance();
      }
    }
    return times_;
  }

 private:
  const GatherPiece& piece(std::size_t number) const { return pieces_[number % pieces_.size()]; }
  bool arrived(std::size_t number) const {
    return number < times_.size() && (queue_.empty() || number < queue_.front());
  }
  /// To the next event: a gather has arrived, a piece is done, or what comes between sweeps is.
  void advance() {
    if (!main_busy_ && !lane_busy_) throw std::logic_error("nothing happens any more");
    const bool lane = lane_busy_ && (!main_busy_ || lane_until_s_ <= main_until_s_);
    now_s_ = lane ? lane_until_s_ : main_until_s_;
    if (lane) {
      lane_busy_ = false;
      times_[queue_.front()].arrived_s = now_s_;
      queue_.pop_front();
      return;
    }
    main_busy_ = false;
    if (rests_) {
      rests_ = false;
      return;
    }
    times_[next_].done_s = now_s_;
    held_.pop_front();
    ++next_;
    fill();
    main_over_ = static_cast<int64_t>(next_) == total_;
    if (next_ % pieces_.size() == 0) {
      rests_ = main_busy_ = true;
      main_until_s_ = now_s_ + between_s_;
    }
  }
  /// A place in the window behind the last piece, or at its beginning, that touches none held.
  std::optional<int64_t> place(int64_t bytes) const {
    for (const int64_t begin : {held_.empty() ? 0 : held_.back().second, int64_t{0}}) {
      const bool free = std::none_of(held_.begin(), held_.end(), [&](const auto& other) {
        return begin < other.second && other.first < begin + bytes;
      });
      if (free && begin + bytes <= window_) return begin;
    }
    return {};
  }
  /// As many gathers as fit.
  void fill() {
    while (static_cast<int64_t>(times_.size()) < total_ && held_.size() < pieces_.size()) {
      const int64_t bytes = piece(times_.size()).plain_bytes;
      const std::optional<int64_t> begin = place(bytes);
      if (!begin) return;
      held_.emplace_back(*begin, *begin + bytes);
      queue_.push_back(times_.size());
      times_.push_back({now_s_, 0, 0, 0});
    }
  }

  const std::vector<GatherPiece>& pieces_;
  const int64_t window_;
  const GatherLink link_;
  const double between_s_;
  const int64_t total_;
  std::vector<GatherTimes> times_;                // of each gather enqueued
  std::deque<std::pair<int64_t, int64_t>> held_;  // begin and end in the window
  std::deque<std::size_t> queue_;
  std::size_t next_ = 0;  // to be run
  double now_s_ = 0, main_until_s_ = 0, lane_until_s_ = 0;
  bool main_busy_ = false, lane_busy_ = false, rests_ = false, main_over_ = false;
};

TEST(GatherPlan, TheRecurrenceGivesTheTimesOfASimulationByEvents) {
  Random random(1);
  for (int trial = 0; trial < 2000; ++trial) {
    const auto pieces = draw_pieces(random, 9, 1);  // where an empty one lies is no matter
    const int64_t window = draw_window(random, pieces);
    const GatherLink link{draw_s(random, 20), kBytesPerSecond};
    const double between_s = draw_s(random, 400);
    const int64_t sweeps = draw(random, 1, 5);
    const auto times = gather_times(pieces, window, link, between_s, sweeps);
    const auto expected = EventSimulation(pieces, window, link, between_s, sweeps).run();
    ASSERT_EQ(times.size(), expected.size());
    for (std::size_t n = 0; n < times.size(); ++n) {
      ASSERT_EQ(times[n].enqueued_s, expected[n].enqueued_s) << "trial " << trial << ", " << n;
      ASSERT_EQ(times[n].arrived_s, expected[n].arrived_s) << "trial " << trial << ", " << n;
      ASSERT_EQ(times[n].begun_s, expected[n].begun_s) << "trial " << trial << ", " << n;
      ASSERT_EQ(times[n].done_s, expected[n].done_s) << "trial " << trial << ", " << n;
    }
  }
}

/// A rank that drives a GatherWindow; a gather arrives once all ranks have enqueued it.
struct SimulatedRank {
  GatherWindow window;
  std::vector<PlacedPiece> enqueued;  // through all sweeps
  std::size_t done = 0;
};

TEST(GatherWindow, RanksOfAnySpeedEnqueueOneOrderWithinTheWindowAndNeverWaitForEver) {
  Random random(2);
  for (int trial = 0; trial < 1000; ++trial) {
    const auto pieces = draw_pieces(random, 9);
    const std::size_t count = pieces.size();
    const int64_t limit = draw_window(random, pieces);
    const auto sweeps = static_cast<std::size_t>(draw(random, 1, 5));
    std::vector<bool> another(sweeps, false);  // a sweep that is not the last may not know it
    for (std::size_t s = 0; s + 1 < sweeps; ++s) another[s] = draw(random, 0, 3) > 0;
    std::vector<SimulatedRank> ranks;
    for (int64_t r = draw(random, 1, 4); r > 0; --r) {
      ranks.push_back({GatherWindow(bytes_of(pieces), limit), {}, 0});
    }
    const auto begin_or_fill = [&](SimulatedRank& rank) {
      if (rank.done % count == 0 && rank.done < count * sweeps) {
        rank.window.begin_sweep(another[rank.done / count]);
      }
      while (const auto next = rank.window.next_to_enqueue()) {
        const auto end = [&](const PlacedPiece& placed) {
          return placed.offset + pieces[placed.piece].plain_bytes;
        };
        ASSERT_GE(next->offset, 0);
        ASSERT_LE(end(*next), limit);
        for (std::size_t n = rank.done; n < rank.enqueued.size(); ++n) {
          const PlacedPiece& held = rank.enqueued[n];
          ASSERT_TRUE(end(held) <= next->offset || end(*next) <= held.offset);
        }
        rank.enqueued.push_back(*next);
        ASSERT_LE(rank.enqueued.size() - rank.done, count);
      }
    };
    for (SimulatedRank& rank : ranks) begin_or_fill(rank);
    for (;;) {
      // Any rank whose next piece has arrived may be the one that goes on.
      std::vector<SimulatedRank*> able;
      for (SimulatedRank& rank : ranks) {
        if (rank.done < count * sweeps &&
            std::all_of(ranks.begin(), ranks.end(), [&](const SimulatedRank& other) {
              return other.enqueued.size() > rank.done;
            })) {
          able.push_back(&rank);
        }
      }
      if (able.empty()) break;
      SimulatedRank& rank =
          *able[static_cast<std::size_t>(draw(random, 0, static_cast<int64_t>(able.size()) - 1))];
      rank.window.done_with(rank.done++ % count);
      // At a sweep's end a rank first fills up, then does something else.
      while (const auto next = rank.window.next_to_enqueue()) rank.enqueued.push_back(*next);
      if (rank.done % count == 0) {
        const std::size_t sweep = rank.done / count - 1;
        if (!another[sweep]) {
          EXPECT_EQ(rank.enqueued.size(), rank.done);  // none sent ahead
        }
      }
      begin_or_fill(rank);
      if (HasFatalFailure()) return;
    }
    for (const SimulatedRank& rank : ranks) {
      ASSERT_EQ(rank.done, count * sweeps) << "deadlock in trial " << trial;
      ASSERT_EQ(rank.enqueued.size(), count * sweeps);
      for (std::size_t n = 0; n < rank.enqueued.size(); ++n) {
        ASSERT_EQ(rank.enqueued[n], ranks.front().enqueued[n]);
        ASSERT_EQ(rank.enqueued[n].piece, n % count);
      }
    }
  }
}

using Placed = std::vector<PlacedPiece>;

Placed all_next(GatherWindow& window) {
  Placed placed;
  while (const auto next = window.next_to_enqueue()) placed.push_back(*next);
  return placed;
}

TEST(GatherWindow, GathersAsFarAheadAsFits) {
  GatherWindow window({40, 30, 20, 10}, 60);
  EXPECT_EQ(all_next(window), Placed{});  // no sweep has begun
  window.begin_sweep(true);
  EXPECT_EQ(all_next(window), (Placed{{0, 0}}));
  window.done_with(0);
  EXPECT_EQ(all_next(window), (Placed{{1, 0}, {2, 30}, {3, 50}}));
  window.done_with(1);
  EXPECT_EQ(all_next(window), Placed{});  // 30 are free, the next one takes 40
  window.done_with(2);
  EXPECT_EQ(all_next(window), (Placed{{0, 0}}));  // of the next sweep
  window.done_with(3);
  EXPECT_EQ(all_next(window), Placed{});
  window.drop_ahead();
  EXPECT_EQ(all_next(window), Placed{});
  window.begin_sweep(false);
  EXPECT_EQ(all_next(window), (Placed{{0, 0}}));
  window.done_with(0);
  EXPECT_EQ(all_next(window), (Placed{{1, 0}, {2, 30}, {3, 50}}));
  EXPECT_THROW(window.drop_ahead(), Error);
  for (const std::size_t piece : {1, 2, 3}) window.done_with(piece);
  EXPECT_EQ(all_next(window), Placed{});
}

TEST(GatherWindow, APieceLiesWholeOrWaits) {
  GatherWindow window({2, 3, 3}, 6);
  window.begin_sweep(true);
  EXPECT_EQ(all_next(window), (Placed{{0, 0}, {1, 2}}));
  window.done_with(0);
  EXPECT_EQ(all_next(window), Placed{});  // 2 bytes are free before the held piece and 1 behind
  window.done_with(1);
  EXPECT_EQ(all_next(window), (Placed{{2, 0}, {0, 3}}));
  window.done_with(2);
  EXPECT_EQ(all_next(window), (Placed{{1, 0}}));  // around the end
  EXPECT_THROW(window.done_with(0), Error);       // of the next sweep, which has not begun
}

TEST(GatherWindow, OfEverythingHoldsEachPieceOnce) {
  GatherWindow window({4, 0, 2}, int64_t{1} << 60);
  window.begin_sweep(true);
  EXPECT_EQ(all_next(window), (Placed{{0, 0}, {1, 4}, {2, 4}}));
  window.done_with(0);
  EXPECT_EQ(all_next(window), (Placed{{0, 0}}));
  window.done_with(1);
  EXPECT_EQ(all_next(window), (Placed{{1, 4}}));
}

TEST(GatherWindow, MayGrowBetweenSweeps) {
  GatherWindow window({3, 2, 1}, 3);
  window.begin_sweep(true);
  EXPECT_EQ(all_next(window), (Placed{{0, 0}}));
  for (const std::size_t piece : {0, 1, 2}) {
    window.done_with(piece);
    all_next(window);
  }
  window.widen(6);
  window.begin_sweep(true);
  EXPECT_EQ(all_next(window), (Placed{{1, 3}, {2, 5}}));  // behind the one that is there
  EXPECT_THROW(window.widen(2), Error);
}

TEST(GatherWindow, RefusesWhatIsOutOfTurn) {
  try {
    GatherWindow({5, 9, 3}, 8);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::settings);
    EXPECT_STREQ(error.what(),
                 "teacher.window = 8: its largest piece takes 9 bytes; give that or more, or 0 "
                 "(chosen)");
  }
  GatherWindow window({5, 9, 3}, 9);
  EXPECT_THROW(window.done_with(0), Error);
  window.begin_sweep(true);
  EXPECT_THROW(window.done_with(0), Error);  // not enqueued
  EXPECT_EQ(all_next(window), (Placed{{0, 0}}));
  EXPECT_THROW(window.done_with(1), Error);
  EXPECT_THROW(window.begin_sweep(false), Error);
  window.done_with(0);
  GatherWindow none({}, 0);
  none.begin_sweep(true);
  EXPECT_EQ(none.next_to_enqueue(), std::nullopt);
  none.begin_sweep(false);
}

TEST(GatherPlan, CostsOfEqualPieces) {
  // 5 pieces, each 1 s to run and 0.75 s to gather.
  const std::vector<GatherPiece> pieces(5, {256, 1024, 1.0});
  const GatherLink link{0, 1024};
  const auto exposed = [&](int64_t window, double between_s, double factor = 1) {
    return gather_cost(pieces, window, {0, 1024 / factor}, between_s).exposed_s;
  };
  EXPECT_EQ(exposed(1024, 0), 5 * 0.75);
  EXPECT_EQ(exposed(1024, 0.5), 4 * 0.75 + 0.25);  // the first one travels between sweeps
  EXPECT_EQ(exposed(1024, 2), 4 * 0.75);
  EXPECT_EQ(exposed(2047, 2), 4 * 0.75);
  EXPECT_EQ(exposed(2048, 0), 0);
  EXPECT_EQ(gather_cost(pieces, 2048, link, 2).compute_s, 7);
  // Twice as long to gather: a sweep takes 7.5 s of the lane. With 2 s between sweeps only a window
  // of several pieces gets that far ahead.
  EXPECT_EQ(exposed(2048, 0, 2), 2.5);
  EXPECT_EQ(exposed(5 * 1024, 2, 2), 0.5);
  EXPECT_EQ(exposed(5 * 1024, 3, 2), 0);
  EXPECT_EQ(choose_window(pieces, link, 0), 2048);
  EXPECT_EQ(choose_window(std::vector<GatherPiece>{}, link, 1), 0);
}

TEST(GatherPlan, ChoosesASmallWindowThatHidesTheGathers) {
  Random random(3);
  int smallest = 0, hidden = 0, lanes_bound = 0;
  for (int trial = 0; trial < 300; ++trial) {
    const auto pieces = draw_pieces(random, 6);
    const GatherLink link{draw_s(random, 10),
                          kBytesPerSecond * static_cast<double>(draw(random, 1, 4)) / 4};
    const double between_s = draw_s(random, 150);
    const GatherCost best = gather_cost(pieces, widest_window(pieces), link, between_s);
    const double limit_s = std::max(kMostExposed * best.compute_s, best.exposed_s + 1e-9);
    const auto hides = [&](int64_t window) {
      return gather_cost(pieces, window, link, between_s).exposed_s <= limit_s;
    };
    int64_t least = least_window(pieces);
    while (!hides(least)) ++least;
    const int64_t chosen = choose_window(pieces, link, between_s);
    ASSERT_TRUE(hides(chosen)) << "trial " << trial;
    ASSERT_LE(chosen, least + least_window(pieces)) << "trial " << trial;
    if (chosen == least) ++smallest;
    (best.exposed_s <= kMostExposed * best.compute_s ? hidden : lanes_bound)++;
  }
  EXPECT_GT(smallest, 200);
  EXPECT_GT(hidden, 50);
  EXPECT_GT(lanes_bound, 50);
}

}  // namespace
}  // namespace bitstill
