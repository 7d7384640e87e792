// Programs of many shapes: as they are, operation by operation, against folded and frozen.
#include <ATen/TensorOperators.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/max_pool2d.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/relu.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>

#include "bitstill/model/frozen_network.hpp"
#include "network_fixture.hpp"

namespace bitstill {
namespace {

/// Adds operations; the last one's output is the logits.
using Build = std::function<void(Program&)>;

const Window kSame{3, 1, 1}, kPoint{1, 1, 0}, kStrided{1, 2, 0};

NormNames norm_names(const std::string& prefix) {
  return {prefix + ".weight", prefix + ".bias", prefix + ".mean", prefix + ".var", 1e-3};
}

/// A whole network in one unit. Runs its program plainly.
class ProgramUnit : public Unit {
 public:
  ProgramUnit(const ValueShape& input, Build build) : build_(std::move(build)), program_(input) {
    build_(program_);
    for (const Operation& operation : program_.operations()) {
      const ValueShape& in = program_.shape(operation.inputs[0]);
      const int64_t out = program_.shape(operation.output)[0], k = operation.window.kernel;
      if (operation.kind == OperationKind::convolution) {
        add(operation.weight, ParameterRole::weight, {out, in[0], k, k});
      } else if (operation.kind == OperationKind::linear) {
        add(operation.weight, ParameterRole::weight, {out, c10::multiply_integers(in)});
      } else if (operation.norm) {
        add(operation.norm->weight, ParameterRole::norm, {out});
        add(operation.norm->bias, ParameterRole::norm, {out});
        buffers_.push_back({operation.norm->mean, at::zeros({out}), at::zeros({out})});
        buffers_.push_back({operation.norm->variance, at::ones({out}), at::zeros({out})});
      }
      if (!operation.bias.empty()) add(operation.bias, ParameterRole::bias, {out});
    }
  }

  at::Tensor forward(const at::Tensor& x, const ForwardMode&) override {
    std::map<std::string, at::Tensor> tensors;
    for (const Parameter& parameter : parameters_) tensors[parameter.name] = parameter.value;
    for (const Buffer& buffer : buffers_) tensors[buffer.name] = buffer.value;
    std::vector<at::Tensor> values = {x};
    for (const Operation& one : program_.operations()) values.push_back(run(one, values, tensors));
    return values.back();
  }

  bool describe(Program& program) const override {
    build_(program);
    return true;
  }
  std::vector<Parameter*> parameters() override {
    std::vector<Parameter*> all;
    for (Parameter& parameter : parameters_) all.push_back(&parameter);
    return all;
  }
  std::vector<Buffer*> buffers() override {
    std::vector<Buffer*> all;
    for (Buffer& buffer : buffers_) all.push_back(&buffer);
    return all;
  }

 private:
  void add(const std::string& name, ParameterRole role, const std::vector<int64_t>& shape) {
    parameters_.push_back({name, role, at::zeros(shape)});
  }

  static at::Tensor run(const Operation& one, const std::vector<at::Tensor>& values,
                        std::map<std::string, at::Tensor>& tensors) {
    const auto value = [&](std::size_t i) {
      return values[static_cast<std::size_t>(one.inputs[i])];
    };
    const at::Tensor x = value(0), weight = tensors[one.weight];
    const at::Tensor bias = one.bias.empty() ? at::Tensor() : tensors[one.bias];
    switch (one.kind) {
      case OperationKind::convolution:
        return at::conv2d(x, weight, bias, one.window.stride, one.window.padding);
      case OperationKind::linear:
        return at::linear(x.flatten(1), weight, bias);
      case OperationKind::norm:
        return at::batch_norm(x, tensors[one.norm->weight], tensors[one.norm->bias],
                              tensors[one.norm->mean], tensors[one.norm->variance], false, 0,
                              one.norm->epsilon, false);
      case OperationKind::relu:
        return at::relu(x);
      case OperationKind::add:
        return x + value(1);
      case OperationKind::max_pool:
        return at::max_pool2d(x, one.window.kernel, one.window.stride, one.window.padding);
      case OperationKind::average_pool:
        return x.mean(at::IntArrayRef{2, 3});
    }
    return {};
  }

