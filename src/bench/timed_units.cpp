#include "timed_units.hpp"

#include <algorithm>
#include <utility>

namespace bitstill {

class TimedUnit final : public Unit {
 public:
  TimedUnit(std::shared_ptr<Network> whole, std::size_t index, UnitSeconds& seconds)
      : whole_(std::move(whole)),
        unit_(*whole_->units()[index]),
        index_(index),
        seconds_(seconds) {}

  std::vector<Parameter*> parameters() override { return unit_.parameters(); }
  std::vector<Buffer*> buffers() override { return unit_.buffers(); }

  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override {
    const Timer timer;
    at::Tensor y = unit_.forward(x, mode);
    seconds_.forward_[index_] += timer.seconds();
    // Called before the unit's own backward pass.
    if (y.requires_grad()) {
      y.register_hook([this](const at::Tensor&) { seconds_.begin_backward(index_); });
    }
    return y;
  }

 private:
  std::shared_ptr<Network> whole_;
  Unit& unit_;
  std::size_t index_;
  UnitSeconds& seconds_;
};

void UnitSeconds::restart(std::size_t units) {
  forward_.assign(units, 0);
  backward_.assign(units, 0);
  running_ = 0;
}

void UnitSeconds::begin_backward(std::size_t unit) {
  const double now_s = clock_.seconds();
  backward_[running_] += now_s - begun_s_;
  running_ = unit;
  begun_s_ = now_s;
}

std::vector<double> UnitSeconds::backward(double all_s) const {
  std::vector<double> seconds = backward_;
  seconds[0] = all_s;
  for (std::size_t u = 1; u < seconds.size(); ++u) seconds[0] -= seconds[u];
  seconds[0] = std::max(0.0, seconds[0]);
  return seconds;
}

std::unique_ptr<Network> timed(std::unique_ptr<Network> network, UnitSeconds& seconds) {
  const std::shared_ptr<Network> whole = std::move(network);
  const std::size_t count = whole->units().size();
  seconds.restart(count);
  std::vector<std::unique_ptr<Unit>> units;
  for (std::size_t u = 0; u < count; ++u) {
    units.push_back(std::make_unique<TimedUnit>(whole, u, seconds));
  }
  return std::make_unique<Network>(whole->spec(), std::move(units));
}

}  // namespace bitstill
