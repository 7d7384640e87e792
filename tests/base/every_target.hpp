// For tests of SIMD kernels: all instruction sets of this machine, not only the best.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdint>

namespace bitstill {

/// Calls check() once for each instruction set that Highway compiled for and the processor has.
template <class Check>
void on_every_target(const Check& check) {
  for (int64_t rest = hwy::SupportedTargets(); rest != 0; rest &= rest - 1) {
    const int64_t target = rest & -rest;
    if ((target & HWY_TARGETS) == 0) continue;
    hwy::SetSupportedTargetsForTest(target);
    SCOPED_TRACE(hwy::TargetName(target));
    check();
    hwy::SetSupportedTargetsForTest(0);
  }
}

}  // namespace bitstill
