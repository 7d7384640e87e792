// The teacher: inputs in, logits out. Who holds which part of it is its own affair.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <utility>

#include "bitstill/model/frozen_network.hpp"
#include "bitstill/model/network.hpp"

namespace bitstill {

/// How a teacher answers.
struct TeacherTraits {
  Normalization normalization;  // how its input is made
  InferencePrecision precision = InferencePrecision::fp32;
  bool compiled = false;  // its network is a FrozenNetwork
};

class Teacher {
 public:
  explicit Teacher(TeacherTraits traits) : traits_(std::move(traits)) {}
  virtual ~Teacher() = default;
  const TeacherTraits& traits() const { return traits_; }
  /// x [n, C, H, W] fp32, normalized as traits() say, in the precision they say, whatever autocast
  /// holds around the call -> logits [n, classes] fp32, without autograd. A sharded
  /// teacher communicates: every rank then calls this equally often, with n = 0 where it has no
  /// samples.
  virtual at::Tensor logits(const at::Tensor& x) = 0;

 private:
  TeacherTraits traits_;
};

/// Every rank holds the whole network, on any device, in fp32 or mixed bf16.
std::unique_ptr<Teacher> make_replicated_teacher(std::unique_ptr<Network> network, bool bf16);
/// The same, its network compiled for inference; its input made by `normalization`.
std::unique_ptr<Teacher> make_frozen_teacher(std::unique_ptr<FrozenNetwork> network,
                                             const Normalization& normalization);

}  // namespace bitstill
