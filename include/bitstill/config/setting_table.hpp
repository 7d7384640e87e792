// Named settings bound to variables, read from the command line and from a recipe file alike.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "bitstill/base/words.hpp"

namespace bitstill {

/// An enum that is written as a word; which enum only the functions know.
class WordTarget {
 public:
  template <Worded Enum>
  WordTarget(Enum* target)  // NOLINT(google-explicit-constructor): beside the plain pointers
      : target_(target),
        has_(has_word<Enum>),
        set_(set<Enum>),
        text_(text<Enum>),
        words_(explained_words<Enum>()) {}

  bool has(const std::string& word) const { return has_(word); }
  /// Error(settings) naming the setting and the words.
  void set(const std::string& name, const std::string& text) const { set_(target_, name, text); }
  std::string text() const { return text_(target_); }
  const std::string& words() const { return words_; }  // with what they mean

 private:
  template <class Enum>
  static void set(void* target, const std::string& name, const std::string& text) {
    *static_cast<Enum*>(target) = from_word<Enum>(text, name);
  }
  template <class Enum>
  static const char* text(const void* target) {
    return word(*static_cast<const Enum*>(target));
  }

  void* target_;
  bool (*has_)(const std::string& word);
  void (*set_)(void* target, const std::string& name, const std::string& text);
  const char* (*text_)(const void* target);
  std::string words_;
};

/// Where a setting's value goes. Lists are written "1,2,3"; an empty text is an empty list.
using SettingTarget = std::variant<std::string*, int64_t*, double*, bool*, std::vector<int64_t>*,
                                   std::vector<double>*, std::vector<float>*, WordTarget>;

/// The settings one command knows. The targets outlive the table; their values at registration are
/// the defaults.
class SettingTable {
 public:
  /// help: without an enum's words, which stand before it.
  void add(const std::string& name, const SettingTarget& target, const std::string& help);
  /// "SECTION.NAME" for each of the struct's visit_settings, or "NAME" without a section.
  template <class Options>
  void add_section(const std::string& section, Options& options) {
    visit_settings(options, [&](const char* name, auto& member, const std::string& help) {
      add(section.empty() ? name : section + "." + name, &member, help);
    });
  }
  /// Words without a name, for example the runs of `bitstill report RUN...`.
  void take_words(std::vector<std::string>* target, const std::string& help);

  /// Reads `--name value`, `--name=value` (a bare `--name` turns a bool on) and, where the table
  /// has "config", the recipe it names (config/recipe.hpp). The command line wins. Error(settings)
  /// names an unknown key and the nearest known one, a key given twice in the recipe, and a value
  /// of the wrong type.
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
  /// Whether its name may stand bare, and then whether the word behind it is its value.
  static bool takes(const Setting& setting, const std::string& word);
  const Setting& find(const std::string& name, const std::string& where) const;
  /// "--name" of a bool, or of an enum that has the word "true", becomes "--name=true", and "--name
  /// false" "--name=false": Boost cannot tell whether the word behind such a setting belongs to it.
  std::vector<std::string> with_bools_written_out(const std::vector<std::string>& arguments) const;
  void read_recipe(const std::string& path, const std::vector<std::string>& overridden);

  std::vector<Setting> settings_;
  std::vector<std::string>* words_ = nullptr;
  std::string words_help_;
};

}  // namespace bitstill
