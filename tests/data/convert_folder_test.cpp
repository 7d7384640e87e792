#include "bitstill/data/convert.hpp"
#include "image_files.hpp"

namespace bitstill {
namespace {

TEST(ConvertFolder, CutsTenthsAndTheSameImagesWhateverTheirNames) {
  const ScratchFolder scratch;
  for (int i = 0; i < 40; ++i) {
    const std::string kind = i % 2 == 0 ? "/cat/" : "/dog/";
    put_file(scratch / ("a" + kind + std::to_string(i) + ".png"), random_png(5, 6, i));
    put_file(scratch / ("b" + kind + "deep/x" + std::to_string(99 - i) + ".PNG"),
             random_png(5, 6, i));
  }
  put_file(scratch / "a/cat/notes.txt", "not an image");
  const ConvertReport a = convert(from(scratch / "a", scratch / "out_a"));
  convert(from(scratch / "b", scratch / "out_b"));
  EXPECT_EQ(a.format, "folder");
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.classes, (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(a.count, (std::array<int64_t, kSplits>{32, 4, 4}));
  EXPECT_EQ(a.per_class[2], (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(left_out_lines(a.left_out),
            std::vector<std::string>{"left out, no JPEG or PNG by name: 1 (" + scratch / "a" +
                                     "/cat/notes.txt)"});
  const Dataset first(scratch / "out_a"), second(scratch / "out_b");
  for (int s = 0; s < kSplits; ++s) {
    EXPECT_EQ(read_all(first, static_cast<Split>(s)), read_all(second, static_cast<Split>(s)));
  }
}

TEST(ConvertFolder, OwnSplitsAreKeptWhole) {
  const ScratchFolder scratch;
  for (int i = 0; i < 24; ++i) {
    const std::string name = std::string(i % 2 == 0 ? "/a/" : "/b/") + std::to_string(i) + ".png";
    put_file(scratch / ("in/train" + name), random_png(4, 4, i));
    if (i < 6) put_file(scratch / ("in/val" + name), random_png(4, 4, i + (i < 4 ? 100 : 0)));
  }
  ShardOptions options = from(scratch / "in", scratch / "out");
  options.validation = 4;
  const ConvertReport report = convert(options);
  EXPECT_EQ(report.count, (std::array<int64_t, kSplits>{20, 4, 6}));  // a lone val is the test set
  EXPECT_LE(report.twins,
            2);  // two test images were put into train too; they may be validation now
  std::filesystem::create_directories(scratch / "in/test");
  std::filesystem::rename(scratch / "in/val/a", scratch / "in/test/a");
  options.out = scratch / "three";
  options.validation = -1;
  const ConvertReport three = convert(options);
  EXPECT_EQ(three.count, (std::array<int64_t, kSplits>{24, 3, 3}));
  EXPECT_EQ(three.twins, 2);
  EXPECT_HOLDS(three.split_rule, "source's own");
  put_file(scratch / "in/test/zebra/1.png", random_png(4, 4, 1));
  options.out = scratch / "four";
  EXPECT_HOLDS(error_of(ExitCode::data, [&] { convert(options); }), "zebra");
}

TEST(ConvertFolder, ClassesWithoutImagesAreNamed) {
  const ScratchFolder scratch;
  for (int i = 0; i < 12; ++i) {
    put_file(scratch / ((i % 2 == 0 ? "in/cat/" : "in/dog/") + std::to_string(i) + ".png"),
             random_png(4, 4, i));
  }
  ShardOptions options = from(scratch / "in", scratch / "out");
  const auto refused = [&] { return error_of(ExitCode::data, [&] { convert(options); }); };
  put_file(scratch / "in/owl/1.webp", "RIFF");
  EXPECT_HOLDS(refused(), "1 of 3 classes have no train images: owl; left out");
  EXPECT_HOLDS(refused(), "owl/1.webp");
  std::filesystem::remove(scratch / "in/owl/1.webp");
  EXPECT_HOLDS(refused(), "no train images: owl;");
  put_file(scratch / "in/owl/1.png", "torn");
  options.skip_bad = true;
  EXPECT_HOLDS(refused(), "no train images: owl;");
  EXPECT_FALSE(std::filesystem::exists(options.out));
  options.allow_empty_classes = true;
  EXPECT_EQ(convert(options).classes.size(), 3U);
}

TEST(ConvertFolder, LargerImagesThanAllowedAreNamed) {
  const ScratchFolder scratch;
  for (int i = 0; i < 12; ++i) {
    put_file(scratch / ((i % 2 == 0 ? "in/cat/" : "in/dog/") + std::to_string(i) + ".png"),
             random_png(i == 3 ? 9 : 4, 4, i));
  }
  ShardOptions options = from(scratch / "in", scratch / "out");
  options.height = options.width = 4;
  options.most_pixels = 35;
  const std::string message = error_of(ExitCode::data, [&] { convert(options); });
  for (const char* part : {"dog/3.png: 9x4 pixels are more than 35", "--most-pixels"}) {
    EXPECT_HOLDS(message, part);
  }
  options.most_pixels = 36;
  EXPECT_EQ(convert(options).count[0], 10 - 2);
}

TEST(ConvertFolder, MixedSizesAreOneErrorThatNamesTwoFiles) {
  const ScratchFolder scratch;
  for (int i = 0; i < 8; ++i) {
    put_file(scratch / ("in/c/" + std::to_string(i) + ".png"), random_png(6, i == 5 ? 9 : 7, i));
  }
  ShardOptions options = from(scratch / "in", scratch / "out");
  options.layout = FolderLayout::classes;
  const std::string message = error_of(ExitCode::data, [&] { convert(options); });
  for (const char* part : {"0.png is 6x7", "5.png is 6x9", "--size"}) EXPECT_HOLDS(message, part);
  options.height = 3;
  options.width = 4;
  options.channels = 1;
  EXPECT_EQ(convert(options).shape, (ImageShape{1, 3, 4}));
  EXPECT_EQ(Dataset(options.out).size(Split::train), 6);
}

TEST(ConvertFolder, UnreadableImagesStopItOrAreSkippedAndListed) {
  const ScratchFolder scratch;
  for (int i = 0; i < 12; ++i) {
    const std::string png = random_png(6, 7, i);
    put_file(scratch / ("in/c/" + std::to_string(10 + i) + ".png"),
             i % 5 == 0 ? png.substr(0, 40) : png);
  }
  ShardOptions options = from(scratch / "in", scratch / "out");
  options.layout = FolderLayout::classes;
  const std::string message = error_of(ExitCode::data, [&] { convert(options); });
  for (const char* part : {"3 of 12", "10.png", "15.png", "20.png", "--skip-bad"}) {
    EXPECT_HOLDS(message, part);
  }
  EXPECT_FALSE(std::filesystem::exists(options.out));
  options.skip_bad = true;
  const ConvertReport report = convert(options);
  EXPECT_EQ(report.skipped.size(), 3U);
  EXPECT_EQ(report.count[0] + report.count[1] + report.count[2], 9);
}

TEST(ConvertFolder, EqualImagesAreOrderedByName) {
  const ScratchFolder scratch;
  for (int i = 0; i < 10; ++i) {
    put_file(scratch / ("in/c/" + std::to_string(i) + ".png"), random_png(4, 4, 7));
  }
  ShardOptions options = from(scratch / "in", scratch / "out");
  options.layout = FolderLayout::classes;
  options.rows_per_shard = 3;
  const ConvertReport report = convert(options);
  EXPECT_EQ(report.count, (std::array<int64_t, kSplits>{8, 1, 1}));
  EXPECT_EQ(report.twins, 2);
  EXPECT_TRUE(std::filesystem::exists(scratch / "out/train-00002.h5"));
}

}  // namespace
}  // namespace bitstill
