// SHA-256 (by the system's crypto library).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "bitstill/base/error.hpp"

namespace bitstill {

/// Hash of a stream of bytes, given piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;
  void add(const void* bytes, std::size_t count);
  /// 64 lower-case hexadecimal digits; the object is spent afterwards.
  std::string hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view bytes);
/// Of a whole file, read piece by piece. Error(code) as InputFile.
std::string sha256_of_file(const std::string& path, ExitCode code);
/// Of its length and of 64 pieces of 4 KiB spread over it, the first and the last bytes among them:
/// tells files apart that are too large to be read by everyone, unless they differ in few places.
std::string sha256_of_samples(const std::string& path, ExitCode code);

}  // namespace bitstill
