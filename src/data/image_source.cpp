// Which format a source has.
#include "bitstill/data/image_source.hpp"

#include <filesystem>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

std::string detect(const std::string& path) {
  if (!fs::is_directory(path)) return "digits";
  for (const auto& file : fs::directory_iterator(path)) {
    if (file.path().filename().string().find("idx3-ubyte") != std::string::npos) return "idx";
  }
  if (fs::exists(path + "/test_batch.bin")) return "cifar10";
  if (fs::exists(path + "/train.bin") && fs::exists(path + "/test.bin")) return "cifar100";
  return "folder";
}

}  // namespace

ImageSource open_source(const std::string& path, const std::string& format) {
  if (!fs::exists(path)) throw Error(ExitCode::data, path + ": no such file or folder");
  const std::string kind = format == "auto" ? detect(path) : format;
  if (kind == "digits") return open_digits(path);
  if (kind == "idx") return open_idx(path);
  if (kind == "cifar10") return open_cifar10(path);
  if (kind == "cifar100") return open_cifar100(path);
  if (kind == "folder") return open_class_folders(path);
  throw Error(ExitCode::settings, concat("--format ", kind,
                                         ": is none of auto, digits, idx, "
                                         "cifar10, cifar100, folder"));
}

}  // namespace bitstill
