#include "bitstill/data/image_files.hpp"

#include "image_files.hpp"

namespace bitstill {
namespace {

using Names = std::vector<std::string>;

Image grey(int64_t height, int64_t width, uint8_t value) {
  return {height, width, 1, std::vector<uint8_t>(static_cast<std::size_t>(height * width), value)};
}

TEST(ImageFiles, FoldersAreSortedAndFilesKeepTheirPlace) {
  const ScratchFolder folder;
  for (const char* name : {"a/z.png", "a/B.JPG", "a/deep/x.jpeg", "a/.hidden.png", "a/notes.txt"}) {
    put_file(folder / name, "x");
  }
  put_file(folder / "odd.name", "x");
  const Names found = {folder / "a/B.JPG", folder / "a/deep/x.jpeg", folder / "a/z.png"};
  EXPECT_EQ(walk_images(folder / "a").files, found);
  EXPECT_EQ(list_images({folder / "odd.name", folder / "a"}).files,
            (Names{folder / "odd.name", found[0], found[1], found[2]}));
}

TEST(ImageFiles, NamesWhatIsNotThere) {
  const ScratchFolder folder;
  const auto refused = [&](const std::string& path) {
    return error_of(ExitCode::data, [&] { list_images({path}); });
  };
  EXPECT_HOLDS(refused(folder / "none.png"), "none.png: no such file or folder");
  put_file(folder / "empty/notes.txt", "x");
  EXPECT_HOLDS(refused(folder / "empty"), "holds no .jpg, .jpeg or .png files");
  put_file(folder / "shards/index.json", "{}");
  EXPECT_HOLDS(refused(folder / "shards"), "--data.folder");
}

TEST(ImageFiles, AreReadOrNamed) {
  const ScratchFolder folder;
  put_file(folder / "grey.png", png_file(grey(8, 12, 77)));
  EXPECT_EQ(read_image(folder / "grey.png", 96).bytes, std::vector<uint8_t>(96, 77));
  const auto refused = [&](const char* name, int64_t most_pixels = 96) {
    return error_of(ExitCode::data, [&] { read_image(folder / name, most_pixels); });
  };
  put_file(folder / "torn.png", png_file(grey(8, 12, 77)).substr(0, 50));
  EXPECT_HOLDS(refused("torn.png"), folder / "torn.png" + ": damaged PNG");
  EXPECT_HOLDS(refused("none.png"), folder / "none.png");
  put_file(folder / "large.png", "x");
  std::filesystem::resize_file(folder / "large.png", 1 << 29);  // holes: it takes no disk
  EXPECT_HOLDS(refused("large.png"), "more than the 268.4 MB");
  EXPECT_HOLDS(refused("grey.png", 95), folder / "grey.png" + ": 8x12 pixels are more than 95");
}

}  // namespace
}  // namespace bitstill
