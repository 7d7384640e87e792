// Text that may stand in HTML and SVG, and numbers as people read them.
#pragma once

#include <string>
#include <vector>

namespace bitstill {

/// & < > " ' escaped and control characters blanked: safe as text and as a quoted attribute.
std::string escape_html(const std::string& text);

/// Control characters as "?": a folder's name may hold anything, and a terminal must not act on it.
std::string printable(std::string text);

/// Rows of as many cells each, in columns for a terminal: the first `text_columns` stand left, the
/// others right.
std::string text_table(std::vector<std::vector<std::string>> rows, std::size_t text_columns);

/// The same rows for Markdown; the first are the columns' names.
std::string markdown_table(const std::vector<std::vector<std::string>>& rows,
                           std::size_t text_columns);

/// At most `most` characters of UTF-8, the last an ellipsis where something was cut.
std::string shorten(const std::string& text, std::size_t most);

/// `decimals` places; "-" for NaN.
std::string fixed(double value, int decimals);

/// At most `digits` significant digits with k, M, G or a power of ten: "0.05", "1.23k", "5e-05".
std::string compact(double value, int digits = 3);

/// `compact` with as many digits as it takes to tell neighbours apart.
std::vector<std::string> tick_labels(const std::vector<double>& ticks);

/// Whole number with thin groups of thousands: "15,190"; "-" for NaN.
std::string grouped(double value);

/// "12.3 kB"; "-" for NaN.
std::string bytes_text(double bytes);

}  // namespace bitstill
