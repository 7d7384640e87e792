#include <algorithm>
#include <filesystem>
#include <memory>
#include <sstream>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/image_source.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSide = 32, kChannels = 3;
constexpr int64_t kPixels = kSide * kSide * kChannels;
constexpr uint64_t kMostBatchBytes = uint64_t{1} << 30;
constexpr uint64_t kMostNamesBytes = uint64_t{1} << 20;

/// How CIFAR-10 and CIFAR-100 differ. A record is its labels, the last of which counts, and the
/// pixels as three planes.
struct Kind {
  std::string name;
  int64_t classes = 0;
  int64_t label_bytes = 0;
  std::string class_file;
  int64_t record_bytes() const { return label_bytes + kPixels; }
};

using Records = std::vector<std::string>;  // whole files

std::vector<std::string> class_names(const std::string& folder, const Kind& kind) {
  std::vector<std::string> names;
  if (const std::string path = folder + "/" + kind.class_file; fs::exists(path)) {
    std::istringstream lines(read_file(path, ExitCode::data, kMostNamesBytes));
    for (std::string line; std::getline(lines, line);) {
      while (line.ends_with('\r') || line.ends_with(' ')) line.pop_back();
      if (!line.empty()) names.push_back(line);
    }
    if (static_cast<int64_t>(names.size()) != kind.classes) {
      throw Error(ExitCode::data,
                  concat(path, ": names ", names.size(), " classes, not ", kind.classes));
    }
    return names;
  }
  for (int64_t i = 0; i < kind.classes; ++i) names.push_back(std::to_string(i));
  return names;
}

void add_file(const std::string& path, Split split, const Kind& kind, ImageSource* source,
              Records* files, std::vector<std::pair<std::size_t, int64_t>>* places) {
  std::string bytes = read_file(path, ExitCode::data, kMostBatchBytes);
  const auto held = static_cast<int64_t>(bytes.size());
  if (held == 0 || held % kind.record_bytes() != 0) {
    throw Error(ExitCode::data, concat(path, ": ", held, " bytes are no whole number of ",
                                       kind.name, " records (", kind.record_bytes(), " bytes)"));
  }
  for (int64_t at = 0; at < held; at += kind.record_bytes()) {
    const auto label = static_cast<unsigned char>(bytes[at + kind.label_bytes - 1]);
    const std::string where = concat(path, ", record ", at / kind.record_bytes());
    if (label >= kind.classes) {
      throw Error(ExitCode::data, concat(where, ": label ", int{label}, " is out of range"));
    }
    source->items.push_back({label, split, where});
    places->push_back({files->size(), at + kind.label_bytes});
  }
  files->push_back(std::move(bytes));
}

Image load_record(const Records& files, const std::pair<std::size_t, int64_t>& place) {
  Image image{kSide, kSide, kChannels, std::vector<uint8_t>(kPixels)};
  const char* planes = files[place.first].data() + place.second;
  for (int64_t i = 0; i < kPixels; ++i) {
    image.bytes[i] = static_cast<uint8_t>(planes[i % kChannels * kSide * kSide + i / kChannels]);
  }
  return image;
}

/// A batch that was copied over another: images twice, others not at all.
void refuse_twins(const std::vector<std::string>& paths, const Records& files) {
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto twin = std::find(files.begin(), files.begin() + i, files[i]) - files.begin();
    if (twin == static_cast<std::ptrdiff_t>(i)) continue;
    throw Error(ExitCode::data, concat(paths[i], ": holds the same bytes as ", paths[twin],
                                       "; fetch the set again"));
  }
}

ImageSource open_cifar(const std::string& folder, const Kind& kind,
                       const std::vector<std::string>& train, const std::string& test) {
  ImageSource source;
  const auto files = std::make_shared<Records>();
  const auto places = std::make_shared<std::vector<std::pair<std::size_t, int64_t>>>();
  for (const std::string& path : train) {
    add_file(path, Split::train, kind, &source, files.get(), places.get());
    if (files->back().size() != files->front().size()) {
      throw Error(ExitCode::data,
                  concat(path, ": holds ", files->back().size() / kind.record_bytes(), " records, ",
                         train.front(), " ", files->front().size() / kind.record_bytes(),
                         ": they are of one size; fetch the set again"));
    }
  }
  add_file(test, Split::test, kind, &source, files.get(), places.get());
  std::vector<std::string> paths = train;
  paths.push_back(test);
  refuse_twins(paths, *files);
  source.classes = class_names(folder, kind);
  source.load = [files, places](int64_t i) { return load_record(*files, (*places)[i]); };
  source.format = source.name = kind.name;
  source.origin = kind.name + ", binary version";
  source.licence =
      "none stated; cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny "
      "Images, 2009";
  source.channels = kChannels;
  source.ordered = true;
  return source;
}

}  // namespace

ImageSource open_cifar10(const std::string& folder) {
  std::vector<std::string> train, missing;
  for (int i = 1; i <= 5; ++i) {
    const std::string name = concat("data_batch_", i, ".bin");
    train.push_back(concat(folder, "/", name));
    if (!fs::exists(train.back())) missing.push_back(name);
  }
  if (!missing.empty()) {
    throw Error(ExitCode::data, concat(folder, ": lacks ", list_names(missing),
                                       " of CIFAR-10's five batches; fetch the set again"));
  }
  for (const auto& file : fs::directory_iterator(folder)) {
    const std::string name = file.path().filename().string();
    const std::string path = concat(folder, "/", name);
    if (name.starts_with("data_batch_") && name.ends_with(".bin") &&
        std::find(train.begin(), train.end(), path) == train.end()) {
      throw Error(ExitCode::data, path + ": is none of CIFAR-10's five batches; take it away");
    }
  }
  return open_cifar(folder, {"cifar10", 10, 1, "batches.meta.txt"}, train,
                    folder + "/test_batch.bin");
}

ImageSource open_cifar100(const std::string& folder) {
  return open_cifar(folder, {"cifar100", 100, 2, "fine_label_names.txt"}, {folder + "/train.bin"},
                    folder + "/test.bin");
}

}  // namespace bitstill
