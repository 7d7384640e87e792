#include "bitstill/base/file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <vector>

#include "scratch_folder.hpp"

namespace bitstill {
namespace {

/// The message of the Error(code) that `act` throws; fails the test when it throws none.
template <class Act>
std::string message_of(ExitCode code, const Act& act) {
  try {
    act();
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<std::string> names_in(const ScratchFolder& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(File, RoundTripsOddSizes) {
  const ScratchFolder scratch;
  for (const std::size_t size : {0, 1, 7, 4096, 1048575, 1048576, 1048577, 3000001}) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 >> 3);
    replace_file(scratch / "x", bytes);
    EXPECT_TRUE(read_file(scratch / "x", ExitCode::data) == bytes) << size;
    replace_file(scratch / "y", [&](ByteSink& sink) {  // in uneven pieces
      for (std::size_t at = 0, piece = 1; at < size; at += piece, piece = piece * 3 + 1) {
        piece = std::min(piece, size - at);
        sink.append(bytes.data() + at, piece);
      }
    });
    EXPECT_TRUE(read_file(scratch / "y", ExitCode::data) == bytes) << size;
  }
  EXPECT_EQ(names_in(scratch), (std::vector<std::string>{"x", "y"}));
}

TEST(File, OverwritesWhatWasAppended) {
  const ScratchFolder scratch;
  for (const std::size_t size : {std::size_t{10}, std::size_t{1} << 20, std::size_t{20} << 20}) {
    std::string bytes(size, 'a');
    replace_file(scratch / "x", [&](ByteSink& sink) {
      sink.append(bytes.data(), size);
      sink.overwrite(3, "bc");
      sink.append("end", 3);
    });
    bytes.replace(3, 2, "bc");
    EXPECT_TRUE(read_file(scratch / "x", ExitCode::data) == bytes + "end") << size;
  }
}

constexpr std::size_t kLarge = std::size_t{4} << 20;  // of these it begins to go past the cache

TEST(File, BypassesThePageCache) {
  const ScratchFolder scratch;
  for (const std::size_t size : {std::size_t{0}, std::size_t{4097}, kLarge - 1, kLarge, kLarge + 1,
                                 2 * kLarge + 4096, 3 * kLarge + 12345}) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 >> 3);
    for (const std::size_t seam : {std::size_t{0}, std::size_t{1000}, size}) {  // of two appends
      const std::size_t first = std::min(seam, size);
      replace_file(
          scratch / "x",
          [&](ByteSink& sink) {
            sink.append(bytes.data(), first);
            sink.append(bytes.data() + first, size - first);
            if (size > 0) sink.overwrite(size / 2, "!");
            sink.append("end", 3);
            sink.append(bytes.data(), size);
          },
          PageCache::bypass);
      std::string expected = bytes;
      if (size > 0) expected[size / 2] = '!';
      EXPECT_TRUE(read_file(scratch / "x", ExitCode::data) == expected + "end" + bytes) << size;
    }
  }
}

/// How many bytes of the file the system holds in memory.
std::size_t cached_bytes(const std::string& path) {
  const std::size_t size = std::filesystem::file_size(path);
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file, 0);
  std::vector<unsigned char> pages((size + 4095) / 4096);
  EXPECT_EQ(::mincore(mapped, size, pages.data()), 0);
  ::munmap(mapped, size);
  ::close(file);
  return 4096 * static_cast<std::size_t>(
                    std::count_if(pages.begin(), pages.end(), [](int page) { return page & 1; }));
}

TEST(File, LeavesThePageCacheToOthers) {
  const ScratchFolder scratch;
  const int probe = ::open((scratch / "probe").c_str(), O_WRONLY | O_CREAT | O_DIRECT, 0666);
  struct statfs facts {};
  if (probe < 0 || ::fstatfs(probe, &facts) != 0 || facts.f_type == TMPFS_MAGIC ||
      ::sysconf(_SC_PAGESIZE) != 4096) {
    GTEST_SKIP() << "no O_DIRECT to a disk here";
  }
  ::close(probe);
  const std::string bytes(4 * kLarge + 5000, 'b');
  const auto write = [&](ByteSink& sink) {
    sink.append(bytes.data(), bytes.size());
    sink.overwrite(10, "seal");
  };
  replace_file(scratch / "kept", write);
  replace_file(scratch / "past", write, PageCache::bypass);
  EXPECT_GE(cached_bytes(scratch / "kept"), bytes.size());
  EXPECT_LE(cached_bytes(scratch / "past"), std::size_t{256} << 10);
}

