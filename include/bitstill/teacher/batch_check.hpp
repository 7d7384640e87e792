// Whether a sample's logits hang on its batch: a promise that kernels of a processor may break.
#pragma once

#include "bitstill/data/image_shape.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {

/// Asks the teacher, in one call, about the same random images in batches of several sizes: true
/// where a bit differs. Takes as long as a batch of some 50. Collective where the teacher lies in
/// slices: every rank calls this.
bool depends_on_batch(Teacher& teacher, const ImageShape& shape, const at::Device& device);

}  // namespace bitstill
