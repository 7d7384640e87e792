// Enums that settings and files hold as words: one table an enum, for all that reads or writes
// them.
#pragma once

#include <ostream>
#include <string>
#include <type_traits>
#include <vector>

namespace bitstill {

/// A value's word, and for --help what it means where the word alone does not say.
template <class Enum>
struct Word {
  Enum value;
  const char* name;
  const char* about = "";
};

/// Specialized beside each such enum: `static constexpr Word<Enum> kTable[]` has all its values, in
/// the order of help and messages.
template <class Enum>
struct WordsOf;

template <class Enum>
concept Worded = std::is_enum_v<Enum> && requires {
  WordsOf<Enum>::kTable[0].name;
};

/// A struct of options or the same one const: what a visit_settings(options, visit) of it takes.
template <class Given, class Options>
concept ConstOr = std::is_same_v<std::remove_const_t<Given>, Options>;

/// Throws Error(settings): "NAME = TEXT: give one of ...", and the nearest of them.
[[noreturn]] void refuse_word(const std::string& name, const std::string& text,
                              const std::vector<std::string>& words);

template <Worded Enum>
constexpr const char* word(Enum value) {
  for (const auto& entry : WordsOf<Enum>::kTable) {
    if (entry.value == value) return entry.name;
  }
  return "";  // no value of the enum
}

template <Worded Enum>
std::ostream& operator<<(std::ostream& out, Enum value) {
  return out << word(value);
}

template <Worded Enum>
std::vector<std::string> words_of() {
  std::vector<std::string> names;
  for (const auto& entry : WordsOf<Enum>::kTable) names.emplace_back(entry.name);
  return names;
}

template <Worded Enum>
bool has_word(const std::string& text) {
  for (const auto& entry : WordsOf<Enum>::kTable) {
    if (text == entry.name) return true;
  }
  return false;
}

/// The value of a word; Error(settings) names `setting` and the words there are.
template <Worded Enum>
Enum from_word(const std::string& text, const std::string& setting) {
  for (const auto& entry : WordsOf<Enum>::kTable) {
    if (text == entry.name) return entry.value;
  }
  refuse_word(setting, text, words_of<Enum>());
}

/// "sgd | adam (no momentum)": the words with what they mean.
template <Worded Enum>
std::string explained_words() {
  std::string text;
  for (const auto& entry : WordsOf<Enum>::kTable) {
    text += text.empty() ? "" : " | ";
    text += entry.name;
    if (*entry.about != '\0') text += std::string(" (") + entry.about + ")";
  }
  return text;
}

}  // namespace bitstill
