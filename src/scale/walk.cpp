#include "bitstill/scale/walk.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "bitstill/base/timer.hpp"
#include "bitstill/comm/tree_message.hpp"

namespace bitstill {
namespace {

/// How much longer than asked for a thread sleeps: the least of some tries.
double overshoot_s() {
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  double least_s = 1;
  for (int i = 0; i < 20; ++i) {
    const Timer timer;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    least_s = std::min(least_s, timer.seconds() - 1e-3);
  }
  return std::max(least_s, 0.0);
}

ChunkGate make_gate(const StepProfile& profile) {
  const std::vector<Range> ranges = profile.segments();
  return {plan_chunks(profile.elements, ranges, profile.chunk_bytes), ranges};
}

/// Every rank has as many micro-batches.
LeafTree make_tree(const StepProfile& profile, int world) {
  std::vector<int64_t> first;
  for (int64_t rank = 0; rank <= world; ++rank) first.push_back(rank * profile.micro_batches);
  return LeafTree(first);
}

std::vector<int64_t> gathered_bytes(const SlicesProfile& slices) {
  std::vector<int64_t> bytes;
  for (const GatherPiece& piece : slices.pieces) bytes.push_back(piece.plain_bytes);
  return bytes;
}

}  // namespace

void SleepClock::compute(double seconds) {
  static thread_local const double overshoot = overshoot_s();
  if (seconds > overshoot) {
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds - overshoot));
  }
}

WalkMemory::WalkMemory(const StepProfile& profile, int world) {
  const auto floats = static_cast<std::size_t>(profile.sums + profile.elements);
  message.resize(floats);
  if (profile.fixed) {
    int depth = 0;
    const LeafTree tree = make_tree(profile, world);
    for (int rank = 0; rank < world; ++rank) depth = std::max(depth, tree.stack_depth(rank));
    stack.resize(static_cast<std::size_t>(depth) * floats);
  }
  if (profile.group == 0) return;
  int64_t largest = 0;
  for (const GatherPiece& piece : profile.slices.pieces) {
    largest = std::max(largest, piece.slice_bytes);
  }
  slices.resize(static_cast<std::size_t>(largest));
  window.resize(static_cast<std::size_t>(
      std::min(profile.slices.window, widest_window(profile.slices.pieces))));
}

StepWalk::StepWalk(const StepProfile& profile, int rank, int world, Channel& gradients,
                   Channel* gathers, StepClock& clock, WalkMemory& memory)
    : profile_(profile),
      gradients_(gradients),
      gathers_(gathers),
      clock_(clock),
      memory_(memory),
      gate_(make_gate(profile)) {
  if (profile_.fixed) {
    tree_ = std::make_unique<LeafTree>(make_tree(profile_, world));
    rows_ = rows_before_last(*tree_, rank);
  }
  if (gathers_ != nullptr) {
    window_ =
        std::make_unique<GatherWindow>(gathered_bytes(profile_.slices), profile_.slices.window);
  }
}

void StepWalk::step() {
  clock_.compute(profile_.begin_s);
  gate_.arm();
  sent_.clear();
  ask_teacher();
  for (int64_t number = 1; number <= profile_.micro_batches; ++number) {
    pass(number == profile_.micro_batches);
  }
  for (const Range& chunk : gate_.finish()) send(chunk);
  for (const EventPtr& event : sent_) gradients_.wait(event);
  clock_.compute(profile_.update_s);
}

void StepWalk::settle() {
  while (!arriving_.empty()) take_piece();
  if (window_) window_->drop_ahead();
}

void StepWalk::ask_teacher() {
  if (!window_) return;
  window_->begin_sweep(true);
  send_ahead();
  for (std::size_t piece = 0; piece < profile_.slices.pieces.size(); ++piece) {
    take_piece();
    clock_.compute(profile_.slices.pieces[piece].seconds);
    window_->done_with(piece);
    send_ahead();
  }
}

void StepWalk::send_ahead() {
  while (const std::optional<PlacedPiece> next = window_->next_to_enqueue()) {
    arriving_.push_back(
        gathers_->all_gather(memory_.slices.data(), memory_.window.data() + next->offset,
                             profile_.slices.pieces[next->piece].slice_bytes, nullptr));
  }
}

void StepWalk::take_piece() {
  gathers_->wait(arriving_.front());
  arriving_.pop_front();
}

void StepWalk::pass(bool last) {
  clock_.compute(profile_.pass_s + profile_.forward_s());
  for (auto unit = profile_.units.rbegin(); unit != profile_.units.rend(); ++unit) {
    clock_.compute(unit->backward_s);
    if (!last) continue;
    for (auto range = unit->gradients.rbegin(); range != unit->gradients.rend(); ++range) {
      gate_.mark_ready(*range);
      for (const Range& chunk : gate_.take_ready()) send(chunk);
    }
  }
}

void StepWalk::send(const Range& chunk) {
  const Range part = part_of_message(chunk, profile_.sums);
  float* const values = memory_.message.data() + part.offset;
  if (!tree_) {
    sent_.push_back(gradients_.all_reduce(values, part.count, nullptr));
    return;
  }
  TreePart mine{{}, values, part.count};
  for (int64_t row = 0; row < rows_; ++row) {
    mine.rows.push_back(memory_.stack.data() + row * static_cast<int64_t>(memory_.message.size()) +
                        part.offset);
  }
  sent_.push_back(sum_by_tree(gradients_, *tree_, std::move(mine)));
}

}  // namespace bitstill
