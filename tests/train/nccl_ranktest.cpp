// Under mpirun, on ranks with a GPU each or all on one: NCCL's verbs against their formulas.
// Without a GPU these tests are skipped.
#include <ATen/Context.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "bitstill/comm/nccl.hpp"
#include "bitstill/quant/cuda_kernel.hpp"
#include "rank_main.hpp"

namespace bitstill {
namespace {

class Nccl : public testing::Test {
 protected:
  void SetUp() override {
    const bool built = has_cuda_kernels() && at::hasCUDA();
    const int gpus = built ? at::detail::getCUDAHooks().deviceCount() : 0;
    if (gpus == 0) GTEST_SKIP() << "SKIP: no GPU is visible, or built without CUDA";
    const Place& place = rank_world().place();
    if (place.local_world > gpus) {  // NCCL refuses two ranks of one host on one GPU
      setenv("NCCL_HOSTID", std::to_string(place.rank).c_str(), 0);
    }
    gpu_ = c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(place.local_rank % gpus));
    channel_ = make_nccl_channel(rank_world(), Traffic::gathers, gpu_.index());
  }
  at::TensorOptions of(at::ScalarType type) const {
    return at::TensorOptions().dtype(type).device(gpu_);
  }
  const int rank_ = rank_world().place().rank, world_ = rank_world().place().world;
  c10::Device gpu_ = c10::kCPU;
  std::unique_ptr<Channel> channel_;
};

TEST_F(Nccl, SumsAndGathersGiveTheirFormulas) {
  for (const int64_t count : {1, 3, 1001, 300'007}) {
    for (int round = 0; round < 3; ++round) {
      const at::Tensor pattern = at::arange(count, of(at::kFloat)).remainder_(509);
      const at::Tensor sum = pattern.mul(rank_ + 1).add(round);
      channel_->wait(channel_->all_reduce(sum.data_ptr<float>(), count, nullptr));
      EXPECT_TRUE(at::equal(sum, pattern.mul(world_ * (world_ + 1) / 2).add(round * world_)));

      const at::Tensor bytes = at::arange(count, of(at::kInt)).remainder_(101).to(at::kByte);
      auto mine = std::make_shared<at::Tensor>(bytes.add(rank_ + round));
      const at::Tensor all = at::zeros({world_, count}, of(at::kByte));
      const std::weak_ptr<at::Tensor> watched = mine;
      const void* const data = mine->const_data_ptr();
      const EventPtr done =
          channel_->all_gather(data, all.data_ptr(), count, nullptr, std::move(mine));
      channel_->wait(done);
      for (int r = 0; r < world_; ++r) EXPECT_TRUE(at::equal(all[r], bytes.add(r + round)));
      channel_->wait_on_host(done);
      EXPECT_GT(channel_->take_busy_seconds(), 0);
      EXPECT_TRUE(watched.expired());
    }
  }
}

TEST_F(Nccl, ManyUnderWayKeepTheirOrder) {
  constexpr int64_t kCount = 4099;
  std::vector<at::Tensor> sums, gathered;
  EventPtr last;
  for (int number = 0; number < 200; ++number) {
    sums.push_back(at::full({kCount}, rank_ + number, of(at::kFloat)));
    gathered.push_back(at::empty({world_ * kCount}, of(at::kFloat)));
    // The gather's input is what the sum leaves: the channel keeps the order of its calls.
    float* const sum = sums.back().data_ptr<float>();
    channel_->all_reduce(sum, kCount, nullptr);
    last = channel_->all_gather(sum, gathered.back().data_ptr(), 4 * kCount, nullptr);
  }
  channel_->wait_on_host(last);
  for (int number = 0; number < 200; ++number) {
    const auto expected = static_cast<float>(world_ * (world_ - 1) / 2 + world_ * number);
    EXPECT_TRUE(at::equal(gathered[static_cast<std::size_t>(number)],
                          at::full({world_ * kCount}, expected, of(at::kFloat))));
  }
}

}  // namespace
}  // namespace bitstill
