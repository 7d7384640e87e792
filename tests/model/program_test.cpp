#include "bitstill/model/program.hpp"

#include <gtest/gtest.h>

#include "network_fixture.hpp"

namespace bitstill {
namespace {

const NormNames kNorm = {"n.weight", "n.bias", "n.mean", "n.var", 1e-5};

TEST(Program, DescribesTheProgramsOwnBlocks) {
  const auto network = make_network(spec_of({5, 3}, {2}, {11}));
  const std::optional<Program> program = describe(*network);
  ASSERT_TRUE(program);
  std::vector<OperationKind> kinds;
  for (const Operation& operation : program->operations()) kinds.push_back(operation.kind);
  using enum OperationKind;
  EXPECT_EQ(kinds, (std::vector{convolution, relu, norm, convolution, relu, norm, max_pool, linear,
                                relu, norm, linear}));
  EXPECT_EQ(program->shape(program->operations()[5].output), (ValueShape{3, 11, 9}));
  EXPECT_EQ(program->shape(program->operations()[6].output), (ValueShape{3, 5, 4}));
  EXPECT_EQ(program->shape(program->result()), (ValueShape{4}));
  EXPECT_EQ(program->operations()[3].weight, "3.weight");
  EXPECT_EQ(program->operations()[5].norm->mean, "5.running_mean");
}

TEST(Program, NormsMoveIntoTheLayersAfterThem) {
  const FoldedProgram folded = fold(*describe(*make_network(spec_of({5, 3}, {2}, {11}))));
  EXPECT_EQ(folded.obstacle, "");
  const std::vector<Operation>& layers = folded.program.operations();
  ASSERT_EQ(layers.size(), 4u);
  EXPECT_TRUE(layers[0].output_ones && layers[1].input_ones && layers[1].relu && layers[1].pool);
  EXPECT_EQ(layers[1].input_norm->weight, "2.weight");
  EXPECT_FALSE(layers[1].output_ones || layers[2].input_ones);  // a linear layer's bias takes it
  EXPECT_EQ(layers[2].input_norm->weight, "5.weight");
  EXPECT_EQ(layers[3].output, folded.program.result());
  ASSERT_EQ(folded.pooled_norms.size(), 1u);
  EXPECT_EQ(folded.pooled_norms[0].norm.weight, "5.weight");
  EXPECT_EQ(folded.pooled_norms[0].convolution, 2);
}

TEST(Program, NormsMoveIntoTheLayersBeforeThemInResidualBlocks) {
  const FoldedProgram folded = fold(*describe(*residual_network()));
  EXPECT_EQ(folded.obstacle, "");
  int64_t additions = 0, layers = 0;
  for (const Operation& operation : folded.program.operations()) {
    EXPECT_FALSE(operation.norm);
    EXPECT_NE(operation.kind, OperationKind::add);
    if (operation.adds()) {
      ++additions;
      EXPECT_TRUE(operation.relu);
    }
    ++layers;
    EXPECT_EQ(operation.output_norm.has_value(), operation.bias.empty());
  }
  EXPECT_EQ(additions, 3);
  EXPECT_EQ(layers, 10);
  EXPECT_EQ(folded.program.shape(folded.program.result()), (ValueShape{4}));
}

TEST(Program, WhatSeveralReadStaysWhole) {
  Program program({2, 8, 8});
  const int x = program.convolution(0, 4, {3, 1, 1}, "a", "");
  const int y = program.relu(x);
  program.linear(program.max_pool(program.add(x, y), {2, 2, 0}), 3, "b", "");
  const FoldedProgram folded = fold(program);
  EXPECT_EQ(folded.obstacle, "");
  std::vector<OperationKind> kinds;
  for (const Operation& operation : folded.program.operations()) kinds.push_back(operation.kind);
  using enum OperationKind;
  EXPECT_EQ(kinds, (std::vector{convolution, relu, add, max_pool, linear}));
}

/// What is done with a convolution's answers x, before a linear layer.
std::string obstacle(const std::function<int(Program&, int x)>& middle) {
  Program program({2, 8, 8});
  const int x = program.convolution(0, 4, {3, 1, 1}, "a", "");
  program.linear(middle(program, x), 3, "b", "");
  return fold(program).obstacle;
}

TEST(Program, SaysWhichNormNoLayerTakes) {
  EXPECT_EQ(obstacle([](Program& p, int x) { return p.norm(p.norm(x, kNorm), kNorm); }), "");
  const auto pooled = [](Program& p, int x) {
    return p.max_pool(p.norm(p.relu(x), kNorm), {2, 2, 0});
  };
  EXPECT_EQ(obstacle([&](Program& p, int x) { return p.norm(pooled(p, x), kNorm); }),
            "a norm follows a norm");
  EXPECT_EQ(obstacle([&](Program& p, int x) { return p.relu(pooled(p, x)); }),
            "a norm stands before ReLU and after no layer");
  EXPECT_EQ(obstacle([&](Program& p, int x) { return p.add(pooled(p, x), pooled(p, x)); }),
            "a norm stands before an addition and after no layer");
  EXPECT_EQ(obstacle([&](Program& p, int x) { return p.average_pool(pooled(p, x)); }),
            "a norm stands before a pool of all pixels");
  EXPECT_EQ(obstacle([](Program& p, int x) {
              const int y = p.relu(x);
              return p.add(p.convolution(p.norm(y, kNorm), 4, {3, 1, 1}, "c", ""), y);
            }),
            "what a norm before a padded convolution reads is read by others too");
  Program last({2, 8, 8});
  last.max_pool(last.norm(last.relu(last.convolution(0, 3, {3, 1, 1}, "a", "")), kNorm), {2, 2, 0});
  EXPECT_EQ(fold(last).obstacle, "it ends with a norm");
}

TEST(Program, NormsStayWhereNoLayerTakesThem) {
  Program program({2, 8, 8});
  const int x = program.convolution(0, 4, {3, 1, 1}, "a", "");
  const int y = program.relu(program.norm(x, kNorm));
  const int z = program.add(program.convolution(y, 4, {3, 1, 1}, "b", ""), x);
  program.linear(program.average_pool(program.relu(program.norm(z, kNorm))), 3, "c", "");
  const FoldedProgram folded = fold(program);
  EXPECT_EQ(folded.obstacle, "");
  std::vector<OperationKind> kinds;
  for (const Operation& operation : folded.program.operations()) kinds.push_back(operation.kind);
  using enum OperationKind;
  EXPECT_EQ(kinds, (std::vector{convolution, norm, convolution, norm, average_pool, linear}));
  EXPECT_TRUE(folded.program.operations()[1].relu && folded.program.operations()[3].relu);
  EXPECT_TRUE(folded.program.operations()[2].adds());
  EXPECT_EQ(folded.program.shape(folded.program.operations()[4].output), (ValueShape{4}));
}

class Unknown : public Unit {
 public:
  at::Tensor forward(const at::Tensor& x, const ForwardMode&) override { return x; }
};

TEST(Program, UnitsMayHaveNone) {
  std::vector<std::unique_ptr<Unit>> units;
  units.push_back(std::make_unique<Unknown>());
  EXPECT_FALSE(describe(Network(spec_of({}, {}, {}), std::move(units))));
}

TEST(Program, TiedTensorsHaveTheFirstOnesName) {
  std::vector<std::unique_ptr<Unit>> units;
  for (const int module : {0, 3}) {
    units.push_back(
        std::make_unique<LinearBlock>(LinearBlock::Options{4, 4, false, true, 0}, module, 0));
  }
  units[1]->parameters()[0]->value = units[0]->parameters()[0]->value;
  NetworkSpec spec = spec_of({}, {}, {});
  spec.input = {1, 2, 2};
  const std::optional<Program> program = describe(Network(spec, std::move(units)));
  ASSERT_TRUE(program);
  EXPECT_EQ(program->operations()[1].weight, "0.weight");
  EXPECT_EQ(program->operations()[1].bias, "3.bias");
}

}  // namespace
}  // namespace bitstill
