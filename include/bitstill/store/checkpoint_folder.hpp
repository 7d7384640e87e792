// Checkpoints on disk: RUN/checkpoints/step-000000120/ holds part-00000.safetensors, ... and
// manifest.json, written last (codec/manifest.hpp); best-000000100.safetensors beside it holds the
// masters of the best epoch, which several checkpoints may name.
//
// A checkpoint grows as step-000000120.partial.RANDOM and is renamed when all of it is on disk.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bitstill/codec/manifest.hpp"
#include "bitstill/store/model_file.hpp"

namespace bitstill {

std::string checkpoint_name(int64_t step);  // "step-000000120"
std::string part_name(std::size_t part);    // "part-00000.safetensors"
std::string best_name(int64_t step);        // "best-000000100.safetensors"
inline const std::string kManifestName = "manifest.json";

/// Whether `path` is a checkpoint's folder.
bool is_checkpoint(const std::string& path);

/// Steps of the checkpoints in `folder` (RUN/checkpoints), the newest first; whole or not, they
/// have a manifest.
std::vector<int64_t> checkpoint_steps(const std::string& folder);

/// Error(model) naming the file.
Manifest read_manifest(const std::string& checkpoint);

/// Reads every byte that it consists of. Error(model) naming the first file that is not as it was
/// written, or missing.
void verify_checkpoint(const std::string& checkpoint);

/// All parts as one; each is compared with the manifest. Error(model).
ModelFile read_checkpoint(const std::string& checkpoint);

// What tells a model file, or a checkpoint, from another one; all or some of its bytes are read.
// Error(model).
std::string model_sha256(const std::string& path);
std::string model_samples_sha256(const std::string& path);
uint64_t model_bytes(const std::string& path);

/// Renames `partial`, complete and fsynced, to the checkpoint of `step` in `folder`, in the place
/// of one that may be there, and fsyncs the folder. Error(storage).
void publish_checkpoint(const std::string& folder, const std::string& partial, int64_t step);

/// Removes from `folder` what nobody goes on from once the checkpoint of `step` is there: all but
/// the newest `keep` and those of multiples of `keep_every` (0: none); checkpoints of later steps,
/// which were found damaged; parts that were never published; best files that no checkpoint names.
/// What cannot be removed stays.
void prune_checkpoints(const std::string& folder, int64_t step, int64_t keep, int64_t keep_every);

}  // namespace bitstill
