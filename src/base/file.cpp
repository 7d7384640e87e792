#include "bitstill/base/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>
#include <new>
#include <random>
#include <utility>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::size_t kDirectBytes = 4 << 20, kBlock = 4096;
constexpr uint64_t kWritebackBytes = 8 << 20;
constexpr const char* kPartial = ".partial.";

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw_system_error(ExitCode::storage, path, what, errno);
}

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags)
      : number_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }
  /// Gives it away.
  int release() { return std::exchange(number_, -1); }

 private:
  int number_;
};

constexpr int kToRead = O_RDONLY | O_NONBLOCK | O_NOCTTY;  // so that no pipe or terminal waits

/// Error(code) for what is no plain file; its size otherwise.
uint64_t plain_size(const Descriptor& file, const std::string& path, ExitCode code) {
  struct stat facts {};
  if (file.number() < 0) throw_system_error(code, path, "open", errno);
  if (::fstat(file.number(), &facts) != 0) throw_system_error(code, path, "stat", errno);
  if (S_ISDIR(facts.st_mode)) throw_system_error(code, path, "read", EISDIR);
  if (!S_ISREG(facts.st_mode)) {
    throw Error(code, concat(path, ": is ", S_ISFIFO(facts.st_mode) ? "a pipe" : "a device",
                             "; give a plain file"));
  }
  return static_cast<uint64_t>(facts.st_size);
}

[[noreturn]] void too_large(const std::string& path, ExitCode code, uint64_t most_bytes) {
  throw Error(code,
              concat(path, ": holds more than the ", human_bytes(static_cast<double>(most_bytes)),
                     " that a file of this kind may have; is it the right file?"));
}

/// Renaming would put a file in a device's place, /dev/null among them.
void require_replaceable(const std::string& path) {
  struct stat facts {};
  if (::stat(path.c_str(), &facts) != 0 || S_ISREG(facts.st_mode) || S_ISDIR(facts.st_mode)) return;
  throw Error(ExitCode::storage, path + ": is a device or pipe; name a file to write");
}

constexpr std::time_t kStaleSeconds = 600;

