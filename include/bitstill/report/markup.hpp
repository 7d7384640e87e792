// Text that may stand in HTML, SVG and a terminal, tables for each, and numbers as people read
// them.
#pragma once

#include <string>
#include <vector>

#include "bitstill/base/json.hpp"
#include "bitstill/metrics/intervals.hpp"

namespace bitstill {

using Cells = std::vector<std::string>;

/// Made visible() (base/text.hpp), and & < > " ' escaped: safe as text and as a quoted attribute.
std::string escape_html(const std::string& text);

/// Takes away the columns from `first` on that hold nothing but "-" below their names.
void drop_empty_columns(std::vector<Cells>& rows, std::size_t first);

/// Rows of as many cells each, in columns for a terminal: the first `text_columns` stand left, the
/// others right.
std::string text_table(std::vector<Cells> rows, std::size_t text_columns);

/// The same rows for Markdown; the first are the columns' names.
std::string markdown_table(const std::vector<Cells>& rows, std::size_t text_columns);

/// A list of flat objects with the same keys as comma-separated values (RFC 4180): a line of names,
/// then texts as they are, numbers with all their digits, nothing for null.
std::string csv_table(const Json& objects);

struct TableLook {
  std::string css;                  // class of the <div> around it
  std::vector<std::string> colors;  // of a dot before each row below the head; may be empty
  std::vector<std::string> links;   // of each row's first cell; may be empty
};
/// The same rows as a <table> that scrolls sideways; a "-" becomes a dash. Empty without rows below
/// the head.
std::string html_table(const std::vector<Cells>& rows, std::size_t text_columns,
                       const TableLook& look = {});

/// At most `most` characters of UTF-8: where something was cut, an ellipsis with the beginning
/// before it and the end behind it, since names of runs differ at either.
std::string shorten(const std::string& text, std::size_t most);

/// `decimals` places; "-" for NaN.
std::string fixed(double value, int decimals);

/// "+0.3 (-0.2 to +0.8)"; "-" for NaN.
std::string signed_points(const Interval& interval, int decimals = 1);

/// At most `digits` significant digits with k, M, G or a power of ten: "0.05", "1.23k", "5e-05".
std::string compact(double value, int digits = 3);

/// `compact` with as many digits as it takes to tell neighbours apart.
std::vector<std::string> tick_labels(const std::vector<double>& ticks);

/// Whole number with thin groups of thousands: "15,190"; "-" for NaN.
std::string grouped(double value);

/// The unit behind a number that is none of "-".
std::string with_unit(const std::string& number, const std::string& unit);

/// "12.3 kB"; "-" for NaN.
std::string bytes_text(double bytes);

}  // namespace bitstill
