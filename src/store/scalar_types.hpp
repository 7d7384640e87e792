// The types of tensors as files name them.
#pragma once

#include <c10/core/ScalarType.h>

#include "bitstill/codec/safetensors.hpp"

namespace bitstill {

at::ScalarType scalar_type_of(Dtype dtype);

}  // namespace bitstill
