#include "bitstill/base/sha256.hpp"

#include <openssl/evp.h>

#include <algorithm>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"

namespace bitstill {
namespace {

void require(bool good) {
  if (!good) throw Error(ExitCode::environment, "SHA-256 does not work in the system's libcrypto");
}

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  require(state_->context && EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1);
}

Sha256::~Sha256() = default;

void Sha256::add(const void* bytes, std::size_t count) {
  require(EVP_DigestUpdate(state_->context, bytes, count) == 1);
}

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  require(EVP_DigestFinal_ex(state_->context, digest, &size) == 1);
  std::string text;
  for (unsigned int i = 0; i < size; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4];
    text += "0123456789abcdef"[digest[i] & 15];
  }
  return text;
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.add(bytes.data(), bytes.size());
  return hash.hex();
}

std::string sha256_of_file(const std::string& path, ExitCode code) {
  const InputFile file(path, code);
  Sha256 hash;
  std::string piece(1 << 20, '\0');
  for (uint64_t at = 0; at < file.size(); at += piece.size()) {
    piece.resize(static_cast<std::size_t>(std::min<uint64_t>(piece.size(), file.size() - at)));
    file.read(at, piece.data(), piece.size());
    hash.add(piece.data(), piece.size());
  }
  return hash.hex();
}

std::string sha256_of_samples(const std::string& path, ExitCode code) {
  constexpr uint64_t kSamples = 64, kBytes = 4096;
  const InputFile file(path, code);
  const uint64_t size = file.size(), bytes = std::min(kBytes, size), last = size - bytes;
  Sha256 hash;
  hash.add(&size, sizeof size);
  std::string sample(static_cast<std::size_t>(bytes), '\0');
  for (uint64_t i = 0; i < kSamples; ++i) {
    file.read(i + 1 < kSamples ? last / (kSamples - 1) * i : last, sample.data(), sample.size());
    hash.add(sample.data(), sample.size());
  }
  return hash.hex();
}

}  // namespace bitstill
