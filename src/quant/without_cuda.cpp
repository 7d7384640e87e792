// Chooses the kernels for GPUs: with BITSTILL_CUDA they are cuda_*.cu, otherwise there are none.
#ifndef BITSTILL_CUDA
#include "bitstill/base/error.hpp"
#include "bitstill/quant/cuda_kernel.hpp"

namespace bitstill {
namespace {

[[noreturn]] void refuse() {
  throw Error(ExitCode::environment,
              "built without CUDA kernels: use run.device = cpu, or build with cmake --preset gpu");
}

}  // namespace

bool has_cuda_kernels() {
  return false;
}
void cuda_quantize_uniform(const UniformRun&, const CudaOutputs&, void*) {
  refuse();
}
void cuda_quantize_points(const PointsRun&, const CudaOutputs&, void*) {
  refuse();
}
void cuda_quantize_lsq(const LsqRun&, const CudaOutputs&, void*) {
  refuse();
}
void cuda_decode(const CodedRun&, float*, void*) {
  refuse();
}
void cuda_copy(const CopyRange*, int64_t, const float*, float*, void*) {
  refuse();
}
void cuda_points_gradient(const CodedRun&, int, const float*, float*, float*, void*) {
  refuse();
}
void cuda_clip_gradient(const CodedRun&, int, const float*, float*, void*) {
  refuse();
}
void cuda_lsq_gradient(const LsqRun&, float*, float*, float*, void*) {
  refuse();
}

}  // namespace bitstill
#endif
