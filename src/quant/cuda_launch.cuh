// Launches of kernels, with their errors.
//
// All code in .cu and .cuh files is compiled with --fmad=false, so that each operation is one
// rounding as on the CPU; and a second time as plain C++ by tests/quant/emulated, so launches have
// no syntax of their own.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <limits>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

/// Before a loop whose arrays are to lie in registers.
#ifdef __CUDACC__
#define BITSTILL_UNROLL _Pragma("unroll")
#else
#define BITSTILL_UNROLL
#endif

namespace bitstill {

/// Blocks of a grid that take `each` items. Error(environment) where that is beyond a grid.
inline unsigned blocks_for(int64_t items, int64_t each) {
  const int64_t blocks = items / each + (items % each != 0);
  if (blocks > std::numeric_limits<int32_t>::max()) {
    throw Error(ExitCode::environment,
                concat("a tensor is too large for the GPU kernels: ", blocks,
                       " thread blocks; give a larger quant.bucket, or run.device = cpu"));
  }
  return static_cast<unsigned>(blocks);
}

/// Enqueues kernel(arguments...); `what` names it in the error.
template <class... Parameters, class... Arguments>
void launch(const char* what, void (*kernel)(Parameters...), dim3 grid, dim3 threads, void* stream,
            Arguments&&... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = threads;
  config.stream = static_cast<cudaStream_t>(stream);
  const cudaError_t code =
      cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...);
  if (code == cudaSuccess) return;
  throw Error(ExitCode::environment,
              concat("the GPU kernel for ", what, " was not launched: ", cudaGetErrorString(code)));
}

}  // namespace bitstill
