// Preloaded into a program: the N-th call that changes files below $FAIL_BELOW fails, once, with
// $FAIL_ERRNO (ENOSPC unless given). $FAIL_AT is N, counted from 1; 0 or none: nothing fails.
// $FAIL_TORN=1: a write first writes half of its bytes. $FAIL_FROM=1: all calls from the N-th on
// fail. How many calls there were is appended to $FAIL_COUNT as "N NAME PATH" lines.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>

namespace {

std::mutex mutex;
long calls = 0;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

std::string path_of(int file) {
  char path[4096];
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  const ssize_t length = ::readlink(link.c_str(), path, sizeof path);
  return length > 0 ? std::string(path, static_cast<std::size_t>(length)) : "";
}

/// Whether this call is to fail; errno is set then.
bool fails(const char* name, const std::string& path) {
  const std::string below = variable("FAIL_BELOW");
  if (below.empty() || !path.starts_with(below)) return false;
  const std::lock_guard lock(mutex);
  ++calls;
  if (const std::string count = variable("FAIL_COUNT"); !count.empty()) {
    const std::string line = std::to_string(calls) + " " + name + " " + path + "\n";
    const int file = next<int (*)(const char*, int, ...)>("open")(
        count.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0666);
    (void)!next<ssize_t (*)(int, const void*, size_t)>("write")(file, line.data(), line.size());
    next<int (*)(int)>("close")(file);
  }
  const long at = std::atol(variable("FAIL_AT").c_str());
  if (at <= 0 || (calls != at && !(calls > at && variable("FAIL_FROM") == "1"))) return false;
  const std::string code = variable("FAIL_ERRNO");
  errno = code.empty() ? ENOSPC : std::atoi(code.c_str());
  return true;
}

int open_with(const char* name, const char* path, int flags, mode_t mode) {
  if ((flags & (O_CREAT | O_WRONLY | O_RDWR)) != 0 && fails(name, path)) return -1;
  return next<int (*)(const char*, int, ...)>(name)(path, flags, mode);
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_with("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open_with("open64", path, flags, mode);
}

ssize_t write(int file, const void* bytes, size_t count) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t)>("write");
  const std::string path = path_of(file);
  if (!fails("write", path)) return real(file, bytes, count);
  const int reason = errno;
  if (variable("FAIL_TORN") == "1" && count > 1) (void)!real(file, bytes, count / 2);
  errno = reason;
  return -1;
}

ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset) {
  static const auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  const std::string path = path_of(file);
  if (!fails("pwrite", path)) return real(file, bytes, count, offset);
  const int reason = errno;
  if (variable("FAIL_TORN") == "1" && count > 1) (void)!real(file, bytes, count / 2, offset);
  errno = reason;
  return -1;
}

int fsync(int file) {
  return fails("fsync", path_of(file)) ? -1 : next<int (*)(int)>("fsync")(file);
}

int close(int file) {
  static const auto real = next<int (*)(int)>("close");
  if (!fails("close", path_of(file))) return real(file);
  const int reason = errno;
  real(file);
  errno = reason;
  return -1;
}

int rename(const char* from, const char* to) {
  return fails("rename", to) ? -1 : next<int (*)(const char*, const char*)>("rename")(from, to);
}

int renameat2(int from_in, const char* from, int to_in, const char* to, unsigned flags) {
  using Real = int (*)(int, const char*, int, const char*, unsigned);
  return fails("renameat2", to) ? -1 : next<Real>("renameat2")(from_in, from, to_in, to, flags);
}

int mkdir(const char* path, mode_t mode) {
  return fails("mkdir", path) ? -1 : next<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}

int unlink(const char* path) {
  return fails("unlink", path) ? -1 : next<int (*)(const char*)>("unlink")(path);
}

int unlinkat(int in, const char* path, int flags) {
  const std::string whole = path[0] == '/' ? path : path_of(in) + "/" + path;
  return fails("unlinkat", whole)
             ? -1
             : next<int (*)(int, const char*, int)>("unlinkat")(in, path, flags);
}

int ftruncate(int file, off_t length) {
  return fails("ftruncate", path_of(file)) ? -1
                                           : next<int (*)(int, off_t)>("ftruncate")(file, length);
}

}  // extern "C"
