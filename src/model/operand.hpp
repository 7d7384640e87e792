// Tensors as the kernels of recurrent networks see them.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <type_traits>

#include "recurrent_kernel.hpp"

namespace bitstill {

/// Of a contiguous tensor in fp32, or in bf16 as uint16_t.
template <class Value>
Value* values(const at::Tensor& tensor) {
  if constexpr (std::is_same_v<Value, float>) {
    return tensor.mutable_data_ptr<float>();
  } else {
    return reinterpret_cast<uint16_t*>(tensor.mutable_data_ptr<at::BFloat16>());
  }
}

/// memory and keys [S, n, size], lengths [n], all of which outlive it; row k is of sentence k.
inline Attention attention_over(const at::Tensor& memory, const at::Tensor& keys,
                                const at::Tensor& lengths) {
  Attention attention;
  attention.size = memory.size(2);
  attention.longest = memory.size(0);
  attention.memory = values<float>(memory);
  attention.keys = values<float>(keys);
  attention.sentences = memory.size(1);
  attention.lengths = lengths.const_data_ptr<int64_t>();
  return attention;
}

constexpr int64_t kRowsATask = 8;

template <class Run>
void over_rows(int64_t rows, const Run& run) {
  at::parallel_for(0, rows, kRowsATask, run);
}

}  // namespace bitstill
