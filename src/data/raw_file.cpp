#include "bitstill/data/raw_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {

RawFile RawFile::open(const std::string& path) {
  return open(path, O_RDONLY);
}

RawFile RawFile::open_to_write(const std::string& path) {
  return open(path, O_RDWR);
}

RawFile RawFile::open(const std::string& path, int flags) {
  const int number = ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK);
  if (number < 0) throw_system_error(ExitCode::data, path, "open", errno);
  RawFile file(path, number);
  struct stat facts {};
  if (::fstat(number, &facts) != 0) throw_system_error(ExitCode::data, path, "stat", errno);
  if (!S_ISREG(facts.st_mode)) throw Error(ExitCode::data, path + ": not a plain file");
  return file;
}

RawFile RawFile::create(const std::string& path, int64_t bytes) {
  const int number = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (number < 0) throw_system_error(ExitCode::storage, path, "create", errno);
  RawFile file(path, number);
  int failure = 0;
  do {
    failure = ::posix_fallocate(number, 0, bytes);
  } while (failure == EINTR);
  // Without fallocate on this file system the writes themselves report a full disk.
  if (failure == EOPNOTSUPP || failure == EINVAL) {
    failure = ::ftruncate(number, bytes) == 0 ? 0 : errno;
  }
  if (failure != 0) {
    throw_system_error(ExitCode::storage, path,
                       concat("allocate ", human_bytes(static_cast<double>(bytes))), failure);
  }
  return file;
}

RawFile RawFile::in_memory(const std::string& purpose, int64_t most_bytes) {
  const int number = ::memfd_create("bitstill", MFD_CLOEXEC);
  if (number < 0) throw_system_error(ExitCode::storage, purpose, "build", errno);
  RawFile file(concat("/proc/self/fd/", number), number);
  if (::ftruncate(number, most_bytes) != 0 || ::ftruncate(number, 0) != 0) {
    throw_system_error(ExitCode::storage, purpose, "build", errno);
  }
  return file;
}

RawFile::~RawFile() {
  if (number_ >= 0) ::close(number_);
}

RawFile::RawFile(RawFile&& other) noexcept
    : path_(std::move(other.path_)), number_(std::exchange(other.number_, -1)) {}

RawFile& RawFile::operator=(RawFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(number_, other.number_);
  return *this;
}

int64_t RawFile::bytes() const {
  struct stat facts {};
  if (::fstat(number_, &facts) != 0) throw_system_error(ExitCode::data, path_, "stat", errno);
  return facts.st_size;
}

void RawFile::read(void* target, int64_t count, int64_t offset) const {
  char* to = static_cast<char*>(target);
  while (count > 0) {
    const ssize_t got = ::pread(number_, to, static_cast<std::size_t>(count), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_system_error(ExitCode::data, path_, "read", errno);
    if (got == 0) {
      throw Error(ExitCode::data, concat(path_, ": ends at byte ", offset, ", ", count,
                                         " bytes too early: it is truncated"));
    }
    to += got;
    offset += got;
    count -= got;
  }
}

void RawFile::write(const void* source, int64_t count, int64_t offset) {
  const char* from = static_cast<const char*>(source);
  while (count > 0) {
    const ssize_t put = ::pwrite(number_, from, static_cast<std::size_t>(count), offset);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) throw_system_error(ExitCode::storage, path_, "write", errno);
    from += put;
    offset += put;
    count -= put;
  }
}

void RawFile::hash(Sha256& hash, int64_t begin, int64_t end) const {
  constexpr int64_t kPieceBytes = 1 << 20;
  std::vector<char> piece(
      static_cast<std::size_t>(std::clamp<int64_t>(end - begin, 0, kPieceBytes)));
  while (begin < end) {
    const int64_t count = std::min(end - begin, kPieceBytes);
    read(piece.data(), count, begin);
    hash.add(piece.data(), static_cast<std::size_t>(count));
    begin += count;
  }
}

void RawFile::sync() {
  if (::fsync(number_) != 0) throw_system_error(ExitCode::storage, path_, "fsync", errno);
}

}  // namespace bitstill