/// Whether nobody writes the file any more: no lock (where the file system has locks), no change.
bool stale(const std::string& partial) {
  const Descriptor file(partial, O_WRONLY | O_NONBLOCK | O_NOFOLLOW);
  struct stat facts {};
  if (file.number() < 0 || ::fstat(file.number(), &facts) != 0) return false;
  if (!S_ISREG(facts.st_mode) || std::time(nullptr) - facts.st_mtime < kStaleSeconds) return false;
  return ::flock(file.number(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

void remove_stale(const std::string& folder, const std::string& prefix) {
  std::error_code failure;
  for (std::filesystem::directory_iterator entry(folder, failure), end; !failure && entry != end;
       entry.increment(failure)) {
    const std::string path = entry->path().string();
    const bool partial = entry->path().filename().string().starts_with(prefix);
    if (partial && stale(path)) ::unlink(path.c_str());
  }
}

struct Freed {
  void operator()(char* memory) const { std::free(memory); }
};

/// path.partial.RANDOM while it grows; removed unless it was renamed.
class PartialFile final : public ByteSink {
 public:
  PartialFile(const std::string& path, PageCache cache)
      : name_(partial_name(path)), file_(name_, kAsNew), bypass_(cache == PageCache::bypass) {
    if (file_.number() < 0) fail("create", name_);
    ::flock(file_.number(), LOCK_EX | LOCK_NB);  // without locks its age alone protects it
    room_ = bypass_ ? kDirectBytes : kBufferBytes;
    buffer_.reset(static_cast<char*>(std::aligned_alloc(kBlock, room_)));
    if (!buffer_) throw std::bad_alloc();
  }
  ~PartialFile() override {
    if (!renamed_ && file_.number() >= 0) ::unlink(name_.c_str());
  }

  void append(const void* bytes, std::size_t count) override {
    const auto* from = static_cast<const char*>(bytes);
    while (count > 0) {
      // What bypasses the page cache has to lie at whole blocks, in the file and in memory.
      if (!bypass_ && held_ == 0 && count >= room_) return put(from, count);
      const std::size_t piece = std::min(count, room_ - held_);
      std::memcpy(buffer_.get() + held_, from, piece);
      held_ += piece;
      from += piece;
      count -= piece;
      if (held_ == room_) flush();
    }
  }

  void overwrite(uint64_t offset, std::string_view bytes) override {
    flush();
    put(bytes.data(), bytes.size(), offset);
  }

  void rename_to(const std::string& path) {
    flush();
    if (::fsync(file_.number()) != 0) fail("fsync", name_);
    // Some file systems tell of a failure at close only; the lock has to last beyond it.
    if (const int copy = ::dup(file_.number()); copy < 0 || ::close(copy) != 0) {
      fail("close", name_);
    }
    if (std::rename(name_.c_str(), path.c_str()) != 0) fail("rename " + name_ + " to it", path);
    renamed_ = true;
  }

 private:
  static constexpr int kAsNew = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;

  void flush() {
    if (held_ < room_) bypass_ = false;  // from here on nothing lies at whole blocks
    go_direct(bypass_);
    put(buffer_.get(), held_);
    held_ = 0;
  }
  void go_direct(bool direct) {
    if (direct == direct_) return;
    const int flags = ::fcntl(file_.number(), F_GETFL);
    const int wanted = direct ? flags | O_DIRECT : flags & ~O_DIRECT;
    const bool done = ::fcntl(file_.number(), F_SETFL, wanted) == 0;
    direct_ = direct && done;  // not every file system can
  }
  /// At the end, in pieces that the disk begins with at once: fsync then waits for the last alone.
  void put(const char* bytes, std::size_t count) {
    while (count > 0) {
      const std::size_t piece = std::min<std::size_t>(count, kWritebackBytes);
      put(bytes, piece, size_);
      size_ += piece;
      bytes += piece;
      count -= piece;
      if (size_ - begun_ < kWritebackBytes) continue;
      // What it cannot do or finds wrong, fsync does and finds.
      ::sync_file_range(file_.number(), static_cast<off_t>(begun_),
                        static_cast<off_t>(size_ - begun_), SYNC_FILE_RANGE_WRITE);
      begun_ = size_;
    }
  }
  void put(const char* bytes, std::size_t count, uint64_t offset) {
    while (count > 0) {
      const ssize_t written = ::pwrite(file_.number(), bytes, count, static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0 && errno == EINVAL && direct_) {  // larger blocks, or a part was written
        go_direct(bypass_ = false);
        continue;
      }
      if (written < 0) fail("write", name_);
      bytes += written;
      offset += static_cast<uint64_t>(written);
      count -= static_cast<std::size_t>(written);
    }
  }

  std::string name_;
  Descriptor file_;
  bool bypass_, direct_ = false;  // to go, does go past the page cache
  std::unique_ptr<char, Freed> buffer_;
  std::size_t room_ = 0, held_ = 0;  // bytes of the buffer
  uint64_t size_ = 0, begun_ = 0;    // bytes given to the system; those it has begun to store
  bool renamed_ = false;
};

/// EINVAL: some network file systems cannot fsync a folder, and need not.
void sync(const Descriptor& folder, const std::string& name) {
  if (::fsync(folder.number()) != 0 && errno != EINVAL) fail("fsync", name);
}

}  // namespace

std::string read_file(const std::string& path, ExitCode code, uint64_t most_bytes) {
  const Descriptor file(path, kToRead);
  const uint64_t size = plain_size(file, path, code);
  if (size > most_bytes) too_large(path, code, most_bytes);
  std::string bytes;
  // One byte more than it says it holds, so the end is seen; what has no size (/proc) grows.
  std::size_t room = static_cast<std::size_t>(size) + 1;
  for (std::size_t held = 0; held <= most_bytes;) {
    if (held == bytes.size()) bytes.resize(held + std::max(room, std::min(held, kBufferBytes)));
    const ssize_t got = ::read(file.number(), bytes.data() + held, bytes.size() - held);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_system_error(code, path, "read", errno);
    held += static_cast<std::size_t>(got);
    room = 1;
    if (got == 0) {
      bytes.resize(held);
      return bytes;
    }
  }
  too_large(path, code, most_bytes);
}

InputFile::InputFile(const std::string& path, ExitCode code) : path_(path), code_(code) {
  Descriptor file(path, kToRead);
  size_ = plain_size(file, path, code);
  descriptor_ = file.release();
}

InputFile::~InputFile() {
  ::close(descriptor_);
}

void InputFile::read(uint64_t offset, void* bytes, std::size_t count) const {
  auto* next = static_cast<char*>(bytes);
  while (count > 0) {
    const ssize_t got = ::pread(descriptor_, next, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw_system_error(code_, path_, "read", errno);
    if (got == 0) throw Error(code_, concat(path_, ": ends at byte ", offset, " while it is read"));
    next += got;
    offset += static_cast<uint64_t>(got);
    count -= static_cast<std::size_t>(got);
  }
}

std::string partial_name(const std::string& path) {
  char random[16];
  std::snprintf(random, sizeof random, "%08x", std::random_device{}());
  return path + kPartial + random;
}

void replace_file(const std::string& path, const std::function<void(ByteSink&)>& write,
                  PageCache cache) {
  const std::string folder_name = folder_of(path);
  const Descriptor folder(folder_name, O_RDONLY | O_DIRECTORY);
  if (folder.number() < 0) fail("open the folder of " + path, folder_name);
  require_replaceable(path);
  remove_stale(folder_name, std::filesystem::path(path).filename().string() + kPartial);
  PartialFile partial(path, cache);
  write(partial);
  partial.rename_to(path);
  sync(folder, folder_name);
}

void replace_file(const std::string& path, std::string_view bytes) {
  replace_file(path, [&](ByteSink& sink) { sink.append(bytes.data(), bytes.size()); });
}

void sync_folder(const std::string& folder) {
  const Descriptor opened(folder, O_RDONLY | O_DIRECTORY);
  if (opened.number() < 0) fail("open", folder);
  sync(opened, folder);
}

void make_folder(const std::string& path) {
  std::error_code failure;
  std::filesystem::create_directories(path, failure);
  if (failure) throw_system_error(ExitCode::storage, path, "make the folder", failure.value());
  // Only creating a file tells whether one can: permissions, quotas and mounts all have a say.
  std::string probe = path + "/.writable.XXXXXX";
  const int number = ::mkstemp(probe.data());
  if (number < 0) fail("write into the folder", path);
  ::close(number);
  ::unlink(probe.c_str());
}

}  // namespace bitstill