TEST(File, ReadsWhatHasNoSize) {
  EXPECT_TRUE(has(read_file("/proc/self/status", ExitCode::data), "VmPeak"));
}

TEST(File, ReadsAtAnyPlace) {
  const ScratchFolder scratch;
  replace_file(scratch / "x", "0123456789");
  const InputFile file(scratch / "x", ExitCode::model);
  EXPECT_EQ(file.size(), 10u);
  std::string part(4, '-');
  file.read(5, part.data(), 4);
  EXPECT_EQ(part, "5678");
  file.read(99, part.data(), 0);
  const auto text = message_of(ExitCode::model, [&] { file.read(7, part.data(), 4); });
  EXPECT_TRUE(has(text, "ends at byte 10")) << text;
  EXPECT_TRUE(has(message_of(ExitCode::data, [&] { InputFile(scratch.path(), ExitCode::data); }),
                  "Is a directory"));
  message_of(ExitCode::data, [] { InputFile("/dev/zero", ExitCode::data); });
  message_of(ExitCode::data, [&] { InputFile(scratch / "absent", ExitCode::data); });
}

TEST(File, SaysWhyItCannotRead) {
  const ScratchFolder scratch;
  const auto missing =
      message_of(ExitCode::model, [&] { read_file(scratch / "absent", ExitCode::model); });
  EXPECT_TRUE(has(missing, scratch / "absent") && has(missing, "No such file")) << missing;
  const auto folder =
      message_of(ExitCode::data, [&] { read_file(scratch.path(), ExitCode::data); });
  EXPECT_TRUE(has(folder, "Is a directory")) << folder;
}

TEST(File, ReadsPlainFilesOnly) {
  const ScratchFolder scratch;
  ASSERT_EQ(mkfifo((scratch / "pipe").c_str(), 0600), 0);
  for (const std::string& path : {scratch / "pipe", std::string("/dev/zero")}) {
    const std::string wanted = path == "/dev/zero" ? "is a device" : "is a pipe";
    const auto whole = message_of(ExitCode::data, [&] { read_file(path, ExitCode::data); });
    EXPECT_TRUE(has(whole, path) && has(whole, wanted)) << whole;
    const auto parts = message_of(ExitCode::model, [&] { InputFile(path, ExitCode::model); });
    EXPECT_TRUE(has(parts, path) && has(parts, wanted)) << parts;
  }
}

TEST(File, RefusesMoreThanItsKindHolds) {
  const ScratchFolder scratch;
  replace_file(scratch / "x", "0123456789");
  EXPECT_EQ(read_file(scratch / "x", ExitCode::data, 10), "0123456789");
  const auto text =
      message_of(ExitCode::data, [&] { read_file(scratch / "x", ExitCode::data, 9); });
  EXPECT_TRUE(has(text, scratch / "x") && has(text, "more than the 9 B")) << text;
  message_of(ExitCode::data, [] { read_file("/proc/self/status", ExitCode::data, 100); });
  std::filesystem::resize_file(scratch / "x", uint64_t{1} << 40);  // holes: it takes no disk
  message_of(ExitCode::data, [&] { read_file(scratch / "x", ExitCode::data); });
}

TEST(File, WritesOnlyWhatItMadeItself) {
  const ScratchFolder scratch;
  const std::string path = scratch / "kept";
  replace_file(scratch / "victim", "untouched");
  std::filesystem::create_symlink(scratch / "victim", path + ".partial");
  std::filesystem::create_symlink(scratch / "victim", path + ".partial.planted");
  replace_file(path, [&](ByteSink& sink) {
    sink.append("new", 3);
    replace_file(path, "of another writer at the same time");
  });
  EXPECT_EQ(read_file(path, ExitCode::data), "new");
  EXPECT_EQ(read_file(scratch / "victim", ExitCode::data), "untouched");
  EXPECT_EQ(names_in(scratch),
            (std::vector<std::string>{"kept", "kept.partial", "kept.partial.planted", "victim"}));
}

/// A file that was last written `age` ago.
void put_old_file(const std::string& path, std::chrono::seconds age) {
  std::ofstream(path) << "half";
  std::filesystem::last_write_time(path, std::filesystem::file_time_type::clock::now() - age);
}

