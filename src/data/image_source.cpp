// Which format a source has.
#include "bitstill/data/image_source.hpp"

#include <filesystem>

#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

SourceFormat detect(const std::string& path) {
  if (!fs::is_directory(path)) return SourceFormat::digits;
  for (const auto& file : fs::directory_iterator(path)) {
    if (file.path().filename().string().find("idx3-ubyte") != std::string::npos)
      return SourceFormat::idx;
  }
  if (fs::exists(path + "/test_batch.bin")) return SourceFormat::cifar10;
  if (fs::exists(path + "/train.bin") && fs::exists(path + "/test.bin"))
    return SourceFormat::cifar100;
  return SourceFormat::folder;
}

}  // namespace

ImageSource open_source(const std::string& path, SourceFormat format) {
  if (!fs::exists(path)) throw Error(ExitCode::data, path + ": no such file or folder");
  switch (format == SourceFormat::automatic ? detect(path) : format) {
    case SourceFormat::digits:
      return open_digits(path);
    case SourceFormat::idx:
      return open_idx(path);
    case SourceFormat::cifar10:
      return open_cifar10(path);
    case SourceFormat::cifar100:
      return open_cifar100(path);
    default:
      return open_class_folders(path);
  }
}

}  // namespace bitstill
