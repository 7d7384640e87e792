// Named settings bound to variables, read from the command line and from a recipe file alike.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace bitstill {

/// Where a setting's value goes. Lists are written "1,2,3"; an empty text is an empty list.
using SettingTarget = std::variant<std::string*, int64_t*, double*, bool*, std::vector<int64_t>*,
                                   std::vector<double>*, std::vector<float>*>;

/// The settings one command knows. The targets outlive the table; their values at registration are
/// the defaults.
class SettingTable {
 public:
  void add(const std::string& name, SettingTarget target, const std::string& help);
  /// Words without a name, for example the runs of `bitstill report RUN...`.
  void take_words(std::vector<std::string>* target, const std::string& help);

  /// Reads `--name value`, `--name=value` (a bare `--name` turns a bool on) and, where the table
  /// has "config", the recipe it names: `name = value` lines, `[section]` heads, `#` comments. The
  /// command line wins. Error(settings) names an unknown key and the nearest known one, a key given
  /// twice in the recipe, and a value of the wrong type.
  void read(const std::vector<std::string>& arguments);

  /// Sets one, as a line of a recipe would. Error(settings).
  void set(const std::string& name, const std::string& value);

  /// All settings with their present values as text, in order of registration.
  std::vector<std::pair<std::string, std::string>> values() const;
  /// One line a setting, for --help.
  std::string help() const;

 private:
  struct Setting {
    std::string name;
    SettingTarget target;
    std::string help, initial;
  };
  const Setting& find(const std::string& name, const std::string& where) const;
  /// "--name" of a bool becomes "--name=true", and "--name false" "--name=false": Boost cannot tell
  /// whether the word behind such a setting belongs to it.
  std::vector<std::string> with_bools_written_out(const std::vector<std::string>& arguments) const;
  void read_recipe(const std::string& path, const std::vector<std::string>& overridden);

  std::vector<Setting> settings_;
  std::vector<std::string>* words_ = nullptr;
  std::string words_help_;
};

}  // namespace bitstill
