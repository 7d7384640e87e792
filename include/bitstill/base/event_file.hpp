// Scalars over steps in the files that TensorBoard reads: records framed with masked CRC-32C, each
// a protobuf message "Event" of a handful of fields, written here without protobuf.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace bitstill {

/// One record: the length, its masked CRC, the bytes, their masked CRC; numbers little-endian.
std::string event_record(std::string_view message);

class EventFile {
 public:
  /// A new file in `folder`; TensorBoard reads a run's files in the order of their names, which
  /// begin with the time. Error(storage) when it cannot.
  explicit EventFile(const std::string& folder);

  /// What earlier files hold of this step and later ones is done again.
  void restart(int64_t step);
  void scalar(const std::string& tag, int64_t step, double value);
  /// Hands all to the system. Error(storage) when it cannot be written.
  void flush();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void write(const std::string& message);
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace bitstill
