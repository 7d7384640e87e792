#include "bitstill/teacher/gathered.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/gather_plan.hpp"
#include "bitstill/comm/nccl.hpp"
#include "slices.hpp"

namespace bitstill {
namespace {

class GatheredTeacher final : public Teacher {
 public:
  GatheredTeacher(const TeacherTraits& traits, std::unique_ptr<Piecewise> network, Slices slices,
                  std::unique_ptr<Channel> channel)
      : Teacher(traits),
        network_(std::move(network)),
        slices_(std::move(slices)),
        channel_(std::move(channel)),
        window_(slices_.gathered_bytes(), traits.slices->window) {}

  std::vector<Answer> answer(std::span<const Question> questions, bool more) override {
    const at::NoGradGuard no_grad;
    std::vector<PassState> states;
    for (const Question& question : questions) states.push_back(network_->begin(question.x));
    window_.begin_sweep(more);
    send_ahead();
    for (std::size_t piece = 0; piece < network_->pieces().size(); ++piece) {
      at::Tensor plain = take();
      if (!states.empty()) network_->run(piece, plain.const_data_ptr(), states);
      plain.reset();  // before the next ones take their memory
      window_.done_with(piece);
      send_ahead();
    }
    std::vector<Answer> answers;
    for (PassState& state : states) answers.emplace_back(network_->finish(std::move(state)));
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
  struct Arriving {
    at::Tensor plain;  // uint8 [world * slice]
    EventPtr done;
  };

  /// As far as the window allows, over the end of the sweep where another one comes.
  void send_ahead() {
    while (const std::optional<std::size_t> piece = window_.next_to_enqueue()) {
      at::Tensor plain = at::empty({slices_.bytes[*piece] * slices_.world}, slices_.mine.options());
      const EventPtr done = gather(*channel_, slices_, *piece, plain);
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
  std::deque<Arriving> arriving_;
  std::unique_ptr<Channel> channel_;
  GatherWindow window_;
  double exposed_s_ = 0;
};

/// How many ranks share a teacher: they follow each other in number. The same on all ranks.
int64_t group_size(World& world, const TeacherLayout& layout) {
  const int64_t ranks = world.place().world;
  if (layout.sharding != Sharding::hybrid) return ranks;
  if (layout.group == 0) {
    int64_t own[] = {world.place().local_world, -world.place().local_world};
    world.control().all_reduce(own, 2, ElementType::i64, Reduction::max);
    if (own[0] == -own[1] && ranks % own[0] == 0) return own[0];
    throw AgreedError(ExitCode::settings,
                      concat("teacher.sharding = hybrid: hosts hold ", -own[1], " to ", own[0],
                             " ranks; give teacher.group"));
  }
  if (ranks % layout.group == 0) return layout.group;
  std::vector<std::string> divisors;
  for (int64_t size = 1; size <= ranks; ++size) {
    if (ranks % size == 0) divisors.push_back(std::to_string(size));
  }
  throw AgreedError(ExitCode::settings,
                    concat("teacher.group = ", layout.group, " does not divide the ", ranks,
                           " ranks; give one of ", list_names(divisors, 40)));
}

/// Gathers of device memory travel by NCCL, of the host's by a lane.
std::unique_ptr<Channel> gather_channel(World& world, int64_t group, Overlap overlap,
                                        const at::Device& device) {
  const int rank = world.place().rank;
  const bool all = group == world.place().world;
  if (device.is_cuda() && all) {
    return make_nccl_channel(world, Traffic::gathers, device.index());
  }
  if (device.is_cuda()) {
    throw AgreedError(ExitCode::settings,
                      "teacher.sharding = hybrid runs on CPUs; give gather on GPUs");
  }
  return open_channel(
      world, world.control().split(static_cast<int>(rank / group), rank, Traffic::gathers),
      overlap);
}

SliceFacts facts_of(const Piecewise& network, const Slices& slices) {
  SliceFacts facts;
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

/// Rank 0's measure of what gathers cost and pieces compute, the slowest rank's of each.
int64_t measured_window(const Piecewise& network, const Slices& slices, Channel& channel,
                        Communicator& control, const SweepSample& sample) {
  constexpr int kSweeps = 2;  // the first one warms up
  const at::NoGradGuard no_grad;
  std::vector<GatherPiece> pieces;
  for (const int64_t bytes : slices.bytes) pieces.push_back({bytes, bytes * slices.world, 0});
  std::vector<double> seconds(pieces.size() + 2);  // of each piece; of all gathers, of the smallest
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    std::fill(seconds.begin(), seconds.end(), 0);
    seconds.back() = 1e9;
    std::vector<PassState> states = {network.begin(sample.x)};
    for (std::size_t piece = 0; piece < pieces.size(); ++piece) {
      const at::Tensor plain = at::empty({pieces[piece].plain_bytes}, slices.mine.options());
      control.barrier();
      Timer timer;
      channel.wait_on_host(gather(channel, slices, piece, plain));
      const double gathered = timer.lap();
      seconds[pieces.size()] += gathered;
      seconds.back() = std::min(seconds.back(), gathered);
      network.run(piece, plain.const_data_ptr(), states);
      seconds[piece] = timer.lap();
    }
  }
  control.all_reduce(seconds.data(), static_cast<int64_t>(seconds.size()), ElementType::f64,
                     Reduction::max);
  int64_t received = 0;
  for (std::size_t piece = 0; piece < pieces.size(); ++piece) {
    pieces[piece].seconds = seconds[piece];
    received += pieces[piece].plain_bytes - pieces[piece].slice_bytes;
  }
  // All of a gather's time counts by its bytes, which is exact for pieces of a size.
  const GatherLink link{0, static_cast<double>(received) / seconds[pieces.size()]};
  return choose_window(pieces, link, sample.between_s);
}

}  // namespace

std::unique_ptr<Teacher> make_gathered_teacher(World& world, std::unique_ptr<Piecewise> network,
                                               TensorSource& source, const TeacherTraits& traits,
                                               const TeacherLayout& layout, Overlap overlap,
                                               const SweepSample& sample) {
  const int64_t group = group_size(world, layout);
  const int rank = world.place().rank;
  const std::unique_ptr<Communicator> readers =
      world.control().split(static_cast<int>(rank / group), rank, Traffic::control);
  Slices slices;
  agree(world.control(), [&] { slices = read_slices(*network, source, *readers); });
  slices.mine = slices.mine.to(sample.x.device());
  TeacherTraits own = traits;
  own.slices = facts_of(*network, slices);
  SliceFacts& facts = *own.slices;
  facts.read = source.bytes_read();
  world.control().all_reduce(&facts.read, 1, ElementType::i64);
  if (layout.window != 0 && layout.window < facts.largest_piece) {
    throw AgreedError(ExitCode::settings,
                      concat("teacher.window = ", layout.window, ": its largest piece takes ",
                             facts.largest_piece, " bytes; give that or more, or 0 (chosen)"));
  }
  std::unique_ptr<Channel> channel = gather_channel(world, group, overlap, sample.x.device());
  facts.window = layout.window;
  // Without a lane nothing travels ahead: one piece at a time.
  if (overlap == Overlap::off) facts.window = facts.largest_piece;
  if (facts.window == 0) {
    facts.window = measured_window(*network, slices, *channel, world.control(), sample);
    channel->take_busy_seconds();
  }
  return std::make_unique<GatheredTeacher>(own, std::move(network), std::move(slices),
                                           std::move(channel));
}

}  // namespace bitstill
