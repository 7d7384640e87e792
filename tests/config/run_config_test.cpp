#include "bitstill/config/run_config.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "../base/scratch_folder.hpp"
#include "bitstill/base/error.hpp"

namespace bitstill {
namespace {

std::map<std::string, std::string> values_of(const SettingTable& table) {
  const auto list = table.values();
  return {list.begin(), list.end()};
}

TEST(RunConfig, HasTheFixedNames) {
  RunConfig config;
  SettingTable table;
  add_settings(table, config);
  const auto values = values_of(table);
  EXPECT_EQ(values.size(), table.values().size());  // no name twice
  for (const char* name : {"config",
                           "resume",
                           "dry-run",
                           "data.folder",
                           "data.variants",
                           "data.augment_seed",
                           "teacher.cache",
                           "run.folder",
                           "run.seed",
                           "run.device",
                           "model.kind",

                           "teacher.kind",
                           "teacher.file",
                           "teacher.mean",
                           "teacher.std",
                           "student.init",
                           "quant.method",
                           "quant.bits",
                           "quant.bucket",
                           "quant.tensors",
                           "distill.temperature",
                           "distill.soft_weight",
                           "distill.kl_reduction",
                           "train.epochs",
                           "train.global_batch",
                           "train.micro_batch",
                           "train.rate",
                           "train.precision",
                           "train.select",
                           "exchange.overlap",
                           "exchange.order"}) {
    EXPECT_TRUE(values.count(name)) << name;
  }
  EXPECT_NO_THROW(check(config));
  EXPECT_EQ(values.at("run.device"), "cpu");
  EXPECT_EQ(values.at("quant.bucket"), "256");
}

/// Another word than `word` of those that the table names where it refuses one; empty: no enum.
std::string other_word(SettingTable& table, const std::string& name, const std::string& word) {
  try {
    table.set(name, word + "another");
  } catch (const Error& error) {
    const std::string text = error.what();
    const auto begin = text.find("one of ") + 7;
    const std::string first = text.substr(begin, text.find_first_of(", ", begin) - begin);
    const auto last = text.find(" and ") + 5;
    return first == word ? text.substr(last, text.find(';') - last) : first;
  }
  table.set(name, word);
  return "";
}

/// Another value than `value` of the same type.
std::string other(SettingTable& table, const std::string& name, const std::string& value) {
  if (value == "true") return "false";
  if (value == "false") return "true";
  if (name.ends_with("widths") || name.ends_with("kernels") || name.ends_with("pools") ||
      name.ends_with("hidden") || name == "train.step_epochs") {
    return "3,5";
  }
  if (name.ends_with(".mean") || name.ends_with(".std")) return "0.13066047430038452,0.3";
  if (name.ends_with("dropout") || name == "data.scale" || name == "data.ratio")
    return "0.1,0.30000000000000004";
  if (value == "-1") return "7";  // none of its own
  if (!value.empty() && value.find_first_not_of("0123456789.e-") == std::string::npos) {
    return value.find('.') == std::string::npos ? "3" + value : "0.1" + value.substr(2);
  }
  const std::string word = other_word(table, name, value);
  return word.empty() ? value + "another" : word;
}

TEST(RunConfig, ResolvedValuesAreARecipe) {
  RunConfig first, second;
  SettingTable one, two;
  add_settings(one, first);
  add_settings(two, second);
  const ScratchFolder folder;
  std::ofstream recipe(folder / "recipe.cfg");
  for (const auto& [name, value] : one.values()) {
    if (name == "config") continue;
    one.read({"--" + name + "=" + other(one, name, value)});
  }
  for (const auto& [name, value] : one.values()) {
    if (name != "config") recipe << name << " = " << value << "\n";
  }
  recipe.close();
  two.read({"--config", folder / "recipe.cfg"});
  const auto expected = values_of(one), got = values_of(two);
  RunConfig untouched;
  SettingTable initial;
  add_settings(initial, untouched);
  const auto defaults = values_of(initial);
  for (const auto& [name, value] : expected) {
    if (name == "config") continue;
    EXPECT_NE(value, defaults.at(name)) << name;  // every setting was moved, so every one is read
    EXPECT_EQ(got.at(name), value) << name;
  }
  EXPECT_EQ(second.train.rate, first.train.rate);
  EXPECT_EQ(second.model.dropout, first.model.dropout);
  EXPECT_EQ(first.teacher.normalization.mean, (std::vector<float>{0.13066047F, 0.3F}));
  EXPECT_EQ(second.teacher.normalization, first.teacher.normalization);
}

TEST(RunConfig, EveryBadValueIsNamed) {
  const std::pair<const char*, const char*> bad[] = {
      {"run.folder", ""},          {"run.seed", "-1"},           {"run.device", "gpu"},
      {"run.threads", "-1"},       {"run.timeout_s", "-1"},      {"run.log_steps", "0"},
      {"data.prefetch", "0"},      {"data.shift", "-1"},         {"data.variants", "-1"},
      {"data.augment_seed", "-2"}, {"quant.method", "ternary"},  {"quant.bits", "99"},
      {"quant.bits", "0"},         {"quant.bucket", "-1"},       {"quant.rounding", "up"},
      {"quant.tensors", "some"},   {"train.rate", "0"},          {"train.momentum", "2"},
      {"train.schedule", "step"},  {"distill.temperature", "0"}, {"exchange.order", "any"},
      {"exchange.order", "fixed"}, {"data.jitter", "2"},         {"data.lighting", "-1"},
      {"data.erase", "1.5"},       {"data.mixup", "-1"},         {"data.cutmix", "2000"},
      {"data.window", "0"}};
  for (const auto& [name, value] : bad) {
    RunConfig config;
    SettingTable table;
    add_settings(table, config);
    try {
      table.read({std::string("--") + name, value});
      check(config);
      ADD_FAILURE() << name << " = " << value << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::settings);
      EXPECT_EQ(std::string(error.what()).rfind(name, 0), 0u) << error.what();
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
  }
}

TEST(RunConfig, AMixtureIsInNoCache) {
  RunConfig config;
  config.augmentation.mix.cutmix = 1;
  EXPECT_NO_THROW(check(config));
  config.teacher_cache = "cache";
  EXPECT_THROW(check(config), Error);
}

}  // namespace
}  // namespace bitstill
