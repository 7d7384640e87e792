// jpeg_pictures_program FOLDER TRAIN VAL: colour JPEGs of odd sizes about 40x30 in class folders
// train/ant, train/bee, train/cat and beside them val/; the classes differ in their stripes.
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/data/jpeg_encode.hpp"

namespace bitstill {
namespace {

constexpr const char* kClasses[] = {"ant", "bee", "cat"};

Image picture(int label, uint64_t seed) {
  RandomStream stream(seed, StreamPurpose::split);
  Image image{28 + static_cast<int64_t>(stream.below(6)),
              37 + static_cast<int64_t>(stream.below(6)),
              3,
              {}};
  const double phase = stream.uniform() * 6;
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t x = 0; x < image.width; ++x) {
      const double along = label == 0 ? x : label == 1 ? y : x + y;
      const double value = 128 + 80 * std::sin(along * 0.7 + phase) + 30 * (stream.uniform() - 0.5);
      for (int c = 0; c < 3; ++c) {
        image.bytes.push_back(static_cast<uint8_t>(c == label ? value : 0.6 * value));
      }
    }
  }
  return image;
}

void write_split(const std::string& folder, int count, uint64_t seed) {
  for (int i = 0; i < count; ++i) {
    const std::string path = folder + "/" + kClasses[i % 3];
    std::filesystem::create_directories(path);
    char name[32];
    std::snprintf(name, sizeof name, "/%05d.jpg", i);
    replace_file(path + name, encode_jpeg(picture(i % 3, seed + static_cast<uint64_t>(i)), 90));
  }
}

}  // namespace
}  // namespace bitstill

int main(int count, char** words) try {
  if (count != 4) return 2;
  const std::string folder = words[1];
  bitstill::write_split(folder + "/train", std::stoi(words[2]), 1);
  bitstill::write_split(folder + "/val", std::stoi(words[3]), 1'000'000);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
