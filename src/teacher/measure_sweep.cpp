#include "measure_sweep.hpp"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "bitstill/base/timer.hpp"

namespace bitstill {
namespace {

constexpr int kSweeps = 2;  // the first one warms up

}  // namespace

std::vector<double> piece_seconds(const Piecewise& network, const SweepSample& sample,
                                  int64_t passes, Communicator& comm) {
  const at::NoGradGuard no_grad;
  const std::span<const Piece> pieces = network.pieces();
  std::vector<double> seconds(pieces.size());
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    std::vector<PassState> states;
    for (int64_t pass = 0; pass < passes; ++pass) {
      states.push_back(sample.tokens ? network.begin(*sample.tokens) : network.begin(sample.x));
    }
    for (std::size_t piece = 0; piece < pieces.size(); ++piece) {
      const at::Tensor plain = at::zeros({pieces[piece].plain_bytes},
                                         at::TensorOptions(at::kByte).device(sample.device()));
      comm.barrier();
      const Timer timer;
      network.run(piece, plain.const_data_ptr(), states);
      seconds[piece] = timer.seconds();
    }
  }
  comm.all_reduce(seconds.data(), static_cast<int64_t>(seconds.size()), ElementType::f64,
                  Reduction::max);
  return seconds;
}

GatherLink gather_link(const std::vector<int64_t>& slice_bytes, int64_t ranks, Channel& channel,
                       Communicator& comm, const at::Device& device) {
  const auto options = at::TensorOptions(at::kByte).device(device);
  int64_t most = 1;
  for (const int64_t bytes : slice_bytes) most = std::max(most, bytes);
  // A lane that is left behind may still write.
  const auto memory = std::make_shared<std::pair<at::Tensor, at::Tensor>>(
      at::zeros({most}, options), at::zeros({most * ranks}, options));
  double seconds = 0, received = 0;
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    seconds = received = 0;
    for (const int64_t bytes : slice_bytes) {
      comm.barrier();
      const Timer timer;
      channel.wait_on_host(channel.all_gather(memory->first.const_data_ptr(),
                                              memory->second.mutable_data_ptr(), bytes, nullptr,
                                              memory));
      seconds += timer.seconds();
      received += static_cast<double>(bytes * (ranks - 1));
    }
  }
  channel.take_busy_seconds();
  comm.all_reduce(&seconds, 1, ElementType::f64, Reduction::max);
  // All of a gather's time counts by its bytes, which is exact for pieces of a size.
  return {0, received / std::max(seconds, 1e-9)};
}

}  // namespace bitstill
