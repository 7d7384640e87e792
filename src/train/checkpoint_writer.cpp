#include "bitstill/train/checkpoint_writer.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>
#include <utility>
#include <vector>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/comm/agree.hpp"
#include "bitstill/comm/gather_text.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/train/fingerprint.hpp"
#include "bitstill/train/snapshot.hpp"

namespace bitstill {
namespace {

/// Below this one rank writes as fast as several.
constexpr int64_t kLeastPartBytes = 16 << 20;

/// `parts` model files of neighbouring tensors and about as many bytes; the first describes all.
std::vector<ModelFile> split(const ModelFile& file, int64_t bytes, std::size_t parts) {
  std::vector<ModelFile> split(parts);
  split[0].about = file.about;
  split[0].attached = file.attached;
  const auto count = static_cast<int64_t>(parts);
  int64_t before = 0;
  for (const auto& [name, tensor] : file.tensors) {
    const int64_t part = std::min(before * count / std::max<int64_t>(bytes, 1), count - 1);
    split[static_cast<std::size_t>(part)].tensors.emplace_back(name, tensor);
    before += static_cast<int64_t>(tensor.nbytes());
  }
  return split;
}

std::string to_line(std::size_t part, const SealedFile& file) {
  return concat(part, ' ', file.bytes, ' ', file.sha256, '\n');
}

}  // namespace

/// What the writing thread works with.
struct CheckpointWriter::Work {
  explicit Work(WriterOptions of) : options(std::move(of)) {}

  void write(Communicator& comm);
  void compare(Communicator& comm) const;
  std::string begin() const;
  std::string write_parts(Communicator& comm, const std::string& partial) const;
  void publish(const std::string& partial, const std::vector<std::string>& written);
  void prune() const;
  void tell_failure(Communicator& comm, const AgreedError& error, const std::string& partial) const;

