// The units of convolutional networks: convolution and fully connected blocks.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bitstill/model/batch_norm.hpp"
#include "bitstill/model/network.hpp"
#include "bitstill/model/program.hpp"

namespace bitstill {

/// Weight [out, in...] and bias [out] of a convolution or linear layer, named prefix.weight,
/// prefix.bias.
struct Affine {
  Affine(const std::string& prefix, const std::vector<int64_t>& shape, bool first, bool last,
         const c10::Device& device);
  Parameter weight, bias;
};

/// Convolution (same padding) -> ReLU -> batch norm [-> 2x2 max-pool] [-> dropout of channels].
class ConvolutionBlock : public Unit {
 public:
  struct Options {
    int64_t in = 0, out = 0, kernel = 0;
    bool pool = false, first = false;
    double dropout = 0;
    c10::Device device = c10::kCPU;  // of its values
  };
  /// `module` is the convolution's number in PyTorch's nn.Sequential of the same network, in which
  /// ReLU, BatchNorm2d and MaxPool2d follow; `unit` numbers the unit for its dropout.
  ConvolutionBlock(const Options& options, int64_t module, uint64_t unit);
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override;
  bool describe(Program& program) const override;
  std::vector<Parameter*> parameters() override;
  std::vector<Buffer*> buffers() override;

 private:
  Window window() const { return {options_.kernel, 1, options_.kernel / 2}; }
  Options options_;
  uint64_t unit_;
  Affine affine_;
  BatchNorm norm_;
};

/// Flatten -> linear [-> ReLU -> batch norm [-> dropout]]; the last layer of a network is plain.
class LinearBlock : public Unit {
 public:
  struct Options {
    int64_t in = 0, out = 0;
    bool first = false, last = false;
    double dropout = 0;
    c10::Device device = c10::kCPU;  // of its values
  };
  LinearBlock(const Options& options, int64_t module, uint64_t unit);
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override;
  bool describe(Program& program) const override;
  std::vector<Parameter*> parameters() override;
  std::vector<Buffer*> buffers() override;

 private:
  Options options_;
  uint64_t unit_;
  Affine affine_;
  std::optional<BatchNorm> norm_;
};

}  // namespace bitstill
