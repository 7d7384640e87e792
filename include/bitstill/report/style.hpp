// The pages' style sheet: all colours, light and dark, how the figures' classes look.
#pragma once

#include <string>

namespace bitstill {

/// The style sheet.
const char* page_style();

/// The colour of the i-th run; of a phase of a step; of a kind of traffic.
std::string run_color(std::size_t i);
std::string phase_color(const std::string& phase);
std::string traffic_color(const std::string& kind);

}  // namespace bitstill
