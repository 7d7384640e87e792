// Whether this processor computes some rows of a layer to the same bits as all of them at once.
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <malloc.h>

#include <array>
#include <mutex>

#include "bitstill/base/random.hpp"
#include "bitstill/model/frozen_network.hpp"

namespace bitstill {
namespace {

/// Layers of more than one run, the last of which is short: linear ones alone, and after
/// convolutions (the first by Winograd's method in fp32).
std::array<NetworkSpec, 2> wide_networks() {
  NetworkSpec linear;
  linear.input = {3, 9, 7};
  linear.classes = 300;
  linear.hidden = {531};
  linear.dropout = {0};
  NetworkSpec convolutions = linear;
  convolutions.input = {3, 5, 4};
  convolutions.hidden = {};
  convolutions.widths = {270, 300};
  convolutions.kernels = {3, 1};
  convolutions.pools = {1, 2};
  return {linear, convolutions};
}

bool runs_answer_as_whole(const NetworkSpec& spec, InferencePrecision precision) {
  constexpr int64_t kImages = 64;
  const auto network = make_network(spec);
  initialize(*network, 1);
  const ImageShape& shape = spec.input;
  const at::Tensor x = at::empty({kImages, shape.channels, shape.height, shape.width});
  RandomStream stream(0, StreamPurpose::initialization, "runs of rows");
  float* const values = x.mutable_data_ptr<float>();
  for (int64_t i = 0; i < x.numel(); ++i) values[i] = 2 * stream.uniform() - 1;
  std::string obstacle;
  const auto whole = FrozenNetwork::make(*network, precision, x, &obstacle, RowRuns::whole);
  if (!whole) return true;  // nothing runs in this precision
  const auto runs = FrozenNetwork::make(*network, precision, x, &obstacle, RowRuns::fixed);
  for (const int64_t batch : {int64_t{7}, kImages}) {
    const at::Tensor some = x.narrow(0, 0, batch);
    if (!runs->forward(some).equal(whole->forward(some))) return false;
  }
  return true;
}

RowRuns find_row_runs(InferencePrecision precision) {
  // Linear layers run in bf16 there, also where the second network has none that tell.
  if (precision == InferencePrecision::int8 &&
      row_runs_here(InferencePrecision::bf16) == RowRuns::fixed) {
    return RowRuns::fixed;
  }
  for (const NetworkSpec& spec : wide_networks()) {
    if (!runs_answer_as_whole(spec, precision)) return RowRuns::fixed;
  }
  return RowRuns::whole;
}

}  // namespace

RowRuns row_runs_here(InferencePrecision precision) {
  struct Found {
    std::once_flag once;
    RowRuns runs = RowRuns::whole;
  };
  static std::array<Found, 3> found;
  Found& own = found[static_cast<std::size_t>(precision)];
  std::call_once(own.once, [&] {
    own.runs = find_row_runs(precision);
    malloc_trim(0);  // what the networks took
  });
  return own.runs;
}

}  // namespace bitstill
