#include "bitstill/data/image_walk.hpp"

#include <sys/stat.h>

#include "image_files.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

TEST(ImageWalk, HiddenAndSystemFoldersAreOut) {
  const ScratchFolder scratch;
  const Names out = {".ipynb_checkpoints", "@eaDir", "__MACOSX"};
  for (const std::string& name : out) put_file(scratch / ("in/" + name + "/1.png"), "x");
  put_file(scratch / "in/._1.jpg", "x");
  put_file(scratch / "in/deep/1.JFIF", "x");
  put_file(scratch / "in/notes.txt", "x");
  const ImageWalk walk = walk_images(scratch / "in");
  EXPECT_EQ(walk.files, Names{scratch / "in/deep/1.JFIF"});
  EXPECT_TRUE(walk.unreadable.empty());
  EXPECT_EQ(walk.left_out, (LeftOut{{"hidden or of the system",
                                     {scratch / "in/._1.jpg", scratch / "in/.ipynb_checkpoints",
                                      scratch / "in/@eaDir", scratch / "in/__MACOSX"}},
                                    {"no JPEG or PNG by name", {scratch / "in/notes.txt"}}}));
}

TEST(ImageWalk, LinkedFoldersAreInAndLoopsAreNot) {
  const ScratchFolder scratch;
  put_file(scratch / "elsewhere/1.png", "x");
  put_file(scratch / "in/2.png", "x");
  fs::create_directory_symlink(scratch / "elsewhere", scratch / "in/a");
  fs::create_directory_symlink(scratch / "elsewhere", scratch / "in/b");
  fs::create_directory_symlink(scratch / "in", scratch / "elsewhere/loop");
  fs::create_directory_symlink(scratch / "", scratch / "elsewhere/up");
  const ImageWalk walk = walk_images(scratch / "in", {scratch / ""});
  EXPECT_EQ(walk.files, (Names{scratch / "in/2.png", scratch / "in/a/1.png"}));
  EXPECT_EQ(walk.left_out,
            (LeftOut{{"folders already gone through by another name",
                      {scratch / "in/a/loop", scratch / "in/a/up", scratch / "in/b"}}}));
}

TEST(ImageWalk, WhatCannotBeReadIsListed) {
  const ScratchFolder scratch;
  put_file(scratch / "in/1.png", "x");
  fs::create_symlink("nowhere", scratch / "in/2.png");
  fs::create_symlink("3.png", scratch / "in/3.png");
  ASSERT_EQ(::mkfifo((scratch / "in/4.png").c_str(), 0600), 0);
  const ImageWalk walk = walk_images(scratch / "in");
  EXPECT_EQ(walk.files, Names{scratch / "in/1.png"});
  ASSERT_EQ(walk.unreadable.size(), 3U);
  EXPECT_HOLDS(walk.unreadable[0], "in/2.png: a link that leads nowhere");
  EXPECT_HOLDS(walk.unreadable[1], "in/3.png: ");
  EXPECT_HOLDS(walk.unreadable[2], "in/4.png: not a plain file");
}

TEST(ImageWalk, AFolderThatIsNotThereIsUnreadable) {
  const ImageWalk walk = walk_images("/nonexistent");
  ASSERT_EQ(walk.unreadable.size(), 1U);
  EXPECT_HOLDS(walk.unreadable[0], "/nonexistent: No such file");
}

TEST(ImageWalk, ClassesThroughLinksAndDanglingOnesAreConverted) {
  const ScratchFolder scratch;
  for (int i = 0; i < 12; ++i) {
    put_file(scratch / ((i % 2 == 0 ? "store/cat/" : "in/dog/") + std::to_string(i) + ".png"),
             random_png(4, 4, i));
  }
  fs::create_directory_symlink(scratch / "store/cat", scratch / "in/cat");
  fs::create_directory_symlink("..", scratch / "in/dog/loop");
  put_file(scratch / "in/.ipynb_checkpoints/1.png", random_png(4, 4, 50));
  put_file(scratch / "in/dog/.ipynb_checkpoints/1.png", random_png(4, 4, 51));
  put_file(scratch / "in/__MACOSX/1.png", random_png(4, 4, 52));
  ConvertReport report = convert(from(scratch / "in", scratch / "out"));
  EXPECT_EQ(report.classes, (Names{"cat", "dog"}));
  EXPECT_EQ(report.count, (std::array<int64_t, kSplits>{8, 2, 2}));
  EXPECT_EQ(report.left_out["hidden or of the system"].size(), 3U);
  fs::create_symlink("nowhere", scratch / "in/dog/gone.png");
  ShardOptions options = from(scratch / "in", scratch / "skipped");
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(options); }),
               "1 of 13 images cannot be read: " + scratch / "in/dog/gone.png");
  options.skip_bad = true;
  report = convert(options);
  EXPECT_EQ(report.skipped, Names{scratch / "in/dog/gone.png" + ": a link that leads nowhere"});
  EXPECT_EQ(report.count, (std::array<int64_t, kSplits>{8, 2, 2}));
}

}  // namespace
}  // namespace bitstill
