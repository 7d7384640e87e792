// Class folders of JPEG and PNG files, below train/ and test/ (val/) or not.
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/class_layout.hpp"
#include "bitstill/data/image_files.hpp"
#include "bitstill/data/image_source.hpp"
#include "label_files.hpp"

namespace bitstill {
namespace {

/// The images of a split folder without class folders, as the file says.
void add_flat(const ClassPart& part, const std::string& file,
              const std::map<std::string, int64_t>& labels, ImageSource* source) {
  const std::vector<int64_t> said = read_labels(file, part.flat, labels);
  for (std::size_t i = 0; i < part.flat.size(); ++i) {
    source->items.push_back({said[i], part.split, part.flat[i]});
  }
}

/// The images of one class in one part.
void add_class(const std::string& root, const ClassPart& part, const std::string& name,
               int64_t label, ImageSource* source) {
  ImageWalk walk = walk_images(part.folder + "/" + name, {root, part.folder});
  for (std::string& file : walk.files)
    source->items.push_back({label, part.split, std::move(file)});
  for (std::string& what : walk.unreadable) source->unreadable.push_back(std::move(what));
  append(std::move(walk.left_out), &source->left_out);
}

void add_part(const std::string& root, const ClassPart& part, const std::string& first,
              const std::map<std::string, int64_t>& labels, ImageSource* source) {
  for (const std::string& name : part.classes) {
    const auto label = labels.find(name);
    if (label == labels.end()) {
      throw Error(ExitCode::data, concat(part.folder, "/", name, ": no such class in ", first));
    }
    add_class(root, part, name, label->second, source);
  }
}

}  // namespace

ImageSource open_class_folders(const SourceOptions& options) {
  std::string root = options.path;
  while (root.size() > 1 && root.back() == '/') root.pop_back();
  ClassLayout layout = find_classes(root, options.layout, !options.labels.empty());
  ImageSource source;
  source.unreadable = std::move(layout.unreadable);
  source.left_out = std::move(layout.left_out);
  source.classes = layout.parts.front().classes;
  std::map<std::string, int64_t> labels;
  for (const std::string& name : source.classes) {
    labels.emplace(name, static_cast<int64_t>(labels.size()));
  }
  bool labelled = false;
  for (const ClassPart& part : layout.parts) {
    if (part.flat.empty()) {
      add_part(root, part, layout.parts.front().folder, labels, &source);
    } else if (std::exchange(labelled, true)) {
      throw Error(ExitCode::data, concat(part.folder,
                                         ": the second folder without class folders; "
                                         "--labels is for one"));
    } else {
      add_flat(part, options.labels, labels, &source);
    }
  }
  if (!options.labels.empty() && !labelled) {
    throw Error(ExitCode::settings, concat("--labels ", options.labels,
                                           ": no split folder holds images alone; leave it out"));
  }
  if (!options.synsets.empty()) source.classes = synset_names(options.synsets, source.classes);
  auto names = std::make_shared<std::vector<std::string>>();
  for (const SourceItem& item : source.items) names->push_back(item.name);
  source.load = [names, most_pixels = options.most_pixels](int64_t i) {
    return read_image((*names)[static_cast<std::size_t>(i)], most_pixels);
  };
  source.format = "folder";
  source.name = std::filesystem::absolute(root).lexically_normal().filename().string();
  source.origin = "class folders of images, " + source.name;
  source.licence = "see the data set's own";
  source.channels = 3;
  source.files = true;
  return source;
}

}  // namespace bitstill
