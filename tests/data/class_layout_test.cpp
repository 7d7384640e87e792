#include "bitstill/data/class_layout.hpp"

#include <set>

#include "image_files.hpp"

namespace bitstill {
namespace {

/// Puts 12 random images, of the classes cat and dog, below `folder`.
void put_classes(const std::string& folder, uint64_t seed) {
  for (uint64_t i = 0; i < 12; ++i) {
    put_file(folder + (i % 2 == 0 ? "/cat/" : "/dog/") + std::to_string(i) + ".png",
             random_png(4, 4, 100 * seed + i));
  }
}

std::array<int64_t, kSplits> counts(const ScratchFolder& scratch, FolderLayout layout) {
  ShardOptions options = from(scratch / "in", scratch / "out");
  std::filesystem::remove_all(options.out);
  options.layout = layout;
  return convert(options).count;
}

std::string refused(const ScratchFolder& scratch) {
  return error_of(ExitCode::data, [&] { convert(from(scratch / "in", scratch / "none")); });
}

TEST(ClassLayout, KnowsSplitsInAnyCaseAndByTheirSynonyms) {
  for (const char* name :
       {"train", "Training", "TRAIN", "train_set", "Train-Images", "train2017"}) {
    EXPECT_EQ(split_of_folder(name), Split::train) << name;
  }
  for (const char* name : {"val", "VALID", "Validation", "dev", "Eval", "validation_data"}) {
    EXPECT_EQ(split_of_folder(name), Split::validation) << name;
  }
  for (const char* name : {"test", "Testing", "tests", "test-set", "images_test"}) {
    EXPECT_EQ(split_of_folder(name), Split::test) << name;
  }
  for (const char* name : {"trains", "train_station", "contest", "images", "7", "train_test", ""}) {
    EXPECT_EQ(split_of_folder(name), std::nullopt) << name;
  }
}

TEST(ClassLayout, SplitsKeepTheirImagesWhateverTheirNames) {
  for (const auto& [train, held] : {std::pair{"Training", "Testing"},
                                    {"TRAIN", "Test"},
                                    {"train", "eval"},
                                    {"train_set", "dev"}}) {
    const ScratchFolder scratch;
    put_classes(scratch / "in" + "/" + train, 1);
    put_classes(scratch / "in" + "/" + held, 2);
    EXPECT_EQ(counts(scratch, FolderLayout::automatic), (std::array<int64_t, kSplits>{10, 2, 12}))
        << train;
    EXPECT_EQ(Dataset(scratch / "out").index().classes, (std::vector<std::string>{"cat", "dog"}));
  }
}

TEST(ClassLayout, ASplitAloneIsAskedFor) {
  const ScratchFolder scratch;
  put_classes(scratch / "in/Train", 1);
  const std::string message = refused(scratch);
  EXPECT_HOLDS(message,
               "holds one split folder alone, Train; give --source " + scratch / "in/Train");
  EXPECT_HOLDS(message, "--layout classes");
  EXPECT_EQ(counts(scratch, FolderLayout::splits), (std::array<int64_t, kSplits>{8, 2, 2}));
  std::filesystem::rename(scratch / "in/Train", scratch / "in/test");
  EXPECT_HOLDS(refused(scratch), "the split folders test, no train");
  put_classes(scratch / "in/dev", 2);
  EXPECT_HOLDS(refused(scratch), "dev and test, no train");
}

TEST(ClassLayout, SplitsThatAreNotThereAreNamed) {
  const ScratchFolder scratch;
  put_classes(scratch / "in", 1);
  ShardOptions options = from(scratch / "in", scratch / "none");
  options.layout = FolderLayout::splits;
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(options); }), "no split folders, no train");
}

TEST(ClassLayout, AnOuterFolderIsNamed) {
  const ScratchFolder scratch;
  put_classes(scratch / "in/pets", 1);
  EXPECT_HOLDS(refused(scratch), "a single folder, pets, with the folders cat and dog");
  EXPECT_HOLDS(refused(scratch), "--source " + scratch / "in/pets");
  put_classes(scratch / "both/pets/train", 1);
  put_classes(scratch / "both/pets/test", 2);
  std::filesystem::rename(scratch / "in", scratch / "pets");
  std::filesystem::rename(scratch / "both", scratch / "in");
  EXPECT_HOLDS(refused(scratch), "--source " + scratch / "in/pets");
}

