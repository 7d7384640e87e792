#include "bitstill/base/run_log.hpp"

#include <cerrno>
#include <filesystem>

#include "bitstill/base/file.hpp"
#include "bitstill/base/log.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

[[noreturn]] void fail(const std::string& path) {
  throw_system_error(ExitCode::storage, path, "write the run log", errno);
}

/// A run that was killed may have left half a line; the next one must not be glued to it.
void drop_torn_line(const std::string& path) {
  std::error_code failure;
  if (!std::filesystem::is_regular_file(path, failure)) return;
  const std::string text = read_file(path, ExitCode::storage, kMostLogBytes);
  const auto end = text.rfind('\n');
  const std::size_t whole = end == std::string::npos ? 0 : end + 1;
  if (whole == text.size()) return;
  std::filesystem::resize_file(path, whole, failure);
  if (failure) {
    errno = failure.value();
    fail(path);
  }
}

void add_scalars(EventFile& events, const std::string& set, int64_t step, const Json& line) {
  for (const char* name : {"loss", "soft_loss", "hard_loss", "accuracy", "rate"}) {
    const auto value = line.find(name);
    if (value == line.end() || !value->is_number()) continue;
    events.scalar(concat(name, "/", set), step, value->get<double>());
  }
}

}  // namespace

RunLog::RunLog(const std::string& path, bool append) : path_(path) {
  if (path.empty() || log_place().rank != 0) return;
  if (append) drop_torn_line(path);
  file_.reset(std::fopen(path.c_str(), append ? "ae" : "we"));
  if (!file_) fail(path);
}

void RunLog::mirror(const std::string& folder) {
  if (!file_) return;
  make_folder(folder);
  events_ = std::make_unique<EventFile>(folder);
}

void RunLog::write(const Json& line) {
  if (!file_) return;
  const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), file_.get()) != text.size() ||
      std::fflush(file_.get()) != 0) {
    fail(path_);
  }
  if (!events_) return;
  const std::string type = line.value("type", "");
  step_ = line.value("step", step_);
  if (type == "step") add_scalars(*events_, "step", step_, line);
  if (type == "resumed") events_->restart(step_ + 1);
  if (type == "epoch") {
    for (const char* set : {"train", "validation"}) {
      if (line.contains(set)) add_scalars(*events_, set, step_, line[set]);
    }
  }
  events_->flush();
}

}  // namespace bitstill
