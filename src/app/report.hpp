// What `report` and the end of `study` share.
#pragma once

#include <string>

#include "bitstill/report/study.hpp"

namespace bitstill {

/// Writes the page and, beside it, the Markdown table; prints the table as text. Rank 0 only.
void report_study(const Study& study, const std::string& page);

}  // namespace bitstill
