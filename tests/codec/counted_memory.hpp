// The test program's operator new, counted: how much memory a piece of code held at its peak.
#pragma once

#include <cstddef>

namespace bitstill {

/// Of the whole process, from its construction on; one at a time.
class PeakMemory {
 public:
  PeakMemory();
  std::size_t bytes() const;  // above what was held at construction

 private:
  std::size_t before_;
};

}  // namespace bitstill
