#include "bitstill/base/event_file.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/run_log.hpp"
#include "scratch_folder.hpp"

namespace bitstill {
namespace {

/// Reads the framing by its definition: lengths and both checksums have to hold.
std::vector<std::string> messages_of(const std::string& file) {
  std::vector<std::string> messages;
  const auto checked = [&](const char* bytes, std::size_t count) {
    uint32_t masked = 0;
    std::memcpy(&masked, bytes + count, 4);
    const uint32_t rotated = masked - 0xa282ead8U;
    EXPECT_EQ(rotated >> 17U | rotated << 15U, crc32c_reference(bytes, count));
  };
  for (std::size_t at = 0; at < file.size();) {
    uint64_t length = 0;
    std::memcpy(&length, file.data() + at, 8);
    checked(file.data() + at, 8);
    checked(file.data() + at + 12, length);
    messages.push_back(file.substr(at + 12, length));
    at += 12 + length + 4;
  }
  return messages;
}

/// The fields of a protobuf message by number: bytes as they are, numbers as their bytes.
std::map<uint64_t, std::string> fields_of(const std::string& message) {
  std::map<uint64_t, std::string> fields;
  std::size_t at = 0;
  const auto varint = [&] {
    uint64_t number = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(message.at(at++));
      number |= static_cast<uint64_t>(byte & 0x7fU) << shift;
      if (byte < 0x80) return number;
    }
  };
  while (at < message.size()) {
    const uint64_t key = varint();
    std::size_t size = (key & 7U) == 1 ? 8 : 4;
    if ((key & 7U) == 0) {
      const uint64_t number = varint();
      fields[key >> 3U].assign(reinterpret_cast<const char*>(&number), 8);
      continue;
    }
    if ((key & 7U) == 2) size = varint();
    fields[key >> 3U] = message.substr(at, size);
    at += size;
  }
  return fields;
}

template <class Number>
Number number(const std::string& bytes) {
  Number value{};
  EXPECT_EQ(bytes.size(), sizeof value);
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

std::string only_file(const std::string& folder) {
  std::ostringstream content;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_EQ(entry.path().filename().string().find("events.out.tfevents."), 0u);
    content << std::ifstream(entry.path(), std::ios::binary).rdbuf();
  }
  return content.str();
}

TEST(EventFile, HoldsWhatAnIndependentReaderFinds) {
  const ScratchFolder folder;
  EventFile events(folder.path());
  events.scalar("loss/train", 300, 0.625);
  events.restart(200);
  events.flush();
  const auto messages = messages_of(only_file(folder.path()));
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(fields_of(messages[0])[3], "brain.Event:2");
  auto scalar = fields_of(messages[1]);
  EXPECT_GT(number<double>(scalar[1]), 1.7e9);  // seconds since 1970
  EXPECT_EQ(number<int64_t>(scalar[2]), 300);
  auto value = fields_of(fields_of(scalar[5])[1]);
  EXPECT_EQ(value[1], "loss/train");
  EXPECT_EQ(number<float>(value[2]), 0.625F);
  auto restart = fields_of(messages[2]);
  EXPECT_EQ(number<int64_t>(restart[2]), 200);
  EXPECT_EQ(number<int64_t>(fields_of(restart[7])[1]), 1);
}

TEST(EventFile, EachIsAFileOfItsOwn) {
  const ScratchFolder folder;
  for (int i = 0; i < 3; ++i) EventFile(folder.path()).flush();
  EXPECT_EQ(messages_of(only_file(folder.path())).size(), 3u);
}

TEST(RunLog, MirrorsItsScalars) {
  const ScratchFolder folder;
  RunLog log(folder / "run.jsonl", false);
  log.mirror(folder / "tensorboard");
  log.write({{"type", "start"}, {"settings", {{"loss", "9"}}}});
  log.write({{"type", "resumed"}, {"epoch", 2}, {"step", 40}});
  log.write({{"type", "step"}, {"step", 50}, {"loss", 0.5}, {"rate", 0.25}, {"ms", {{"data", 1}}}});
  log.write({{"type", "epoch"},
             {"epoch", 3},
             {"train", {{"loss", nullptr}, {"accuracy", 96.0}}},
             {"validation", {{"accuracy", 97.5}, {"samples", 9}}}});
  std::vector<std::string> said;
  for (const std::string& message : messages_of(only_file(folder / "tensorboard"))) {
    auto event = fields_of(message);
    const auto step = std::to_string(number<int64_t>(event[2]));
    if (event.count(7) > 0) said.push_back(step + " restart");
    if (event.count(5) == 0) continue;
    auto value = fields_of(fields_of(event[5])[1]);
    said.push_back(step + " " + value[1] + " " + std::to_string(number<float>(value[2])));
  }
  EXPECT_EQ(said, (std::vector<std::string>{"41 restart", "50 loss/step 0.500000",
                                            "50 rate/step 0.250000", "50 accuracy/train 96.000000",
                                            "50 accuracy/validation 97.500000"}));
}

TEST(EventFile, SaysWhyItCannotWrite) {
  EXPECT_ANY_THROW(EventFile("/nonexistent"));
}

}  // namespace
}  // namespace bitstill
