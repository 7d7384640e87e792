// Operations of a folded program that have no weights, on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "bitstill/model/program.hpp"

namespace bitstill {

/// Whether a FrozenLayer runs it.
bool has_weights(const Operation& operation);

/// The answer of one without; `values` by number, channels-last, fp32 or bf16.
at::Tensor compute(const Operation& operation, const std::vector<at::Tensor>& values);

}  // namespace bitstill
