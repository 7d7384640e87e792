#include "bitstill/base/text.hpp"
#include "bitstill/report/columns.hpp"
#include "bitstill/report/report.hpp"
#include "bitstill/report/summary.hpp"

namespace bitstill {
namespace {

constexpr std::size_t kTextColumns = 4;  // the first ones stand left, numbers right

}  // namespace

std::string report_table(const std::vector<Run>& runs) {
  if (runs.empty()) return "no runs\n";
  std::vector<std::vector<std::string>> rows = {summary_columns()};
  const std::vector<Summary> summaries = summarize(runs);
  for (const Summary& summary : summaries) rows.push_back(summary_cells(summary));
  std::string text = aligned(std::move(rows), kTextColumns);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (const std::string& note : runs[i].notes) {
      text += printable(concat("note: ", summaries[i].label, ": ", note)) + "\n";
    }
  }
  return text;
}

}  // namespace bitstill
