#include "bitstill/data/class_layout.hpp"

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr const char* kLoose = "images outside the class folders";
constexpr const char* kBeside = "folders beside the splits";

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ExitCode::data, what);
}

/// The words of a name in small letters: "Train_Images-2" -> train, images.
std::vector<std::string> words_of(const std::string& name) {
  std::vector<std::string> words(1);
  for (const char c : name) {
    const auto letter = static_cast<unsigned char>(c);
    if (std::isalpha(letter) != 0) {
      words.back() += static_cast<char>(std::tolower(letter));
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

bool among(const std::string& word, std::initializer_list<std::string_view> known) {
  return std::find(known.begin(), known.end(), word) != known.end();
}

std::optional<Split> split_of_word(const std::string& word) {
  if (among(word, {"train", "training", "trainset"})) return Split::train;
  if (among(word, {"test", "testing", "tests", "testset", "holdout"})) return Split::test;
  if (among(word, {"val", "valid", "validation", "validate", "valset", "dev", "devel",
                   "development", "eval", "evaluation"})) {
    return Split::validation;
  }
  return std::nullopt;
}

/// Says nothing of a folder: train_images is train.
bool is_filler(const std::string& word) {
  return among(word,
               {"set", "data", "dataset", "image", "images", "img", "imgs", "split", "folder"});
}

struct SplitFolder {
  Split split;
  std::string name;
};

std::vector<SplitFolder> split_folders(const std::vector<std::string>& names) {
  std::vector<SplitFolder> found;
  for (const std::string& name : names) {
    if (const std::optional<Split> split = split_of_folder(name)) found.push_back({*split, name});
  }
  return found;
}

std::vector<std::string> names_of(const std::vector<SplitFolder>& splits) {
  std::vector<std::string> names;
  for (const SplitFolder& split : splits) names.push_back(split.name);
  return names;
}

const SplitFolder* find(const std::vector<SplitFolder>& splits, Split split) {
  const auto at = std::find_if(splits.begin(), splits.end(),
                               [&](const SplitFolder& s) { return s.split == split; });
  return at == splits.end() ? nullptr : &*at;
}

/// What lies in a folder of class folders or splits; images in it belong to none of them.
FolderContent read_folder(const std::string& folder, ClassLayout* layout) {
  FolderContent content = folder_content(folder);
  append(std::move(content.left_out), &layout->left_out);
  for (std::string& what : content.unreadable) layout->unreadable.push_back(std::move(what));
  if (!content.folders.empty() && !content.images.empty()) {
    append(LeftOut{{kLoose, content.images}}, &layout->left_out);
  }
  return content;
}

ClassPart split_part(const std::string& root, const SplitFolder& split, const std::string& train,
                     bool labels, ClassLayout* layout) {
  const std::string folder = root + "/" + split.name;
  FolderContent content = read_folder(folder, layout);
  if (content.folders.empty() && labels && split.split != Split::train && !content.images.empty()) {
    return {folder, split.split, {}, std::move(content.images)};
  }
  if (content.folders.empty()) {
    const std::string cut =
        split.split == Split::train
            ? ""
            : concat(", or give --source ", root, "/", train, " to cut the other splits from it");
    refuse(concat(folder, " holds ", content.images.size(),
                  " images and no class folders: nothing says what they show; sort them into class "
                  "folders",
                  cut, split.split == Split::train ? "" : ", or give --labels FILE",
                  "; --layout classes makes it a class itself"));
  }
  return {folder, split.split, std::move(content.folders), {}};
}

/// One folder where several classes are expected.
void refuse_single(const ClassPart& part) {
  const std::string& name = part.classes.front();
  const std::string only = part.folder + "/" + name;
  const std::vector<std::string> inner = folder_content(only).folders;
  std::string seen = concat(part.folder, " holds a single class folder, ", name);
  if (!inner.empty()) {
    seen = concat(part.folder, " holds a single folder, ", name, ", with the folders ",
                  list_names(inner, 4), " in it; if these are the classes or splits, ",
                  part.split ? "move them up by one" : "give --source " + only);
  }
  refuse(
      concat(seen, "; --layout ", part.split ? "splits" : "classes", " takes it as the one class"));
}

/// seg_train and seg_test: words that are not known stand by those of splits.
void refuse_near_splits(const std::string& root, const std::vector<std::string>& folders) {
  bool trains = false, holds_out = false;
  for (const std::string& name : folders) {
    const std::vector<std::string> words = words_of(name);
    const auto has = [&](bool train) {
      return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
        const std::optional<Split> split = split_of_word(word);
        return split && (*split == Split::train) == train;
      });
    };
    if (!has(true) && !has(false)) return;
    trains |= has(true);
    holds_out |= has(false);
  }
  if (!trains || !holds_out) return;
  refuse(concat(root, " holds ", list_names(folders, 4),
                ", which look like splits; rename them to train, validation and test, or give "
                "--layout classes if they are classes"));
}

/// Splits below the classes would be mixed in silence.
void refuse_splits_in_classes(const ClassPart& part) {
  for (const std::string& name : part.classes) {
    const std::vector<std::string> inner = folder_content(part.folder + "/" + name).folders;
    const std::vector<SplitFolder> splits = split_folders(inner);
    if (splits.size() < 2 || splits.size() != inner.size() ||
        find(splits, Split::train) == nullptr) {
      continue;
    }
    refuse(concat(part.folder, "/", name, " holds the splits ", list_names(names_of(splits)),
                  ": class folders stand in the splits (train/", name,
                  "), not splits in the classes; sort them so, give it as --source where it is a "
                  "set of its own, or mix them by --layout classes"));
  }
}

void check_splits(const std::string& root, const std::vector<SplitFolder>& splits,
                  FolderLayout layout) {
  for (const SplitFolder& one : splits) {
    const SplitFolder* first = find(splits, one.split);
    if (first->name != one.name) {
      refuse(concat(root, ": ", first->name, " and ", one.name, " are both a ", word(one.split),
                    " set by name; rename or merge them, or give --layout "
                    "classes if they are classes"));
    }
  }
  const std::string seen = list_names(names_of(splits));
  const SplitFolder* train = find(splits, Split::train);
  if (train == nullptr) {
    refuse(concat(root, " holds ",
                  splits.empty() ? "no split folders" : "the split folders " + seen,
                  ", no train; add it, or give --layout classes if they are classes"));
  }
  if (splits.size() == 1 && layout == FolderLayout::automatic) {
    refuse(concat(root, " holds one split folder alone, ", seen, "; give --source ", root, "/",
                  seen, " to cut the other splits from it, or --layout classes if it is a class"));
  }
}

/// Folders that are no splits are left out; with the layout not given only those without images.
void leave_out(const std::string& root, const std::vector<std::string>& folders,
               const std::vector<SplitFolder>& splits, FolderLayout layout, ClassLayout* result) {
  for (const std::string& name : folders) {
    if (split_of_folder(name)) continue;
    const std::string path = root + "/" + name;
    if (layout == FolderLayout::automatic && !walk_images(path, {root}).files.empty()) {
      refuse(concat(root, " holds ", list_names(names_of(splits)), " and also ", name,
                    ", which has images; --layout splits leaves it out, --layout classes makes "
                    "every folder a class"));
    }
    result->left_out[kBeside].push_back(path);
  }
}

}  // namespace

