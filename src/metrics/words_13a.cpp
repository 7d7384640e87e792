// mteval-v13a.pl's words. Its rules look at ASCII alone, so that bytes can stand for characters.
#include <utility>

#include "bitstill/base/utf8.hpp"
#include "bitstill/metrics/bleu.hpp"

namespace bitstill {
namespace {

std::string replaced(const std::string& text, std::string_view what, std::string_view by) {
  std::string out;
  for (std::size_t at = 0;;) {
    const std::size_t found = text.find(what, at);
    out.append(text, at, found - at);
    if (found == std::string::npos) return out;
    out += by;
    at = found + what.size();
  }
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_point(char c) {
  return c == '.' || c == ',';
}

/// Punctuation and symbols of ASCII, apart from ' , - and the point; and the space.
bool stands_alone(char c) {
  const auto within = [c](char low, char high) { return c >= low && c <= high; };
  return within('{', '~') || within('[', '`') || within(' ', '&') || within('(', '+') ||
         within(':', '@') || c == '/';
}

std::string with_symbols_apart(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (stands_alone(c)) {
      out += {' ', c, ' '};
    } else {
      out += c;
    }
  }
  return out;
}

/// Where two neighbours are a `first` and a `second`, puts `before`, `between` and `after` around
/// them; from the left, none twice.
template <class First, class Second>
std::string with_pairs_apart(const std::string& text, First first, Second second,
                             std::string_view before, std::string_view after) {
  std::string out;
  std::size_t i = 0;
  for (; i + 1 < text.size(); ++i) {
    if (!first(text[i]) || !second(text[i + 1])) {
      out += text[i];
      continue;
    }
    out += before;
    out += text[i];
    out += ' ';
    out += text[++i];
    out += after;
  }
  if (i < text.size()) out += text[i];
  return out;
}

}  // namespace

std::vector<std::string> words_13a(std::string_view line) {
  std::string text = replaced(std::string(line), "<skipped>", "");
  text = replaced(replaced(text, "-\n", ""), "\n", " ");
  for (const auto& [entity, character] :
       {std::pair{"&quot;", "\""}, {"&amp;", "&"}, {"&lt;", "<"}, {"&gt;", ">"}}) {
    text = replaced(text, entity, character);
  }
  const auto no_digit = [](char c) { return !is_digit(c); };
  text = with_symbols_apart(" " + text + " ");
  text = with_pairs_apart(text, no_digit, is_point, "", " ");
  text = with_pairs_apart(text, is_point, no_digit, " ", "");
  text = with_pairs_apart(
      text, is_digit, [](char c) { return c == '-'; }, "", " ");
  const std::vector<std::string_view> words = split_words(text);
  return {words.begin(), words.end()};
}

}  // namespace bitstill
