// Preloaded into a program: how often it opened each file below $COUNT_BELOW and how many bytes it
// read of it, as lines "OPENS BYTES PATH" in $COUNT_OUT/PID when it ends.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

namespace {

struct Count {
  long opens = 0, bytes = 0;
};

struct State {
  std::mutex mutex;
  std::map<std::string, Count> counts;
  std::map<int, std::string> open;  // by descriptor
};

State& state() {
  static auto* const kState = new State;  // outlives every other object
  return *kState;
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

int opened(int file, const char* path) {
  const char* const below = std::getenv("COUNT_BELOW");
  if (file < 0 || below == nullptr || !std::string(path).starts_with(below)) return file;
  const std::lock_guard lock(state().mutex);
  ++state().counts[path].opens;
  state().open[file] = path;
  return file;
}

ssize_t have_read(int file, ssize_t bytes) {
  const std::lock_guard lock(state().mutex);
  const auto path = state().open.find(file);
  if (bytes > 0 && path != state().open.end()) state().counts[path->second].bytes += bytes;
  return bytes;
}

mode_t mode_of(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

struct AtEnd {
  ~AtEnd() {
    const char* const folder = std::getenv("COUNT_OUT");
    if (folder == nullptr || state().counts.empty()) return;
    std::FILE* const out =
        std::fopen((std::string(folder) + "/" + std::to_string(getpid())).c_str(), "w");
    for (const auto& [path, count] : state().counts) {
      std::fprintf(out, "%ld %ld %s\n", count.opens, count.bytes, path.c_str());
    }
    std::fclose(out);
  }
} at_end;

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return opened(next<int (*)(const char*, int, ...)>("open")(path, flags, mode), path);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_of(flags, arguments);
  va_end(arguments);
  return opened(next<int (*)(const char*, int, ...)>("open64")(path, flags, mode), path);
}

int close(int file) {
  {
    const std::lock_guard lock(state().mutex);
    state().open.erase(file);
  }
  return next<int (*)(int)>("close")(file);
}

ssize_t read(int file, void* to, size_t count) {
  return have_read(file, next<ssize_t (*)(int, void*, size_t)>("read")(file, to, count));
}

ssize_t pread(int file, void* to, size_t count, off_t at) {
  return have_read(file,
                   next<ssize_t (*)(int, void*, size_t, off_t)>("pread")(file, to, count, at));
}

ssize_t pread64(int file, void* to, size_t count, off64_t at) {
  return have_read(file,
                   next<ssize_t (*)(int, void*, size_t, off64_t)>("pread64")(file, to, count, at));
}
}
