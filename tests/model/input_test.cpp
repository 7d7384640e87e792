#include "bitstill/model/input.hpp"

#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

TEST(Input, NormalizesInBothLayouts) {
  const ImageShape shape{3, 5, 7};
  const Normalization normalization{{0.25f, 0.5f, 0.1f}, {0.5f, 0.3f, 1.0f}};
  Batch batch;
  batch.rows = {4, 9};
  batch.labels = {1, 0};
  for (int64_t i = 0; i < 2 * shape.pixels(); ++i) {
    batch.pixels.push_back(static_cast<uint8_t>(i * 37 % 256));
  }
  const at::Tensor x = to_input(batch, shape, normalization, at::kCPU, false);
  const at::Tensor last = to_input(batch, shape, normalization, at::kCPU, true);
  EXPECT_EQ(x.sizes(), (at::IntArrayRef{2, 3, 5, 7}));
  EXPECT_TRUE(x.is_contiguous());
  EXPECT_TRUE(last.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(at::equal(x, last));
  const float* value = x.const_data_ptr<float>();
  for (std::size_t i = 0; i < batch.pixels.size(); ++i) {
    const std::size_t c = i / 35 % 3;
    EXPECT_EQ(value[i], (static_cast<float>(batch.pixels[i]) / 255.0f - normalization.mean[c]) /
                            normalization.deviation[c]);
  }
  EXPECT_EQ(to_labels(batch, at::kCPU).own[0].item<int64_t>(), 1);
}

TEST(Input, EmptyBatchAndWrongSize) {
  const Normalization normalization{{0.5f}, {0.5f}};
  Batch batch;
  EXPECT_EQ(to_input(batch, {1, 4, 3}, normalization, at::kCPU, true).sizes(),
            (at::IntArrayRef{0, 1, 4, 3}));
  EXPECT_EQ(to_labels(batch, at::kCPU).own.numel(), 0);
  batch.rows = {0};
  batch.pixels.resize(11);
  EXPECT_THROW(to_input(batch, {1, 4, 3}, normalization, at::kCPU, true), Error);
}

}  // namespace
}  // namespace bitstill
