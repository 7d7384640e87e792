// A logit cache of random logits, for steps that are timed.
#pragma once

#include <memory>
#include <string>

#include "bitstill/data/dataset.hpp"
#include "bitstill/teacher/teacher.hpp"

namespace bitstill {

/// Written into the new folder `folder`, one variant of every training sample.
std::unique_ptr<Teacher> random_cached_teacher(const Dataset& dataset, const std::string& folder,
                                               const at::Device& device);

}  // namespace bitstill
