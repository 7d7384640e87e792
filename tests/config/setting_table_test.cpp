#include "bitstill/config/setting_table.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "../base/scratch_folder.hpp"
#include "bitstill/base/error.hpp"
#include "bitstill/config/recipe.hpp"
#include "bitstill/config/run_config.hpp"
#include "bitstill/train/options.hpp"

namespace bitstill {
namespace {

/// A table with a setting of every type.
struct Fixture {
  std::string recipe;
  Optimizer kind = Optimizer::sgd;
  int64_t epochs = 12;
  double rate = 0.05;
  bool flip = false, nesterov = true;
  std::vector<int64_t> widths;
  std::vector<double> dropout = {0.5};
  SettingTable table;

  Fixture() {
    table.add("config", &recipe, "recipe");
    table.add("train.optimizer", &kind, "how");
    table.add("train.epochs", &epochs, "how many");
    table.add("train.rate", &rate, "learning rate");
    table.add("data.flip", &flip, "mirror");
    table.add("train.nesterov", &nesterov, "momentum");
    table.add("model.widths", &widths, "channels");
    table.add("model.dropout", &dropout, "rates");
  }
};

/// The message of the one Error(settings) that reading these gives.
std::string refusal(Fixture& fixture, const std::vector<std::string>& arguments) {
  try {
    fixture.table.read(arguments);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::settings) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << arguments.back() << " was accepted";
  return "";
}

std::string refusal(const std::vector<std::string>& arguments) {
  Fixture fixture;
  return refusal(fixture, arguments);
}

testing::AssertionResult holds(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "\"" << text << "\" does not hold \"" << part << "\"";
}

std::string write_recipe(const ScratchFolder& folder, const std::string& text) {
  const std::string path = folder / "recipe.cfg";
  std::ofstream(path) << text;
  return path;
}

TEST(SettingTable, ReadsEveryTypeInBothSpellings) {
  Fixture f;
  f.table.read({"--train.optimizer", "adam", "--train.epochs=-3", "--train.rate", "-1.5e-3",
                "--model.widths", "6, 12,24", "--model.dropout=0,0.25", "--data.flip"});
  EXPECT_EQ(f.kind, Optimizer::adam);
  EXPECT_EQ(f.epochs, -3);
  EXPECT_EQ(f.rate, -1.5e-3);
  EXPECT_EQ(f.widths, (std::vector<int64_t>{6, 12, 24}));
  EXPECT_EQ(f.dropout, (std::vector<double>{0, 0.25}));
  EXPECT_TRUE(f.flip);
  f.table.read({"--train.epochs", "-7", "--model.dropout", ""});
  EXPECT_EQ(f.epochs, -7);
  EXPECT_TRUE(f.dropout.empty());
}

TEST(SettingTable, BoolsStandBareOrWithAWord) {
  for (const char* yes : {"true", "on", "yes", "1"}) {
    Fixture f;
    f.table.read({"--data.flip", yes, "--train.epochs", "5"});
    EXPECT_TRUE(f.flip) << yes;
    EXPECT_EQ(f.epochs, 5);
  }
  for (const char* no : {"false", "off", "no", "0"}) {
    Fixture one, two;
    one.table.read({"--train.nesterov", no});
    two.table.read({std::string("--train.nesterov=") + no, "--data.flip"});
    EXPECT_FALSE(one.nesterov) << no;
    EXPECT_FALSE(two.nesterov) << no;
    EXPECT_TRUE(two.flip);
  }
  Fixture f;
  std::vector<std::string> words;
  f.table.take_words(&words, "RUN...");
  f.table.read({"--data.flip", "runs/one"});  // a word of its own
  EXPECT_TRUE(f.flip);
  EXPECT_EQ(words, std::vector<std::string>{"runs/one"});
  EXPECT_TRUE(holds(refusal({"--data.flip=perhaps"}), "data.flip = perhaps"));
}

TEST(SettingTable, AnEnumThatHasTrueStandsBareOrWithAWord) {
  const auto read = [](const std::vector<std::string>& arguments) {
    Resume resume = Resume::no;
    int64_t epochs = 0;
    SettingTable table;
    table.add("resume", &resume, "");
    table.add("train.epochs", &epochs, "");
    table.read(arguments);
    return resume;
  };
  EXPECT_EQ(read({}), Resume::no);
  EXPECT_EQ(read({"--resume"}), Resume::yes);
  EXPECT_EQ(read({"--resume", "--train.epochs", "3"}), Resume::yes);
  EXPECT_EQ(read({"--resume=auto"}), Resume::automatic);
  EXPECT_EQ(read({"--resume", "auto"}), Resume::automatic);
  EXPECT_EQ(read({"--resume=false"}), Resume::no);
  EXPECT_THROW(read({"--resume=perhaps"}), Error);
}

TEST(SettingTable, NamesTheNearestOfAnUnknownKey) {
  EXPECT_TRUE(holds(refusal({"--train.epoch", "3"}), "did you mean train.epochs?"));
  EXPECT_TRUE(holds(refusal({"--train.epoch", "3"}), "train.epoch on the command line"));
  EXPECT_TRUE(holds(refusal({"--no.such.key", "3"}), "unknown setting no.such.key"));
  EXPECT_TRUE(holds(refusal({"--train.ep", "3"}), "unknown setting train.ep"));  // no guessing
}

TEST(SettingTable, NamesAValueOfTheWrongType) {
  for (const char* bad : {"3.5", "x", "3x", "", "99999999999999999999", "0x10"}) {
    EXPECT_TRUE(holds(refusal({std::string("--train.epochs=") + bad}), "train.epochs")) << bad;
    Fixture f;
    EXPECT_TRUE(holds(refusal(f, {"--train.epochs", bad}), "train.epochs")) << bad;
    EXPECT_EQ(f.epochs, 12);
  }
  for (const char* bad : {"nan", "inf", "1e999", "1,5", "0.1.2"}) {
    EXPECT_TRUE(holds(refusal({"--train.rate", bad}), "train.rate = ")) << bad;
  }
  for (const char* bad : {"1,x", "1,,2", ",", "1.5", "1;2"}) {
    EXPECT_TRUE(holds(refusal({"--model.widths", bad}), "model.widths = ")) << bad;
  }
  EXPECT_TRUE(holds(refusal({"--train.epochs"}), "train.epochs"));  // no value
}

TEST(SettingTable, NamesTheWordsOfAnEnum) {
  Fixture f;
  EXPECT_EQ(
      refusal(f, {"--train.optimizer", "adamww"}),
      "train.optimizer = adamww: give one of sgd, adam, adamw, lars and lamb; did you mean adamw?");
  EXPECT_EQ(f.kind, Optimizer::sgd);
  const ScratchFolder folder;
  const std::string path = write_recipe(folder, "[train]\noptimizer = SGD\n");
  EXPECT_TRUE(holds(refusal({"--config", path}), "train.optimizer = SGD: give one of sgd"));
  EXPECT_THROW(f.table.set("train.optimizer", ""), Error);
}

TEST(SettingTable, WordsGoWhereTheyAreWanted) {
  EXPECT_TRUE(holds(refusal({"runs/one"}), "unexpected word \"runs/one\""));
  EXPECT_TRUE(holds(refusal({"-x"}), "-x"));
  Fixture f;
  std::vector<std::string> words;
  f.table.take_words(&words, "RUN...    run folders");
  f.table.read({"a", "--train.epochs", "4", "b", "c"});
  EXPECT_EQ(words, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(holds(f.table.help(), "RUN...    run folders"));
}

TEST(SettingTable, ReadsARecipeAndTheCommandLineWins) {
  const ScratchFolder folder;
  const std::string path = write_recipe(folder,
                                        "# a comment\n\n"
                                        "train.rate = 0.25   # behind a value\n"
                                        "[model]\n"
                                        "widths = 6,12\n"
                                        "dropout =\n"
                                        "[train]\n"
                                        "epochs = 30\n"
                                        "nesterov = off\n"
                                        "[data]\n"
                                        "flip = yes\n");
  for (const bool recipe_first : {true, false}) {
    Fixture f;
    if (recipe_first) f.table.read({"--config", path, "--train.epochs", "5"});
    if (!recipe_first) f.table.read({"--train.epochs", "5", "--config=" + path});
    EXPECT_EQ(f.rate, 0.25);
    EXPECT_EQ(f.widths, (std::vector<int64_t>{6, 12}));
    EXPECT_TRUE(f.dropout.empty());
    EXPECT_EQ(f.epochs, 5);
    EXPECT_FALSE(f.nesterov);
    EXPECT_TRUE(f.flip);
    EXPECT_EQ(f.kind, Optimizer::sgd);
  }
}

TEST(SettingTable, RefusesABadRecipe) {
  const ScratchFolder folder;
  const auto refuse = [&](const std::string& text) {
    const std::string path = write_recipe(folder, text);
    const std::string message = refusal({"--config", path});
    return message;
  };
  EXPECT_TRUE(holds(refuse("train.epoch = 3\n"), "did you mean train.epochs?"));
  EXPECT_TRUE(holds(refuse("train.epoch = 3\n"), "recipe.cfg"));
  EXPECT_TRUE(holds(refuse("train.epochs = 3\ntrain.epochs = 3\n"), "train.epochs stands twice"));
  EXPECT_TRUE(holds(refuse("train.epochs = 3\n[train]\nepochs = 4\n"), "stands twice"));
  EXPECT_TRUE(holds(refuse("train.epochs = many\n"), "train.epochs = many"));
  EXPECT_TRUE(holds(refuse("data.flip =\n"), "data.flip"));
  EXPECT_TRUE(holds(refuse("train.epochs\n"), "recipe.cfg"));
  EXPECT_TRUE(holds(refuse("[train\nepochs = 3\n"), "recipe.cfg"));
  EXPECT_TRUE(holds(refuse(std::string("\0\xff\x01 junk", 8)), "recipe.cfg"));
  EXPECT_TRUE(holds(refusal({"--config", folder / "none.cfg"}), "none.cfg"));
  EXPECT_TRUE(holds(refusal({"--config", folder.path()}), folder.path()));
  EXPECT_TRUE(holds(refuse("train.rate = 1\n\xEF\xBB\xBFtrain.epochs = 3\n"),
                    "unknown setting \\ufefftrain.epochs in"));
  EXPECT_TRUE(holds(refuse(std::string(kMostRecipeBytes + 1, '#')), "more than the 1.0 MB"));
  EXPECT_TRUE(holds(refusal({"--config", "/dev/zero"}), "/dev/zero: is a device"));
}

TEST(SettingTable, SetsOneAsARecipeWould) {
  Fixture f;
  f.table.set("train.epochs", "7");
  f.table.set("model.widths", "3,4");
  EXPECT_EQ(f.epochs, 7);
  EXPECT_EQ(f.widths, (std::vector<int64_t>{3, 4}));
  EXPECT_THROW(f.table.set("train.epochs", "many"), Error);
  EXPECT_THROW(f.table.set("train.epoch", "7"), Error);
}

TEST(SettingTable, HelpShowsTheDefaultsAndValuesTheState) {
  Fixture f;
  f.table.read({"--train.rate", "0.1", "--model.widths", "3,4"});
  const std::string help = f.table.help();
  for (const char* part : {"--train.epochs", "how many [12]", "learning rate [0.05]",
                           "mirror [false]", "momentum [true]", "rates [0.5]",
                           "sgd | adam | adamw | lars (", "): how [sgd]", "channels\n"}) {
    EXPECT_TRUE(holds(help, part));
  }
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"config", ""},          {"train.optimizer", "sgd"}, {"train.epochs", "12"},
      {"train.rate", "0.1"},   {"data.flip", "false"},     {"train.nesterov", "true"},
      {"model.widths", "3,4"}, {"model.dropout", "0.5"}};
  EXPECT_EQ(f.table.values(), expected);
}

}  // namespace
}  // namespace bitstill
