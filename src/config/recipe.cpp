#include "bitstill/config/recipe.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "bitstill/base/error.hpp"
#include "bitstill/base/text.hpp"

namespace bitstill {
namespace {

constexpr std::string_view kBlanks = " \t\r\v\f";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
/// What stands behind a backslash for which character.
constexpr std::pair<char, char> kEscapes[] = {
    {'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'"', '"'}, {'\\', '\\'}};

std::string_view trimmed(std::string_view text) {
  const auto begin = std::min(text.find_first_not_of(kBlanks), text.size());
  return text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

bool is_control(char c) {
  return std::iscntrl(static_cast<unsigned char>(c)) != 0;
}

std::string_view without_comment(std::string_view text) {
  for (std::size_t at = 0; (at = text.find('#', at)) != std::string_view::npos; ++at) {
    if (at == 0 || kBlanks.find(text[at - 1]) != std::string_view::npos) return text.substr(0, at);
  }
  return text;
}

[[noreturn]] void refuse(const std::string& place, const std::string& what) {
  throw Error(ExitCode::settings, concat(place, ": ", what));
}

/// The character of the escape at the front of `text`, which loses it.
char take_escape(std::string_view* text, const std::string& place) {
  const char letter = text->size() > 1 ? (*text)[1] : '\0';
  for (const auto& [name, character] : kEscapes) {
    if (letter != name) continue;
    text->remove_prefix(2);
    return character;
  }
  int code = 0;
  const char* const digits = text->data() + std::min<std::size_t>(2, text->size());
  const char* const end = text->data() + std::min<std::size_t>(4, text->size());
  if (letter != 'x' || end - digits != 2 || std::from_chars(digits, end, code, 16).ptr != end ||
      code <= 0) {
    refuse(place, R"(an escape that is none; within quotes give \n, \r, \t, \", \\ or \xHH)");
  }
  text->remove_prefix(4);
  return static_cast<char>(code);
}

/// `text` begins with a quote; only a comment may follow the closing one.
std::string unquoted(std::string_view text, const std::string& place) {
  std::string value;
  text.remove_prefix(1);
  while (!text.empty() && text[0] != '"') {
    if (text[0] == '\\') {
      value += take_escape(&text, place);
    } else {
      value += text[0];
      text.remove_prefix(1);
    }
  }
  if (text.empty()) refuse(place, "the closing \" is missing");
  text.remove_prefix(1);
  if (!trimmed(without_comment(text)).empty()) refuse(place, "text behind the closing \"");
  return value;
}

std::string in_quotes(std::string_view value) {
  std::string text = "\"";
  for (const char c : value) {
    const auto* const escape = std::find_if(std::begin(kEscapes), std::end(kEscapes),
                                            [c](const auto& one) { return one.second == c; });
    char code[8];
    std::snprintf(code, sizeof code, "\\x%02x", static_cast<unsigned char>(c));
    if (escape != std::end(kEscapes)) {
      (text += '\\') += escape->first;
    } else if (is_control(c)) {
      text += code;
    } else {
      text += c;
    }
  }
  return text + '"';
}

bool needs_quotes(const std::string& value) {
  return value.starts_with('"') || trimmed(value) != value || without_comment(value) != value ||
         std::any_of(value.begin(), value.end(), is_control);
}

/// "[name]", perhaps with a comment behind it.
std::string section_of(std::string_view line, const std::string& place) {
  const std::string_view head = trimmed(without_comment(line));
  const std::string_view name = trimmed(head.substr(1, std::max<std::size_t>(head.size(), 2) - 2));
  if (!head.ends_with(']') || name.empty()) refuse(place, "a section is written [name]");
  return concat(name, ".");
}

RecipeLine setting_of(std::string_view line, const std::string& section, const std::string& place) {
  const auto equals = line.find('=');
  if (equals == std::string_view::npos) {
    refuse(place, concat("\"", line, "\" is no setting; give name = value"));
  }
  const std::string_view value = trimmed(line.substr(equals + 1));
  return {section + std::string(trimmed(line.substr(0, equals))),
          value.starts_with('"') ? unquoted(value, place)
                                 : std::string(trimmed(without_comment(value))),
          place};
}

}  // namespace

std::vector<RecipeLine> parse_recipe(std::string_view text, const std::string& path) {
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    refuse(path, "is text in UTF-16; save it as UTF-8");
  }
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  std::vector<RecipeLine> lines;
  std::string section;
  std::size_t begin = 0;
  for (int number = 1; begin < text.size(); ++number) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = trimmed(text.substr(begin, end - begin));
    const std::string place = concat(path, ":", number);
    begin = end + 1;
    if (line.find('\0') != std::string_view::npos) refuse(place, "holds a NUL character");
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '[') {
      section = section_of(line, place);
    } else {
      lines.push_back(setting_of(line, section, place));
    }
  }
  return lines;
}

bool of_one_call(const std::string& setting) {
  return setting == "config" || setting == "resume" || setting == "overwrite" ||
         setting == "dry-run" || setting == "no-verify" || setting == "debug.inject";
}

std::string recipe_text(const std::vector<std::pair<std::string, std::string>>& settings) {
  std::string text;
  for (const auto& [name, value] : settings) {
    if (of_one_call(name)) continue;
    text += concat(name, value.empty() ? " =" : " = ",
                   needs_quotes(value) ? in_quotes(value) : value, "\n");
  }
  return text;
}

}  // namespace bitstill
