// Recipe files: what is written reads back, whatever a value holds.
//
//   # a comment, also behind a blank on any line
//   [train]                      what follows is train.NAME
//   rate = 0.05
//   [run]
//   folder = runs/job#7          no comment: no blank before the #
//   folder = "  odd # \" \\ \n"  quoted; also \t, \r and \xHH
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bitstill {

constexpr uint64_t kMostRecipeBytes = 1 << 20;

struct RecipeLine {
  std::string name, value;
  std::string place;  // "recipe.cfg:7"
};

/// The settings of a recipe's text in UTF-8, with or without a byte-order mark, lines ended either
/// way. Error(settings) names `path`, the line and what is wrong with it.
std::vector<RecipeLine> parse_recipe(std::string_view text, const std::string& path);

/// Settings of a single call, which no recipe keeps: config, resume, overwrite, dry-run, no-verify.
bool of_one_call(const std::string& setting);

/// Settings as the lines of a recipe, without those of a single call.
/// Values hold no zero bytes.
std::string recipe_text(const std::vector<std::pair<std::string, std::string>>& settings);

}  // namespace bitstill
