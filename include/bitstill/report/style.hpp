// The page's frame and style sheet: all colours, light and dark, how the figures' classes look.
#pragma once

#include <string>

namespace bitstill {

/// A self-contained page; `title` is plain text, `body` HTML.
std::string whole_page(const std::string& title, const std::string& body);

/// The colour of the i-th run; of a phase of a step; of a kind of traffic.
std::string run_color(std::size_t i);
std::string phase_color(const std::string& phase);
std::string traffic_color(const std::string& kind);

}  // namespace bitstill
