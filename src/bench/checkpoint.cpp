// P15: saving a checkpoint against writing as many bytes, the step it blocks against memcpy,
// restoring against reading, both from the disk and from memory.
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/base/timer.hpp"
#include "bitstill/comm/world.hpp"
#include "bitstill/store/checkpoint_folder.hpp"
#include "bitstill/train/checkpoint_writer.hpp"
#include "rows.hpp"
#include "temporary_folder.hpp"

namespace bitstill {
namespace {

constexpr int64_t kTensors = 64, kValues = 1 << 20;  // 256 MB
constexpr std::size_t kPieceBytes = 1 << 20;
constexpr std::chrono::milliseconds kPruned(200);  // the checkpoint before is being removed

[[noreturn]] void fail(const std::string& path) {
  throw Error(ExitCode::storage, path + ": cannot be written or read");
}

/// As dd bs=1M conv=fsync does.
double write_seconds(const ModelFile& state, const std::string& path) {
  const Timer timer;
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  for (const auto& [name, tensor] : state.tensors) {
    const auto* bytes = static_cast<const char*>(tensor.const_data_ptr());
    for (std::size_t at = 0; at < tensor.nbytes(); at += kPieceBytes) {
      const std::size_t count = std::min(kPieceBytes, tensor.nbytes() - at);
      if (::write(file, bytes + at, count) != static_cast<ssize_t>(count)) fail(path);
    }
  }
  if (::fsync(file) != 0) fail(path);
  ::close(file);
  return timer.seconds();
}

double read_seconds(const std::string& path, const at::Tensor& memory) {
  const Timer timer;
  const InputFile file(path, ExitCode::storage);
  const auto size = std::min<uint64_t>(file.size(), memory.nbytes());
  file.read(0, memory.mutable_data_ptr(), static_cast<std::size_t>(size));
  return timer.seconds();
}

/// The system reads the file from the disk next time: as after a crash, or on another node.
void forget(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 || ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) != 0) fail(path);
  ::close(file);
}

double copy_seconds(const ModelFile& state, const at::Tensor& memory) {
  const Timer timer;
  auto* next = static_cast<char*>(memory.mutable_data_ptr());
  for (const auto& [name, tensor] : state.tensors) {
    std::memcpy(next, tensor.const_data_ptr(), tensor.nbytes());
    next += tensor.nbytes();
  }
  return timer.seconds();
}

double ratio(const std::vector<double>& ours, const std::vector<double>& theirs) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(ours[i] / theirs[i]);
  return median(ratios);
}

Part part(const char* name, const std::vector<double>& ours, const std::vector<double>& theirs,
          double target) {
  return {name,
          ratio(ours, theirs),
          target,
          false,
          {{"ms_median", 1000 * median(ours)}, {"against_ms_median", 1000 * median(theirs)}}};
}

}  // namespace

Row bench_checkpoint(const BenchOptions& options) {
  const TemporaryFolder folder;
  ModelFile state{Json{{"kind", "checkpoint"}}, {}, {}};
  for (int64_t i = 0; i < kTensors; ++i) {
    state.tensors.emplace_back(concat("t", i), at::randn({kValues}));
  }
  const at::Tensor memory = at::empty({4 * kTensors * kValues}, at::kByte);
  copy_seconds(state, memory);  // its pages are there from now on
  const auto world = World::open();
  WriterOptions wanted;
  wanted.folder = folder.path();
  wanted.run.keep = 1;
  CheckpointWriter writer(*world, wanted);
  std::vector<double> save, write, blocked, copy, restore, read, cached_restore, cached_read;
  const std::string plain = folder.path() + "/plain";
  for (int64_t round = 0; round <= options.rounds; ++round) {
    write.push_back(write_seconds(state, plain));
    copy.push_back(copy_seconds(state, memory));
    const Timer timer;
    writer.save(state, nullptr, {round + 1, 0, 0}, false);
    blocked.push_back(timer.seconds());
    writer.wait();
    save.push_back(timer.seconds());
    const std::string saved = concat(folder.path(), '/', checkpoint_name(round + 1));
    const auto restore_seconds = [&] {
      const Timer restoring;
      read_model_file(saved);
      return restoring.seconds();
    };
    std::this_thread::sleep_for(kPruned);
    cached_read.push_back(read_seconds(plain, memory));
    read_seconds(concat(saved, '/', part_name(0)), memory);  // it was written past the page cache
    cached_restore.push_back(restore_seconds());
    forget(plain);
    read.push_back(read_seconds(plain, memory));
    forget(concat(saved, '/', part_name(0)));
    restore.push_back(restore_seconds());
    if (round > 0) continue;  // the first touches memory and folders for the first time
    for (auto* seconds :
         {&save, &write, &blocked, &copy, &restore, &read, &cached_restore, &cached_read}) {
      seconds->clear();
    }
  }
  Row row;
  row.against =
      "write and fsync of the same bytes; memcpy of them; one read of them from the disk, in turn";
  row.conditions = {{"ranks", 1}, {"megabytes", memory.numel() >> 20}, {"rounds", options.rounds}};
  row.parts = {part("save", save, write, 1.10), part("a step blocked", blocked, copy, 1.5),
               part("restore, SHA-256 compared", restore, read, 1.25)};
  row.parts.back().details["from_memory"] = ratio(cached_restore, cached_read);
  return row;
}

}  // namespace bitstill
