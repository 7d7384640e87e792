// uniform_kernel.hpp on a GPU.
#include "cuda_buckets.cuh"

namespace bitstill {
namespace {

/// What a run's random numbers are named by.
struct Random {
  bool used;
  uint32_t key_0, key_1;
};

/// Number `index` of RandomStream(seed, rounding, step), as a number of [0, 1): Philox4x32-10.
__device__ float random_number(const Random& random, uint64_t step, uint64_t index) {
  const uint64_t block = index / 4;
  uint32_t c[4] = {static_cast<uint32_t>(block), static_cast<uint32_t>(step),
                   static_cast<uint32_t>(step >> 32), static_cast<uint32_t>(block >> 32)};
  uint32_t key_0 = random.key_0, key_1 = random.key_1;
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = uint64_t{0xD2511F53} * c[0], second = uint64_t{0xCD9E8D57} * c[2];
    c[0] = static_cast<uint32_t>(second >> 32) ^ c[1] ^ key_0;
    c[1] = static_cast<uint32_t>(second);
    c[2] = static_cast<uint32_t>(first >> 32) ^ c[3] ^ key_1;
    c[3] = static_cast<uint32_t>(first);
    key_0 += 0x9E3779B9;
    key_1 += 0xBB67AE85;
  }
  return static_cast<float>(c[index % 4] >> 8) * 0x1p-24f;
}

template <Length kLength>
__global__ void quantize(UniformRun run, Random random, CudaOutputs outputs) {
  const auto last = static_cast<float>(run.points - 1);
  const Divisor steps(last, false);
  each_bucket<kLength>(run, [&](const Share& share) {
    const ShareValues<kLength> values(run.masters, share, outputs);
    const DeviceScale scale = find_scale(run, values, 0, 1, outputs.bad);
    put_scale(share, scale, outputs);
    const Divisor alpha(scale.alpha, run.alpha != nullptr);
    values.put(scale, outputs, [&](int64_t i, float value) {
      const float x = alpha.of(value - scale.beta);
      const float scaled = fminf(fmaxf(x * last, 0.0f), last) + 0.0f;  // never -0
      float code = rintf(scaled);
      if (random.used) {
        code = floorf(scaled);
        const uint64_t index = run.first + static_cast<uint64_t>(i);
        if (random_number(random, run.step, index) < scaled - code) code += 1;
      }
      return Quantized{static_cast<int>(code), steps.of(code)};
    });
  });
}

}  // namespace

void cuda_quantize_uniform(const UniformRun& run, const CudaOutputs& outputs, void* stream) {
  const BucketKernels<UniformRun, Random, CudaOutputs> kernels{
      quantize<Length::held>, quantize<Length::warp>, quantize<Length::block>};
  launch_buckets("uniform points", kernels, run, stream,
                 Random{run.stochastic, run.key[0], run.key[1]}, outputs);
}

}  // namespace bitstill