TEST(ClassLayout, ASingleClassIsAskedFor) {
  const ScratchFolder scratch;
  put_classes(scratch / "in", 1);
  std::filesystem::remove_all(scratch / "in/dog");
  EXPECT_HOLDS(refused(scratch), "a single class folder, cat; --layout classes takes it");
  EXPECT_EQ(counts(scratch, FolderLayout::classes), (std::array<int64_t, kSplits>{4, 1, 1}));
}

TEST(ClassLayout, AFlatSplitIsNamedWithItsImages) {
  for (const char* held : {"test", "val"}) {
    const ScratchFolder scratch;
    put_classes(scratch / "in/train", 1);
    for (int i = 0; i < 3; ++i) {
      put_file(scratch / "in" + "/" + held + "/" + std::to_string(i) + ".png", random_png(4, 4, i));
    }
    EXPECT_HOLDS(refused(scratch), std::string(held) + " holds 3 images and no class folders");
    EXPECT_HOLDS(refused(scratch), "--source " + scratch / "in/train");
  }
}

TEST(ClassLayout, SplitsAmongClassesAreAskedFor) {
  const ScratchFolder scratch;
  put_classes(scratch / "in/train", 1);
  put_classes(scratch / "in/test", 2);
  put_file(scratch / "in/docs/notes.txt", "no image");
  EXPECT_EQ(counts(scratch, FolderLayout::automatic), (std::array<int64_t, kSplits>{10, 2, 12}));
  put_file(scratch / "in/owl/1.png", random_png(4, 4, 999));
  const std::string message = refused(scratch);
  EXPECT_HOLDS(message, "holds test and train and also owl");
  for (const char* option : {"--layout splits", "--layout classes"}) EXPECT_HOLDS(message, option);
  EXPECT_EQ(counts(scratch, FolderLayout::splits), (std::array<int64_t, kSplits>{10, 2, 12}));
  std::filesystem::remove_all(scratch / "in/docs");
  EXPECT_EQ(counts(scratch, FolderLayout::classes)[0], 10 + 10 + 1);
  EXPECT_EQ(Dataset(scratch / "out").index().classes.size(), 3U);
}

TEST(ClassLayout, SplitsInsideClassesAreNamed) {
  const ScratchFolder scratch;
  for (const char* kind : {"cat", "dog"}) {
    for (int i = 0; i < 6; ++i) {
      put_file(
          scratch / "in" + "/" + kind + (i < 4 ? "/train/" : "/test/") + std::to_string(i) + ".png",
          random_png(4, 4, i));
    }
  }
  EXPECT_HOLDS(refused(scratch), "in/cat holds the splits test and train");
}

TEST(ClassLayout, NamesNearSplitsAreAskedFor) {
  const ScratchFolder scratch;
  put_classes(scratch / "in/seg_train", 1);
  put_classes(scratch / "in/seg_test", 2);
  EXPECT_HOLDS(refused(scratch), "seg_test and seg_train, which look like splits");
  EXPECT_EQ(counts(scratch, FolderLayout::classes)[0], 20);
}

TEST(ClassLayout, TwoFoldersForOneSplitAreNamed) {
  const ScratchFolder scratch;
  for (const char* name : {"train", "Train", "test"}) put_classes(scratch / "in" + "/" + name, 1);
  EXPECT_HOLDS(refused(scratch), "Train and train are both a train set");
}

TEST(ClassLayout, ImagesOutsideTheClassesAreListed) {
  const ScratchFolder scratch;
  put_classes(scratch / "in", 1);
  put_file(scratch / "in/preview.png", random_png(4, 4, 5));
  const ConvertReport report = convert(from(scratch / "in", scratch / "out"));
  EXPECT_EQ(report.left_out,
            (LeftOut{{"images outside the class folders", {scratch / "in/preview.png"}}}));
}

}  // namespace
}  // namespace bitstill
