#include "bitstill/teacher/gathered.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <deque>
#include <utility>

#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/nccl.hpp"
#include "slices.hpp"

namespace bitstill {
namespace {

class GatheredTeacher final : public Teacher {
 public:
  GatheredTeacher(const TeacherTraits& traits, std::unique_ptr<Piecewise> network, Slices slices,
                  std::unique_ptr<Channel> channel, int64_t window)
      : Teacher(traits),
        network_(std::move(network)),
        slices_(std::move(slices)),
        channel_(std::move(channel)),
        window_(window) {}

  std::vector<Answer> answer(std::span<const Question> questions, bool more) override {
    const at::NoGradGuard no_grad;
    std::vector<PassState> states;
    for (const Question& question : questions) states.push_back(network_->begin(question.x));
    const std::size_t pieces = network_->pieces().size();
    for (std::size_t piece = 0; piece < pieces; ++piece) {
      send_ahead(more);
      at::Tensor plain = take();
      if (!states.empty()) network_->run(piece, plain.const_data_ptr(), states);
      held_ -= plain.numel();
    }
    next_ -= pieces;
    if (more) send_ahead(more);
    std::vector<Answer> answers;
    for (std::size_t i = 0; i < states.size(); ++i) {
      answers.emplace_back(network_->finish(std::move(states[i])));
    }
    return answers;
  }

  void settle() override {
    while (!arriving_.empty()) held_ -= take().numel();
    next_ = 0;
  }

  GatherSeconds take_gather_seconds() override {
    return {channel_->take_busy_seconds(), std::exchange(exposed_s_, 0)};
  }

 private:
  struct Arriving {
    at::Tensor plain;  // uint8 [world * slice]
    EventPtr done;
  };

  /// Gathers leave in the order of their use, over the end of the sweep where another one comes, as
  /// long as the window holds them: equal on all ranks, since it depends on sizes alone.
  void send_ahead(bool more) {
    const std::size_t pieces = network_->pieces().size();
    while (more || next_ < pieces) {
      const std::size_t piece = next_ % pieces;
      const int64_t slice = slices_.bytes[piece], bytes = slice * traits().slices->world;
      if (!arriving_.empty() && held_ + bytes > window_) return;
      at::Tensor plain = at::empty({bytes}, slices_.mine.options());
      const uint8_t* const mine = slices_.mine.const_data_ptr<uint8_t>() + slices_.offset[piece];
      // A lane that is left behind may still write.
      auto memory = std::make_shared<std::pair<at::Tensor, at::Tensor>>(slices_.mine, plain);
      arriving_.push_back({plain, channel_->all_gather(mine, plain.mutable_data_ptr(), slice,
                                                       nullptr, std::move(memory))});
      held_ += bytes;
      ++next_;
    }
  }

  at::Tensor take() {
    const Timer timer;
    Arriving first = std::move(arriving_.front());
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
  int64_t window_;
  int64_t held_ = 0;  // bytes on their way or in use
  std::size_t next_ = 0;
  double exposed_s_ = 0;
};

/// Gathers of device memory travel by NCCL, of the host's by a lane.
std::unique_ptr<Channel> gather_channel(World& world, Overlap overlap, const at::Device& device) {
  if (device.is_cuda()) return make_nccl_channel(world, Traffic::gathers, device.index());
  return open_channel(world, Traffic::gathers, overlap);
}

SliceFacts facts_of(const Piecewise& network, const Slices& slices, int world) {
  SliceFacts facts;
  facts.world = world;
  facts.pieces = static_cast<int64_t>(network.pieces().size());
  facts.mine = slices.mine.numel();
  for (std::size_t piece = 0; piece < network.pieces().size(); ++piece) {
    facts.plain += network.pieces()[piece].plain_bytes;
    facts.largest_piece = std::max(facts.largest_piece, slices.bytes[piece] * world);
    facts.largest_ready = std::max(facts.largest_ready, network.pieces()[piece].ready_bytes);
  }
  return facts;
}

}  // namespace

std::unique_ptr<Teacher> make_gathered_teacher(World& world, std::unique_ptr<Piecewise> network,
                                               TensorSource& source, const TeacherTraits& traits,
                                               const TeacherLayout& layout, Overlap overlap,
                                               const at::Device& device) {
  Slices slices = read_slices(*network, source, world.control());
  slices.mine = slices.mine.to(device);
  TeacherTraits own = traits;
  own.slices = facts_of(*network, slices, world.place().world);
  SliceFacts& facts = *own.slices;
  if (layout.window != 0 && layout.window < facts.largest_piece) {
    throw AgreedError(ExitCode::settings,
                      concat("teacher.window = ", layout.window, ": its largest piece takes ",
                             facts.largest_piece, " bytes; give that or more, or 0 (chosen)"));
  }
  facts.window = layout.window;
  // Without a lane nothing travels ahead: one piece at a time.
  if (overlap == Overlap::off) facts.window = facts.largest_piece;
  return std::make_unique<GatheredTeacher>(own, std::move(network), std::move(slices),
                                           gather_channel(world, overlap, device), facts.window);
}

}  // namespace bitstill
