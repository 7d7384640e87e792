#include "bitstill/base/event_file.hpp"

#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "bitstill/base/crc32c.hpp"
#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

// Fields of the messages, numbered as in TensorFlow's event.proto and summary.proto.
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7;
constexpr int kValue = 1, kTag = 1, kSimpleValue = 2;
constexpr int kStatus = 1, kStart = 1;

template <class Number>
std::string little_endian(Number number) {
  std::string bytes(sizeof number, '\0');
  for (std::size_t i = 0; i < sizeof number; ++i) {
    bytes[i] = static_cast<char>(static_cast<uint64_t>(number) >> (8 * i) & 0xff);
  }
  return bytes;
}

/// Seven bits a byte, the lowest first; all but the last have their highest bit set.
std::string varint(uint64_t number) {
  std::string bytes;
  for (; number >= 0x80; number >>= 7U) bytes += static_cast<char>(number | 0x80);
  return bytes + static_cast<char>(number);
}

enum class Wire { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

std::string key(int field, Wire wire) {
  return varint(static_cast<uint64_t>(field) << 3U | static_cast<uint64_t>(wire));
}

std::string integer(int field, int64_t value) {
  return key(field, Wire::varint) + varint(static_cast<uint64_t>(value));
}

std::string bytes(int field, const std::string& content) {
  return key(field, Wire::bytes) + varint(content.size()) + content;
}

std::string event(int64_t step, const std::string& what) {
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  return key(kWallTime, Wire::fixed64) + little_endian(std::bit_cast<uint64_t>(now)) +
         integer(kStep, step) + what;
}

std::string masked_crc(std::string_view of) {
  const uint32_t crc = crc32c(of.data(), of.size());
  return little_endian(std::rotr(crc, 15) + 0xa282ead8U);
}

std::string new_name() {
  char host[256] = "host";
  if (gethostname(host, sizeof host - 1) != 0) std::strcpy(host, "host");
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return concat("events.out.tfevents.",
                std::chrono::duration_cast<std::chrono::seconds>(now).count(), ".", host, ".",
                getpid());
}

}  // namespace

std::string event_record(std::string_view message) {
  const std::string length = little_endian(static_cast<uint64_t>(message.size()));
  return concat(length, masked_crc(length), message, masked_crc(message));
}

EventFile::EventFile(const std::string& folder) : path_(folder + "/" + new_name()) {
  // Two files of one process within a second are told apart by their number.
  for (int number = 0; !file_; ++number) {
    const std::string path = concat(path_, ".", number);
    file_.reset(std::fopen(path.c_str(), "wxe"));
    if (file_) path_ = path;
    if (!file_ && errno != EEXIST) throw_system_error(ExitCode::storage, path, "write it", errno);
  }
  write(event(0, bytes(kFileVersion, "brain.Event:2")));
}

void EventFile::restart(int64_t step) {
  write(event(step, bytes(kSessionLog, integer(kStatus, kStart))));
}

void EventFile::scalar(const std::string& tag, int64_t step, double value) {
  const std::string number = key(kSimpleValue, Wire::fixed32) +
                             little_endian(std::bit_cast<uint32_t>(static_cast<float>(value)));
  write(event(step, bytes(kSummary, bytes(kValue, bytes(kTag, tag) + number))));
}

void EventFile::write(const std::string& message) {
  const std::string record = event_record(message);
  std::fwrite(record.data(), 1, record.size(), file_.get());  // flush() tells of a failure
}

void EventFile::flush() {
  errno = 0;
  if (std::fflush(file_.get()) == 0 && std::ferror(file_.get()) == 0) return;
  throw_system_error(ExitCode::storage, path_, "write it", errno);
}

}  // namespace bitstill