std::optional<Split> split_of_folder(const std::string& name) {
  std::optional<Split> split;
  for (const std::string& word : words_of(name)) {
    if (is_filler(word)) continue;
    if (split) return std::nullopt;
    split = split_of_word(word);
    if (!split) return std::nullopt;
  }
  return split;
}

ClassLayout find_classes(const std::string& root, FolderLayout layout, bool labels) {
  ClassLayout result;
  std::vector<std::string> folders = read_folder(root, &result).folders;
  if (folders.empty()) {
    refuse(root +
           ": holds no class folders (FOLDER/CLASS/IMAGE.jpg or .png, also below "
           "FOLDER/train and FOLDER/test)");
  }
  std::vector<SplitFolder> splits = split_folders(folders);
  if (layout == FolderLayout::automatic && splits.empty()) refuse_near_splits(root, folders);
  if (layout == FolderLayout::classes || (layout == FolderLayout::automatic && splits.empty())) {
    result.parts.push_back({root, std::nullopt, std::move(folders), {}});
  } else {
    check_splits(root, splits, layout);
    leave_out(root, folders, splits, layout, &result);
    // A lone held-out folder is the test set, whatever its name.
    if (find(splits, Split::test) == nullptr) {
      for (SplitFolder& one : splits) {
        if (one.split == Split::validation) one.split = Split::test;
      }
    }
    for (const Split split : {Split::train, Split::test, Split::validation}) {
      const SplitFolder* one = find(splits, split);
      if (one != nullptr) {
        result.parts.push_back(
            split_part(root, *one, find(splits, Split::train)->name, labels, &result));
      }
    }
  }
  if (layout == FolderLayout::automatic) {
    if (result.parts.front().classes.size() == 1) refuse_single(result.parts.front());
    for (const ClassPart& part : result.parts) refuse_splits_in_classes(part);
  }
  return result;
}

}  // namespace bitstill
