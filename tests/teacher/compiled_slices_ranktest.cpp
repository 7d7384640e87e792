// Under mpirun: a compiled teacher in slices against the whole one, in every precision.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "bitstill/model/frozen_pieces.hpp"
#include "bitstill/model/weights.hpp"
#include "bitstill/teacher/gathered.hpp"
#include "rank_main.hpp"

namespace bitstill {
namespace {

NetworkSpec spec() {
  NetworkSpec spec;
  spec.input = {3, 13, 10};
  spec.classes = 6;
  spec.widths = {50, 101};
  spec.kernels = {3, 5};
  spec.pools = {1, 2};
  spec.hidden = {531, 70};
  spec.dropout = {0};
  return spec;
}

class CompiledSlices : public testing::TestWithParam<std::tuple<InferencePrecision, RowRuns>> {};

TEST_P(CompiledSlices, AnswerAsTheFrozenNetworkToTheBit) {
  const auto [precision, runs] = GetParam();
  const auto network = make_network(spec());
  initialize(*network, 4);
  for (Buffer* buffer : network->buffers()) buffer->value.add_(0.3);
  NetworkSource source(*network);
  at::manual_seed(9);  // the same images on every rank
  const at::Tensor images = at::randn({48, 3, 13, 10});
  const auto skeleton = make_skeleton(spec(), kMostParameters);
  std::string obstacle;
  const auto frozen = FrozenNetwork::make(*network, precision, images, &obstacle, runs);
  if (!frozen) return;  // this processor lacks the instructions
  FrozenPieceOptions options{precision, 4096, {}, runs};
  if (precision == InferencePrecision::int8) {
    options.scales = code_scales_from_text(to_text(find_code_scales(*skeleton, source, images)));
  }
  auto pieces = make_frozen_pieces(*skeleton, options, &source, &obstacle);
  ASSERT_TRUE(pieces) << obstacle;
  const std::size_t count = pieces->pieces().size();
  const auto teacher = make_gathered_teacher(rank_world(), std::move(pieces), source, {}, {},
                                             Overlap::automatic, {at::zeros({7, 3, 13, 10}), 2});
  EXPECT_EQ(teacher->traits().slices->pieces, static_cast<int64_t>(count));
  EXPECT_GT(count, 5u);  // layers are cut
  for (int sweep = 0; sweep < 3; ++sweep) {
    std::vector<at::Tensor> batches;
    std::vector<Question> questions;
    for (const int64_t size : {32, 7, 1}) {
      batches.push_back(images.narrow(0, rank_world().place().rank % 8, size));
      questions.push_back({batches.back(), {}, 0});
    }
    const std::vector<Answer> answers = teacher->answer(questions, sweep < 2);
    for (std::size_t i = 0; i < batches.size(); ++i) {
      EXPECT_TRUE(at::equal(answers[i].logits(0, batches[i].size(0)), frozen->forward(batches[i])))
          << "batch of " << batches[i].size(0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, CompiledSlices,
                         testing::Combine(testing::Values(InferencePrecision::fp32,
                                                          InferencePrecision::bf16,
                                                          InferencePrecision::int8),
                                          testing::Values(RowRuns::as_processor, RowRuns::fixed)),
                         [](const auto& one) {
                           return std::string(precision_name(std::get<0>(one.param))) +
                                  (std::get<1>(one.param) == RowRuns::fixed ? "_in_fixed_runs"
                                                                            : "");
                         });

}  // namespace
}  // namespace bitstill