TEST(File, RemovesWhatDeadWritersLeft) {
  using std::chrono::minutes;
  const ScratchFolder scratch;
  put_old_file(scratch / "kept.partial.0000000a", minutes(11));
  put_old_file(scratch / "kept.partial.0000000b", minutes(9));
  put_old_file(scratch / "kept.partial.0000000c", minutes(11));
  put_old_file(scratch / "other.partial.0000000a", minutes(11));
  const int writer = open((scratch / "kept.partial.0000000c").c_str(), O_RDONLY);
  ASSERT_EQ(flock(writer, LOCK_EX), 0);  // still at work, in a long fsync
  replace_file(scratch / "kept", "new");
  EXPECT_EQ(names_in(scratch),
            (std::vector<std::string>{"kept", "kept.partial.0000000b", "kept.partial.0000000c",
                                      "other.partial.0000000a"}));
  close(writer);
  replace_file(scratch / "kept", "newer");
  EXPECT_EQ(names_in(scratch),
            (std::vector<std::string>{"kept", "kept.partial.0000000b", "other.partial.0000000a"}));
}

TEST(File, LocksWhatItWrites) {
  const ScratchFolder scratch;
  replace_file(scratch / "kept", [&](ByteSink& sink) {
    const int partial = open((scratch / names_in(scratch).at(0)).c_str(), O_RDONLY);
    EXPECT_NE(flock(partial, LOCK_EX | LOCK_NB), 0);
    close(partial);
    sink.append("new", 3);
  });
}

TEST(File, NeverReplacesADevice) {
  const ScratchFolder scratch;
  ASSERT_EQ(mkfifo((scratch / "pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("/dev/full", scratch / "full");
  for (const char* name : {"pipe", "full"}) {
    const auto text = message_of(ExitCode::storage, [&] { replace_file(scratch / name, "x"); });
    EXPECT_TRUE(has(text, scratch / name) && has(text, "is a device or pipe")) << text;
  }
  EXPECT_TRUE(std::filesystem::is_fifo(scratch / "pipe"));
}

TEST(File, KeepsTheOldFileAtALimitOfSize) {
  const ScratchFolder scratch;
  const std::string path = scratch / "kept";
  replace_file(path, "old");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{100000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string bytes(3 * kLarge, 'n');
  const auto write = [&](ByteSink& sink) { sink.append(bytes.data(), bytes.size()); };
  for (const auto cache : {PageCache::keep, PageCache::bypass}) {
    const auto text = message_of(ExitCode::storage, [&] { replace_file(path, write, cache); });
    EXPECT_TRUE(has(text, "File too large")) << text;
  }
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_file(path, ExitCode::data), "old");
  EXPECT_EQ(names_in(scratch), std::vector<std::string>{"kept"});
}

TEST(File, KeepsTheOldFileWhenTheWriterThrows) {
  const ScratchFolder scratch;
  replace_file(scratch / "kept", "old");
  EXPECT_THROW(replace_file(scratch / "kept",
                            [](ByteSink& sink) {
                              sink.append("new", 3);
                              throw std::logic_error("half way");
                            }),
               std::logic_error);
  EXPECT_EQ(read_file(scratch / "kept", ExitCode::data), "old");
  EXPECT_EQ(names_in(scratch), std::vector<std::string>{"kept"});
}

TEST(File, SaysWhyItCannotReplace) {
  const ScratchFolder scratch;
  replace_file(scratch / "plain", "x");
  std::filesystem::create_directories(scratch / "folder");
  const auto below_file =
      message_of(ExitCode::storage, [&] { replace_file(scratch / "plain/under", "x"); });
  EXPECT_TRUE(has(below_file, "Not a directory")) << below_file;
  const auto no_folder =
      message_of(ExitCode::storage, [&] { replace_file(scratch / "no/under", "x"); });
  EXPECT_TRUE(has(no_folder, "No such file")) << no_folder;
  const auto over_folder =
      message_of(ExitCode::storage, [&] { replace_file(scratch / "folder", "x"); });
  EXPECT_TRUE(has(over_folder, "Is a directory")) << over_folder;
  EXPECT_EQ(names_in(scratch), (std::vector<std::string>{"folder", "plain"}));
  message_of(ExitCode::storage, [] { replace_file("/proc/nothing_goes_here", "x"); });
}

TEST(File, MakesFoldersAndRefusesUnwritableOnes) {
  const ScratchFolder scratch;
  make_folder(scratch / "a/b/c/");
  make_folder(scratch / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_empty(scratch / "a/b/c"));
  replace_file(scratch / "plain", "x");
  for (const std::string& path :
       {scratch / "plain", scratch / "plain/under", std::string("/proc/self"), std::string("")}) {
    const auto text = message_of(ExitCode::storage, [&] { make_folder(path); });
    EXPECT_TRUE(has(text, path)) << text;
  }
}

}  // namespace
}  // namespace bitstill
