// Fuzz target: a checkpoint's manifest from a stranger. With its first byte even the input is given
// the SHA-256 that it should carry, so that what stands behind it is reached. Every input becomes a
// manifest or Error(model) of one line; one that was accepted is written and read again.
#include <cstdlib>
#include <cstring>
#include <string>

#include "bitstill/base/error.hpp"
#include "bitstill/codec/manifest.hpp"
#include "bitstill/codec/seal.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t bytes) {
  using namespace bitstill;
  if (bytes < 1) return 0;
  std::string text(reinterpret_cast<const char*>(data) + 1, bytes - 1);
  if (data[0] % 2 == 0) {
    const auto place = find_seal(text);
    if (!place || text.empty() || text.back() != '\n') return 0;
    text.pop_back();
    text = sealed(text.replace(*place, kNoSeal.size(), kNoSeal)) + "\n";
  }
  try {
    const Manifest manifest = parse_manifest(text, "manifest.json");
    const std::string again = manifest_text(manifest);
    if (manifest_text(parse_manifest(again, "again")) != again) std::abort();
  } catch (const Error& error) {
    if (error.code() != ExitCode::model || std::strchr(error.what(), '\n') != nullptr) std::abort();
  }
  return 0;
}
