#include "bitstill/report/markup.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "bitstill/base/text.hpp"

namespace bitstill {

std::string escape_html(const std::string& text) {
  std::string safe;
  safe.reserve(text.size());
  for (const char c : visible(text)) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::string shorten(const std::string& text, std::size_t most) {
  std::vector<std::size_t> begins;  // of each character
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) begins.push_back(i);
  }
  if (begins.size() <= most) return text;
  const std::size_t end = (most - 1) / 3;
  return concat(text.substr(0, begins[most - 1 - end]), "…",
                end > 0 ? text.substr(begins[begins.size() - end]) : "");
}

std::string fixed(double value, int decimals) {
  if (!std::isfinite(value)) return "-";
  char text[400];  // the largest double has 309 digits
  std::snprintf(text, sizeof text, "%.*f", decimals, value);
  const std::string number = text;  // what rounds to zero has no sign
  return number.find_first_of("123456789") == std::string::npos && value < 0 ? number.substr(1)
                                                                             : number;
}

std::string signed_points(const Interval& interval, int decimals) {
  const std::string zero = fixed(0, decimals);
  const auto with_sign = [&](double value) {
    const std::string text = fixed(value, decimals);
    return value > 0 && text != zero ? "+" + text : text;
  };
  if (!std::isfinite(interval.low)) return with_sign(interval.mean);
  return concat(with_sign(interval.mean), " (", with_sign(interval.low), " to ",
                with_sign(interval.high), ")");
}

std::string compact(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  static const struct {
    double size;
    const char* letter;
  } kUnits[] = {{1e9, "G"}, {1e6, "M"}, {1e3, "k"}};
  const double size = std::abs(value);
  char text[64];
  for (const auto& unit : kUnits) {
    if (size < unit.size * 0.9995 || size >= 1e12) continue;
    std::snprintf(text, sizeof text, "%.*g%s", digits, value / unit.size, unit.letter);
    return text;
  }
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return text;
}

std::vector<std::string> tick_labels(const std::vector<double>& ticks) {
  std::vector<std::string> labels;
  for (int digits = 3; digits <= 16; ++digits) {
    labels.clear();
    for (const double tick : ticks) labels.push_back(compact(tick, digits));
    if (std::adjacent_find(labels.begin(), labels.end()) == labels.end()) break;
  }
  return labels;
}

std::string grouped(double value) {
  std::string digits = fixed(value, 0);
  for (std::ptrdiff_t i = static_cast<std::ptrdiff_t>(digits.size()) - 3; i > 0; i -= 3) {
    if (digits[i - 1] != '-') digits.insert(i, ",");
  }
  return digits;
}

std::string with_unit(const std::string& number, const std::string& unit) {
  return number == "-" ? number : number + unit;
}

std::string bytes_text(double bytes) {
  return std::isfinite(bytes) ? human_bytes(bytes) : "-";
}

}  // namespace bitstill
