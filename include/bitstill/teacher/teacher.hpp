// The teacher: inputs in, logits out. Who holds which part of it is its own affair.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>

#include "bitstill/model/frozen_network.hpp"
#include "bitstill/model/network.hpp"

namespace bitstill {

class Teacher {
 public:
  virtual ~Teacher() = default;
  /// x [n, C, H, W] fp32, normalized -> logits [n, classes] fp32, without autograd. A sharded
  /// teacher communicates: every rank then calls this equally often, with n = 0 where it has no
  /// samples.
  virtual at::Tensor logits(const at::Tensor& x) = 0;
};

/// Every rank holds the whole network.
std::unique_ptr<Teacher> make_replicated_teacher(std::unique_ptr<Network> network);
/// The same, its network compiled for inference.
std::unique_ptr<Teacher> make_frozen_teacher(std::unique_ptr<FrozenNetwork> network);

}  // namespace bitstill
