#include "bitstill/train/fingerprint.hpp"

#include "bitstill/base/sha256.hpp"

namespace bitstill {
namespace {

std::string of_bytes(const void* bytes, std::size_t count) {
  return sha256_hex({static_cast<const char*>(bytes), count}).substr(0, 16);
}

}  // namespace

std::string fingerprint(const at::Tensor& tensor) {
  return of_bytes(tensor.const_data_ptr(), tensor.nbytes());
}

std::string fingerprint(const std::string& text) {
  return of_bytes(text.data(), text.size());
}

}  // namespace bitstill
