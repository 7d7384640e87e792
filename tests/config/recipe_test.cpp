#include "bitstill/config/recipe.hpp"

#include <gtest/gtest.h>

#include "../base/scratch_folder.hpp"
#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/config/study.hpp"

namespace bitstill {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

Settings read_back(std::string_view text) {
  Settings settings;
  for (const RecipeLine& line : parse_recipe(text, "recipe.cfg")) {
    settings.emplace_back(line.name, line.value);
  }
  return settings;
}

/// Values as strangers have them: each character alone, at both ends, within and doubled.
std::vector<std::string> odd_values() {
  std::vector<std::string> values = {"",
                                     "job#7",
                                     "job #7",
                                     "#",
                                     "\"",
                                     "\"\"",
                                     "\"a\" b",
                                     "a=b=c",
                                     "[run]",
                                     "\\",
                                     "\\n",
                                     "C:\\new\\x41",
                                     "a\\",
                                     "\"a\\",
                                     "\xEF\xBB\xBFjob",
                                     "\xFF\xFE",
                                     "ä € 😀",
                                     "line\nend",
                                     "\r\n",
                                     std::string(5000, '#'),
                                     "a\tb",
                                     "\xC2\xA0job\xC2\xA0"};
  for (int code = 1; code < 256; ++code) {
    const std::string c(1, static_cast<char>(code));
    for (const std::string& value : {c, c + "x", "x" + c, "x" + c + "y", c + c, " " + c, "#" + c}) {
      values.push_back(value);
    }
  }
  return values;
}

TEST(Recipe, WhatIsWrittenReadsBack) {
  Settings settings;
  for (const std::string& value : odd_values()) {
    settings.emplace_back("setting_" + std::to_string(settings.size()), value);
  }
  const std::string text = recipe_text(settings);
  EXPECT_EQ(read_back(text), settings);
  EXPECT_EQ(read_back("\xEF\xBB\xBF" + text), settings);
  EXPECT_EQ(read_back("# by an editor\r\n" + text), settings);
}

/// All settings that a study has, through the file that it keeps.
TEST(Recipe, EverySettingReadsBackThroughAFile) {
  const ScratchFolder scratch;
  for (const std::string value : {"job #7 ", "#\"\\\n\xEF\xBB\xBF", "\xFFplain", ""}) {
    RunConfig written, read;
    StudyOptions study_written, study_read;
    SettingTable table, other;
    table.add_section("study", study_written);
    add_settings(table, written);
    other.add_section("study", study_read);
    add_settings(other, read);
    written.run.folder = written.data_folder = study_written.folder = value;
    written.student_init = value;
    study_written.bits = {};
    written.model.dropout = {0.25, 1e-300};
    replace_file(scratch / "recipe.cfg", recipe_text(table.values()));
    other.read({"--config", scratch / "recipe.cfg"});
    read.recipe.clear();
    ASSERT_EQ(other.values(), table.values()) << value;
  }
}

TEST(Recipe, IsWrittenForPeople) {
  EXPECT_EQ(recipe_text({{"config", "x"},
                         {"resume", "true"},
                         {"dry-run", "true"},
                         {"train.rate", "0.05"},
                         {"model.widths", ""},
                         {"run.folder", "runs/job#7"},
                         {"data.folder", " my \"shards\" #2\x1B\n"}}),
            "train.rate = 0.05\nmodel.widths =\nrun.folder = runs/job#7\n"
            "data.folder = \" my \\\"shards\\\" #2\\x1b\\n\"\n");
}

TEST(Recipe, CommentsStandBehindBlanks) {
  const Settings expected = {{"a.b", "job#7"}, {"a.c", ""}, {"a.d", "x # y"}, {"e.f", "1"}};
  EXPECT_EQ(read_back("# comment\n"
                      "  [a]  # of a\r\n"
                      "b =job#7 # behind\n"
                      "c = # nothing\n"
                      "\td\t=\t\"x # y\"\t# behind\n"
                      "[ e ]\n"
                      "f=1"),
            expected);
}

TEST(Recipe, NamesTheLineOfADefect) {
  const auto refusal = [](std::string_view text) -> std::string {
    try {
      parse_recipe(text, "my.cfg");
    } catch (const Error& error) {
      EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(ExitCode::settings));
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal("a = 1\nrate 0.1\n"),
            "my.cfg:2: \"rate 0.1\" is no setting; give name = value");
  EXPECT_EQ(refusal("\na = \"x\n"), "my.cfg:2: the closing \" is missing");
  EXPECT_EQ(refusal("a = \"x\" y"), "my.cfg:1: text behind the closing \"");
  for (const char* escape : {"\\q", "\\x1", "\\xzz", "\\x-1", "\\x00", "\\"}) {
    EXPECT_NE(refusal(std::string("a = \"") + escape).find("my.cfg:1: an escape"),
              std::string::npos)
        << escape;
  }
  for (const char* section : {"[a", "[]", "[", "[ ] # x"}) {
    EXPECT_EQ(refusal(section), "my.cfg:1: a section is written [name]") << section;
  }
  EXPECT_NE(refusal("\xFF\xFE"
                    "a")
                .find("UTF-16"),
            std::string::npos);
  EXPECT_EQ(refusal(std::string_view("a = 1\0", 6)), "my.cfg:1: holds a NUL character");
}

}  // namespace
}  // namespace bitstill
