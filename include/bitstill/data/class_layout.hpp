// Which folders of a source are splits and which are classes, as their owner meant them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bitstill/base/words.hpp"
#include "bitstill/data/data_index.hpp"
#include "bitstill/data/image_walk.hpp"

namespace bitstill {

enum class FolderLayout {
  automatic,  // as the names say; refused where they leave it open
  classes,    // each folder of the source is a class, whatever its name
  splits,     // folders named train, test, ... are splits, others are left out
};
template <>
struct WordsOf<FolderLayout> {
  using enum FolderLayout;
  static constexpr Word<FolderLayout> kTable[] = {
      {automatic, "auto"},
      {classes, "classes", "each folder is a class"},
      {splits, "splits", "train, test, ... hold the classes"}};
};

/// The split that a folder's name speaks of, in any case and by the common synonyms (Training,
/// eval, valid, dev, test_set, ...).
std::optional<Split> split_of_folder(const std::string& name);

/// A folder of class folders, and the split its images belong to, if the source says.
struct ClassPart {
  std::string folder;
  std::optional<Split> split;
  std::vector<std::string> classes;  // its folders' names, sorted bytewise
  std::vector<std::string> flat;     // of a split without folders: its images, sorted bytewise
};

struct ClassLayout {
  std::vector<ClassPart> parts;  // with splits: train first
  std::vector<std::string> unreadable;
  LeftOut left_out;
};

/// Error(data) saying what was seen and how to mend it or which option settles it: no class folders
/// or a single one, one split alone, two folders for one split, splits among classes or in them, a
/// split without class folders, unless a file of `labels` says what its images show.
ClassLayout find_classes(const std::string& root, FolderLayout layout, bool labels = false);

}  // namespace bitstill
