// Class folders of JPEG and PNG files, below train/ and test/ (val/) or not.
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/image_files.hpp"
#include "bitstill/data/image_source.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

/// Names of the folders in `folder`, sorted bytewise.
std::vector<std::string> folders_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory() && !is_hidden(entry)) names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// One folder of class folders and the split its images belong to, if the source says.
struct Part {
  std::string folder;
  std::optional<Split> split;
};

/// The source's own parts. A lone held-out folder is the test set, whatever its name.
std::vector<Part> find_parts(const std::string& folder) {
  const std::vector<std::string> names = folders_in(folder);
  const auto first_of = [&](std::initializer_list<const char*> candidates) {
    for (const char* name : candidates) {
      if (std::find(names.begin(), names.end(), name) != names.end()) return folder + "/" + name;
    }
    return std::string();
  };
  const std::string train = first_of({"train"});
  std::string validation = first_of({"val", "valid", "validation"});
  std::string test = first_of({"test"});
  if (train.empty() || (validation.empty() && test.empty()) || folders_in(train).empty()) {
    return {{folder, std::nullopt}};
  }
  if (test.empty()) std::swap(test, validation);
  std::vector<Part> parts = {{train, Split::train}, {test, Split::test}};
  if (!validation.empty()) parts.push_back({validation, Split::validation});
  return parts;
}

void add_class(const Part& part, const std::string& name, int64_t label, ImageSource* source) {
  for (std::string& file : image_files_in(part.folder + "/" + name, &source->ignored)) {
    source->items.push_back({label, part.split, std::move(file)});
  }
}

}  // namespace

ImageSource open_class_folders(const std::string& folder) {
  std::string root = folder;
  while (root.size() > 1 && root.back() == '/') root.pop_back();
  const std::vector<Part> parts = find_parts(root);
  ImageSource source;
  source.classes = folders_in(parts.front().folder);
  if (source.classes.empty()) {
    throw Error(ExitCode::data,
                root +
                    ": holds no class folders (FOLDER/CLASS/IMAGE.jpg or .png, also below "
                    "FOLDER/train and FOLDER/test)");
  }
  std::map<std::string, int64_t> labels;
  for (const std::string& name : source.classes) {
    labels.emplace(name, static_cast<int64_t>(labels.size()));
  }
  for (const Part& part : parts) {
    for (const std::string& name : folders_in(part.folder)) {
      const auto label = labels.find(name);
      if (label == labels.end()) {
        throw Error(ExitCode::data,
                    concat(part.folder, "/", name, ": no such class in ", parts.front().folder));
      }
      add_class(part, name, label->second, &source);
    }
  }
  if (source.items.empty()) {
    throw Error(ExitCode::data, root + ": its class folders hold no .jpg, .jpeg or .png files");
  }
  auto names = std::make_shared<std::vector<std::string>>();
  for (const SourceItem& item : source.items) names->push_back(item.name);
  source.load = [names](int64_t i) {
    return decode_image(read_file((*names)[static_cast<std::size_t>(i)], ExitCode::data));
  };
  source.format = "folder";
  source.name = fs::absolute(root).lexically_normal().filename().string();
  source.origin = "class folders of images, " + source.name;
  source.licence = "see the data set's own";
  source.channels = 3;
  return source;
}

}  // namespace bitstill
