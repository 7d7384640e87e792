#include "bitstill/train/sample_pass.hpp"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <optional>

#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/leaf_tree.hpp"
#include "bitstill/data/sampler.hpp"

namespace bitstill {
namespace {

constexpr int64_t kMostSamples = 64;  // a forward pass where no micro-batch is given

/// This rank's micro-batches, in order.
BatchPlan rank_micro_batches(const StepPlan& plan, std::vector<int64_t> order, int rank) {
  return [plan, order = std::move(order), rank](int64_t n, std::vector<int64_t>* rows,
                                                int64_t* epoch) {
    const int64_t number = plan.first_of(rank) + n;
    if (number == plan.end_of(rank)) return false;
    const MicroBatch& micro = plan.micro_batches[static_cast<std::size_t>(number)];
    rows->assign(order.begin() + micro.first, order.begin() + micro.first + micro.count);
    *epoch = 0;
    return true;
  };
}

}  // namespace

StepPlan plan_pass(const SamplePass& pass, int64_t samples, int world) {
  const int64_t batch = std::max<int64_t>(1, std::min(pass.batch, samples));
  const int64_t taken = std::min(pass.batches, samples / batch) * batch;
  const int64_t micro = pass.micro_batch > 0 ? pass.micro_batch : std::min(batch, kMostSamples);
  return EpochPlan(taken, taken, micro, world).step(0);
}

at::Tensor sum_over_pass(const Dataset& dataset, const SamplePass& pass, int64_t count,
                         const MicroBatchValue& value,
                         const std::function<void(bool waits)>& progress, Communicator& comm) {
  std::optional<LeafSum> sum;
  agree(comm, [&] {
    const int64_t samples = dataset.size(Split::train);
    const StepPlan plan = plan_pass(pass, samples, comm.world());
    sum.emplace(LeafTree(plan.owner_first), comm.rank(), count);
    Prefetcher batches(dataset, Split::train,
                       rank_micro_batches(plan, epoch_order(samples, 0, 0), comm.rank()),
                       dataset.decoder(), 2);
    Batch batch;
    while (batches.next(&batch)) {
      const at::Tensor leaf = value(batch, plan.terms).to(at::kCPU).contiguous();
      sum->add(leaf.const_data_ptr<float>());
      if (progress) progress(false);
    }
    if (progress) progress(true);
  });
  return at::tensor(sum->finish(comm));
}

}  // namespace bitstill
