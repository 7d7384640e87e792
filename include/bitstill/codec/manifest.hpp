// manifest.json of a checkpoint: which files it consists of. It is written last, so that a
// checkpoint has one or is none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bitstill/codec/seal.hpp"

namespace bitstill {

struct Manifest {
  int64_t step = 0, epoch = 0;    // completed
  int64_t world = 1;              // ranks that were there
  std::vector<SealedFile> parts;  // model files
  /// train.select = best: the masters of the best epoch so far, in a file that checkpoints share.
  int64_t best_step = 0;
  std::optional<SealedFile> best;
  std::string seal;  // of manifests that were read
};

constexpr uint64_t kMostManifestBytes = 1 << 20;

std::string manifest_text(const Manifest& manifest);
/// Error(model) naming `where` when it is none, was damaged, or is of a later version.
Manifest parse_manifest(const std::string& text, const std::string& where);

}  // namespace bitstill
