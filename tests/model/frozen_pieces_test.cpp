#include "bitstill/model/frozen_pieces.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <map>

#include "bitstill/base/text.hpp"
#include "bitstill/model/weights.hpp"
#include "network_fixture.hpp"

namespace bitstill {
namespace {

/// Counts what is read of each tensor.
class CountingSource : public NetworkSource {
 public:
  using NetworkSource::NetworkSource;
  at::Tensor rows(const std::string& name, int64_t first, int64_t count) override {
    at::Tensor values = NetworkSource::rows(name, first, count);
    read[name] += values.numel();
    return values;
  }
  std::map<std::string, int64_t> read;
};

/// The same names and shapes, without weights.
std::unique_ptr<Network> skeleton_of(std::unique_ptr<Network> network) {
  for (Parameter* parameter : network->parameters()) {
    parameter->value = at::empty(parameter->value.sizes(), at::kMeta);
  }
  for (Buffer* buffer : network->buffers()) {
    buffer->value = at::empty(buffer->value.sizes(), at::kMeta);
  }
  return network;
}

struct Case {
  std::string name;
  std::function<std::unique_ptr<Network>()> make;
};

std::vector<Case> cases() {
  NetworkSpec wide = spec_of({50, 101}, {1, 2}, {531, 300});
  NetworkSpec mixed = spec_of({6, 270, 20}, {2}, {9});
  mixed.kernels = {3, 7, 1};
  return {{"wide", [wide] { return random_network(wide); }},
          {"mixed", [mixed] { return random_network(mixed); }},
          {"linear",
           [] {
             return random_network(spec_of({}, {}, {700, 13}));
           }},
          {"residual", residual_network},
          {"resnet",
           [] {
             return random_network(residual_spec("resnet18", {3, 29, 27}, 7, 0.3125));
           }},
          {"wrn", [] {
             return random_network(residual_spec("wrn", {3, 9, 7}, 9, 5, 10));
           }}};
}

at::Tensor random_images(const Network& network, int64_t count) {
  const ImageShape& shape = network.spec().input;
  return at::randn({count, shape.channels, shape.height, shape.width});
}

/// As a teacher in slices does it: every piece over all batches.
std::vector<at::Tensor> sweep(const Piecewise& pieces, TensorSource& source,
                              const std::vector<at::Tensor>& batches) {
  std::vector<PassState> states;
  for (const at::Tensor& x : batches) states.push_back(pieces.begin(x));
  for (std::size_t i = 0; i < pieces.pieces().size(); ++i) {
    at::Tensor plain = at::empty({pieces.pieces()[i].plain_bytes}, at::kByte);
    pieces.read(i, source, plain.mutable_data_ptr());
    pieces.run(i, plain.const_data_ptr(), states);
    plain.fill_(255);  // nothing may be kept of it
  }
  std::vector<at::Tensor> logits;
  for (std::size_t i = 0; i < states.size(); ++i) {
    logits.push_back(pieces.finish(std::move(states[i])).rows.narrow(0, 0, batches[i].size(0)));
  }
  return logits;
}

class FrozenPiecesTest : public testing::TestWithParam<InferencePrecision> {
 protected:
  void SetUp() override { at::manual_seed(3); }
};

TEST_P(FrozenPiecesTest, AnswerAsTheFrozenNetworkToTheBit) {
  for (const RowRuns runs : {RowRuns::as_processor, RowRuns::fixed}) {
    for (const Case& one : cases()) {
      const auto network = one.make();
      const at::Tensor sample = random_images(*network, 40);
      std::string obstacle;
      const auto frozen = FrozenNetwork::make(*network, GetParam(), sample, &obstacle, runs);
      if (obstacle.starts_with("this processor")) GTEST_SKIP() << obstacle;
      if (!frozen) continue;  // int8: not every network
      NetworkSource source(*network);
      FrozenPieceOptions options{GetParam(), 0, {}, runs};
      if (GetParam() == InferencePrecision::int8) {
        options.scales = find_code_scales(*network, source, sample);
      }
      const auto skeleton = skeleton_of(one.make());
      for (const int64_t kib : {4, 64, 1024}) {
        options.piece_bytes = kib << 10;
        const auto pieces = make_frozen_pieces(*skeleton, options, &source, &obstacle);
        ASSERT_TRUE(pieces) << obstacle;
        const std::vector<at::Tensor> batches = {sample.slice(0, 0, 32), sample.slice(0, 32, 39),
                                                 sample.slice(0, 39, 40)};
        const std::vector<at::Tensor> found = sweep(*pieces, source, batches);
        for (std::size_t i = 0; i < batches.size(); ++i) {
          EXPECT_EQ(found[i].scalar_type(), at::kFloat);
          EXPECT_TRUE(found[i].equal(frozen->forward(batches[i])))
              << one.name << " in pieces of " << kib << " KiB, batch " << i
              << (runs == RowRuns::fixed ? ", in fixed runs" : "");
        }
      }
    }
  }
}

/// What row_runs_here() says of small networks holds for these, too.
TEST_P(FrozenPiecesTest, FixedRunsAreTheWholeWhereTheProcessorHasIt) {
  if (row_runs_here(GetParam()) == RowRuns::fixed) {
    GTEST_SKIP() << "oneDNN computes some rows of a layer otherwise than all, on this processor";
  }
  for (const Case& one : cases()) {
    const auto network = one.make();
    const at::Tensor x = random_images(*network, 40);
    std::string obstacle;
    const auto whole = FrozenNetwork::make(*network, GetParam(), x, &obstacle, RowRuns::whole);
    if (obstacle.starts_with("this processor")) GTEST_SKIP() << obstacle;
    if (!whole) continue;  // int8: not every network
    const auto runs = FrozenNetwork::make(*network, GetParam(), x, &obstacle, RowRuns::fixed);
    for (const int64_t batch : {40, 9, 1}) {
      const at::Tensor some = x.slice(0, 0, batch);
      EXPECT_TRUE(runs->forward(some).equal(whole->forward(some))) << one.name << ", " << batch;
    }
  }
}

TEST_P(FrozenPiecesTest, AreTheFewestRowsThatReachTheSizeAndReadNoMore) {
  for (const Case& one : cases()) {
    const auto network = one.make();
    CountingSource source(*network);
    std::string obstacle;
    const auto pieces =
        make_frozen_pieces(*network, {GetParam(), 64 << 10, {}}, &source, &obstacle);
    if (obstacle.starts_with("this processor")) GTEST_SKIP() << obstacle;
    if (!pieces) continue;
    source.read.clear();
    const std::span<const Piece> all = pieces->pieces();
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(all[i].plain_bytes % 64, 0);
      EXPECT_GT(all[i].ready_bytes, 0);
      const bool last = i + 1 == all.size() || all[i + 1].name != all[i].name;
      EXPECT_TRUE(last || all[i].plain_bytes >= 64 << 10) << one.name << ", " << all[i].name;
      at::Tensor plain = at::empty({all[i].plain_bytes}, at::kByte);
      if (GetParam() != InferencePrecision::int8) {
        pieces->read(i, source, plain.mutable_data_ptr());
      }
    }
    if (GetParam() == InferencePrecision::int8) continue;
    for (const Parameter* parameter : network->parameters()) {
      if (parameter->role == ParameterRole::norm) continue;  // also read by the layer after it
      EXPECT_EQ(source.read[parameter->name], parameter->value.numel()) << parameter->name;
    }
  }
}

TEST_P(FrozenPiecesTest, CutWhereASizeAsksForIt) {
  const auto network = random_network(spec_of({50, 101}, {1, 2}, {531, 300}));
  std::string obstacle;
  const auto pieces = make_frozen_pieces(*network, {GetParam(), 4096, {}}, nullptr, &obstacle);
  if (obstacle.starts_with("this processor")) GTEST_SKIP() << obstacle;
  ASSERT_TRUE(pieces) << obstacle;
  std::map<std::string, int64_t> counts;
  for (const Piece& piece : pieces->pieces()) ++counts[piece.name];
  const bool winograd = GetParam() == InferencePrecision::fp32;
  EXPECT_EQ(counts["0.weight"], winograd ? 2 : 1);  // 51 rows, the one that makes ones included
  EXPECT_EQ(counts["4.weight"], winograd ? 3 : 1);  // 101: blocks of 48
  EXPECT_EQ(counts["9.weight"], 3);                 // 531: blocks of 256
  EXPECT_EQ(counts["12.weight"], 2);                // 300
}

INSTANTIATE_TEST_SUITE_P(Precisions, FrozenPiecesTest,
                         testing::Values(InferencePrecision::fp32, InferencePrecision::bf16,
                                         InferencePrecision::int8),
                         [](const auto& precision) { return precision_name(precision.param); });

TEST(FrozenPieces, SayWhatTheyCost) {
  const auto network = random_network(spec_of({50, 101}, {1, 2}, {300}));
  std::string obstacle;
  const auto pieces =
      make_frozen_pieces(*network, {InferencePrecision::fp32, 4096, {}}, nullptr, &obstacle);
  ASSERT_TRUE(pieces) << obstacle;
  const std::span<const Piece> all = pieces->pieces();
  ASSERT_EQ(all.size(), 8u);  // of 51 rows, 101, 300 and 4
  // Images of 3 x 11 x 9; after the first pool 51 x 5 x 4, after the second 101 x 2 x 2.
  EXPECT_EQ(all[0].plain_bytes, 3 * 9 * 48 * 4 + 48 * 4);
  EXPECT_EQ(all[0].ready_bytes, 3 * 36 * 48 * 4 + 48 * 4);
  EXPECT_EQ(all[0].multiply_adds, 3 * 9 * 48 * 11 * 9);
  EXPECT_EQ(all[0].value_bytes, 4 * (3 * 11 * 9 + 64 * 5 * 4));  // 51, padded
  EXPECT_EQ(all[4].plain_bytes, 51 * 9 * 16 * 4 + 64);           // rows 96 to 101, padded to 16
  EXPECT_EQ(all[4].multiply_adds, 51 * 9 * 5 * 5 * 4);
  EXPECT_EQ(all[4].value_bytes, 4 * (64 * 5 * 4 + 112 * 2 * 2));
  EXPECT_EQ(all[6].plain_bytes, 404 * 44 * 4 + 192);  // rows 256 to 300, bias 176 bytes
  EXPECT_GE(all[6].ready_bytes, 404 * 44 * 4);
  EXPECT_EQ(all[6].multiply_adds, 404 * 44);
  EXPECT_EQ(all[7].plain_bytes, 300 * 4 * 4 + 64);
  EXPECT_EQ(all[7].value_bytes, 4 * (300 + 4));
  // A residual block's input is held until it is added; the sum takes its place.
  const auto residual = make_frozen_pieces(
      *residual_network(), {InferencePrecision::fp32, 1 << 20, {}}, nullptr, &obstacle);
  ASSERT_TRUE(residual) << obstacle;
  EXPECT_EQ(residual->pieces()[3].value_bytes,
            4 * (32 + 32) * 6 * 5);  // of the block, before, after
}

TEST(FrozenPieces, SayWhatTheWeightsForbid) {
  const auto network = random_network(spec_of({5, 3}, {2}, {11}));
  for (Parameter* parameter : network->parameters()) {
    if (parameter->name == "5.weight") parameter->value.select(0, 0).fill_(-1);
  }
  NetworkSource source(*network);
  std::string obstacle;
  EXPECT_FALSE(make_frozen_pieces(*network, {}, &source, &obstacle));
  EXPECT_EQ(obstacle, "the norm before a pool, after convolution 2, has a scale below zero");
}

TEST(FrozenPieces, ATensorOfAnotherShapeIsNamed) {
  const auto network = random_network(spec_of({}, {}, {13}));
  const auto other = random_network(spec_of({}, {}, {14, 13}));
  std::string obstacle;
  const auto pieces = make_frozen_pieces(*network, {}, nullptr, &obstacle);
  ASSERT_TRUE(pieces) << obstacle;
  NetworkSource source(*other);
  at::Tensor plain = at::empty({1 << 20}, at::kByte);
  try {
    pieces->read(1, source, plain.mutable_data_ptr());  // 4 rows of 13, not of 14
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::model);
    EXPECT_TRUE(std::string(error.what()).starts_with("4.weight: 56 values where 52 belong"))
        << error.what();
  }
}

}  // namespace
}  // namespace bitstill
