#include "bitstill/config/setting_table.hpp"

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>

#include "bitstill/base/error.hpp"
#include "bitstill/base/file.hpp"
#include "bitstill/base/text.hpp"
#include "bitstill/config/recipe.hpp"

namespace bitstill {
namespace {

namespace po = boost::program_options;

template <class Number>
Number parse_number(const std::string& name, const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() ||
      !std::isfinite(static_cast<double>(value))) {
    const char* wanted = std::is_integral_v<Number> ? "a whole number" : "a number";
    throw Error(ExitCode::settings, concat(name, " = ", text, ": give ", wanted));
  }
  return value;
}

template <class Number>
std::vector<Number> parse_list(const std::string& name, const std::string& text) {
  std::vector<Number> values;
  std::stringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    item.erase(0, item.find_first_not_of(' '));
    item.erase(item.find_last_not_of(' ') + 1);
    values.push_back(parse_number<Number>(name, item));
  }
  return values;
}

std::optional<bool> as_bool(const std::string& text) {
  if (text == "true" || text == "on" || text == "yes" || text == "1") return true;
  if (text == "false" || text == "off" || text == "no" || text == "0") return false;
  return {};
}

bool parse_bool(const std::string& name, const std::string& text) {
  if (const std::optional<bool> value = as_bool(text)) return *value;
  throw Error(ExitCode::settings, concat(name, " = ", text, ": give true or false"));
}

struct Assign {
  const std::string& name;
  const std::string& text;
  void operator()(std::string* target) const { *target = text; }
  void operator()(int64_t* target) const { *target = parse_number<int64_t>(name, text); }
  void operator()(double* target) const { *target = parse_number<double>(name, text); }
  void operator()(bool* target) const { *target = parse_bool(name, text); }
  void operator()(std::vector<int64_t>* target) const { *target = parse_list<int64_t>(name, text); }
  void operator()(std::vector<double>* target) const { *target = parse_list<double>(name, text); }
  void operator()(std::vector<float>* target) const { *target = parse_list<float>(name, text); }
  void operator()(const WordTarget& target) const { target.set(name, text); }
};

template <class Number>
std::string number_text(Number value) {
  char buffer[32];
  const auto result = std::to_chars(buffer, buffer + sizeof buffer, value);
  return {buffer, result.ptr};
}

struct AsText {
  std::string operator()(const std::string* value) const { return *value; }
  std::string operator()(const int64_t* value) const { return std::to_string(*value); }
  std::string operator()(const double* value) const { return number_text(*value); }
  std::string operator()(const float* value) const { return number_text(*value); }
  std::string operator()(const bool* value) const { return *value ? "true" : "false"; }
  std::string operator()(const WordTarget& value) const { return value.text(); }
  template <class Number>
  std::string operator()(const std::vector<Number>* values) const {
    std::string text;
    for (const Number& value : *values) {
      text += (text.empty() ? "" : ",") + (*this)(&value);
    }
    return text;
  }
};

}  // namespace

void SettingTable::add(const std::string& name, const SettingTarget& target,
                       const std::string& help) {
  std::string whole = help;
  if (const auto* word = std::get_if<WordTarget>(&target)) {
    whole = word->words() + (help.empty() ? "" : ": " + help);
  }
  settings_.push_back({name, target, whole, std::visit(AsText{}, target)});
}

void SettingTable::take_words(std::vector<std::string>* target, const std::string& help) {
  words_ = target;
  words_help_ = help;
}

const SettingTable::Setting& SettingTable::find(const std::string& name,
                                                const std::string& where) const {
  std::vector<std::string> known;
  for (const Setting& setting : settings_) {
    if (setting.name == name) return setting;
    known.push_back(setting.name);
  }
  const std::string nearest = nearest_name(name, known);
  const std::string mend = nearest.empty() ? "see --help" : concat("did you mean ", nearest, "?");
  throw Error(ExitCode::settings, concat("unknown setting ", name, " ", where, "; ", mend));
}

