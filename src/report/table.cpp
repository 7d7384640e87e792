#include "bitstill/base/text.hpp"
#include "bitstill/report/markup.hpp"
#include "bitstill/report/report.hpp"
#include "bitstill/report/summary.hpp"

namespace bitstill {

std::string report_table(const std::vector<Run>& runs) {
  if (runs.empty()) return "no runs\n";
  const std::vector<Summary> summaries = summarize(runs);
  std::string text = text_table(summary_rows(summaries), kSummaryTextColumns);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (const std::string& note : runs[i].notes) {
      text += message_line(concat("note: ", summaries[i].label, ": ", note)) + "\n";
    }
  }
  return text;
}

}  // namespace bitstill