  WriterOptions options;
  Snapshot state, best;
  bool new_best = false, must = false;
  CheckpointMark mark;
  std::size_t parts = 1;
  CheckpointMark on_disk{-1, 0, 0};        // the newest, on all ranks; -1: none
  bool complete = false;                   // was the last write()
  std::optional<SealedFile> best_on_disk;  // on rank 0, of best_step
  int64_t best_step = 0;
};

void CheckpointWriter::Work::compare(Communicator& comm) const {
  if (comm.world() == 1) return;
  NamedValues items = fingerprints(state.file());
  for (auto& item : items) item.first += concat(" after step ", mark.step);
  require_equal(comm, items, ExitCode::numbers);
}

/// The folder in which the checkpoint grows.
std::string CheckpointWriter::Work::begin() const {
  const std::string partial = partial_name(concat(options.folder, '/', checkpoint_name(mark.step)));
  make_folder(partial);
  return partial;
}

/// This rank's parts; a line each.
std::string CheckpointWriter::Work::write_parts(Communicator& comm,
                                                const std::string& partial) const {
  std::string lines;
  const std::vector<ModelFile> files = split(state.file(), state.bytes(), parts);
  for (std::size_t part = 0; part < parts; ++part) {
    const std::size_t writer = part * static_cast<std::size_t>(comm.world()) / parts;
    if (writer != static_cast<std::size_t>(comm.rank())) continue;
    // Nobody reads it soon; shards are better kept in memory.
    lines += to_line(part, write_model_file(concat(partial, '/', part_name(part)), files[part],
                                            PageCache::bypass));
  }
  return lines;
}

/// On rank 0.
void CheckpointWriter::Work::publish(const std::string& partial,
                                     const std::vector<std::string>& written) {
  Manifest manifest;
  manifest.step = mark.step;
  manifest.epoch = mark.epoch;
  manifest.world = static_cast<int64_t>(written.size());
  manifest.parts.resize(parts);
  for (const std::string& lines : written) {
    std::istringstream stream(lines);
    std::size_t part = 0;
    for (SealedFile file; stream >> part >> file.bytes >> file.sha256;) {
      manifest.parts.at(part) = file;
    }
  }
  if (new_best) {
    best_on_disk =
        write_model_file(concat(options.folder, '/', best_name(mark.best_step)), best.file());
    best_step = mark.best_step;
    new_best = false;  // not before: after a failure the next save writes it
  }
  if (mark.best_step > 0) {
    if (!best_on_disk || best_step != mark.best_step) {  // resumed from version 0.1
      const std::string path = concat(options.folder, '/', best_name(mark.best_step));
      best_on_disk = SealedFile{model_bytes(path), verify_model_file(path)};
      best_step = mark.best_step;
    }
    manifest.best_step = best_step;
    manifest.best = best_on_disk;
  }
  replace_file(concat(partial, '/', kManifestName), manifest_text(manifest));
  options.may_publish();
  publish_checkpoint(options.folder, partial, mark.step);
  options.published(mark.step);
}

/// On rank 0; nobody waits for it but the next save.
void CheckpointWriter::Work::prune() const {
  if (!complete) return;  // what it left, best masters among it, may be of use yet
  prune_checkpoints(options.folder, on_disk.step, options.run.keep, options.run.keep_every);
}

void CheckpointWriter::Work::tell_failure(Communicator& comm, const AgreedError& error,
                                          const std::string& partial) const {
  std::error_code ignored;
  if (comm.rank() == 0 && !partial.empty()) std::filesystem::remove_all(partial, ignored);
  const bool goes_on = options.run.on_storage_error == OnStorageError::go_on && !must &&
                       error.code() == ExitCode::storage;
  if (!goes_on) throw error;
  warn(concat(error.what(), "; the run goes on, and ",
              on_disk.step < 0 ? "has no checkpoint"
                               : concat("its newest checkpoint is of step ", on_disk.step)));
}

void CheckpointWriter::Work::write(Communicator& comm) {
  complete = false;
  compare(comm);
  parts = static_cast<std::size_t>(
      std::clamp<int64_t>(state.bytes() / kLeastPartBytes, 1, comm.world()));
  std::string partial;
  try {
    agree(comm, [&] {
      if (comm.rank() == 0) partial = begin();
    });
    partial = broadcast_text(comm, partial, 0);
    std::string lines;
    agree(comm, [&] { lines = write_parts(comm, partial); });
    const std::vector<std::string> written = gather_text(comm, lines);
    agree(comm, [&] {
      if (comm.rank() == 0) publish(partial, written);
    });
  } catch (const AgreedError& error) {
    tell_failure(comm, error, partial);
    return;
  }
  on_disk = mark;
  complete = true;
}

CheckpointWriter::CheckpointWriter(World& world, WriterOptions options)
    : work_(std::make_shared<Work>(std::move(options))) {
  const bool thread = work_->options.overlap != Overlap::off && world.threads_allowed();
  channel_ = open_channel(world, Traffic::control, thread ? Overlap::on : Overlap::off);
}

CheckpointWriter::~CheckpointWriter() = default;

void CheckpointWriter::save(const ModelFile& state, const ModelFile* best,
                            const CheckpointMark& mark, bool must) {
  wait();
  Work& work = *work_;
  if (work.on_disk == mark) return;
  work.state.take(state);
  if (best != nullptr) {
    work.best.take(*best);
    work.new_best = true;
  }
  work.mark = mark;
  work.must = must;
  begun_ = channel_->enqueue([held = work_](Communicator& comm) { held->write(comm); });
  channel_->enqueue([held = work_](Communicator& comm) {
    if (comm.rank() == 0) held->prune();
  });
}

void CheckpointWriter::wait() {
  if (!begun_) return;
  channel_->wait(std::exchange(begun_, nullptr));
}

void CheckpointWriter::resumed_from(const CheckpointMark& mark, const Manifest& manifest) {
  work_->on_disk = mark;
  work_->best_on_disk = manifest.best;
  work_->best_step = manifest.best_step;
}

std::vector<std::pair<std::string, std::string>> fingerprints(const ModelFile& state) {
  std::vector<std::pair<std::string, std::string>> result;
  for (const auto& [name, tensor] : state.tensors) {
    result.emplace_back(name, fingerprint(tensor.cpu().contiguous()));
  }
  for (const char* name : {"progress", "schedule"}) {
    const std::string text = state.about.is_object() ? state.about.value(name, Json()).dump() : "";
    result.emplace_back(concat("the run's ", name), fingerprint(text));
  }
  return result;
}

}  // namespace bitstill
