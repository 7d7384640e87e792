// Fuzz target: a recipe, read from a file as bitstill reads it, into all settings whose headers
// need no LibTorch. Every text gives settings or Error(settings) of one line; settings, written as
// a run writes its own and read again, are the same.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bitstill/base/error.hpp"
#include "bitstill/config/recipe.hpp"
#include "bitstill/config/setting_table.hpp"
#include "bitstill/config/study.hpp"
#include "bitstill/train/options.hpp"

namespace {

using namespace bitstill;

using Values = std::vector<std::pair<std::string, std::string>>;

void check_all(const TrainingOptions& options, const StudyOptions& study) {
  check(options.augmentation.crop);
  check(options.augmentation.colour);
  check(options.augmentation.mix);
  check(options.quant);
  check(options.distill);
  check(options.train);
  check(options.exchange);
  check(options.layout);
  check(options.train, options.exchange);
  for (const Content content : {Content::images, Content::jpeg, Content::tokens}) {
    check(options, content);
  }
  plan_study(study);
}

/// What a recipe may set. One for all inputs: its names take longer than most recipes.
struct Settings {
  std::string recipe;
  TrainingOptions options;
  StudyOptions study;
  SettingTable table;

  Settings() {
    table.add("config", &recipe, "");
    table.add("data.prefetch", &options.prefetch, "");
    table.add_section("data", options.augmentation);
    table.add_section("run", options.run);
    table.add_section("teacher", options.layout);
    table.add_section("quant", options.quant);
    table.add_section("distill", options.distill);
    table.add_section("train", options.train);
    table.add_section("exchange", options.exchange);
    table.add_section("study", study);
  }
};

/// All values after the recipe in `path`; nothing for an Error(settings).
std::optional<Values> read(const std::string& path) {
  static Settings settings;
  settings.options = {};
  settings.study = {};
  std::optional<Values> values;
  try {
    settings.table.read({"--config=" + path});
    values = settings.table.values();
    check_all(settings.options, settings.study);
  } catch (const Error& error) {
    if (error.code() != ExitCode::settings) std::abort();
    if (std::strchr(error.what(), '\n') != nullptr) std::abort();
  }
  return values;
}

/// A file without a name that holds `text`; its path.
std::string path_of(const char* text, std::size_t size) {
  static const int file = memfd_create("recipe", MFD_CLOEXEC);
  if (ftruncate(file, 0) != 0 || pwrite(file, text, size, 0) != static_cast<ssize_t>(size)) {
    std::abort();
  }
  return "/proc/self/fd/" + std::to_string(file);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const auto values = read(path_of(reinterpret_cast<const char*>(data), size));
  if (!values) return 0;
  const std::string text = recipe_text(*values);
  if (read(path_of(text.data(), text.size())) != values) std::abort();
  return 0;
}
