// What the tests of CUDA kernels share: where they run, and values in the device's memory. The
// tests are built twice: with the real kernels (they skip without a GPU), and with the same sources
// on an emulated one (emulated/cuda_runtime.h), whose memory is the host's.
#pragma once

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bitstill/quant/cuda_kernel.hpp"

namespace bitstill {

#ifdef BITSTILL_EMULATED_GPU
constexpr bool kEmulated = true;
inline const c10::Device kDevice(c10::kCPU);
#else
constexpr bool kEmulated = false;
inline const c10::Device kDevice(c10::kCUDA, 0);
#endif

inline std::string why_not() {
  if (kEmulated) return "";
  if (!has_cuda_kernels()) return "built without CUDA (cmake --preset gpu)";
  if (!at::hasCUDA()) return "no GPU is visible, or LibTorch is one without CUDA";
  return at::detail::getCUDAHooks().deviceCount() > 0 ? "" : "no GPU is visible";
}

class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = why_not(); !why.empty()) GTEST_SKIP() << "SKIP: " << why;
  }
};

inline at::ScalarType type_of(float) {
  return at::kFloat;
}
inline at::ScalarType type_of(uint8_t) {
  return at::kByte;
}
inline at::ScalarType type_of(uint64_t) {
  return at::kLong;
}

/// Values in the device's memory. Kernels run on the default stream.
template <class T>
class OnDevice {
 public:
  explicit OnDevice(const std::vector<T>& values)
      : tensor_(host(values).to(kDevice, type_of(T()), false, /*copy=*/true)) {}
  OnDevice(std::size_t count, T value) : OnDevice(std::vector<T>(count, value)) {}
  T* data() { return static_cast<T*>(tensor_.mutable_data_ptr()); }
  std::vector<T> values() const {
    std::vector<T> result(static_cast<std::size_t>(tensor_.numel()));
    host(result).copy_(tensor_);
    return result;
  }

 private:
  static at::Tensor host(const std::vector<T>& values) {
    return at::from_blob(const_cast<T*>(values.data()), {static_cast<int64_t>(values.size())},
                         type_of(T()));
  }
  at::Tensor tensor_;
};

}  // namespace bitstill
