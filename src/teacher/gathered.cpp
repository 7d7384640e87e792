#include "bitstill/teacher/gathered.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstdio>
#include <deque>
#include <optional>
#include <utility>

#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/gather_plan.hpp"
#include "gather_group.hpp"
#include "measure_sweep.hpp"
#include "slices.hpp"

namespace bitstill {
namespace {

/// By which a window is chosen.
struct WindowChoice {
  std::vector<GatherPiece> pieces;
  GatherLink link;
  int64_t given = 0;  // not chosen
  int64_t most = 0;   // bytes

  int64_t window(double between_s) const {
    return given > 0 ? widest() : std::min(choose_window(pieces, link, between_s), most);
  }
  int64_t widest() const { return std::min(given > 0 ? given : most, widest_window(pieces)); }
};

class GatheredTeacher final : public Teacher {
 public:
  GatheredTeacher(const TeacherTraits& traits, std::unique_ptr<Piecewise> network, Slices slices,
                  std::unique_ptr<Channel> channel, GatherWindow window, int64_t widest)
      : Teacher(traits),
        network_(std::move(network)),
        slices_(std::move(slices)),
        memory_(at::empty({widest}, slices_.mine.options())),
        channel_(std::move(channel)),
        window_(std::move(window)) {}

  /// Once it is known how long other work takes between two sweeps, the window may be wider.
  /// `control` outlives the teacher.
  void widen_by(WindowChoice choice, Communicator& control) {
    choice_ = std::move(choice);
    control_ = &control;
  }

  std::vector<Answer> answer(std::span<const Question> questions, bool more) override {
    const at::NoGradGuard no_grad;
    if (choice_) widen();
    std::vector<PassState> states;
    for (const Question& question : questions) {
      states.push_back(question.tokens != nullptr ? network_->begin(*question.tokens)
                                                  : network_->begin(question.x));
    }
    window_.begin_sweep(more);
    send_ahead();
    for (std::size_t piece = 0; piece < network_->pieces().size(); ++piece) {
      const at::Tensor plain = take();
      if (!states.empty()) network_->run(piece, plain.const_data_ptr(), states);
      window_.done_with(piece);
      send_ahead();
    }
    std::vector<Answer> answers;
    for (PassState& state : states) {
      PassResult result = network_->finish(std::move(state));
      answers.emplace_back(std::move(result.rows), std::move(result.head));
    }
    since_sweep_.lap();
    return answers;
  }

  void settle() override {
    while (!arriving_.empty()) take();
    window_.drop_ahead();
  }

  GatherSeconds take_gather_seconds() override {
    return {channel_->take_busy_seconds(), std::exchange(exposed_s_, 0)};
  }

 private:
  /// The shortest of the first gaps between sweeps counts, on the rank where it is longest: others
  /// have a validation or a checkpoint in them.
  void widen() {
    if (sweeps_ > 0) between_s_ = std::min(between_s_, since_sweep_.seconds());
    if (sweeps_++ < kSweepsToWindow) return;
    tell(true);
    control_->all_reduce(&between_s_, 1, ElementType::f64, Reduction::max);
    tell(false);
    SliceFacts& facts = *traits_.slices;
    facts.window = std::max(facts.window, choice_->window(between_s_));
    window_.widen(facts.window);
    const GatherCost cost = gather_cost(choice_->pieces, facts.window, choice_->link, between_s_);
    char share[32];
    std::snprintf(share, sizeof share, "%.1f", 100 * cost.exposed_s / cost.compute_s);
    say(concat("the teacher's window is ", human_bytes(static_cast<double>(facts.window)),
               ": waiting for pieces adds ", share, " % to a sweep and what comes between sweeps"));
    choice_.reset();
  }

  struct Arriving {
    at::Tensor plain;  // uint8 [world * slice]
    EventPtr done;
  };

  /// As far as the window allows, over the end of the sweep where another one comes.
  void send_ahead() {
    while (const std::optional<PlacedPiece> next = window_.next_to_enqueue()) {
      at::Tensor plain =
          memory_.narrow(0, next->offset, slices_.bytes[next->piece] * slices_.world);
      const EventPtr done = gather(*channel_, slices_, next->piece, plain);
      arriving_.push_back({std::move(plain), done});
    }
  }

  at::Tensor take() {
    const Timer timer;
    const Arriving first = std::move(arriving_.front());
    arriving_.pop_front();
    tell(true);
    channel_->wait(first.done);
    tell(false);
    exposed_s_ += timer.seconds();
    return first.plain;
  }

