#include "bitstill/store/checkpoint_folder.hpp"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "../base/scratch_folder.hpp"
#include "../base/thrown_error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

/// Writes a checkpoint of two parts, whose tensors are `value`.
void save(const std::string& folder, int64_t step, double value = 1, int64_t best_step = 0) {
  const std::string partial = concat(folder, '/', checkpoint_name(step), ".partial.1");
  make_folder(partial);
  Manifest manifest;
  manifest.step = step;
  for (std::size_t part = 0; part < 2; ++part) {
    const Json about = part == 0 ? Json{{"kind", "checkpoint"}, {"steps", step}} : Json();
    const NamedTensors tensors = {{concat("t", part), at::full({50}, value)}};
    manifest.parts.push_back(
        write_model_file(concat(partial, '/', part_name(part)), {about, tensors, {}}));
  }
  if (best_step > 0) {
    manifest.best_step = best_step;
    manifest.best =
        write_model_file(concat(folder, '/', best_name(best_step)),
                         {Json{{"kind", "weights"}}, {{"t0", at::full({3}, value)}}, {}});
  }
  replace_file(concat(partial, '/', kManifestName), manifest_text(manifest));
  publish_checkpoint(folder, partial, step);
}

std::string path_of(const std::string& folder, int64_t step) {
  return concat(folder, '/', checkpoint_name(step));
}

void flip_bit(const std::string& path, std::size_t byte) {
  std::string bytes = read_file(path, ExitCode::model);
  bytes.at(byte) = static_cast<char>(bytes.at(byte) ^ 4);
  replace_file(path, bytes);
}

TEST(CheckpointFolder, ReadsItsPartsAsOne) {
  const ScratchFolder folder;
  save(folder / "", 12);
  const std::string path = path_of(folder / "", 12);
  verify_checkpoint(path);
  EXPECT_TRUE(is_checkpoint(path));
  EXPECT_FALSE(is_checkpoint(folder / ""));
  const ModelFile file = read_model_file(path);
  EXPECT_EQ(file.about["steps"], 12);
  ASSERT_EQ(file.tensors.size(), 2u);
  EXPECT_TRUE(at::equal(file.tensors[1].second, at::full({50}, 1.0)));
}

TEST(CheckpointFolder, WhatHasRottenIsNamed) {
  const ScratchFolder folder;
  save(folder / "", 12, 1, 10);
  const std::string path = path_of(folder / "", 12);
  const std::string files[] = {path + "/" + part_name(0), path + "/" + part_name(1),
                               path + "/" + kManifestName, concat(folder / "", best_name(10))};
  for (const std::string& file : files) {
    const std::string whole = read_file(file, ExitCode::model);
    for (const std::size_t byte : {whole.size() - 2, whole.size() / 2, std::size_t{70}}) {
      flip_bit(file, byte);
      const std::string text = error_of(ExitCode::model, [&] { verify_checkpoint(path); });
      EXPECT_HOLDS(text, fs::path(file).filename().string());
      replace_file(file, whole);
    }
    fs::remove(file);
    if (file != files[2]) error_of(ExitCode::model, [&] { verify_checkpoint(path); });
    EXPECT_EQ(is_checkpoint(path), file != files[2]);
    replace_file(file, whole);
    verify_checkpoint(path);
  }
}

TEST(CheckpointFolder, APartOfAnotherCheckpointIsRefused) {
  const ScratchFolder folder;
  save(folder / "", 12, 1);
  save(folder / "", 13, 2);
  fs::copy_file(path_of(folder / "", 12) + "/" + part_name(1),
                path_of(folder / "", 13) + "/" + part_name(1),
                fs::copy_options::overwrite_existing);
  const std::string path = path_of(folder / "", 13);
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { verify_checkpoint(path); }), "another file");
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { read_model_file(path); }), "another file");
}

TEST(CheckpointFolder, OneOfTheSameStepIsReplaced) {
  const ScratchFolder folder;
  save(folder / "", 12, 1);
  save(folder / "", 12, 2);
  EXPECT_TRUE(
      at::equal(read_model_file(path_of(folder / "", 12)).tensors[0].second, at::full({50}, 2.0)));
  EXPECT_EQ(checkpoint_steps(folder / ""), (std::vector<int64_t>{12}));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder / ""), {}), 1);
}

