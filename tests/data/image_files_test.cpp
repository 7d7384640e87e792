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
  int64_t ignored = 0;
  const Names found = {folder / "a/B.JPG", folder / "a/deep/x.jpeg", folder / "a/z.png"};
  EXPECT_EQ(image_files_in(folder / "a", &ignored), found);
  EXPECT_EQ(ignored, 1);
  EXPECT_EQ(list_images({folder / "odd.name", folder / "a"}),
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

TEST(ImageFiles, LoadsInTheShapeOrNamesTheFile) {
  const ScratchFolder folder;
  put_file(folder / "grey.png", png_file(grey(8, 12, 77)));
  std::vector<uint8_t> pixels(3 * 4 * 4, 0);
  load_image(folder / "grey.png", {3, 4, 4}, pixels.data());
  EXPECT_EQ(pixels, std::vector<uint8_t>(48, 77));
  put_file(folder / "torn.png", png_file(grey(8, 12, 77)).substr(0, 50));
  const std::string torn = error_of(ExitCode::data, [&] {
    load_image(folder / "torn.png", {3, 4, 4}, pixels.data());
  });
  EXPECT_HOLDS(torn, folder / "torn.png");
  EXPECT_HOLDS(torn, "damaged PNG");
  const std::string none = error_of(ExitCode::data, [&] {
    load_image(folder / "none.png", {3, 4, 4}, pixels.data());
  });
  EXPECT_HOLDS(none, "none.png");
}

}  // namespace
}  // namespace bitstill
