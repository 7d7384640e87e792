// Which device this rank computes on, and with how many threads.
#pragma once

#include <c10/core/Device.h>

#include <string>

#include "bitstill/comm/world.hpp"
#include "bitstill/config/run_config.hpp"

namespace bitstill {

struct DeviceChoice {
  c10::Device device = c10::Device(c10::kCPU);
  std::string name;  // "cpu", "cuda:0"
  int threads = 1;   // of this rank
};

/// Sets LibTorch's threads before its first operation. threads = 0: this rank's part of the
/// processors of its host (share_cpus); one in fixed order, since sums inside an operation depend
/// on the number of threads. device cuda where a rank has none is AgreedError; auto is a GPU where
/// every rank has one. tf32: whether a GPU may round what it multiplies in fp32 to TF32.
/// Collective: every rank of world calls this.
DeviceChoice choose_device(World& world, DeviceWish device, int64_t threads, bool fixed_order,
                           bool tf32 = false);

}  // namespace bitstill
