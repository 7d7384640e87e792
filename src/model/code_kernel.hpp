// What makes 8-bit codes of bfloat16 values (as bits): a code is the whole number that is nearest
// (halves up), at least 0, at most 255; of NaN 0. Every kernel has a slow twin, NAME_reference.
#pragma once

#include <cstdint>

#include "bitstill/model/norm_kernel.hpp"

namespace bitstill {

/// codes[i] of x[i] by + plus.
void to_codes(const uint16_t* x, int64_t count, float by, float plus, uint8_t* codes);
/// Of x scale + shift, by channel.
void normalize_to_codes(const Bf16Rows& x, const float* scale, const float* shift, uint8_t* codes);

void to_codes_reference(const uint16_t* x, int64_t count, float by, float plus, uint8_t* codes);
void normalize_to_codes_reference(const Bf16Rows& x, const float* scale, const float* shift,
                                  uint8_t* codes);

}  // namespace bitstill
