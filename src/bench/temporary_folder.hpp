// A new folder under TMPDIR, removed at the end.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "bitstill-bench.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw Error(ExitCode::storage,
                  concat("cannot make ", name, ": set TMPDIR to a writable folder"));
    }
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace bitstill
