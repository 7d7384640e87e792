#include <algorithm>
#include <filesystem>
#include <memory>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/archive.hpp"
#include "bitstill/data/image_source.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostBytes = int64_t{1} << 32;

/// Images and labels of one part: bytes behind a big-endian header.
struct IdxPart {
  std::string images, labels;
  int64_t count = 0, height = 0, width = 0;
};

/// The files of `folder`, also those in folders named as the files are: so unpack Kaggle's
/// archives.
std::vector<fs::path> idx_files(const std::string& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!entry.is_directory()) {
      files.push_back(entry.path());
    } else if (entry.path().string().ends_with("-ubyte")) {
      for (const auto& file : fs::directory_iterator(entry)) files.push_back(file.path());
    }
  }
  return files;
}

/// The file whose name holds all three words; empty where there is none.
std::string find_file(const std::vector<fs::path>& files, const std::string& start,
                      const std::string& kind, const std::string& type) {
  // The gunzipped one, where both are there; then the first by name.
  std::pair<std::size_t, std::string> best;
  for (const fs::path& file : files) {
    const std::string name = file.filename().string();
    if (name.starts_with(start) && name.find(kind) != std::string::npos &&
        (name.ends_with(type) || name.ends_with(type + ".gz"))) {
      const std::pair found(name.size(), file.string());
      if (best.second.empty() || found < best) best = found;
    }
  }
  return best.second;
}

int64_t big_endian(const std::string& bytes, std::size_t at) {
  int64_t value = 0;
  for (std::size_t i = at; i < at + 4; ++i) {
    value = value << 8 | static_cast<unsigned char>(bytes[i]);
  }
  return value;
}

/// The bytes of an IDX file of uint8 with `sides` dimensions, which go to extent[].
std::string read_idx(const std::string& path, int sides, int64_t* extent) {
  std::string bytes = read_file(path, ExitCode::data, kMostBytes);
  if (bytes.starts_with("\x1f\x8b")) bytes = gunzip(bytes, path, kMostBytes);
  const std::size_t header = 4 + 4 * static_cast<std::size_t>(sides);
  if (bytes.size() < header || big_endian(bytes, 0) != 0x800 + sides) {
    throw Error(ExitCode::data,
                concat(path, ": not an IDX file of bytes with ", sides, " dimensions"));
  }
  const auto held = static_cast<int64_t>(bytes.size() - header);
  int64_t expected = 1;
  bool in_range = true;
  for (int side = 0; side < sides; ++side) {
    extent[side] = big_endian(bytes, 4 + 4 * static_cast<std::size_t>(side));
    in_range = in_range && !__builtin_mul_overflow(expected, extent[side], &expected);
  }
  if (!in_range || expected != held) {
    throw Error(ExitCode::data, concat(path, ": holds ", held,
                                       " bytes of data where its header "
                                       "announces another number: it is "
                                       "truncated or damaged"));
  }
  bytes.erase(0, header);
  return bytes;
}

IdxPart read_part(const std::string& images, const std::string& labels) {
  IdxPart part;
  int64_t extent[3] = {};
  int64_t label_count = 0;
  part.images = read_idx(images, 3, extent);
  part.labels = read_idx(labels, 1, &label_count);
  part.count = extent[0];
  part.height = extent[1];
  part.width = extent[2];
  if (part.count != label_count) {
    throw Error(ExitCode::data, concat(images, ": ", part.count, " images, but ", labels, " has ",
                                       label_count, " labels"));
  }
  if (part.count > 0 && (part.height < 1 || part.width < 1)) {
    throw Error(ExitCode::data, images + ": its images have no pixels");
  }
  return part;
}

}  // namespace

ImageSource open_idx(const std::string& folder) {
  const std::vector<fs::path> files = idx_files(folder);
  const auto parts = std::make_shared<std::vector<IdxPart>>();
  ImageSource source;
  for (const auto& [start, split] : {std::pair{"train", Split::train}, {"t10k", Split::test}}) {
    const std::string images = find_file(files, start, "images", "idx3-ubyte");
    const std::string labels = find_file(files, start, "labels", "idx1-ubyte");
    if (images.empty() || labels.empty()) {
      throw Error(ExitCode::data, concat(folder, ": holds no ", start, "-",
                                         images.empty() ? "images-idx3-ubyte" : "labels-idx1-ubyte",
                                         " file (plain or .gz)"));
    }
    parts->push_back(read_part(images, labels));
    for (int64_t i = 0; i < parts->back().count; ++i) {
      const auto label = static_cast<unsigned char>(parts->back().labels[i]);
      source.items.push_back({label, split, concat(images, ", image ", i)});
      while (source.classes.size() <= label) {
        source.classes.push_back(std::to_string(source.classes.size()));
      }
    }
  }
  source.load = [parts](int64_t i) {
    const IdxPart& train = parts->front();
    const IdxPart& part = i < train.count ? train : parts->back();
    if (i >= train.count) i -= train.count;
    const int64_t bytes = part.height * part.width;
    const auto begin = part.images.begin() + i * bytes;
    return Image{part.height, part.width, 1, {begin, begin + bytes}};
  };
  source.format = "idx";
  source.name = "mnist";
  source.origin = "the IDX files of MNIST or of a set in its format";
  source.licence = "see the data set's own (MNIST: LeCun, Cortes, Burges)";
  source.channels = 1;
  source.ordered = true;
  return source;
}

}  // namespace bitstill
