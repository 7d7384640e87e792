#include "bitstill/base/file.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <stdexcept>

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

TEST(File, RoundTripsOddSizes) {
  const ScratchFolder scratch;
  for (const std::size_t size : {0, 1, 7, 4096, 1048575, 1048576, 1048577, 3000001}) {
    std::string bytes(size, '\0');
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 >> 3);
    replace_file(scratch / "x", bytes);
    EXPECT_TRUE(read_file(scratch / "x", ExitCode::data) == bytes) << size;
    replace_file(scratch / "y", [&](const ByteSink& sink) {  // in uneven pieces
      for (std::size_t at = 0, piece = 1; at < size; at += piece, piece = piece * 3 + 1) {
        piece = std::min(piece, size - at);
        sink(bytes.data() + at, piece);
      }
    });
    EXPECT_TRUE(read_file(scratch / "y", ExitCode::data) == bytes) << size;
  }
  EXPECT_FALSE(std::filesystem::exists(scratch / "x.partial"));
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

TEST(File, KeepsTheOldFileWhenTheDiskIsFull) {
  const ScratchFolder scratch;
  const std::string path = scratch / "kept";
  replace_file(path, "old");
  std::filesystem::create_symlink("/dev/full", path + ".partial");
  const auto text =
      message_of(ExitCode::storage, [&] { replace_file(path, std::string(5000, 'n')); });
  EXPECT_TRUE(has(text, path) && has(text, "No space left")) << text;
  EXPECT_EQ(read_file(path, ExitCode::data), "old");
  EXPECT_FALSE(std::filesystem::is_symlink(path + ".partial"));
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
  const auto text =
      message_of(ExitCode::storage, [&] { replace_file(path, std::string(3000001, 'n')); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_TRUE(has(text, "File too large")) << text;
  EXPECT_EQ(read_file(path, ExitCode::data), "old");
  EXPECT_FALSE(std::filesystem::exists(path + ".partial"));
}

TEST(File, KeepsTheOldFileWhenTheWriterThrows) {
  const ScratchFolder scratch;
  replace_file(scratch / "kept", "old");
  EXPECT_THROW(replace_file(scratch / "kept",
                            [](const ByteSink& sink) {
                              sink("new", 3);
                              throw std::logic_error("half way");
                            }),
               std::logic_error);
  EXPECT_EQ(read_file(scratch / "kept", ExitCode::data), "old");
  EXPECT_FALSE(std::filesystem::exists(scratch / "kept.partial"));
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
  EXPECT_FALSE(std::filesystem::exists(scratch / "folder.partial"));
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
