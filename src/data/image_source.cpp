// Which format a source has.
#include "bitstill/data/image_source.hpp"

#include <algorithm>
#include <filesystem>
#include <string_view>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/data/image_walk.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

/// What data sets also come as, and how they become something that is read.
struct Foreign {
  std::string_view ending;
  const char* what;
};
constexpr const char* kArchive = "an archive: unpack it and give its folder as --source";
constexpr const char* kNumbers =
    "is not read: write its images as PNG files, FOLDER/train/CLASS/1.png and FOLDER/test/..., or "
    "as the four IDX files of MNIST";
constexpr const char* kOneOfMany =
    "one file of a set: give the folder that holds all of them as --source";
constexpr Foreign kForeign[] = {
    {".tar", kArchive},       {".tgz", kArchive},       {".tar.gz", kArchive},
    {".tar.bz2", kArchive},   {".tbz2", kArchive},      {".tar.xz", kArchive},
    {".tar.zst", kArchive},   {".zip", kArchive},       {".rar", kArchive},
    {".7z", kArchive},        {".npz", kNumbers},       {".npy", kNumbers},
    {".mat", kNumbers},       {".pkl", kNumbers},       {".pickle", kNumbers},
    {".parquet", kNumbers},   {".arrow", kNumbers},     {".tfrecord", kNumbers},
    {".tfrecords", kNumbers}, {".h5", kNumbers},        {".hdf5", kNumbers},
    {".pt", kNumbers},        {".pth", kNumbers},       {".bin", kOneOfMany},
    {"-ubyte", kOneOfMany},   {"-ubyte.gz", kOneOfMany}};

/// What is said of a file that is no source, by its name; empty where nothing is.
std::string foreign(const std::string& path) {
  std::string name = path;
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const auto& [ending, what] : kForeign) {
    if (name.ends_with(ending)) return concat(path, ": ", ending, " ", what);
  }
  return is_image_name(name) ? concat(path, ": an image ", kOneOfMany) : "";
}

bool holds(const std::string& folder, const char* name) {
  return fs::is_regular_file(fs::path(folder) / name);
}

/// The format of a folder; folders of class folders have no mark of their own.
SourceFormat detect_folder(const std::string& path) {
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (name.find("idx3-ubyte") != std::string::npos) return SourceFormat::idx;
    if (name.starts_with("data_batch_") && name.ends_with(".bin")) return SourceFormat::cifar10;
  }
  if (holds(path, "test_batch.bin")) return SourceFormat::cifar10;
  if (holds(path, "train.bin") || holds(path, "test.bin")) return SourceFormat::cifar100;
  return SourceFormat::folder;
}

/// The Python version of CIFAR; empty where the folder is none.
const char* pickled(const std::string& path) {
  if (holds(path, "data_batch_1") || holds(path, "test_batch")) return "pickled CIFAR-10";
  return holds(path, "meta") && holds(path, "train") ? "pickled CIFAR-100" : "";
}

/// Before a folder is taken for one of class folders: is it something else?
void refuse_wrapped(const std::string& path) {
  std::vector<std::string> folders;
  std::string other;
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (is_system_name(name)) continue;
    if (entry.is_directory()) {
      folders.push_back(entry.path().string());
    } else if (other.empty() && !is_image_name(name)) {
      other = foreign(entry.path().string());
    }
  }
  if (folders.empty() && !other.empty()) throw Error(ExitCode::data, other);
  if (folders.size() != 1) return;
  std::string inner = pickled(folders.front());
  if (inner.empty()) {
    const SourceFormat format = detect_folder(folders.front());
    if (format == SourceFormat::folder) return;
    inner = word(format);
  }
  throw Error(ExitCode::data,
              concat(path, ": its one folder holds ", inner, "; give --source ", folders.front()));
}

SourceFormat detect(const std::string& path) {
  if (!fs::is_directory(path)) {
    if (const std::string what = foreign(path); !what.empty()) throw Error(ExitCode::data, what);
    return SourceFormat::digits;
  }
  const SourceFormat format = detect_folder(path);
  if (format != SourceFormat::folder) return format;
  if (const std::string kind = pickled(path); !kind.empty()) {
    throw Error(ExitCode::data, concat(path, ": ", kind,
                                       " (the Python version), which is not read; fetch the binary "
                                       "version of the set (*.bin)"));
  }
  refuse_wrapped(path);
  return format;
}

}  // namespace

ImageSource open_source(const SourceOptions& options) {
  const std::string& path = options.path;
  if (!fs::exists(path)) throw Error(ExitCode::data, path + ": no such file or folder");
  const SourceFormat format =
      options.format == SourceFormat::automatic ? detect(path) : options.format;
  if (format != SourceFormat::folder && !(options.labels + options.synsets).empty()) {
    throw Error(ExitCode::settings, concat("--labels and --synsets are for class folders, and ",
                                           path, " holds ", word(format), "; leave them out"));
  }
  if (format != SourceFormat::folder && options.layout != FolderLayout::automatic) {
    throw Error(ExitCode::settings, concat("--layout is for class folders, and ", path, " holds ",
                                           word(format), "; leave it out"));
  }
  switch (format) {
    case SourceFormat::digits:
      return open_digits(path);
    case SourceFormat::idx:
      return open_idx(path);
    case SourceFormat::cifar10:
      return open_cifar10(path);
    case SourceFormat::cifar100:
      return open_cifar100(path);
    default:
      return open_class_folders(options);
  }
}

}  // namespace bitstill
