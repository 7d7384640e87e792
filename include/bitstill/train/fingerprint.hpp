// What tells tensors of two ranks apart.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace bitstill {

/// Of the tensor's bytes, which lie on the CPU, contiguous; of the text's.
std::string fingerprint(const at::Tensor& tensor);
std::string fingerprint(const std::string& text);

}  // namespace bitstill
