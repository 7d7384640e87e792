#include "bitstill/base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;

[[noreturn]] void fail(ExitCode code, const std::string& what, const std::string& path,
                       int reason) {
  throw Error(code, concat(path, ": cannot ", what, ": ", std::strerror(reason)));
}

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  fail(ExitCode::storage, what, path, errno);
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
  int close() { return ::close(std::exchange(number_, -1)); }

 private:
  int number_;
};

/// path.partial while it grows; removed unless it was renamed.
class PartialFile {
 public:
  explicit PartialFile(const std::string& path)
      : name_(path + ".partial"), file_(name_, O_WRONLY | O_CREAT | O_TRUNC) {
    if (file_.number() < 0) fail("create", name_);
    buffer_.reserve(kBufferBytes);
  }
  ~PartialFile() {
    if (!renamed_) ::unlink(name_.c_str());
  }
  PartialFile(const PartialFile&) = delete;
  PartialFile& operator=(const PartialFile&) = delete;

  void append(const char* bytes, std::size_t count) {
    if (buffer_.size() + count > kBufferBytes) flush();
    if (count >= kBufferBytes) {
      put(bytes, count);
    } else {
      buffer_.append(bytes, count);
    }
  }

  void rename_to(const std::string& path) {
    flush();
    if (::fsync(file_.number()) != 0) fail("fsync", name_);
    if (file_.close() != 0) fail("close", name_);
    if (std::rename(name_.c_str(), path.c_str()) != 0) fail("rename " + name_ + " to it", path);
    renamed_ = true;
  }

 private:
  void flush() {
    put(buffer_.data(), buffer_.size());
    buffer_.clear();
  }
  void put(const char* bytes, std::size_t count) {
    while (count > 0) {
      const ssize_t written = ::write(file_.number(), bytes, count);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) fail("write", name_);
      bytes += written;
      count -= static_cast<std::size_t>(written);
    }
  }

  std::string name_;
  Descriptor file_;
  std::string buffer_;
  bool renamed_ = false;
};

}  // namespace

std::string read_file(const std::string& path, ExitCode code) {
  const Descriptor file(path, O_RDONLY);
  if (file.number() < 0) fail(code, "open", path, errno);
  struct stat facts {};
  if (::fstat(file.number(), &facts) != 0) fail(code, "stat", path, errno);
  std::string bytes;
  // One byte more than it says it holds, so the end is seen; what has no size (a pipe) grows.
  std::size_t room = static_cast<std::size_t>(std::max<off_t>(facts.st_size, 0)) + 1;
  for (std::size_t held = 0;;) {
    if (held == bytes.size()) bytes.resize(held + std::max(room, std::min(held, kBufferBytes)));
    const ssize_t got = ::read(file.number(), bytes.data() + held, bytes.size() - held);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(code, "read", path, errno);
    held += static_cast<std::size_t>(got);
    room = 1;
    if (got == 0) {
      bytes.resize(held);
      return bytes;
    }
  }
}

InputFile::InputFile(const std::string& path, ExitCode code)
    : path_(path), code_(code), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  struct stat facts {};
  if (descriptor_ < 0) fail(code, "open", path, errno);
  const bool known = ::fstat(descriptor_, &facts) == 0;
  if (known && S_ISREG(facts.st_mode)) {
    size_ = static_cast<uint64_t>(facts.st_size);
    return;
  }
  const int reason = !known ? errno : S_ISDIR(facts.st_mode) ? EISDIR : EINVAL;
  ::close(descriptor_);
  fail(code, "read", path, reason);
}

InputFile::~InputFile() {
  ::close(descriptor_);
}

void InputFile::read(uint64_t offset, void* bytes, std::size_t count) const {
  auto* next = static_cast<char*>(bytes);
  while (count > 0) {
    const ssize_t got = ::pread(descriptor_, next, count, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(code_, "read", path_, errno);
    if (got == 0) throw Error(code_, concat(path_, ": ends at byte ", offset, " while it is read"));
    next += got;
    offset += static_cast<uint64_t>(got);
    count -= static_cast<std::size_t>(got);
  }
}

void replace_file(const std::string& path, const std::function<void(const ByteSink&)>& write) {
  const std::string folder_name = folder_of(path);
  const Descriptor folder(folder_name, O_RDONLY | O_DIRECTORY);
  if (folder.number() < 0) fail("open the folder of " + path, folder_name);
  PartialFile partial(path);
  write([&](const void* bytes, std::size_t count) {
    partial.append(static_cast<const char*>(bytes), count);
  });
  partial.rename_to(path);
  // EINVAL: some network file systems cannot fsync a folder, and need not.
  if (::fsync(folder.number()) != 0 && errno != EINVAL) fail("fsync", folder_name);
}

void replace_file(const std::string& path, std::string_view bytes) {
  replace_file(path, [&](const ByteSink& sink) { sink(bytes.data(), bytes.size()); });
}

void make_folder(const std::string& path) {
  std::error_code failure;
  std::filesystem::create_directories(path, failure);
  if (failure) fail(ExitCode::storage, "make the folder", path, failure.value());
  // Only creating a file tells whether one can: permissions, quotas and mounts all have a say.
  std::string probe = path + "/.writable.XXXXXX";
  const int number = ::mkstemp(probe.data());
  if (number < 0) fail("write into the folder", path);
  ::close(number);
  ::unlink(probe.c_str());
}

}  // namespace bitstill