  Build build_;
  Program program_;
  std::deque<Parameter> parameters_;
  std::deque<Buffer> buffers_;
};

/// A norm whose convolutions are padded, not padded, strided, and linear: all that can read it.
void all_readers(Program& p) {
  const int x = p.norm(p.relu(p.convolution(0, 5, kSame, "a", "ab")), norm_names("n"));
  const int sum =
      p.add(p.convolution(x, 6, kSame, "b", "bb"), p.convolution(x, 6, kPoint, "c", ""));
  const int y = p.convolution(p.relu(sum), 7, {3, 2, 1}, "d", "");
  const int z = p.add(p.relu(y), p.convolution(x, 7, kStrided, "e", "eb"));
  p.add(p.linear(z, 4, "f", "fb"), p.linear(x, 4, "g", ""));
}

/// Pools that stay: other windows, or what they read is read elsewhere too.
void other_pools(Program& p) {
  const int x = p.norm(p.relu(p.convolution(0, 5, kSame, "a", "ab")), norm_names("n"));
  const int y = p.convolution(p.max_pool(x, {3, 2, 1}), 6, kSame, "b", "");
  const int z = p.max_pool(y, {2, 2, 0});
  p.add(p.linear(z, 4, "c", "cb"), p.linear(p.relu(y), 4, "d", ""));
}

/// Norms before and after one layer, two in a row, before a pool, and of linear layers.
void many_norms(Program& p) {
  const int x = p.norm(p.convolution(0, 5, kSame, "a", ""), norm_names("n1"));
  const int y = p.norm(p.norm(p.convolution(p.relu(x), 6, kSame, "b", "bb"), norm_names("n2")),
                       norm_names("n3"));
  const int z = p.norm(p.relu(p.norm(p.convolution(y, 9, {5, 1, 2}, "c", ""), norm_names("n4"))),
                       norm_names("n5"));
  const int w = p.norm(p.relu(p.linear(p.max_pool(z, {2, 2, 0}), 13, "d", "db")), norm_names("n6"));
  p.norm(p.linear(w, 4, "e", ""), norm_names("n7"));
}

/// Norms that stay: before additions, pools of all pixels and ReLU, in a row, and at the end.
void staying_norms(Program& p) {
  const int x = p.convolution(0, 300, kSame, "a", "ab");
  const int y = p.relu(p.norm(x, norm_names("n1")));
  const int z = p.add(p.convolution(y, 300, kSame, "b", "bb"), p.norm(x, norm_names("n2")));
  const int w = p.norm(p.norm(z, norm_names("n3")), norm_names("n4"));
  const int v = p.average_pool(p.add(w, p.convolution(z, 300, kPoint, "c", "")));
  p.norm(p.relu(p.norm(p.linear(v, 4, "d", "db"), norm_names("n5"))), norm_names("n6"));
}

/// A norm of the input, before a padded convolution.
void padded_input_norm(Program& p) {
  const int x = p.convolution(p.norm(0, norm_names("n")), 8, kSame, "a", "ab");
  p.linear(p.average_pool(p.relu(x)), 4, "b", "bb");
}

/// A norm of the input itself.
void input_norm(Program& p) {
  const int x = p.norm(0, norm_names("n"));
  p.linear(p.relu(p.convolution(x, 8, kPoint, "a", "ab")), 4, "b", "bb");
}

/// Additions of a convolution's own input, of two convolutions, before a norm and before a pool;
/// and those that stay, since both sides are read elsewhere.
void additions(Program& p) {
  const int x = p.relu(p.convolution(0, 300, kSame, "a", "ab"));
  const int y = p.relu(p.add(p.convolution(x, 300, kSame, "b", "bb"), x));
  const int z =
      p.add(p.convolution(y, 7, kPoint, "c", ""), p.convolution(y, 7, {5, 1, 2}, "d", ""));
  const int w = p.relu(p.norm(z, norm_names("n1")));
  const int v = p.relu(p.add(w, p.norm(p.convolution(w, 7, kSame, "e", ""), norm_names("n2"))));
  const int u = p.convolution(p.max_pool(v, {2, 2, 0}), 5, {3, 2, 1}, "f", "fb");
  const int t = p.add(p.add(p.relu(u), u), p.convolution(u, 5, kSame, "g", "gb"));
  const int s = p.norm(t, norm_names("n3"));
  p.add(p.linear(p.convolution(s, 6, kSame, "h", ""), 4, "i", "ib"), p.linear(t, 4, "j", ""));
}

/// Norms of sums, that only layers without padding read, and the input in a sum.
void norms_of_sums(Program& p) {
  const int x = p.add(p.convolution(0, 3, kSame, "a", "ab"), 0);
  const int y = p.add(x, p.convolution(x, 3, {5, 1, 2}, "b", ""));
  const int z = p.norm(y, norm_names("n"));
  p.add(p.linear(p.relu(p.convolution(z, 5, kStrided, "c", "cb")), 4, "d", "db"),
        p.linear(z, 4, "e", ""));
}

std::unique_ptr<Network> network_of(const Build& build) {
  NetworkSpec spec = spec_of({}, {}, {});
  std::vector<std::unique_ptr<Unit>> units;
  units.push_back(std::make_unique<ProgramUnit>(ValueShape{3, 11, 9}, build));
  auto network = std::make_unique<Network>(spec, std::move(units));
  randomize(*network);
  return network;
}

TEST(Fold, KeepsTheFunctionOfEveryProgram) {
  at::manual_seed(11);
  int number = 0;
  for (const Build& build :
       std::vector<Build>{all_readers, other_pools, many_norms, input_norm, staying_norms,
                          padded_input_norm, additions, norms_of_sums}) {
    const auto network = network_of(build);
    const at::Tensor x = at::randn({6, 3, 11, 9});
    const at::Tensor truth = network->forward(x, ForwardMode{});
    for (const auto& [precision, most] :
         {std::pair(InferencePrecision::fp32, 1e-5), std::pair(InferencePrecision::bf16, 0.03),
          std::pair(InferencePrecision::int8, 0.1)}) {
      std::string obstacle;
      const auto frozen = FrozenNetwork::make(*network, precision, x, &obstacle);
      if (obstacle.starts_with("this processor")) continue;
      if (precision == InferencePrecision::int8 && (number == 5 || number == 7)) {
        EXPECT_TRUE(obstacle.starts_with("not only convolutions")) << obstacle;
        continue;
      }
      ASSERT_TRUE(frozen) << obstacle;
      EXPECT_LT(relative_error(frozen->forward(x), truth), most)
          << "program " << number << ", " << precision_name(precision);
    }
    ++number;
  }
}

TEST(Fold, ConvolutionsOfResidualNetworksAddAndCutOff) {
  for (const auto& [spec, norms] :
       {std::pair(residual_spec("resnet18", {3, 64, 64}, 10), 0),
        std::pair(residual_spec("resnet50", {3, 64, 64}, 10), 0),
        std::pair(residual_spec("wrn", {3, 32, 32}, 10, 2, 16), 7)}) {  // a block's first, the last
    const FoldedProgram folded = fold(*describe(*make_network(spec)));
    EXPECT_EQ(folded.obstacle, "");
    std::map<OperationKind, int> kinds;
    for (const Operation& operation : folded.program.operations()) ++kinds[operation.kind];
    EXPECT_EQ(kinds[OperationKind::add], 0) << spec.kind;
    EXPECT_EQ(kinds[OperationKind::relu], 0) << spec.kind;
    EXPECT_EQ(kinds[OperationKind::norm], norms) << spec.kind;
  }
}

}  // namespace
}  // namespace bitstill