bool SettingTable::takes(const Setting& setting, const std::string& word) {
  if (std::holds_alternative<bool*>(setting.target)) return as_bool(word).has_value();
  const auto* words = std::get_if<WordTarget>(&setting.target);
  return words != nullptr && words->has("true") && words->has(word);
}

std::vector<std::string> SettingTable::with_bools_written_out(
    const std::vector<std::string>& arguments) const {
  std::vector<std::string> written;
  const Setting* bare = nullptr;  // the last of `written` is its name
  for (const std::string& argument : arguments) {
    const bool is_value = bare != nullptr && takes(*bare, argument);
    if (bare != nullptr) written.back() += "=" + (is_value ? argument : "true");
    bare = nullptr;
    if (is_value) continue;
    written.push_back(argument);
    for (const Setting& setting : settings_) {
      if (argument == "--" + setting.name && takes(setting, "true")) bare = &setting;
    }
  }
  if (bare != nullptr) written.back() += "=true";
  return written;
}

void SettingTable::read(const std::vector<std::string>& arguments) {
  po::options_description options;
  for (const Setting& setting : settings_) {
    options.add_options()(setting.name.c_str(), po::value<std::string>());
  }
  const auto style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing &
                     ~po::command_line_style::allow_short;
  std::vector<std::string> given;
  std::string recipe;
  try {
    const auto parsed = po::command_line_parser(with_bools_written_out(arguments))
                            .options(options)
                            .style(style)
                            .allow_unregistered()
                            .run();
    for (const auto& option : parsed.options) {
      if (option.string_key.empty() || option.position_key >= 0) {
        if (words_ == nullptr) {
          throw Error(ExitCode::settings, concat("unexpected word \"", option.value.front(),
                                                 "\"; settings are given as --section.key value"));
        }
        words_->insert(words_->end(), option.value.begin(), option.value.end());
        continue;
      }
      const Setting& setting = find(option.string_key, "on the command line");
      const std::string& value = option.value.front();
      std::visit(Assign{setting.name, value}, setting.target);
      given.push_back(setting.name);
      if (setting.name == "config") recipe = value;
    }
  } catch (const po::error& error) {
    throw Error(ExitCode::settings, concat(error.what(), " (command line); see --help"));
  }
  if (!recipe.empty()) read_recipe(recipe, given);
}

void SettingTable::read_recipe(const std::string& path,
                               const std::vector<std::string>& overridden) {
  std::vector<std::string> seen;
  for (const RecipeLine& line :
       parse_recipe(read_file(path, ExitCode::settings, kMostRecipeBytes), path)) {
    const Setting& setting = find(line.name, "in " + line.place);
    if (std::find(seen.begin(), seen.end(), setting.name) != seen.end()) {
      throw Error(ExitCode::settings, concat(setting.name, " stands twice in ", path));
    }
    seen.push_back(setting.name);
    if (std::find(overridden.begin(), overridden.end(), setting.name) == overridden.end()) {
      std::visit(Assign{setting.name, line.value}, setting.target);
    }
  }
}

void SettingTable::set(const std::string& name, const std::string& value) {
  std::visit(Assign{name, value}, find(name, "of this program").target);
}

std::vector<std::pair<std::string, std::string>> SettingTable::values() const {
  std::vector<std::pair<std::string, std::string>> values;
  for (const Setting& setting : settings_) {
    values.emplace_back(setting.name, std::visit(AsText{}, setting.target));
  }
  return values;
}

std::string SettingTable::help() const {
  std::string text;
  if (words_ != nullptr) text += concat("  ", words_help_, "\n");
  for (const Setting& setting : settings_) {
    std::string line = "  --" + setting.name;
    line.resize(std::max<std::size_t>(line.size() + 1, 30), ' ');
    text += line + setting.help;
    if (!setting.initial.empty()) text += " [" + setting.initial + "]";
    text += '\n';
  }
  return text;
}

}  // namespace bitstill