  std::unique_ptr<Piecewise> network_;
  Slices slices_;
  at::Tensor memory_;  // of the window at its widest; a CPU has the pages that were written
  std::deque<Arriving> arriving_;
  std::unique_ptr<Channel> channel_;
  GatherWindow window_;
  double exposed_s_ = 0;
  std::optional<WindowChoice> choice_;  // until it is made
  Communicator* control_ = nullptr;
  int sweeps_ = 0;
  Timer since_sweep_;
  double between_s_ = 1e9;
};

/// How many ranks share a teacher: they follow each other in number. Collective.
int64_t ranks_that_share(World& world, const TeacherLayout& layout) {
  if (layout.sharding != Sharding::hybrid) return world.place().world;
  const int64_t group = group_size(world, layout);
  if (group > 0) return group;
  throw AgreedError(
      ExitCode::settings,
      concat(layout.prefix, "sharding = hybrid: hosts hold different numbers of ranks; give ",
             layout.prefix, "group"));
}

SliceFacts facts_of(const Piecewise& network, const Slices& slices, Sharding sharding) {
  SliceFacts facts;
  facts.sharding = sharding;
  facts.world = slices.world;
  facts.pieces = static_cast<int64_t>(network.pieces().size());
  facts.mine = slices.mine.numel();
  for (const int64_t bytes : slices.gathered_bytes()) {
    facts.largest_piece = std::max(facts.largest_piece, bytes);
  }
  for (const Piece& piece : network.pieces()) {
    facts.plain += piece.plain_bytes;
    facts.largest_ready = std::max(facts.largest_ready, piece.ready_bytes);
  }
  return facts;
}

WindowChoice measured_choice(const Piecewise& network, const Slices& slices, Channel& channel,
                             Communicator& control, const SweepSample& sample) {
  WindowChoice choice;
  const std::vector<double> seconds = piece_seconds(network, sample, sample.passes, control);
  for (std::size_t piece = 0; piece < seconds.size(); ++piece) {
    const int64_t bytes = slices.bytes[piece];
    choice.pieces.push_back({bytes, bytes * slices.world, seconds[piece]});
  }
  choice.link = gather_link(slices.bytes, slices.world, channel, control, sample.device());
  return choice;
}

/// The most a chosen window takes: what memory_mb leaves beside all else; without it, so that
/// slices stay worth their while, 16 MiB or an eighteenth of the teacher, and a piece more, which
/// is what lies idle at most where the next piece does not fit.
int64_t most_window(const TeacherLayout& layout, const SliceFacts& facts) {
  const int64_t most = layout.memory_mb == 0
                           ? std::max<int64_t>(16 << 20, facts.plain / 18) + facts.largest_piece
                           : layout.memory_bytes() - facts.mine - facts.largest_ready;
  return std::max(most, facts.largest_piece);
}

}  // namespace

Json to_json(const SliceFacts& slices) {
  return {{"pieces", slices.pieces},
          {"plain_bytes", slices.plain},
          {"mine_bytes", slices.mine},
          {"window_bytes", slices.window},
          {"ready_bytes", slices.largest_ready},
          {"read_bytes", slices.read}};
}

std::unique_ptr<Teacher> make_gathered_teacher(World& world, std::unique_ptr<Piecewise> network,
                                               TensorSource& source, const TeacherTraits& traits,
                                               const TeacherLayout& layout, Overlap overlap,
                                               const SweepSample& sample) {
  Communicator& control = world.control();
  const int64_t group = ranks_that_share(world, layout);
  const std::unique_ptr<Communicator> readers = split_group(world, group, Traffic::control);
  Slices slices;
  agree(control, [&] { slices = read_slices(*network, source, *readers); });
  slices.mine = slices.mine.to(sample.device());
  TeacherTraits own = traits;
  SliceFacts& facts = own.slices.emplace(facts_of(*network, slices, layout.sharding));
  facts.read = source.bytes_read();
  control.all_reduce(&facts.read, 1, ElementType::i64);
  agree(control, [&] {  // a window too small is refused before anything is measured
    if (layout.window > 0) GatherWindow(slices.gathered_bytes(), layout.window);
  });
  // Without a lane nothing travels ahead: one piece at a time.
  const bool ahead = overlap != Overlap::off;
  std::unique_ptr<Channel> channel = gather_channel(world, group, overlap, sample.device());
  std::optional<WindowChoice> choice;
  if (ahead) {
    choice = measured_choice(*network, slices, *channel, control, sample);
    facts.measured = choice->pieces;
    choice->given = layout.window;
    choice->most = most_window(layout, facts);
  }
  facts.window = ahead ? choice->window(0) : facts.largest_piece;
  const int64_t widest = ahead ? choice->widest() : facts.largest_piece;
  GatherWindow window(slices.gathered_bytes(), facts.window);
  auto teacher = std::make_unique<GatheredTeacher>(own, std::move(network), std::move(slices),
                                                   std::move(channel), std::move(window), widest);
  if (choice) teacher->widen_by(std::move(*choice), control);
  return teacher;
}

}  // namespace bitstill
