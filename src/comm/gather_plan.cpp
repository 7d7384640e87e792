#include "bitstill/comm/gather_plan.hpp"

#include <algorithm>
#include <numeric>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr int64_t kSettlingSweeps = 8, kMeasuredSweeps = 8;

std::vector<int64_t> bytes_of(std::span<const GatherPiece> pieces) {
  std::vector<int64_t> bytes;
  for (const GatherPiece& piece : pieces) bytes.push_back(piece.plain_bytes);
  return bytes;
}

double transfer_s(const GatherPiece& piece, const GatherLink& link) {
  return link.latency_s +
         static_cast<double>(piece.plain_bytes - piece.slice_bytes) / link.bytes_per_s;
}

}  // namespace

int64_t least_window(std::span<const GatherPiece> pieces) {
  const std::vector<int64_t> bytes = bytes_of(pieces);
  return bytes.empty() ? 0 : *std::max_element(bytes.begin(), bytes.end());
}

int64_t widest_window(std::span<const GatherPiece> pieces) {
  const std::vector<int64_t> bytes = bytes_of(pieces);
  return std::accumulate(bytes.begin(), bytes.end(), int64_t{0});
}

std::vector<GatherTimes> gather_times(std::span<const GatherPiece> pieces, int64_t window,
                                      const GatherLink& link, double between_s, int64_t sweeps) {
  GatherWindow gate(bytes_of(pieces), window);
  std::vector<GatherTimes> times;
  times.reserve(pieces.size() * static_cast<std::size_t>(sweeps));
  double now_s = 0, lane_s = 0;  // when the main thread and the lane are free
  const auto enqueue = [&] {
    while (const auto next = gate.next_to_enqueue()) {
      lane_s = std::max(lane_s, now_s) + transfer_s(pieces[next->piece], link);
      times.push_back({now_s, lane_s, 0, 0});
    }
  };
  std::size_t number = 0;
  for (int64_t sweep = 0; sweep < sweeps; ++sweep) {
    gate.begin_sweep(sweep + 1 < sweeps);
    enqueue();
    for (std::size_t piece = 0; piece < pieces.size(); ++piece, ++number) {
      times[number].begun_s = std::max(now_s, times[number].arrived_s);
      times[number].done_s = now_s = times[number].begun_s + pieces[piece].seconds;
      gate.done_with(piece);
      enqueue();
    }
    now_s += between_s;
  }
  return times;
}

GatherCost gather_cost(std::span<const GatherPiece> pieces, int64_t window, const GatherLink& link,
                       double between_s) {
  GatherCost cost{between_s, 0};
  if (pieces.empty()) return cost;
  for (const GatherPiece& piece : pieces) cost.compute_s += piece.seconds;
  // The last sweep sends none ahead, which changes nothing before its own pieces.
  const auto times =
      gather_times(pieces, window, link, between_s, kSettlingSweeps + kMeasuredSweeps + 1);
  const auto end_s = [&](int64_t sweep) {
    return times[static_cast<std::size_t>(sweep) * pieces.size() - 1].done_s;
  };
  const double sweep_s = (end_s(kSettlingSweeps + kMeasuredSweeps) - end_s(kSettlingSweeps)) /
                         static_cast<double>(kMeasuredSweeps);
  cost.exposed_s = std::max(sweep_s - cost.compute_s, 0.0);
  return cost;
}

int64_t choose_window(std::span<const GatherPiece> pieces, const GatherLink& link,
                      double between_s) {
  int64_t least = least_window(pieces), enough = widest_window(pieces);
  const GatherCost best = gather_cost(pieces, enough, link, between_s);
  const double limit_s = std::max(kMostExposed * best.compute_s, best.exposed_s * (1 + 1e-9));
  while (least < enough) {
    const int64_t middle = least + (enough - least) / 2;
    if (gather_cost(pieces, middle, link, between_s).exposed_s <= limit_s) {
      enough = middle;
    } else {
      least = middle + 1;
    }
  }
  return enough;
}

GatherWindow::GatherWindow(std::vector<int64_t> bytes, int64_t window) : bytes_(std::move(bytes)) {
  widen(window);
}

void GatherWindow::widen(int64_t window) {
  const int64_t least = bytes_.empty() ? 0 : *std::max_element(bytes_.begin(), bytes_.end());
  if (window < least) {
    throw Error(ExitCode::settings,
                concat("teacher.window = ", window, ": its largest piece takes ", least,
                       " bytes; give that or more, or 0 (chosen)"));
  }
  const int64_t all = std::accumulate(bytes_.begin(), bytes_.end(), int64_t{0});
  window_ = std::max(window_, std::min(window, all));
}

void GatherWindow::begin_sweep(bool another) {
  if (done_ != sweep_end_) {
    throw Error(ExitCode::environment, "a sweep begins before all pieces of the last one are done");
  }
  const auto pieces = static_cast<int64_t>(bytes_.size());
  sweep_end_ += pieces;
  last_ = sweep_end_ + (another ? pieces : 0);
}

std::optional<int64_t> GatherWindow::offset_for(int64_t bytes) const {
  if (held_.empty()) return 0;
  const int64_t behind = held_.back().end, oldest = held_.front().begin;
  if (behind + bytes <= (wrapped_ ? oldest : window_)) return behind;
  if (!wrapped_ && oldest > 0 && bytes <= oldest) return 0;
  return {};
}

std::optional<PlacedPiece> GatherWindow::next_to_enqueue() {
  // No piece is held twice, though it may have no bytes.
  const int64_t next = done_ + static_cast<int64_t>(held_.size());
  if (next == last_ || held_.size() == bytes_.size()) return {};
  const std::size_t piece = piece_of(next);
  const std::optional<int64_t> offset = offset_for(bytes_[piece]);
  if (!offset) return {};
  if (!held_.empty() && *offset < held_.back().end) wrapped_ = true;
  held_.push_back({*offset, *offset + bytes_[piece]});
  return PlacedPiece{piece, *offset};
}

void GatherWindow::done_with(std::size_t piece) {
  if (done_ == sweep_end_ || held_.empty() || piece_of(done_) != piece) {
    throw Error(ExitCode::environment, concat("piece ", piece, " is done out of turn"));
  }
  const int64_t begin = held_.front().begin;
  held_.pop_front();
  if (held_.empty() || held_.front().begin < begin) wrapped_ = false;
  ++done_;
}

void GatherWindow::drop_ahead() {
  if (done_ != sweep_end_) {
    throw Error(ExitCode::environment, "pieces are dropped before the sweep has ended");
  }
  last_ = sweep_end_;
  held_.clear();
  wrapped_ = false;
}

}  // namespace bitstill
