#include "bitstill/store/checkpoint_folder.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <set>

#include "bitstill/base/file.hpp"
#include "bitstill/base/sha256.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

namespace fs = std::filesystem;

const std::string kStep = "step-", kBest = "best-", kEnding = ".safetensors";

std::string numbered(const std::string& prefix, int64_t number, int digits) {
  std::string text = std::to_string(number);
  if (text.size() < static_cast<std::size_t>(digits)) {
    text.insert(0, static_cast<std::size_t>(digits) - text.size(), '0');
  }
  return prefix + text;
}

/// The number behind `prefix`, where `name` is such a name and nothing else; else -1.
int64_t number_of(const std::string& name, const std::string& prefix, const std::string& ending) {
  if (!name.starts_with(prefix) || !name.ends_with(ending)) return -1;
  const char* const begin = name.data() + prefix.size();
  const char* const end = name.data() + name.size() - ending.size();
  int64_t number = -1;
  const auto [stop, failure] = std::from_chars(begin, end, number);
  return failure == std::errc() && stop == end ? number : -1;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code failure;
  for (fs::directory_iterator entry(folder, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    names.push_back(entry->path().filename().string());
  }
  return names;
}

void require_same(const std::string& path, const std::string& sha256, const SealedFile& as) {
  if (!verifies_model_files() || sha256 == as.sha256) return;
  throw Error(ExitCode::model, path + ": is another file than the checkpoint's; it was replaced");
}

/// The files that a manifest names.
std::vector<std::pair<std::string, SealedFile>> files_of(const std::string& checkpoint,
                                                         const Manifest& manifest) {
  std::vector<std::pair<std::string, SealedFile>> files;
  for (std::size_t i = 0; i < manifest.parts.size(); ++i) {
    files.emplace_back(concat(checkpoint, '/', part_name(i)), manifest.parts[i]);
  }
  if (manifest.best) {
    const std::string folder = fs::path(checkpoint).parent_path().string();
    files.emplace_back(concat(folder, '/', best_name(manifest.best_step)), *manifest.best);
  }
  return files;
}

void remove_checkpoint(const std::string& path) {
  std::error_code ignored;
  fs::remove(path + "/" + kManifestName, ignored);  // first: half of one is none
  fs::remove_all(path, ignored);
}

}  // namespace

std::string checkpoint_name(int64_t step) {
  return numbered(kStep, step, 9);
}

std::string part_name(std::size_t part) {
  return numbered("part-", static_cast<int64_t>(part), 5) + kEnding;
}

std::string best_name(int64_t step) {
  return numbered(kBest, step, 9) + kEnding;
}

bool is_checkpoint(const std::string& path) {
  std::error_code ignored;
  return fs::exists(fs::path(path) / kManifestName, ignored);
}

std::vector<int64_t> checkpoint_steps(const std::string& folder) {
  std::vector<int64_t> steps;
  for (const std::string& name : names_in(folder)) {
    const int64_t step = number_of(name, kStep, "");
    if (step >= 0 && is_checkpoint(folder + "/" + name)) steps.push_back(step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

Manifest read_manifest(const std::string& checkpoint) {
  const std::string path = checkpoint + "/" + kManifestName;
  return parse_manifest(read_file(path, ExitCode::model, kMostManifestBytes), path);
}

void verify_checkpoint(const std::string& checkpoint) {
  for (const auto& [path, as] : files_of(checkpoint, read_manifest(checkpoint))) {
    require_same(path, verify_model_file(path), as);
  }
}

ModelFile read_checkpoint(const std::string& checkpoint) {
  const Manifest manifest = read_manifest(checkpoint);
  ModelFile whole;
  for (std::size_t i = 0; i < manifest.parts.size(); ++i) {
    const std::string path = concat(checkpoint, '/', part_name(i));
    ModelFile part = read_model_file(path);
    require_same(path, part.sha256, manifest.parts[i]);
    if (i == 0) {
      whole = std::move(part);
      continue;
    }
    for (auto& named : part.tensors) whole.tensors.push_back(std::move(named));
    whole.sizes.file += part.sizes.file;
    whole.sizes.header += part.sizes.header;
  }
  return whole;
}

std::string model_sha256(const std::string& path) {
  if (!is_checkpoint(path)) return sha256_of_file(path, ExitCode::model);
  verify_checkpoint(path);
  return read_manifest(path).seal;
}

std::string model_samples_sha256(const std::string& path) {
  return is_checkpoint(path) ? read_manifest(path).seal : sha256_of_samples(path, ExitCode::model);
}

uint64_t model_bytes(const std::string& path) {
  std::error_code failure;
  uint64_t bytes = 0;
  if (!is_checkpoint(path)) {
    bytes = fs::file_size(path, failure);
    return failure ? InputFile(path, ExitCode::model).size() : bytes;  // which says what is wrong
  }
  for (const SealedFile& part : read_manifest(path).parts) bytes += part.bytes;
  return bytes;
}

void publish_checkpoint(const std::string& folder, const std::string& partial, int64_t step) {
  const std::string path = concat(folder, '/', checkpoint_name(step));
  // In the place of one of the same step, at no moment without either, where the file system can.
  const bool swapped =
      ::renameat2(AT_FDCWD, partial.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) == 0;
  if (!swapped) {
    std::error_code ignored;
    if (fs::exists(partial, ignored)) remove_checkpoint(path);
    if (std::rename(partial.c_str(), path.c_str()) != 0) {
      throw_system_error(ExitCode::storage, path, concat("rename ", partial, " to it"), errno);
    }
  }
  sync_folder(folder);
  if (swapped) remove_checkpoint(partial);
}

void prune_checkpoints(const std::string& folder, int64_t step, int64_t keep, int64_t keep_every) {
  std::set<std::string> wanted;
  int64_t kept = 0;
  for (const int64_t one : checkpoint_steps(folder)) {
    const std::string path = concat(folder, '/', checkpoint_name(one));
    const bool stays = one <= step && (kept < keep || (keep_every > 0 && one % keep_every == 0));
    if (!stays) {
      remove_checkpoint(path);
      continue;
    }
    ++kept;
    wanted.insert(checkpoint_name(one));
    try {
      const Manifest manifest = read_manifest(path);
      if (manifest.best) wanted.insert(best_name(manifest.best_step));
    } catch (const Error&) {  // damaged: resuming says so
    }
  }
  std::error_code ignored;
  for (const std::string& name : names_in(folder)) {
    const bool ours = name.starts_with(kStep) || name.starts_with(kBest);
    if (ours && !wanted.contains(name)) fs::remove_all(folder + "/" + name, ignored);
  }
}

}  // namespace bitstill