TEST(CheckpointFolder, KeepsTheNewestAndEveryNth) {
  const ScratchFolder folder;
  const std::string in = folder / "";
  for (int64_t step = 1; step <= 9; ++step) {
    save(in, step, 1, step < 9 ? 2 : 7);
    prune_checkpoints(in, step, 2, 4);
  }
  EXPECT_EQ(checkpoint_steps(in), (std::vector<int64_t>{9, 8, 4}));
  EXPECT_TRUE(fs::exists(in + best_name(2)));  // 4 and 8 name it
  EXPECT_TRUE(fs::exists(in + best_name(7)));
  fs::create_directories(in + "step-000000010.partial.7");
  save(in, 20);  // found damaged: the run goes on from 9
  fs::create_directories(in + "other");
  prune_checkpoints(in, 9, 1, 0);
  EXPECT_EQ(checkpoint_steps(in), (std::vector<int64_t>{9}));
  EXPECT_FALSE(fs::exists(in + "step-000000010.partial.7"));
  EXPECT_FALSE(fs::exists(in + best_name(2)));
  EXPECT_TRUE(fs::exists(in + best_name(7)));
  EXPECT_TRUE(fs::exists(in + "other"));
}

TEST(CheckpointFolder, HalfOfOneIsNone) {
  const ScratchFolder folder;
  save(folder / "", 3);
  fs::create_directories(folder / "step-000000005");
  fs::create_directories(folder / "step-000000006.partial.a");
  replace_file(folder / "step-7", "a file");
  EXPECT_EQ(checkpoint_steps(folder / ""), (std::vector<int64_t>{3}));
  EXPECT_EQ(checkpoint_steps(folder / "none"), std::vector<int64_t>{});
}

TEST(CheckpointFolder, NamesSortByStepAsLongAsStepsAre) {
  EXPECT_EQ(checkpoint_name(120), "step-000000120");
  EXPECT_EQ(checkpoint_name(12345678901), "step-12345678901");
  EXPECT_EQ(part_name(123456), "part-123456.safetensors");
  EXPECT_EQ(best_name(0), "best-000000000.safetensors");
}

TEST(CheckpointFolder, AFileOrACheckpointIsToldFromAnother) {
  const ScratchFolder folder;
  const std::string file = folder / "x";
  const ModelFile model{Json{{"kind", "weights"}}, {{"t", at::full({50}, 1.0)}}, {}};
  write_model_file(file, model);
  EXPECT_EQ(model_sha256(file), sha256_of_file(file, ExitCode::model));
  EXPECT_EQ(model_samples_sha256(file), sha256_of_samples(file, ExitCode::model));
  EXPECT_EQ(model_bytes(file), fs::file_size(file));
  save(folder / "", 12);
  const std::string checkpoint = path_of(folder / "", 12);
  const std::string seal = read_manifest(checkpoint).seal;
  EXPECT_EQ(seal.size(), 64u);
  EXPECT_EQ(model_sha256(checkpoint), seal);
  EXPECT_EQ(model_samples_sha256(checkpoint), seal);
  EXPECT_EQ(model_bytes(checkpoint), fs::file_size(checkpoint + "/" + part_name(0)) +
                                         fs::file_size(checkpoint + "/" + part_name(1)));
  flip_bit(checkpoint + "/" + part_name(1), 70);
  EXPECT_HOLDS(error_of(ExitCode::model, [&] { model_sha256(checkpoint); }), part_name(1));
  for (const std::string& none : {folder / "none", folder.path()}) {
    EXPECT_HOLDS(error_of(ExitCode::model, [&] { model_sha256(none); }), none + ": ");
    EXPECT_HOLDS(error_of(ExitCode::model, [&] { model_samples_sha256(none); }), none + ": ");
    EXPECT_HOLDS(error_of(ExitCode::model, [&] { model_bytes(none); }), none + ": ");
  }
}

TEST(CheckpointFolder, WhatIsNotThereCannotBePublished) {
  const ScratchFolder folder;
  const auto publish = [&] { publish_checkpoint(folder / "", folder / "none", 12); };
  const std::string why = checkpoint_name(12) + ": cannot rename " + folder / "none" + " to it: ";
  EXPECT_HOLDS(error_of(ExitCode::storage, publish), why + "No such file");
  save(folder / "", 12);
  EXPECT_HOLDS(error_of(ExitCode::storage, publish), why);
  verify_checkpoint(path_of(folder / "", 12));  // stays
}

TEST(CheckpointFolder, ADamagedOneIsKeptAndItsBestFileIsNot) {
  const ScratchFolder folder;
  const std::string in = folder / "";
  save(in, 1);  // without a best epoch
  save(in, 2, 1, 2);
  save(in, 3, 1, 3);
  flip_bit(path_of(in, 2) + "/" + kManifestName, 70);
  fs::create_directories(in + "step-x");  // ours by its name, of no step
  prune_checkpoints(in, 3, 3, 0);
  EXPECT_EQ(checkpoint_steps(in), (std::vector<int64_t>{3, 2, 1}));
  EXPECT_FALSE(fs::exists(in + best_name(2)));
  EXPECT_TRUE(fs::exists(in + best_name(3)));
  EXPECT_FALSE(fs::exists(in + "step-x"));
}

}  // namespace
}  // namespace bitstill
