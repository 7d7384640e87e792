// What residual networks are made of: convolutions, normed ones, and their last unit.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bitstill/model/blocks.hpp"
#include "bitstill/model/program.hpp"

namespace bitstill {

/// Not a unit: a part of units. Named prefix.weight and, where it has one, prefix.bias.
struct Convolution {
  struct Options {
    int64_t in = 0, out = 0;
    Window window;
    bool bias = false, first = false;
    c10::Device device = c10::kCPU;  // of its values
  };
  Convolution(const std::string& prefix, const Options& options);
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) const;
  int describe(Program& program, int x) const;
  void add_to(std::vector<Parameter*>& all);

  Window window;
  Parameter weight;
  std::optional<Parameter> bias;
};

/// Convolution without bias -> norm.
struct NormedConvolution {
  NormedConvolution(const std::string& convolution_name, const std::string& norm_name,
                    const Convolution::Options& options);
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode);
  /// [+ added], then ReLU.
  at::Tensor forward_add_relu(const at::Tensor& x, const at::Tensor& added,
                              const ForwardMode& mode);
  int describe(Program& program, int x) const;
  void add_to(std::vector<Parameter*>& all);
  void add_to(std::vector<Buffer*>& all);

  Convolution convolution;
  BatchNorm norm;
};

void add_norm(BatchNorm& norm, std::vector<Parameter*>& all);
void add_norm(BatchNorm& norm, std::vector<Buffer*>& all);

/// [norm -> ReLU ->] mean over all pixels -> linear: the last unit.
class PooledLinear : public Unit {
 public:
  PooledLinear(const std::string& prefix, int64_t in, int64_t out, const c10::Device& device,
               std::optional<BatchNorm> norm = {});
  at::Tensor forward(const at::Tensor& x, const ForwardMode& mode) override;
  bool describe(Program& program) const override;
  std::vector<Parameter*> parameters() override;
  std::vector<Buffer*> buffers() override;

 private:
  std::optional<BatchNorm> norm_;
  Affine affine_;
};

/// How many parameters the units have.
int64_t count_parameters(const std::vector<std::unique_ptr<Unit>>& units);

}  // namespace bitstill
