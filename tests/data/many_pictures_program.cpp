// many_pictures_program FOLDER COUNT CLASSES: tiny JPEGs in class folders, as many as a large data
// set has. Those of a class are one picture of 8x8 to 32x32 pixels, each with its number in a
// comment, so that no two files are equal.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <thread>

#include "bitstill/base/parallel_for.hpp"
#include "bitstill/base/random.hpp"
#include "bitstill/data/jpeg_encode.hpp"

namespace bitstill {
namespace {

std::string picture(int64_t label) {
  RandomStream stream(static_cast<uint64_t>(label), StreamPurpose::split);
  Image image{8 + static_cast<int64_t>(stream.below(25)),
              8 + static_cast<int64_t>(stream.below(25)),
              3,
              {}};
  const uint64_t step = 1 + stream.below(12);
  for (int64_t i = 0; i < image.height * image.width * 3; ++i) {
    image.bytes.push_back(static_cast<uint8_t>(static_cast<uint64_t>(i) * step / 3));
  }
  return encode_jpeg(image, 50);
}

void write_class(const std::string& root, int64_t label, int64_t count) {
  char name[32];
  std::snprintf(name, sizeof name, "/n%04d/", static_cast<int>(label));
  const std::string folder = root + name, file = picture(label);
  std::filesystem::create_directories(folder);
  for (int64_t i = 0; i < count; ++i) {
    std::snprintf(name, sizeof name, "%09lld", static_cast<long long>(label * 100'000 + i));
    std::ofstream out(folder + name + ".jpg", std::ios::binary);
    out << file.substr(0, 2) << "\xFF\xFE" << '\0' << '\x0B' << name << file.substr(2);
    if (!out.flush()) throw std::runtime_error("cannot write into " + folder);
  }
}

}  // namespace
}  // namespace bitstill

int main(int count, char** words) try {
  if (count != 4) return 2;
  const int64_t pictures = std::stoll(words[2]), classes = std::stoll(words[3]);
  bitstill::parallel_for(classes, std::thread::hardware_concurrency(), [&](int64_t label) {
    bitstill::write_class(words[1], label, (pictures + classes - 1 - label) / classes);
  });
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
