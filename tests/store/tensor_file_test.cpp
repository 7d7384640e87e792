#include "bitstill/store/tensor_file.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "../base/thrown_error.hpp"
#include "bitstill/store/model_file.hpp"

namespace bitstill {
namespace {

class TensorFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "bitstill-rows.XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const NamedTensors& tensors) {
    std::string path = folder_ + "/file.safetensors";
    write_model_file(path, {{}, tensors, {}});
    return path;
  }

  std::string folder_;
};

TEST_F(TensorFileTest, RowsAreThoseOfTheWholeFile) {
  const NamedTensors tensors = {{"a", at::randn({7, 3, 5})},
                                {"half", at::randn({4, 3}).to(at::kBFloat16)},
                                {"b", at::randn({9})},
                                {"scalar", at::ones({}).to(at::kDouble)},
                                {"empty", at::ones({0, 3})}};
  const TensorFile file(write(tensors));
  for (const auto& [name, tensor] : tensors) {
    if (tensor.dim() == 0) continue;
    const at::Tensor whole = tensor.to(at::kFloat);
    EXPECT_TRUE(at::equal(file.whole(name), whole)) << name;
    for (int64_t first = 0; first <= tensor.size(0); ++first) {
      for (int64_t count = 0; first + count <= tensor.size(0); ++count) {
        EXPECT_TRUE(at::equal(file.rows(name, first, count), whole.narrow(0, first, count)));
      }
    }
  }
}

TEST_F(TensorFileTest, ReadsWhatIsAskedForAndTheHeaderOnce) {
  const TensorFile file(write({{"a", at::randn({1000, 25})}, {"b", at::randn({10})}}));
  const uint64_t header = file.bytes_read();
  EXPECT_EQ(header, file.front().header.data_start);
  file.rows("a", 500, 3);
  file.whole("b");
  EXPECT_EQ(file.bytes_read(), header + 3 * 25 * 4 + 40);
}

TEST_F(TensorFileTest, WhatIsNotThereIsAnError) {
  const TensorFile file(write({{"a", at::randn({4, 2})}, {"count", at::arange(3)}}));
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { file.whole("c"); }), "holds no weights c");
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { file.whole("count"); }), "holds no weights count");
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { file.rows("a", 3, 2); }), "has no rows 3 to 5");
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { file.rows("a", -1, 2); }), "has no rows -1");
  std::filesystem::resize_file(file.path(), file.front().header.data_start + 20);
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { file.whole("a"); }), file.path());
}

TEST_F(TensorFileTest, APackedFileIsToBeExported) {
  ModelFile packed;
  packed.about = {{"format", 1}, {"kind", "student"}};
  packed.quantized.emplace_back("a", QuantizedTensor{{4}, 4, 4, {-1, 1}, {1}, {0}, {0, 1, 1, 0}});
  const std::string path = folder_ + "/packed.safetensors";
  write_model_file(path, packed);
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { TensorFile{path}; }), "bitstill export");
}

TEST_F(TensorFileTest, VocabulariesAreReadWhole) {
  const at::Tensor words = at::arange(37).to(at::kByte);
  const TensorFile file(write({{"a", at::randn({4, 2})},
                               {"vocabulary.source", words},
                               {"vocabulary.table", at::ones({2, 3}).to(at::kByte)},
                               {"words", words}}));
  const NamedTensors attached = file.attached();
  ASSERT_EQ(attached.size(), 1u);
  EXPECT_EQ(attached[0].first, "vocabulary.source");
  EXPECT_TRUE(at::equal(attached[0].second, words));
}

TEST_F(TensorFileTest, AScalarHasNoRows) {
  const TensorFile file(write({{"scalar", at::ones({})}, {"a", at::randn({4, 2})}}));
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { file.whole("scalar"); }), "scalar has no rows");
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { file.rows("a", 1, -1); }), "has no rows 1 to 0");
}

}  // namespace
}  // namespace bitstill
